"""How stiff a string is, from where its partials lie."""

import numpy as np
import pytest
from guitar import RATE, stiff_note

from ddsp_zoo.music.strings.stiffness import (
    DOUBT,
    GUITAR_SETS,
    mean_stiffness,
    stiff_partials,
    stiffness_axis,
    stiffness_likelihood,
)


def test_partials_of_a_stiff_string():
    hz = stiff_partials(100.0, np.log2([1e-12, 1e-4]), 20)
    assert hz[0] == pytest.approx(100 * np.arange(1, 21), rel=1e-6)
    assert hz[:, 0] == pytest.approx(100.0) and hz[1, 19] == pytest.approx(2000 * np.sqrt(1.04 / 1.0001))


@pytest.mark.parametrize("log2_b", [-15.5, -14.0, -12.5])
@pytest.mark.parametrize("f0_hz", [82.4, 196.0, 329.6])
def test_stiffness_is_found(f0_hz: float, log2_b: float):
    likely = stiffness_likelihood(
        stiff_note(f0_hz, log2_b), f0_hz * 2 ** (4 / 1200), RATE
    )  # told four cents too high
    assert likely.max() == 0 and likely.min() >= -DOUBT
    at = np.abs(stiffness_axis() - log2_b).argmin()
    assert (
        likely[at] > -1 and likely[at + 18] < -2
    )  # an octave and a half stiffer: five frets on a lower string
    assert mean_stiffness(likely) == pytest.approx(log2_b, abs=0.1 if log2_b > -13 else 0.5)


def test_what_others_sound_at_is_not_counted():
    """Two notes a fifth apart share every third partial, and the other one is louder."""
    low, high = (110.0, -13.0), (165.0, -15.5)
    mixture = stiff_note(*low) + 3 * stiff_note(*high)
    for own, other in ((low, high), (high, low)):
        likely = stiffness_likelihood(mixture, own[0], RATE, [other])
        assert mean_stiffness(likely) == pytest.approx(own[1], abs=0.3)


def test_a_sine_and_silence_tell_nothing():
    time = np.arange(8000) / RATE
    for audio in (np.sin(2 * np.pi * 200 * time), np.zeros(8000)):
        likely = stiffness_likelihood(audio, 200.0, RATE)
        assert np.isfinite(likely).all() and likely.min() > -1.0


@pytest.mark.parametrize(
    ("strings", "row", "metres", "newtons"),
    [("acoustic", 5, 3.05e-4, 104), ("acoustic", 4, 4.06e-4, 103), ("electric", 3, 4.32e-4, 74)],
)
def test_sets_of_plain_steel_follow_from_their_gauges(strings: str, row: int, metres: float, newtons: float):
    b = np.pi**3 * 2e11 * metres**4 / (64 * newtons * 0.65**2)
    assert GUITAR_SETS[strings][row] == pytest.approx(np.log2(b), abs=0.1)
