"""Pictures of the output of a model of several strings: waveforms, controls and their correlations, a row a string."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.measuring.survey import Example
from ddsp_zoo.reports.figures import HUES, save

COLUMNS = 1200  # points along time, about the pixels of a panel
MOST = 4  # columns in a figure of controls
LINES = 4  # a control of more values is an image
RANGE_DB = 60.0
PALE, INK, RED = "#d0d0d0", "#404040", "#c00000"

Axes = Any


def draw_sources(example: Example, path: str | Path, title: str = "") -> None:
    """Draws target, synthesised and masked waveform of each source on the same scale (thesis figures 6.14, 6.15)."""
    signals = {
        "target": example.target,
        "synthesised": example.synthesised,
        "masked by the synthesised, power 2": example.masked,
    }
    figure, grid = _grid(len(example.sources), len(signals), 4.4, title)
    for column, (name, signal) in enumerate(signals.items()):
        grid[0, column].set_title(name, fontsize=9)
        for row in range(len(example.sources)):
            top = 1.05 * max(np.abs(one[row]).max() for one in signals.values()) or 1.0
            _draw_wave(grid[row, column], signal[row], example.sample_rate, HUES[column])
            grid[row, column].set_ylim(-top, top)
    _finish(grid, example)
    save(figure, path)


def draw_controls(example: Example, folder: Path, title: str = "") -> list[Path]:
    """Draws pitch with onsets, then every control over time, as many figures as it takes (thesis 6.16-6.19, 8.1-8.16).

    Behind the pitch stands the target, behind a control the synthesised source, each filling its panel. All strings
    have the same axis for a control. Returns what was written into ``folder``; nothing for a model without either.
    """
    columns = (["f0_hz"] if "f0_hz" in example.pitch else []) + list(example.controls)
    written = []
    for first in range(0, len(columns), MOST):
        names = columns[first : first + MOST]
        written.append(folder / f"controls{f'_{len(written) + 1}' if written else ''}.png")
        figure, grid = _grid(len(example.sources), len(names), 4.4, title)
        for column, name in enumerate(names):
            (_draw_pitch if name == "f0_hz" else _draw_control)(grid[:, column], example, name)
        _finish(grid, example)
        save(figure, written[-1])
    return written


def draw_matrices(
    matrices: Mapping[str, np.ndarray], labels: Sequence[str], path: str | Path, title: str = ""
) -> None:
    """Draws correlation coefficients, a panel a matrix (thesis figures 6.24, 6.30); what is not defined stays grey.

    Args:
        matrices: (n, n) each, by the names of their panels.
        labels: of the n rows and columns.
        path: of the PNG.
        title: above the panels.
    """
    from matplotlib.figure import Figure

    across = min(6, len(matrices))
    lines, side = -(-len(matrices) // across), max(2.0, 0.36 * len(labels))
    words = 0.08 * max(map(len, labels))  # inches that the longest label takes
    size = (1.2 + words + side * across, 0.7 + words + (side + 0.3) * lines)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    grid = figure.subplots(lines, across, squeeze=False, sharex=True, sharey=True)
    for axes, (name, matrix) in zip(grid.flat, matrices.items()):
        image = _draw_matrix(axes, matrix, labels)
        axes.set_title(name, fontsize=9)
    for axes in grid.flat[len(matrices) :]:
        axes.set_axis_off()
    figure.colorbar(image, ax=grid, shrink=0.7, pad=0.01).ax.tick_params(labelsize=7)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    save(figure, path)


def _draw_matrix(axes: Axes, matrix: np.ndarray, labels: Sequence[str]) -> Any:
    image = axes.imshow(np.ma.masked_invalid(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_facecolor(PALE)
    for row, column in zip(*np.nonzero(np.isfinite(matrix))):
        value = matrix[row, column]
        colour = "white" if abs(value) > 0.6 else "black"
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=6, color=colour)
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(labelsize=7, length=0)
    return image


def _grid(rows: int, columns: int, width: float, title: str) -> tuple[Any, np.ndarray]:
    """A figure and its panels (rows, columns) that share the axis of time."""
    from matplotlib.figure import Figure

    size = (0.8 + width * max(columns, 2), 0.9 + 1.15 * rows)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return figure, figure.subplots(rows, columns, squeeze=False, sharex=True)


def _finish(grid: np.ndarray, example: Example) -> None:
    """Names of the rows, the axis of time, and frames without boxes."""
    for name, axes in zip(example.sources, grid[:, 0]):
        axes.set_ylabel(name, fontsize=10, rotation=0, ha="right", va="center", labelpad=8)
    for axes in grid.flat:
        axes.set_xlim(0, example.target.shape[-1] / example.sample_rate)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("time (s)", fontsize=8)


def _draw_wave(axes: Axes, audio: np.ndarray, rate: int, colour: str) -> None:
    """The span of each point's samples, so that no peak is lost."""
    block = max(1, len(audio) // COLUMNS)
    blocks = audio[: len(audio) // block * block].reshape(-1, block)
    time = (np.arange(len(blocks)) + 0.5) * block / rate
    axes.fill_between(time, blocks.min(1), blocks.max(1), color=colour, linewidth=0.4)


def _draw_behind(axes: Axes, audio: np.ndarray, rate: int) -> None:
    """A waveform in grey that fills the panel, behind whatever else is in it."""
    back = axes.twinx()
    _draw_wave(back, audio, rate, PALE)
    top = 1.05 * np.abs(audio).max() or 1.0
    back.set(ylim=(-top, top), yticks=[])
    back.spines[:].set_visible(False)
    axes.set_zorder(back.get_zorder() + 1)
    axes.patch.set_visible(False)


def _draw_pitch(column: Sequence[Axes], example: Example, name: str) -> None:
    """f0 where there is one, and a red stroke for each onset."""
    f0_hz, onset = example.pitch["f0_hz"][..., 0], example.pitch.get("onset")
    time = np.arange(f0_hz.shape[1]) * example.hop_samples / example.sample_rate
    column[0].set_title("f0 (Hz), onsets in red; behind them the target", fontsize=9)
    for row, axes in enumerate(column):
        _draw_behind(axes, example.target[row], example.sample_rate)
        if onset is not None:
            for start in time[onset[row, :, 0] > 0]:
                axes.axvline(start, color=RED, linewidth=0.7)
        axes.plot(time, np.where(f0_hz[row] > 0, f0_hz[row], np.nan), color=HUES[0], linewidth=1.6)
        axes.margins(y=0.25)


def _draw_control(column: Sequence[Axes], example: Example, name: str) -> None:
    """One control of all strings: lines, or an image where it has many values."""
    value = example.controls[name]
    unit = example.units.get(name, "1")
    text = name if unit == "1" else f"{name} ({unit})"
    if value.shape[-1] > LINES:
        _draw_images(column, example, value, text)
        return
    column[0].set_title(f"{text}; behind it what is synthesised", fontsize=9)
    low, high, scale = _span(value)
    time = np.arange(value.shape[1]) * example.hop_samples / example.sample_rate
    for axes, own, sound in zip(column, value, example.synthesised):
        _draw_behind(axes, sound, example.sample_rate)
        for number, curve in enumerate(own.T):
            axes.plot(time, curve, color=HUES[(number + 1) % len(HUES)], linewidth=1.1)
        axes.set(yscale=scale, ylim=(low, high))


def _span(value: np.ndarray) -> tuple[float, float, str]:
    """Limits and kind of an axis: logarithmic over at most four decades where positive values span a factor of 30."""
    low, high = float(value.min()), float(value.max())
    if low > 0 and np.percentile(value, 95) > 30 * np.percentile(value, 5):
        return max(low, 1e-4 * high) / 1.5, 1.5 * high, "log"
    margin = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
    return low - margin, high + margin, "linear"


def _draw_images(column: Sequence[Axes], example: Example, value: np.ndarray, text: str) -> None:
    """Values upwards, dark to light; what is never negative in dB below the largest of all strings."""
    low, high, note = float(value.min()), float(value.max()), ""
    if low >= 0 and high > 0:
        value = np.maximum(20 * np.log10(np.maximum(value, 1e-9 * high) / high), -RANGE_DB)
        low, high, note = float(value.min()), 0.0, ", dB of the largest"
    column[0].set_title(f"{text}, {value.shape[-1]} values{note}: {low:.3g} to {high:.3g}", fontsize=9)
    seconds = value.shape[1] * example.hop_samples / example.sample_rate
    extent = (0, seconds, 0, value.shape[-1])
    for axes, own in zip(column, value):
        axes.imshow(own.T, origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=low, vmax=high)
