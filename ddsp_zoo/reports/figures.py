"""Box plots of evaluation rows."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddsp_zoo.measuring.metrics import Metric
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.summary import ALL, source_names
from ddsp_zoo.reports.tables import write_bytes
from ddsp_zoo.sources import REST

# In the order of figures. Grey: nothing done, or f0 alone. Purple: fitted to the mixture on f0. Blue: the model.
# Green: what needs the answer. Darker is the stronger form.
COLOURS = {
    "noise": "#f0f0f0",
    "mixture": "#d9d9d9",
    "comb_mask": "#a3a3a3",
    "comb_mask_power": "#858585",
    "nmf": "#dadaeb",
    "harmonic_ls": "#bcbddc",
    "harmonic_ls_masked": "#9e9ac8",
    "harmonic_ls_masked_power": "#807dba",
    "harmonic_ls_shared": "#54278f",
    "synthesised": "#c6dbef",
    "masked": "#6baed6",
    "masked_power": "#2171b5",
    "irm_mixture": "#c7e9c0",
    "irm": "#74c476",
    "irm_power": "#238b45",
}
UNKNOWN = "#fdae6b"
# For models or runs beside each other; the colour-blind can tell them apart (Okabe and Ito 2008).
HUES = ("#0072b2", "#d55e00", "#cc79a7", "#e69f00", "#56b4e9")
LEGEND = "box: quartiles; whiskers: 5 % and 95 % of the windows; bar: median; diamond: mean; arrow: median off scale"


class Box(NamedTuple):
    """Holds what is drawn of the rows of one system and source: percentiles and the mean."""

    low: float  # 5 %
    first: float  # 25 %
    median: float
    third: float  # 75 %
    high: float  # 95 %
    mean: float


def axis_label(metric: Metric) -> str:
    """Returns name, unit and direction of a metric."""
    return f"{metric.title}, {'higher' if metric.higher_is_better else 'lower'} is better"


def tints(hue: str) -> list[str]:
    """Returns three shades of a colour, light to full, for the three outputs of a model."""
    full = np.array([int(hue[i : i + 2], 16) for i in (1, 3, 5)])
    return ["#" + "".join(f"{round(x):02x}" for x in 255 - share * (255 - full)) for share in (0.25, 0.6, 1)]


def box_plot(
    rows: Sequence[Row],
    metric: Metric,
    path: str | Path,
    title: str = "",
    sources: Sequence[str] = (),
    colours: Mapping[str, str] = COLOURS,
    together: bool = True,
) -> None:
    """Draws one metric of evaluation rows as a PNG: a panel a source, in it a line and a box a system.

    The axis ends where the mixture is at its worst (5 % of its windows); of a system that goes further with a quarter
    of its windows only the median is written, so that noise does not squeeze what is to be compared.

    Args:
        rows: see `protocol.evaluate`.
        metric: what to draw.
        path: of the PNG.
        title: above the panels.
        sources: the order of the panels.
        colours: the order of the systems, from above, and the colour of each; others come last.
        together: draw a panel of all sources too, where there are several.
    """
    from matplotlib.figure import Figure

    rises = metric.higher_is_better
    boxes = {key: _box(values) for key, values in _grouped(rows, metric.name).items()}
    panels = [name for name in source_names(rows, sources) if together or name != ALL]
    systems = sorted(dict.fromkeys(row["system"] for row in rows), key=_rank(colours))
    edge = _edge(boxes, rises)
    limits = _limits(list(boxes.values()), edge, rises)
    figure = Figure(
        figsize=(max(7.4, 2 + 1.9 * len(panels)), 1 + 0.24 * len(systems)), dpi=150, layout="constrained"
    )
    for axes, source in zip(figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], panels):
        axes.set(title=source, xlim=limits)
        for height, system in enumerate(systems):
            if (box := boxes.get((source, system))) is None:
                continue
            if _beyond(box, edge, rises):
                _write_median(axes, box, height, rises)
            else:
                _draw_box(axes, box, height, colours.get(system, UNKNOWN))
        _dress(axes, systems)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    figure.supxlabel(f"{axis_label(metric)}\n{LEGEND}", fontsize=8)
    save(figure, path)


def save(figure: Any, path: str | Path) -> None:
    """Writes a figure as a PNG; the file appears whole or not at all."""
    drawing = io.BytesIO()
    figure.savefig(drawing, format="png")
    write_bytes(drawing.getvalue(), path)


def _rank(colours: Mapping[str, str]) -> Any:
    """Key to sort systems by; unknown ones stay in their order, behind."""
    place = {system: rank for rank, system in enumerate(colours)}
    return lambda system: place.get(system, len(place))


def _grouped(rows: Sequence[Row], metric: str) -> dict[tuple[str, str], list[float]]:
    """Finite values by (source, system), with all named sources together as "all"."""
    groups: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        for source in (row["source"],) if row["source"] == REST else (row["source"], ALL):
            if np.isfinite(row[metric]):
                groups.setdefault((source, row["system"]), []).append(row[metric])
    return groups


def _box(values: Sequence[float]) -> Box:
    return Box(*np.percentile(values, [5, 25, 50, 75, 95]), np.mean(values))


def _edge(boxes: Mapping[tuple[str, str], Box], rises: bool) -> float:
    """The mixture at its worst in any panel; infinitely bad where there is no mixture."""
    nothing_done = [box for (_, system), box in boxes.items() if system == "mixture"]
    if rises:
        return min((box.low for box in nothing_done), default=-np.inf)
    return max((box.high for box in nothing_done), default=np.inf)


def _beyond(box: Box, edge: float, rises: bool) -> bool:
    """Whether a box would be cut by the edge."""
    return box.first < edge if rises else box.third > edge


def _limits(boxes: Sequence[Box], edge: float, rises: bool) -> tuple[float, float]:
    """The span of the boxes that are drawn, with whiskers of up to three times their width, up to the edge."""
    shown = [box for box in boxes if not _beyond(box, edge, rises)]
    low = min((max(box.low, box.first - 3 * (box.third - box.first)) for box in shown), default=0)
    high = max((min(box.high, box.third + 3 * (box.third - box.first)) for box in shown), default=1)
    low, high = (max(low, edge), high) if rises else (low, min(high, edge))
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _draw_box(axes: Any, box: Box, height: float, colour: str) -> None:
    line = {"color": "#404040", "linewidth": 0.8}
    axes.hlines(height, box.low, box.high, zorder=2, **line)
    axes.vlines([box.low, box.high], height - 0.15, height + 0.15, zorder=2, **line)
    width = box.third - box.first
    axes.barh(height, width, 0.72, box.first, facecolor=colour, edgecolor="#404040", linewidth=0.8, zorder=3)
    axes.vlines(box.median, height - 0.36, height + 0.36, color="black", linewidth=1.8, zorder=4)
    axes.plot(
        box.mean,
        height,
        "D",
        color="white",
        markeredgecolor="black",
        markersize=3.2,
        markeredgewidth=0.7,
        zorder=5,
    )


def _write_median(axes: Any, box: Box, height: float, rises: bool) -> None:
    """The median in words, at the side where it lies."""
    number = f"{box.median:.0f}".replace("-", "\N{MINUS SIGN}")
    text, place, side = (f"← {number}", 0.02, "left") if rises else (f"{number} →", 0.98, "right")
    axes.text(
        place,
        height,
        text,
        transform=axes.get_yaxis_transform(),
        fontsize=7.5,
        color="#505050",
        ha=side,
        va="center",
    )


def _dress(axes: Any, systems: Sequence[str]) -> None:
    """Names, grid and frame of a panel."""
    axes.set_yticks(range(len(systems)), systems)
    axes.set_ylim(len(systems) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(labelsize=8)
    axes.title.set_fontsize(9.5)
    axes.grid(axis="x", color="#e0e0e0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
