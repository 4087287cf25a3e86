"""Digests of files, to know them again."""

import hashlib
from pathlib import Path

from ddsp_zoo.errors import DdspZooError


def sha256_of(path: str | Path) -> str:
    """Returns the sha256 of a file's content; of a folder's, that of the names and contents of its files.

    Files in folders of a folder, and hidden ones, do not count.
    """
    digest, path = hashlib.sha256(), Path(path)
    inside = (
        sorted(file for file in path.iterdir() if file.name[0] != "." and file.is_file())
        if path.is_dir()
        else ()
    )
    for file in inside:
        digest.update(f"{file.name} {sha256_of(file)}\n".encode())
    if path.exists() and not (path.is_dir() or path.is_file()):
        raise DdspZooError(
            f"{path} is a pipe or a device, and is read more than once: write it to a file and pass that."
        )
    if not path.is_dir():
        with path.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
