"""Measures how stiff a plucked string is, by how far its partials are stretched.

Partial k of a stiff string lies at k f0 sqrt((1 + B k^2) / (1 + B)), where f0 is the frequency of the first.
Source: Fletcher 1964.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import uniform_filter1d

# log2 of B of open guitar strings, low to high. Those of steel follow from usual gauges by B = pi^3 E d^4 / (64 T L^2);
# of a wound string d is the core's, and the winding makes it half as stiff again. Acoustic: light, with a wound G;
# electric: light, with a plain one. Those of nylon are measured (FreePats' Spanish classical guitar).
GUITAR_SETS = {
    "acoustic": (-12.9, -13.6, -14.4, -15.2, -14.0, -15.7),
    "electric": (-12.8, -13.4, -13.7, -13.2, -14.6, -16.2),
    "nylon": (-15.5, -14.8, -15.0, -12.9, -13.9, -14.6),
}
PER_OCTAVE = 12  # steps of the axis of B
LEAST, MOST = -17, -9  # log2 of B
PARTIALS, BEYOND = 30, 60  # that a note is measured by; that are kept clear of those of other notes
BESIDE_CENTS = np.arange(-6.0, 7.0, 2.0)  # where the pitch itself may be
LOUDEST = 4.0  # nepers above the level around it that a partial counts for, at most
WEIGHT, DOUBT = 0.25, 6.0  # of a partial's level in the log likelihood; the least that one may be


def stiffness_axis() -> np.ndarray:
    """Returns the values of log2 B that are told apart, 12 for each octave of B (G,)."""
    return np.linspace(LEAST, MOST, (MOST - LEAST) * PER_OCTAVE + 1)


def stiff_partials(f0_hz: float, log2_b: np.ndarray, count: int) -> np.ndarray:
    """Returns the frequencies in Hz of the first partials (..., count), for each log2 B (...)."""
    b, k = 2 ** np.asarray(log2_b)[..., None], np.arange(1, count + 1)
    return f0_hz * k * np.sqrt((1 + b * k**2) / (1 + b))


def stiffness_likelihood(
    audio: np.ndarray, f0_hz: float, sample_rate: int, others: Sequence[tuple[float, float]] = ()
) -> np.ndarray:
    """Returns how likely each B of the `stiffness_axis` is for a note, as logarithms up to 0 (G,).

    It is likely where much sounds at the partials that it gives. What others sound at is not counted.

    Args:
        audio: (T,) of one note, its pluck left out, as long as its pitch stays within some cents.
        f0_hz: its pitch.
        sample_rate: in Hz.
        others: f0 in Hz and log2 B of notes that sound with it.
    """
    size = 1 << (4 * len(audio) - 1).bit_length()
    level = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size)) + 1e-9)
    bins = size / sample_rate
    above = (level - uniform_filter1d(level, max(round(f0_hz * bins), 9) | 1)).clip(0, LOUDEST)
    above = np.maximum(above, np.maximum(np.roll(above, 1), np.roll(above, -1)))
    lobe = max(round(2 * size / len(audio)), 1)  # half of the window's main lobe
    taken = np.zeros(len(level), dtype=bool)
    for hz, log2_b in others:
        for place in np.rint(bins * stiff_partials(hz, np.array(log2_b), BEYOND)).astype(int):
            taken[max(place - lobe, 0) : place + lobe + 1] = True
    beside = f0_hz * 2 ** (BESIDE_CENTS / 1200)
    at = np.rint(bins * beside[:, None, None] * stiff_partials(1.0, stiffness_axis(), PARTIALS)).astype(int)
    inside = at < 0.94 * len(level)
    at = at.clip(max=len(level) - 1)
    free = inside & ~taken[at]
    heard = np.where(free, above[at], 0)
    # Where others sound too, a partial counts as one does on average: it neither speaks for a B nor against it.
    counted = np.where(inside & ~free, heard.sum() / max(free.sum(), 1), heard)
    score = WEIGHT * counted.sum(-1).max(0)
    return (score - score.max()).clip(min=-DOUBT)


def mean_stiffness(likely: np.ndarray) -> float:
    """Returns the mean log2 B of a note from what `stiffness_likelihood` returns of it."""
    share = np.exp(likely)
    return float((share * stiffness_axis()).sum() / share.sum())
