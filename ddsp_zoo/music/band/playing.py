"""Plays scores as people do: uneven timing, strums, power chords, muted strings, the melody of a singer."""

from dataclasses import replace

import numpy as np

from ddsp_zoo.music.band.scores import Note, Part
from ddsp_zoo.music.signals import log_uniform

TOGETHER_SECONDS = 0.015
DRIVEN = (29, 30)
VOICE_RANGES = ((48, 67), (45, 62), (55, 74), (57, 79))  # tenor, baritone, alto, soprano
VOICE_PROGRAM = 53


def humanise(part: Part, rng: np.random.Generator) -> Part:
    """Moves the notes of a MIDI part by some milliseconds and changes their loudness a little."""
    spread, loose = rng.uniform(0.002, 0.009), rng.uniform(0.02, 0.12)
    lag = rng.normal(0, 0.005) if part.stem != "drums" else 0.0
    level = rng.uniform(0.75, 1.1)
    notes = []
    for note in part.notes:
        start = max(note.start_seconds + lag + rng.normal(0, spread), 0.0)
        velocity = float(np.clip(note.velocity * level * rng.normal(1, loose), 0.08, 1))
        notes.append(replace(note, start_seconds=float(start), velocity=velocity))
    return replace(part, notes=tuple(sorted(notes, key=lambda note: (note.start_seconds, note.midi))))


def play_guitar(part: Part, rng: np.random.Generator) -> Part:
    """Turns chords into power chords for driven guitars at times, strums them, and mutes some with the palm."""
    chords = _chords(part.notes)
    if part.program in DRIVEN and rng.random() < 0.6:
        octave, single = bool(rng.random() < 0.6), bool(rng.random() < 0.5)
        chords = [_power_chord(chord, octave) if len(chord) > 1 or single else chord for chord in chords]
    strum = log_uniform(rng, 0.003, 0.02)
    muted = rng.random() < (0.35 if part.program in (28, 29, 30) else 0.1)
    notes: list[Note] = []
    for chord in chords:
        ordered = chord if rng.random() < 0.65 else chord[::-1]
        palm = muted and chord[0].midi < 57 and rng.random() < 0.6
        for place, note in enumerate(ordered):
            start = note.start_seconds + place * strum * rng.uniform(0.6, 1.4)
            length = min(note.length_seconds, rng.uniform(0.05, 0.13)) if palm else note.length_seconds
            notes.append(replace(note, start_seconds=float(start), length_seconds=float(length)))
    return replace(part, notes=tuple(sorted(notes, key=lambda note: (note.start_seconds, note.midi))))


def _chords(notes: tuple[Note, ...]) -> list[list[Note]]:
    """Groups notes that begin together, each group from low to high."""
    chords: list[list[Note]] = []
    for note in sorted(notes, key=lambda note: note.start_seconds):
        if chords and note.start_seconds - chords[-1][0].start_seconds < TOGETHER_SECONDS:
            chords[-1].append(note)
        else:
            chords.append([note])
    return [sorted(chord, key=lambda note: note.midi) for chord in chords]


def _power_chord(chord: list[Note], octave: bool) -> list[Note]:
    """Returns root, fifth and perhaps octave on the lowest note of a low chord; a high chord stays as it is."""
    root = chord[0]
    if root.midi > 57:
        return chord
    return [replace(root, midi=root.midi + step) for step in ((0, 7, 12) if octave else (0, 7))]


def second_take(part: Part, rng: np.random.Generator) -> Part:
    """Returns the same part played once more, never quite together with the first: guitars are often doubled."""
    notes = []
    for note in part.notes:
        start = max(note.start_seconds + rng.normal(0, 0.008), 0.0)
        notes.append(replace(note, start_seconds=float(start)))
    return replace(part, notes=tuple(notes))


def sung_melody(parts: tuple[Part, ...], rng: np.random.Generator, seconds: float) -> Part | None:
    """Returns the line of a singer, None where no part has enough notes.

    It is the top of some other part, moved into the range of a voice, in phrases with rests between them.
    """
    able = [part for part in parts if part.stem in ("other", "guitar") and len(part.notes) > 8]
    if not able:
        return None
    tops = [chord[-1] for chord in _chords(able[int(rng.integers(len(able)))].notes)]
    shortest, held = rng.uniform(0.13, 0.35), rng.uniform(0.8, 1.6)
    line: list[Note] = []
    for note in tops:
        if not line or note.start_seconds - line[-1].start_seconds >= shortest:
            line.append(note)
    low, high = VOICE_RANGES[int(rng.integers(len(VOICE_RANGES)))]
    octave = 12 * round((0.5 * (low + high) - float(np.median([note.midi for note in line]))) / 12)
    phrases, sung = _phrases(rng, seconds), []
    for note, end in zip(line, [*(after.start_seconds for after in line[1:]), seconds]):
        length = min(max(note.length_seconds * held, shortest), end - note.start_seconds - 0.01, 3.0)
        if length > 0.08 and any(first <= note.start_seconds < last for first, last in phrases):
            midi = _into(note.midi + octave, low, high)
            sung.append(replace(note, length_seconds=float(length), midi=midi))
    return Part("other", VOICE_PROGRAM, tuple(sung), sung=True) if sung else None


def _phrases(rng: np.random.Generator, seconds: float) -> list[tuple[float, float]]:
    """Returns when somebody sings: (start, end) in seconds."""
    phrases, time = [], rng.uniform(-6, 6)
    while time < seconds:
        phrases.append((time, time + rng.uniform(2.5, 9)))
        time = phrases[-1][1] + log_uniform(rng, 0.5, 7)
    return phrases


def _into(midi: int, low: int, high: int) -> int:
    """Moves a note by octaves into a range that is wider than one."""
    return midi + 12 * max(-((midi - low) // 12), 0) - 12 * max(-((high - midi) // 12), 0)
