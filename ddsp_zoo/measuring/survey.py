"""What a model predicts and how loud its sources are: the start of a file to look at, and a whole split in numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.corpora.base import StemDataset
from ddsp_zoo.measuring.protocol import LIMIT_DB, excerpts, render, sounding_frames
from ddsp_zoo.sources import Split

PITCH = ("f0_hz", "onset")
LEVELS = ("target_db", "synthesised_db")

Row = dict[str, Any]
Arrays = dict[str, np.ndarray]


class Example(NamedTuple):
    """The start of a file as a model renders it: audio (S, T), controls {name: (S, N, k)}."""

    track: str
    sources: tuple[str, ...]
    sample_rate: int
    hop_samples: int
    target: np.ndarray
    synthesised: np.ndarray
    masked: np.ndarray
    pitch: Arrays  # f0_hz and onset that it was rendered from, where there are
    controls: Arrays  # predicted ones
    units: dict[str, str]


class Survey(NamedTuple):
    """A split in numbers.

    levels: a row a track, source and frame in which the source sounds: ``target_db`` and ``synthesised_db``, the mean
        power in dB of full scale; what is silent lies `LIMIT_DB` below the target.
    between_sources: correlation of one control among sources, {control: (S, S)}.
    between_controls: correlation among all controls of one source, {source: (K, K)}.

    Correlations are those of thesis eq. 6.1, the mean over excerpts; NaN where a control never moves. A control of
    several values counts with all of them among sources, and with their mean among controls.
    """

    levels: list[Row]
    between_sources: Arrays
    between_controls: Arrays


@torch.no_grad()
def example(
    model: Any, datamodule: Any, split: Split = "test", seconds: float = 5.0, device: str = "cpu"
) -> Example:
    """The first seconds of the first file of a split, or all of it where it is shorter."""
    datamodule.feed(model, split).prepare_data()
    track, hop = datamodule.tracks(split)[0], model.hop_samples
    frames = max(1, int(min(seconds, track.seconds) * model.sample_rate) // hop)
    dataset = StemDataset([track], replace(datamodule.spec, segment_samples=frames * hop))
    dataset.pitches = datamodule.pitches
    batch = {key: value[None] for key, value in dataset[0].items()}
    model = model.to(device).eval()
    rendered = render(model, batch, device)
    masked = model.masked(batch["mixture"].to(device), rendered)
    pitch = {key: _array(rendered.controls[key]) for key in PITCH if key in rendered.controls}
    return Example(
        track.name,
        model.sources,
        model.sample_rate,
        hop,
        batch["sources"][0].numpy(),
        _array(rendered.sources),
        _array(masked),
        pitch,
        predicted(model, rendered),
        units(model),
    )


def predicted(model: Any, rendered: Any) -> Arrays:
    """The controls of the first excerpt that the synthesiser has from the network, {name: (S, N, k)}."""
    return {name: _array(rendered.controls[name]) for name in units(model) if name in rendered.controls}


def units(model: Any) -> dict[str, str]:
    """The unit of each control that the synthesiser declares; "1" is a plain number."""
    return {control.name: control.unit for control in model.synth.controls.controls}


def _array(values: Tensor) -> np.ndarray:
    return values[0].float().cpu().numpy()


@torch.no_grad()
def survey(
    model: Any,
    datamodule: Any,
    split: Split = "test",
    limit_tracks: int | None = None,
    device: str = "cpu",
    progress: bool = True,
    frame_seconds: float = 1.0,
) -> Survey:
    """Render a split once and take levels and correlations; frames and silence are those of `protocol.evaluate`."""
    model = model.to(device).eval()
    levels: list[Row] = []
    among: dict[str, list[Arrays]] = {"sources": [], "controls": []}
    for track, batch in excerpts(model, datamodule, split, progress, limit_tracks):
        rendered = render(model, batch, device)
        levels += _levels(track, rendered, batch, model, round(frame_seconds * model.sample_rate))
        controls = predicted(model, rendered)
        among["sources"].append({name: correlation(value) for name, value in controls.items()})
        means = [value.mean(-1) for value in controls.values()]  # (S, N) each
        among["controls"].append(
            {source: correlation(np.stack(rows)) for source, *rows in zip(model.sources, *means) if rows}
        )
    return Survey(levels, _mean(among["sources"]), _mean(among["controls"]))


def _levels(track: str, rendered: Any, batch: dict[str, Tensor], model: Any, frame_samples: int) -> list[Row]:
    """Rows of one excerpt; the number of the frame is of no use beyond it and left out."""
    rows, synthesised = [], rendered.sources.cpu()[0]
    for _, span, sounding in sounding_frames(batch, frame_samples):
        for source in sounding:
            target, estimate = (
                x[source, span].double().square().mean().item() for x in (batch["sources"][0], synthesised)
            )
            floor = target * 10 ** (-LIMIT_DB / 10)
            levels = (10 * math.log10(power) for power in (target, max(estimate, floor)))
            rows.append({"track": track, "source": model.sources[source]} | dict(zip(LEVELS, levels)))
    return rows


def correlation(series: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the rows of (R, N) or (R, N, k) with each other: (R, R), thesis eq. 6.1.

    Of k values each is taken about its own mean over N. NaN for rows that never move.
    """
    series = series.astype(np.float64).reshape(*series.shape[:2], -1)
    centred = (series - series.mean(1, keepdims=True)).reshape(len(series), -1)
    spread = np.linalg.norm(centred, axis=1)
    moves = spread > 1e-6 * np.linalg.norm(series, axis=(1, 2))  # more than 32-bit floats are rounded by
    unit = centred / np.where(moves, spread, 1)[:, None]
    return np.where(moves[:, None] & moves, np.clip(unit @ unit.T, -1, 1), np.nan)


def _mean(matrices: Sequence[Mapping[str, np.ndarray]]) -> Arrays:
    """The mean over excerpts, of each cell over those in which it is defined."""
    out = {}
    for name in matrices[0] if matrices else ():
        stack = np.stack([one[name] for one in matrices])
        count = np.isfinite(stack).sum(0)
        out[name] = np.where(count > 0, np.nansum(stack, 0) / np.maximum(count, 1), np.nan)
    return out


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    """The defined values of a correlation matrix above its diagonal."""
    values = matrix[np.triu_indices(len(matrix), 1)]
    return values[np.isfinite(values)]


def level_errors(levels: Sequence[Row], sources: Sequence[str]) -> tuple[dict[str, float], float]:
    """How far the synthesised output lies above the target in dB: of each source as a whole, and of a frame.

    The first is the ratio of all energy of a source that sounds in ``levels``; the second the median over frames of
    all sources of the difference without its sign, which tells whether the level is followed and not only met.
    """
    overall = {}
    for source in sources:
        own = [row for row in levels if row["source"] == source]
        if own:
            target, estimate = (10 * np.log10(sum(10 ** (row[x] / 10) for row in own)) for x in LEVELS)
            overall[source] = float(estimate - target)
    differences = [abs(row["synthesised_db"] - row["target_db"]) for row in levels]
    return overall, float(np.median(differences)) if differences else math.nan
