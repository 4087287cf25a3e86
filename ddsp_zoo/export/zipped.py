"""A result as one file, to be taken away."""

import zipfile
from collections.abc import Iterable
from pathlib import Path

from ddsp_zoo.files import owned
from ddsp_zoo.files.atomic import replaced_when_done

PACKED = (".txt", ".json", ".jams", ".yaml")  # sound hardly becomes smaller


def write_zip(folders: Iterable[str | Path], path: str | Path, files: Iterable[str | Path] = ()) -> None:
    """Writes what separations and edits have left in folders to one zip, in a folder each, and single files beside.

    What else lies in the folders is not taken. Raises `DdspZooError` for a path that cannot be written to.
    """
    with replaced_when_done(path) as draft, zipfile.ZipFile(draft, "w") as target:
        for folder in map(Path, folders):
            for name in (*owned.made_from(folder).get(owned.FILES, ()), owned.LIST):
                _add(target, folder / name, f"{folder.name}/{name}")
        for file in map(Path, files):
            _add(target, file, file.name)


def _add(target: zipfile.ZipFile, file: Path, name: str) -> None:
    packed = zipfile.ZIP_DEFLATED if file.suffix in PACKED else zipfile.ZIP_STORED
    target.write(file, name, packed, compresslevel=1)
