"""What was measured before need not be measured again: models by name, and stamps of what a folder was made from."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.corpora.base import Track

STAMP = "made_from.json"


def find_checkpoints(
    names: Sequence[str],
    paths: Sequence[str | Path],
    fits: Callable[[tuple[str, ...]], bool],
    reserved: Iterable[str] = (),
) -> dict[str, Path]:
    """Checkpoints by what to call them: released models by name, and folders or .ckpt files of one's own.

    With neither, all released models whose sources fit. Own ones are called by their folder, a .ckpt file of a training
    run by its run; "_2" and so on tell apart what would be called the same, or by a name that is reserved.
    """
    from ddsp_zoo import zoo

    if not names and not paths:
        names = [name for name in zoo.list_models() if fits(tuple(zoo.info(name)["sources"]))]
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
    """Whether a folder holds what was measured of just this; the stamp is written after everything else."""
    try:
        return json.loads((folder / STAMP).read_text(encoding="utf-8")) == stamp
    except (OSError, ValueError):
        return False


def digest_of_model(model: Any) -> str:
    """Of class, settings and weights."""
    settings = sorted((name, repr(value)) for name, value in dict(model.hparams).items())
    digest = hashlib.sha256(repr((type(model).__name__, settings)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def digest_of_tracks(tracks: Sequence[Track]) -> str:
    """Of the names and contents of all files of tracks."""
    digest = hashlib.sha256()
    for track in tracks:
        digest.update(track.name.encode())
        for path in (*(x for paths in track.stems.values() for x in paths), track.pitch):
            if path is not None and Path(path).is_file():
                digest.update(Path(path).name.encode() + Path(path).read_bytes())
    return digest.hexdigest()
