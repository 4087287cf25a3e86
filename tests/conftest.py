"""What tests of several rooms share."""

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ddsp_zoo.sources import GUITAR_STRINGS_HZ

torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, torch.get_num_threads()))


@pytest.fixture
def strings_model() -> SimpleNamespace:
    """What data and pitch ask of a model of six strings: one-second segments, 16-ms frames at 16 kHz."""
    return SimpleNamespace(
        sources=tuple(GUITAR_STRINGS_HZ),
        sample_rate=16000,
        hop_samples=256,
        segment_samples=16128,
        needs_pitch=True,
    )


@pytest.fixture
def tone() -> Callable[..., np.ndarray]:
    """A note of five harmonics: tone(f0_hz, seconds, rate) -> (T,) float32, peak below 0.5."""

    def make(f0_hz: float, seconds: float, rate: int = 16000) -> np.ndarray:
        phase = 2 * np.pi * f0_hz * np.arange(round(seconds * rate)) / rate
        return (0.2 * sum(np.sin(h * phase) / h for h in range(1, 6))).astype(np.float32)

    return make


@pytest.fixture
def loudest_hz() -> Callable[..., float]:
    """Frequency of the highest spectral peak between two limits, by an 8-fold padded FFT and a parabola."""

    def measure(audio: np.ndarray, rate: int, low_hz: float, high_hz: float) -> float:
        size = 8 << len(audio).bit_length()
        level = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size)) + 1e-20)
        first, last = (round(hz * size / rate) for hz in (low_hz, high_hz))
        peak = first + int(level[first:last].argmax())
        left, middle, right = level[peak - 1 : peak + 2]
        return (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / size

    return measure


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are empty files of 2000 bytes: for tests of what stands around them. Others look at what is drawn."""
    for module in ("evaluation", "report", "band_pages"):
        monkeypatch.setattr(f"ddsp_zoo.reports.{module}.box_plot", leave_empty)
    for module in ("curves", "string_figures"):
        monkeypatch.setattr(
            f"ddsp_zoo.reports.{module}.save", lambda figure, path: leave_empty(None, None, path)
        )
    monkeypatch.setattr(
        "ddsp_zoo.export.folder.plot_separation", lambda separation, path: leave_empty(None, None, path)
    )


def leave_empty(rows: object, metric: object, path: str | Path, *_: object, **__: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(bytes(2000))
