"""Decides what a hand plays from how likely each fret of each string is.

A string plays one note or rests, so each is followed by a Viterbi search. The hand holds strings within four frets of
its place, which is found first, from all strings at once; other frets cost more, open strings nothing. Then all strings
are followed again in turn, now with the others known: a pitch that sounds is played by one of them, though it may be
open by which, and a pitch that two of them would play stays where it is likelier.
"""

from typing import NamedTuple

import numpy as np

from ddsp_zoo.pitch.neck import FRETS, LOWEST, REST, Neck
from ddsp_zoo.pitch.onsets import pick_peaks
from ddsp_zoo.pitch.voicings import find_voicings

REACH = 4  # frets above the index finger's that the hand reaches
# Costs in natural logarithms.
GATE, CHANGE, STEP = 1.0, 2.0, 0.15  # to begin or end a note, to change the fret, and for each fret between
UNPLUCKED = 3.0  # more for a note that begins where no onset is likely
OUT_OF_REACH, FARTHER, FARTHEST = 1.0, 0.5, 4.0  # each frame; each fret more; at most
MOVE, MOVE_STEP = 3.0, 0.2  # of the hand, and for each fret
UNISON = 2.0  # each frame on a pitch that another string plays
RESTING = 0.3  # each frame of a rest: a pitch that is missed does more harm than one too many
# Share of a pitch's log odds that counts for a string that plays it, and what they are at most.
HEARD, SUREST = 0.7, 3.0
TOGETHER = 1.5  # that each frame of a fret gains which belongs to the voicing
ROUNDS = 2
LEAST = -50.0  # that a network may say of a state
LIKELY, AGAIN = 0.55, 0.35  # probability of an onset, and what it falls below between two
APART_FRAMES, NEAR_FRAMES = 2.5, 3
SHORTEST_FRAMES = 3  # of a note without an onset


class Fretting(NamedTuple):
    """Holds what each string plays: ``fret`` (S, N), -1 where it rests, and ``onset`` (S, N) of True and False."""

    fret: np.ndarray
    onset: np.ndarray


def find_frets(log_likely: np.ndarray, plucked: np.ndarray, sounding: np.ndarray, neck: Neck) -> Fretting:
    """Finds what is played.

    Args:
        log_likely: of each string at each fret and, last, at rest (S, N, 26).
        plucked: probability of an onset (S, N).
        sounding: log odds (N, P) that each pitch sounds on any string, from MIDI pitch `LOWEST` on.
        neck: tells where strings have the same pitch, and how many frets there are.
    """
    states = np.arange(FRETS + 1)
    there = (states < neck.frets) | (states == REST)
    log_likely = np.where(there, np.maximum(log_likely, LEAST), 4 * LEAST)
    if not log_likely.shape[1]:
        return Fretting(*np.zeros((2, *plucked.shape), dtype=int))
    log_likely = log_likely - RESTING * (states == REST)
    voicing = find_voicings(log_likely, plucked, sounding, neck)
    log_likely = log_likely + TOGETHER * ((voicing[..., None] == states) & (states < REST))
    log_likely = log_likely - _strain(hand_places(log_likely))
    around = np.pad(plucked, ((0, 0), (1, 1)))
    unlikely = 1 - np.maximum(np.maximum(around[:, :-2], around[:, 2:]), plucked)
    path = best_paths(log_likely, _fret_costs(), unlikely)
    for string in list(range(len(path))) * ROUNDS:
        taken = _taken(path, string, neck)
        gain = np.where(taken > 0, -UNISON * taken, _gain(sounding, neck.opened[string]))
        path[string] = best_paths(log_likely[None, string] + gain, _fret_costs(), unlikely[None, string])[0]
    fret = np.where(path == REST, -1, path)
    onset = np.stack([_onsets(*row) for row in zip(fret, plucked, strict=True)])
    return Fretting(fret, onset)


def hand_places(log_likely: np.ndarray) -> np.ndarray:
    """Returns the lowest fret (N,) that the hand reaches, 1 to 20, from log_likely (S, N, 26)."""
    likely = np.exp(log_likely)
    total = likely[..., :FRETS].cumsum(-1)
    within = total[..., REACH + 1 :] - total[..., : -REACH - 1]  # of frets h to h + REACH, for h from 1 on
    score = np.log(within + likely[..., :1] + likely[..., REST:] + 1e-3).sum(0)
    places = np.arange(score.shape[-1])
    away = np.abs(places[:, None] - places)
    return best_paths(score[None], (MOVE + MOVE_STEP * away) * (away > 0))[0] + 1


