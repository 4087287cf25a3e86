"""Invents what is played on six guitar strings, and renders each note."""
