"""Which string plays a pitch."""

import numpy as np

from ddsp_zoo.sources import GUITAR_STRINGS_HZ


def assign_to_strings(f0_hz: np.ndarray) -> np.ndarray:
    """Put a single melody on the strings of a guitar: f0_hz (N,) -> (S, N), 0 where a string rests.

    Each voiced run goes, whole, to the highest-tuned string that reaches its median pitch, which is where
    the hand stays lowest on the neck. A run below the lowest string goes to the lowest.
    """
    open_hz = tuple(GUITAR_STRINGS_HZ.values())
    out = np.zeros((len(open_hz), len(f0_hz)), dtype=np.float32)
    quarter_tone = 2 ** (1 / 24)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], f0_hz > 0, [0]])))
    for start, stop in edges.reshape(-1, 2):
        pitch = np.median(f0_hz[start:stop])
        reachable = [s for s, hz in enumerate(open_hz) if hz / quarter_tone <= pitch]
        out[max(reachable, default=0), start:stop] = f0_hz[start:stop]
    return out
