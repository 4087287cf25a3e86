"""The decision between frets: one note a string, one hand, no pitch twice, onsets that belong to notes."""

import numpy as np
import pytest

from ddsp_zoo.pitch.fretting import REST, best_paths, find_frets, hand_places
from ddsp_zoo.pitch.neck import FRETS, Neck

NECK, FRAMES = Neck(), 60
UNSURE = np.zeros((FRAMES, 60))  # of every pitch whether it sounds


def heard(*notes: tuple[int, int, int, int], sure: float = 0.9) -> tuple[np.ndarray, np.ndarray]:
    """Likelihoods and onsets of notes (string, fret, first frame, frame after the last)."""
    likely = np.full((6, FRAMES, FRETS + 1), (1 - sure) / FRETS)
    likely[..., REST] = sure
    plucked = np.full((6, FRAMES), 0.01)
    for string, fret, start, stop in notes:
        likely[string, start:stop] = (1 - sure) / FRETS
        likely[string, start:stop, fret] = sure
        plucked[string, start] = 0.9
    return np.log(likely), plucked


def test_clear_notes_are_taken_as_they_are():
    notes = [(0, 3, 5, 30), (1, 2, 6, 30), (5, 0, 20, 50), (0, 5, 30, 45)]
    fret, onset = find_frets(*heard(*notes), UNSURE, NECK)
    wanted = np.full((6, FRAMES), -1)
    for string, place, start, stop in notes:
        wanted[string, start:stop] = place
    assert (fret == wanted).all()
    assert sorted(zip(*np.nonzero(onset))) == sorted((n[0], n[2]) for n in notes)


def test_a_wrong_frame_does_not_break_a_note():
    likely, plucked = heard((2, 4, 5, 40))
    likely[2, 20] = np.log(0.001)
    likely[2, 20, 9] = np.log(0.9)
    fret, onset = find_frets(likely, plucked, UNSURE, NECK)
    assert (fret[2, 5:40] == 4).all() and onset[2].sum() == 1


def test_a_note_that_is_plucked_again_has_two_onsets():
    likely, plucked = heard((2, 4, 5, 40))
    plucked[2, 25] = 0.8
    fret, onset = find_frets(likely, plucked, UNSURE, NECK)
    assert np.flatnonzero(onset[2]).tolist() == [5, 25] and (fret[2, 5:40] == 4).all()


def test_notes_without_an_onset_begin_all_the_same_unless_they_are_too_short():
    likely, plucked = heard((1, 2, 10, 30), (4, 3, 40, 42), sure=0.999)
    plucked[:] = 0.01
    fret, onset = find_frets(likely, plucked, UNSURE, NECK)
    assert np.flatnonzero(onset[1]).tolist() == [10] and (fret[1, 10:30] == 2).all()
    assert not onset[4].any() and (fret[4] == -1).all()


def test_an_onset_in_a_rest_is_none_and_a_late_one_begins_the_note():
    likely, plucked = heard((1, 2, 10, 30))
    plucked[1, 10], plucked[1, 12], plucked[3, 20] = 0.01, 0.9, 0.9
    fret, onset = find_frets(likely, plucked, UNSURE, NECK)
    assert np.flatnonzero(onset[1]).tolist() == [12] and (fret[1, :12] == -1).all() and not onset[3].any()


def test_the_hand_is_where_most_strings_are_pressed():
    likely, _ = heard((0, 8, 0, 30), (1, 10, 0, 30), (2, 10, 0, 30), (5, 0, 0, 30), (3, 1, 30, 60))
    hand = hand_places(likely)
    assert set(hand[:30]) <= {6, 7, 8} and hand[45] <= 1


def test_a_doubtful_note_goes_under_the_hand():
    """D4 could be on the B string's 3rd or the D string's 12th fret; the hand holds frets 8 to 10."""
    likely, plucked = heard((0, 8, 0, 60), (1, 10, 0, 60), (5, 8, 0, 60))
    likely[3, 10:50] = np.log([0.02] * FRETS + [0.02])
    likely[3, 10:50, [2, 9]] = np.log([[0.45], [0.4]])
    plucked[3, 10] = 0.9
    fret, _ = find_frets(likely, plucked, UNSURE, NECK)
    assert (fret[3, 12:48] == 9).all()


