"""Files that appear when they are complete, or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ddsp_zoo.errors import DdspZooError


@contextlib.contextmanager
def replaced_when_done(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path` to write to, and move it there once the block has ended well.

    Folders are made as needed. After an error nothing new is left on disk, and a file that was there stays as
    it was. A path that cannot be written to raises DdspZooError.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise DdspZooError(
            f"Cannot write {path} ({error.strerror or error}): choose another place."
        ) from error
    finally:
        with contextlib.suppress(OSError):  # nothing there: moved, or never begun
            temporary.unlink()
