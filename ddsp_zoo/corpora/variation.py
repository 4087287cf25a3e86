"""Varies training excerpts at random: where each source is read, how fast, how loud, with which sign and tone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.effects import retoned


class Place(NamedTuple):
    """Says where an excerpt begins: number of its track and seconds."""

    track: int
    start_seconds: float


class Take(NamedTuple):
    """Says how one source of an excerpt is read; at a speed of 1.1 it is 10 % faster and as much higher.

    ``tone``: what its tone is drawn from (see `Variation.toned`); None leaves it as it is.
    """

    place: Place
    gain: float = 1.0
    speed: float = 1.0
    tone: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Variation:
    """Says how much of each change there is; by default none.

    Args:
        gain_db: each source is louder or softer by up to so much.
        apart: share of the excerpts whose sources come from different places of one track.
        polarity: turn each source upside down or not, by lot.
        swap: share of the excerpts whose sources come from different tracks.
        stretch: play up to so much faster and higher or slower and lower (0.1: 10 %); sources that belong together
            by the same factor, others each by its own.
        detune_cents: each source is besides so much higher or lower, at most, and as much faster or slower.
        tone_db: each source goes through an equaliser of its own, smooth and within so many dB, and through the comb
            of a place where a string is plucked or heard.

    Raises:
        DdspZooError: for a share that is none, or a limit below 0.
    """

    gain_db: float = 0.0
    apart: float = 0.0
    polarity: bool = False
    swap: float = 0.0
    stretch: float = 0.0
    detune_cents: float = 0.0
    tone_db: float = 0.0

    def __post_init__(self) -> None:
        if min(self.apart, self.swap) < 0 or self.apart + self.swap > 1:
            raise DdspZooError(
                f"apart ({self.apart:g}) and swap ({self.swap:g}) are shares of the excerpts: set both from 0 to 1, "
                "together at most 1."
            )
        if not 0 <= self.stretch <= 1:
            raise DdspZooError(
                f"stretch lies between 0 and 1 (0.1: up to 10 % faster), not at {self.stretch:g}."
            )
        for name in ("gain_db", "detune_cents", "tone_db"):
            if (limit := getattr(self, name)) < 0:
                raise DdspZooError(f"{name} is how far it reaches up and down: {limit:g} is below 0.")

    @property
    def takes_apart(self) -> bool:
        """Tells whether sources are ever read from other places than their excerpt's."""
        return bool(self.apart or self.swap)

    def takes(
        self, place: Place, track_seconds: np.ndarray, seconds: float, count: int, key: Sequence[int]
    ) -> list[Take]:
        """Draws one take for each of ``count`` sources, from ``key`` alone.

        Args:
            place: where the excerpt begins.
            track_seconds: lengths of all tracks; longer ones are swapped in more often.
            seconds: length of the excerpt.
            count: number of sources; the first one stays in its place.
            key: seed and number of the excerpt.
        """
        rng = np.random.default_rng([*key, 1])
        gains = 10 ** (rng.uniform(-self.gain_db, self.gain_db, count) / 20)
        lot = rng.random()  # below apart, below apart + swap, or above both
        places = [place] * count
        if lot < self.apart:
            latest = max(track_seconds[place.track] - seconds, 0)
            places[1:] = [Place(place.track, rng.uniform(0, latest)) for _ in places[1:]]
        elif lot < self.apart + self.swap:
            places[1:] = [random_place(rng, track_seconds, seconds) for _ in places[1:]]
        rng = np.random.default_rng([*key, 2])  # so that these change nothing in the draws above
        if self.polarity:
            gains = gains * rng.choice((-1, 1), count)
        speeds = (1 + self.stretch) ** rng.uniform(-1, 1, count)
        if lot >= self.apart + self.swap:
            speeds[:] = speeds[0]
        detune = np.random.default_rng([*key, 3]).uniform(-self.detune_cents, self.detune_cents, count)
        speeds = speeds * 2 ** (detune / 1200)
        tones = [(*key, 4, row) if self.tone_db else None for row in range(count)]
        return [Take(*take) for take in zip(places, gains.tolist(), speeds.tolist(), tones, strict=True)]

    def toned(self, audio: np.ndarray, tone: tuple[int, ...], sample_rate: int) -> np.ndarray:
        """Gives a source (T,) the tone that is drawn from ``tone``, at the level that it has."""
        return retoned(audio, np.random.default_rng(tone), self.tone_db, sample_rate)


def random_place(rng: np.random.Generator, track_seconds: np.ndarray, seconds: float) -> Place:
    """Draws the beginning of an excerpt anywhere in any track; longer tracks are drawn more often."""
    number = int(rng.choice(len(track_seconds), p=track_seconds / track_seconds.sum()))
    return Place(number, rng.uniform(0, max(track_seconds[number] - seconds, 0)))
