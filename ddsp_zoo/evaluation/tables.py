"""Rows to numbers that can be quoted: means, medians, intervals; as text, Markdown, CSV and JSON."""

import csv
import io
import json
import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.sources import REST

ALL = "all"  # stands in `source` for the named sources together

Row = dict[str, Any]


def metric_names(rows: Sequence[Row]) -> list[str]:
    """The metric columns of evaluation rows, in their order."""
    return [key for key in rows[0] if key not in ("track", "source", "frame", "system")]


def summarise(rows: Sequence[Row], resamples: int = 2000, seed: int = 0) -> list[Row]:
    """Statistics of every system, source and metric: one row each, and one for ``source`` "all" together.

    "all" leaves out a source called "rest". ``mean``, ``median`` and ``std`` are over rows, as in UMSS; rows
    without a value are left out of ``count``. ``low`` and ``high`` bound 95 % of the means of ``resamples``
    random draws of whole tracks: frames of a track resemble each other, so single frames are not independent
    evidence. With one track there is no interval (NaN).
    """
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        names = (row["source"],) if row["source"] == REST else (row["source"], ALL)
        for source in names:
            groups.setdefault((row["system"], source), []).append(row)
    return [
        {"system": system, "source": source, "metric": metric} | _statistics(group, metric, resamples, seed)
        for (system, source), group in groups.items()
        for metric in metric_names(rows)
    ]


def _statistics(rows: Sequence[Row], metric: str, resamples: int, seed: int) -> Row:
    """Statistics of one metric over rows of one system."""
    by_track: dict[str, list[float]] = {}
    for row in rows:
        if math.isfinite(row[metric]):
            by_track.setdefault(row["track"], []).append(row[metric])
    values = np.array([x for track in by_track.values() for x in track])
    if not len(values):
        return dict.fromkeys(("mean", "median", "std", "low", "high"), math.nan) | {"count": 0, "tracks": 0}
    low, high = _interval(list(by_track.values()), resamples, seed)
    return {
        "mean": float(values.mean()), "median": float(np.median(values)), "std": float(values.std()),
        "low": low, "high": high, "count": len(values), "tracks": len(by_track),
    }  # fmt: skip


def _interval(tracks: Sequence[Sequence[float]], resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean over rows, by drawing tracks with replacement."""
    if len(tracks) < 2:
        return math.nan, math.nan
    sums, counts = (np.array([f(track) for track in tracks]) for f in (np.sum, len))
    drawn = np.random.default_rng(seed).integers(len(tracks), size=(resamples, len(tracks)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def as_cells(summary: Sequence[Row], source: str = ALL) -> list[list[str]]:
    """A header and one line a system with "mean [low, high]" for each metric."""
    chosen = [row for row in summary if row["source"] == source]
    metrics, systems = (list(dict.fromkeys(row[key] for row in chosen)) for key in ("metric", "system"))
    cell = {(row["system"], row["metric"]): _cell(row) for row in chosen}
    body = [[system] + [cell[system, metric] for metric in metrics] for system in systems]
    return [["system", *metrics], *body]


def _cell(row: Row) -> str:
    if not row["count"]:
        return "-"
    interval = "" if math.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
    return f"{row['mean']:.2f}{interval}"


def render_text(summary: Sequence[Row], source: str = ALL) -> str:
    """The table of one source in aligned columns, for a terminal."""
    cells = as_cells(summary, source)
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths)).rstrip() for line in cells)


def render_markdown(summary: Sequence[Row], source: str = ALL) -> str:
    """The table of one source in Markdown."""
    header, *body = ("| " + " | ".join(line) + " |" for line in as_cells(summary, source))
    rule = "|---" * header.count(" | ") + "|---|"
    return "\n".join([header, rule, *body])


def write_csv(rows: Sequence[Row], path: str | Path) -> None:
    """Write rows with a header; the file appears whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(text.getvalue().encode(), path)


def write_json(content: Any, path: str | Path) -> None:
    """Write plain data as JSON, NaN as null; the file appears whole or not at all."""
    write_bytes((json.dumps(_plain(content), indent=2, allow_nan=False) + "\n").encode(), path)


def _plain(content: Any) -> Any:
    """Content without NaN and infinity, which JSON does not know."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, Iterable) and not isinstance(content, str):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_bytes(content: bytes, path: str | Path) -> None:
    """Write a file by renaming a finished one into place; its folder is made where missing."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
