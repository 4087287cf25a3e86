"""Corpora from Zenodo: with progress, going on where a download stopped, verified, unpacked when complete."""

import hashlib
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.hub import MOST_TRIES, TIMEOUT_SECONDS, receive

ZENODO = "https://zenodo.org"


def fetch_archive(record: str, name: str, folder: Path) -> None:
    """Bring the zip file ``name`` of a Zenodo record and unpack it as ``folder``, which appears when all is there.

    The record says how long the file is and what its MD5 sum is. Raises `DdspZooError` where downloads are
    forbidden (DDSP_ZOO_OFFLINE=1), the server does not answer, or what comes is not what was promised.
    """
    from filelock import FileLock

    if os.environ.get("DDSP_ZOO_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}:
        raise DdspZooError(
            f"DDSP_ZOO_OFFLINE forbids downloads: unpack {name} ({ZENODO}/records/{record}) yourself."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if folder.exists():  # another process brought it while this one waited
            return
        part = folder.with_name(f"{folder.name}.zip.part")
        entry = _entry(record, name)
        _bring(entry["links"]["self"], part, entry["size"], entry["checksum"].removeprefix("md5:"))
        _unpack(part, folder)
        part.unlink()


def _entry(record: str, name: str) -> dict[str, Any]:
    """What Zenodo knows about a file: size in bytes, checksum, links."""
    import requests

    address = f"{ZENODO}/api/records/{record}"
    try:
        answer = requests.get(address, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return next(entry for entry in answer.json()["files"] if entry["key"] == name)
    except (requests.RequestException, ValueError, KeyError, StopIteration) as error:
        raise DdspZooError(
            f"{address} does not tell where {name} is ({type(error).__name__}): try again, or download it from "
            f"{ZENODO}/records/{record} and unpack it."
        ) from error


def _bring(url: str, part: Path, size: int, md5: str) -> None:
    """Fill ``part`` with what it lacks of a file, and verify it."""
    problem = "the server sent nothing"
    for _ in range(MOST_TRIES):
        before = part.stat().st_size if part.exists() else 0
        problem = receive(url, part, size)
        if part.stat().st_size >= size or part.stat().st_size <= before:
            break
    if (found := part.stat().st_size) < size:
        raise DdspZooError(
            f"The download of {url} stopped at {found} of {size} bytes ({problem}): run it again."
        )
    digest = hashlib.md5()
    with part.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() == md5:
        return
    part.unlink()
    raise DdspZooError(f"{url} is not the file that its MD5 sum promises, so it was thrown away: try again.")


def _unpack(archive: Path, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(partial, [n for n in content.namelist() if not n.startswith("__MACOSX")])
        partial.rename(folder)
    except zipfile.BadZipFile as error:
        raise DdspZooError(f"{archive} is no zip file: remove it and try again.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
