"""Writes what was played as a Guitar Pro file, where pyguitarpro is installed."""

import importlib.util
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.played import FrettedNote, Played
from ddsp_zoo.files.atomic import replaced_when_done

BEATS_PER_MINUTE = 120
SLOTS_PER_SECOND, SLOTS = 16, 32  # thirty-second notes at this tempo: in a second, in a bar of four quarters
VERSION = (5, 1, 0)


def can_write() -> bool:
    """Returns whether pyguitarpro is installed."""
    return importlib.util.find_spec("guitarpro") is not None


def write_guitar_pro(played: Played, path: str | Path) -> None:
    """Writes a file of Guitar Pro 5, whole or not at all.

    Nobody told the tempo: bars are those of 120 beats a minute, and notes lie on the nearest thirty-second. Raises
    `DdspZooError` where pyguitarpro is not installed.
    """
    if not can_write():
        raise DdspZooError("Guitar Pro files need pyguitarpro: pip install pyguitarpro.")
    import guitarpro

    song = guitarpro.models.Song(tempo=BEATS_PER_MINUTE)
    (track,) = song.tracks
    track.strings = [
        guitarpro.models.GuitarString(number + 1, pitch)
        for number, pitch in enumerate(reversed(played.neck.tuning))
    ]
    track.offset = played.neck.capo
    columns = _columns(played)
    bars = max(columns, default=0) // SLOTS + 1
    headers = [guitarpro.models.MeasureHeader(n + 1, 960 + n * 4 * 960) for n in range(bars)]
    song.measureHeaders = headers
    track.measures = [guitarpro.models.Measure(track, header) for header in headers]
    for number, measure in enumerate(track.measures):
        own = {slot - number * SLOTS: notes for slot, notes in columns.items() if slot // SLOTS == number}
        _fill(measure.voices[0], own)
    with replaced_when_done(path) as draft:
        guitarpro.write(song, str(draft), version=VERSION)


def _columns(played: Played) -> dict[int, dict[int, FrettedNote]]:
    """The notes that begin in each slot, by their string as Guitar Pro counts them, the highest being 1."""
    columns: dict[int, dict[int, FrettedNote]] = {}
    for string, notes in enumerate(played.strings):
        for note in notes:
            slot = round(note.start_seconds * SLOTS_PER_SECOND)
            columns.setdefault(slot, {})[len(played.strings) - string] = note
    return columns


def _fill(voice: Any, columns: dict[int, dict[int, FrettedNote]]) -> None:
    """Fills a bar with beats and rests; what begins in a slot lasts until the next, or as long as one sign can say."""
    from guitarpro import models

    slots = sorted({0, *columns})
    for slot, following in zip(slots, [*slots[1:], SLOTS], strict=True):
        notes = columns.get(slot, {})
        left = following - slot
        while left:
            length = 1 << (left.bit_length() - 1)
            duration = models.Duration(SLOTS // length)
            status = models.BeatStatus.normal if notes else models.BeatStatus.rest
            beat = models.Beat(voice, duration=duration, status=status)
            for string, note in notes.items():
                velocity = max(note.velocity, 1)
                beat.notes.append(models.Note(beat, note.fret, velocity, string, type=models.NoteType.normal))
            voice.beats.append(beat)
            notes, left = {}, left - length
