"""The text of the report on guitar strings: tables of models, playing styles, levels and controls, and pictures."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ddsp_zoo.measuring.metrics import MEL_CEPSTRAL_DISTANCE, SI_SDR
from ddsp_zoo.measuring.rows import WINDOW, Row
from ddsp_zoo.measuring.summary import summarise
from ddsp_zoo.measuring.survey import Example, Survey, level_errors, off_diagonal
from ddsp_zoo.measuring.systems import OF_THE_MODEL
from ddsp_zoo.reports import comparison, tables
from ddsp_zoo.reports.comparison import Measured
from ddsp_zoo.reports.figures import axis_label
from ddsp_zoo.reports.string_figures import draw_controls, draw_matrices, draw_sources
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

SOURCES = tuple(GUITAR_STRINGS_HZ)
METRICS = (SI_SDR, MEL_CEPSTRAL_DISTANCE)  # those of the thesis
STYLE = re.compile(r"_(comp|solo)(?=_|$)")  # in names of tracks, as GuitarSet has them


def overview(group: Sequence[Measured]) -> list[str]:
    """Returns a table of models: SI-SDR of outputs, and how far they go from f0 alone to the ideal mask."""
    means = {one.name: _means(one.rows, SI_SDR.name) for one in group}
    distances = {one.name: _means(one.rows, MEL_CEPSTRAL_DISTANCE.name) for one in group}
    shared = {system: mean for systems in means.values() for system, mean in systems.items()}
    low, high = (shared.get(name) for name in ("comb_mask_power", "irm_power"))
    cells = [["model", *OF_THE_MODEL, "of the way", "MCD of masked_power"]]
    for name, systems in means.items():
        if OF_THE_MODEL[0] in systems:
            share = _share(systems["masked_power"], low, high)
            sdr = [f"{systems[system]:.2f}" for system in OF_THE_MODEL]
            cells.append([name, *sdr, share, f"{distances[name]['masked_power']:.2f}"])
    bounds = f" ({low:.2f} dB) to the ideal ratio mask ({high:.2f} dB)" if None not in (low, high) else ""
    return [
        'Mean SI-SDR in dB over all strings; MCD is the mel cepstral distance. "Of the way" is how far masked_power '
        f"goes from the comb mask{bounds}, both in power 2.",
        tables.render_markdown(cells),
    ]


def _means(rows: Sequence[Row], metric: str) -> dict[str, float]:
    """The mean of each system over all windows of all strings."""
    systems = dict.fromkeys(row["system"] for row in rows)
    return {x: float(np.nanmean([row[metric] for row in rows if row["system"] == x])) for x in systems}


def _share(value: float, low: float | None, high: float | None) -> str:
    return (
        "-" if low is None or high is None or high <= low else f"{100 * (value - low) / (high - low):.0f} %"
    )


def styles(group: Sequence[Measured]) -> list[str]:
    """Returns both metrics by playing style; nothing where the names of tracks tell none."""
    styled = [
        {"track": row["track"], "source": found[1], WINDOW: row[WINDOW], "system": row["system"]}
        | {metric.name: row[metric.name] for metric in METRICS}
        for row in comparison.join(group)[0]
        if (found := STYLE.search(row["track"]))
    ]
    if not styled:
        return []
    summary, page = summarise(styled), ["### By playing style"]
    for metric in METRICS:
        cells = tables.by_source(summary, metric.name, show=tables.mean_and_interval)
        page += [f"{axis_label(metric)}:", tables.render_markdown(cells)]
    return page


def levels(surveys: Mapping[str, Survey]) -> list[str]:
    """Returns a table of how loud what is synthesised is, a line a model."""
    cells = [["model", *SOURCES, "mean", "a window's error"]]
    for name, found in surveys.items():
        overall, error = level_errors(found.levels, SOURCES)
        numbers = [overall.get(source) for source in SOURCES] + [np.mean(list(overall.values()))]
        cells.append([name, *("-" if x is None else f"{x:+.1f}" for x in numbers), f"{error:.1f}"])
    return [
        "## Level of what is synthesised",
        "In dB over the target: of each string in all windows in which it sounds, the mean over strings, and the "
        "median over windows of the difference without its sign. A model follows the level where the last is small.",
        tables.render_markdown(cells),
    ]


def correlations(surveys: Mapping[str, Survey]) -> list[str]:
    """Returns a table of how alike a control moves on different strings, a line a control."""
    cells = [["model", "control", "mean", "least", "greatest"]]
    for name, found in surveys.items():
        for control, matrix in found.between_sources.items():
            values = off_diagonal(matrix)
            numbers = (values.mean(), values.min(), values.max()) if len(values) else ()
            cells.append([name, control, *(f"{x:.2f}" for x in numbers or ())] + ["-"] * (3 - len(numbers)))
    if len(cells) == 1:
        return []
    return [
        "## Controls of different strings",
        "Correlation coefficient of one control between two strings, over all pairs of strings; each is the mean over "
        "excerpts. Near 1, strings are not controlled by themselves. Without a number, the control does not move.",
        tables.render_markdown(cells),
    ]


def pictures(name: str, shown: Example, found: Survey, folder: Path) -> tuple[list[str], list[Path]]:
    """Returns paragraphs and figures of one model: waveforms, controls, correlations."""
    title = f"{name}: start of {shown.track}"
    figures = [folder / "sources.png"]
    draw_sources(shown, figures[0], title)
    figures += draw_controls(shown, folder, title)
    for kind, matrices in (("strings", found.between_sources), ("controls", found.between_controls)):
        labels = SOURCES if kind == "strings" else list(found.between_sources)
        if matrices and len(labels) > 1:
            figures.append(folder / f"between_{kind}.png")
            draw_matrices(matrices, labels, figures[-1], f"{name}: correlation between {kind}")
    links = [f"![{path.stem} of {name}]({name}/{path.name})" for path in figures]
    return [f"## {name}", *links], figures
