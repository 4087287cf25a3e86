"""Folders in which a list says which files this package has written; no other file is ever replaced or removed.

The list, `ddsp_zoo.json`, also says what the files were made from.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import folder_above, part_in, replaced_when_done, told_in_words

LIST = "ddsp_zoo.json"
FILES = "files"


def made_from(folder: str | Path) -> dict[str, Any]:
    """Returns what the list of a folder says, with `files`, the names of those that are there; {} without a list."""
    folder = Path(folder)
    try:
        content = json.loads((folder / LIST).read_text(encoding="utf-8"))
        names = [name for name in content[FILES] if _is_inside(folder, name) and (folder / name).is_file()]
    except (OSError, ValueError, TypeError, KeyError):
        return {}
    return content | {FILES: names}


def is_complete(folder: str | Path) -> bool:
    """Returns whether a folder has a list and all files that it names."""
    try:
        listed = json.loads((Path(folder) / LIST).read_text(encoding="utf-8"))[FILES]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return listed == made_from(folder)[FILES]


def claim(folder: str | Path, names: Iterable[str]) -> None:
    """Adds names to the list of a folder, which is made where missing; `DdspZooError` as for `refuse_other_files`."""
    folder = Path(folder)
    names = list(names)
    refuse_other_files(folder, names)
    content = made_from(folder)
    _write(content | {FILES: sorted({*content.get(FILES, ()), *names})}, folder / LIST)


def refuse_other_files(folder: str | Path, names: Iterable[str]) -> None:
    """Raises `DdspZooError` where writing `names` would replace a file that the list of the folder does not name."""
    folder = Path(folder)
    own = {*made_from(folder).get(FILES, ()), LIST}
    for name in names:
        above = [folder.joinpath(parent) for parent in PurePosixPath(name).parents][:-1]
        taken = next((path for path in above if os.path.lexists(path) and not path.is_dir()), folder / name)
        if name not in own and os.path.lexists(taken):
            raise DdspZooError(
                f"{taken} would be replaced, and nothing in {folder} says that ddsp_zoo has written it: choose another "
                "folder, or move it away."
            )


@contextlib.contextmanager
def own_files_when_done(folder: str | Path, names: Iterable[str], about: dict[str, Any]) -> Iterator[Path]:
    """Gives a hidden folder to fill with the files `names`, and brings them to `folder` once the block has ended well.

    What the list of the folder names is replaced or removed, and what anybody else has put there stays. A new folder
    appears as a whole. After an error everything is as it was. The list then holds `about`, plain values.

    Raises:
        DdspZooError: before the block, for a folder that cannot be written to or a name that somebody else's file has.
    """
    folder, names = Path(folder), list(names)
    if folder.is_symlink() and not folder.exists():
        raise DdspZooError(f"{folder} is a link to a folder that is not there: make it, or choose another.")
    there = folder.exists()
    with told_in_words(folder), folder_above(folder), _part(folder, there) as part:
        refuse_other_files(folder, names)
        yield part
        written = sorted(path.relative_to(part).as_posix() for path in part.rglob("*") if path.is_file())
        refuse_other_files(folder, written)
        if there:
            _merge(part, folder, written, about)
        else:
            _write(about | {FILES: written}, part / LIST)
            part.rename(folder)


def _part(folder: Path, there: bool) -> contextlib.AbstractContextManager[Path]:
    """A part within a folder, which may be a disk of its own, or beside where it will be."""
    return part_in(folder if there else folder.parent, folder.name)


def _merge(part: Path, folder: Path, written: list[str], about: dict[str, Any]) -> None:
    """Moves files to a folder, where those of the list go that are not written again."""
    before = made_from(folder).get(FILES, [])
    # Should this be cut short, all are known as ours.
    _write({FILES: sorted({*before, *written})}, folder / LIST)
    for name in written:
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(part / name, folder / name)
    for name in {*before} - {*written}:
        (folder / name).unlink()
        with contextlib.suppress(OSError):  # something else is in it, or it is the folder itself
            (folder / name).parent.rmdir()
    _write(about | {FILES: written}, folder / LIST)


def _write(content: dict[str, Any], path: Path) -> None:
    with replaced_when_done(path) as draft:
        draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _is_inside(folder: Path, name: Any) -> bool:
    """Whether a name cannot lead out of its folder, whoever wrote it, nor a link to a folder on the way."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name:
        return False
    return (folder / name).parent.resolve() == folder.resolve() / path.parent
