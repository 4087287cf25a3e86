"""Chooses what choirs sing, by style, and which parts there are in a choir of so many voices."""

from collections.abc import Sequence

import numpy as np

from ddsp_zoo.music.choir.homophony import compose_homophony
from ddsp_zoo.music.choir.polyphony import compose_polyphony
from ddsp_zoo.music.choir.scores import PARTS, RANGES, SungNote, compose
from ddsp_zoo.sources import numbered

CHORALE = "chorale"
STYLES = (CHORALE, "polyphony", "homophony")
KINDS, SHARES = (PARTS, PARTS[:2], PARTS[2:]), (0.7, 0.15, 0.15)  # mixed choirs, of women, of men


def choose_parts(rng: np.random.Generator, voices: int) -> tuple[str, ...]:
    """Draws the parts of so many voices, high to low: a mixed choir, or up to six voices of women or men."""
    pool = np.array(KINDS[rng.choice(len(KINDS), p=SHARES) if voices <= 6 else 0])
    parts = [*np.repeat(pool, voices // len(pool)), *rng.permutation(pool)[: voices % len(pool)]]
    return tuple(sorted((str(part) for part in parts), key=PARTS.index))


def compose_style(
    rng: np.random.Generator, style: str, parts: Sequence[str], seconds: float
) -> dict[str, tuple[SungNote, ...]]:
    """Invents a piece of a style for these parts: the notes of each voice, by its name, see `numbered`."""
    if style == CHORALE:
        return _chorale(rng, parts, seconds)
    return (compose_polyphony if style == "polyphony" else compose_homophony)(rng, parts, seconds)


def _chorale(
    rng: np.random.Generator, parts: Sequence[str], seconds: float
) -> dict[str, tuple[SungNote, ...]]:
    """Takes parts of a chorale; those that are there twice divide."""
    quartet = compose(rng, seconds)
    lines: dict[str, tuple[SungNote, ...]] = {}
    sung = list(quartet.values())
    for name, part in zip(numbered(parts), parts, strict=True):
        line = quartet[part]
        if line in lines.values():
            line = _divided(line, part, sung)
            sung.append(line)
        lines[name] = line
    return lines


def _divided(line: tuple[SungNote, ...], part: str, sung: list[tuple[SungNote, ...]]) -> tuple[SungNote, ...]:
    """Returns a line in the same rhythm, whose notes are other tones of the same chords where there are any."""
    low, high = RANGES[part]
    notes = []
    for note in line:
        middle = (note.start_seconds + note.end_seconds) / 2
        chord = {n.midi for other in sung for n in other if n.start_seconds <= middle < n.end_seconds}
        tones = {midi % 12 for midi in chord}
        free = [m for m in range(low, high + 1) if m % 12 in tones and m not in chord]
        midi = min(free, key=lambda m: abs(m - note.midi) + 6 * (m > note.midi), default=note.midi)
        notes.append(
            SungNote(note.start_seconds, note.end_seconds, midi, note.vowel, note.consonant, note.attack)
        )
    return tuple(notes)
