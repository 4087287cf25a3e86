"""Downloads corpora from Zenodo, goes on where a download stopped, verifies and unpacks them."""

import hashlib
import json
import shutil
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import folder_when_done
from ddsp_zoo.files.download import Ended, forbidden_by, read, receive
from ddsp_zoo.settings.arguments import call

ZENODO = "https://zenodo.org"
_CONTENT = ".content"  # what a tar.gz file holds, while it is being unpacked
LONGEST_RECORD = 1 << 22  # bytes of what Zenodo says of one
MOST_TIMES = 20  # as large as an archive of audio is what comes out of it, at most


@dataclass(frozen=True)
class Entry:
    """Holds what Zenodo says of a file: its size in bytes, its MD5 sum, and where it lies."""

    size: int
    md5: str
    url: str


def fetch_archive(record: str, name: str, folder: Path) -> None:
    """Downloads the zip or tar.gz file ``name`` of a Zenodo record and unpacks it as ``folder``, all or nothing.

    If a tar.gz file holds only a folder, ``folder`` is that one. The record says how long the file is and what its MD5
    sum is. Raises `DdspZooError` where downloads are forbidden (DDSP_ZOO_OFFLINE=1), the disk is too full, the server
    does not answer, or what comes is not what the record says.
    """
    from filelock import FileLock

    if variable := forbidden_by():
        raise DdspZooError(
            f"{variable} forbids downloads: unpack {name} ({ZENODO}/records/{record}) yourself."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if folder.exists():  # another process brought it while this one waited
            return
        part = folder.with_name(f"{folder.name}.{'zip' if name.endswith('.zip') else 'tar.gz'}.part")
        entry = _entry(record, name)
        _check_space(part, name, entry.size)
        _bring(entry.url, part, entry.size, entry.md5.removeprefix("md5:"))
        _unpack(part, folder)
        part.unlink()


def _entry(record: str, name: str) -> Entry:
    """Asks Zenodo about a file."""
    address = f"{ZENODO}/api/records/{record}"
    try:
        files = json.loads(read(address, LONGEST_RECORD))["files"]
        entry = next(entry for entry in files if entry["key"] == name)
        return call(Entry, {"size": entry["size"], "md5": entry["checksum"], "url": entry["links"]["self"]})
    except (Ended, DdspZooError, ValueError, LookupError, TypeError, StopIteration, RecursionError) as error:
        told = str(error) if isinstance(error, Ended) else type(error).__name__
        raise DdspZooError(
            f"{address} does not tell where {name} is ({told}): try again, or download it from "
            f"{ZENODO}/records/{record} and unpack it."
        ) from error


def _check_space(part: Path, name: str, size: int) -> None:
    """Raises `DdspZooError` where an archive and its content, almost as large as itself, will not fit on the disk."""
    needed = 2 * size - (part.stat().st_size if part.exists() else 0)
    if (free := shutil.disk_usage(part.parent).free) < needed:
        raise DdspZooError(
            f"{name} needs {needed / 1e9:.1f} GB in {part.parent} to be fetched and unpacked, and {free / 1e9:.1f} GB "
            "are free: make room or choose a folder on another disk (data.root or DDSP_ZOO_CACHE)."
        )


def _bring(url: str, part: Path, size: int, md5: str) -> None:
    """Downloads what ``part`` lacks of a file, and verifies it."""
    problem = receive(url, part, size)
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
    """Unpacks an archive as ``folder``; of a tar.gz file that holds nothing but a folder, the content of that one."""
    try:
        with folder_when_done(folder) as draft:
            if archive.name.endswith(".zip.part"):
                _unzip(archive, draft)
            else:
                _untar(archive, draft / _CONTENT)
                _lift(draft)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise DdspZooError(f"{archive} cannot be unpacked ({error}): remove it and try again.") from error


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        _check_expanded(archive, sum(member.file_size for member in content.infolist()))
        content.extractall(folder, [n for n in content.namelist() if not n.startswith("__MACOSX")])


def _untar(archive: Path, folder: Path) -> None:
    from tqdm import tqdm

    folder.mkdir()
    expanded = 0
    with tarfile.open(archive, "r:gz") as content:
        # Members that would land elsewhere are refused, where Python knows how (3.10.12 and later).
        content.extraction_filter = getattr(tarfile, "data_filter", lambda member, path: member)
        for member in tqdm(content, desc="unpacking", unit="file", disable=None):
            _check_expanded(archive, expanded := expanded + member.size)
            if not Path(member.name).name.startswith("._"):  # what macOS adds to every file
                content.extract(member, folder)


def _check_expanded(archive: Path, size: int) -> None:
    """Raises `DdspZooError` for an archive that would fill the disk with far more than it can be said to hold."""
    if size > MOST_TIMES * archive.stat().st_size + LONGEST_RECORD:
        raise DdspZooError(
            f"{archive} would unpack to {size / 1e9:.1f} GB or more, which no archive of audio does: remove it."
        )


def _lift(draft: Path) -> None:
    """Moves what was unpacked up into ``draft``, from its only folder where there is nothing else."""
    inside = list((draft / _CONTENT).iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        inside = list(inside[0].iterdir())
    for path in inside:
        path.rename(draft / path.name)
    shutil.rmtree(draft / _CONTENT)
