"""Losses and the optimiser by which models are trained."""
