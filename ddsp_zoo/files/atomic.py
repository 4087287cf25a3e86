"""Writes files and folders that appear when they are complete, or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ddsp_zoo.errors import DdspZooError


@contextlib.contextmanager
def replaced_when_done(path: str | Path) -> Iterator[Path]:
    """Gives a hidden path beside `path` to write a file to, and moves it to `path` once the block has ended well.

    Folders above it are made as needed. After an error nothing new is left on disk, and a file that was there stays
    as it was. Raises DdspZooError for a path that cannot be written to.
    """
    path = Path(path)
    draft = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    with _told_in_words(path), _folder_above(path):
        try:
            yield draft
            os.replace(draft, path)
        finally:
            with contextlib.suppress(OSError):  # nothing there: moved, or never begun
                draft.unlink()


@contextlib.contextmanager
def folder_when_done(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Makes a hidden folder beside `path` to fill, and moves it to `path` once the block has ended well.

    Folders above it are made as needed. After an error nothing new is left on disk. If `path` exists by then, it is
    replaced as a whole with `replace`; without, it stays and the new folder is dropped, because the only one that can
    have made it in between is another process with the same task. Raises DdspZooError for a path that cannot be
    written to.
    """
    path = Path(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with _told_in_words(path), _folder_above(path):
        shutil.rmtree(draft, ignore_errors=True)  # of a process that was killed
        try:
            draft.mkdir(parents=True)
            yield draft
            _move_folder(draft, path, replace)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _move_folder(draft: Path, path: Path, replace: bool) -> None:
    """Moves a folder to its place; what it replaces is deleted only after that."""
    old = draft.with_name(f"{draft.name}.old")
    if replace and path.exists():
        path.rename(old)
    try:
        draft.rename(path)
    except OSError:
        if old.exists():
            old.rename(path)
            raise
        if not path.is_dir():
            raise
    shutil.rmtree(old, ignore_errors=True)


@contextlib.contextmanager
def _told_in_words(path: Path) -> Iterator[None]:
    """Turns an error of the operating system into a sentence that names the path."""
    try:
        yield
    except OSError as error:
        raise DdspZooError(
            f"Cannot write to {path} ({error.strerror or error}): choose another folder."
        ) from error


@contextlib.contextmanager
def _folder_above(path: Path) -> Iterator[None]:
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
