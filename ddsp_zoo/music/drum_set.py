"""The instruments of a drum set that are told apart, and their keys in General MIDI."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from ddsp_zoo.music.midi import MidiNote

# The first key of each is what is written. A stick across the rim is no stroke on the snare: it sounds like wood.
DRUM_SET: dict[str, tuple[int, ...]] = {
    "kick": (36, 35),
    "snare": (38, 40),
    "side stick": (37,),
    "closed hi-hat": (42, 44),
    "open hi-hat": (46,),
    "tom": (45, 41, 43, 47, 48, 50),
    "crash": (49, 52, 55, 57),
    "ride": (51, 53, 59),
}
HIT_SECONDS = 0.1  # length of a written hit, unless the next one of its instrument comes first


class Hits(NamedTuple):
    """Holds the hits of one instrument: when (M,), in seconds, and how hard (M,), from 0 to 1."""

    seconds: np.ndarray
    strength: np.ndarray


def hits_of(notes: Iterable[MidiNote]) -> dict[str, Hits]:
    """Sorts the notes of a drum track by instrument; keys that belong to none of them are left out."""
    row = {key: name for name, keys in DRUM_SET.items() for key in keys}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in DRUM_SET}
    for note in notes:
        if note.key in row:
            found[row[note.key]].append((note.start_seconds, note.velocity / 127))
    return {name: Hits(*np.array(sorted(own)).reshape(-1, 2).T) for name, own in found.items()}


def notes_of_hits(hits: Mapping[str, Hits]) -> list[MidiNote]:
    """Returns hits as notes of a drum track, in the order of time."""
    notes = []
    for name, (seconds, strength) in hits.items():
        ends = np.minimum(seconds + HIT_SECONDS, np.append(seconds[1:], np.inf))
        velocity = np.rint(127 * strength).clip(1, 127).astype(int)
        notes += [
            MidiNote(float(start), float(end), DRUM_SET[name][0], int(force))
            for start, end, force in zip(seconds, ends, velocity, strict=True)
        ]
    return sorted(notes, key=lambda note: (note.start_seconds, note.key))


def frames_of_hits(hits: Mapping[str, Hits], rate_hz: float, count: int, steps: int) -> np.ndarray:
    """Writes hits into ``count`` frames (N, instruments * steps), each at one of ``steps`` places in its frame."""
    out = np.zeros((count * steps, len(DRUM_SET)), np.float32)
    for column, name in enumerate(DRUM_SET):
        place = np.rint(hits[name].seconds * rate_hz * steps).astype(int)
        inside = (place >= 0) & (place < len(out))
        np.maximum.at(out[:, column], place[inside], hits[name].strength[inside])
    return out.reshape(count, steps, len(DRUM_SET)).transpose(0, 2, 1).reshape(count, -1)


def hits_in_frames(frames: np.ndarray, rate_hz: float) -> dict[str, Hits]:
    """Reads hits from frames (N, instruments * steps), as `frames_of_hits` writes them."""
    each = np.asarray(frames).reshape(len(frames), len(DRUM_SET), -1)
    rows = each.transpose(1, 0, 2).reshape(len(DRUM_SET), -1)
    found = {}
    for name, row in zip(DRUM_SET, rows, strict=True):
        place = np.flatnonzero(row > 0)
        found[name] = Hits(place / (rate_hz * each.shape[2]), row[place].astype(float))
    return found
