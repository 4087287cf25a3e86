"""Moves pitches between strings: what a tracker finds to the strings that play it, and what is played to other strings.

So the errors of a tracker are told apart: whether a pitch is found, and on which string.
"""

import numpy as np

from ddsp_zoo.pitch.track import PitchTrack

NEAR_CENTS = 60.0  # apart, within which two pitches are the same note


def same_pitches(truth: PitchTrack, found: PitchTrack) -> np.ndarray:
    """Returns which string of ``found`` plays the pitch of each string of ``truth``, (S, N); -1 for none.

    Frames of both belong together, those of the shorter one count. A pitch that is found on its own string belongs
    there; no string is taken twice.
    """
    count = min(truth.f0_hz.shape[1], found.f0_hz.shape[1])
    ours, theirs = truth.f0_hz[:, None, :count], found.f0_hz[None, :, :count]
    both = (ours > 0) & (theirs > 0)
    cents = 1200 * np.abs(np.log2(np.where(both, ours, 1) / np.where(both, theirs, 1)))
    free = both & (cents < NEAR_CENTS)  # (S of truth, S of found, N)
    out = np.full((len(truth.f0_hz), count), -1)
    strings = range(len(out))
    for own, other in sorted(((a, b) for a in strings for b in strings), key=lambda pair: pair[0] != pair[1]):
        taken = free[own, other].copy()
        out[own, taken] = other
        free[own][:, taken] = False
        free[:, other][:, taken] = False
    return out


def found_on_true_strings(truth: PitchTrack, found: PitchTrack) -> PitchTrack:
    """Returns what is found, each pitch on the string that truly plays it, as far as one does."""
    there = same_pitches(truth, found)
    place = np.full_like(there, -1)
    own, frame = np.nonzero(there >= 0)
    place[there[own, frame], frame] = own
    return _moved(found, place)


def truth_on_found_strings(truth: PitchTrack, found: PitchTrack) -> PitchTrack:
    """Returns what is played, each pitch on the string on which it is found, as far as it is."""
    return _moved(truth, same_pitches(truth, found))


def on_next_string(truth: PitchTrack) -> PitchTrack:
    """Returns what is played, all of it one string too high, that of the highest string on the lowest."""
    return PitchTrack(np.roll(truth.f0_hz, 1, 0), np.roll(truth.onset, 1, 0), truth.hop_seconds)


def _moved(track: PitchTrack, place: np.ndarray) -> PitchTrack:
    """A track whose pitches play on the strings ``place`` (S, N); where that is -1, on the nearest free string.

    A note begins where its pitch comes to a string.
    """
    rows, count = place.shape
    f0, onset = np.zeros((2, rows, count), dtype=np.float32)
    columns = np.arange(count)
    for row in range(rows):
        moved = place[row] >= 0
        f0[place[row, moved], columns[moved]] = track.f0_hz[row, columns[moved]]
        onset[place[row, moved], columns[moved]] = track.onset[row, columns[moved]]
    for row in range(rows):
        for other in sorted(range(rows), key=lambda other: abs(other - row)):
            left = (place[row] < 0) & (track.f0_hz[row, :count] > 0) & (f0[other] == 0)
            f0[other, left], onset[other, left] = (
                track.f0_hz[row, :count][left],
                track.onset[row, :count][left],
            )
            place[row, left] = other
    before = np.pad(f0, ((0, 0), (1, 0)))[:, :-1]
    steps = np.abs(np.log2(np.maximum(f0, 1) / np.maximum(before, 1))) * 1200
    begins = (f0 > 0) & ((before == 0) | (steps > NEAR_CENTS) | (onset > 0))
    return PitchTrack(f0, begins, track.hop_seconds)
