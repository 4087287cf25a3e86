"""Box plots of evaluation rows."""

import io
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ddsp_zoo.evaluation.tables import write_bytes

# Blue: the model. Grey: what needs no model. Green: what needs the answer. Darker is the stronger form.
COLOURS = {
    "mixture": "#d9d9d9", "noise": "#bdbdbd", "comb_mask": "#a3a3a3", "comb_mask_power": "#858585",
    "nmf": "#dadaeb", "harmonic_ls": "#bcbddc", "harmonic_ls_masked": "#9e9ac8", "harmonic_ls_masked_power": "#807dba",
    "harmonic_ls_shared": "#54278f",
    "synthesised": "#c6dbef", "masked": "#6baed6", "masked_power": "#2171b5",
    "irm_mixture": "#c7e9c0", "irm": "#74c476", "irm_power": "#238b45",
}  # fmt: skip
LABELS = {
    "si_sdr_db": "SI-SDR (dB)",
    "sdr_db": "SDR (dB)",
    "spectral_snr_db": "spectral SNR (dB)",
    "spectral_si_snr_db": "spectral SI-SNR (dB)",
    "mel_cepstral_distance": "mel cepstral distance",
    "multi_scale_spectral": "multi-scale spectral distance",
}


def box_plot(rows: Sequence[dict[str, Any]], metric: str, path: str | Path, title: str = "") -> None:
    """Draw one metric of evaluation rows as a PNG: a group a source, in it a box a system.

    Boxes span the quartiles, whiskers 5 % to 95 % of the frames; the line is the median, the diamond the
    mean. In decibels noise lies far below all else: there its median is written at the lower edge instead.
    """
    from matplotlib.figure import Figure

    sources, systems = _present(rows)
    figure = Figure(figsize=(min(16.0, 2.6 + 0.24 * len(sources) * (len(systems) + 1.5)), 4.2), dpi=150)
    axes = figure.add_subplot()
    step = 1 / (len(systems) + 1.5)
    for rank, system in enumerate(systems):
        centres = [group + (rank - (len(systems) - 1) / 2) * step for group in range(len(sources))]
        values = [_values(rows, metric, source, system) for source in sources]
        if system == "noise" and metric.endswith("_db"):
            _write_medians(axes, values, centres)
        else:
            _draw_boxes(axes, values, centres, 0.82 * step, COLOURS.get(system, "#fdae6b"), system)
    _dress(axes, sources, LABELS.get(metric, metric), title, better_up=metric.endswith("_db"))
    drawing = io.BytesIO()
    figure.savefig(drawing, format="png", bbox_inches="tight")
    write_bytes(drawing.getvalue(), path)


def _present(rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """Sources in order of appearance and systems in the order of `COLOURS`, unknown ones last."""
    sources, found = (list(dict.fromkeys(row[key] for row in rows)) for key in ("source", "system"))
    known = [system for system in COLOURS if system in found]
    return sources, known + [system for system in found if system not in COLOURS]


def _values(rows: Sequence[dict[str, Any]], metric: str, source: str, system: str) -> list[float]:
    values = (row[metric] for row in rows if row["source"] == source and row["system"] == system)
    return [value for value in values if value == value]  # a NaN is not equal to itself


def _draw_boxes(
    axes: Any, values: list[list[float]], centres: list[float], width: float, colour: str, label: str
) -> None:
    """One box per source for one system."""
    axes.boxplot(
        values, positions=centres, widths=width, whis=(5, 95), showfliers=False, showmeans=True,
        patch_artist=True, manage_ticks=False, label=label,
        boxprops={"facecolor": colour, "edgecolor": "#404040", "linewidth": 0.7},
        medianprops={"color": "black", "linewidth": 1.4},
        whiskerprops={"color": "#404040", "linewidth": 0.7}, capprops={"color": "#404040", "linewidth": 0.7},
        meanprops={"marker": "D", "markersize": 3, "markerfacecolor": "white", "markeredgecolor": "black",
                   "markeredgewidth": 0.6},
    )  # fmt: skip


def _write_medians(axes: Any, values: list[list[float]], centres: list[float]) -> None:
    """The median of noise in words, at the foot of each group."""
    for group, centre in zip(values, centres):
        if group:
            text = f"noise: {median(group):.0f} dB".replace("-", "\N{MINUS SIGN}")
            axes.text(centre, 0.02, text, transform=axes.get_xaxis_transform(), rotation=90, fontsize=7.5,
                      color="#707070", ha="center", va="bottom")  # fmt: skip


def _dress(axes: Any, sources: list[str], label: str, title: str, better_up: bool) -> None:
    """Names, grid, separators and legend."""
    axes.set_xticks(range(len(sources)), sources)
    axes.set_xlim(-0.5, len(sources) - 0.5)
    axes.tick_params(axis="x", length=0)
    for border in range(1, len(sources)):
        axes.axvline(border - 0.5, color="#cccccc", linewidth=0.8)
    axes.set_ylabel(f"{label}  {'↑' if better_up else '↓'}")
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9, borderaxespad=0)
