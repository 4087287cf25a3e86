"""Reads folders of recorded notes: which file holds which note, and its sound."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.signals import Audio

SUFFIXES = (".flac", ".wav", ".aiff")
SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
ACCIDENTALS = {"#": 1, "b": -1, "": 0}
NOTE_NAME = re.compile(r"([a-g])([#b]?)(-?\d)(?:_.*)?", re.IGNORECASE)
LAYER = re.compile(r"_vl?(\d+)", re.IGNORECASE)
SFZ_REGION = re.compile(r"<region>([^<]*)", re.IGNORECASE)


@dataclass(frozen=True)
class NoteFile:
    """Holds where a recorded note is, its MIDI number by name, and how hard it was played (0...1)."""

    path: Path
    midi: int
    velocity: float


def find_notes(folder: Path) -> list[NoteFile]:
    """Returns the notes of a folder, placed by its .sfz file or else named by pitch.

    Names are like ``A#3.wav`` or ``a4_vl3.flac``: A4 is 440 Hz, ``vl`` the velocity layer; the layers that occur are
    spread evenly from 0.5 to 1. Raises `DdspZooError` where there are no notes.
    """
    notes = _sfz_notes(folder) or _named_notes(folder)
    if not notes:
        raise DdspZooError(
            f"{folder} holds no recorded notes: it needs an .sfz file or WAV or FLAC files named by pitch (A#3.flac)."
        )
    return notes


def _sfz_notes(folder: Path) -> list[NoteFile]:
    """Returns the notes of the first .sfz file whose samples are there."""
    for sfz in sorted(folder.glob("*.sfz")):
        found: dict[Path, NoteFile] = {}
        for region in SFZ_REGION.findall(sfz.read_text(errors="replace")):
            values = dict(re.findall(r"(\w+)=(.+?)(?=\s+\w+=|\s*$)", region, re.MULTILINE))
            key = values.get("pitch_keycenter", values.get("key", ""))
            name = values.get("sample", "").replace("\\", "/")
            path = next((p for p in (folder / name, folder / Path(name).name) if name and p.is_file()), None)
            if path and key.isdigit():
                found.setdefault(path, NoteFile(path, int(key), int(values.get("hivel", 127)) / 127))
        if found:
            return list(found.values())
    return []


def _named_notes(folder: Path) -> list[NoteFile]:
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES]
    named = [(path, found) for path in paths if (found := NOTE_NAME.fullmatch(path.stem))]
    layer_of = {path: int(layer[1]) if (layer := LAYER.search(path.stem)) else 0 for path, _ in named}
    layers = sorted(set(layer_of.values()))
    velocities = np.linspace(0.5, 1.0, len(layers)).tolist() if len(layers) > 1 else [0.8]
    notes = []
    for path, found in named:
        semitone = SEMITONES[found[1].lower()] + ACCIDENTALS[found[2]]
        velocity = velocities[layers.index(layer_of[path])]
        notes.append(NoteFile(path, semitone + 12 * (int(found[3]) + 1), velocity))
    return notes


def read_sound(path: Path, rate_hz: int) -> Audio:
    """Returns a recording (T,), mono, at ``rate_hz``; raises `DdspZooError` where it cannot be read or is silent."""
    try:
        audio, rate = sf.read(path, dtype="float64", always_2d=True)
    except (sf.LibsndfileError, OSError) as error:
        raise DdspZooError(f"{path} cannot be read ({error}): mend or remove it.") from error
    if not len(audio) or not np.abs(audio).max() > 1e-5:
        raise DdspZooError(f"{path} is silent: remove it.")
    return soxr.resample(audio.mean(1), rate, rate_hz)
