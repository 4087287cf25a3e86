"""Reports: tables, figures and pages made of measured numbers."""
