"""A survey and an example in the files of a folder, so that a later report only draws them."""

import csv
import json
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.measuring.survey import LEVELS, Example, Survey
from ddsp_zoo.reports import tables

LEVELS_FILE, CORRELATIONS_FILE, EXAMPLE_FILE = "levels.csv", "correlations.json", "example.npz"
GROUPS = ("pitch", "controls")  # fields of an example that hold several arrays
SOUNDS = ("target", "synthesised", "masked")


def save(survey: Survey, example: Example, folder: Path) -> None:
    """Writes a survey and an example."""
    tables.write_csv(survey.levels, folder / LEVELS_FILE)
    matrices = {"sources": survey.between_sources, "controls": survey.between_controls}
    plain = {
        kind: {name: matrix.tolist() for name, matrix in group.items()} for kind, group in matrices.items()
    }
    tables.write_json(plain, folder / CORRELATIONS_FILE)
    arrays = {name: getattr(example, name) for name in SOUNDS}
    arrays |= {f"{group}/{name}": x for group in GROUPS for name, x in getattr(example, group).items()}
    about = {key: x for key, x in example._asdict().items() if key not in (*GROUPS, *SOUNDS)}
    with replaced_when_done(folder / EXAMPLE_FILE) as draft:
        np.savez_compressed(draft, about=np.array(json.dumps(about)), **arrays)


def read(folder: Path) -> tuple[Survey, Example]:
    """Returns what `save` has written; `DdspZooError` where it is damaged."""
    try:
        return _read_survey(folder), _read_example(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile) as error:
        raise DdspZooError(f"{folder} is damaged: delete it to have it measured anew.") from error


def _read_survey(folder: Path) -> Survey:
    with (folder / LEVELS_FILE).open(newline="", encoding="utf-8") as file:
        levels = [row | {key: float(row[key]) for key in LEVELS} for row in csv.DictReader(file)]
    plain = json.loads((folder / CORRELATIONS_FILE).read_text(encoding="utf-8"))
    groups = [
        {name: np.array(matrix, dtype=float) for name, matrix in plain[kind].items()}
        for kind in ("sources", "controls")
    ]
    return Survey(levels, *groups)


def _read_example(folder: Path) -> Example:
    with np.load(folder / EXAMPLE_FILE) as file:
        arrays = {key: file[key] for key in file.files}
    about = json.loads(str(arrays.pop("about")))
    fields = about | {name: arrays[name] for name in SOUNDS}
    for group in GROUPS:
        own = [key for key in arrays if key.startswith(f"{group}/")]
        fields[group] = {key.partition("/")[2]: arrays[key] for key in own}
    return Example(**fields | {"sources": tuple(about["sources"])})
