"""Renders a corpus of four-part choirs from invented chorales."""

from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from ddsp_zoo.corpora.base import Excerpts, Track
from ddsp_zoo.corpora.choral.groups import ChoirDataModule, Voice, combinations, group
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.files.cache import fingerprint, folder_or_cache
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.music.choir.scores import PARTS, compose
from ddsp_zoo.music.choir.voices import GRID_SECONDS, RATE, Singer, microphone, sing
from ddsp_zoo.music.signals import log_uniform, playing_level, reverb
from ddsp_zoo.sources import Split

VERSION = 2  # to be raised whenever a change here or in the choir modules changes the sound


def perform(rng: np.random.Generator, seconds: float) -> tuple[NDArray, NDArray, NDArray]:
    """Renders one piece: voices (4, T) at 16 kHz from soprano to bass, f0_hz (4, M) and onset (4, M) every 4 ms."""
    lines, singers = compose(rng, seconds), [Singer.random(rng, part) for part in PARTS]
    audio, f0, onset = sing([lines[part] for part in PARTS], singers, seconds, rng)
    t60, wet, floor_db = log_uniform(rng, 0.2, 1.2), log_uniform(rng, 0.05, 0.5), rng.uniform(-52, -32)
    for row, singer in enumerate(singers):
        voice = reverb(microphone(audio[row], singer, rng), t60, wet * rng.uniform(0.7, 1.3), rng, RATE)
        voice *= 10 ** (rng.normal(0, 2.5) / 20) / max(playing_level(voice, RATE), 1e-6)
        audio[row] = voice + _hiss(rng, len(voice)) * 10 ** (floor_db / 20)
    return audio * 0.7 / np.abs(audio.sum(0)).max(), f0, onset


def _hiss(rng: np.random.Generator, samples: int) -> NDArray:
    """Returns the noise of a room and its microphone, stronger towards low frequencies, of unit power."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / RATE)
    noise = np.fft.irfft(
        spectrum * (hertz > 20) / np.sqrt(1 + (hertz / rng.uniform(80, 400)) ** 1.5), samples
    )
    return noise / np.sqrt(np.mean(np.square(noise)))


class RenderedChoir(ChoirDataModule):
    """Renders four-part chorales with exact f0, once, and keeps them on disk; needs nothing but this package.

    Pieces follow common-practice voice leading (`choir_scores`); every piece has four singers of its own
    (`choir_voices`), who share a text and a room. So pieces and singers differ within and between the splits. With
    two voices each piece gives six duets, one for each pair of parts.

    Args:
        root: folder for the audio; by default the cache folder of the package.
        voices: 4 (soprano, alto, tenor, bass) or 2 (high, low).
        train_tracks: pieces in the training split; a larger number keeps those already rendered.
        validation_tracks: pieces in the validation split.
        test_tracks: pieces in the test split.
        track_seconds: length of a piece.
        render_seed: of the music and the singers.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str | None = None,
        voices: int = 4,
        train_tracks: int = 120,
        validation_tracks: int = 8,
        test_tracks: int = 12,
        track_seconds: float = 30.0,
        render_seed: int = 0,
        excerpts: Excerpts = Excerpts(batch_size=16),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(voices, excerpts, variation)
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}
        self.track_seconds, self.render_seed = track_seconds, render_seed
        self.root = folder_or_cache(root, "rendered_choir") / fingerprint(
            version=VERSION, seconds=track_seconds, seed=render_seed
        )

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Renders the pieces of these splits that are not on disk yet."""
        jobs = {
            self.root / split / f"piece_{index:04d}": [self.render_seed, number, index]
            for number, split in enumerate(self.counts)
            if split in splits
            for index in range(self.counts[split])
        }
        render_folders(jobs, self._render, self.excerpts.workers, "rendering choirs")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the quartet, or the six duets, of each piece of a split."""
        folders = [self.root / split / f"piece_{index:04d}" for index in range(self.counts[split])]
        return [
            group(choice)
            for folder in folders
            for choice in combinations([_voice(folder, part) for part in PARTS], self.voices)
        ]

    def _render(self, folder: Path, seed: list[int]) -> None:
        audio, f0, onset = perform(np.random.default_rng(seed), self.track_seconds)
        for name, stem in zip(PARTS, audio, strict=True):
            sf.write(folder / f"{name}.flac", stem, RATE, subtype="PCM_16")
        write_f0_csv(folder / "f0.csv", np.arange(f0.shape[1]) * GRID_SECONDS, f0, PARTS, onset)


def _voice(folder: Path, part: str) -> Voice:
    return Voice(f"{folder.name}_{part}", part, folder / f"{part}.flac", folder / "f0.csv", part)
