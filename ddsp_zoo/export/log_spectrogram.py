"""Spectrograms for pictures: as many points as the picture has, whatever the length of the audio."""

import math

import numpy as np

COLUMNS = 900  # points along time: about the pixels that a panel has
BANDS = 160  # points along frequency
LOWEST_HZ, HIGHEST_HZ = 30.0, 16000.0


def log_spectrogram(audio: np.ndarray, rate: int, n_fft: int = 4096) -> np.ndarray:
    """Returns power (BANDS, columns) of audio (channels, T) in dB, bands even in log frequency.

    Of long audio, a column is the mean of four windows spread over its time; of short audio, windows overlap.
    """
    n_fft = min(n_fft, 2 ** math.ceil(math.log2(rate * 0.09)))
    samples = audio.shape[-1]
    columns = int(np.clip(samples // (n_fft // 16), 1, COLUMNS))
    windows = 4 if samples > 2 * columns * n_fft else 1
    centres = (np.arange(columns * windows) + 0.5) * samples / (columns * windows)
    window, weights = np.hanning(n_fft).astype(np.float32), _bands(rate, n_fft)
    power = np.empty((BANDS, columns), dtype=np.float32)
    block = 128
    for first in range(0, columns, block):
        some = centres[first * windows : (first + block) * windows]
        frames = _windows(audio, some.astype(np.int64) - n_fft // 2, n_fft)
        spectrum = np.square(np.abs(np.fft.rfft(frames * window)))
        spectrum = spectrum.reshape(-1, windows, spectrum.shape[-1]).mean(1)
        power[:, first : first + block] = (spectrum @ weights).T
    return 10 * np.log10(np.nan_to_num(power) + 1e-12)


def _windows(audio: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
    """Samples (windows, length), the mean of the channels, from each of `starts`; zeros outside the audio."""
    windows = np.zeros((len(starts), length), dtype=np.float32)
    for window, start in zip(windows, starts.tolist()):
        first, last = max(start, 0), min(start + length, audio.shape[-1])
        window[first - start : last - start] = audio[:, first:last].mean(0, dtype=np.float32)
    return windows


def _bands(rate: int, n_fft: int) -> np.ndarray:
    """(bins, BANDS) triangles around the band centres, at least a bin wide so that low bands interpolate."""
    centres = np.geomspace(LOWEST_HZ, highest_hz(rate), BANDS)
    bins = np.fft.rfftfreq(n_fft, 1 / rate)
    width = np.maximum(centres * (centres[1] / centres[0] - 1), rate / n_fft)
    weights = np.maximum(0, 1 - np.abs(bins[:, None] - centres) / width)
    return (weights / np.maximum(weights.sum(0), 1e-9)).astype(np.float32)


def highest_hz(rate: int) -> float:
    """Returns where the bands end at a sample rate."""
    return min(HIGHEST_HZ, rate / 2)
