"""The notes of all sources of a song in one table."""

from collections.abc import Sequence
from dataclasses import replace

from ddsp_zoo.api.edit import Edit
from ddsp_zoo.controls.notes import Note, is_number_of
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.separation.result import Separated


def notes_of(song: Separated) -> list[Note]:
    """Returns the notes of all sources in the order of time, numbered as they come."""
    table = sorted(_own(song), key=lambda note: note.start_seconds)
    return [replace(note, number=number) for number, note in enumerate(table)]


def edits_of(song: Separated, table: Sequence[Note]) -> list[Edit]:
    """Returns an edit of each source whose notes are others in a table; see `Separation.with_notes`."""
    before = sorted(_own(song), key=lambda note: note.start_seconds)
    rows: dict[str, list[Note]] = {name: [] for name in song.controls}
    for note in table:
        if not isinstance(note, Note):
            raise DdspZooError(f"A table of notes holds ddsp_zoo.Note, not {type(note).__name__}.")
        if note.string not in rows:
            raise DdspZooError(f"There is no string {note.string!r:.60}: choose one of {', '.join(rows)}.")
        if not is_number_of(note, len(before)):
            raise DdspZooError(
                f"A note is made from note {note.number!s:.60}, and there are {len(before)}, counted from 0: None "
                "makes it a new one."
            )
        own = before[note.number] if note.number is not None else None
        rows[note.string].append(
            replace(note, number=own.number if own and own.string == note.string else None)
        )
    played = {note.string for note in (*before, *table)}
    edits = [Edit.of(song, name).with_notes(own) for name, own in rows.items() if name in played]
    return [edit for edit in edits if edit.is_changed]


def _own(song: Separated) -> list[Note]:
    return [note for name in song.controls for note in Edit.of(song, name).notes]
