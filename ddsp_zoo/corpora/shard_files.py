"""Shards: tar files of whole tracks, which are read from start to end, from a disk, a server or a command.

A shard is one of WebDataset's: files with a common stem belong to one track. ``<number>.json`` says its name and which
files are its stems; ``<number>.f0.csv`` and ``<number>.score.mid`` are there where the track has them. ``shards.json``
lists the shards of each split and the lengths of their tracks.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ddsp_zoo.corpora.base import StemDataModule, Track
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import folder_when_done
from ddsp_zoo.sources import SPLITS, Split

INDEX, FORMAT = "shards.json", 1
BESIDE = {"pitch": "f0.csv", "score": "score.mid"}
SUFFIXES = (".wav", ".flac")


class Shard(NamedTuple):
    """Holds the name of a shard's file and the lengths in seconds of its tracks, in order."""

    name: str
    seconds: tuple[float, ...]


def write_shards(
    corpus: StemDataModule, folder: str | Path, splits: tuple[Split, ...] = SPLITS, megabytes: float = 500
) -> Path:
    """Writes the tracks of a corpus to shards of about so many megabytes; returns the new folder.

    Training tracks are dealt out so that consecutive ones lie in different shards. Raises `DdspZooError` for a folder
    that is there already, and for a split without tracks.
    """
    folder = Path(folder)
    if folder.exists():
        raise DdspZooError(f"{folder} is there already: name a new folder for the shards.")
    corpus.prepare(splits)
    with folder_when_done(folder) as draft:
        index = {split: _write_split(corpus.tracks(split), draft, split, megabytes) for split in splits}
        (draft / INDEX).write_text(
            json.dumps({"format": FORMAT, "splits": index}, indent=1), encoding="utf-8"
        )
    return folder


def _write_split(tracks: list[Track], folder: Path, split: str, megabytes: float) -> list[dict[str, Any]]:
    if not tracks:
        raise DdspZooError(f"There are no tracks to write in the {split} split: leave it out.")
    size = sum(path.stat().st_size for track in tracks for paths in track.stems.values() for path in paths)
    count = min(max(1, round(size / (megabytes * 1e6))), len(tracks))
    rows = []
    for number in range(count):
        mine = tracks[number::count]
        name = f"{split}-{number:05d}.tar"
        with tarfile.open(folder / name, "w") as file:
            for place, track in enumerate(mine):
                _add(file, f"{place:06d}", track)
        rows.append({"name": name, "seconds": [track.seconds for track in mine]})
    return rows


def _add(file: tarfile.TarFile, key: str, track: Track) -> None:
    """Adds a track; all its names stand in its description, so that no letter of them is lost."""
    files, stems = [], {}
    for name, paths in track.stems.items():
        stems[name] = [f"stem{len(files) + number}{path.suffix.lower()}" for number, path in enumerate(paths)]
        files += zip(stems[name], paths, strict=True)
    about = json.dumps({"name": track.name, "stems": stems}, ensure_ascii=False).encode()
    info = tarfile.TarInfo(f"{key}.json")
    info.size = len(about)
    file.addfile(info, io.BytesIO(about))
    files += [(name, path) for part, name in BESIDE.items() if (path := getattr(track, part)) is not None]
    for name, path in files:
        file.add(path, f"{key}.{name}", filter=_nameless)


def _nameless(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """Says nothing of who wrote it and when."""
    info.mtime, info.uid, info.gid, info.uname, info.gname = 0, 0, 0, "", ""
    return info


def read_index(text: str | bytes, place: str) -> dict[str, list[Shard]]:
    """Reads what ``shards.json`` says; raises `DdspZooError` for anything else."""
    try:
        index = json.loads(text)
        if index["format"] != FORMAT:
            raise DdspZooError(
                f"{place} is of another version of ddsp_zoo: update it, or write the shards again."
            )
        return {
            split: [Shard(str(row["name"]), tuple(map(float, row["seconds"]))) for row in rows]
            for split, rows in index["splits"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DdspZooError(f"{place} is no list of shards: write them with tools/write_shards.py.") from error


def unpacked(urls: list[str], folder: Path) -> Iterator[Track]:
    """Yields the tracks of shards one after the other, each unpacked into the folder until the next is asked for."""
    try:
        import webdataset as wds
    except ImportError as error:
        raise DdspZooError('Shards are read by webdataset: pip install "ddsp_zoo[shards]".') from error
    if not urls:
        return
    for sample in wds.DataPipeline(wds.SimpleShardList(urls), wds.tarfile_to_samples()):
        place = f"{sample['__url__']}, {sample['__key__']}"
        try:
            about = json.loads(sample["json"])
            stems = {
                name: tuple(_put(folder, file, sample[file]) for file in files)
                for name, files in about["stems"].items()
            }
            beside = {part: _put(folder, n, sample[n]) for part, n in BESIDE.items() if n in sample}
            track = Track(about["name"], stems, **beside)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise DdspZooError(f"{place} is no track: write the shards again ({error}).") from error
        yield track
        for path in folder.iterdir():
            path.unlink()


def _put(folder: Path, name: str, content: bytes) -> Path:
    known = name in BESIDE.values() or (name.startswith("stem") and Path(name).suffix in SUFFIXES)
    if not known or Path(name).name != name:
        raise ValueError(f"{name!r} is no file of a track")
    (folder / name).write_bytes(content)
    return folder / name
