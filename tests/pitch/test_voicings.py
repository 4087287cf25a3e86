"""Voicings: every pitch that sounds is played, by strings that one hand reaches; kept until the next pluck."""

import numpy as np
import pytest

from ddsp_zoo.pitch.fretting import find_frets
from ddsp_zoo.pitch.neck import FRETS, LOWEST, STANDARD, Neck
from ddsp_zoo.pitch.voicings import REST, find_voicings

NECK, FRAMES = Neck(), 40
CHORD = (REST, 10, 9, 7, 8, 7)  # which has five pitches, G3 to B4
LOWER = (REST, REST, 5, 4, 3, 3)  # four of them a string higher, where no string is left for the fifth


def heard(*options: tuple[tuple[int, ...], float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a network says that holds states for so likely, in a chord plucked on frame 5."""
    likely = np.full((6, FRAMES, FRETS + 1), 1e-3)
    likely[:, :5, REST] = 1.0
    for states, share in options:
        for string, state in enumerate(states):
            likely[string, 5:, state] += share
    plucked = np.zeros((6, FRAMES))
    plucked[1:, 5] = 0.9
    sounding = np.full((FRAMES, 60), -4.0)
    sounding[5:, [STANDARD[s] + f - LOWEST for s, f in enumerate(CHORD) if f < REST]] = 4.0
    return np.log(likely / likely.sum(-1, keepdims=True)), plucked, sounding


def test_a_clear_chord_is_taken_as_it_is_and_nothing_sounds_before_it():
    states = find_voicings(*heard((CHORD, 0.9)), NECK)
    assert (states[:, 5:] == np.array(CHORD)[:, None]).all() and (states[:, :5] == REST).all()


def test_no_pitch_of_a_chord_is_left_out_where_each_string_alone_would_rather_play_another_one():
    evidence = heard((CHORD, 0.4), (LOWER, 0.5))
    alone = evidence[0][:, 20].argmax(-1)
    assert tuple(alone) == LOWER
    assert tuple(find_voicings(*evidence, NECK)[:, 20]) == CHORD
    fret, _ = find_frets(*evidence, NECK)
    assert tuple(np.where(fret[:, 20] < 0, REST, fret[:, 20])) == CHORD


def test_a_hand_does_not_reach_over_ten_frets():
    """C4 on the G string's 5th fret or the D string's 10th, while the A string's 12th sounds."""
    likely, plucked, _ = heard(
        ((REST, 12, REST, 5, REST, REST), 0.45), ((REST, 12, 10, REST, REST, REST), 0.4)
    )
    sounding = np.full((FRAMES, 60), -4.0)
    sounding[5:, [57 - LOWEST, 60 - LOWEST]] = 4.0
    assert tuple(find_voicings(likely, plucked, sounding, NECK)[:, 20]) == (REST, 12, 10, REST, REST, REST)


@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("neck", [NECK, Neck.parse("DADGAD", 7), Neck((47, 52, 57, 62, 66, 81))])
def test_few_frames_and_any_neck(frames: int, neck: Neck):
    likely, plucked, sounding = heard((CHORD, 0.9))
    states = find_voicings(likely[:, :frames], plucked[:, :frames], sounding[:frames], neck)
    assert states.shape == (6, frames) and ((states >= 0) & (states <= REST)).all()
