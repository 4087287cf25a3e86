"""Music that the package invents and renders: signals, effects, instruments, scores."""
