"""Pictures of Planton's thesis (2023) that need no evaluation: responses of filters, and f_c while it is learned."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddsp_zoo.dsp.one_pole import dc_block, high_pass_pole
from ddsp_zoo.dsp.string import magnitude
from ddsp_zoo.reports.curves import LOSS, Step, epoch_means, series
from ddsp_zoo.reports.figures import HUES, save

CUTOFF = "validation/cutoff_hz"  # what runs of the preliminary experiment log
TRUE_HZ = 6000.0  # f_c of the notes there
LOW_PASS_HZ, HIGH_PASS_HZ = (20, 100, 500, 1000, 2000, 4000, 8000), (1, 5, 20, 100, 500, 1000)
DAMPING = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
FLOOR_DB = -60.0
POINTS = 1 << 15  # samples of a response: two seconds at 16 kHz
ACROSS = 2

Response = Callable[[float], Tensor]  # of a setting, at `_grid` of its rate


def low_pass_response(cutoff_hz: float, sample_rate: int = 16000) -> Tensor:
    """Returns the gain of the loop's one-pole low-pass from 0 Hz to the Nyquist frequency (thesis figure 5.2)."""
    pole = torch.tensor(high_pass_pole(cutoff_hz, sample_rate), dtype=torch.float64)
    return magnitude(pole, _angles(), "one_pole")


def high_pass_response(cutoff_hz: float, sample_rate: int = 16000) -> Tensor:
    """Returns the gain of the first-order high-pass from 0 Hz to the Nyquist frequency (thesis figure 5.6)."""
    impulse = torch.zeros(1, POINTS, dtype=torch.float64)
    impulse[0, 0] = 1.0
    return torch.fft.rfft(dc_block(impulse, cutoff_hz, sample_rate)[0][0]).abs()


def damping_response(damping: float) -> Tensor:
    """Returns the gain of the string damping filter H_a from 0 Hz to the Nyquist frequency (thesis figure 5.14)."""
    return magnitude(torch.tensor(damping, dtype=torch.float64), _angles())


def draw_responses(path: str | Path) -> None:
    """Draws the filters of the thesis's strings in decibels over frequency: its figures 5.2, 5.6 and 5.14."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.8), dpi=130, layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    _draw_filter(panels[0], "low-pass in the loop, f_c (5.2)", low_pass_response, LOW_PASS_HZ, 16000, "Hz")
    _draw_filter(panels[1], "high-pass, f_c (5.6)", high_pass_response, HIGH_PASS_HZ, 16000, "Hz")
    _draw_filter(panels[2], "string damping H_a, b (5.14)", damping_response, DAMPING, 32000, "")
    panels[0].set_ylabel("gain, dB", fontsize=9)
    save(figure, path)


def draw_cutoffs(runs: Mapping[str, Sequence[Step]], path: str | Path) -> None:
    """Draws losses and, on the right axis, the f_c that validation notes are given, epoch by epoch, a panel a run.

    The dashed line is the f_c of the notes. These are the thesis's figures 6.3 to 6.10.
    """
    from matplotlib.figure import Figure

    lines = -(-len(runs) // ACROSS)
    figure = Figure(figsize=(5.6 * ACROSS, 0.4 + 2.7 * lines), dpi=120, layout="constrained")
    grid = figure.subplots(lines, ACROSS, squeeze=False).flat
    for (name, rows), axes in zip(runs.items(), grid):
        _draw_cutoff(axes, name, rows)
    for axes in list(grid)[len(runs) :]:
        axes.set_axis_off()
    save(figure, path)


def _angles() -> Tensor:
    return torch.linspace(0, torch.pi, POINTS // 2 + 1, dtype=torch.float64)


def _draw_filter(
    axes: Any, title: str, response: Response, settings: Sequence[float], rate: int, unit: str
) -> None:
    from matplotlib import colormaps

    hz = (_angles() * rate / (2 * torch.pi))[1:]
    for number, setting in enumerate(settings):
        decibels = 20 * response(setting)[1:].clamp(min=1e-9).log10()
        colour = colormaps["viridis"](number / len(settings))
        axes.plot(hz, decibels, color=colour, linewidth=1.3, label=f"{setting:g} {unit}".strip())
    axes.set(xscale="log", xlim=(10, rate / 2), ylim=(FLOOR_DB, 3))
    axes.set_title(f"{title}, at {rate // 1000} kHz", fontsize=10)
    axes.set_xlabel("frequency, Hz", fontsize=9)
    axes.legend(fontsize=7, ncols=2, frameon=False)
    _dress(axes)


def _draw_cutoff(axes: Any, name: str, rows: Sequence[Step]) -> None:
    training, validation = epoch_means(rows, f"train/{LOSS}"), series(rows, f"validation/{LOSS}")
    axes.plot(*training, color=HUES[0], linewidth=1.2, label="training loss")
    axes.plot(*validation, "--", color=HUES[0], linewidth=1.2, label="validation loss")
    axes.set_title(name, fontsize=10)
    axes.set_xlabel("step", fontsize=9)
    _dress(axes)
    right = axes.twinx()
    right.plot(*series(rows, CUTOFF), color=HUES[1], linewidth=1.5, label="f_c, right axis, Hz")
    right.axhline(TRUE_HZ, color="#009e73", linewidth=1, linestyle="--", label="f_c of the notes")
    right.set_ylim(0, 8500)
    right.tick_params(labelsize=8)
    handles = [line for one in (axes, right) for line in one.get_lines()]
    axes.legend(handles, [line.get_label() for line in handles], fontsize=6.5, frameon=False, loc="best")


def _dress(axes: Any) -> None:
    axes.tick_params(which="both", labelsize=8)
    axes.grid(color="#e0e0e0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top"]].set_visible(False)
