"""Reads and writes pitch curves as CSV files, which people draw by hand and other programs read."""

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done


def write_f0_csv(
    path: str | Path,
    time_seconds: np.ndarray,
    f0_hz: np.ndarray,
    sources: Sequence[str],
    onset: np.ndarray | None = None,
) -> None:
    """Writes pitch curves (S, M) at times (M,), 0 = unvoiced, and 0/1 onsets (S, M) if any, for `read_f0_csv`.

    Columns: `time_seconds,<source>,...` and, with onsets, `<source>_onset,...`. Anything that is no pitch
    (NaN, below 0) is written as 0.
    """
    header, columns = ["time_seconds", *sources], [np.asarray(time_seconds), *np.asarray(f0_hz)]
    if onset is not None:
        header += [f"{source}_onset" for source in sources]
        columns += list((np.asarray(onset) > 0.5).astype(int))
    if len(header) != len(columns) or len({len(column) for column in columns}) != 1:
        raise ValueError(
            f"{len(sources)} sources and {len(time_seconds)} times, but f0_hz is {np.shape(f0_hz)}"
        )
    pitches = slice(1, 1 + len(sources))
    columns[pitches] = [np.where(np.isfinite(f0) & (f0 > 0), f0, 0) for f0 in columns[pitches]]
    write_csv(path, header, columns)


def write_csv(path: str | Path, header: list[str], columns: Sequence[np.ndarray]) -> None:
    """Writes columns under a header, with nine digits: exact for float32, a microsecond in a quarter of an hour."""
    with replaced_when_done(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows([f"{value:.9g}" for value in row] for row in zip(*columns, strict=True))


def read_f0_csv(path: str | Path, sources: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Reads pitch curves: time_seconds (M,) float64, f0_hz (S, M) float32, onset (S, M) float32 or None.

    The columns may stand in any order and there may be others; f0 is 0 where unvoiced. Onset is None if none
    of the sources has a `<source>_onset` column, and 0 for a source that lacks one while others have it.
    Raises DdspZooError naming the file and the column or line at fault: a missing or doubled column, a cell
    that is no number, negative, NaN or infinite, an onset other than 0 or 1, times that do not increase.
    """
    path = Path(path)
    rows = _rows(path)
    _, header = next(rows, (1, []))
    header = [cell.strip() for cell in header]
    onsets = [f"{source}_onset" for source in sources if f"{source}_onset" in header]
    wanted = ["time_seconds", *sources, *onsets]
    where = _positions(path, header, wanted)
    table = {name: [] for name in wanted}
    for line, row in rows:
        if len(row) != len(header):
            raise DdspZooError(
                f"{path}, line {line}: {len(row)} cells under {len(header)} columns; mend the line."
            )
        for name in wanted:
            table[name].append(_number(path, line, name, row[where[name]], binary=name in onsets))
        if len(table["time_seconds"]) > 1 and table["time_seconds"][-1] <= table["time_seconds"][-2]:
            raise DdspZooError(
                f"{path}, line {line}: time_seconds does not increase; sort the lines by time."
            )
    if not table["time_seconds"]:
        raise DdspZooError(f"{path} has no line of numbers: give it one per frame.")
    f0_hz = np.array([table[source] for source in sources], dtype=np.float32)
    silent = [0.0] * f0_hz.shape[-1]
    onset = (
        np.array([table.get(f"{source}_onset", silent) for source in sources], np.float32) if onsets else None
    )
    return np.array(table["time_seconds"]), f0_hz, onset


def sources_in(path: str | Path) -> list[str]:
    """Returns the names of the sources that have a pitch curve in a table, in the order of its columns."""
    _, header = next(_rows(Path(path)), (1, []))
    names = [cell.strip() for cell in header]
    _positions(Path(path), names, ["time_seconds"])
    return [name for name in names if name != "time_seconds" and not name.endswith("_onset")]


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields (line number from 1, cells) of every line that is not blank; a byte order mark is dropped."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield reader.line_num, row
    except OSError as error:
        raise DdspZooError(f"Cannot read {path} ({error.strerror}): check the path.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DdspZooError(f"{path} is no text with commas ({error}): save it as CSV in UTF-8.") from error


def _positions(path: Path, header: list[str], wanted: list[str]) -> dict[str, int]:
    for name in wanted:
        if header.count(name) != 1:
            problem = "has no column" if name not in header else "has more than one column"
            found = ", ".join(header) or "none"
            raise DdspZooError(
                f"{path} {problem} {name!r} (found: {found}): its first line must hold {','.join(wanted)}; "
                "a source that rests has a column of 0."
            )
    return {name: header.index(name) for name in wanted}


def _number(path: Path, line: int, name: str, cell: str, binary: bool) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DdspZooError(f"{path}, line {line}: {name} is {cell.strip()!r}; put a number of 0 or more.")
    if binary and value not in (0, 1):
        raise DdspZooError(f"{path}, line {line}: {name} is {cell.strip()!r}; put 0 or 1.")
    return value
