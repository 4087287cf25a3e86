"""Controls played in another order: which frame is taken where, how high and how loud.

All that an edit does to notes, pitch and time is a `Plan`, and `performed` applies it to any controls by what they are
declared as. No control is known by its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ddsp_zoo.separation.result import Named
from ddsp_zoo.synths.control import Control

Declared = Mapping[str, Control]


@dataclass
class Plan:
    """Holds what every new frame is made of, all (M,).

    take: place among the old frames, which may lie between two of them.
    ratio: by what frequencies are multiplied.
    gain: by what levels are multiplied.
    sounds: whether it sounds; where not, its pitch and its levels are 0.
    gate: whether a note begins; of controls without gates it means nothing.
    touched: whether it belongs to a note that the edit has changed or removed.
    """

    take: np.ndarray
    ratio: np.ndarray
    gain: np.ndarray
    sounds: np.ndarray
    gate: np.ndarray
    touched: np.ndarray

    @classmethod
    def over(cls, take: np.ndarray, gate: np.ndarray) -> "Plan":
        """Returns a plan that takes frames as they are."""
        ones, yes = np.ones(len(take)), np.ones(len(take), dtype=bool)
        return cls(np.array(take, dtype=float), ones, ones.copy(), yes, np.array(gate, dtype=bool), ~yes)

    @classmethod
    def same(cls, controls: Named, declared: Declared) -> "Plan":
        """Returns the plan that changes nothing."""
        gate = gates(controls, declared)
        return cls.over(np.arange(len(gate)), gate)


def gates(controls: Named, declared: Declared) -> np.ndarray:
    """Returns in which frames notes begin by the controls that are gates (N,), in none without such a control."""
    count = len(next(iter(controls.values())))
    high = np.zeros(count, dtype=bool)
    for name, control in declared.items():
        if control.role == "gate" and name in controls:
            high |= np.reshape(controls[name], (count, -1)).max(-1) > 0.5
    return high & ~np.concatenate([[False], high[:-1]])


def stretched(controls: Named, declared: Declared, factor: float, count: int) -> Plan:
    """Returns a plan of ``count`` frames in which everything takes ``factor`` times as long.

    A note that begins in a frame begins in the first one that is taken from there.
    """
    begins = np.flatnonzero(gates(controls, declared))
    place = np.ceil(begins * factor - 1e-9).astype(int)
    gate = np.zeros(count, dtype=bool)
    gate[place[place < count]] = True
    last = len(next(iter(controls.values()))) - 1
    return Plan.over(np.minimum(np.round(np.arange(count) / factor, 9), last), gate)


def lengthened(controls: Named, declared: Declared, count: int) -> Plan:
    """Returns a plan of ``count`` frames, with silence after the last one that there is."""
    plan = Plan.over(np.arange(count), np.zeros(count, dtype=bool))
    own = gates(controls, declared)[:count]
    plan.gate[: len(own)] = own
    plan.take = np.minimum(plan.take, len(next(iter(controls.values()))) - 1)
    plan.sounds[len(own) :], plan.touched[len(own) :] = False, True
    return plan


def performed(controls: Named, declared: Declared, plan: Plan) -> Named:
    """Returns the controls {name: (M, k)} that a plan makes of others, {name: (N, k)}; a pitch is (N,).

    Frames that lie between two are mixed of both where the control fades, and else the earlier one is taken. What
    holds from the beginning of a note to the next stays with its note, also after its end. Frequencies of single
    sinusoids that would leave their range stay at its end, where the highest is silent.
    """
    held, begins = _held(plan), gates(controls, declared)
    return {
        name: _of(np.asarray(value), declared[name], plan, held, begins).astype(np.float32)
        for name, value in controls.items()
    }


def _of(values: np.ndarray, control: Control, plan: Plan, held: np.ndarray, begins: np.ndarray) -> np.ndarray:
    if control.role == "gate":
        return np.broadcast_to(_column(plan.gate, values), (len(plan.gate), *values.shape[1:]))
    if control.role == "pitch":
        return _pitch(values, control, plan, begins)
    if control.role == "hits":
        return _hits(values, plan)
    if control.join == "note":
        taken = values[np.floor(plan.take[held]).astype(int)]
        return taken * _column(plan.gain[held], values) if control.role == "level" else taken
    taken = _between(values, plan.take) if control.join == "fade" else values[_floor(plan)]
    if control.role == "partials":
        ratio = _column(plan.ratio, values)
        return np.where(ratio == 1, taken, np.clip(taken * ratio, control.low, control.high))
    return taken * _column(plan.gain * plan.sounds, values) if control.role == "level" else taken


def _pitch(values: np.ndarray, control: Control, plan: Plan, begins: np.ndarray) -> np.ndarray:
    """Pitch moves evenly in semitones from frame to frame within a note; what is only heard ends with its range."""
    low = _floor(plan)
    high = np.minimum(low + 1, len(values) - 1)
    one_note = (values[low] > 0) & (values[high] > 0) & ~_column(begins[high], values)
    step = np.where(one_note, np.where(one_note, values[high], 1) / np.where(one_note, values[low], 1), 1)
    pitch = values[low] * step ** _column(plan.take - low, values) * _column(plan.ratio * plan.sounds, values)
    if control.origin == "heard":
        pitch = np.where((pitch >= control.low) & (pitch <= control.high), pitch, 0)
    return pitch


def _hits(values: np.ndarray, plan: Plan) -> np.ndarray:
    """A hit is in the first frame that is taken from its own or from a later one, and in no other."""
    out = np.zeros((len(plan.take), *values.shape[1:]), values.dtype)
    begins = np.flatnonzero(values.any(-1))
    place = np.searchsorted(_floor(plan), begins)
    for frame, hit in zip(place, begins):
        if frame < len(out):
            out[frame] = np.maximum(out[frame], values[hit])
    return out


def _floor(plan: Plan) -> np.ndarray:
    return np.floor(plan.take).astype(int)


def _between(values: np.ndarray, take: np.ndarray) -> np.ndarray:
    low = np.floor(take).astype(int)
    high = np.minimum(low + 1, len(values) - 1)
    part = _column(take - low, values)
    return np.where(part > 0, values[low] + part * (values[high] - values[low]), values[low])


def _column(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(M,) shaped so that it multiplies frames of such values."""
    return weights.reshape(-1, *(1,) * (values.ndim - 1))


def _held(plan: Plan) -> np.ndarray:
    """From which frame each one has what belongs to notes (M,): itself, or the last one of a touched note before it."""
    out = np.arange(len(plan.take))
    tail = False
    for frame in range(len(out)):
        begins = plan.gate[frame]
        if frame and not begins and (tail if not plan.touched[frame] else not plan.sounds[frame]):
            out[frame] = out[frame - 1]
        tail = bool(plan.touched[frame]) if begins or plan.touched[frame] else tail
    return out
