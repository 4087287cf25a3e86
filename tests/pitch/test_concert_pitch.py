"""How far a recording lies beside concert pitch."""

import numpy as np
import pytest

from ddsp_zoo.pitch.concert_pitch import tuning_deviation

RATE = 16000


def chord(cents: float, seconds: float = 2.0, noise: float = 0.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    hertz = [440 * 2 ** ((midi - 69 + cents / 100) / 12) for midi in (43, 47, 50, 55, 59, 67)]
    sound = sum(np.sin(2 * np.pi * k * hz * time) / k for hz in hertz for k in range(1, 8))
    return (0.05 * sound + noise * np.random.default_rng(0).normal(size=len(time))).astype(np.float32)


@pytest.mark.parametrize("cents", [-45, -20, 0, 13, 45])
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_chord_out_of_tune(cents: float, noise: float):
    assert 100 * tuning_deviation(chord(cents, noise=noise), RATE) == pytest.approx(cents, abs=5)


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros(3), np.zeros(30000), np.ones(5000)])
def test_what_has_no_pitch_is_in_tune(audio: np.ndarray):
    assert abs(tuning_deviation(audio.astype(np.float32), RATE)) <= 0.5


def test_silence_is_in_tune():
    assert tuning_deviation(np.zeros(30000, np.float32), RATE) == 0
