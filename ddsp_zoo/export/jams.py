"""Writes what was played as JAMS, in the layout of GuitarSet (Xi et al. 2018)."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.export.played import Played
from ddsp_zoo.files.atomic import replaced_when_done

VERSION = "0.3.1"  # of the JAMS schema that GuitarSet names


def write_jams(played: Played, path: str | Path) -> None:
    """Writes notes and pitch contour of each string, low to high, one annotation each; whole or not at all.

    `ddsp_zoo.music.strings.jams` reads it, and whatever reads GuitarSet's annotations.
    """
    annotations = []
    for string in range(len(played.strings)):
        annotations.append(_annotation("pitch_contour", string, played.seconds, _contour(played, string)))
        annotations.append(_annotation("note_midi", string, played.seconds, _notes(played, string)))
    about = {"title": "", "artist": "", "release": "", "identifiers": {}, "jams_version": VERSION}
    content = {
        "annotations": annotations,
        "file_metadata": about | {"duration": played.seconds},
        "sandbox": {"tuning": list(played.neck.tuning), "capo": played.neck.capo},
    }
    with replaced_when_done(path) as draft:
        draft.write_text(json.dumps(content), encoding="utf-8")


def _annotation(namespace: str, string: int, seconds: float, data: Any) -> dict[str, Any]:
    keys = ("version", "corpus", "annotation_tools", "annotation_rules", "validation")
    about = {"curator": {"name": "", "email": ""}, "annotator": {}} | dict.fromkeys(keys, "")
    return {
        "annotation_metadata": about | {"data_source": str(string)},
        "namespace": namespace,
        "data": data,
        "sandbox": {},
        "time": 0.0,
        "duration": seconds,
    }


def _notes(played: Played, string: int) -> list[dict[str, Any]]:
    return [
        {
            "time": note.start_seconds,
            "duration": note.end_seconds - note.start_seconds,
            "value": note.midi,
            "confidence": None,
        }
        for note in played.strings[string]
    ]


def _contour(played: Played, string: int) -> dict[str, list[Any]]:
    """The points of a string that sounds, each with the number of its note."""
    f0_hz = played.f0_hz[string]
    frames = np.flatnonzero(f0_hz > 0)
    times = frames / played.rate_hz
    starts = [note.start_seconds for note in played.strings[string]]
    index = np.searchsorted(starts, times, side="right").clip(min=1) - 1
    values = [
        {"voiced": True, "index": int(note), "frequency": float(hz)}
        for note, hz in zip(index, f0_hz[frames], strict=True)
    ]
    return {
        "time": times.tolist(),
        "duration": [0.0] * len(times),
        "value": values,
        "confidence": [None] * len(times),
    }
