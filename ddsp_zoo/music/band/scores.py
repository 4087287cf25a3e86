"""Holds the scores of bands: notes, the parts that they make up, and excerpts of General MIDI files.

A score has notes alone, in seconds; instruments and sounds are chosen later.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.midi import DRUM_CHANNEL

STEMS = ("bass", "drums", "guitar", "other")
BAR_RANGE_SECONDS = (240 / 170, 240 / 70)  # common time at 170 and at 70 beats a minute
FIRST_EFFECT_PROGRAM = 112  # from here on General MIDI has percussion and sound effects, no pitched band
# Electronic kits send these for the rims and edges of what General MIDI has one number for.
KIT_TO_GENERAL_MIDI = {22: 42, 26: 46, 58: 43}


@dataclass(frozen=True)
class Note:
    """Holds one note: start and length in seconds, MIDI number (or drum), velocity in 0..1."""

    start_seconds: float
    length_seconds: float
    midi: int
    velocity: float


@dataclass(frozen=True)
class Part:
    """Holds the notes of one player: stem, General MIDI program (0..127; a kit for drums), whether they are sung."""

    stem: str
    program: int
    notes: tuple[Note, ...]
    sung: bool = False


@dataclass(frozen=True)
class Piece:
    """Holds a whole MIDI file: parts, meter, and the time of each bar line in seconds (a bar: four beats)."""

    parts: tuple[Part, ...]
    bar_seconds: np.ndarray
    meter: tuple[int, int] = (4, 4)

    @property
    def first_bar_seconds(self) -> float:
        """Returns the length of the first bar."""
        return float(self.bar_seconds[1] - self.bar_seconds[0])


def stem_of(channel: int, program: int) -> str:
    """Returns the stem of a General MIDI channel: channel 10 drums, programs 32-39 bass, 24-31 guitar, else other."""
    if channel == DRUM_CHANNEL:
        return "drums"
    return {3: "guitar", 4: "bass"}.get(program // 8, "other")


def split_of(path: Path) -> str:
    """Returns the split of a piece by the hash of its file name (no suffix): 80 % train, 10 % validation, 10 % test."""
    digit = int(hashlib.sha256(path.stem.encode()).hexdigest(), 16) % 10
    return {8: "validation", 9: "test"}.get(digit, "train")


def midi_files(folder: str | Path) -> list[Path]:
    """Returns all MIDI files below ``folder``, sorted; of copies under several names only the first."""
    files = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in (".mid", ".midi"))
    if not files:
        raise DdspZooError(f"There are no .mid files below {folder}: name a folder that holds some.")
    seen: dict[bytes, Path] = {}
    for path in files:
        seen.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
    return list(seen.values())


def read_midi(path: str | Path) -> Piece:
    """Reads a MIDI file: notes by channel and program, tempo changes applied, pitch bends ignored.

    Raises `DdspZooError` for what is no MIDI file.
    """
    import mido

    try:
        midi_file = mido.MidiFile(str(path), clip=True)
    except (OSError, EOFError, ValueError) as error:
        raise DdspZooError(f"{path} cannot be read as a MIDI file ({error}): mend or remove it.") from error
    return _Reader(midi_file.ticks_per_beat).read(mido.merge_tracks(midi_file.tracks))


class _Reader:
    """Goes through the messages of a MIDI file and keeps what it needs for a `Piece`."""

    def __init__(self, ticks_per_beat: int) -> None:
        self.ticks_per_beat, self.tempo = ticks_per_beat, 500_000  # microseconds a beat
        self.ticks, self.seconds, self.meter = 0, 0.0, (4, 4)
        self.anchors = [(0, 0.0)]  # (ticks, seconds) where the tempo changes
        self.programs = [0] * 16
        self.sounding: dict[tuple[int, int], tuple[float, int, float]] = {}
        self.notes: dict[tuple[int, int], list[Note]] = {}

    def read(self, messages: Iterable[Any]) -> Piece:
        """Returns the piece of all messages, in the order of time."""
        for message in messages:
            self._advance(message.time)
            if message.type == "set_tempo":
                self.tempo = message.tempo
                self.anchors.append((self.ticks, self.seconds))
            elif message.type == "time_signature":
                self.meter = (message.numerator, message.denominator)
            elif message.type == "program_change":
                self.programs[message.channel] = message.program
            elif message.type in ("note_on", "note_off"):
                key = (message.channel, message.note)
                self._end_note(key)
                if message.type == "note_on" and message.velocity:
                    program, velocity = self.programs[message.channel], message.velocity / 127
                    self.sounding[key] = (self.seconds, program, velocity)
        for key in list(self.sounding):
            self._end_note(key)
        parts = tuple(_part(*key, found) for key, found in sorted(self.notes.items()))
        return Piece(parts, self._bar_seconds(), self.meter)

    def _advance(self, ticks: int) -> None:
        import mido

        self.ticks += ticks
        self.seconds += mido.tick2second(ticks, self.ticks_per_beat, self.tempo)

    def _end_note(self, key: tuple[int, int]) -> None:
        if key in self.sounding:
            start, program, velocity = self.sounding.pop(key)
            note = Note(start, max(self.seconds - start, 0.03), key[1], velocity)
            self.notes.setdefault((key[0], program), []).append(note)

    def _bar_seconds(self) -> np.ndarray:
        """Returns the time of each bar line, up to one bar beyond the end, so that even a single bar has a length."""
        self._advance(8 * self.ticks_per_beat)
        self.anchors.append((self.ticks, self.seconds))
        return np.interp(np.arange(0, self.ticks, 4 * self.ticks_per_beat), *zip(*self.anchors))


def _part(channel: int, program: int, notes: list[Note]) -> Part:
    stem = stem_of(channel, program)
    if stem == "drums":
        notes = [replace(note, midi=KIT_TO_GENERAL_MIDI.get(note.midi, note.midi)) for note in notes]
    return Part(stem, program, tuple(sorted(notes, key=lambda note: (note.start_seconds, note.midi))))


def in_band(part: Part) -> bool:
    """Tells whether a part is played by an instrument of a band, and is no sound effect."""
    return part.stem == "drums" or part.program < FIRST_EFFECT_PROGRAM


def excerpt(piece: Piece, rng: np.random.Generator, seconds: float) -> tuple[tuple[Part, ...], float] | None:
    """Cuts a stretch from a piece that begins at a bar line and in which bass, drums and something else play.

    The stretch is transposed by up to four semitones and played up to 12 % slower or faster. Returns its
    parts and the length of its first bar in seconds, or None where the piece has no such stretch.
    """
    pace = float(rng.uniform(0.88, 1.12))
    shift = int(rng.integers(-4, 5))
    bars = piece.bar_seconds
    for bar in rng.permutation(len(bars) - 1):
        start = float(bars[bar])
        parts = tuple(
            cut(part, start, seconds, pace, shift * (part.stem != "drums"))
            for part in piece.parts
            if in_band(part)
        )
        counts = {stem: sum(len(part.notes) for part in parts if part.stem == stem) for stem in STEMS}
        if min(counts["bass"], counts["drums"], counts["guitar"] + counts["other"]) >= seconds / 2:
            return tuple(part for part in parts if part.notes), float(bars[bar + 1] - start) / pace
    return None


def cut(part: Part, start: float, seconds: float, pace: float, shift: int) -> Part:
    """Returns the notes of a part that sound in ``seconds`` from ``start``; those that sound already begin there."""
    kept = []
    for note in part.notes:
        begin = (note.start_seconds - start) / pace
        end = begin + note.length_seconds / pace
        if part.stem != "drums" and begin < 0 and end > 0.2:
            begin = 0.0
        if 0 <= begin < seconds:
            midi = min(max(note.midi + shift, 0), 127)
            kept.append(Note(begin, min(end, seconds) - begin, midi, note.velocity))
    return replace(part, notes=tuple(kept))


def loop_drums(piece: Piece, rng: np.random.Generator, seconds: float, bar_seconds: float) -> Part:
    """Repeats a drum performance at the tempo of ``bar_seconds``, from one of its bars on."""
    own_bar = piece.first_bar_seconds
    hits = sorted((note for part in piece.parts for note in part.notes), key=lambda note: note.start_seconds)
    bars = max(round((hits[-1].start_seconds if hits else 0.0) / own_bar), 1)
    period, pace = bars * own_bar, own_bar / bar_seconds
    offset = int(rng.integers(bars)) * own_bar
    notes = []
    for lap in range(int(seconds * pace / period) + 1):
        for hit in hits:
            start = ((hit.start_seconds - offset) % period + lap * period) / pace
            if start < seconds:
                notes.append(replace(hit, start_seconds=start, length_seconds=hit.length_seconds / pace))
    return Part("drums", 0, tuple(sorted(notes, key=lambda note: (note.start_seconds, note.midi))))


def fitting_bar(own_bar: float, bar_seconds: float) -> float:
    """Halves or doubles the length of a bar until drums with bars of their own have to be stretched least."""
    return bar_seconds * 2.0 ** round(float(np.log2(own_bar / bar_seconds)))


def playable_bar(seconds: float) -> float:
    """Halves or doubles the length of a bar until its tempo is a usual one."""
    low, high = BAR_RANGE_SECONDS
    while seconds < low:
        seconds *= 2
    while seconds > high:
        seconds /= 2
    return seconds


def with_rest(part: Part, start: float, end: float) -> Part:
    """Silences a part between two times (seconds): notes that begin there are left out, earlier ones end there."""
    notes = []
    for note in part.notes:
        if not start <= note.start_seconds < end:
            room = start - note.start_seconds if note.start_seconds < start else np.inf
            notes.append(replace(note, length_seconds=min(note.length_seconds, float(room))))
    return replace(part, notes=tuple(notes))
