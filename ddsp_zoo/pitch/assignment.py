"""Assigns pitches to sources: to the strings of a guitar or the voices of a choir."""

import numpy as np

from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.pitch.neck import Neck


def assign_to_strings(f0_hz: np.ndarray, neck: Neck) -> np.ndarray:
    """Returns f0_hz (S, N) of the strings of a guitar that play a single melody f0_hz (N,), 0 where a string rests.

    Each voiced run goes as a whole to the highest-tuned string that reaches its median pitch, because there the
    hand stays lowest on the neck. A run below the lowest string goes to the lowest.
    """
    open_hz = midi_to_hz(np.array(neck.opened))
    out = np.zeros((len(open_hz), len(f0_hz)), dtype=np.float32)
    quarter_tone = 2 ** (1 / 24)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], f0_hz > 0, [0]])))
    for start, stop in edges.reshape(-1, 2):
        pitch = np.median(f0_hz[start:stop])
        reachable = [s for s, hz in enumerate(open_hz) if hz / quarter_tone <= pitch]
        out[max(reachable, default=0), start:stop] = f0_hz[start:stop]
    return out


GLIDE = 8  # steps that a voice may move between two frames without a jump
STEP_COST, JUMP_COST, GATE_COST = 0.15, 9.0, 2.0  # natural logarithms
REST_COST = 0.7  # each frame of a rest: a pitch that is missed does more harm than one too many
UNISON_COST, UNISON, ROUNDS = (
    1.0,
    2,
    2,
)  # each frame within so many steps of another voice; how often all are revised


def follow_pitch(log_likely: np.ndarray) -> np.ndarray:
    """Returns the most likely pitch curves as steps (S, N), -1 for a rest, from log_likely (S, N, P + 1).

    The last of the P + 1 states is the rest. It is a Viterbi search for each voice: a glide costs `STEP_COST` a
    step; jumps, beginnings and ends of notes, and rests have their price too, and so has the pitch of another
    voice. Each voice is followed alone first, then all are followed again in turn, now with the others known.
    The result lies between steps: it is the mean of the steps around the best, weighted by how likely they are.
    """
    rest = log_likely.shape[-1] - 1
    log_likely = log_likely - REST_COST * (np.arange(rest + 1) == rest)
    paths = _best_paths(log_likely)
    for voice in list(range(len(paths))) * (ROUNDS if len(paths) > 1 else 0):
        taken = _taken(np.delete(paths, voice, axis=0), rest)
        paths[voice] = _best_paths((log_likely[voice] - UNISON_COST * taken)[None])[0]
    sung = paths < rest
    return np.where(sung, _between(log_likely, np.where(sung, paths, 0)), -1)


def _taken(paths: np.ndarray, rest: int) -> np.ndarray:
    """Counts for each state (N, rest + 1) how many of some paths (S, N) are near it; rests take nothing."""
    away = np.abs(paths[..., None] - np.arange(rest + 1))
    return ((away <= UNISON) & (paths < rest)[..., None] & (np.arange(rest + 1) < rest)).sum(0)


def _best_paths(log_likely: np.ndarray) -> np.ndarray:
    """Returns the states (S, N) of each voice's most likely path, found without the other voices."""
    voices, frames, states = log_likely.shape
    rows, best = np.arange(voices), log_likely[:, 0]
    came = np.zeros((frames, voices, states), dtype=np.int16)
    for frame in range(1, frames):
        scores, came[frame] = _best_moves(best)
        best = scores + log_likely[:, frame]
    path = np.empty((voices, frames), dtype=np.int64)
    path[:, -1] = best.argmax(-1)
    for frame in range(frames - 1, 0, -1):
        path[:, frame - 1] = came[frame, rows, path[:, frame]]
    return path


def _best_moves(best: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best score with which each state (S, P + 1) can be entered, and the state it is entered from."""
    sung, rest = best[:, :-1], best[:, -1:]
    padded = np.pad(sung, ((0, 0), (GLIDE, GLIDE)), constant_values=-np.inf)
    cost = STEP_COST * np.abs(np.arange(-GLIDE, GLIDE + 1))
    glides = np.lib.stride_tricks.sliding_window_view(padded, 2 * GLIDE + 1, axis=1) - cost
    score, origin = glides.max(-1), np.arange(sung.shape[1]) + glides.argmax(-1) - GLIDE
    top, height = sung.argmax(-1)[:, None], sung.max(-1, keepdims=True)
    for other, value in ((top, height - JUMP_COST), (sung.shape[1], rest - GATE_COST)):
        score, origin = np.maximum(score, value), np.where(value > score, other, origin)
    ended = height - GATE_COST
    silent, silent_origin = np.maximum(rest, ended), np.where(ended > rest, top, sung.shape[1])
    return np.concatenate([score, silent], 1), np.concatenate([origin, silent_origin], 1)


def _between(log_likely: np.ndarray, path: np.ndarray, reach: int = 2) -> np.ndarray:
    """Returns the mean step around a path (S, N), weighted by how likely each step is."""
    steps = np.clip(path[..., None] + np.arange(-reach, reach + 1), 0, log_likely.shape[-1] - 2)
    weight = np.exp(np.take_along_axis(log_likely, steps, -1))
    return (weight * steps).sum(-1) / np.maximum(weight.sum(-1), 1e-30)