def best_paths(score: np.ndarray, cost: np.ndarray, unlikely: np.ndarray | None = None) -> np.ndarray:
    """Returns the best states (R, N) of rows of scores (R, N, K); ``cost`` (K, K) is that from a state to the next.

    With ``unlikely`` (R, N) a state other than the last one also costs `UNPLUCKED` times that where it is entered.
    """
    rows, frames, states = score.shape
    entered = (1.0 - np.eye(states)) * (np.arange(states) < states - 1) * UNPLUCKED
    best, came = score[:, 0], np.zeros((frames, rows, states), dtype=np.int16)
    for frame in range(1, frames):
        price = cost if unlikely is None else cost + entered * unlikely[:, frame, None, None]
        moves = best[:, :, None] - price
        came[frame] = moves.argmax(1)
        best = moves.max(1) + score[:, frame]
    path = np.empty((rows, frames), dtype=np.int64)
    path[:, -1] = best.argmax(-1)
    for frame in range(frames - 1, 0, -1):
        path[:, frame - 1] = came[frame, np.arange(rows), path[:, frame]]
    return path


def _fret_costs() -> np.ndarray:
    """Costs (26, 26) of going from one state of a string to another."""
    states = np.arange(FRETS + 1)
    away = np.abs(states[:, None] - states)
    gate = (states[:, None] == REST) | (states == REST)
    return np.where(gate, GATE, CHANGE + STEP * away) * (away > 0)


def _strain(hand: np.ndarray) -> np.ndarray:
    """Costs (N, 26) of each fret for a hand at these places (N,)."""
    fret = np.arange(FRETS + 1)
    beyond = np.maximum(hand[:, None] - fret, fret - hand[:, None] - REACH).clip(min=0)
    cost = np.minimum(OUT_OF_REACH + FARTHER * beyond, FARTHEST) * (beyond > 0)
    return cost * ((fret > 0) & (fret < REST))


def _taken(path: np.ndarray, string: int, neck: Neck) -> np.ndarray:
    """Counts for each state (N, 26) of a string how many others play its pitch."""
    opened = np.array(neck.opened)
    pitch = np.where(path == REST, -1000, opened[:, None] + path)
    pitch[string] = -1000
    own = opened[string] + np.arange(FRETS + 1)
    return ((pitch[..., None] == own) & (np.arange(FRETS + 1) < REST)).sum(0)


def _gain(sounding: np.ndarray, opened: int) -> np.ndarray:
    """What it gains to play each state (N, 26) of a string, none at rest and beyond the pitches that are known."""
    gain = np.zeros((len(sounding), FRETS + 1))
    known = HEARD * sounding[:, opened - LOWEST :][:, :FRETS].clip(-SUREST, SUREST)
    gain[:, : known.shape[1]] = known
    return gain


def _onsets(fret: np.ndarray, plucked: np.ndarray) -> np.ndarray:
    """Marks the onsets (N,) of a string, and lets it rest where a note is too short to be one; changes ``fret``.

    What begins without an onset gets one where it begins; what begins a moment before its onset begins with that.
    """
    found = np.zeros(len(fret), dtype=bool)
    peaks = np.round(pick_peaks(plucked, LIKELY, AGAIN, APART_FRAMES)).astype(int)
    found[peaks] = True
    edges = np.flatnonzero(np.diff(np.concatenate([[0], fret >= 0, [0]])))
    onset = np.zeros_like(found)
    for start, stop in edges.reshape(-1, 2):
        inside = start + np.flatnonzero(found[start:stop])
        near = found[max(start - NEAR_FRAMES, 0) : start].any()
        if inside.size and inside[0] - start <= NEAR_FRAMES:
            fret[start : inside[0]] = -1
        elif near or stop - start >= SHORTEST_FRAMES:
            onset[start] = True
        else:
            fret[start:stop] = -1
        onset[inside] = True
    return onset
