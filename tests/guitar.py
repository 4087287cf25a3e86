"""Guitars small enough for tests: models from recipes, open strings, and what a separation must be."""

from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from ddsp_zoo.api.result import Separation
from ddsp_zoo.models import Rendered, Separator
from ddsp_zoo.music.strings.stiffness import stiff_partials
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0
from ddsp_zoo.settings import build as settings

FOLDER = Path(__file__).resolve().parents[1] / "recipes"
RECIPES = {  # of what is given the pitch; exE8 is exE7 with a tracker
    str(path.relative_to(FOLDER).with_suffix("")): yaml.safe_load(path.read_text())["model"]
    for path in sorted([*FOLDER.glob("ex*.yaml"), *FOLDER.glob("as_published/ex*.yaml")])
    if path.stem != "exE8"
}
SUCCESSORS = [name for name, recipe in RECIPES.items() if recipe["class_path"].endswith("ModalStrings")]
RICHEST = max(SUCCESSORS, key=lambda name: (RECIPES[name]["init_args"].get("phase_locked", False), name))
RATE, HOP, FRAMES, ONSET = 16000, 256, 32, 4
HZ = np.array([82.4, 110.0, 146.8, 196.0, 246.9, 329.6], dtype=np.float32)
STRINGS = ("E2", "A2", "D3", "G3", "B3", "E4")


def build(name: str, **others: object) -> Separator:
    """The untrained model of a recipe, with segments of half a second."""
    torch.manual_seed(0)
    return settings.build(RECIPES[name], Separator, **({"segment_seconds": 0.512} | others)).eval()


def steady(*f0_hz: float, frames: int = FRAMES) -> np.ndarray:
    """Curves (S, N) that begin a few frames in."""
    curves = np.repeat(np.array(f0_hz or HZ, dtype=np.float32)[:, None], frames, axis=1)
    curves[:, :ONSET] = 0
    return curves


def pluck(f0_hz: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Strings (S, T) that play such curves: five partials that die away."""
    samples = round(f0_hz.shape[1] * HOP / RATE * rate)
    time = np.arange(samples) / rate - ONSET * HOP / RATE
    phase = 2 * np.pi * f0_hz[:, -1:] * time
    notes = sum(np.sin(k * phase) / k for k in range(1, 6)) * np.exp(-2 * time) * (time > 0)
    return (0.1 * notes).astype(np.float32)


def stiff_note(f0_hz: float, log2_b: float, seconds: float = 0.5) -> np.ndarray:
    """A stiff string (T,) at 16 kHz whose partials die away."""
    time = np.arange(round(seconds * RATE)) / RATE
    hz = stiff_partials(f0_hz, np.array(log2_b), 40)
    heard = [np.sin(2 * np.pi * f * time + k) / k for k, f in enumerate(hz, 1) if f < 7500]
    return np.sum(heard, 0) * np.exp(-3 * time) + 1e-4 * np.random.default_rng(0).standard_normal(len(time))


def make_batch(frames: int = FRAMES) -> dict[str, Tensor]:
    """One example of six open strings."""
    f0 = steady(frames=frames)
    parts = {"sources": pluck(f0), "f0_hz": f0, "onset": onsets_from_f0(f0)}
    batch = {name: torch.from_numpy(part)[None] for name, part in parts.items()}
    return batch | {"mixture": batch["sources"].sum(1)}


def run(model: Separator, batch: dict[str, Tensor]) -> Rendered:
    with torch.no_grad():
        return model(batch["mixture"], batch["f0_hz"], batch["onset"], torch.Generator().manual_seed(0))


def track(f0_hz: np.ndarray, onset: np.ndarray | None = None) -> PitchTrack:
    return PitchTrack(f0_hz, onsets_from_f0(f0_hz) if onset is None else onset, HOP / RATE)


def assert_sound(result: Separation) -> None:
    """Everything is finite, stems and residual sum to the mixture, and no stem explodes."""
    parts = [*result.stems.values(), *result.synthesised.values(), result.residual]
    parts += [value for named in result.controls.values() for value in named.values()]
    assert all(np.isfinite(part).all() for part in parts)
    peak = np.abs(result.mixture).max()
    np.testing.assert_allclose(
        sum(result.stems.values()) + result.residual, result.mixture, rtol=0, atol=1e-6 * peak
    )
    assert max(np.abs(stem).max() for stem in result.stems.values()) <= 2 * peak
