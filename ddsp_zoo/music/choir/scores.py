"""Invents four-part chorales: harmony, voice leading, ornaments, text and timing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddsp_zoo.sources import QUARTET

PARTS = QUARTET
RANGES = {"soprano": (60, 80), "alto": (55, 73), "tenor": (48, 67), "bass": (40, 61)}  # MIDI
WIDEST = (12, 12, 19)  # semitones between neighbouring voices, from the top
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
# Chords by scale degree (0 = I), and how often each follows; the rows of the leading-tone chords lead home.
FOLLOWING = {
    0: ((3, 4, 5, 1, 2, 0), (5, 5, 3, 3, 1, 1)),
    1: ((4, 6, 0, 3), (6, 1, 1, 1)),
    2: ((5, 3, 1), (4, 3, 1)),
    3: ((4, 0, 1, 6), (5, 3, 2, 1)),
    4: ((0, 5, 3), (6, 2, 1)),
    5: ((1, 3, 4, 2), (3, 4, 2, 1)),
    6: ((0, 5), (5, 1)),
}
CADENCES = ((4, 0), (4, 0), (1, 4, 0), (3, 4, 0), (3, 0), (0, 4), (4, 5))
VOWELS = ("a", "e", "i", "o", "u")
CONSONANTS = ("", "nasal", "liquid", "stop", "fricative")


@dataclass(frozen=True)
class SungNote:
    """Holds one sung note. Without an attack it is bound to the note before and keeps its syllable."""

    start_seconds: float
    end_seconds: float
    midi: int
    vowel: str
    consonant: str = ""
    attack: bool = True


@dataclass(frozen=True)
class Chord:
    """Holds a chord: when it sounds in beats, its pitches from soprano to bass, and the syllable for all voices."""

    start_beats: float
    beats: float
    pitches: tuple[int, ...]
    vowel: str
    consonant: str


def compose(rng: np.random.Generator, seconds: float) -> dict[str, tuple[SungNote, ...]]:
    """Invents a piece for four voices: the notes of each part, in order and one at a time."""
    beat = 60 / rng.uniform(58, 120)
    tonic, minor, lively = int(rng.integers(12)), bool(rng.random() < 0.4), rng.uniform(0.1, 0.6)
    lines: dict[str, list[SungNote]] = {part: [] for part in PARTS}
    time, pitches = rng.uniform(0.2, 1.0), None
    while time < seconds - 3 * beat:
        chords = _phrase(rng, tonic, minor, pitches)
        clock = clock_of(rng, chords[-1].start_beats + chords[-1].beats, beat)
        rests = (rng.random(len(PARTS)) < 0.08) & (pitches is not None)
        for row, part in enumerate(PARTS):
            if not rests[row]:
                scale = scale_of(tonic, minor)
                lines[part] += timed(rng, _line(rng, chords, row, scale, lively), clock, time)
        pitches = chords[-1].pitches
        time += clock(chords[-1].start_beats + chords[-1].beats) + rng.choice([0.25, 0.5, 1.0, 2.0]) * beat
    return {part: within(line, seconds) for part, line in lines.items()}


def scale_of(tonic: int, minor: bool) -> NDArray:
    """Returns the pitch classes of a scale, the tonic first."""
    return (np.array(MINOR if minor else MAJOR) + tonic) % 12


def triad_of(tonic: int, minor: bool, degree: int, seventh: bool) -> list[int]:
    """Returns the pitch classes of a chord, root first; the dominant of a minor key has a major third."""
    scale = list(scale_of(tonic, minor))
    if minor and degree in (4, 6):
        scale[6] = (scale[6] + 1) % 12
    return [scale[(degree + step) % 7] for step in ((0, 2, 4, 6) if seventh else (0, 2, 4))]


def _phrase(rng: np.random.Generator, tonic: int, minor: bool, before: tuple[int, ...] | None) -> list[Chord]:
    degrees = [0 if before is None or rng.random() < 0.6 else int(rng.choice([3, 4, 5]))]
    ending = CADENCES[rng.integers(len(CADENCES))]
    for _ in range(rng.integers(3, 9)):
        follow, weights = FOLLOWING[degrees[-1]]
        degrees.append(int(rng.choice(follow, p=np.array(weights) / sum(weights))))
    degrees += ending
    chords, start = [], 0.0
    for place, degree in enumerate(degrees):
        beats = (
            float(rng.choice([1, 1, 1, 2, 0.5])) if place < len(degrees) - 1 else float(rng.choice([2, 3]))
        )
        tones = triad_of(tonic, minor, degree, seventh=degree == 4 and rng.random() < 0.4)
        before = _voicing(rng, tones, before, inverted=0 < place < len(degrees) - 1 and rng.random() < 0.3)
        chords.append(Chord(start, beats, before, *syllable(rng)))
        start += beats
    return chords


def syllable(rng: np.random.Generator) -> tuple[str, str]:
    """Draws a vowel and the consonant before it."""
    return str(rng.choice(VOWELS)), str(rng.choice(CONSONANTS, p=(0.2, 0.25, 0.2, 0.2, 0.15)))


def _voicing(
    rng: np.random.Generator, tones: list[int], before: tuple[int, ...] | None, inverted: bool
) -> tuple[int, ...]:
    """Returns pitches from soprano to bass: near those before, complete, in range, without crossing or parallels."""
    bass = tones[1 if inverted else 0]
    choices = [
        [
            midi
            for midi in range(low, high + 1)
            if (midi % 12 == bass if part == "bass" else midi % 12 in tones)
        ]
        for part, (low, high) in RANGES.items()
    ]
    found = np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, len(PARTS))
    gaps = found[:, :-1] - found[:, 1:]
    found = found[(gaps > 0).all(1) & (gaps <= WIDEST).all(1)]
    missing = sum((found % 12 != tone).all(1) * cost for tone, cost in zip(tones, (9, 9, 2, 6), strict=False))
    middle = np.array([sum(RANGES[part]) / 2 for part in PARTS])
    cost = missing + 0.12 * np.abs(found - middle).sum(1) + rng.gumbel(0, 1.2, len(found))
    if before is not None:
        cost += _motion_cost(found, np.array(before))
    return tuple(int(midi) for midi in found[cost.argmin()])


def _motion_cost(found: NDArray, before: NDArray) -> NDArray:
    """Rates how badly the voices move: wide leaps, parallel fifths and octaves, a melody that stands still."""
    steps = found - before
    cost = np.abs(steps) @ np.array((0.9, 1.0, 1.0, 0.35)) + 3.0 * (np.abs(steps[:, 0]) > 7)
    cost += 1.5 * (steps[:, 0] == 0)
    for high in range(len(PARTS)):
        for low in range(high + 1, len(PARTS)):
            then, now = (before[high] - before[low]) % 12, (found[:, high] - found[:, low]) % 12
            cost += 8.0 * ((now == then) & np.isin(now, (0, 7)) & (steps[:, high] != 0))
    return cost


@dataclass(frozen=True)
class Tone:
    """Holds a note that is still counted in beats."""

    start: float
    end: float
    midi: int
    vowel: str
    consonant: str
    attack: bool


def _line(
    rng: np.random.Generator, chords: list[Chord], row: int, scale: NDArray, lively: float
) -> list[Tone]:
    """Writes one part of a phrase: ties, passing and neighbour notes, suspensions, and at times a late entry."""
    tones: list[Tone] = []
    late = rng.choice([0, 1, 2], p=(0.8, 0.12, 0.08))
    for place, chord in enumerate(chords[late:], late):
        midi, end = chord.pitches[row], chord.start_beats + chord.beats
        after = chords[place + 1].pitches[row] if place + 1 < len(chords) else midi
        start = chord.start_beats
        if tones and 1 <= tones[-1].midi - midi <= 2 and chord.beats >= 1 and rng.random() < 0.15 * lively:
            held = tones[-1]
            tones[-1] = Tone(
                held.start, start + chord.beats / 2, held.midi, held.vowel, held.consonant, held.attack
            )
            tones.append(Tone(start + chord.beats / 2, end, midi, held.vowel, "", False))
            continue
        if tones and tones[-1].midi == midi and rng.random() < 0.3:
            held = tones[-1]
            tones[-1] = Tone(held.start, end, midi, held.vowel, held.consonant, held.attack)
            continue
        passing = _between(midi, after, scale) if chord.beats >= 1 and rng.random() < lively else None
        middle = start + chord.beats / 2 if passing else end
        tones.append(Tone(start, middle, midi, chord.vowel, chord.consonant, True))
        if passing:
            tones.append(Tone(middle, end, passing, chord.vowel, "", False))
    return tones


def _between(midi: int, after: int, scale: NDArray) -> int | None:
    """Returns the note of the scale between two that are a third apart, or one above two that are the same."""
    low, high = sorted((midi, after))
    if 3 <= high - low <= 4:
        inside = [note for note in range(low + 1, high) if note % 12 in scale]
    else:
        inside = [note for note in (midi + 1, midi + 2) if note % 12 in scale] if high == low else []
    return inside[0] if inside else None


def clock_of(rng: np.random.Generator, total: float, beat: float) -> Callable[[float], float]:
    """Returns a map from beats to seconds within a phrase of so many: the tempo varies and slows down at the end."""
    grid = np.linspace(0, total, 33)
    slow = 1 + rng.uniform(0, 0.35) * np.clip(grid / total - 0.7, 0, None) / 0.3
    sway = 1 + rng.uniform(0, 0.06) * np.sin(2 * np.pi * (grid / total + rng.random()))
    pace = beat * slow * sway
    seconds = np.append(0, np.cumsum((pace[1:] + pace[:-1]) / 2 * np.diff(grid)))
    return lambda beats: float(np.interp(beats, grid, seconds))


def timed(
    rng: np.random.Generator, tones: list[Tone], clock: Callable[[float], float], offset: float
) -> list[SungNote]:
    """Turns beats into seconds with small deviations; breaths shorten some notes, and always one before a rest."""
    edges = [offset + clock(tone.start) + rng.normal(0, 0.025) for tone in tones]
    notes = []
    for place, tone in enumerate(tones):
        last = place + 1 == len(tones) or tones[place + 1].start > tone.end + 1e-6
        start, end = edges[place], offset + clock(tone.end) if last else edges[place + 1]
        breath = rng.uniform(0.05, 0.35) if last or (tones[place + 1].attack and rng.random() < 0.07) else 0.0
        end -= min(breath, 0.4 * (end - start))
        if end - start > 0.06:
            notes.append(SungNote(start, end, tone.midi, tone.vowel, tone.consonant, tone.attack))
    return notes


def within(line: list[SungNote], seconds: float) -> tuple[SungNote, ...]:
    """Returns the notes that begin before the end; the last one is cut there."""
    return tuple(
        SungNote(n.start_seconds, min(n.end_seconds, seconds - 0.05), n.midi, n.vowel, n.consonant, n.attack)
        for n in line
        if n.start_seconds < seconds - 0.3
    )
