"""The page of the protocol "bands": tables and a figure of each instrument, with their text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.measuring.metrics import IMPROVEMENT, MEL_CEPSTRAL_DISTANCE, SDR_V4, SI_SDR, Metric
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.summary import ALL
from ddsp_zoo.measuring.summary import summarise as summarise_all
from ddsp_zoo.reports import comparison, tables
from ddsp_zoo.reports.comparison import Measured
from ddsp_zoo.reports.figures import axis_label, box_plot
from ddsp_zoo.reports.report import systems_of
from ddsp_zoo.sources import REST

SUMMARY = "summary.csv"
V4 = SDR_V4.name
DRAWN = (SI_SDR, MEL_CEPSTRAL_DISTANCE)


def section(group: Sequence[Measured], out_dir: Path) -> tuple[list[str], list[Path], list[Row]]:
    """Returns paragraphs, figures and summary of systems on the same tracks at the same rate."""
    protocol = group[0].protocol
    rows, colours = comparison.join(group)
    instruments = _instruments(group)
    rows = [row for row in rows if row["source"] in instruments]
    summary = summarise(rows)
    title, ending = f"{protocol['data']} at {protocol['sample_rate'] / 1000:g} kHz", _ending(protocol)
    page, figures = _heading(title, protocol), []
    page += ["SI-SDR improvement over the mixture in dB:", _overview(summary, instruments)]
    for metric in DRAWN:
        figures.append(out_dir / f"{metric.name}_{ending}.png")
        drawn = [row for row in rows if np.isfinite(row[metric.name])]
        box_plot(drawn, metric, figures[-1], title, instruments, colours, together=False)
        page += [f"{axis_label(metric)}:", f"![{metric.title}]({figures[-1].name})"]
    for instrument in instruments:
        page += [f"### {title}: {instrument}", instrument_table(summary, instrument, group[0].metrics)]
    page += [f"### {title}: systems", systems_of(group)]
    where = {key: protocol[key] for key in ("data", "sample_rate")}
    return page, figures, [where | row for row in summary]


def _ending(protocol: Mapping[str, Any]) -> str:
    return f"{protocol['data']}_{protocol['sample_rate']}"


def _instruments(group: Sequence[Measured]) -> list[str]:
    """The sources that any model or any stems from elsewhere separate."""
    known = {"mixture", "noise", "irm", "irm_power"}
    separated = {row["source"] for one in group for row in one.rows if row["system"] not in known}
    return [name for name in group[0].protocol["sources"] if name in separated and name != REST]


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Returns `measuring.summary.summarise` by source; of `SDR_V4` over the medians of tracks, as museval has it."""
    summary = [row for row in summarise_all(rows) if row["source"] != ALL and row["metric"] != V4]
    medians = [row for row in summarise_all(_track_medians(rows)) if row["source"] != ALL]
    return summary + medians


def _track_medians(rows: Sequence[Row]) -> list[Row]:
    """One row a track, source and system: the median of `SDR_V4` over its windows."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if np.isfinite(row[V4]):
            values.setdefault((row["track"], row["source"], row["system"]), []).append(row[V4])
    return [
        {"track": track, "source": source, "system": system, V4: float(np.median(windows))}
        for (track, source, system), windows in values.items()
    ]


def _heading(title: str, protocol: Mapping[str, Any]) -> list[str]:
    tracks = f"{protocol['tracks']} tracks" if protocol["tracks"] > 1 else "one track"
    spread = ", in brackets their 95 % interval over tracks" if protocol["tracks"] > 1 else ""
    return [
        f"## {title}",
        f"Means over {protocol['frame_seconds']:g}-s windows of {tracks}{spread}. Windows in which an instrument is "
        'silent count only for "in silence": the level of its stem there in dB of the mixture. "SDR v4" is that of '
        "museval: the median over tracks of the median over windows.",
    ]


def _overview(summary: Sequence[Row], instruments: Sequence[str]) -> str:
    cells = tables.by_source(summary, IMPROVEMENT.name, instruments, tables.mean_and_interval, together=False)
    return tables.render_markdown([line for line in cells if line[0] != "mixture"])


def instrument_table(summary: Sequence[Row], instrument: str, metrics: Sequence[Metric]) -> str:
    """Returns a table of all systems that separate an instrument, by all metrics; arrows point to the better."""
    own = {(row["system"], row["metric"]): row for row in summary if row["source"] == instrument}
    cells = [["system", *(_heading_of(metric) for metric in metrics)]]
    for system in dict.fromkeys(system for system, _ in own):
        cells.append([system, *(_shown(own.get((system, metric.name))) for metric in metrics)])
    return tables.render_markdown(cells)


def _heading_of(metric: Metric) -> str:
    median = ", median" if metric.name == V4 else ""
    return f"{metric.title}{median} {'↑' if metric.higher_is_better else '↓'}"


def _shown(row: Row | None) -> str:
    if row is None or not row["count"]:
        return "-"
    return f"{row['median']:.2f}" if row["metric"] == V4 else tables.mean_and_interval(row)
