"""Evaluations of several models, read from their folders and put side by side where they measure the same windows."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.metrics import BAND_METRICS, METRICS, Metric
from ddsp_zoo.measuring.rows import IDENTITY, WINDOW, Row
from ddsp_zoo.measuring.systems import OF_THE_MODEL
from ddsp_zoo.reports.figures import COLOURS, HUES, UNKNOWN, tints

SAME_DB = 0.1  # mean difference of SI-SDR under which a baseline says the same for two models
NEEDED = {"model", "data", "split", "sources", "sample_rate", "frame_seconds", "seeds", "systems"}


class Measured(NamedTuple):
    """Holds what `ddsp-zoo evaluate` has left in a folder, and the name of the model in the comparison."""

    name: str
    folder: Path
    protocol: dict[str, Any]
    rows: list[Row]
    metrics: tuple[Metric, ...]

    def of(self, system: str) -> list[Row]:
        """Returns the rows of one system."""
        return [row for row in self.rows if row["system"] == system]


def read(folders: Sequence[str | Path]) -> list[Measured]:
    """Returns the evaluations in folders, each named by its model; by its folder where a model comes twice.

    Raises `DdspZooError` where a folder is named twice, holds no evaluation or a damaged one.
    """
    contents = [_read(Path(folder)) for folder in folders]
    names = distinct_names(folders, [protocol["model"] for protocol, *_ in contents])
    return [Measured(name, Path(path), *content) for name, path, content in zip(names, folders, contents)]


def distinct_names(folders: Sequence[str | Path], names: Sequence[str] = ()) -> list[str]:
    """Returns what to call folders: ``names`` where they differ, else the folders' own names, else their paths."""
    paths = [Path(folder).resolve() for folder in folders]
    for candidates in (list(names), [path.name for path in paths], [str(folder) for folder in folders]):
        if len(candidates) == len(paths) == len(set(candidates)) == len(set(paths)):
            return candidates
    raise DdspZooError("A folder is named twice: name each of them once.")


def _read(folder: Path) -> tuple[dict[str, Any], list[Row], tuple[Metric, ...]]:
    """Protocol, rows and metrics of one evaluation."""
    try:
        protocol = json.loads((folder / "summary.json").read_text(encoding="utf-8"))["protocol"]
        with (folder / "rows.csv").open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        metrics = _metrics(protocol, lines)
        rows = [_typed(line, metrics) for line in lines]
        if not rows or not NEEDED <= set(protocol):
            raise ValueError
    except OSError as error:
        raise DdspZooError(
            f"{folder} holds no evaluation ({Path(error.filename).name}: {error.strerror}): name a folder that "
            "`ddsp-zoo evaluate --out` wrote."
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DdspZooError(
            f"The evaluation in {folder} is damaged: run `ddsp-zoo evaluate` again."
        ) from error
    return protocol, rows, metrics


def _metrics(protocol: dict[str, Any], lines: Sequence[dict[str, str]]) -> tuple[Metric, ...]:
    """The metrics of an evaluation, as its protocol describes them; those of earlier versions are known by name."""
    if "metrics" in protocol:
        return tuple(Metric(**described) for described in protocol["metrics"])
    known = {metric.name: metric for metric in (*METRICS, *BAND_METRICS)}
    return tuple(known[name] for name in (lines[0] if lines else ()) if name not in IDENTITY)


def _typed(line: dict[str, str], metrics: Sequence[Metric]) -> Row:
    """A line of rows.csv as `protocol.evaluate` gave it."""
    numbers = {metric.name: float(line[metric.name]) for metric in metrics}
    return {key: line[key] for key in IDENTITY} | {WINDOW: int(line[WINDOW])} | numbers


def comparable(measured: Sequence[Measured]) -> list[list[Measured]]:
    """Returns groups that share data, split, rate and sources, in order of appearance.

    Raises `DdspZooError` where evaluations that share all this measure other windows or other audio.
    """
    groups: dict[tuple[Any, ...], list[Measured]] = {}
    for one in measured:
        key = (*(one.protocol[key] for key in ("data", "split", "sample_rate")), *one.protocol["sources"])
        groups.setdefault(key, []).append(one)
    for first, *others in groups.values():
        for other in others:
            _check_same_windows(first, other)
    return list(groups.values())


def _check_same_windows(one: Measured, other: Measured) -> None:
    """The mixture itself is measured without a model: it shows whether two evaluations heard the same."""
    lengths = [x.protocol["frame_seconds"] for x in (one, other)]
    if lengths[0] == lengths[1] and _difference_db(one.of("mixture"), other.of("mixture")) < SAME_DB:
        return
    raise DdspZooError(
        f"{one.folder} and {other.folder} measure different windows of {one.protocol['data']}: evaluate both on the "
        "same data and with the same --tracks, or report them apart."
    )


def _difference_db(rows: Sequence[Row], others: Sequence[Row]) -> float:
    """Mean absolute difference of SI-SDR over windows; infinite where the windows are not the same."""
    first, second = (
        {(row["track"], row["source"], row[WINDOW]): row["si_sdr_db"] for row in group}
        for group in (rows, others)
    )
    if set(first) != set(second):
        return float("inf")
    return float(np.nanmean([abs(value - second[window]) for window, value in first.items()]))


def shared_metrics(group: Sequence[Measured]) -> list[Metric]:
    """Returns the metrics that all evaluations of a group have."""
    names = [{metric.name for metric in one.metrics} for one in group]
    return [metric for metric in group[0].metrics if all(metric.name in own for own in names)]


def join(group: Sequence[Measured]) -> tuple[list[Row], dict[str, str]]:
    """Returns rows of comparable models side by side, and the colour of each system in the order of a figure.

    The outputs of a model are called "<model>: <system>". A baseline comes once, by its own name; where it says
    something else for another model, which was given another pitch or has another window, again with that name.
    """
    rows: list[Row] = []
    colours: dict[str, str] = {}
    found = {row["system"] for one in group for row in one.rows}
    for system in (*COLOURS, *sorted(found - set(COLOURS))):
        if system in OF_THE_MODEL[1:]:
            continue  # they come with the first
        parts = _outputs(group) if system == OF_THE_MODEL[0] else _baseline(group, system)
        for name, colour, chosen in parts:
            rows += [row | {"system": name} for row in chosen]
            colours[name] = colour
    return rows, colours


def _outputs(group: Sequence[Measured]) -> Iterator[tuple[str, str, list[Row]]]:
    """Name, colour and rows of what each model puts out."""
    for number, one in enumerate(group):
        for system, colour in zip(OF_THE_MODEL, tints(HUES[number % len(HUES)])):
            if rows := one.of(system):
                yield f"{one.name}: {system}", colour, rows


def _baseline(group: Sequence[Measured], system: str) -> Iterator[tuple[str, str, list[Row]]]:
    """Name, colour and rows of every form of one baseline; noise is noise, whatever its seeds."""
    forms: list[list[Row]] = []
    for one in group:
        rows = one.of(system)
        known = system == "noise" and forms or any(_difference_db(rows, form) < SAME_DB for form in forms)
        if rows and not known:
            yield (f"{system} ({one.name})" if forms else system), COLOURS.get(system, UNKNOWN), rows
            forms.append(rows)
