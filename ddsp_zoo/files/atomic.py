"""Writes files and folders that appear when they are complete, or not at all.

What is being written lies in a hidden folder, a part, which its process holds locked. A process that ends clears its
parts away; those of a process that was killed are known by their open lock, and go when somebody next writes there.
"""

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from ddsp_zoo.errors import DdspZooError

PART = re.compile(r"\..+\.[0-9a-f]{12}\.ddsp_zoo_part")  # the name of a part


@contextlib.contextmanager
def replaced_when_done(path: str | Path) -> Iterator[Path]:
    """Gives a hidden path beside `path` to write a file to, and moves it to `path` once the block has ended well.

    Folders above it are made as needed. After an error nothing new is left on disk, and a file that was there stays
    as it was. Raises DdspZooError for a path that cannot be written to.
    """
    path = Path(path)
    with told_in_words(path), folder_above(path), part_in(path.parent, path.name) as part:
        yield part / path.name
        os.replace(part / path.name, path)


@contextlib.contextmanager
def folder_when_done(path: str | Path) -> Iterator[Path]:
    """Makes a hidden folder beside `path` to fill, and moves it to `path` once the block has ended well.

    Folders above it are made as needed. After an error nothing new is left on disk. If `path` exists by then, it stays
    and the new folder is dropped, because the only one that can have made it in between is another process with the
    same task. Raises DdspZooError for a path that cannot be written to.
    """
    path = Path(path)
    with told_in_words(path), folder_above(path), part_in(path.parent, path.name) as part:
        yield part
        try:
            part.rename(path)
        except OSError:
            if not path.is_dir():
                raise


@contextlib.contextmanager
def part_in(folder: Path, name: str) -> Iterator[Path]:
    """Makes a hidden folder in `folder` for as long as the block lasts; removes what killed processes left there."""
    _remove_left_parts(folder)
    part, lock = _new_part(folder, name)
    try:
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _new_part(folder: Path, name: str) -> tuple[Path, int | None]:
    """An empty part and its lock."""
    while True:
        # Neither its length nor a name that is in use may get in the way.
        part = folder / f".{name[:32]}.{uuid.uuid4().hex[:12]}.ddsp_zoo_part"
        part.mkdir()
        lock = _lock(part, wait=True)
        if part.exists():
            return part, lock
        if lock is not None:  # another process took it for one that was left, before it was locked
            os.close(lock)


def _remove_left_parts(folder: Path) -> None:
    """Removes the parts that nobody holds locked."""
    for name in os.listdir(folder):
        if PART.fullmatch(name) and (lock := _lock(folder / name)) is not None:
            shutil.rmtree(folder / name, ignore_errors=True)
            os.close(lock)


def _lock(part: Path, wait: bool = False) -> int | None:
    """Locks a part: an open file, to be closed; None where another process holds it, or where nothing can be locked."""
    try:
        import fcntl

        lock = os.open(part, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(lock)
        return None
    return lock


@contextlib.contextmanager
def told_in_words(path: Path) -> Iterator[None]:
    """Turns an error of the operating system into a sentence that names the path."""
    try:
        yield
    except OSError as error:
        raise DdspZooError(
            f"Cannot write to {path} ({error.strerror or error}): choose another folder."
        ) from error


@contextlib.contextmanager
def folder_above(path: Path) -> Iterator[None]:
    """Makes the folders above `path`; removes those that it made where the block ends with an error."""
    made = [folder for folder in path.parents if not folder.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for folder in made:
            with contextlib.suppress(OSError):  # somebody else has put something there
                folder.rmdir()
        raise
