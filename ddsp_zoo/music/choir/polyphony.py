"""Invents polyphony for one to eight voices: imitation and free lines that cross, meet, rest, begin late and end early.

Lines are written one after the other on a grid of half beats. Each knows what those before it sing, wanders through
its range, and prefers steps and consonances; nothing forbids it to cross another voice or to meet it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ddsp_zoo.music.choir.scores import RANGES, SungNote, Tone, clock_of, scale_of, syllable, timed, within
from ddsp_zoo.sources import numbered

SLOTS = (1, 2, 2, 2, 3, 4, 6, 8)  # half beats of a note
CLASHES = np.array(
    (0, 2.5, 1.5, 0, 0, 0.3, 1.5, 0, 0, 0, 1.2, 2.5)
)  # cost of an interval, in semitones modulo 12
UNISON = 0.4  # what it costs to sing what another sings
IMITATION, LATEST = 0.55, 32  # share of sections that imitate, and half beats until the last voice enters


class Lines:
    """Holds what each voice sings, and on a grid of half beats which pitches sound, 0 in rests.

    Args:
        ranges: lowest and highest MIDI note of each voice.
        scale: pitch classes of the scale.
        slots: length in half beats.
    """

    def __init__(self, ranges: NDArray, scale: NDArray, slots: int) -> None:
        self.grid = np.zeros((len(ranges), slots), int)
        self.tones: list[list[Tone]] = [[] for _ in ranges]
        self.notes = [np.array([m for m in range(low, high + 1) if m % 12 in scale]) for low, high in ranges]

    def add(
        self, voice: int, start: int, stop: int, midi: int, rng: np.random.Generator, bound: bool = False
    ) -> None:
        """Writes a note; a bound one goes on with the syllable of the note before it, if that ends here."""
        tones = self.tones[voice]
        bound = bound and bool(tones) and tones[-1].end == start / 2 and tones[-1].midi != midi
        vowel, consonant = (tones[-1].vowel, "") if bound else syllable(rng)
        tones.append(Tone(start / 2, stop / 2, int(midi), vowel, consonant, not bound))
        self.grid[voice, start:stop] = midi

    def choose(
        self, voice: int, start: int, stop: int, before: float, aim: float, rng: np.random.Generator
    ) -> int:
        """Draws a note: near the one before, on the way to an aim, consonant with the other voices."""
        notes = self.notes[voice]
        leap = np.abs(notes - before)
        cost = 0.35 * leap + 1.2 * (leap > 7) + 1.2 * (leap == 0) + 0.2 * np.abs(notes - aim)
        others = np.delete(self.grid[:, start:stop], voice, 0)
        apart = np.abs(notes[:, None, None] - others)
        clash = np.where(others > 0, CLASHES[apart % 12] + UNISON * (apart == 0), 0)
        return int(notes[(cost + clash.mean(2).sum(1) + rng.gumbel(0, 0.8, len(notes))).argmin()])


def compose_polyphony(
    rng: np.random.Generator, parts: Sequence[str], seconds: float
) -> dict[str, tuple[SungNote, ...]]:
    """Invents a piece for these parts, such as soprano, soprano and bass: the notes of each voice, by its name.

    Names are those of `numbered`. Sections follow each other, of which each imitates a theme or has free lines; in each
    some voices may rest. No voice leaves the range of its part.
    """
    names, beat = numbered(parts), 60 / rng.uniform(58, 126)
    scale = scale_of(int(rng.integers(12)), bool(rng.random() < 0.4))
    ranges = _ranges(rng, parts)
    lines: dict[str, list[SungNote]] = {name: [] for name in names}
    time = rng.uniform(0.1, 0.8)
    while time < seconds - 2 * beat:
        section = _section(rng, ranges, scale)
        total = section.grid.shape[1] / 2
        clock = clock_of(rng, total, beat)
        for name, tones in zip(names, section.tones, strict=True):
            lines[name] += timed(rng, tones, clock, time)
        time += clock(total) + rng.choice([0.0, 0.25, 1.0]) * beat
    return {name: within(line, seconds) for name, line in lines.items()}


def _ranges(rng: np.random.Generator, parts: Sequence[str]) -> NDArray:
    """Draws how much of its range each voice uses (voices, 2): at least an octave, the same share in one piece."""
    share = rng.uniform(0.6, 1)
    ranges = []
    for part in parts:
        low, high = RANGES[part]
        used = max(round(share * (high - low)), 12)
        start = low + int(rng.integers(high - low - used + 1))
        ranges.append((start, start + used))
    return np.array(ranges)


def _section(rng: np.random.Generator, ranges: NDArray, scale: NDArray) -> Lines:
    count = len(ranges)
    singing = np.flatnonzero(rng.random(count) > 0.15) if rng.random() < 0.6 else np.arange(count)
    order = rng.permutation(singing if len(singing) else [rng.integers(count)])
    imitates = len(order) > 1 and rng.random() < IMITATION
    theme = _theme(rng)
    delay = min(int(rng.choice([2, 4, 4, 6, 8])), LATEST // len(order)) if imitates else 0
    last = delay * (len(order) - 1)
    section = Lines(ranges, scale, last + sum(length for length, _ in theme) + int(rng.integers(8, 33)))
    for place, voice in enumerate(order):
        start = place * delay if imitates else int(rng.choice([0, 0, 0, 2, 4, 8]))
        if imitates:
            start = _imitate(rng, section, voice, start, theme)
        early = int(rng.choice([0, 0, 0, 1, 4, 8]))  # that it ends before the others
        _go_on(rng, section, voice, start, max(section.grid.shape[1] - early, start))
    return section


def _theme(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Draws a theme: half beats and steps of the scale from its first note, within a sixth."""
    theme, step = [], 0
    for _ in range(rng.integers(4, 10)):
        theme.append((int(rng.choice(SLOTS[1:6])), step))
        moves = np.array([m for m in (-4, -3, -2, -1, -1, 0, 1, 1, 2, 3, 4) if -4 <= step + m <= 5])
        step += int(rng.choice(moves))
    return theme


