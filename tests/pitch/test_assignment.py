"""Which string plays a pitch."""

import numpy as np
import pytest

from ddsp_zoo.pitch.assignment import assign_to_strings

E2, A2, D3, G3, B3, E4 = range(6)


@pytest.mark.parametrize(
    ("f0_hz", "string"),
    [(82.4, E2), (109.0, A2), (110.0, A2), (106.0, E2), (130.8, A2), (147.0, D3), (196.0, G3), (246.9, B3),
     (329.6, E4), (660.0, E4), (1200.0, E4), (60.0, E2)],
)  # fmt: skip
def test_the_highest_string_that_reaches_plays(f0_hz, string):
    played = assign_to_strings(np.array([0, f0_hz, f0_hz, 0]))
    assert played.shape == (6, 4)
    assert np.flatnonzero(played.any(1)).tolist() == [string]
    assert played[string].tolist() == pytest.approx([0, f0_hz, f0_hz, 0])


def test_a_run_stays_whole_on_the_string_of_its_median():
    melody = np.array([105.0, 112, 115, 115, 150, 0, 400, 400])
    played = assign_to_strings(melody)
    assert np.flatnonzero(played[A2]).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(played[E4]).tolist() == [6, 7]
    assert np.allclose(played.sum(0), melody)


@pytest.mark.parametrize("melody", [np.zeros(5), np.zeros(0)])
def test_rests(melody):
    assert not assign_to_strings(melody).any()
