"""Tables of numbers: for a terminal, in Markdown, and as CSV and JSON files.

A table is a list of lines of cells, its header first.
"""

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.measuring.pitch import score_names
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.summary import ALL, source_names

Table = list[list[str]]


def mean_only(row: Row) -> str:
    """Returns the mean with two decimals, for example "9.76"; "-" where nothing was measured."""
    return f"{row['mean']:.2f}" if row["count"] else "-"


def mean_and_interval(row: Row) -> str:
    """Returns mean and interval, for example "9.76 [9.12, 10.33]"; the mean alone where there is no interval."""
    low, high = row["low"], row["high"]
    there = low is not None and not math.isnan(low)  # None: as files have it
    return mean_only(row) + (f" [{low:.2f}, {high:.2f}]" if there else "")


def median_and_deviation(row: Row) -> str:
    """Returns median and deviation, for example "9.93 (3.10)"; "-" where nothing was measured."""
    return f"{row['median']:.2f} ({row['std']:.2f})" if row["count"] else "-"


def by_metric(summary: Sequence[Row], source: str = ALL) -> Table:
    """Returns the table of one source: a header, and one line a system with mean and interval of each metric."""
    chosen = [row for row in summary if row["source"] == source]
    return _cells(chosen, "metric", list(dict.fromkeys(row["metric"] for row in chosen)), mean_and_interval)


def by_source(
    summary: Sequence[Row],
    metric: str = "si_sdr_db",
    order: Sequence[str] = (),
    show: Callable[[Row], str] = mean_only,
    together: bool = True,
) -> Table:
    """Returns the table of one metric: a header, and one line a system with each of `source_names`, shown by ``show``.

    Without ``together`` there is no column for all sources: systems may separate different ones.
    """
    chosen = [row for row in summary if row["metric"] == metric]
    if not together:
        return _cells(chosen, "source", [name for name in source_names(chosen, order) if name != ALL], show)
    return _cells(chosen, "source", source_names(chosen, order), show)


def _cells(rows: Sequence[Row], key: str, columns: list[str], show: Callable[[Row], str]) -> Table:
    """A header and one line a system, with a column for each of the values of ``key``; "-" where none is."""
    shown = {(row["system"], row[key]): show(row) for row in rows}
    systems = dict.fromkeys(row["system"] for row in rows)
    return [["system", *columns]] + [
        [x, *(shown.get((x, column), "-") for column in columns)] for x in systems
    ]


def render_text(cells: Table) -> str:
    """Returns a table in aligned columns, for a terminal."""
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(x.ljust(w) for x, w in zip(line, widths)).rstrip() for line in cells)


def render_markdown(cells: Table) -> str:
    """Returns a table in Markdown."""
    header, *body = ("| " + " | ".join(line) + " |" for line in cells)
    return "\n".join([header, "|---" * len(cells[0]) + "|", *body])


def pitch_table(summary: list[Row]) -> Table:
    """Returns the table of the rows of `measuring.pitch.summarise_pitch`, a line a source."""
    names = list(dict.fromkeys(name for row in summary for name in score_names(row)))
    lines = [
        [row["source"], *(f"{row[name]:.3f}" if name in row else "" for name in names)] for row in summary
    ]
    return [["source", *names], *lines]


def onset_table(summary: list[Row]) -> Table:
    """Returns the table of the rows of `measuring.onsets.summarise_onsets`."""
    shares, errors = ("precision", "recall", "f_measure"), ("late_ms", "off_ms")
    lines = [
        [row["system"], row["pitch"], *(f"{row[x]:.3f}" for x in shares), *(f"{row[x]:.1f}" for x in errors)]
        for row in summary
    ]
    return [["system", "pitch", *shares, *errors], *lines]


def tab_table(summary: dict[str, list[Row]]) -> Table:
    """Returns the table of the rows of `measuring.tab.summarise_tab`, by what they were measured on."""
    names = ("pitch_precision", "pitch_recall", "pitch_f_measure", "tab_f_measure", "disambiguation")
    names += ("note_precision", "note_recall", "note_f_measure")
    lines = [
        [data, row["system"], *(f"{row[name]:.3f}" if name in row else "-" for name in names)]
        for data, rows in summary.items()
        for row in rows
    ]
    return [["data", "system", *names], *lines]


def drum_table(summary: list[Row]) -> Table:
    """Returns the table of the rows of `measuring.drums.summarise_drums`."""
    shares = ("precision", "recall", "f_measure")
    lines = [
        [row["system"], row["instrument"], *(f"{row[x]:.3f}" for x in shares), f"{row['annotated']}"]
        for row in summary
        if row["annotated"]
    ]
    return [["system", "instrument", *shares, "hits"], *lines]


def write_csv(rows: Sequence[Row], path: str | Path) -> None:
    """Writes rows with a header, cells that a row lacks empty; the file appears whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(
        text, fieldnames=list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(text.getvalue().encode(), path)


def write_json(content: Any, path: str | Path) -> None:
    """Writes plain data as JSON, NaN as null; the file appears whole or not at all."""
    write_bytes((json.dumps(_plain(content), indent=2, allow_nan=False) + "\n").encode(), path)


def _plain(content: Any) -> Any:
    """Content without NaN and infinity, which JSON does not know."""
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, Iterable) and not isinstance(content, str):
        return [_plain(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_bytes(content: bytes, path: str | Path) -> None:
    """Writes a file that appears whole or not at all; its folder is made where missing."""
    with replaced_when_done(path) as draft:
        draft.write_bytes(content)
