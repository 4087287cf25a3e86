"""Evaluations and reports in Weights & Biases: their tables, their figures and what they are of."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.reports.tables import Table
from ddsp_zoo.training.loggers import (
    PatientWandbLogger,
    is_installed,
    log_checkpoint,
    versions,
    wandb_mode,
)


def check_installed() -> None:
    """Raises `DdspZooError` where there is no W&B, before anything is measured for it."""
    if not is_installed():
        raise DdspZooError("W&B is not installed: `pip install wandb` brings it, or leave `wandb=` out.")


def send(
    folder: str | Path,
    files: Iterable[str | Path],
    name: str,
    project: str,
    config: Mapping[str, Any],
    results: Sequence[Row] = (),
    checkpoint: str | Path | None = None,
) -> None:
    """Logs files of a folder as one run: PNG as pictures, CSV and the tables of Markdown pages as tables.

    Args:
        folder: below which the files lie; W&B's own files go to ``<folder>/wandb``.
        files: the files, others than these kinds are left out.
        name: of the run.
        project: of W&B that gets it.
        config: what was measured and how, plain values.
        results: rows of `measuring.summary.summarise`, whose means become ``<metric>/<system>/<source>``.
        checkpoint: a file or folder to keep as an artifact.

    Raises:
        DdspZooError: W&B is not installed or cannot start, see `training.loggers.wandb_mode`.
    """
    check_installed()
    import wandb

    folder, mode = Path(folder), wandb_mode()
    run = PatientWandbLogger(*mode, save_dir=folder, name=name, project=project).experiment
    try:
        run.config.update(dict(config) | {"about": versions() | {"command": "measure"}})
        shown: dict[str, Any] = {}
        for path in (folder / file for file in files):
            title = path.relative_to(folder).with_suffix("").as_posix()
            if path.suffix == ".png":
                shown[f"figures/{title}"] = wandb.Image(str(path))
            for part, table in _tables(path).items():
                shown[f"tables/{title}{part}"] = wandb.Table(columns=table[0], data=_typed(table[1:]))
        numbers = {f"{row['metric']}/{row['system']}/{row['source']}": row["mean"] for row in results}
        run.log(shown | numbers)
        if checkpoint:
            log_checkpoint(run, checkpoint, name, dict(config))
    finally:
        run.finish()


def _tables(path: Path) -> dict[str, Table]:
    """The tables of a file, by what is added to its name."""
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
        return {"": lines} if lines else {}
    return tables_of(path.read_text(encoding="utf-8")) if path.suffix == ".md" else {}


def tables_of(page: str) -> dict[str, Table]:
    """Returns the tables of a page of Markdown by the headings above them; "_2" and so on where they share one."""
    found: dict[str, Table] = {}
    heading, inside = "", ""
    for line in page.splitlines():
        if line.startswith("|"):
            if not inside:
                count = sum(name.partition("_")[0] == heading for name in found)
                inside = f"{heading}_{count + 1}" if count else heading
            found.setdefault(inside, []).append([cell.strip() for cell in line.strip("|").split("|")])
            continue
        inside = ""
        if match := re.match(r"#+ (.*)", line):
            heading = "/" + match[1].replace("/", " ").replace("_", " ")
    return {name: [lines[0], *lines[2:]] for name, lines in found.items() if len(lines) > 2}


def _typed(lines: Table) -> list[list[Any]]:
    """Cells as numbers, in columns that hold nothing else."""
    columns = [_numbers(list(column)) for column in zip(*lines)]
    return [list(line) for line in zip(*columns)]


def _numbers(cells: list[str]) -> list[Any]:
    try:
        return [float(cell) if cell not in ("", "-") else None for cell in cells]
    except ValueError:
        return cells