def test_a_pitch_is_not_played_twice():
    """E4: the open string, and the 5th fret of the B string, which is less likely."""
    likely, plucked = heard((5, 0, 10, 40), (4, 5, 10, 40), (3, 2, 5, 40))
    likely[4, 10:40, 5], likely[4, 10:40, REST] = np.log(0.5), np.log(0.3)
    fret, onset = find_frets(likely, plucked, UNSURE, NECK)
    assert (fret[5, 10:40] == 0).all() and (fret[4] == -1).all() and not onset[4].any()


def test_a_pitch_that_sounds_is_played_by_one_string_though_none_is_likelier_than_a_rest():
    """E4: the open string or the B string's 5th fret, with equal odds, each below that of a rest."""
    likely, plucked = heard()
    for string, fret in ((5, 0), (4, 5)):
        likely[string, 10:40] = np.log(0.1 / FRETS)
        likely[string, 10:40, [fret, REST]] = np.log([[0.4], [0.5]])
    sounding = np.full((FRAMES, 60), -4.0)
    assert (find_frets(likely, plucked, sounding, NECK)[0][4:] == -1).all()
    sounding[10:40, 64 - 34] = 4.0
    fret, _ = find_frets(likely, plucked, sounding, NECK)
    assert sorted(fret[4:, 25]) in ([-1, 0], [-1, 5])


def test_in_another_tuning_other_frets_are_in_unison():
    likely, plucked = heard(
        (5, 2, 10, 40), (4, 5, 10, 40), (3, 2, 5, 40)
    )  # E4 twice in DADGAD's B -> A, E -> D
    likely[4, 10:40, 5], likely[4, 10:40, REST] = np.log(0.5), np.log(0.3)
    assert (find_frets(likely, plucked, UNSURE, NECK)[0][4, 12:38] == 5).all()
    dadgad = Neck.parse("DADGAD")
    likely[4, 10:40] = np.roll(likely[4, 10:40, :FRETS], 2, -1).tolist()[0] + [np.log(0.3)]
    assert (find_frets(likely, plucked, UNSURE, dadgad)[0][4] == -1).all()


def test_a_capo_takes_frets_away():
    likely, plucked = heard((2, 22, 10, 40))
    assert (find_frets(likely, plucked, UNSURE, NECK)[0][2, 12:38] == 22).all()
    assert (find_frets(likely, plucked, UNSURE, Neck(capo=3))[0] < 22).all()


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_few_frames(frames: int):
    likely, plucked = heard()
    fret, onset = find_frets(likely[:, :frames], plucked[:, :frames], UNSURE[:frames], NECK)
    assert fret.shape == onset.shape == (6, frames)


def test_nothing_known_of_any_state_is_no_trouble():
    fret, _ = find_frets(np.full((6, 10, FRETS + 1), -np.inf), np.zeros((6, 10)), UNSURE[:10], NECK)
    assert fret.shape == (6, 10)


def test_best_paths_are_the_best_of_all():
    random = np.random.default_rng(0)
    score, cost = random.normal(size=(1, 5, 3)), random.uniform(0, 2, (3, 3))
    unlikely = random.uniform(0, 1, (1, 5))
    extra = 3.0 * (1 - np.eye(3)) * (np.arange(3) < 2)

    def total(path: tuple[int, ...]) -> float:
        steps = zip(path, path[1:], unlikely[0, 1:])
        return sum(score[0, range(5), path]) - sum(cost[a, b] + u * extra[a, b] for a, b, u in steps)

    every = [tuple(np.unravel_index(n, (3,) * 5)) for n in range(3**5)]
    assert tuple(best_paths(score, cost, unlikely)[0]) == max(every, key=total)
