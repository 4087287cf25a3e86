"""Which string plays a pitch, and which pitches a voice sings."""

from itertools import pairwise, product

import numpy as np
import pytest

from ddsp_zoo.pitch.assignment import (
    GATE_COST,
    GLIDE,
    JUMP_COST,
    REST_COST,
    STEP_COST,
    assign_to_strings,
    follow_pitch,
)
from ddsp_zoo.pitch.neck import Neck

E2, A2, D3, G3, B3, E4 = range(6)


@pytest.mark.parametrize(
    ("f0_hz", "string"),
    [
        (82.4, E2),
        (109.0, A2),
        (110.0, A2),
        (106.0, E2),
        (130.8, A2),
        (147.0, D3),
        (196.0, G3),
        (246.9, B3),
        (329.6, E4),
        (660.0, E4),
        (1200.0, E4),
        (60.0, E2),
    ],
)
def test_the_highest_string_that_reaches_plays(f0_hz, string):
    played = assign_to_strings(np.array([0, f0_hz, f0_hz, 0]), Neck())
    assert played.shape == (6, 4)
    assert np.flatnonzero(played.any(1)).tolist() == [string]
    assert played[string].tolist() == pytest.approx([0, f0_hz, f0_hz, 0])


def test_in_another_tuning_another_string_reaches():
    for neck, string in ((Neck(), B3), (Neck.parse("DADGAD"), B3), (Neck(capo=3), G3)):
        assert assign_to_strings(np.array([247.0] * 3), neck)[string].all()
    assert assign_to_strings(np.array([74.0] * 3), Neck.parse("DADGAD"))[E2].all()


def test_a_run_stays_whole_on_the_string_of_its_median():
    melody = np.array([105.0, 112, 115, 115, 150, 0, 400, 400])
    played = assign_to_strings(melody, Neck())
    assert np.flatnonzero(played[A2]).tolist() == [0, 1, 2, 3, 4]
    assert np.flatnonzero(played[E4]).tolist() == [6, 7]
    assert np.allclose(played.sum(0), melody)


@pytest.mark.parametrize("melody", [np.zeros(5), np.zeros(0)])
def test_rests(melody):
    assert not assign_to_strings(melody, Neck()).any()


def likely(states: list[list[int]], pitches: int = 40, others: float = -6.0) -> np.ndarray:
    """log_likely (S, N, pitches + 1) that favours one state in each frame; -1 is the rest."""
    out = np.full((len(states), len(states[0]), pitches + 1), others)
    for row, line in enumerate(states):
        out[row, np.arange(len(line)), line] = 0
    return out


def test_clear_voices_are_followed_as_they_are():
    lines = [[5, 5, 6, 7, 7, -1, -1, -1, 30, 30, 30, 30], [20] * 12]
    assert np.abs(follow_pitch(likely(lines)) - np.array(lines)).max() < 0.1


def test_a_single_frame_elsewhere_is_an_error_and_a_longer_one_a_jump():
    held, leap = follow_pitch(likely([[10] * 4 + [32] + [10] * 4, [10] * 3 + [32] * 6]))
    assert np.abs(held - 10).max() < 0.1
    assert np.abs(leap[:3] - 10).max() < 0.1 and np.abs(leap[3:] - 32).max() < 0.1


def test_a_path_costs_what_its_moves_cost():
    """Against all paths of a small case, one by one."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = 3 * rng.standard_normal((1, 4, 13))
        expected = max(product(range(13), repeat=4), key=lambda path: score(table[0], path))
        found = follow_pitch(table)[0]
        assert [step < 0 for step in found] == [state == 12 for state in expected]
        assert all(abs(f - e) <= 2 for f, e in zip(found, expected, strict=True) if e < 12)


def score(table: np.ndarray, path: tuple[int, ...]) -> float:
    """Likelihood of a path less its costs, by the rules in words."""
    total = sum(table[frame, state] - REST_COST * (state == 12) for frame, state in enumerate(path))
    for before, after in pairwise(path):
        if (before == 12) != (after == 12):
            total -= GATE_COST
        elif before != 12:
            glide = STEP_COST * abs(after - before) if abs(after - before) <= GLIDE else np.inf
            total -= min(glide, JUMP_COST)
    return total


def test_two_voices_do_not_take_one_pitch_where_there_is_another():
    """Both voices like step 20 best, the second likes step 12 almost as well."""
    table = likely([[20] * 10, [20] * 10])
    table[1, :, 12] = -0.5
    upper, lower = follow_pitch(table)
    assert np.abs(upper - 20).max() < 0.1 and np.abs(lower - 12).max() < 0.1
    table[1, :, 12] = -3  # much less likely: then it is a unison
    assert np.abs(follow_pitch(table) - 20).max() < 0.1


def test_pitch_between_two_steps():
    table = likely([[10] * 5])
    table[0, :, 11] = 0  # as likely as its neighbour
    assert follow_pitch(table)[0] == pytest.approx(np.full(5, 10.5), abs=0.05)
