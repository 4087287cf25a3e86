"""Recorded guitar notes and annotated performances."""

from recordings import jams, note_folders  # noqa: F401
