"""Disturbs the recordings of a choir: how robust a model is can be measured by what it makes of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from numpy.typing import NDArray
from scipy import signal

from ddsp_zoo.corpora.base import StemDataModule, Track
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import cache_root, fingerprint
from ddsp_zoo.files.digest import sha256_of
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.music.signals import playing_level, reverb
from ddsp_zoo.sources import Split

VERSION = 1  # to be raised whenever a disturbance sounds different
HALL_SECONDS, HALL_WET = 2.0, 0.5
NOISE_DB = -20.0  # beside the level of the voice
TELEPHONE_HZ = 4000.0  # what is left of a recording at 8 kHz
AUDIO = "audio.flac"


def _hall(audio: NDArray, rate: int, rng: np.random.Generator) -> NDArray:
    return reverb(audio, HALL_SECONDS, HALL_WET, rng, rate)


def _noise(audio: NDArray, rate: int, rng: np.random.Generator) -> NDArray:
    return audio + rng.standard_normal(len(audio)) * playing_level(audio, rate) * 10 ** (NOISE_DB / 20)


def _telephone(audio: NDArray, rate: int, rng: np.random.Generator) -> NDArray:
    if rate <= 2 * TELEPHONE_HZ:
        return audio
    return signal.sosfiltfilt(signal.butter(8, 0.95 * TELEPHONE_HZ, fs=rate, output="sos"), audio)


CONDITIONS: dict[str, Callable[[NDArray, int, np.random.Generator], NDArray]] = {
    "reverb": _hall,
    "noise": _noise,
    "8_khz": _telephone,
}


class DisturbedChoir(StemDataModule):
    """Gives out the tracks of another corpus with every stem disturbed; copies are made once and kept in the cache.

    Args:
        corpus: whose tracks are meant.
        condition: reverb (all voices in one hall of 2 s), noise (each microphone 20 dB below its voice) or 8_khz
            (nothing above 4 kHz).

    Raises:
        DdspZooError: for another condition.
    """

    def __init__(self, corpus: StemDataModule, condition: str) -> None:
        super().__init__(corpus.excerpts, corpus.variation)
        if condition not in CONDITIONS:
            raise DdspZooError(f"The condition is {condition!r}: choose from {', '.join(CONDITIONS)}.")
        self.corpus, self.condition = corpus, condition
        self._copies: dict[Path, Path] = {}  # folders of copies, by what they are made of, which is read once

    def feed(self, model: Any, split: Split | None = None) -> "DisturbedChoir":
        """Shapes the batches for a model, see `StemDataModule.feed`."""
        self.corpus.feed(model, split)
        super().feed(model, split)
        return self

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Prepares the corpus, and makes the copies that are not there yet."""
        self.corpus.prepare(splits)
        jobs = {
            self._copy(path): path
            for split in splits
            for track in self.corpus.tracks(split)
            for paths in track.stems.values()
            for path in paths
        }
        render_folders(jobs, self._disturb, self.excerpts.workers, f"disturbing by {self.condition}")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the tracks of the corpus with the copies of their stems."""
        return [
            replace(
                track,
                stems={
                    name: tuple(self._copy(p) / AUDIO for p in paths) for name, paths in track.stems.items()
                },
            )
            for track in self.corpus.tracks(split)
        ]

    def _copy(self, path: Path) -> Path:
        if path not in self._copies:
            made_of = fingerprint(version=VERSION, condition=self.condition, audio=sha256_of(path))
            self._copies[path] = cache_root() / "disturbed" / made_of
        return self._copies[path]

    def _disturb(self, folder: Path, path: Path) -> None:
        audio, rate = sf.read(path, dtype="float64")
        # One hall for all, and noise of its own for each.
        seed = 0 if self.condition == "reverb" else list(bytes.fromhex(sha256_of(path)[:16]))
        changed = CONDITIONS[self.condition](audio, rate, np.random.default_rng(seed))
        sf.write(folder / AUDIO, np.clip(changed, -1, 1), rate, subtype="PCM_16")
