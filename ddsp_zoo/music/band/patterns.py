"""Invents scores from a seed: a band that plays in a style, a key and a tempo.

Drummers, bassists, guitarists and keyboard players are functions that play one bar at a time, in steps of
sixteenths, sixteen to a bar. Timing is human, and whole sections of a part rest.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ddsp_zoo.music.band.grooves import CRASH, FILL, GROOVES, LOUDNESS, Groove
from ddsp_zoo.music.band.scores import Note, Part, cut

BAR_STEPS = 16
MAJOR, MINOR = (0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10)
PENTATONIC = {MAJOR: (0, 2, 4, 7, 9), MINOR: (0, 3, 5, 7, 10)}
PROGRESSIONS = {
    MAJOR: ((0, 4, 5, 3), (0, 5, 3, 4), (1, 4, 0, 0), (0, 3, 0, 4), (0, 0, 3, 3, 0, 0, 4, 3), (5, 3, 0, 4)),
    MINOR: ((0, 6, 5, 6), (0, 5, 2, 6), (0, 3, 4, 0), (0, 0, 3, 3, 0, 0, 4, 4), (0, 2, 6, 3), (0,)),
}


@dataclass(frozen=True)
class Song:
    """Holds what all players of an invented score share; ``habit`` picks the pattern that a player keeps to."""

    bar_seconds: float
    swing: float
    jitter_seconds: float
    tonic: int
    scale: tuple[int, ...]
    chords: tuple[int, ...]
    habit: int

    def chord(self, bar: int, tones: int = 3) -> list[int]:
        """Returns the chord of a bar as semitones above C, not wrapped: every other degree of the scale."""
        degrees = (self.chords[bar % len(self.chords)] + 2 * np.arange(tones)).tolist()
        return [self.tonic + self.scale[degree % 7] + 12 * (degree // 7) for degree in degrees]

    def seconds(self, bar: int, step: float) -> float:
        """Returns the time of a step; the second half of each beat is late by the swing."""
        beat, phase = divmod(step / 4, 1)
        phase = phase * 2 * self.swing if phase < 0.5 else self.swing + (phase - 0.5) * 2 * (1 - self.swing)
        return (bar + (beat + phase) / 4) * self.bar_seconds


Event = tuple[float, float, int, float]  # step, length in steps, MIDI number, velocity
Player = Callable[[Song, int, np.random.Generator], list[Event]]


def fold(midi: int, low: int) -> int:
    """Moves a pitch by octaves into the octave that starts at ``low``."""
    return low + (midi - low) % 12


def walking_bass(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays four quarter notes: the root, chord tones, and a semitone beside the next root."""
    tones, target = song.chord(bar, 4), fold(song.chord(bar + 1)[0], 28)
    middle = [fold(int(tone), 31) for tone in rng.choice(tones, 2)]
    line = [fold(tones[0], 28), *middle, target + int(rng.choice((-1, 1)))]
    return [(4 * beat, 3.8, midi, 0.75) for beat, midi in enumerate(line)]


