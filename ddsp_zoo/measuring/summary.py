"""Summaries of rows that can be quoted: means, medians and their intervals."""

import math
from collections.abc import Sequence

import numpy as np

from ddsp_zoo.measuring.rows import Row, metric_names
from ddsp_zoo.sources import REST

ALL = "all"  # stands in `source` for the named sources together


def summarise(rows: Sequence[Row], resamples: int = 2000, seed: int = 0) -> list[Row]:
    """Returns statistics of every system, source and metric: one row each, and one for ``source`` "all" together.

    "all" leaves out a source called "rest". ``mean``, ``median`` and ``std`` are over rows, as in UMSS; rows
    without a value are left out of ``count``. ``low`` and ``high`` bound 95 % of the means of ``resamples``
    random draws of whole tracks: windows of a track resemble each other, so single windows are not independent
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
    """Returns the sources of rows or of a summary, those of ``order`` first.

    Before them stands "all" where there are several.
    """
    found = dict.fromkeys(row["source"] for row in rows if row["source"] != ALL)
    names = [name for name in order if name in found] + [name for name in found if name not in order]
    return ([ALL] if len(set(names) - {REST}) > 1 else []) + names
