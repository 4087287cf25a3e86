"""Reads the files of GuitarSet: recordings by name, their strings at 16 kHz, and the f0 of each string."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from ddsp_zoo.dsp.scale import LOWEST_F0_HZ, midi_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import check_finite, duration_seconds, read_mono
from ddsp_zoo.music.strings.jams import read_contours, read_notes
from ddsp_zoo.pitch.crepe import CREPE_HIGHEST_HZ, track_f0
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

AUDIO, ANNOTATION = "audio_hex-pickup_debleeded", "annotation"
STRINGS = tuple(GUITAR_STRINGS_HZ)
RATE = 16000
NOTE_HOP_SECONDS = 0.004
CREPE_HOP, CONFIDENCE = 256, 0.4  # samples at 16 kHz; thesis section 5.3.4
NAME = re.compile(r"(?P<player>\d\d)_(?P<style>[A-Za-z]+)\d-\d+-[A-G][#b]?_(?P<playing>comp|solo)$")


@dataclass(frozen=True)
class GuitarTake:
    """Holds one recording: who plays (00-05), which style (BN, Funk, Jazz, Rock, SS), comp or solo, and its files."""

    name: str
    player: str
    style: str
    playing: str
    root: Path

    @property
    def annotation(self) -> Path:
        """Returns the file of notes and pitch contours (JAMS)."""
        return self.root / ANNOTATION / f"{self.name}.jams"

    @property
    def audio(self) -> Path:
        """Returns the file of the six channels, low E first."""
        return self.root / AUDIO / f"{self.name}_hex_cln.wav"


def find_recordings(root: Path) -> list[GuitarTake]:
    """Returns all annotated recordings of a corpus, sorted by name."""
    paths = sorted((root / ANNOTATION).glob("*.jams"))
    matches = [match for path in paths if (match := NAME.match(path.stem))]
    return [GuitarTake(match.string, **match.groupdict(), root=root) for match in matches]


# Audio ----------------------------------------------------------------------------------------------


def string_file(folder: Path, string: str) -> Path:
    """Returns where `write_strings` puts a string."""
    return folder / f"{string}.flac"


def write_strings(folder: Path, recording: GuitarTake) -> None:
    """Writes one recording as six mono files at 16 kHz."""
    for string, audio in zip(STRINGS, _read_six(recording.audio), strict=True):
        sf.write(string_file(folder, string), audio, RATE, subtype="PCM_24")


def _read_six(path: Path) -> np.ndarray:
    """Reads the six channels of a hexaphonic recording (6, T) at 16 kHz, whatever the rate of the file."""
    try:
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise DdspZooError(f"{path} is missing or cannot be read: {error}") from error
    if audio.shape[1] != len(STRINGS):
        raise DdspZooError(f"{path} has {audio.shape[1]} channels: a hexaphonic recording has 6.")
    if not len(audio):
        raise DdspZooError(f"{path} holds no samples: unpack the corpus again.")
    check_finite(audio, path)
    return np.ascontiguousarray(soxr.resample(audio, rate, RATE).T)


# Pitch ----------------------------------------------------------------------------------------------


def crepe_f0(strings: Path, model: str) -> np.ndarray:
    """Returns f0_hz (6, N) every 16 ms that CREPE hears on each string of a folder; ``model`` is tiny or full."""
    audio = [read_mono(string_file(strings, string), RATE) for string in STRINGS]
    return np.stack([track_f0(line, CREPE_HOP, CONFIDENCE, model) for line in audio])


def annotated_f0(recording: GuitarTake, strings: Path, contours: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns f0_hz and onset (6, N) every 4 ms, from the notes, or with ``contours`` from the pitch within them.

    Raises `DdspZooError` where the annotation does not fit a guitar or the recording.
    """
    notes, seconds = read_notes(recording.annotation), duration_seconds(string_file(strings, STRINGS[0]))
    for name, line in zip(STRINGS, notes, strict=True):
        for start, _, midi in line:
            if start > seconds:
                raise DdspZooError(
                    f"{recording.audio} ends after {seconds:.2f} s and {recording.annotation.name} has a note on "
                    f"{name} at {start:.2f} s: one of them is incomplete, so unpack the corpus again."
                )
            if not LOWEST_F0_HZ <= midi_to_hz(midi) <= CREPE_HIGHEST_HZ:
                raise DdspZooError(
                    f"{recording.annotation} has MIDI note {midi:g} on {name} at {start:.2f} s, which no guitar plays: "
                    "mend the annotation."
                )
    return notes_to_f0(notes, seconds, read_contours(recording.annotation) if contours else None)


def notes_to_f0(
    notes: list[list[tuple[float, float, float]]],
    seconds: float,
    contours: list[tuple[np.ndarray, np.ndarray]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns f0_hz and onset (S, N) every 4 ms from the notes of each string.

    Notes are (start, duration in seconds, MIDI pitch), sorted. A note lasts one frame at least, and ends at the latest
    where the next on its string begins. Its f0 is its pitch, or, given ``contours`` (times, f0_hz) of each string, what
    was measured between its start and its end, interpolated where a point is missing.
    """
    count = int(seconds / NOTE_HOP_SECONDS) + 1
    f0, onset = np.zeros((2, len(notes), count), dtype=np.float32)
    for string, line in enumerate(notes):
        following = [*(start for start, _, _ in line[1:]), np.inf]
        for (start, duration, midi), latest in zip(line, following, strict=False):
            end = min(start + duration, latest)
            first = min(round(start / NOTE_HOP_SECONDS), count - 1)
            frames = np.arange(first, min(max(round(end / NOTE_HOP_SECONDS), first + 1), count))
            measured = _between(contours[string], start, end) if contours else None
            f0[string, frames] = (
                np.interp(frames * NOTE_HOP_SECONDS, *measured) if measured else midi_to_hz(midi)
            )
            onset[string, first] = 1
    return f0, onset


def _between(contour: tuple[np.ndarray, np.ndarray], start: float, end: float) -> tuple | None:
    """Returns the voiced points of a contour from ``start`` to ``end``, or None."""
    times, f0 = contour
    inside = (times >= start) & (times < end) & (f0 >= LOWEST_F0_HZ) & (f0 <= CREPE_HIGHEST_HZ)
    return (times[inside], f0[inside]) if inside.any() else None
