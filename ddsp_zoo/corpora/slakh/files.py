"""Reads the files of Slakh2100: tracks in their folders, and which stem plays what."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ddsp_zoo.corpora.base import AUDIO_SUFFIXES, Track
from ddsp_zoo.corpora.slakh.splits import TRACK
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import SPLITS

CLASSES = ("bass", "drums", "guitar", "other")
STEMS, METADATA = "stems", "metadata.yaml"  # the folder that metadata name is wrong in Track00616
FOLDERS = (*SPLITS, "omitted")  # of the published archive; without them the tracks lie side by side


def find_tracks(root: Path) -> list[Path]:
    """Returns the folders of all tracks, sorted by name.

    They lie in ``root``, or in its folders train, validation, test and omitted.
    """
    found: dict[str, Path] = {}
    for folder in (root, *(root / name for name in FOLDERS)):
        for path in folder.iterdir() if folder.is_dir() else ():
            if not TRACK.match(path.name):
                continue
            if path.name in found:
                raise DdspZooError(
                    f"{path.name} is there twice, in {found[path.name].parent} and {folder}: remove one."
                )
            found[path.name] = path
    return [found[name] for name in sorted(found)]


def read_track(folder: Path) -> Track:
    """Reads a track with all its stems by class; a class that nobody plays has no files, which means silence.

    Raises `DdspZooError` where the metadata cannot be used, a rendered stem is missing, or there is no audio at all.
    """
    stems: dict[str, list[Path]] = {name: [] for name in CLASSES}
    for name, entry in _entries(folder):
        path = next((p for p in _candidates(folder, name) if p.exists()), None)
        if path is not None:
            stems[class_of(entry)].append(path)
        elif entry.get("audio_rendered"):
            raise DdspZooError(
                f"{folder / STEMS / name}.flac or .wav is missing: unpack the corpus again, or set its audio_rendered "
                f"to false in {METADATA}."
            )
    if not any(stems.values()):
        raise DdspZooError(
            f"{folder} holds no audio of the stems in its {METADATA}: unpack the corpus again."
        )
    return Track(folder.name, {name: tuple(paths) for name, paths in stems.items()})


def class_of(entry: dict[str, Any]) -> str:
    """Returns bass, drums, guitar or other, from what the metadata say of a stem."""
    name = str(entry.get("inst_class", "")).lower()
    return "drums" if entry.get("is_drum") else name if name in CLASSES else "other"


def _candidates(folder: Path, name: str) -> Iterable[Path]:
    return (folder / STEMS / f"{name}{suffix}" for suffix in AUDIO_SUFFIXES)


def _entries(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Returns name and metadata of each stem."""
    import yaml

    path = folder / METADATA
    try:
        # The parser in C, where it is built in, is ten times as fast, and there are 2100 files.
        content = yaml.load(path.read_bytes(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return [(str(name), dict(entry)) for name, entry in content["stems"].items()]
    except OSError as error:
        raise DdspZooError(
            f"There is no {path}, which tells what each stem is: unpack the corpus again."
        ) from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise DdspZooError(
            f"{path} does not tell what each stem is (a section `stems` with inst_class and is_drum): unpack the "
            "corpus again."
        ) from error
