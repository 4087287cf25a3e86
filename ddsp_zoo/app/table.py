"""The table of notes as the page shows it, and what a file of edits says of one that was changed."""

import math
from collections.abc import Sequence
from typing import Any

from ddsp_zoo.api.edits_file import FIELDS
from ddsp_zoo.controls.notes import Note
from ddsp_zoo.errors import DdspZooError

HEAD = (
    "start (s)",
    "end (s)",
    "pitch",
    "velocity",
    "note",
)  # the last counts the song's notes from 1, 0 is a new one
DIGITS = 3  # of times
Rows = Sequence[Sequence[Any]]


def rows(notes: Sequence[Note]) -> list[list[float]]:
    """Returns the rows of a table: start and end in seconds, MIDI pitch, velocity, and which note of the song it is."""
    return [
        [round(n.start_seconds, DIGITS), round(n.end_seconds, DIGITS), n.pitch, n.velocity, n.number + 1]
        for n in notes
    ]


def changes(table: Rows, notes: Sequence[Note], source: str) -> dict[str, Any]:
    """Returns what a file of edits says of a table: ``{change, delete, add}``, {} where it is as it was.

    A row whose last cell is 0 or empty, or names no note, is a new one; a row of nothing but zeros, as it is added,
    is passed over. Raises `DdspZooError` for a cell that is no number.
    """
    before, change, add = rows(notes), dict[int, dict[str, float]](), list[dict[str, float]]()
    there = set[int]()
    for place, cells in enumerate(table, start=1):
        values = [_number(cell, place, source) for cell in cells]
        if not any(values):
            continue
        if None in values[: len(FIELDS)]:
            raise DdspZooError(
                f"Row {place} in the notes of {source} is not complete: give start, end, pitch and velocity."
            )
        fields = dict(zip(FIELDS, values, strict=False))
        number = (values[len(FIELDS)] or 0) - 1
        if number not in range(len(before)) or number in there:
            add.append(fields)
            continue
        there.add(int(number))
        old = dict(zip(FIELDS, before[int(number)], strict=False))
        if moved := {name: value for name, value in fields.items() if value != old[name]}:
            change[int(number)] = moved
    delete = [number for number in range(len(before)) if number not in there]
    found = {"change": change, "delete": delete, "add": add}
    return {name: own for name, own in found.items() if own}


def _number(cell: Any, place: int, source: str) -> float | None:
    """The number in a cell, None where it is empty."""
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    try:
        number = float(cell)
    except (TypeError, ValueError):
        number = math.inf
    if math.isnan(number):
        return None
    if math.isinf(number):
        raise DdspZooError(
            f"Row {place} in the notes of {source} has {str(cell)[:30]!r}, which is no number: correct it."
        )
    return number
