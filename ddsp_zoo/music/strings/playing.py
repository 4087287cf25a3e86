"""Invents or reads what a guitarist plays: notes with strings, frets and touch."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.ndimage import median_filter, uniform_filter1d

from ddsp_zoo.dsp.scale import hz_to_midi
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.strings.jams import read_contours, read_notes
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

RATE = 16000
GRID_SECONDS = 0.004
STYLES = ("comp", "solo", "free")
OPEN_HZ = tuple(GUITAR_STRINGS_HZ.values())
OPEN_SEMITONES = (0, 5, 10, 15, 19, 24)  # of the strings above the lowest
# Frets of open and movable chord shapes, low E to high E; None: not played.
SHAPES = (
    (0, 2, 2, 1, 0, 0),
    (0, 2, 2, 0, 0, 0),
    (None, 0, 2, 2, 2, 0),
    (None, 0, 2, 2, 1, 0),
    (3, 2, 0, 0, 0, 3),
    (None, None, 0, 2, 3, 2),
    (None, None, 0, 2, 3, 1),
    (None, 3, 2, 0, 1, 0),
    (None, 2, 4, 4, 3, 2),
    (5, None, 5, 5, 5, None),
    (None, 3, 2, 3, 3, None),
    (None, 5, 4, 5, 5, 5),
    (3, None, 4, 4, 3, None),
    (1, 3, 3, 2, 1, 1),
    (1, 3, 1, 1, 1, 1),
    (None, 2, 4, 4, 4, 2),
    (1, None, 2, 2, 1, None),
    (1, 3, 3, None, None, None),
)
# A bar in sixteenths. D, U: strum down, up; B: lowest string; C: the others together; 1-4: one of the others;
# M: damped strum; P: damped lowest string.
PATTERNS = (
    "D...D.D...U.D.U.",
    "D...D...D...D.U.",
    "D..UD..UD..UD.U.",
    "D.....D.......U.",
    "D.UUM.U.D.UMM.U.",
    "M.DU..M.M.DUM...",
    "B...C...B...C...",
    "B..C..C.B..C..C.",
    "C..C..C...C..C..",
    "B.C..C.B.C..B.C.",
    "B.1.2.3.B.3.2.1.",
    "B123.321B123.321",
    "B...1.2.B.2.1...",
    "B.C.1.2.B.1.C...",
    "P.P.P.D...P.PPD.",
    "PPPPD...PPPPD.D.",
    "C...............",
    "C.....C...B.....",
)
SCALES = (
    (0, 3, 5, 7, 10),
    (0, 2, 4, 7, 9),
    (0, 2, 3, 5, 7, 8, 10),
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 9, 10),
)


@dataclass(frozen=True)
class GuitarNote:
    """Holds a note on one string: when, which fret, how hard (0-1), and when the finger lifts.

    ``touch``: pluck, mute (damped by the hand) or hammer (sounded by the fretting hand). ``cents``: how far the
    pitch is from the fret's every 4 ms from the start on; the last value stays.
    """

    string: int
    start_seconds: float
    end_seconds: float
    fret: float
    velocity: float
    touch: str = "pluck"
    cents: tuple[float, ...] = ()

    @property
    def held_seconds(self) -> float:
        """Returns the time from the pluck to the lifting of the finger."""
        return self.end_seconds - self.start_seconds

    def pitch_hz(self, open_hz: float, count: int) -> np.ndarray:
        """Returns f0 (count,) every 4 ms from the start on, of a string tuned to ``open_hz``."""
        cents = np.zeros(count)
        if self.cents:
            cents = np.asarray(self.cents)[np.minimum(np.arange(count), len(self.cents) - 1)]
        return open_hz * 2 ** (self.fret / 12 + cents / 1200)


def compose(rng: np.random.Generator, seconds: float, style: str = "comp") -> list[GuitarNote]:
    """Invents playing, one note a string at a time.

    Chords that everybody knows ("comp"), a line ("solo"), or any chords that a hand can reach, with ornaments ("free").
    """
    beat = 60 / rng.uniform(65, 160)
    bars = {"comp": _chord_bars, "solo": _solo_bars, "free": _free_bars}[style](rng, beat)
    notes: list[GuitarNote] = []
    time, quiet = rng.uniform(0.05, 0.5), rng.uniform(0.5, 1.0)
    while time < seconds - 0.15:
        for note in next(bars):
            start = max(time + note.start_seconds + rng.normal(0, 0.004), 0.01)
            end = min(time + note.end_seconds, seconds)
            if start < seconds - 0.1:
                velocity = float(np.clip(note.velocity * quiet, 0.1, 1))
                notes.append(replace(note, start_seconds=start, end_seconds=end, velocity=velocity))
        time += 4 * beat
    return one_note_a_string(notes)


def one_note_a_string(notes: list[GuitarNote]) -> list[GuitarNote]:
    """Ends each note where the next on its string begins; notes that become too short are left out."""
    out = []
    for string in range(len(OPEN_HZ)):
        line = sorted((n for n in notes if n.string == string), key=lambda n: n.start_seconds)
        for note, following in zip(line, [*line[1:], None], strict=False):
            end = note.end_seconds if following is None else min(note.end_seconds, following.start_seconds)
            if end - note.start_seconds > 0.04:
                out.append(replace(note, end_seconds=end))
    return out


def _chord_bars(rng: np.random.Generator, beat: float) -> Iterator[list[GuitarNote]]:
    """Yields bars over four chords that return, in one or two patterns."""
    chords = [
        (SHAPES[rng.integers(len(SHAPES))], int(rng.choice([0, 0, 1, 2, 3, 4, 5, 7]))) for _ in range(4)
    ]
    patterns = rng.choice(PATTERNS, 2)
    ring, spread = rng.uniform(0.5, 1.6), rng.uniform(0.004, 0.02)
    bar = 0
    while True:
        shape, shift = chords[bar % 4]
        strings = [(s, fret + shift) for s, fret in enumerate(shape) if fret is not None]
        pattern = patterns[int(bar % 4 == 3)]
        steps = [(i, c) for i, c in enumerate(pattern) if c != "." and rng.random() > 0.08]
        yield [note for i, c in steps for note in _chord(rng, c, strings, i * beat / 4, ring * beat, spread)]
        bar += 1


def _chord(
    rng: np.random.Generator,
    kind: str,
    strings: list[tuple[int, int]],
    start: float,
    length: float,
    spread: float,
) -> Iterator[GuitarNote]:
    """Yields the notes of one letter of a pattern."""
    chosen = {"B": strings[:1], "P": strings[:1], "C": strings[1:], "U": strings[:0:-1][:4]}.get(
        kind, strings
    )
    if kind.isdigit():
        chosen = [strings[1:][(int(kind) - 1) % (len(strings) - 1)]]
        length *= 2
    if kind == "B":
        length *= 1.5
    touch = "mute" if kind in "MP" else "pluck"
    spread = 0.002 if kind == "C" else spread
    force = rng.uniform(0.5, 1.0) * (0.8 if kind in "UMC" else 1.0)
    for position, (string, fret) in enumerate(chosen):
        begin = start + position * spread * rng.uniform(0.6, 1.4)
        yield GuitarNote(
            string, begin, begin + length * rng.uniform(0.9, 1.1), fret, force * rng.uniform(0.75, 1), touch
        )


def _free_bars(rng: np.random.Generator, beat: float) -> Iterator[list[GuitarNote]]:
    """Yields bars in patterns, each over a chord of its own, some of whose notes are ornamented or dead."""
    ring, spread = rng.uniform(0.4, 1.6), rng.uniform(0.004, 0.02)
    dead, ornaments = rng.uniform(0, 0.1), rng.uniform(0, 0.25)
    while True:
        strings, pattern = _reachable_chord(rng), str(rng.choice(PATTERNS))
        bar = []
        for step, kind in enumerate(pattern):
            if kind != ".":
                bar += _chord(rng, kind, strings, step * beat / 4, ring * beat, spread)
        bar = [replace(note, touch="mute") if rng.random() < dead else note for note in bar]
        yield [part for note in bar for part in _with_another(rng, note, ornaments)]


def _reachable_chord(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Returns (string, fret) of two to six strings, open or within four frets, low to high."""
    base, opened, left_out = int(rng.integers(1, 13)), rng.uniform(0, 0.4), rng.uniform(0, 0.5)
    chord = [
        (string, 0 if rng.random() < opened else base + int(rng.integers(0, 4)))
        for string in range(len(OPEN_HZ))
        if rng.random() >= left_out
    ]
    return chord if len(chord) > 1 else [(0, base), (4, base)]


