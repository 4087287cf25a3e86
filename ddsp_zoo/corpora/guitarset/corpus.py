"""Reads GuitarSet (Xi et al. 2018): guitar recorded string by string, in the corpus's own layout."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track
from ddsp_zoo.corpora.download import fetch_archive
from ddsp_zoo.corpora.guitarset.files import (
    ANNOTATION,
    AUDIO,
    CREPE_HOP,
    NOTE_HOP_SECONDS,
    RATE,
    STRINGS,
    GuitarTake,
    annotated_f0,
    crepe_f0,
    find_recordings,
    string_file,
    write_strings,
)
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import cache_root, fingerprint
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.sources import Split

RECORD = "3371780"
PLAYERS = ("00", "01", "02", "03", "04", "05")


@dataclass(frozen=True)
class Choice:
    """Chooses recordings of some players; of those, sorted by name, all or the ones in some places."""

    players: tuple[str, ...] = PLAYERS
    places: range | None = None

    def of(self, recordings: list[GuitarTake]) -> list[GuitarTake]:
        """Returns the chosen ones, as far as they are there."""
        mine = [r for r in recordings if r.player in self.players]
        return mine if self.places is None else [mine[place] for place in self.places if place < len(mine)]

    def is_complete(self, chosen: list[GuitarTake]) -> bool:
        """Tells whether that is all of them."""
        return len(chosen) >= (1 if self.places is None else len(self.places))


def _in_order(train: int, validation: int, test: int) -> dict[Split, Choice]:
    """Chooses recordings in their order: the first for training, the next for validation, the next for the test."""
    ends = (train, train + validation, train + validation + test)
    places = {"train": range(ends[0]), "validation": range(*ends[:2]), "test": range(*ends[1:])}
    return {split: Choice(places=where) for split, where in places.items()}


SPLITS: dict[str, dict[Split, Choice]] = {
    "thesis": _in_order(8, 2, 2),
    "thesis_short": _in_order(3, 2, 2),
    # Whoever is tested is never heard before.
    "by_player": {
        "train": Choice(PLAYERS[:4]),
        "validation": Choice(PLAYERS[4:5]),
        "test": Choice(PLAYERS[5:]),
    },
}
F0_SOURCES = ("notes", "contours", "crepe")
_INSTEAD = "to train on rendered strings instead, add --config recipes/data/rendered_strings.yaml"


class GuitarSet(StemDataModule):
    """Reads the debleeded hexaphonic pickup: six strings of a guitar, with f0 and onsets of each.

    Reads ``<root>/audio_hex-pickup_debleeded/*_hex_cln.wav`` (six channels, low E first) and
    ``<root>/annotation/*.jams``. Each recording is once split into strings at 16 kHz, its pitch found beside, and
    both kept in the cache; what is there is not made again.

    The thesis (section 5.3.2) says that it trained on eight, validated on two and tested on two recordings of Bossa
    Nova comping, and not on which. The authors' code takes them one after the other, sorted by name, and so do
    the splits called thesis here. In it series B and C have three for training instead of eight: thesis_short.
    (02_BN1-129-Eb_comp, which the thesis shows as one of the test set, is the one right after those twelve.)

    Args:
        root: folder of the corpus; by default the environment variable GUITARSET_ROOT.
        splits: thesis (8, 2 and 2 recordings), thesis_short (3, 2 and 2), or by_player (00-03 train, 04 validates,
            05 tests).
        style: BN (Bossa Nova), Funk, Jazz, Rock, SS (singer-songwriter), or empty for all.
        playing: comp, solo, or empty for both.
        f0_source: notes (one pitch a note, annotated), contours (the annotated course of pitch within each note), or
            crepe (what CREPE hears on each string). The first two give annotated onsets; with crepe a note
            begins where pitch does (thesis section 5.3.4), so a repeated note without a gap has no onset.
        crepe_model: tiny, or full, ten times as slow.
        train_tracks: recordings to train on, taken at even distances from the split; 0: all.
        validation_tracks: recordings to validate on; 0: all.
        test_tracks: recordings to test on; 0: all.
        download: fetch annotations and audio (3.6 GB) where they are absent.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str | None = None,
        splits: Literal["thesis", "thesis_short", "by_player"] = "thesis",
        style: str = "BN",
        playing: str = "comp",
        f0_source: Literal["notes", "contours", "crepe"] = "notes",
        crepe_model: Literal["tiny", "full"] = "tiny",
        train_tracks: int = 0,
        validation_tracks: int = 0,
        test_tracks: int = 0,
        download: bool = False,
        excerpts: Excerpts = Excerpts(batch_size=2),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        if splits not in SPLITS:
            raise DdspZooError(f"There are no splits called {splits!r}: choose one of {', '.join(SPLITS)}.")
        if f0_source not in F0_SOURCES:
            raise DdspZooError(f"There is no f0 from {f0_source!r}: choose one of {', '.join(F0_SOURCES)}.")
        self.root, self.download = root or os.environ.get("GUITARSET_ROOT"), download
        self.splits, self.style, self.playing = splits, style, playing
        self.f0_source, self.crepe_model = f0_source, crepe_model
        self.most = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Fetches the corpus if asked to, splits recordings into strings and finds their pitch, each once."""
        if self.download:
            self._fetch()
        chosen = self._chosen()
        recordings = [r for split in splits for r in chosen[split]]
        render_folders({self._strings(r): r for r in recordings}, write_strings, 0, "reading GuitarSet")
        render_folders({self._pitch(r): r for r in recordings}, self._write_pitch, 0, "finding pitch")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the recordings of a split."""
        return [
            Track(
                r.name, {s: (string_file(self._strings(r), s),) for s in STRINGS}, self._pitch(r) / "f0.csv"
            )
            for r in self._chosen()[split]
        ]

    # ---- what is there

    def _fetch(self) -> None:
        for name in (ANNOTATION, AUDIO):
            if not (self._folder() / name).exists():
                fetch_archive(RECORD, f"{name}.zip", self._folder() / name)

    def _folder(self) -> Path:
        if self.download and not self.root:
            return cache_root() / "guitarset" / "corpus"
        if not self.root:
            raise DdspZooError(f"GuitarSet needs its folder: set data.root or GUITARSET_ROOT; {_INSTEAD}.")
        return Path(self.root)

    def _recordings(self) -> list[GuitarTake]:
        """Returns the recordings of the wanted style and playing."""
        root = self._folder()
        if not ((root / AUDIO).is_dir() and (root / ANNOTATION).is_dir()):
            raise DdspZooError(
                f"{root} is not GuitarSet: it needs the folders {AUDIO} and {ANNOTATION} "
                f"(zenodo.org/records/{RECORD}, or data.download: true); {_INSTEAD}."
            )
        found = [
            r
            for r in find_recordings(root)
            if self.style in ("", r.style) and self.playing in ("", r.playing)
        ]
        if not found:
            raise DdspZooError(
                f"{root} has no recordings of {self._kind()}: set data.style to BN, Funk, Jazz, Rock, SS or '' (all) "
                "and data.playing to comp, solo or '' (both), or complete the corpus."
            )
        return found

    def _chosen(self) -> dict[Split, list[GuitarTake]]:
        """Returns the recordings of every split."""
        found, choices = self._recordings(), SPLITS[self.splits]
        chosen = {split: choice.of(found) for split, choice in choices.items()}
        if not all(choice.is_complete(chosen[split]) for split, choice in choices.items()):
            players = ", ".join(sorted({r.player for r in found}))
            raise DdspZooError(
                f"{self._folder()} has {len(found)} recordings of {self._kind()}, by players {players}: too few for "
                f"the splits {self.splits} (thesis needs 12, thesis_short 7, by_player players 00 to 05); complete "
                "the corpus or choose others."
            )
        return {split: self._spread(recordings, split) for split, recordings in chosen.items()}

    def _kind(self) -> str:
        return f"style {self.style or 'any'}, {self.playing or 'comp or solo'}"

    def _spread(self, recordings: list[GuitarTake], split: Split) -> list[GuitarTake]:
        """Returns as many recordings as asked for, at even distances."""
        most = self.most[split] or len(recordings)
        if not 0 < most <= len(recordings):
            raise DdspZooError(
                f"The {split} split of {self.splits} has {len(recordings)} recordings of {self._kind()}, not {most}: "
                f"lower data.{split}_tracks (0: all)."
            )
        return [recordings[place * len(recordings) // most] for place in range(most)]

    # ---- the cache

    def _cache(self, what: str, recording: GuitarTake) -> Path:
        made_of = fingerprint(root=str(recording.root.resolve()))
        return cache_root() / "guitarset" / made_of / what / recording.name

    def _strings(self, recording: GuitarTake) -> Path:
        return self._cache("strings", recording)

    def _pitch(self, recording: GuitarTake) -> Path:
        crepe = f"crepe_{self.crepe_model}"
        return self._cache(crepe if self.f0_source == "crepe" else self.f0_source, recording)

    def _write_pitch(self, folder: Path, recording: GuitarTake) -> None:
        """Writes ``f0.csv`` of one recording, with onsets where they are annotated."""
        strings, onset, hop_seconds = self._strings(recording), None, NOTE_HOP_SECONDS
        if self.f0_source == "crepe":
            f0, hop_seconds = crepe_f0(strings, self.crepe_model), CREPE_HOP / RATE
        else:
            f0, onset = annotated_f0(recording, strings, self.f0_source == "contours")
        write_f0_csv(folder / "f0.csv", np.arange(f0.shape[1]) * hop_seconds, f0, STRINGS, onset)
