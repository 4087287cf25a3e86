"""Reads Music Delta: real songs of MedleyDB (Bittner et al. 2014) in its own layout, for measuring only."""

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import yaml

from ddsp_zoo.corpora.base import AUDIO_SUFFIXES, Excerpts, StemDataModule, Track
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import open_audio, read_mono
from ddsp_zoo.files.cache import cache_root, fingerprint
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.music.band.scores import STEMS
from ddsp_zoo.music.drum_set import DRUM_SET, Hits
from ddsp_zoo.music.signals import Audio, playing_level
from ddsp_zoo.sources import Split

RATE = 44100
VERSION = 1  # to be raised whenever a change below changes the sound
METADATA = "_METADATA.yaml"
PEAK = 0.9  # of the mixture or its loudest stem
# MedleyDB's names of instruments; whatever is not here is "other", and so are all voices.
BASSES = {"electric bass", "double bass"}
GUITARS = {"acoustic guitar", "clean electric guitar", "distorted electric guitar"}
DRUMS = {
    "drum set",
    "drum machine",
    "kick drum",
    "snare drum",
    "bass drum",
    "toms",
    "high hat",
    "cymbal",
    "tambourine",
    "auxiliary percussion",
}
HITS = "_subclass.txt"
# MDB Drums' names of strokes by what is hit; a tambourine is no part of the set.
DRUM_CODES = {
    "KD": "kick",
    **dict.fromkeys(("SD", "SDB", "SDD", "SDF", "SDG", "SDNS"), "snare"),
    "SST": "side stick",
    **dict.fromkeys(("CHH", "PHH"), "closed hi-hat"),
    "OHH": "open hi-hat",
    **dict.fromkeys(("HIT", "MHT", "HFT", "LFT"), "tom"),
    **dict.fromkeys(("CRC", "CHC", "SPC"), "crash"),
    **dict.fromkeys(("RDC", "RDB"), "ride"),
}
_WHERE = "set data.root or MUSIC_DELTA_ROOT to the folder that holds the folders of the songs"


@dataclass(frozen=True)
class Song:
    """Holds the recorded tracks of a song, by the stem that each belongs to."""

    name: str
    groups: dict[str, tuple[Path, ...]]

    def fingerprint(self) -> str:
        """Returns the name of what is made of it, which follows from the names and sizes of the files."""
        files = {
            stem: [(path.name, path.stat().st_size) for path in paths] for stem, paths in self.groups.items()
        }
        return fingerprint(version=VERSION, files=files)

    def stems(self) -> dict[str, Audio]:
        """Returns all stems (T,) at 44.1 kHz, equally loud while they play; a stem that nobody plays is silent.

        Recorded tracks have the level of their recording, not that of a finished mix, so the tracks of one stem are
        brought to one loudness too.
        """
        stems = {
            stem: _levelled(_sum([_levelled(read_mono(p, RATE)) for p in paths]))
            for stem, paths in self.groups.items()
        }
        stems = dict(zip(stems, _padded(list(stems.values()))))
        silence = np.zeros(len(next(iter(stems.values()))))
        stems = {stem: stems.get(stem, silence) for stem in STEMS}
        peak = max(np.abs(audio).max() for audio in (sum(stems.values()), *stems.values()))
        return {stem: audio * (PEAK / max(peak, 1e-6)) for stem, audio in stems.items()}


def stem_of(instrument: str) -> str:
    """Returns the stem of a band that an instrument of MedleyDB belongs to."""
    for stem, names in (("bass", BASSES), ("drums", DRUMS), ("guitar", GUITARS)):
        if instrument in names:
            return stem
    return "other"


def _levelled(audio: Audio) -> Audio:
    return audio / max(playing_level(audio, RATE), 1e-6)


def _sum(parts: list[Audio]) -> Audio:
    return np.sum(_padded(parts), axis=0)


def _padded(parts: list[Audio]) -> list[Audio]:
    length = max(map(len, parts))
    return [np.pad(part, (0, length - len(part))) for part in parts]


class SongTrack(Track):
    """Holds a song whose hits were written down by hand (MDB Drums, Southall et al. 2017)."""

    def read_hits(self) -> dict[str, Hits]:
        """Reads the hits: a line each, seconds and instrument; how hard they are is not known and counts as 1."""
        found: dict[str, list[float]] = {name: [] for name in DRUM_SET}
        for line in self.score.read_text().splitlines():
            seconds, instrument = line.split()
            if (name := DRUM_CODES.get(instrument)) is not None:
                found[name].append(float(seconds))
        return {name: Hits(np.array(sorted(own)), np.ones(len(own))) for name, own in found.items()}


