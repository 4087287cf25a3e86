"""Invents and renders bands of bass, drums, guitar and other instruments."""
