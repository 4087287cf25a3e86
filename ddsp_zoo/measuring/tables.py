"""Rows to numbers that can be quoted: means, medians, intervals; as text, Markdown, CSV and JSON."""

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterable, Sequence
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
        "mean": float(values.mean()),
        "median": float(np.median(values)),
        "std": float(values.std()),
        "low": low,
        "high": high,
        "count": len(values),
        "tracks": len(by_track),
    }


def _interval(tracks: Sequence[Sequence[float]], resamples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean over rows, by drawing tracks with replacement."""
    if len(tracks) < 2:
        return math.nan, math.nan
    sums, counts = (np.array([f(track) for track in tracks]) for f in (np.sum, len))
    drawn = np.random.default_rng(seed).integers(len(tracks), size=(resamples, len(tracks)))
    low, high = np.percentile(sums[drawn].sum(1) / counts[drawn].sum(1), [2.5, 97.5])
    return float(low), float(high)


def source_names(rows: Sequence[Row], order: Sequence[str] = ()) -> list[str]:
    """The sources of rows or of a summary, those of ``order`` first; before them "all" where it says more than one."""
    found = dict.fromkeys(row["source"] for row in rows if row["source"] != ALL)
    names = [name for name in order if name in found] + [name for name in found if name not in order]
    return ([ALL] if len(set(names) - {REST}) > 1 else []) + names


def mean_only(row: Row) -> str:
    """As in 9.76; a dash where nothing was measured."""
    return f"{row['mean']:.2f}" if row["count"] else "-"


def mean_and_interval(row: Row) -> str:
    """As in 9.76 [9.12, 10.33], without brackets where there is no interval."""
    return mean_only(row) + ("" if math.isnan(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]")


def median_and_deviation(row: Row) -> str:
    """As in 9.93 (3.10); a dash where nothing was measured."""
    return f"{row['median']:.2f} ({row['std']:.2f})" if row["count"] else "-"


def by_metric(summary: Sequence[Row], source: str = ALL) -> list[list[str]]:
    """One source in cells: a header, and one line a system with mean and interval of each metric."""
    chosen = [row for row in summary if row["source"] == source]
    return _cells(chosen, "metric", list(dict.fromkeys(row["metric"] for row in chosen)), mean_and_interval)


def by_source(
    summary: Sequence[Row],
    metric: str = "si_sdr_db",
    order: Sequence[str] = (),
    show: Callable[[Row], str] = mean_only,
    together: bool = True,
) -> list[list[str]]:
    """One metric in cells: a header, and one line a system with each of `source_names`, shown by ``show``.

    Without ``together`` there is no column for all sources: systems may separate different ones.
    """
    chosen = [row for row in summary if row["metric"] == metric]
    if not together:
        return _cells(chosen, "source", [name for name in source_names(chosen, order) if name != ALL], show)
    return _cells(chosen, "source", source_names(chosen, order), show)


def _cells(rows: Sequence[Row], key: str, columns: list[str], show: Callable[[Row], str]) -> list[list[str]]:
    """A header and one line a system, with a column for each of the values of ``key``; "-" where none is."""
    shown = {(row["system"], row[key]): show(row) for row in rows}
    systems = dict.fromkeys(row["system"] for row in rows)
    return [["system", *columns]] + [
        [x, *(shown.get((x, column), "-") for column in columns)] for x in systems
    ]


def render_text(cells: Sequence[Sequence[str]]) -> str:
    """Cells in aligned columns, for a terminal."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths)).rstrip() for line in cells)


def render_markdown(cells: Sequence[Sequence[str]]) -> str:
    """Cells as a table in Markdown."""
    header, *body = ("| " + " | ".join(line) + " |" for line in cells)
    return "\n".join([header, "|---" * len(cells[0]) + "|", *body])


def write_csv(rows: Sequence[Row], path: str | Path) -> None:
    """Write rows with a header, cells that a row lacks empty; the file appears whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, fieldnames=list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
    )
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
