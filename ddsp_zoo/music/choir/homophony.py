"""Invents homophony for one to eight voices: all sing the same rhythm, and chords are repeated with new syllables."""

from collections.abc import Sequence

import numpy as np

from ddsp_zoo.music.choir.scores import (
    CADENCES,
    FOLLOWING,
    RANGES,
    SungNote,
    Tone,
    clock_of,
    syllable,
    timed,
    triad_of,
    within,
)
from ddsp_zoo.sources import numbered

RHYTHMS = ((1,), (2,), (0.5, 0.5), (1, 1), (0.5, 0.5, 1), (1, 0.5, 0.5), (1, 1, 1, 1), (0.5, 0.5, 0.5, 0.5))


def compose_homophony(
    rng: np.random.Generator, parts: Sequence[str], seconds: float
) -> dict[str, tuple[SungNote, ...]]:
    """Invents a piece for these parts: the notes of each voice, by its name, which is that of `numbered`.

    Every chord is repeated in a rhythm of its own, each time with a new syllable. In some phrases voices rest. Where
    there are more voices than a chord has tones near by, some sing the same.
    """
    names, beat = numbered(parts), 60 / rng.uniform(60, 130)
    tonic, minor = int(rng.integers(12)), bool(rng.random() < 0.4)
    lines: dict[str, list[SungNote]] = {name: [] for name in names}
    time, before = rng.uniform(0.1, 0.8), [float(np.mean(RANGES[part])) for part in parts]
    while time < seconds - 2 * beat:
        phrase: list[list[Tone]] = [[] for _ in names]
        place = 0.0
        for degree in _degrees(rng):
            before = _voiced(rng, triad_of(tonic, minor, degree, False), parts, before)
            for beats in RHYTHMS[rng.integers(len(RHYTHMS))]:
                vowel, consonant = syllable(rng)
                for tones, midi in zip(phrase, before, strict=True):
                    tones.append(Tone(place, place + beats, int(midi), vowel, consonant, True))
                place += beats
        clock = clock_of(rng, place, beat)
        rests = rng.random(len(names)) < (0.12 if len(names) > 1 else 0)
        for name, tones, rest in zip(names, phrase, rests, strict=True):
            lines[name] += [] if rest else timed(rng, tones, clock, time)
        time += clock(place) + rng.choice([0.25, 0.5, 1.0, 2.0]) * beat
    return {name: within(line, seconds) for name, line in lines.items()}


def _degrees(rng: np.random.Generator) -> list[int]:
    degrees = [0]
    for _ in range(rng.integers(1, 5)):
        follow, weights = FOLLOWING[degrees[-1]]
        degrees.append(int(rng.choice(follow, p=np.array(weights) / sum(weights))))
    return [*degrees, *CADENCES[rng.integers(len(CADENCES))]]


def _voiced(
    rng: np.random.Generator, tones: list[int], parts: Sequence[str], before: list[float]
) -> list[float]:
    """Gives each voice a tone of the chord near its last one, rather one that no other has yet, the lowest first."""
    chosen: list[float] = []
    for part, last in zip(reversed(parts), reversed(before), strict=True):
        low, high = RANGES[part]
        notes = np.array([midi for midi in range(low, high + 1) if midi % 12 in tones])
        cost = 0.5 * np.abs(notes - last) + 0.08 * np.abs(notes - (low + high) / 2)
        cost += 3.0 * np.isin(notes, chosen) + 1.0 * np.isin(notes % 12, [int(midi) % 12 for midi in chosen])
        chosen.append(float(notes[(cost + rng.gumbel(0, 0.6, len(notes))).argmin()]))
    return chosen[::-1]
