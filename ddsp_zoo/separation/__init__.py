"""Separation of recordings of any length: controls in one stream, their sound, and stems cut out by it."""
