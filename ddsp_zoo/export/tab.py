"""Writes tablature as plain text."""

from pathlib import Path

from ddsp_zoo.export.played import FrettedNote, Played
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.pitch.neck import pitch_name

TOGETHER_SECONDS = 0.05  # notes that begin within so much of the first stand above each other
STEP_SECONDS = 0.125  # of one more dash between two columns
LONGEST_GAP = 8  # dashes
WIDTH = 76  # columns of text


def write_tab(played: Played, path: str | Path) -> None:
    """Writes tablature as a text file, whole or not at all."""
    with replaced_when_done(path) as draft:
        draft.write_text(tab_text(played), encoding="utf-8")


def tab_text(played: Played) -> str:
    """Returns tablature as text: six lines, the highest string first, and above them the seconds at which they begin.

    Notes that begin together stand above each other; the longer it takes to the next, the more dashes.
    """
    names = [pitch_name(pitch) for pitch in played.neck.tuning]
    about = f"Tuning {' '.join(names)}, {_capo(played.neck.capo)}{round(100 * played.deviation):+d} cents from 440 Hz\n"
    columns = _columns(played)
    if not columns:
        return about + "\nNo notes.\n"
    systems, used = [[]], 0
    for (start, frets), width in zip(columns, _widths(columns), strict=True):
        if systems[-1] and used + width > WIDTH:
            systems.append([])
            used = 0
        systems[-1].append((start, frets, width))
        used += width
    return about + "".join(_system(system, names) for system in systems)


def _capo(fret: int) -> str:
    return f"capo on fret {fret}, " if fret else ""


def _columns(played: Played) -> list[tuple[float, dict[int, int]]]:
    """The time of each column of numbers, and the fret of each string in it."""
    notes = [(note, string) for string, own in enumerate(played.strings) for note in own]
    columns: list[tuple[float, dict[int, int]]] = []
    for note, string in sorted(notes, key=_start):
        new = not columns or note.start_seconds - columns[-1][0] > TOGETHER_SECONDS
        if new or string in columns[-1][1]:
            columns.append((note.start_seconds, {}))
        columns[-1][1][string] = note.fret
    return columns


def _start(item: tuple[FrettedNote, int]) -> tuple[float, int]:
    note, string = item
    return note.start_seconds, string


def _widths(columns: list[tuple[float, dict[int, int]]]) -> list[int]:
    """How many characters each column takes, the dashes after it among them."""
    ends = [*(start for start, _ in columns[1:]), columns[-1][0] + STEP_SECONDS]
    return [
        max(len(str(fret)) for fret in frets.values())
        + min(max(round((end - start) / STEP_SECONDS), 1), LONGEST_GAP)
        for (start, frets), end in zip(columns, ends, strict=True)
    ]


def _system(columns: list[tuple[float, dict[int, int], int]], names: list[str]) -> str:
    """Six lines of text and one above them."""
    lines = [
        f"{name.rstrip('0123456789'):<2}|-"
        + "".join(str(frets.get(string, "")).ljust(width, "-") for _, frets, width in columns)
        + "|"
        for string, name in enumerate(names)
    ]
    return "\n".join([f"\n{columns[0][0]:.1f} s", *reversed(lines)]) + "\n"
