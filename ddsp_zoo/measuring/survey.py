"""Surveys of a model's predictions and the loudness of its sources: a split in numbers, and the start of one file."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from ddsp_zoo.measuring.metrics import LIMIT_DB
from ddsp_zoo.measuring.protocol import Heard
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.windows import sounding_windows
from ddsp_zoo.synths.control import Control, Origin

LEVELS = ("target_db", "synthesised_db")
SHOWN = "masked_power"  # the output that stands in an example beside the synthesised one

Arrays = dict[str, np.ndarray]


class Example(NamedTuple):
    """Holds the start of a file as a model renders it: audio (S, T), controls {name: (S, N, k)}."""

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
    """Describes a split in numbers.

    levels: a row a track, source and window in which the source sounds: ``target_db`` and ``synthesised_db``,
        the mean
        power in dB of full scale; what is silent lies `LIMIT_DB` below the target.
    between_sources: correlation of one control among sources, {control: (S, S)}.
    between_controls: correlation among all controls of one source, {source: (K, K)}.

    Correlations are those of thesis eq. 6.1, the mean over excerpts; NaN where a control never moves. A control
    of several values counts with all of them among sources, and with their mean among controls.
    """

    levels: list[Row]
    between_sources: Arrays
    between_controls: Arrays


class SurveyListener:
    """Gathers a `Survey` from the excerpts of an evaluation; windows and silence are those of `protocol.evaluate`."""

    def __init__(self, model: Any, window_seconds: float = 1.0) -> None:
        self.model, self.window_samples = model, round(window_seconds * model.sample_rate)
        self.levels: list[Row] = []
        self.among_sources: list[Arrays] = []
        self.among_controls: list[Arrays] = []

    def __call__(self, heard: Heard) -> None:
        """Takes levels and correlations of one excerpt."""
        self.levels += _levels(heard, self.model.sources, self.window_samples)
        controls = predicted(self.model, heard.rendered)
        self.among_sources.append({name: correlation(value) for name, value in controls.items()})
        means = [value.mean(-1) for value in controls.values()]  # (S, N) each
        self.among_controls.append(
            {source: correlation(np.stack(rows)) for source, *rows in zip(self.model.sources, *means) if rows}
        )

    def survey(self) -> Survey:
        """Returns what was gathered."""
        return Survey(self.levels, _mean(self.among_sources), _mean(self.among_controls))


class ExampleListener:
    """Keeps the first seconds of the first file of an evaluation: its excerpts one after the other.

    Each excerpt was rendered by itself, so notes that go on from one to the next begin anew there.
    """

    def __init__(self, model: Any, seconds: float = 5.0) -> None:
        self.model, self.frames = model, max(1, int(seconds * model.sample_rate) // model.hop_samples)
        self.heard: list[Heard] = []

    def __call__(self, heard: Heard) -> None:
        """Keeps an excerpt of the first file until there are enough."""
        samples = sum(one.batch["mixture"].shape[-1] for one in self.heard)
        if samples < self.frames * self.model.hop_samples and heard.track == (self.heard or [heard])[0].track:
            self.heard.append(heard)

    def example(self) -> Example:
        """Returns what was kept; where the file is shorter, all of it."""
        model, samples = self.model, self.frames * self.model.hop_samples

        def sound(parts: list[Tensor]) -> np.ndarray:
            return np.concatenate([_array(part) for part in parts], axis=1)[:, :samples]

        def control(name: str) -> np.ndarray:
            parts = [_array(one.rendered.controls[name]) for one in self.heard]
            return np.concatenate(parts, axis=1)[:, : self.frames]

        there = self.heard[0].rendered.controls
        return Example(
            self.heard[0].track,
            tuple(model.sources),
            model.sample_rate,
            model.hop_samples,
            sound([one.batch["sources"] for one in self.heard]),
            sound([one.outputs["synthesised"] for one in self.heard]),
            sound([one.outputs[SHOWN] for one in self.heard]),
            {name: control(name) for name in _declared(model, "given") if name in there},
            {name: control(name) for name in units(model) if name in there},
            units(model),
        )


def predicted(model: Any, rendered: Any) -> Arrays:
    """Returns the controls that the synthesiser has from the network, {name: (S, N, k)}."""
    return {name: _array(rendered.controls[name]) for name in units(model) if name in rendered.controls}


def units(model: Any) -> dict[str, str]:
    """Returns the unit of each control that the network predicts; "1" is a plain number."""
    return {name: control.unit for name, control in _declared(model, "network").items()}


def _declared(model: Any, origin: Origin) -> dict[str, Control]:
    return {name: control for name, control in model.declared.items() if control.origin == origin}


def _array(values: Tensor) -> np.ndarray:
    return values[0].float().cpu().numpy()


def _levels(heard: Heard, sources: Sequence[str], window_samples: int) -> list[Row]:
    """Rows of one excerpt; the number of the window is of no use beyond it and left out."""
    rows, synthesised = [], heard.outputs["synthesised"][0]
    for _, span, sounding in sounding_windows(heard.batch, window_samples):
        for source in sounding:
            target, estimate = (
                x[source, span].double().square().mean().item()
                for x in (heard.batch["sources"][0], synthesised)
            )
            floor = target * 10 ** (-LIMIT_DB / 10)
            levels = (10 * math.log10(power) for power in (target, max(estimate, floor)))
            rows.append({"track": heard.track, "source": sources[source]} | dict(zip(LEVELS, levels)))
    return rows


def correlation(series: np.ndarray) -> np.ndarray:
    """Returns Pearson's correlation of the rows of (R, N) or (R, N, k) with each other: (R, R), thesis eq. 6.1.

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
    """Returns the defined values of a correlation matrix above its diagonal."""
    values = matrix[np.triu_indices(len(matrix), 1)]
    return values[np.isfinite(values)]


def level_errors(levels: Sequence[Row], sources: Sequence[str]) -> tuple[dict[str, float], float]:
    """Returns how far the synthesised output lies above the target in dB: of each source as a whole, and in a window.

    The first is the ratio of all energy of a source in ``levels``. The second is the median over the windows of all
    sources of the absolute difference, which tells whether the level is followed and not only met on the whole.
    """
    overall = {}
    for source in sources:
        own = [row for row in levels if row["source"] == source]
        if own:
            target, estimate = (10 * np.log10(sum(10 ** (row[x] / 10) for row in own)) for x in LEVELS)
            overall[source] = float(estimate - target)
    differences = [abs(row["synthesised_db"] - row["target_db"]) for row in levels]
    return overall, float(np.median(differences)) if differences else math.nan
