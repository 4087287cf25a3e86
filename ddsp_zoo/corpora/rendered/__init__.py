"""Corpora that the package renders itself."""
