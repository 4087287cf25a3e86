"""A pitch track: f0 and onsets of every source on a regular grid of frames."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ddsp_zoo.dsp.scale import LOWEST_F0_HZ
from ddsp_zoo.errors import DdspZooError


def onsets_from_f0(f0_hz: np.ndarray) -> np.ndarray:
    """Marks the frames where a voiced run begins: f0_hz (..., N) gives onset (..., N) of zeros and ones.

    It is the positive backward difference of the voiced gate (thesis eq. 5.8-5.9): [0, 0, 1, 1, 0, 1] gives
    frames 2 and 5. Nothing sounds before frame 0, so a track that starts voiced starts with an onset.
    """
    gate = (np.asarray(f0_hz) > 0).astype(np.float32)
    before = np.concatenate([np.zeros_like(gate[..., :1]), gate[..., :-1]], axis=-1)
    return np.clip(gate - before, 0, 1)


@dataclass
class PitchTrack:
    """Holds f0_hz (S, N), 0 where unvoiced, and onset (S, N) of zeros and ones, one frame every ``hop_seconds``."""

    f0_hz: np.ndarray
    onset: np.ndarray
    hop_seconds: float

    def __post_init__(self) -> None:
        self.f0_hz, self.onset = (np.asarray(part, dtype=np.float32) for part in (self.f0_hz, self.onset))

    @classmethod
    def from_times(
        cls,
        time_seconds: np.ndarray,
        f0_hz: np.ndarray,
        onset: np.ndarray | None,
        hop_seconds: float,
        count: int,
    ) -> "PitchTrack":
        """Places values given at any increasing times (M,) on a grid of ``count`` frames.

        A frame takes the value nearest in time, no farther than the spacing of the given times or of the grid,
        whichever is longer; otherwise it is unvoiced. Pitches are never mixed across notes. Each given onset
        goes to the frame nearest to it, which takes the onset's pitch (or the next given pitch, where the onset
        lies just before a note), so that no onset lies on the rest or the note before. Without given onsets
        they follow from the gate.
        """
        grid = np.arange(count) * hop_seconds
        if len(time_seconds) == 0:
            empty = np.zeros((len(f0_hz), count), dtype=np.float32)
            return cls(empty, empty.copy(), hop_seconds)
        right = np.clip(np.searchsorted(time_seconds, grid), 0, len(time_seconds) - 1)
        left = np.maximum(right - 1, 0)
        nearest = np.where(grid - time_seconds[left] < time_seconds[right] - grid, left, right)
        spacing = np.median(np.diff(time_seconds)) if len(time_seconds) > 1 else hop_seconds
        reach = max(spacing, hop_seconds) * 1.01
        f0 = np.where(np.abs(time_seconds[nearest] - grid) <= reach, f0_hz[:, nearest], 0).astype(np.float32)
        if onset is None:
            return cls(f0, onsets_from_f0(f0), hop_seconds)
        marks = np.zeros_like(f0)
        for source, at in zip(*np.nonzero(onset > 0), strict=True):
            frame = round(time_seconds[at] / hop_seconds)
            if 0 <= frame < count:
                marks[source, frame] = 1
                given = next(filter(None, f0_hz[source, at : at + 2]), 0)
                f0[source, frame] = given or f0[source, frame]
        return cls(f0, marks * (f0 > 0), hop_seconds)

    def check(self, model: Any) -> None:
        """Raises `DdspZooError` unless a model can use this track: sources and frames fit, every f0 is a pitch or 0."""
        if self.f0_hz.shape != self.onset.shape or self.f0_hz.shape[:-1] != (len(model.sources),):
            raise DdspZooError(
                f"f0_hz and onset must have shape (sources, frames) with a row for each of {', '.join(model.sources)} "
                f"(0 where one rests), got {self.f0_hz.shape} and {self.onset.shape}."
            )
        if not np.isin(self.onset, (0, 1)).all():
            raise DdspZooError("An onset is 1 in the frame where a note begins, and 0 elsewhere.")
        hop_seconds = model.hop_samples / model.sample_rate
        if not np.isclose(self.hop_seconds, hop_seconds):
            raise DdspZooError(
                f"The pitch has a frame every {self.hop_seconds:g} s and the model one every {hop_seconds:g} s: "
                "move it there by PitchTrack.from_times."
            )
        low, high = LOWEST_F0_HZ, model.sample_rate / 2
        fits = (self.f0_hz == 0) | ((self.f0_hz >= low) & (self.f0_hz <= high))  # NaN never does
        for source, frame in np.argwhere(~fits)[:1]:
            name, hz = model.sources[source], self.f0_hz[source, frame]
            raise DdspZooError(
                f"The pitch of {name} at {frame * hop_seconds:.3f} s is {hz:g} Hz: give {low:g} to {high:g} Hz, and 0 "
                "where it rests."
            )

    def excerpt(self, start: int, count: int) -> "PitchTrack":
        """Returns ``count`` frames from ``start``, silent beyond the end; a note that already sounds starts anew."""
        parts = (part[:, start : start + count] for part in (self.f0_hz, self.onset))
        f0, onset = (np.pad(part, ((0, 0), (0, count - part.shape[1]))) for part in parts)
        onset[:, 0] = f0[:, 0] > 0
        return PitchTrack(f0, onset, self.hop_seconds)

    def faster(self, speed: float, start: float, count: int) -> "PitchTrack":
        """Returns ``count`` frames of what is played so much faster and higher, from frame ``start`` of it on.

        Silent beyond the end; a note that already sounds starts anew.
        """
        read = np.rint(start + speed * np.arange(count)).astype(int)
        inside = read < self.f0_hz.shape[1]
        f0, onset = np.zeros((2, len(self.f0_hz), count), dtype=np.float32)
        f0[:, inside] = speed * self.f0_hz[:, read[inside]]
        source, at = np.nonzero(self.onset)
        frame = np.rint((at - start) / speed).astype(int)
        kept = (frame >= 0) & (frame < count)
        onset[source[kept], frame[kept]] = 1
        onset[:, 0] = 1
        return PitchTrack(f0, onset * (f0 > 0), self.hop_seconds)
