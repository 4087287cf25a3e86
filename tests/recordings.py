"""Recorded guitar notes and annotated performances, made up on the spot: fixtures for a conftest.py to import."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

NOTE_RATE = 44100


def write_note(path: Path, f0_hz: float, seconds: float = 1.5, silence: float = 0.05) -> None:
    """A decaying note of ten partials after some silence."""
    time = np.arange(round(seconds * NOTE_RATE)) / NOTE_RATE
    partials = sum(np.sin(2 * np.pi * k * f0_hz * time) * np.exp(-(1 + k) * time) / k for k in range(1, 11))
    audio = np.concatenate([np.zeros(round(silence * NOTE_RATE)), 0.3 * partials])
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, audio, NOTE_RATE)


@pytest.fixture(scope="session")
def note_folders(tmp_path_factory) -> Path:
    """Folder with a few notes of a steel guitar in two layers, 10 cents sharp, and of a nylon one."""
    root = tmp_path_factory.mktemp("notes")
    for name, midi in (("e2", 40), ("eb3", 51), ("c4", 60), ("a4", 69)):
        for layer in (3, 4):
            path = root / "shinyguitar_acoustic" / f"{name}_vl{layer}_rr1_1.flac"
            write_note(path, 440 * 2 ** ((midi + 0.1 - 69) / 12))
    for name, midi in (("A2", 45), ("D#4", 63)):
        write_note(root / "spanish_classical" / f"{name}.wav", 440 * 2 ** ((midi - 69) / 12))
    return root


def entries(string: int, notes: list[tuple[float, float, float]]) -> list[dict[str, Any]]:
    """The notes of a string and their contour, a point every 5.8 ms and one unvoiced."""
    meta = {"data_source": str(string)}
    times = [t for start, duration, _ in notes for t in np.arange(start + 0.003, start + duration, 0.0058)]
    midi = [m for start, duration, m in notes for _ in np.arange(start + 0.003, start + duration, 0.0058)]
    value = [{"voiced": True, "index": 0, "frequency": 440 * 2 ** ((m - 69) / 12)} for m in midi]
    value[-1]["voiced"] = False
    contour = {"time": times, "duration": [0.0] * len(times), "value": value}
    data = [{"time": t, "duration": d, "value": m, "confidence": None} for t, d, m in notes]
    return [
        {"namespace": "pitch_contour", "annotation_metadata": meta, "data": contour},
        {"namespace": "note_midi", "annotation_metadata": meta, "data": data},
    ]


@pytest.fixture(scope="session")
def jams(tmp_path_factory) -> Path:
    """Folder with annotation/*.jams of two takes: two notes on every string."""
    root = tmp_path_factory.mktemp("guitarset")
    (root / "annotation").mkdir()
    for name, first in (("00_A_comp", 2), ("00_A_solo", 5)):
        annotations = []
        for string, open_midi in reversed(list(enumerate((40, 45, 50, 55, 59, 64)))):
            start = 0.1 + 0.05 * string
            notes = [(start, 0.4, open_midi + first), (start + 0.5, 0.3, open_midi + first + 2.2)]
            annotations += entries(string, notes)
        text = json.dumps({"annotations": annotations, "file_metadata": {"duration": 2.0}})
        (root / "annotation" / f"{name}.jams").write_text(text)
    return root