def _with_another(rng: np.random.Generator, note: GuitarNote, share: float) -> list[GuitarNote]:
    """Returns a note, or in a share of cases the note with a hammered one, a slide, a bend or vibrato."""
    if note.touch != "pluck" or note.held_seconds < 0.25 or rng.random() >= share:
        return [note]
    kind, middle = rng.integers(4), note.start_seconds + note.held_seconds * rng.uniform(0.2, 0.6)
    if kind == 0:
        fret = note.fret + int(rng.integers(1, 4))
        again = replace(note, start_seconds=middle, fret=fret, touch="hammer", velocity=0.7 * note.velocity)
        return [note, again]
    if kind == 1 and note.fret > 0:
        step = int(rng.choice([-2, -1, 1, 2]))
        return [replace(note, cents=_slide(100.0 * step, rng.uniform(0.03, 0.12)))]
    if kind == 2 and note.fret > 0:
        return [replace(note, cents=_bend(rng, note.held_seconds))]
    return [replace(note, cents=_vibrato(rng, note.held_seconds, rng.uniform(5, 40)))]


def _solo_bars(rng: np.random.Generator, beat: float) -> Iterator[list[GuitarNote]]:
    """Yields bars of a line that moves through a scale within five frets, with ornaments and at times two strings."""
    scale, key = SCALES[rng.integers(len(SCALES))], int(rng.integers(12))
    legato, vibrato = rng.uniform(0.6, 1.05), rng.uniform(5, 40)
    while True:
        places = _places(scale, key, int(rng.integers(0, 10)))
        at, time, bar = int(rng.integers(len(places))), 0.0, []
        while time < 3.8 * beat:
            length = beat * float(
                rng.choice([0.25, 0.5, 0.5, 1 / 3, 1.0, 2.0], p=[0.2, 0.25, 0.2, 0.1, 0.2, 0.05])
            )
            at = int(
                np.clip(
                    at + rng.choice([-3, -2, -1, 1, 2, 3], p=[0.07, 0.13, 0.3, 0.3, 0.13, 0.07]),
                    0,
                    len(places) - 1,
                )
            )
            if rng.random() < 0.88:
                bar += _ornamented(rng, places, at, time, length * legato, vibrato, bar)
            time += length
        yield bar


