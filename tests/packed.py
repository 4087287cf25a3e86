"""Packed sounds made by hand: a soundfont of short sines, and a piece for it."""

from pathlib import Path

import numpy as np

from ddsp_zoo.music.band.banks import Source
from ddsp_zoo.music.band.packed_sounds import Wanted, write_packed
from ddsp_zoo.music.band.scores import Note, Part, Piece
from ddsp_zoo.music.sampler import RecordedNote
from ddsp_zoo.music.soundfonts import DRUM_BANK

RATE = 8000
FONT = Path("somewhere/A font.sf2")


def note(midi: float, velocity: float = 0.8, seconds: float = 0.4, **fields: float) -> RecordedNote:
    time = np.arange(round(seconds * 2 * RATE)) / (2 * RATE)
    hz = 440 * 2 ** ((midi - 69) / 12)
    return RecordedNote(
        midi, velocity, 0.3 * velocity * np.sin(2 * np.pi * hz * time) * np.exp(-3 * time), **fields
    )


def pack_font(folder: Path, programs: tuple[int, ...] = (33, 27, 4)) -> Path:
    """A soundfont of some programs and a drum kit of kick, snare and hi-hat."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs:
        wanted = Wanted(Source("preset", FONT, 0, program), "other")
        recordings = [note(midi, velocity) for midi in (40, 52, 64) for velocity in (0.5, 0.9)]
        write_packed(recordings, wanted, folder / wanted.source.plain_name(RATE), 2 * RATE, 0.8)
    wanted = Wanted(Source("preset", FONT, DRUM_BANK, 0), "drums")
    hits = [note(midi, 0.9) for midi in (36, 38, 42)]
    write_packed(hits, wanted, folder / wanted.source.plain_name(RATE), 2 * RATE, 0.8)
    return folder


def piece(seconds: float = 12.0) -> Piece:
    """Bass, guitar, keys and drums, on every beat."""
    starts = np.arange(0, seconds, 0.5)
    players = [("bass", 33, 40), ("guitar", 27, 52), ("other", 4, 64), ("drums", 0, 36)]
    parts = tuple(
        Part(stem, program, tuple(Note(float(t), 0.4, midi, 0.7) for t in starts))
        for stem, program, midi in players
    )
    return Piece(parts, np.arange(0, seconds + 2, 2.0), (4, 4))
