"""The pitch of a set of sinusoids."""

import numpy as np

GRID_CENTS = 20
HARMONICS = 8


def salient_f0(
    frequency_hz: np.ndarray, amplitude: np.ndarray, low_hz: float = 30.0, high_hz: float = 500.0,
    floor: float = 1e-3,
) -> np.ndarray:  # fmt: skip
    """f0 whose harmonics carry the most amplitude: frequency_hz, amplitude (N, K) -> f0_hz (N,).

    Harmonic summation (Hermes 1988) on a 20-cent grid: candidate f collects the amplitude of every sinusoid that
    lies within about half a semitone of h * f, weighted by 0.84^(h - 1), for h = 1…8. The winner is refined by the
    amplitude-weighted mean of the sinusoids at its first four harmonics. Frames whose summed amplitude is below
    ``floor`` are unvoiced (0).
    """
    candidates = low_hz * 2 ** np.arange(0, np.log2(high_hz / low_hz), GRID_CENTS / 1200)
    order = np.arange(1, HARMONICS + 1)
    f0 = np.zeros(len(frequency_hz), dtype=np.float32)
    for n in np.flatnonzero(amplitude.sum(-1) >= floor):
        ratio = frequency_hz[n] / candidates[:, None]
        harmonic = np.clip(np.round(ratio), 1, HARMONICS)
        cents = 1200 * np.log2(np.maximum(ratio, 1e-9) / harmonic)
        weight = np.exp(-0.5 * (cents / 40) ** 2) * 0.84 ** (harmonic - 1) * amplitude[n]
        best = weight.sum(-1).argmax()
        near = weight[best] * (harmonic[best] <= order[3])
        f0[n] = (near * frequency_hz[n] / harmonic[best]).sum() / max(near.sum(), 1e-12)
    return f0