class MusicDelta(StemDataModule):
    """Reads songs of Music Delta: bass, drums, guitar and other, equally loud, mono, at 44.1 kHz; a test split only.

    Reads ``<root>/<song>/<song>_METADATA.yaml`` and the raw tracks that it names, in the song's folder or in its
    ``<song>_RAW``, as WAV or FLAC; other songs of MedleyDB have the same layout. Raw tracks of one instrument group
    are summed; voices and all that is neither bass, drums nor guitar are "other". What is made of them is kept in
    the cache. The corpus is CC BY-NC-SA 4.0: models trained on it could not be shared.

    Args:
        root: folder of the songs; by default the environment variable MUSIC_DELTA_ROOT.
        excerpts: how tracks are cut into batches.
    """

    def __init__(
        self,
        root: str | None = None,
        excerpts: Excerpts = Excerpts(),
    ) -> None:
        super().__init__(excerpts)
        self.root = root or os.environ.get("MUSIC_DELTA_ROOT")

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Makes the levelled stems of each song that has none yet; all songs are of the test split."""
        jobs = {self._folder(song): song for song in find_songs(self.root)}
        render_folders(jobs, write_stems, 0, "levelling Music Delta")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the songs; raises `DdspZooError` for any other split than the test split."""
        if split != "test":
            raise DdspZooError(
                f"Music Delta is for evaluation only (CC BY-NC-SA) and has no {split} split: use its test split, and "
                "train on recipes/data/rendered_band.yaml or on your own stems."
            )
        folders = {song.name: self._folder(song) for song in find_songs(self.root)}
        return [
            SongTrack(
                name, {stem: (folder / f"{stem}.flac",) for stem in STEMS}, score=self._annotation(name)
            )
            for name, folder in folders.items()
        ]

    def _annotation(self, name: str) -> Path | None:
        """Returns where the hits of a song's drums are written down, if they are."""
        path = Path(self.root, name, f"{name}{HITS}")
        return path if path.exists() else None

    @staticmethod
    def _folder(song: Song) -> Path:
        """Returns where the stems of a song are kept."""
        return cache_root() / "music_delta" / f"{song.name}_{song.fingerprint()}"


def write_stems(folder: Path, song: Song) -> None:
    """Writes ``<folder>/<stem>.flac``."""
    for stem, audio in song.stems().items():
        sf.write(folder / f"{stem}.flac", audio, RATE, subtype="PCM_24")


def find_songs(root: str | None) -> list[Song]:
    """Returns the songs in a folder, by name; raises `DdspZooError` where there is none or one is incomplete."""
    if not root:
        raise DdspZooError(f"Music Delta needs its folder: {_WHERE}.")
    files = sorted(Path(root).glob(f"*/*{METADATA}"))
    if not files:
        raise DdspZooError(f"There is no <song>/<song>{METADATA} in {root}: {_WHERE}.")
    return [_read_song(path) for path in files]


def _read_song(metadata: Path) -> Song:
    groups: dict[str, list[Path]] = defaultdict(list)
    try:
        content = yaml.safe_load(metadata.read_text(encoding="utf-8"))
        raws = [raw for stem in content["stems"].values() for raw in stem["raw"].values()]
        for raw in raws:
            groups[stem_of(_first(raw["instrument"]))].append(
                _find(metadata.parent, content, raw["filename"])
            )
    except (yaml.YAMLError, OSError, KeyError, TypeError, AttributeError) as error:
        raise DdspZooError(
            f"{metadata} is not MedleyDB's metadata: it needs stems, each with raw."
        ) from error
    if not groups:
        raise DdspZooError(f"{metadata} names no raw tracks.")
    name = metadata.name.removesuffix(METADATA)
    return Song(name, {stem: tuple(groups[stem]) for stem in STEMS if stem in groups})


def _first(instrument: Any) -> str:
    """Returns the instrument of a track, the first one where it has a list of them."""
    return instrument[0] if isinstance(instrument, list) else instrument


def _find(folder: Path, content: dict[str, Any], name: str) -> Path:
    """Returns the file of a raw track, WAV or FLAC."""
    for place in (folder, folder / str(content.get("raw_dir", ""))):
        for suffix in AUDIO_SUFFIXES:
            if (path := (place / name).with_suffix(suffix)).is_file():
                open_audio(path).close()
                return path
    raise DdspZooError(f"{folder} lacks {name}, which its metadata names: unpack the song anew.")
