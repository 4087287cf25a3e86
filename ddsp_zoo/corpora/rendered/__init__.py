"""Renders corpora that need no download."""
