"""Makes and filters the signals that rendered music consists of: numpy arrays (T,), one sound at a time."""

from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Audio = NDArray[np.float64]
BLOCK = 64
TABLE_LENGTH = 2048


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draws a random number between two positive bounds; every octave is equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def decaying_partials(
    frequency_hz: Audio, amplitude: Audio, t60_seconds: Audio, phase: Audio, samples: int, rate_hz: int
) -> Audio:
    """Adds K exponentially dying sinusoids, each given by (K,) numbers -> (samples,).

    A dying sinusoid is a geometric series z^n, and z^(a+b) = z^a z^b: with n split in blocks the whole sum is
    one product of a (blocks, K) and a (K, 64) matrix instead of K * samples sines.
    """
    pole = (-np.log(1000) / t60_seconds + 2j * np.pi * frequency_hz) / rate_hz
    start = np.arange(0, samples, BLOCK)
    coarse = np.exp(np.outer(start, pole)) * (amplitude * np.exp(1j * phase))
    fine = np.exp(np.outer(pole, np.arange(BLOCK)))
    return (coarse.real @ fine.real - coarse.imag @ fine.imag).reshape(-1)[:samples]


def read_table(harmonics: Audio, turns: Audio) -> Audio:
    """Returns a periodic wave with the amplitudes of harmonics 1..K, read at phases in turns."""
    spectrum = np.zeros(TABLE_LENGTH // 2 + 1, complex)
    spectrum[1 : len(harmonics) + 1] = -0.5j * TABLE_LENGTH * harmonics
    table = np.fft.irfft(spectrum, TABLE_LENGTH)
    table = np.append(table, table[0])
    place = (turns % 1) * TABLE_LENGTH
    index = place.astype(np.int64)
    return table[index] + (place - index) * (table[index + 1] - table[index])


def decay(t60_seconds: float, samples: int, rate_hz: int) -> Audio:
    """Returns an envelope from 1 that has fallen by 60 dB after ``t60_seconds``."""
    return np.exp(np.arange(samples) * (-np.log(1000) / (t60_seconds * rate_hz)))


def fade(audio: Audio, attack_seconds: float, release_seconds: float, rate_hz: int) -> Audio:
    """Gives a sound raised-cosine ends, in place, so that it does not click."""
    for seconds, ends in ((attack_seconds, audio), (release_seconds, audio[::-1])):
        count = min(int(seconds * rate_hz), len(audio))
        ends[:count] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(count) / max(count, 1))
    return audio


def sweep(start_hz: float, end_hz: float, fall_seconds: float, samples: int, rate_hz: int) -> Audio:
    """Returns a sine whose frequency falls exponentially from one value to another."""
    time = np.arange(samples) / rate_hz
    turns = end_hz * time + (start_hz - end_hz) * fall_seconds * (1 - np.exp(-time / fall_seconds))
    return np.sin(2 * np.pi * turns)


def band(audio: Audio, low_hz: float | None, high_hz: float | None, rate_hz: int, order: int = 2) -> Audio:
    """Applies a Butterworth band, low or high pass; a bound that the rate cannot carry is left out."""
    ceiling = 0.47 * rate_hz
    high_hz = high_hz if high_hz and high_hz < ceiling else None
    low_hz = min(low_hz, 0.8 * ceiling) if low_hz else None
    if low_hz and high_hz:
        sections = signal.butter(order, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos")
    elif low_hz or high_hz:
        sections = signal.butter(
            order, low_hz or high_hz, "high" if low_hz else "low", fs=rate_hz, output="sos"
        )
    else:
        return audio
    return signal.sosfilt(sections, audio)


def peak_filter(audio: Audio, centre_hz: float, gain_db: float, quality: float, rate_hz: int) -> Audio:
    """Raises or lowers a band around a frequency (the peaking filter of the well-known biquad recipes)."""
    if centre_hz >= 0.45 * rate_hz:
        return audio
    turn = 2 * np.pi * centre_hz / rate_hz
    strength, width = 10 ** (gain_db / 40), np.sin(turn) / (2 * quality)
    above = np.array((1 + width * strength, -2 * np.cos(turn), 1 - width * strength))
    below = np.array((1 + width / strength, -2 * np.cos(turn), 1 - width / strength))
    return signal.lfilter(above / below[0], below / below[0], audio)


def tilt(audio: Audio, gain_db: float, rate_hz: int, centre_hz: float = 800.0) -> Audio:
    """Tilts the spectrum around ``centre_hz``: ``gain_db`` more above it, ``gain_db`` less below."""
    low = band(audio, None, centre_hz, rate_hz, order=1)
    high = audio - low
    return low * 10 ** (-gain_db / 20) + high * 10 ** (gain_db / 20)


def drive(audio: Audio, amount: float) -> Audio:
    """Clips softly at twice the rate; a larger ``amount`` clips more of the signal."""
    level = np.sqrt(np.mean(np.square(audio))) * 3 + 1e-9
    double = signal.resample_poly(audio, 2, 1)
    return signal.resample_poly(np.tanh(double * (amount / level)), 1, 2) * level


def reverb(audio: Audio, t60_seconds: float, wet: float, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Adds a room: dying noise, high frequencies first, that begins some milliseconds after the sound."""
    samples = int(t60_seconds * rate_hz)
    shape = partial(decay, samples=samples, rate_hz=rate_hz)
    noise = rng.standard_normal(samples)
    dull = band(noise, 100, 2500, rate_hz, order=1)
    response = dull * shape(t60_seconds) + (noise - dull) * shape(t60_seconds / 2) * 0.5
    response = np.pad(response, (int(rng.uniform(0.005, 0.03) * rate_hz), 0))
    response *= wet / np.sqrt(np.sum(np.square(response)))
    return audio + signal.oaconvolve(audio, response)[: len(audio)]


def playing_level(audio: Audio, rate_hz: int) -> float:
    """Returns the RMS of the stretches in which something sounds: those within 40 dB of the loudest 50 ms."""
    frame = rate_hz // 20
    power = np.mean(np.square(audio[: len(audio) // frame * frame].reshape(-1, frame)), axis=1)
    playing = power[power > power.max() * 1e-4]
    return float(np.sqrt(playing.mean())) if len(playing) else 0.0
