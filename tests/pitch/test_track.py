"""Pitch on a grid of frames: onsets, other hops, excerpts."""

import numpy as np
import pytest

from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0


@pytest.mark.parametrize(
    ("f0", "frames"),
    [([0, 0, 1, 1, 0, 1], [2, 5]), ([3, 3, 0], [0]), ([0, 0], []), ([100, 200, 0, 0, 50], [0, 4])],
)
def test_onsets_are_where_voiced_runs_begin(f0, frames):
    assert np.flatnonzero(onsets_from_f0(np.array(f0))).tolist() == frames


def test_onsets_of_several_sources():
    onset = onsets_from_f0(np.array([[0, 1, 1], [1, 0, 1]]))
    assert onset.tolist() == [[0, 1, 0], [1, 0, 1]]


def sampled(hop: float, changes: dict[float, float], seconds: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Times and f0 (1, M) of a curve that takes a value at each given time."""
    time = np.arange(round(seconds / hop)) * hop
    f0 = np.zeros((1, len(time)), dtype=np.float32)
    for start, hz in changes.items():
        f0[:, time >= start - 1e-9] = hz
    return time, f0


@pytest.mark.parametrize("hop", [0.004, 0.01, 0.016, 0.032, 0.05])
def test_curves_of_any_hop_keep_their_pitches_and_times(hop):
    time, f0 = sampled(hop, {0.2: 110, 0.5: 220, 0.8: 0})
    track = PitchTrack.from_times(time, f0, None, 0.016, 63)
    assert set(np.unique(track.f0_hz)) == {0, 110, 220}  # nothing in between
    grid = np.arange(63) * 0.016
    for (start, stop), hz in zip(((0.2, 0.5), (0.5, 0.8)), (110, 220), strict=True):
        heard = grid[track.f0_hz[0] == hz]
        assert (heard[0], heard[-1]) == pytest.approx((start, stop), abs=hop + 0.016)
    assert track.onset.sum() == 1 and track.hop_seconds == 0.016


def test_the_same_grid_is_left_alone():
    time, f0 = sampled(0.016, {0.2: 110, 0.5: 220})
    assert np.array_equal(PitchTrack.from_times(time, f0, None, 0.016, f0.shape[1]).f0_hz, f0)


def test_frames_far_from_any_time_are_unvoiced():
    time = np.array([0.0, 0.01, 0.02, 0.5, 0.51])
    track = PitchTrack.from_times(time, np.full((1, 5), 100.0), None, 0.01, 70)
    voiced = np.flatnonzero(track.f0_hz[0])
    assert voiced.tolist() == [0, 1, 2, 3, 49, 50, 51, 52]


@pytest.mark.parametrize("times", [[], [0.1]])
def test_hardly_any_times(times):
    track = PitchTrack.from_times(np.array(times), np.full((2, len(times)), 100.0), None, 0.02, 12)
    assert track.f0_hz.shape == track.onset.shape == (2, 12)
    assert np.flatnonzero(track.f0_hz[1]).tolist() == [4, 5, 6][: 3 * len(times)]


@pytest.mark.parametrize("start", range(1, 13))
def test_a_given_onset_survives_any_place_between_frames(start):
    """Onset on the nearest frame, with the pitch of its own note and not of the rest before it."""
    time, f0 = sampled(0.004, {start * 0.004: 110})
    track = PitchTrack.from_times(time, f0, f0 * (time == time[start]) / 110, 0.016, 63)
    (frame,) = np.flatnonzero(track.onset[0])
    assert abs(frame * 0.016 - start * 0.004) <= 0.008 + 1e-9
    assert track.f0_hz[0, frame] == 110


@pytest.mark.parametrize("start", range(20, 28))
def test_an_onset_after_another_note_has_the_new_pitch(start):
    time, f0 = sampled(0.004, {0.02: 110, start * 0.004: 220})
    onset = np.isin(np.arange(len(time)), [5, start])[None].astype(np.float32)
    track = PitchTrack.from_times(time, f0, onset, 0.016, 63)
    assert track.f0_hz[track.onset > 0].tolist() == [110, 220]
    assert track.onset.sum() == 2


def test_the_same_pitch_plucked_twice_has_two_onsets():
    time, f0 = sampled(0.01, {0.1: 110})
    onset = np.isin(np.arange(100), [10, 50])[None].astype(np.float32)
    assert np.flatnonzero(PitchTrack.from_times(time, f0, onset, 0.01, 100).onset).tolist() == [10, 50]


def test_onsets_beyond_the_frames_or_without_pitch_are_left_out():
    time, f0 = sampled(0.01, {0.1: 110})
    onset = np.isin(np.arange(100), [2, 99])[None].astype(np.float32)
    assert not PitchTrack.from_times(time, f0, onset, 0.01, 50).onset.any()


@pytest.fixture
def ten_frames() -> PitchTrack:
    """A note that begins at frame 2, in the second of two sources."""
    f0 = np.zeros((2, 10), dtype=np.float32)
    f0[1, 2:] = 100
    return PitchTrack(f0, onsets_from_f0(f0), 0.016)


@pytest.mark.parametrize(
    ("start", "f0", "onset"),
    [
        (0, [0, 0, 100, 100], [0, 0, 1, 0]),
        (1, [0, 100, 100, 100], [0, 1, 0, 0]),
        (5, [100, 100, 100, 100], [1, 0, 0, 0]),  # already sounding: starts anew
        (8, [100, 100, 0, 0], [1, 0, 0, 0]),  # silent beyond the end
        (10, [0, 0, 0, 0], [0, 0, 0, 0]),
        (17, [0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_excerpt(ten_frames, start, f0, onset):
    part = ten_frames.excerpt(start, 4)
    assert (part.f0_hz[1].tolist(), part.onset[1].tolist()) == (f0, onset)
    assert not part.f0_hz[0].any() and part.hop_seconds == 0.016


def test_an_excerpt_leaves_the_track_as_it_was(ten_frames):
    ten_frames.excerpt(5, 4)
    assert np.flatnonzero(ten_frames.onset[1]).tolist() == [2]


def test_an_onset_given_just_before_its_note_plucks_it():
    times, f0 = np.arange(4) * 0.016, np.array([[0, 0, 110, 110]], np.float32)
    track = PitchTrack.from_times(times, f0, np.array([[0, 1, 0, 0]], np.float32), 0.016, 4)
    assert track.onset.tolist() == [[0, 1, 0, 0]] and track.f0_hz.tolist() == [[0, 110, 110, 110]]
