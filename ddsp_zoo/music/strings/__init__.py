"""Guitars: what is played on six strings, and how each note sounds."""