def _places(scale: tuple[int, ...], key: int, base: int) -> list[tuple[int, int]]:
    """Returns (string, fret) of the notes of a scale within five frets, by pitch."""
    return [
        (string, fret)
        for string, semitones in enumerate(OPEN_SEMITONES)
        for fret in range(base, base + (4 if string == 3 else 5))
        if (4 + semitones + fret - key) % 12 in scale
    ]


def _ornamented(
    rng: np.random.Generator,
    places: list[tuple[int, int]],
    at: int,
    start: float,
    length: float,
    vibrato: float,
    before: list[GuitarNote],
) -> list[GuitarNote]:
    """Returns a note of a line, perhaps hammered, slid to, bent or with vibrato, perhaps with a second string."""
    string, fret = places[at]
    note = GuitarNote(string, start, start + length, fret, rng.uniform(0.45, 1.0))
    choice, last = rng.random(), before[-1] if before else None
    if last and last.string == string and last.fret != fret and choice < 0.45:
        if choice < 0.3:
            return [replace(note, touch="hammer", velocity=0.7 * note.velocity)]
        return [replace(note, cents=_slide(100.0 * (last.fret - fret), rng.uniform(0.03, 0.12)))]
    if length > 0.3 and choice > 0.9:
        return [replace(note, cents=_bend(rng, length))]
    if length > 0.3 and choice > 0.6:
        return [replace(note, cents=_vibrato(rng, length, vibrato))]
    if choice > 0.52 and at + 2 < len(places) and places[at + 2][0] != string:
        other, there = places[at + 2]
        return [note, replace(note, string=other, fret=there, start_seconds=start + 0.003)]
    return [note]


