"""What corpora of choirs share: voices that any group can be made of, quartets and duets, and their gains."""

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from ddsp_zoo.data.base import StemDataModule, StemDataset, Track
from ddsp_zoo.data.choir_scores import PARTS
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.controls import read_f0_csv
from ddsp_zoo.pitch.track import PitchTrack

DUET = ("high", "low")


@dataclass
class Voice:
    """One singer's line: a recording and the column of an f0 file that belongs to it."""

    name: str
    part: str
    audio: Path
    pitch: Path
    column: str

    @cached_property
    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """time_seconds (M,), f0_hz (1, M), onset (1, M) or None: read once, however many groups it sings in."""
        return read_f0_csv(self.pitch, (self.column,))


@dataclass(frozen=True)
class Group(Track):
    """A track whose stems are single voices, in the order of the model's sources."""

    voices: tuple[Voice, ...] = field(default=(), repr=False)

    @cached_property
    def seconds(self) -> float:
        """As long as all voices last: recordings of one song end at slightly different times."""
        return min(Track(v.name, {v.part: (v.audio,)}).seconds for v in self.voices)

    def read_pitch(self, sources: tuple[str, ...], hop_seconds: float) -> PitchTrack:
        """f0 and onsets of the group's voices on the model's frame grid."""
        count = int(self.seconds / hop_seconds) + 1
        named = dict(zip(self.stems, self.voices, strict=True))
        lines = [PitchTrack.from_times(*named[name].curve, hop_seconds, count) for name in sources]
        f0, onset = (np.concatenate([getattr(line, key) for line in lines]) for key in ("f0_hz", "onset"))
        return PitchTrack(f0, onset, hop_seconds)


def group(voices: tuple[Voice, ...], kind: type[Group] = Group, **more: object) -> Group:
    """A quartet or, named high and low, a duet of voices given from the top."""
    names = DUET if len(voices) == 2 else tuple(voice.part for voice in voices)
    stems = {name: (voice.audio,) for name, voice in zip(names, voices, strict=True)}
    return kind("+".join(voice.name for voice in voices), stems, voices[0].pitch, voices, **more)


def combinations(voices: list[Voice], size: int) -> list[tuple[Voice, ...]]:
    """Every way to fill ``size`` different parts (4: all, 2: each pair of parts) with one voice each."""
    by_part = {part: [voice for voice in voices if voice.part == part] for part in PARTS}
    return [
        choice
        for parts in itertools.combinations(PARTS, size)
        for choice in itertools.product(*(by_part[part] for part in parts))
    ]


class VariedDataset(StemDataset):
    """Excerpts in which voices are changed at random, drawn from the excerpt's number.

    ``gain_db``: each is louder or softer by up to so much. ``apart``: share of the excerpts whose voices come from
    different places of the track, so that no harmony is known by heart.
    """

    gain_db: float = 0.0
    apart: float = 0.0

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.seed, index, 1])
        count = len(self.spec.sources)
        gains = torch.from_numpy(10 ** (rng.uniform(-self.gain_db, self.gain_db, count) / 20)).float()
        item = super().__getitem__(index)
        if rng.random() < self.apart:
            item = self._apart(item, index, rng)
        item["sources"] = item["sources"] * gains[:, None]
        return item | {"mixture": item["sources"].sum(0)}

    def _apart(
        self, item: dict[str, torch.Tensor], index: int, rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """All voices but the first taken from elsewhere in the same track."""
        number, _ = self._random_excerpt(index)
        latest = max(self.tracks[number].seconds - self.seconds, 0)
        places = [item] + [self._excerpt(number, rng.uniform(0, latest)) for _ in self.spec.sources[1:]]
        return {
            name: torch.stack([place[name][row] for row, place in enumerate(places)])
            for name in item
            if name != "mixture"
        }


class ChoirDataModule(StemDataModule):
    """Base of the choirs: four voices (soprano, alto, tenor, bass) or two of them (high, low).

    Args:
        voices: 4 or 2.
        gain_db: training voices are made louder or softer by up to so much, each by its own random gain.
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that read audio.
        seed: of the random excerpts and gains.
        apart: share of the random training excerpts whose voices come from different places of their track.
    """

    def __init__(
        self, voices: int = 4, gain_db: float = 0.0, batch_size: int = 16, examples_per_epoch: int = 0,
        workers: int = 0, seed: int = 0, apart: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(batch_size, examples_per_epoch, workers, seed)
        if voices not in (2, 4):
            raise DdspZooError(f"A choir has 4 voices or 2, not {voices}: set data.voices to one of them.")
        self.voices, self.gain_db, self.apart = voices, gain_db, apart
        if apart and not examples_per_epoch:
            raise DdspZooError(
                "Voices from different places need random excerpts: set examples_per_epoch too."
            )

    def setup(self, stage: str) -> None:
        """As every corpus, with the training voices varied."""
        super().setup(stage)
        if (self.gain_db or self.apart) and (plain := self.datasets.get("train")):
            varied = VariedDataset(plain.tracks, self.spec, plain.random_excerpts, self.seed)
            varied.gain_db, varied.apart = self.gain_db, self.apart
            self.datasets["train"] = varied

    def _spread(self, tracks: list[Group], most: int) -> list[Group]:
        """At most so many of the tracks (0: all), drawn by lot but always the same ones, in their order."""
        if not most or most >= len(tracks):
            return tracks
        chosen = np.random.default_rng(0).permutation(len(tracks))[:most]
        return [tracks[index] for index in sorted(chosen)]
