"""Tells which string of a guitar plays a note by how stiff it is.

A finger that makes a string shorter makes it stiffer, by a sixth of an octave of B a fret. So a pitch on the next lower
string, five frets higher, has partials that are stretched nearly twice as far, and thick strings are stiffer than thin
ones. The notes of a recording lie on six lines, one a string; where these lie is found in the recording itself.
Source: Barbancho et al. 2012, who tell string and fret of single notes by B.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ddsp_zoo.music.strings.stiffness import GUITAR_SETS, PER_OCTAVE, stiffness_axis, stiffness_likelihood
from ddsp_zoo.pitch.neck import Neck

A_FRET = PER_OCTAVE // 6  # steps of the axis
# Octaves that B of an open string lies from that of its set, as a rule, and what it costs to lie farther.
APART, BEYOND = 0.5, 1.5
TRIED, ROUNDS = (
    (-0.5, 0.0, 0.5),
    12,
)  # how far from each set the search for the lines begins, and how long it takes
USUAL = np.mean(list(GUITAR_SETS.values()), 0)
AFTER_SECONDS, LONGEST_SECONDS, SHORTEST_SECONDS = 0.03, 0.6, 0.08  # of a note: from its pluck on
POSSIBLE, UNHEARD = 0.05, 0.02  # what is added to how likely a string is, for the lines and for the decision
HEARD, LEAST = 0.2, -7.0  # share of what was heard before that still counts; what it can say against a state


class Note(NamedTuple):
    """Holds a note that was found: its string and fret, and the frames in which it sounds."""

    string: int
    fret: int
    start: int
    stop: int


def notes_of(fret: np.ndarray, onset: np.ndarray) -> list[Note]:
    """Returns the notes of strings that play ``fret`` (S, N), -1 where they rest, from one onset to the next."""
    found = []
    for string, (row, begun) in enumerate(zip(fret, onset, strict=True)):
        changes = np.flatnonzero((np.diff(row, prepend=-1) != 0) | (begun > 0))
        for start, stop in pairwise([*changes, len(row)]):
            if row[start] >= 0:
                found.append(Note(string, int(row[start]), int(start), int(stop)))
    return found


def measure_stiffness(
    audio: np.ndarray, f0_hz: np.ndarray, notes: list[Note], sample_rate: int, hop: int
) -> np.ndarray:
    """Returns how likely each B of the `stiffness_axis` is for each note (notes, G), as logarithms up to 0.

    ``audio`` (T,) holds all strings, ``f0_hz`` (S, N) their pitch. Of a note too short to be measured all are 0.
    """
    pitch = [float(np.median(f0_hz[note.string, note.start : note.stop])) for note in notes]
    out = np.zeros((len(notes), len(stiffness_axis())))
    for row, note in enumerate(notes):
        start = note.start * hop + round(AFTER_SECONDS * sample_rate)
        stop = min(note.stop * hop, start + round(LONGEST_SECONDS * sample_rate), len(audio))
        if stop - start < SHORTEST_SECONDS * sample_rate:
            continue
        others = [
            (pitch[i], USUAL[other.string] + other.fret / 6)
            for i, other in enumerate(notes)
            if i != row and other.start * hop < stop and other.stop * hop > start
        ]
        out[row] = stiffness_likelihood(audio[start:stop], pitch[row], sample_rate, others)
    return out


def string_likelihood(
    measured: np.ndarray, fret: np.ndarray, before: np.ndarray, capo: int = 0
) -> np.ndarray:
    """Returns how likely the stiffness of each note makes each string (notes, S), as logarithms.

    Six lines are found by expectation and maximisation, from the lines of usual sets of strings; the likeliest count.

    Args:
        measured: what `measure_stiffness` returns.
        fret: that each note would have on each string (notes, S), -1 where it cannot be played.
        before: how likely each string is but for the stiffness (notes, S), as probabilities.
        capo: the fret that a capo lies on; frets are counted from it.
    """
    axis, strings = stiffness_axis(), np.arange(fret.shape[1])
    # What each note says of each string, were it open: the measured likelihoods, so many frets lower.
    places = np.arange(len(axis)) + A_FRET * (fret.clip(min=0) + capo)[..., None]
    told = np.take_along_axis(measured[:, None], places.clip(max=len(axis) - 1), -1)
    weight = np.log(np.where(fret >= 0, POSSIBLE + before, 1e-300))
    best, most = told[:, strings, 0], -np.inf
    for usual in GUITAR_SETS.values():
        away = (axis - np.array(usual)[:, None]) / APART
        prior = -BEYOND * np.log1p(away**2)  # other strings than these are no wonder
        for beside in TRIED:
            line = np.abs(axis[:, None] - np.array(usual) - beside).argmin(0)
            for _ in range(ROUNDS):
                share, _ = _shares(weight + told[:, strings, line])
                line = (np.einsum("ns,nsg->sg", share, told) + prior).argmax(-1)
            worth = _shares(weight + told[:, strings, line])[1] + prior[strings, line].sum()
            if worth > most:
                best, most = told[:, strings, line], worth
    return best


def _shares(likely: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities (notes, S) from logarithms, and the logarithm of how likely it all is."""
    total = np.logaddexp.reduce(likely, 1, keepdims=True)
    return np.exp(likely - total), float(total.sum())


def restrung(log_likely: np.ndarray, notes: list[Note], measured: np.ndarray, neck: Neck) -> np.ndarray:
    """Returns how likely each state (S, N, 26) is where the stiffness of the notes tells the string.

    While a note sounds, its pitch is as likely as it was on the best of its strings, and each string as likely as its
    stiffness and, by a smaller part, what was heard before make it.
    """
    opened = np.array(neck.opened)
    midi = np.array([opened[note.string] + note.fret for note in notes], dtype=int)
    fret = midi[:, None] - opened
    fret = np.where((fret >= 0) & (fret < neck.frets), fret, -1)
    heard = [
        [log_likely[s, note.start : note.stop, at].mean() if at >= 0 else -np.inf for s, at in enumerate(row)]
        for note, row in zip(notes, fret, strict=True)
    ]
    before = np.exp(np.array(heard).reshape(fret.shape))
    before = before / before.sum(1, keepdims=True).clip(min=1e-9)
    stiff = string_likelihood(measured, fret, before, neck.capo)
    told = (
        stiff
        - stiff.max(1, keepdims=True, initial=-np.inf, where=fret >= 0)
        + HEARD * np.log(before + UNHEARD)
    )
    out = log_likely.copy()
    for note, row, tells in zip(notes, fret, told, strict=True):
        frames, (strings,) = slice(note.start, note.stop), np.nonzero(row >= 0)
        best = np.max([log_likely[s, frames, row[s]] for s in strings], 0).clip(min=LEAST)
        for s in strings:
            out[s, frames, row[s]] = best + tells[s]
    return out