def _slide(cents: float, seconds: float) -> tuple[float, ...]:
    """Returns the cents of a slide from another fret to that of the note."""
    steps = np.linspace(0, 1, max(round(seconds / GRID_SECONDS), 2))
    return tuple(np.append(cents * (0.5 + 0.5 * np.cos(np.pi * steps)), 0.0))


def _bend(rng: np.random.Generator, seconds: float) -> tuple[float, ...]:
    """Returns the cents of a bend by a half or a whole tone, which in half of the cases goes back."""
    time = np.arange(0, seconds, GRID_SECONDS) / seconds
    rise, height = rng.uniform(0.2, 0.5), rng.choice([100.0, 200.0])
    up = np.clip((time - 0.08) / rise, 0, 1)
    down = np.clip((time - 0.7) / 0.25, 0, 1) if rng.random() < 0.5 else 0 * time
    return tuple(height * (0.5 - 0.5 * np.cos(np.pi * up)) * (0.5 + 0.5 * np.cos(np.pi * down)))


def _vibrato(rng: np.random.Generator, seconds: float, cents: float) -> tuple[float, ...]:
    time = np.arange(0, seconds, GRID_SECONDS)
    depth = cents * np.clip((time - 0.12) / 0.2, 0, 1)
    return tuple(depth * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time))


def performance(path: Path, rng: np.random.Generator) -> list[GuitarNote]:
    """Reads the notes of a GuitarSet annotation with their measured timing and pitch; how hard each was is invented.

    Raises `DdspZooError` for what is no GuitarSet annotation.
    """
    notes = []
    for string, (line, (times, hz)) in enumerate(zip(read_notes(path), read_contours(path), strict=True)):
        for start, duration, midi in line:
            inside = (times >= start) & (times < start + duration) & (hz > 0)
            fret = midi - hz_to_midi(OPEN_HZ[string])
            cents = _contour(times[inside] - start, hz[inside], OPEN_HZ[string] * 2 ** (fret / 12), duration)
            notes.append(
                GuitarNote(string, start, start + duration, float(fret), rng.uniform(0.4, 1.0), cents=cents)
            )
    if not notes:
        raise DdspZooError(f"{path} has no notes to play.")
    return one_note_a_string(notes)


def _contour(times: np.ndarray, hz: np.ndarray, note_hz: float, seconds: float) -> tuple[float, ...]:
    """Returns a measured contour, smoothed, as cents from the note every 4 ms; none where little was measured.

    While a string is struck or being damped the tracker finds pitches that nobody played: what it says there
    is replaced by what it says next to it.
    """
    firm = (times > 0.04) & (times < seconds - 0.12)
    if firm.sum() < 10:
        return ()
    grid = np.arange(0, seconds, GRID_SECONDS)
    cents = np.interp(grid, times[firm], 1200 * np.log2(hz[firm] / note_hz))
    smooth = uniform_filter1d(median_filter(cents, 21, mode="nearest"), 11, mode="nearest")
    return tuple(np.clip(smooth, -300, 300))
