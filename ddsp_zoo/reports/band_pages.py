"""The page of the protocol "bands": what a table and a figure say of each instrument."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.measuring import tables
from ddsp_zoo.measuring.band_rows import IMPROVEMENT, LEAK
from ddsp_zoo.reports import comparison
from ddsp_zoo.reports.comparison import Measured
from ddsp_zoo.reports.figures import LABELS, axis_label, box_plot
from ddsp_zoo.reports.report import systems_of
from ddsp_zoo.sources import REST

SUMMARY = "summary.csv"
V4 = "sdr_v4_db"
DRAWN = ("si_sdr_db", "mel_cepstral_distance")
COLUMNS = {  # of the table of an instrument; beside the unit the direction
    "si_sdr_db": "SI-SDR ↑",
    IMPROVEMENT: "improvement ↑",
    "sdr_db": "SDR ↑",
    V4: "SDR v4, median ↑",
    "spectral_si_snr_db": "spectral SI-SNR ↑",
    "mel_cepstral_distance": "MCD ↓",
    "multi_scale_spectral": "MSS ↓",
    LEAK: "in silence ↓",
}

Row = dict[str, Any]


def section(group: Sequence[Measured], out_dir: Path) -> tuple[list[str], list[Path], list[Row]]:
    """Paragraphs, figures and summary of systems on the same tracks at the same rate."""
    protocol = group[0].protocol
    rows, colours = comparison.join(group)
    instruments = _instruments(group)
    rows = [row for row in rows if row["source"] in instruments]
    summary = summarise(rows)
    title, ending = f"{protocol['data']} at {protocol['sample_rate'] / 1000:g} kHz", _ending(protocol)
    page, figures = _heading(title, protocol), []
    page += ["SI-SDR improvement over the mixture in dB:", _overview(summary, instruments)]
    for metric in DRAWN:
        figures.append(out_dir / f"{metric}_{ending}.png")
        drawn = [row for row in rows if np.isfinite(row[metric])]
        box_plot(drawn, metric, figures[-1], title, instruments, colours, together=False)
        page += [f"{axis_label(metric)}:", f"![{LABELS[metric]}]({figures[-1].name})"]
    for instrument in instruments:
        page += [f"### {title}: {instrument}", instrument_table(summary, instrument)]
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
    """`tables.summarise` without all sources together; of `V4` over the medians of the tracks, as museval has it."""
    summary = [row for row in tables.summarise(rows) if row["source"] != tables.ALL and row["metric"] != V4]
    medians = [row for row in tables.summarise(_track_medians(rows)) if row["source"] != tables.ALL]
    return summary + medians


def _track_medians(rows: Sequence[Row]) -> list[Row]:
    """One row a track, source and system: the median of `V4` over its frames."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        if np.isfinite(row[V4]):
            values.setdefault((row["track"], row["source"], row["system"]), []).append(row[V4])
    return [
        {"track": track, "source": source, "system": system, V4: float(np.median(frames))}
        for (track, source, system), frames in values.items()
    ]


def _heading(title: str, protocol: Mapping[str, Any]) -> list[str]:
    tracks = f"{protocol['tracks']} tracks" if protocol["tracks"] > 1 else "one track"
    spread = ", in brackets their 95 % interval over tracks" if protocol["tracks"] > 1 else ""
    return [
        f"## {title}",
        f"Means over {protocol['frame_seconds']:g}-s frames of {tracks}{spread}. Frames in which an instrument is "
        'silent count only for "in silence": the level of its stem there in dB of the mixture. "SDR v4" is that of '
        "museval: the median over tracks of the median over frames.",
    ]


def _overview(summary: Sequence[Row], instruments: Sequence[str]) -> str:
    cells = tables.by_source(summary, IMPROVEMENT, instruments, tables.mean_and_interval, together=False)
    return tables.render_markdown([line for line in cells if line[0] != "mixture"])


def instrument_table(summary: Sequence[Row], instrument: str) -> str:
    """All systems that separate an instrument, by all metrics."""
    own = {(row["system"], row["metric"]): row for row in summary if row["source"] == instrument}
    cells = [["system", *COLUMNS.values()]]
    for system in dict.fromkeys(system for system, _ in own):
        cells.append([system, *(_shown(own.get((system, metric))) for metric in COLUMNS)])
    return tables.render_markdown(cells)


def _shown(row: Row | None) -> str:
    if row is None or not row["count"]:
        return "-"
    return f"{row['median']:.2f}" if row["metric"] == V4 else tables.mean_and_interval(row)
