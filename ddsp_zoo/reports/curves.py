"""Learning curves of training runs, read from the numbers that every run leaves in CSV."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.reports.figures import HUES, save

STAGES = ("train", "validation")
LOSS = "loss"  # the sum of all terms

Step = dict[str, float]  # what a run has logged at one step


def read_run(folder: str | Path) -> list[Step]:
    """Returns what a run has logged: rows with ``step`` and what was known there, such as ``epoch`` and ``train/loss``.

    ``folder`` holds ``version_<n>/metrics.csv``, the pieces of a run that was resumed, or one metrics.csv. Raises
    `DdspZooError` where there is none, or no loss in any.
    """
    folder = Path(folder)
    found = sorted(folder.glob("version_*/metrics.csv"), key=_version) or [folder / "metrics.csv"]
    if not found[0].is_file():
        raise DdspZooError(
            f"{folder} is no training run: it has no version_0/metrics.csv, as in runs/<name>."
        )
    rows = join_pieces([_read(path) for path in found])
    if not terms([rows]):
        raise DdspZooError(f"The run in {folder} has logged no loss yet: wait for its first steps.")
    return rows


def read_curve(path: str | Path) -> list[Step]:
    """Returns the losses in one file, with the columns ``step``, ``train/loss`` and ``validation/loss``.

    Without a column ``epoch`` each row is one of its own: what it holds are means already. Raises `DdspZooError` where
    the file is damaged or holds no loss.
    """
    rows = [{"epoch": float(number)} | row for number, row in enumerate(_read(Path(path)))]
    if not terms([rows]):
        raise DdspZooError(
            f"{path} holds no loss: it needs the columns step and train/loss or validation/loss."
        )
    return rows


def _version(path: Path) -> tuple[int, str]:
    number = path.parent.name.removeprefix("version_")
    return (int(number) if number.isdecimal() else -1, number)


def _read(path: Path) -> list[Step]:
    """The filled cells of a metrics.csv, row by row."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{name: float(x) for name, x in row.items() if x} for row in csv.DictReader(file)]
    except (ValueError, TypeError) as error:
        raise DdspZooError(f"{path} is damaged: it holds something else than numbers.") from error
    return [row for row in rows if "step" in row]


def join_pieces(pieces: Sequence[Sequence[Step]]) -> list[Step]:
    """Returns rows in the order of their steps; where a later piece goes over steps again, it counts."""
    joined: list[Step] = []
    for piece in filter(None, pieces):
        start = min(row["step"] for row in piece)
        joined = [row for row in joined if row["step"] < start] + sorted(piece, key=lambda row: row["step"])
    return joined


def terms(runs: Sequence[Sequence[Step]]) -> list[str]:
    """Returns the terms of the loss that any of the runs has logged, their sum first; a single term is the sum."""
    names = (name.partition("/") for rows in runs for row in rows for name in row)
    found = sorted(
        {term for stage, _, term in names if stage in STAGES and term and "/" not in term},
        key=lambda x: (x != LOSS, x),
    )
    return found[:1] if len(found) == 2 and found[0] == LOSS else found


def series(rows: Sequence[Step], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and values of one column, where it is known and finite."""
    points = [(row["step"], row[name]) for row in rows if math.isfinite(row.get(name, math.nan))]
    return np.array([step for step, _ in points]), np.array([value for _, value in points])


def epoch_means(rows: Sequence[Step], name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns last step and mean of one column for each epoch."""
    epochs: dict[float, list[Step]] = {}
    for row in rows:
        if math.isfinite(row.get(name, math.nan)):
            epochs.setdefault(row.get("epoch", 0.0), []).append(row)
    last = [max(row["step"] for row in epoch) for epoch in epochs.values()]
    return np.array(last), np.array([np.mean([row[name] for row in epoch]) for epoch in epochs.values()])


def best(rows: Sequence[Step]) -> tuple[int, float] | None:
    """Returns step and value of the least validation loss; None where nothing was validated."""
    steps, values = series(rows, f"validation/{LOSS}")
    return (int(steps[values.argmin()]), float(values.min())) if len(values) else None


def learning_curves(runs: Mapping[str, Sequence[Step]], path: str | Path) -> None:
    """Draws the losses of runs over their steps as a PNG: a panel a term, a colour a run.

    Training is a solid line through the means of its epochs over all that was logged, pale; validation is dashed. The
    circle is the least validation loss. The axis is logarithmic where values are positive and span a factor of five.

    Args:
        runs: the rows of each run, see `read_run`, by its name.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    panels = terms(list(runs.values()))
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(1 + 4.2 * columns, 0.6 + 3.2 * lines), dpi=150, layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False).flat
    for term, axes in zip(panels, grid):  # in this order, or one panel is lost
        for number, rows in enumerate(runs.values()):
            _draw_run(axes, rows, term, HUES[number % len(HUES)])
        _dress(axes, term, list(runs.values()))
    for axes in list(grid):  # those that are left over
        axes.set_axis_off()
    for handles, place in ((_colours(list(runs)), "upper"), (_kinds(), "lower")):
        figure.legend(handles=handles, loc=f"outside {place} center", ncols=4, frameon=False, fontsize=8)
    save(figure, path)


def _draw_run(axes: Any, rows: Sequence[Step], term: str, colour: str) -> None:
    axes.plot(*series(rows, f"train/{term}"), color=colour, linewidth=0.6, alpha=0.3)
    axes.plot(*epoch_means(rows, f"train/{term}"), color=colour, linewidth=1.5, marker=".", markersize=4)
    axes.plot(
        *series(rows, f"validation/{term}"), "--", color=colour, linewidth=1.5, marker="s", markersize=2.5
    )
    if term == LOSS and (least := best(rows)):
        axes.plot(
            *least, "o", markersize=9, markerfacecolor="none", markeredgecolor=colour, markeredgewidth=1.5
        )


def _dress(axes: Any, term: str, runs: Sequence[Sequence[Step]]) -> None:
    """Names, grid, and the kind of axis that the values ask for."""
    from matplotlib.ticker import LogFormatter

    values = np.concatenate([series(rows, f"{stage}/{term}")[1] for rows in runs for stage in STAGES])
    if len(values) and values.min() > 0 and values.max() > 5 * values.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(LogFormatter())  # plain numbers
        axes.yaxis.set_minor_formatter(LogFormatter())
    axes.set_title(term if term == LOSS else f"{LOSS}: {term}", fontsize=10)
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(which="both", labelsize=8)
    axes.grid(which="both", color="#e0e0e0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _colours(names: Sequence[str]) -> list[Any]:
    """Entries of a legend: a colour for each run."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=HUES[i % len(HUES)], linewidth=4, label=name) for i, name in enumerate(names)
    ]


def _kinds() -> list[Any]:
    """Entries of a legend: what the kinds of lines say."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color="#404040", marker=".", label="training"),
        Line2D([], [], color="#404040", linestyle="--", marker="s", markersize=3, label="validation"),
        Line2D(
            [],
            [],
            color="#404040",
            linestyle="",
            marker="o",
            markersize=9,
            markerfacecolor="none",
            label="least validation loss",
        ),
    ]
