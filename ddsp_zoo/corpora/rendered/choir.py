"""Renders a corpus of choirs from invented music, four-part chorales or other styles for one to eight voices."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

from ddsp_zoo.corpora.base import Excerpts, Track
from ddsp_zoo.corpora.choral.groups import ChoirDataModule, Voice, combinations, group, numbered_group
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import fingerprint, folder_or_cache
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.music.choir.scores import PARTS
from ddsp_zoo.music.choir.styles import CHORALE, STYLES, choose_parts, compose_style
from ddsp_zoo.music.choir.voices import GRID_SECONDS, RATE, Singer, microphone, sing
from ddsp_zoo.music.signals import log_uniform, playing_level, reverb
from ddsp_zoo.sources import MOST_VOICES, Split, voices_from_the_top

VERSION = 2  # to be raised whenever a change here or in the choir modules changes the sound


def perform(
    rng: np.random.Generator, seconds: float, style: str = CHORALE, parts: tuple[str, ...] = PARTS
) -> tuple[NDArray, NDArray, NDArray]:
    """Renders one piece: voices (S, T) at 16 kHz in the order of their parts, f0_hz and onset (S, M) every 4 ms."""
    lines = compose_style(rng, style, parts, seconds)
    singers = [Singer.random(rng, part) for part in parts]
    audio, f0, onset = sing(list(lines.values()), singers, seconds, rng)
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


@dataclass(frozen=True)
class Piece:
    """Holds what a piece is rendered from: its seed, its style and its parts, high to low."""

    seed: tuple[int, ...]
    style: str
    parts: tuple[str, ...]
    names: tuple[str, ...]


class RenderedChoir(ChoirDataModule):
    """Renders choirs with exact f0, once, and keeps them on disk; needs nothing but this package.

    Chorales follow common-practice voice leading (`choir_scores`); every piece has singers of its own
    (`choir_voices`), who share a text and a room. So pieces and singers differ within and between the splits. With
    two voices each piece gives six duets, one for each pair of parts. Other numbers have voices called voice1, voice2,
    …, from the one that is highest on average; where there are fewer than the largest number, the last are silent.

    Args:
        root: folder for the audio; by default the cache folder of the package.
        voices: 4 (soprano, alto, tenor, bass), 2 (high, low), another number up to 8, or a list of numbers, of which
            each piece has one.
        train_tracks: pieces in the training split; a larger number keeps those already rendered.
        validation_tracks: pieces in the validation split.
        test_tracks: pieces in the test split.
        track_seconds: length of a piece.
        render_seed: of the music and the singers.
        styles: of which each piece has one: chorale, polyphony, homophony.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.

    Raises:
        DdspZooError: for other styles and numbers of voices.
    """

    def __init__(
        self,
        root: str | None = None,
        voices: int | list[int] = 4,
        train_tracks: int = 120,
        validation_tracks: int = 8,
        test_tracks: int = 12,
        track_seconds: float = 30.0,
        render_seed: int = 0,
        styles: tuple[str, ...] = (CHORALE,),
        excerpts: Excerpts = Excerpts(batch_size=16),
        variation: Variation = Variation(),
    ) -> None:
        self.numbers = (voices,) if isinstance(voices, int) else tuple(voices)
        if not self.numbers or not all(1 <= number <= MOST_VOICES for number in self.numbers):
            raise DdspZooError(
                f"A choir has 1 to {MOST_VOICES} voices, not {voices}: set data.voices to that."
            )
        if not styles or not set(styles) <= set(STYLES):
            raise DdspZooError(f"styles are {list(styles)}: choose from {', '.join(STYLES)}.")
        self.quartets = voices in (2, 4)  # from which duets are chosen too
        super().__init__(voices if self.quartets else 4, excerpts, variation)
        self.styles = tuple(styles)
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}
        self.track_seconds, self.render_seed = track_seconds, render_seed
        # Only what is unusual is named, or older renderings would not be found.
        unusual = ({} if self.styles == (CHORALE,) else {"styles": self.styles}) | (
            {} if self.quartets else {"voices": self.numbers}
        )
        self.root = folder_or_cache(root, "rendered_choir") / fingerprint(
            version=VERSION, seconds=track_seconds, seed=render_seed, **unusual
        )

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Renders the pieces of these splits that are not on disk yet."""
        jobs = {
            self.root / split / name: piece for split in splits for name, piece in self.pieces(split).items()
        }
        render_folders(jobs, self._render, self.excerpts.workers, "rendering choirs")

    def pieces(self, split: Split) -> dict[str, Piece]:
        """Returns what the pieces of a split are rendered from, by the name of the piece."""
        number = list(self.counts).index(split)
        return {
            f"piece_{index:04d}": self._piece((self.render_seed, number, index))
            for index in range(self.counts[split])
        }

    def tracks(self, split: Split) -> list[Track]:
        """Returns the quartet, or the six duets, or the other voices, of each piece of a split."""
        tracks = []
        for name, piece in self.pieces(split).items():
            voices = [_voice(self.root / split / name, part) for part in piece.names]
            if self.quartets:
                tracks += [group(choice) for choice in combinations(voices, self.voices)]
            else:
                tracks.append(numbered_group(name, tuple(voices), max(self.numbers)))
        return tracks

    def _piece(self, seed: tuple[int, ...]) -> Piece:
        rng = np.random.default_rng([*seed, 1])  # beside that of the music
        style = str(rng.choice(self.styles))
        if self.quartets:
            return Piece(seed, style, PARTS, PARTS)
        parts = choose_parts(rng, int(rng.choice(self.numbers)))
        return Piece(seed, style, parts, voices_from_the_top(len(parts)))

    def _render(self, folder: Path, piece: Piece) -> None:
        rng = np.random.default_rng(piece.seed)
        audio, f0, onset = perform(rng, self.track_seconds, piece.style, piece.parts)
        if not self.quartets:
            order = highest_first(f0)
            audio, f0, onset = audio[order], f0[order], onset[order]
        for name, stem in zip(piece.names, audio, strict=True):
            sf.write(folder / f"{name}.flac", stem, RATE, subtype="PCM_16")
        write_f0_csv(folder / "f0.csv", np.arange(f0.shape[1]) * GRID_SECONDS, f0, piece.names, onset)


def highest_first(f0_hz: NDArray) -> NDArray:
    """Returns the order of voices f0_hz (S, M) by their mean pitch, the highest first; 0 is a rest."""
    octaves = np.log2(np.maximum(f0_hz, 1)).sum(1) / np.maximum((f0_hz > 0).sum(1), 1)
    return np.argsort(-octaves, kind="stable")


def _voice(folder: Path, part: str) -> Voice:
    return Voice(f"{folder.name}_{part}", part, folder / f"{part}.flac", folder / "f0.csv", part)
