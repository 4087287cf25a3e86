"""Released and own models of a report, and the check whether a folder holds what was measured of them before."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo import zoo

STAMP = "made_from.json"


def find_checkpoints(
    names: Sequence[str],
    paths: Sequence[str | Path],
    fits: Callable[[tuple[str, ...]], bool],
    reserved: Iterable[str] = (),
) -> dict[str, Path]:
    """Returns checkpoints by what to call them: released models by name, and folders or .ckpt files of one's own.

    With neither, all released models whose sources fit. Own ones are called by their folder, a .ckpt file of a training
    run by its run; "_2" and so on tell apart what would be called the same, or by a name that is reserved.
    """
    if not names and not paths:
        rows = [row for row in map(zoo.info, zoo.list_models()) if "stem_of" not in row]
        names = [row["name"] for row in rows if fits(tuple(row["sources"]))]
    found = {name: zoo.find(name) for name in names}
    for path in map(Path, paths):
        whole = path.expanduser().resolve()
        place = (
            whole.parent.parent if whole.parent.name == "checkpoints" and whole.suffix == ".ckpt" else whole
        )
        found[_unused(place.stem if place.suffix == ".ckpt" else place.name, {*reserved, *found})] = path
    return found


def _unused(name: str, taken: set[str]) -> str:
    candidates = (name, *(f"{name}_{number}" for number in range(2, len(taken) + 2)))
    return next(candidate for candidate in candidates if candidate not in taken)


def is_made_from(folder: Path, stamp: dict[str, Any]) -> bool:
    """Returns whether a folder holds what was measured of just this; the stamp is written after everything else."""
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8")) == stamp
    except (OSError, ValueError):
        return False
