"""Makes quartets and duets of single voices: what all corpora of choirs share."""

import itertools
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import read_f0_csv
from ddsp_zoo.music.choir.scores import PARTS
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import voices_from_the_top

DUET = ("high", "low")


@dataclass
class Voice:
    """Holds the line of one singer: a recording, and the column of an f0 file that belongs to it."""

    name: str
    part: str
    audio: Path
    pitch: Path
    column: str

    @cached_property
    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Reads time_seconds (M,), f0_hz (1, M) and onset (1, M) or None.

        They are read once for all groups that the voice sings in.
        """
        return read_f0_csv(self.pitch, (self.column,))


@dataclass(frozen=True)
class Group(Track):
    """Holds a track whose stems are single voices, in the order of the sources; stems beyond them are silent."""

    voices: tuple[Voice, ...] = field(default=(), repr=False)

    @cached_property
    def seconds(self) -> float:
        """Returns how long all voices last together: recordings of one song end at slightly different times."""
        return min(Track(v.name, {v.part: (v.audio,)}).seconds for v in self.voices)

    def read_pitch(self, sources: tuple[str, ...], hop_seconds: float) -> PitchTrack:
        """Reads f0 and onsets of the group's voices on the model's frame grid."""
        count = int(self.seconds / hop_seconds) + 1
        named = dict(zip(self.stems, self.voices, strict=False))
        f0, onset = np.zeros((2, len(sources), count), np.float32)
        for row, name in enumerate(sources):
            if name in named:
                line = PitchTrack.from_times(*named[name].curve, hop_seconds, count)
                f0[row], onset[row] = line.f0_hz[0], line.onset[0]
        return PitchTrack(f0, onset, hop_seconds)


def group(voices: tuple[Voice, ...], kind: type[Group] = Group, **more: object) -> Group:
    """Makes a quartet or, named high and low, a duet of voices that are given from the top."""
    names = DUET if len(voices) == 2 else tuple(voice.part for voice in voices)
    stems = {name: (voice.audio,) for name, voice in zip(names, voices, strict=True)}
    return kind("+".join(voice.name for voice in voices), stems, voices[0].pitch, voices=voices, **more)


def numbered_group(name: str, voices: tuple[Voice, ...], most: int) -> Group:
    """Makes a group of voices that are given from the top: voice1, voice2, …, of which those up to ``most`` rest."""
    names = voices_from_the_top(most)
    stems = dict.fromkeys(names, ()) | {name: (voice.audio,) for name, voice in zip(names, voices)}
    return Group(name, stems, voices[0].pitch, voices=voices)


def combinations(voices: list[Voice], size: int) -> list[tuple[Voice, ...]]:
    """Returns every way to fill ``size`` different parts (4: all, 2: each pair of parts) with one voice each."""
    by_part = {part: [voice for voice in voices if voice.part == part] for part in PARTS}
    return [
        choice
        for parts in itertools.combinations(PARTS, size)
        for choice in itertools.product(*(by_part[part] for part in parts))
    ]


class ChoirDataModule(StemDataModule):
    """Feeds a model from a choir of four voices (soprano, alto, tenor, bass) or two of them (high, low).

    Args:
        voices: 4 or 2.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        voices: int = 4,
        excerpts: Excerpts = Excerpts(batch_size=16),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        if voices not in (2, 4):
            raise DdspZooError(f"A choir has 4 voices or 2, not {voices}: set data.voices to one of them.")
        self.voices = voices

    def _spread(self, tracks: list[Group], most: int) -> list[Group]:
        """Returns at most so many of the tracks (0: all), drawn at random but always the same, in their order."""
        if not most or most >= len(tracks):
            return tracks
        chosen = np.random.default_rng(0).permutation(len(tracks))[:most]
        return [tracks[index] for index in sorted(chosen)]
