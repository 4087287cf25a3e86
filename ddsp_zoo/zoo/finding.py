"""Finds the folder with the checkpoint of a model by the model's name. It is looked for in this order:

1. `$DDSP_ZOO_CHECKPOINTS/<name>/`;
2. the `checkpoints/` folder of the repository, or of the installed package, which has the weights of a few;
3. the cache: `$DDSP_ZOO_CACHE`, else `ddsp_zoo` in the user's cache folder (`~/.cache` on Linux);
4. the hub (`$DDSP_ZOO_HUB`, else the manifest's endpoint) at the manifest's revision,
   unless `DDSP_ZOO_OFFLINE=1` or `HF_HUB_OFFLINE=1`.

Files of 2 to 4 must match the sha256 in the manifest each time they are used; 1 is the user's own.

Downloads are plain HTTP requests to the hub's `resolve` addresses, not calls of its client library: as size and
sha256 are known beforehand, a later call or process can go on with a partial file, and an unreachable server is
reported at once, where the client retries for 23 s and starts each call anew.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import cache_root
from ddsp_zoo.files.download import forbidden_by, receive, size_of
from ddsp_zoo.zoo import manifest
from ddsp_zoo.zoo.manifest import CARD, CONFIG, METRICS, WEIGHTS, Files, damaged, fingerprint


def find(name: str) -> Path:
    """Returns the folder with the verified checkpoint of `name`; downloads it where it is not on this machine yet.

    Raises `DdspZooError` for an unknown name, damaged files, a failed or impossible download.
    """
    manifest.check_name(name)
    own = _own_root()
    if own and (own / name).is_dir():
        return own / name
    if whole := manifest.row(name).get("stem_of"):
        return find(whole)
    files, bundled = manifest.row(name)["files"], manifest.bundle() / name
    if not (bundled / WEIGHTS).exists():
        return _cached(name, files)
    if wrong := damaged(bundled, files):
        raise DdspZooError(
            f"{bundled / wrong[0]} does not match the manifest's sha256: restore it with `git checkout -- "
            f"checkpoints/{name}` or install ddsp_zoo again; if you changed it, run `python -m ddsp_zoo.zoo`."
        )
    return bundled


def info(name: str) -> dict[str, Any]:
    """Returns what is known about a model, without loading or downloading anything.

    The manifest's row (summary, sources, sample_rate in Hz, licences, paper, files) and `name`, `card` (text),
    `metrics` (dict); the last two are None while they are not on this machine. Of a name that stands for a
    stem of another model, files, card and metrics are that one's.
    """
    row = manifest.row(name)
    if whole := row.get("stem_of"):  # unless there is one of the user's own
        return info(whole) | row | {"name": name}
    places = [place / name for place in (_own_root(), manifest.bundle()) if place] + [_cache_folder(name)]
    held = (place for place in places if (place / WEIGHTS).exists() or (place / CARD).exists())
    folder = next(held, places[-1])
    card, metrics = folder / CARD, folder / METRICS
    return {
        **row,
        "name": name,
        "card": card.read_text(encoding="utf-8") if card.exists() else None,
        "metrics": json.loads(metrics.read_text(encoding="utf-8")) if metrics.exists() else None,
    }


def stems_of_another(name: str) -> tuple[str, ...]:
    """Returns which stems of another model a name stands for, () where it is a model of its own."""
    own, row = _own_root(), manifest.read_manifest()["models"].get(name, {})
    return () if "stem_of" not in row or (own and (own / name).is_dir()) else tuple(row["sources"])


def _own_root() -> Path | None:
    """Returns the folder that DDSP_ZOO_CHECKPOINTS names, if any."""
    root = os.environ.get("DDSP_ZOO_CHECKPOINTS")
    if root and not Path(root).expanduser().is_dir():
        raise DdspZooError(f"DDSP_ZOO_CHECKPOINTS names {root}, which is no folder: correct it or unset it.")
    return Path(root).expanduser() if root else None


def _cache_folder(name: str) -> Path:
    return cache_root() / name / (manifest.read_manifest()["hub"]["revision"] or "main")


def _cached(name: str, files: Files) -> Path:
    """Returns the folder of `name` in the cache, after downloading what is missing there or damaged."""
    folder = _cache_folder(name)
    if not damaged(folder, files):
        return folder
    address = _address(name, files)
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder.parent / "partial"
        with FileLock(folder.parent / "lock"):
            # Looked at again: another process may have brought the files while this one waited.
            for file in damaged(folder, files):
                _fetch(f"{address}/{file}", partial / files[file]["sha256"], folder / file, files[file])
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DdspZooError(
            f"The cache {folder} cannot be written ({error}): name another folder in DDSP_ZOO_CACHE."
        ) from error
    return folder


def _address(name: str, files: Files) -> str:
    """Returns where the hub keeps the files of `name`; raises an error where it must not or cannot be asked."""
    hub, endpoint = manifest.read_manifest()["hub"], os.environ.get("DDSP_ZOO_HUB")
    obstacle = None if endpoint or hub["published"] else "its weights are not published yet"
    if not obstacle and any(file["sha256"] is None for file in files.values()):
        obstacle = "the manifest has no sha256 to verify a download with"
    if variable := forbidden_by():
        obstacle = f"{variable} forbids downloads"
    if obstacle:
        bundle = manifest.bundle()
        raise DdspZooError(
            f"'{name}' is not on this machine and {obstacle}: put its {WEIGHTS} and {CONFIG} in {bundle / name} "
            f"and set DDSP_ZOO_CHECKPOINTS={bundle}, or do so with another folder."
        )
    endpoint = (endpoint or hub["endpoint"]).rstrip("/")
    return f"{endpoint}/{hub['repository']}/resolve/{hub['revision'] or 'main'}/{name}"


def _fetch(url: str, part: Path, target: Path, expected: dict[str, Any]) -> None:
    """Brings `url` to `part`, going on where an earlier try stopped, and moves it to `target` once verified."""
    part.parent.mkdir(parents=True, exist_ok=True)
    problem = receive(url, part, expected["size"])
    if size_of(part) < expected["size"]:
        raise DdspZooError(
            f"The download of {url} stopped at {size_of(part)} of {expected['size']} bytes ({problem}): "
            "try again, or name a folder that holds the checkpoint in DDSP_ZOO_CHECKPOINTS."
        )
    if fingerprint(part) != expected:
        part.unlink()
        raise DdspZooError(
            f"{url} holds something else than the manifest's sha256 promises, so it was thrown away: "
            "try again, and report it if it stays so."
        )
    os.replace(part, target)
