"""Reads and writes files: audio, pitch curves, downloads, the cache, files and folders that appear when complete."""
