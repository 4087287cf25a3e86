"""Reads the annotations of GuitarSet (Xi et al. 2018), JAMS files: notes and pitch contour of each string."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import GUITAR_STRINGS_HZ


def read_notes(path: Path) -> list[list[tuple[float, float, float]]]:
    """Reads the notes of each of the six strings, low E first, by start.

    A note is (start in seconds, duration in seconds, MIDI pitch). Raises `DdspZooError` for what is no GuitarSet
    annotation.
    """
    strings = []
    for data in _per_string(path, "note_midi"):
        try:
            notes = [(float(n["time"]), float(n["duration"]), float(n["value"])) for n in data]
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(path, error) from error
        _check(path, notes)
        strings.append(sorted(notes))
    return strings


def read_contours(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """Reads the measured pitch of each of the six strings, low E first: times (M,) in seconds, f0 (M,) in Hz.

    The points lie 5.8 ms apart and only where a note sounds: f0 is 0 at unvoiced points, and a larger step in time
    means silence. Raises `DdspZooError` for what is no GuitarSet annotation.
    """
    strings = []
    for data in _per_string(path, "pitch_contour"):
        try:
            hz = [float(v["frequency"]) if v["voiced"] else 0.0 for v in data["value"]]
            contour = list(zip(map(float, data["time"]), hz, strict=True))
        except (KeyError, TypeError, ValueError) as error:
            raise _unreadable(path, error) from error
        _check(path, contour)
        times, f0 = np.array(sorted(contour)).reshape(-1, 2).T
        strings.append((times, f0))
    return strings


def _per_string(path: Path, namespace: str) -> list[Any]:
    """Returns the data of the annotations of one kind, sorted by string."""
    try:
        annotations = json.loads(Path(path).read_text(encoding="utf-8"))["annotations"]
        chosen = [a for a in annotations if a["namespace"] == namespace]
        chosen.sort(key=lambda a: int(a["annotation_metadata"]["data_source"]))
        data = [annotation["data"] for annotation in chosen]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if len(data) != len(GUITAR_STRINGS_HZ):
        raise DdspZooError(f"{path} annotates {len(data)} strings instead of 6 ({namespace}).")
    return data


def _check(path: Path, rows: list[tuple[float, ...]]) -> None:
    """Raises `DdspZooError` where a time, duration or pitch is no number of 0 or more."""
    if rows and not (np.isfinite(rows).all() and np.min(rows) >= 0):
        raise DdspZooError(
            f"{path} has a time, duration or pitch below 0 or not finite: mend the annotation."
        )


def _unreadable(path: Path, error: Exception) -> DdspZooError:
    return DdspZooError(f"{path} is not a GuitarSet annotation (JAMS): {type(error).__name__} {error}")
