"""Reads Slakh2100 (Manilow et al. 2019): 2100 pieces of MIDI played by sampled instruments, in its own layout."""

import os
from functools import cached_property
from pathlib import Path
from typing import Literal

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track
from ddsp_zoo.corpora.download import fetch_archive
from ddsp_zoo.corpora.slakh.files import find_tracks, read_track
from ddsp_zoo.corpora.slakh.splits import find_splits
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import cache_root
from ddsp_zoo.sources import SPLITS, Split

ARCHIVES = {  # Zenodo records
    "redux": ("4599666", "slakh2100_flac_redux.tar.gz"),
    "baby": ("4603870", "babyslakh_16k.tar.gz"),
}
NAMED_SPLITS = ("redux", "original", "baby", "folders")
_INSTEAD = "to train on a rendered band instead, add --config recipes/data/rendered_band.yaml"


class Slakh2100(StemDataModule):
    """Reads bass, drums, guitar and other: of each track all stems of a class together; whatever else plays is other.

    Reads ``TrackNNNNN/metadata.yaml`` and ``TrackNNNNN/stems/Sxx.flac`` (or ``.wav``), the tracks side by side or in
    folders train, validation, test and omitted. A class that nobody plays is silent, and silence is kept. (The authors
    of AST-DDSP take the first stem of a class only, and drop quiet excerpts.)

    Args:
        root: folder of the corpus; by default the environment variable SLAKH_ROOT.
        splits: redux (tracks whose score occurs earlier are left out: 1289, 270 and 151), original (1500, 375 and 225),
            folders (as the folders are named), baby (14, 3 and 3 of the first 20 tracks), or the path of a JSON file in
            the form of the corpus's own splits_v2.json.
        download: redux (about 105 GB, and as much again when unpacked) or baby (20 tracks at 16 kHz): fetch it where
            it is absent.
        train_tracks: tracks to train on, taken at even distances from the split; 0: all.
        validation_tracks: tracks to validate on; 0: all.
        test_tracks: tracks to test on; 0: all.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str | None = None,
        splits: str = "redux",
        download: Literal["redux", "baby"] | None = None,
        train_tracks: int = 0,
        validation_tracks: int = 0,
        test_tracks: int = 0,
        excerpts: Excerpts = Excerpts(resampled=True),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        if splits not in NAMED_SPLITS and not splits.endswith(".json"):
            raise DdspZooError(
                f"There are no splits called {splits!r}: choose one of {', '.join(NAMED_SPLITS)}, or a JSON file."
            )
        if download not in (None, *ARCHIVES):
            raise DdspZooError(f"There is no download called {download!r}: choose redux or baby.")
        self.root, self.splits, self.download = root or os.environ.get("SLAKH_ROOT"), splits, download
        self.most = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Fetches the corpus if asked to, where it is absent."""
        if self.download and not self._folder().exists():
            fetch_archive(*ARCHIVES[self.download], self._folder())

    def tracks(self, split: Split) -> list[Track]:
        """Returns the tracks of a split, as many as asked for."""
        found = self._by_split[split]
        if not found:
            raise DdspZooError(
                f"{self._folder()} has no {split} tracks in the splits {self.splits!r}: complete the corpus, or choose "
                "other data.splits (baby: for the first 20 tracks)."
            )
        most = self.most[split] or len(found)
        if not 0 <= most <= len(found):
            raise DdspZooError(
                f"The {split} split of {self.splits} has {len(found)} tracks here, not {most}: lower "
                f"data.{split}_tracks (0: all)."
            )
        return [read_track(found[place * len(found) // most]) for place in range(most)]

    @cached_property
    def _by_split(self) -> dict[Split, list[Path]]:
        """Returns the folders of the tracks of every split."""
        root = self._folder()
        folders = find_tracks(root)
        if not folders:
            raise DdspZooError(
                f"{root} is not Slakh2100: it needs folders Track00001 and so on, directly in it or in train, "
                f"validation and test (zenodo.org/records/{ARCHIVES['redux'][0]}, or data.download: redux or baby); "
                f"{_INSTEAD}."
            )
        places = find_splits(folders, self.splits)
        return {split: [f for f in folders if places.get(f.name) == split] for split in SPLITS}

    def _folder(self) -> Path:
        if self.root:
            return Path(self.root)
        if self.download:
            return cache_root() / "slakh" / self.download
        raise DdspZooError(
            "Slakh2100 needs its folder: set data.root or SLAKH_ROOT, or data.download to redux or baby; "
            f"{_INSTEAD}."
        )
