"""Decides for all strings at once what they play from one pluck to the next.

What a single string would rather do can leave a chord that no hand holds, or a pitch that nobody plays. So between
plucks whole voicings are compared: how likely each string's fret is, whether the pitches sound that are played, whether
one hand reaches them, and how far it has to move from the voicing before.
"""

from typing import NamedTuple

import numpy as np

from ddsp_zoo.pitch.neck import FRETS, LOWEST, REST, Neck
from ddsp_zoo.pitch.onsets import pick_peaks

# Probability on any string that begins a voicing, what it falls below between two, and how close they may be.
PLUCK, AGAIN, APART_FRAMES = 0.4, 0.28, 3.0
LOOK_FRAMES = 16  # that a voicing is judged by
CHOICES, BEAM = 6, 32  # of a string, and voicings that are followed
LEAST, SUREST = -6.0, 3.0  # what a frame can say against a state, and of a pitch
HEARD = 1.0  # share of a pitch's log odds that counts
SPAN, STRETCH = 4, 1.0  # frets that a hand reaches, and cost of each one more
UNISON = 1.0  # cost of a pitch that two strings play
MOVE, KEPT = 0.1, 0.3  # cost of each fret that the hand moves; of a change on a string that is not plucked


class Voicings(NamedTuple):
    """Holds voicings of one moment: ``states`` (V, S), ``score`` (V,), and ``hand`` (V,), the lowest fret or NaN."""

    states: np.ndarray
    score: np.ndarray
    hand: np.ndarray


def find_voicings(
    log_likely: np.ndarray, plucked: np.ndarray, sounding: np.ndarray, neck: Neck
) -> np.ndarray:
    """Returns the state (S, N) of each string, 25 where it rests, from what `find_frets` takes."""
    strings, frames, _ = log_likely.shape
    peaks = np.round(pick_peaks(plucked.max(0, initial=0), PLUCK, AGAIN, APART_FRAMES)).astype(int)
    starts = np.unique(np.concatenate([[0], peaks]))
    stops = [*starts[1:], frames]
    every = []
    for start, stop in zip(starts, stops, strict=True):
        seen = slice(start, min(stop, start + LOOK_FRAMES))
        likely = log_likely[:, seen].clip(min=LEAST).mean(1)
        gain = HEARD * sounding[seen].clip(-SUREST, SUREST).mean(0)
        every.append(_voicings(likely, gain, neck))
    struck = [plucked[:, max(start - 1, 0) : start + 2].max(1) for start in starts]
    out = np.full((strings, frames), REST)
    for start, stop, states in zip(starts, stops, _best(every, struck), strict=True):
        out[:, start:stop] = states[:, None]
    return out


def _voicings(likely: np.ndarray, gain: np.ndarray, neck: Neck) -> Voicings:
    """The best voicings of a moment, string by string, from how likely each state (S, 26) and each pitch (P,) is."""
    states, score = np.zeros((1, 0), dtype=int), np.zeros(1)
    pitches = np.zeros((1, 0), dtype=int)
    for row, opened in zip(likely, neck.opened, strict=True):
        of_fret = opened - LOWEST + np.arange(FRETS)
        worth = np.append(np.where(of_fret < len(gain), gain[of_fret.clip(max=len(gain) - 1)], 0), 0.0)
        chosen = np.union1d(np.argsort(-(row + worth))[:CHOICES], [REST])
        pitch = np.where(chosen == REST, -1, np.append(of_fret, 0)[chosen])
        twice = (pitches[:, None] == pitch[:, None]).any(-1) & (pitch >= 0)
        new = score[:, None] + row[chosen] + np.where(twice, -UNISON, worth[chosen])
        states = np.concatenate([states.repeat(len(chosen), 0), np.tile(chosen, len(states))[:, None]], 1)
        pitches = np.concatenate([pitches.repeat(len(chosen), 0), np.tile(pitch, len(pitches))[:, None]], 1)
        new = new.ravel() - _stretch(states)[0] + _stretch(states[:, :-1])[0]
        kept = np.argsort(-new)[:BEAM]
        states, pitches, score = states[kept], pitches[kept], new[kept]
    return Voicings(states, score, _stretch(states)[1])


def _stretch(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What voicings (V, S) cost a hand, and the lowest fret (V,) that it presses, NaN for none."""
    pressed = (states > 0) & (states < REST)
    low = np.where(pressed, states, REST).min(-1, initial=REST)
    high = np.where(pressed, states, 0).max(-1, initial=0)
    return STRETCH * (high - low - SPAN).clip(min=0), np.where(low < REST, low, np.nan)


def _best(every: list[Voicings], struck: list[np.ndarray]) -> list[np.ndarray]:
    """The most likely sequence of voicings; ``struck`` (S,) says how likely each string is plucked where one begins."""
    best, hand, came = every[0].score, every[0].hand, []
    for before, now, plucked in zip(every, every[1:], struck[1:]):
        away = np.nan_to_num(np.abs(hand[:, None] - now.hand))
        changed = (before.states[:, None] != now.states) & (now.states != REST)
        total = best[:, None] - MOVE * away - KEPT * (changed * (1 - plucked)).sum(-1)
        came.append(total.argmax(0))
        best = total.max(0) + now.score
        # Open strings leave the hand where it is.
        hand = np.where(np.isnan(now.hand), hand[came[-1]], now.hand)
    path = [int(best.argmax())]
    for origin in reversed(came):
        path.append(int(origin[path[-1]]))
    return [voicings.states[place] for voicings, place in zip(every, reversed(path), strict=True)]
