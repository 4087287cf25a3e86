"""Separation of recordings of any length: masks, the stream of segments, the result."""
