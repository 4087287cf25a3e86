"""Pitches moved between strings: which are the same, what is found on true strings, and the other way round."""

import numpy as np

from ddsp_zoo.pitch.placing import (
    found_on_true_strings,
    on_next_string,
    same_pitches,
    truth_on_found_strings,
)
from ddsp_zoo.pitch.track import PitchTrack


def track(*rows: list[float]) -> PitchTrack:
    f0 = np.array(rows, dtype=float)
    return PitchTrack(f0, (f0 > 0) & (np.pad(f0, ((0, 0), (1, 0)))[:, :-1] != f0), 0.016)


TRUTH = track([100, 100, 100, 0, 0], [0, 150, 150, 150, 0], [0, 0, 0, 0, 0])
# The first is found on the third string, and an octave too high at last; the second is late; a fourth is too many.
FOUND = track([0, 0, 0, 0, 300], [0, 0, 152, 152, 0], [101, 101, 200, 0, 0])


def test_the_same_pitch_is_found_on_whichever_string_within_60_cents() -> None:
    assert same_pitches(TRUTH, FOUND).tolist() == [[2, 2, -1, -1, -1], [-1, -1, 1, 1, -1], [-1] * 5]


def test_a_pitch_on_its_own_string_belongs_there_and_none_is_taken_twice() -> None:
    twice = track([220], [220], [220])
    assert same_pitches(twice, twice)[:, 0].tolist() == [0, 1, 2]
    assert same_pitches(twice, track([0], [0], [220]))[:, 0].tolist() == [-1, -1, 2]
    assert same_pitches(track([220], [0], [0]), track([0], [220], [220]))[:, 0].tolist() == [1, -1, -1]


def test_what_is_found_goes_to_the_strings_that_play_it() -> None:
    placed = found_on_true_strings(TRUTH, FOUND)
    assert placed.f0_hz.tolist() == [[101, 101, 0, 0, 300], [0, 0, 152, 152, 0], [0, 0, 200, 0, 0]]
    assert placed.onset.tolist() == [[1, 0, 0, 0, 1], [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]


def test_what_is_played_goes_to_the_strings_where_it_is_found() -> None:
    placed = truth_on_found_strings(TRUTH, FOUND)
    assert placed.f0_hz.tolist() == [[0, 0, 100, 0, 0], [0, 150, 150, 150, 0], [100, 100, 0, 0, 0]]
    assert placed.onset.tolist() == [[0, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]]


def test_a_pitch_without_a_string_takes_the_nearest_that_is_free_and_none_is_lost() -> None:
    truth, found = track([100], [200], [0]), track([200], [0], [0])
    assert truth_on_found_strings(truth, found).f0_hz.tolist() == [[200], [100], [0]]
    rng = np.random.default_rng(0)
    notes = [PitchTrack(rng.choice([0, 0, 110, 111, 165, 220], (6, 50)), rng.integers(0, 2, (6, 50)), 0.016)]
    notes.append(PitchTrack(rng.permutation(notes[0].f0_hz), notes[0].onset, 0.016))
    for moved, before in (
        (found_on_true_strings(*notes), notes[1]),
        (truth_on_found_strings(*notes), notes[0]),
    ):
        assert (np.sort(moved.f0_hz, 0) == np.sort(before.f0_hz, 0)).all()
        assert not moved.onset[moved.f0_hz == 0].any()


def test_the_right_strings_change_nothing_but_where_notes_begin() -> None:
    for placed in (found_on_true_strings(TRUTH, TRUTH), truth_on_found_strings(TRUTH, TRUTH)):
        assert (placed.f0_hz == TRUTH.f0_hz).all() and (placed.onset == TRUTH.onset).all()


def test_one_string_too_high() -> None:
    high = on_next_string(TRUTH)
    assert (high.f0_hz[1:] == TRUTH.f0_hz[:-1]).all() and (high.onset[0] == TRUTH.onset[-1]).all()
