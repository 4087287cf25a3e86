"""What models learn by: losses and the optimiser."""
