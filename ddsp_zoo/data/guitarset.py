"""GuitarSet (Xi et al. 2018): guitar recorded string by string, in the corpus's own layout."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr

from ddsp_zoo.data.base import Split, StemDataModule, Track, folder_tracks
from ddsp_zoo.data.cache import cache_root, fingerprint, render_folders
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.controls import write_f0_csv
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

AUDIO, ANNOTATION = "audio_hex-pickup_debleeded", "annotation"
RATE = 16000
HOP_SECONDS = 0.004


class GuitarSet(StemDataModule):
    """The debleeded hexaphonic pickup with the annotated notes of each string.

    Reads ``<root>/audio_hex-pickup_debleeded/*_hex_cln.wav`` (six channels, low E first) and
    ``<root>/annotation/*.jams``. Each recording is once split into strings at 16 kHz and kept in the cache. f0 is
    the note's mean pitch from its first to its last moment, onsets are the notes' starts.

    The chosen recordings are sorted by name, which starts with the player: training takes the first, test the
    last, validation those before the test, so with few recordings the players differ.

    Args:
        root: folder of the corpus; by default the environment variable GUITARSET_ROOT.
        style: BN (Bossa Nova), Funk, Jazz, Rock, SS (singer-songwriter), or empty for all.
        playing: comp, solo, or empty for both.
        train_tracks: recordings to train on.
        validation_tracks: recordings to validate on.
        test_tracks: recordings to test on.
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that read audio.
        seed: of the random excerpts.
    """

    def __init__(
        self, root: str | None = None, style: str = "BN", playing: str = "comp", train_tracks: int = 8,
        validation_tracks: int = 2, test_tracks: int = 2, batch_size: int = 2, examples_per_epoch: int = 0,
        workers: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(batch_size, examples_per_epoch, workers, seed)
        self.root = root or os.environ.get("GUITARSET_ROOT")
        self.style, self.playing = style, playing
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}

    def prepare_data(self) -> None:
        """Split the chosen recordings into strings, once."""
        render_folders({self._folder(path): path for path in self._chosen()}, _split, 0, "reading GuitarSet")

    def tracks(self, split: Split) -> list[Track]:
        """The recordings of a split."""
        chosen = self._chosen()
        train, validation, test = self.counts.values()
        if len(chosen) < train + validation + test:
            raise DdspZooError(
                f"{self.root} has {len(chosen)} recordings of style {self.style or 'any'}, {self.playing or 'any'}: "
                f"fewer than the {train} + {validation} + {test} asked for; lower train_tracks and the like."
            )
        first = len(chosen) - test
        paths = {
            "train": chosen[:train],
            "validation": chosen[first - validation : first],
            "test": chosen[first:],
        }
        folders = {self._folder(path) for path in paths[split]}
        return [track for track in folder_tracks(self._cache()) if self._cache() / track.name in folders]

    def _chosen(self) -> list[Path]:
        """Annotations of the recordings in use, sorted."""
        instead = "to train on rendered strings instead, add --config recipes/data/rendered_strings.yaml"
        if not self.root:
            raise DdspZooError(f"GuitarSet needs its folder: set data.root or GUITARSET_ROOT; {instead}.")
        folder = Path(self.root) / ANNOTATION
        if not (Path(self.root) / AUDIO).is_dir() or not folder.is_dir():
            raise DdspZooError(
                f"{self.root} is not GuitarSet: it needs the folders {AUDIO} and {ANNOTATION} "
                f"(zenodo.org/records/3371780); {instead}."
            )
        return sorted(folder.glob(f"??_{self.style}*{self.playing}.jams"))

    def _cache(self) -> Path:
        return cache_root() / "guitarset" / fingerprint(root=str(Path(self.root).resolve()))

    def _folder(self, annotation: Path) -> Path:
        return self._cache() / annotation.stem


def _split(folder: Path, annotation: Path) -> None:
    """Write one recording as six FLAC files and an f0.csv."""
    audio = _read_six(annotation.parent.parent / AUDIO / f"{annotation.stem}_hex_cln.wav")
    for name, string in zip(GUITAR_STRINGS_HZ, audio, strict=True):
        sf.write(folder / f"{name}.flac", string, RATE, subtype="PCM_24")
    f0, onset = notes_to_f0(_read_notes(annotation), audio.shape[1] / RATE)
    times = np.arange(f0.shape[1]) * HOP_SECONDS
    write_f0_csv(folder / "f0.csv", times, f0, tuple(GUITAR_STRINGS_HZ), onset)


def _read_six(path: Path) -> np.ndarray:
    """The six channels of a hexaphonic recording (6, T) at 16 kHz."""
    try:
        audio, rate = sf.read(path, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise DdspZooError(f"{path} is missing or cannot be read: {error}") from error
    if audio.shape[1] != len(GUITAR_STRINGS_HZ):
        raise DdspZooError(f"{path} has {audio.shape[1]} channels: a hexaphonic recording has 6.")
    return np.ascontiguousarray(soxr.resample(audio, rate, RATE).T)


def _read_notes(path: Path) -> list[list[dict[str, Any]]]:
    """Notes of each string, low E first: dicts with time and duration in seconds and value in MIDI."""
    try:
        annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]
        notes = [a for a in annotations if a["namespace"] == "note_midi"]
        notes.sort(key=lambda a: int(a["annotation_metadata"]["data_source"]))
        lines = [annotation["data"] for annotation in notes]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DdspZooError(f"{path} is not a GuitarSet annotation (JAMS): {error}") from error
    if len(lines) != len(GUITAR_STRINGS_HZ):
        raise DdspZooError(f"{path} annotates {len(lines)} strings instead of 6.")
    return lines


def notes_to_f0(lines: list[list[dict[str, Any]]], seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """f0_hz and onset (S, N) every 4 ms from the notes of each string."""
    count = int(seconds / HOP_SECONDS) + 1
    f0, onset = np.zeros((2, len(lines), count), dtype=np.float32)
    for string, notes in enumerate(lines):
        for note in notes:
            start, stop = (round(t / HOP_SECONDS) for t in (note["time"], note["time"] + note["duration"]))
            f0[string, start:stop] = 440 * 2 ** ((note["value"] - 69) / 12)
            onset[string, min(start, count - 1)] = 1
    return f0, onset
