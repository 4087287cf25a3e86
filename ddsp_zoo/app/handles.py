"""Sliders for the controls of a source, and the steps of an edit that they stand for; made from what is declared."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ddsp_zoo.api.edit import Edit
from ddsp_zoo.synths.control import Control

MOST_TIMES = 4.0  # how much louder a level's slider goes
STEPS = 200  # of a slider
MOVED = ("level", "timbre", "time")  # roles with sliders: pitch and partials are for `transpose`
VERBS = {  # steps with a slider of their own: lowest, highest, usual value, step, label
    "transpose": (-24.0, 24.0, 0.0, 1.0, "transpose (semitones)"),
    "gain_db": (-24.0, 24.0, 0.0, 0.5, "gain (dB)"),
    "stretch": (0.5, 2.0, 1.0, 0.05, "stretch (times as slow)"),
}


@dataclass(frozen=True)
class Handle:
    """Holds the slider of one control, which moves its whole curve: it shows where the middle of the curve lies.

    control: as it is declared.
    value: the median of the curve, in the control's unit, where there is something.
    low, high: how far the middle can go without a frame of the curve leaving the control's range.
    step: of the slider, a round number, as are its ends.
    adds: whether the curve is shifted; else it is multiplied.
    """

    control: Control
    value: float
    low: float
    high: float
    step: float
    adds: bool

    @property
    def shown(self) -> float:
        """Returns where the slider stands at first: at the value, rounded to its step."""
        return min(max(_rounded(self.value, self.step, round), self.low), self.high)

    def change(self, to: float) -> dict[str, float]:
        """Returns what a file of edits says of a slider that was moved there: {} where it is where it was."""
        if abs(to - self.shown) < self.step / 2:
            return {}
        return {"plus": to - self.value} if self.adds else {"times": to / self.value}


def handles(edit: Edit) -> list[Handle]:
    """Returns the sliders of a source: one for each control that the synthesiser plays and that can be moved at all."""
    found = (
        _handle(control, np.asarray(edit.controls[name], np.float64))
        for name, control in edit.maker.declared.items()
        if name in edit.controls and control.origin != "heard" and control.role in MOVED
    )
    return [handle for handle in found if handle]


def _handle(control: Control, curve: np.ndarray) -> Handle | None:
    adds = control.low < 0
    there = curve if adds else curve[curve > 0]
    if not there.size:
        return None
    value, lowest, highest = float(np.median(there)), float(curve.min()), float(curve.max())
    if adds:
        low, high = value + control.low - lowest, value + control.high - highest
    elif control.role == "level":
        low, high = 0.0, MOST_TIMES * value
    else:
        low = value * control.low / lowest if lowest > 0 else 0.0
        high = value * control.high / highest
    if high - low <= 1e-3 * max(abs(low), abs(high)):
        return None
    step = 10.0 ** math.floor(math.log10((high - low) / STEPS))
    return Handle(
        control, value, _rounded(low, step, math.ceil), _rounded(high, step, math.floor), step, adds
    )


def _rounded(value: float, step: float, way: Callable[[float], int]) -> float:
    """A multiple of a power of ten, without what binary fractions add to it."""
    return round(way(value / step) * step, max(-math.floor(math.log10(step)), 0))


def steps(
    verbs: Mapping[str, float], moved: Sequence[tuple[Handle, float]], notes: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Returns the steps of a source in a file of edits, [] where nothing was moved.

    Args:
        verbs: the value of each slider of `VERBS`.
        moved: handles, and where their sliders are.
        notes: what has become of the table of notes, see `ddsp_zoo.app.table`.
    """
    changes = {handle.control.name: change for handle, to in moved if (change := handle.change(to))}
    own: list[dict[str, Any]] = [{"notes": dict(notes)}] if notes else []
    own += [{"set": changes}] if changes else []
    return own + [{verb: float(value)} for verb, value in verbs.items() if value != VERBS[verb][2]]
