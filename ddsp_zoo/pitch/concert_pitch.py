"""Finds how far a recording is tuned above or below concert pitch."""

import numpy as np
import torch

from ddsp_zoo.dsp.scale import hz_to_midi
from ddsp_zoo.dsp.stft import stft

WINDOW_SECONDS = 0.256
LOWEST_HZ, HIGHEST_HZ = 75.0, 1400.0  # where the partials lie that tell
QUIETEST = 1e-3  # power of a peak that counts, beside the loudest of its frame
LONGEST_SECONDS = 120.0  # of a recording that is listened to


def tuning_deviation(audio: np.ndarray, sample_rate: int) -> float:
    """Returns by how many semitones, -0.5 to 0.5, the notes of audio (T,) lie above those of 440 Hz.

    Each spectral peak says how far it is from the nearest semitone; the loud ones count more. A recording without any
    peak is taken to be in tune. Source: the circular mean over the semitone, as in Müller 2015, chapter 3.
    """
    if not len(audio):
        return 0.0
    audio = torch.from_numpy(np.ascontiguousarray(audio[: round(LONGEST_SECONDS * sample_rate)], np.float32))
    size = 2 * round(WINDOW_SECONDS * sample_rate / 2)
    power = stft(audio[None], size, size // 4)[0].abs().square().double().numpy()
    low, high = (int(hz * size / sample_rate) for hz in (LOWEST_HZ, HIGHEST_HZ))
    below, here, above = (power[low + step : high + step] for step in (-1, 0, 1))
    floor = np.maximum(QUIETEST * power.max(0), 1e-12)
    peak = (here > below) & (here >= above) & (here > floor)
    row, _ = np.nonzero(peak)
    left, top, right = (np.log(part[peak] + 1e-20) for part in (below, here, above))
    bend = left - 2 * top + right
    place = low + row + 0.5 * (left - right) / np.where(bend < 0, bend, -1.0)
    turn = np.exp(2j * np.pi * hz_to_midi(place * sample_rate / size))
    mean = (np.sqrt(here[peak]) * turn).sum()
    return float(np.angle(mean) / (2 * np.pi)) if abs(mean) > 0 else 0.0
