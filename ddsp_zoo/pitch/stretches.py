"""Notes as stretches of a pitch curve."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ddsp_zoo.dsp.scale import hz_to_midi

SHORTEST_SECONDS, JUMP_SEMITONES = 0.06, 0.7
MEMORY_SECONDS, SMOOTH_SECONDS = 0.5, 0.15


def stretches(
    f0_hz: np.ndarray,
    rate_hz: float,
    onset: np.ndarray | None = None,
    shortest_seconds: float = SHORTEST_SECONDS,
    jump_semitones: float = JUMP_SEMITONES,
) -> list[tuple[int, int]]:
    """Returns first frame and frame after the last of every voiced stretch of one pitch, of f0_hz (N,).

    Stretches are cut where ``onset`` (N,) crosses one half upwards, and where the pitch moves on to stay: where it,
    smoothed over .15 s, so that vibrato and single wrong frames do not count, is more than ``jump_semitones`` from the
    median of the last half second, to the same side, for ``shortest_seconds``; with infinite ones nowhere. Shorter ones
    are left out. A pitch of 0 or NaN is unvoiced.
    """
    f0_hz = np.asarray(f0_hz, dtype=np.float64).reshape(-1)
    voiced = np.isfinite(f0_hz) & (f0_hz > 0)
    pitch = hz_to_midi(np.where(voiced, f0_hz, 440.0))
    begins, shortest = _rising(onset, len(pitch)), max(1, round(shortest_seconds * rate_hz))
    found = []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], voiced.astype(np.int8), [0]))))
    for first, last in edges.reshape(-1, 2).tolist():
        cuts = [first, *(first + 1 + np.flatnonzero(begins[first + 1 : last])).tolist(), last]
        for start, end in itertools.pairwise(cuts):
            jumps = _jumps(pitch[start:end], rate_hz, shortest, jump_semitones)
            found += itertools.pairwise([start, *(start + frame for frame in jumps), end])
    return [(start, end) for start, end in found if end - start >= shortest]


def beginnings(f0_hz: np.ndarray, rate_hz: float) -> np.ndarray:
    """Returns where notes begin in pitch curves (..., N), as 1 among zeros (..., N), see `stretches`."""
    rows = f0_hz.reshape(-1, f0_hz.shape[-1])
    onset = np.zeros(rows.shape, np.float32)
    for row, curve in zip(onset, rows, strict=True):
        row[[start for start, _ in stretches(curve, rate_hz)]] = 1
    return onset.reshape(f0_hz.shape)


def _rising(onset: np.ndarray | None, frames: int) -> np.ndarray:
    """(N,) bool: where an onset curve crosses one half upwards."""
    if onset is None:
        return np.zeros(frames, dtype=bool)
    high = np.asarray(onset).reshape(-1) > 0.5
    return high & ~np.concatenate(([False], high[:-1]))


def _jumps(pitch: np.ndarray, rate_hz: float, persist: int, jump: float) -> Iterator[int]:
    """Frames where a new pitch begins; in plain lists, as numpy is slow on a few numbers."""
    if math.isinf(jump):
        return
    curve, memory = (
        _smooth(pitch, round(SMOOTH_SECONDS / 2 * rate_hz)).tolist(),
        round(MEMORY_SECONDS * rate_hz),
    )
    memory = max(persist, memory)
    start, away, side = 0, 0, 0  # begin of the note; for how many frames the pitch is off, and to which side
    for frame in range(1, len(curve)):
        settled = sorted(curve[max(start, frame - away - memory) : frame - away])
        offset = curve[frame] - settled[len(settled) // 2]
        now = (offset > jump) - (offset < -jump)
        away = away + 1 if now and now == side else abs(now)
        side = now
        if away >= persist:
            start, away, side = frame + 1 - away, 0, 0
            yield start


def _smooth(pitch: np.ndarray, half: int) -> np.ndarray:
    """Running median over about a period of vibrato, which keeps steps where they are."""
    padded = np.pad(pitch, half, mode="symmetric")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=-1)