def _imitate(
    rng: np.random.Generator, section: Lines, voice: int, start: int, theme: list[tuple[int, int]]
) -> int:
    """Writes the theme where the voice can sing it and it sounds well; returns where it ends."""
    notes, steps = section.notes[voice], np.array([step for _, step in theme])
    free = max(len(notes) - np.ptp(steps), 1)
    cost = []
    for lowest in range(free):
        at, clash = start, 0.0
        for (length, _), place in zip(theme, steps - steps.min() + lowest, strict=True):
            others = np.delete(section.grid[:, at : at + length], voice, 0)
            midi = notes[min(place, len(notes) - 1)]
            clash += np.where(others > 0, CLASHES[np.abs(midi - others) % 12], 0).sum()
            at += length
        cost.append(clash / (at - start) + 0.15 * abs(lowest - free / 2) + rng.gumbel(0, 0.5))
    lowest, bound = int(np.argmin(cost)), rng.random() < 0.3
    for (length, _), place in zip(theme, steps - steps.min() + lowest, strict=True):
        stop = min(start + length, section.grid.shape[1])
        section.add(voice, start, stop, notes[min(place, len(notes) - 1)], rng, bound and length < 3)
        start = stop
    return start


def _go_on(rng: np.random.Generator, section: Lines, voice: int, start: int, stop: int) -> None:
    """Writes a free line between two places of the grid, with rests here and there."""
    tones, notes = section.tones[voice], section.notes[voice]
    melismas, aim = rng.uniform(0, 0.5), rng.choice(notes)
    while start < stop:
        length = min(int(rng.choice(SLOTS)), stop - start)
        if tones and tones[-1].end == start / 2 and rng.random() < 0.08:
            start += length
            continue
        before = tones[-1].midi if tones else rng.choice(notes)
        aim = rng.choice(notes) if rng.random() < 0.2 else aim
        midi = section.choose(voice, start, start + length, before, aim, rng)
        section.add(voice, start, start + length, midi, rng, rng.random() < melismas)
        start += length
