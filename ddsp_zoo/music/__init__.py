"""Invents music and renders it: signals, effects, instruments, scores."""