def driving_bass(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays eighths on the root, at times on the fifth."""
    root, _, fifth = (fold(tone, 28) for tone in song.chord(bar))
    return [(step, 1.8, fifth if step > 11 and rng.random() < 0.3 else root, 0.8) for step in range(0, 16, 2)]


def octave_bass(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays the root and its octave in turn, as in disco."""
    root = fold(song.chord(bar)[0], 28)
    return [(step, 1.5, root + 12 * (step // 2 % 2), 0.8) for step in range(0, 16, 2)]


def syncopated_bass(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays the first beat, then off-beat sixteenths of chord tones and octaves with gaps between them."""
    steps = [0, *sorted(rng.choice(np.arange(3, 16), size=int(rng.integers(2, 7)), replace=False).tolist())]
    tones = [fold(tone, 28) for tone in song.chord(bar, 4)]
    tones = [tones[0], *(int(rng.choice([tones[0], tones[0] + 12, tones[2], tones[3]])) for _ in steps[1:])]
    return [
        (step, min(after - step, float(rng.uniform(0.7, 3))), midi, float(rng.uniform(0.6, 0.95)))
        for step, after, midi in zip(steps, [*steps[1:], 16], tones)
    ]


def held_bass(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays long roots, at times with a fifth before the next bar."""
    root, _, fifth = (fold(tone, 26) for tone in song.chord(bar))
    if rng.random() < 0.5:
        return [(0, 15.5, root, 0.75)]
    return [(0, 11.5, root, 0.75), (12, 3.5, fifth, 0.6)]


def dub_bass(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays a short melody of chord tones; every other bar its first beat is empty."""
    tones = [fold(tone, 26) for tone in song.chord(bar)]
    steps = (0, 3, 6, 8, 10) if bar % 2 else (4, 6, 8, 11, 14)
    return [(step, 1.8, tones[index % 3], 0.8) for index, step in enumerate(steps)]


def _voicing(song: Song, bar: int, low: int, tones: int) -> list[int]:
    chord = song.chord(bar, 3 if tones < 4 else 4)
    notes = [fold(chord[0], low)]
    while len(notes) < tones:
        notes.append(notes[-1] + 1 + (chord[len(notes) % len(chord)] - notes[-1] - 1) % 12)
    return notes


def strummed_guitar(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays chords of five strings in a strumming pattern; a strum takes some tens of milliseconds."""
    steps = ((0, 4, 6, 8, 12, 14), (0, 4, 8, 12), (0, 3, 6, 8, 10, 14), (2, 6, 10, 14))[song.habit % 4]
    voicing = _voicing(song, bar, 45, 5)
    events = []
    for index, (step, after) in enumerate(zip(steps, [*steps[1:], 16])):
        strings = voicing if index % 2 == 0 else voicing[::-1][:4]
        loudness = float(rng.uniform(0.55, 0.85))
        events += [(step + 0.12 * order, after - step, midi, loudness) for order, midi in enumerate(strings)]
    return events


def arpeggiated_guitar(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays one string after another in eighths; each rings on."""
    voicing = _voicing(song, bar, 45, 4)
    order = (0, 1, 2, 3, 2, 1, 3, 2) if song.habit % 2 else (0, 2, 1, 3, 2, 3, 1, 2)
    return [(2 * index, min(8, 16 - 2 * index), voicing[tone], 0.65) for index, tone in enumerate(order)]


def power_guitar(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays root, fifth and octave, held or short."""
    root = fold(song.chord(bar)[0], 40)
    steps = ((0, 6, 12), (0, 2, 4, 6, 8, 10, 12, 14), (0, 3, 6, 8, 11, 14), (0,))[(song.habit + bar // 2) % 4]
    return [
        (step, after - step - 0.3, root + interval, 0.8)
        for step, after in zip(steps, [*steps[1:], 16])
        for interval in (0, 7, 12)
    ]


def muted_guitar(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays short sixteenths on two chord tones, with gaps."""
    low, high = _voicing(song, bar, 50, 2)
    return [
        (step, 0.8, high if step % 6 > 3 else low, 0.8 if step % 4 == 0 else 0.55)
        for step in range(16)
        if step % 2 == 0 or rng.random() < 0.4
    ]


def offbeat_guitar(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays short high chords on the second and fourth beat, at times repeated, as in reggae."""
    steps = [step for step in (4, 6, 12, 14) if step % 8 == 4 or rng.random() < 0.4]
    return [(step, 1.2, midi, 0.65) for step in steps for midi in _voicing(song, bar, 55, 3)]


def solo_line(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays a line on the pentatonic scale, with long and short notes and gaps."""
    ladder = [song.tonic + 60 + step + octave for octave in (-12, 0, 12) for step in PENTATONIC[song.scale]]
    place, step, events = int(rng.integers(4, 11)), 0.0, []
    while step < BAR_STEPS:
        length = float(rng.choice((1, 2, 2, 2, 4, 4, 6, 8)))
        length = min(length, BAR_STEPS - step)
        place = int(np.clip(place + rng.integers(-2, 3), 0, len(ladder) - 1))
        if rng.random() < 0.82:
            events.append((step, length * 0.95, ladder[place], float(rng.uniform(0.6, 0.9))))
        step += length
    return events


def held_keys(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays one chord a bar."""
    return [(0, 15.6, midi, 0.6) for midi in _voicing(song, bar, 52, 4)]


def comped_keys(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays chords in a syncopated rhythm over a low note."""
    steps = sorted(rng.choice(np.arange(16), size=int(rng.integers(2, 5)), replace=False).tolist())
    chords = [
        (step, min(after - step, 3.0), midi, float(rng.uniform(0.55, 0.8)))
        for step, after in zip(steps, [*steps[1:], 16])
        for midi in _voicing(song, bar, 55, 3)
    ]
    return [(0, 7.5, fold(song.chord(bar)[0], 40), 0.55), *chords]


def running_keys(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
    """Plays broken chords in sixteenths or eighths."""
    voicing, stride = _voicing(song, bar, 60, 4), 1 if song.habit % 3 == 0 else 2
    return [(step, stride * 0.95, voicing[(step // stride * 3) % 4], 0.6) for step in range(0, 16, stride)]


# Who may play in each stem, and with which General MIDI programs.
PLAYERS: dict[str, tuple[tuple[Player, tuple[int, ...]], ...]] = {
    "bass": (
        (walking_bass, (32, 33, 35)),
        (driving_bass, (33, 34, 38, 39)),
        (octave_bass, (33, 36, 37, 38)),
        (syncopated_bass, (33, 34, 36, 37, 39)),
        (held_bass, (33, 35, 38, 39)),
        (dub_bass, (33, 35, 38)),
    ),
    "guitar": (
        (strummed_guitar, (24, 25, 26, 27)),
        (arpeggiated_guitar, (24, 25, 26, 27)),
        (power_guitar, (29, 30)),
        (muted_guitar, (27, 28)),
        (offbeat_guitar, (27, 28)),
        (solo_line, (25, 26, 27, 29, 30)),
    ),
    "other": (
        (held_keys, (16, 18, 19, 48, 49, 50, 52, 88, 89, 90, 91, 94, 95)),
        (comped_keys, (0, 1, 2, 4, 5, 7, 16, 17, 61)),
        (running_keys, (0, 4, 11, 12, 45, 80, 81, 98)),
        (solo_line, (11, 22, 40, 56, 65, 66, 73, 80, 81, 82)),
    ),
}


def invent(rng: np.random.Generator, seconds: float, bar_seconds: float | None = None) -> tuple[Part, ...]:
    """Invents a score for all four stems; ``bar_seconds`` sets the tempo where it is known already."""
    groove = GROOVES[str(rng.choice(sorted(GROOVES)))]
    scale = (MAJOR, MINOR)[int(rng.integers(2))]
    progression = PROGRESSIONS[scale][int(rng.integers(len(PROGRESSIONS[scale])))]
    song = Song(
        bar_seconds=bar_seconds or 240 / float(rng.uniform(*groove.tempo_bpm)),
        swing=float(rng.uniform(*groove.swing)),
        jitter_seconds=float(rng.uniform(0.002, 0.012)),
        tonic=int(rng.integers(12)),
        scale=scale,
        chords=tuple(chord for chord in progression for _ in range(int(rng.choice((1, 1, 2))))),
        habit=int(rng.integers(12)),
    )
    bars = int(np.ceil(seconds / song.bar_seconds))
    parts = [_play(song, drummer(groove, rng), Part("drums", 0, ()), bars, rng)]
    for stem in ("bass", "guitar", "other", "other"):
        player, programs = PLAYERS[stem][int(rng.integers(len(PLAYERS[stem])))]
        parts.append(_play(song, player, Part(stem, int(rng.choice(programs)), ()), bars, rng))
    parts = parts[: len(parts) - int(rng.random() < 0.5)]  # a second keyboard in half of the songs
    return tuple(cut(part, 0.0, seconds, 1.0, 0) for part in parts)


def drummer(groove: Groove, rng: np.random.Generator) -> Player:
    """Returns a player of one groove: the same bar each time, with a fill every few bars and often a crash after it."""
    rows = {drum: str(rng.choice(bars)) for drum, bars in groove.bars.items()}
    every = int(rng.choice((2, 4, 8)))

    def play(song: Song, bar: int, rng: np.random.Generator) -> list[Event]:
        fill_from = int(rng.choice((8, 12, 12))) if bar % every == every - 1 else BAR_STEPS
        events = [
            (step, 1.0, drum, LOUDNESS[row[step]])
            for drum, row in rows.items()
            for step in range(fill_from)
            if row[step] in LOUDNESS and rng.random() > 0.03
        ]
        for step in range(fill_from, BAR_STEPS, int(rng.choice((1, 1, 2)))):
            place = (step - fill_from) / (BAR_STEPS - fill_from) * len(FILL)
            drum = FILL[min(int(place + rng.random()), len(FILL) - 1)]
            events.append((step, 1.0, drum, float(rng.uniform(0.6, 0.95))))
        if bar % every == 0 and bar and rng.random() < 0.7:
            events.append((0, 4.0, CRASH, 0.85))
        return events

    return play


def _play(song: Song, player: Player, part: Part, bars: int, rng: np.random.Generator) -> Part:
    """Lets a player go through all bars, with whole sections of rest and human timing and loudness."""
    notes, section, resting = [], int(rng.choice((2, 4))), False
    for bar in range(bars):
        if bar % section == 0:
            resting = rng.random() < (0.06 if part.stem == "drums" else 0.12)
        for step, length, midi, velocity in [] if resting else player(song, bar, rng):
            start = max(song.seconds(bar, step) + float(rng.normal(0, song.jitter_seconds)), 0.0)
            loudness = float(np.clip(velocity * rng.normal(1, 0.08), 0.1, 1))
            notes.append(Note(start, length * song.bar_seconds / BAR_STEPS, int(midi), loudness))
    return replace(part, notes=tuple(sorted(notes, key=lambda note: (note.start_seconds, note.midi))))
