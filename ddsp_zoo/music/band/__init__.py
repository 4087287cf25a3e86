"""Bands: scores, sounds and the renderer of bass, drums, guitar and others."""
