"""Controls of a Karplus-Strong string that a network can predict, and quirks of the authors' code, by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.control import LOWEST_F0_HZ, Control, Role

LOSSLESS = 0.9999  # the largest loop gain
QUIRKS = {
    "tuning": "the delay's fraction is read the wrong way round, a sample is not accounted for, and no filter's delay",
    "early_onsets": "a pluck comes one frame (16 ms) early, and one on the first frame of a chunk is lost",
    "held_controls": "controls are held within a frame instead of moving to the next",
    "rings_on": "a string without pitch goes on at its last one, and before any at 20 Hz, instead of being stopped",
    "one_burst": "one burst is drawn when the model is built, for every pluck of every string",
    "raw_noise": "noise keeps its mean",
    "filters_sum": "the loop filter comes after the sum of pluck and feedback, so that it takes the pluck too",
    "sinc_gains": "the 64 gains of a frame are resampled alone, by the sinc, instead of moving to those of the next",
    "carried_state": "in training strings ring on from example to example, whatever piece that is of; never at rest",
    "shared_level": "all examples of a batch are divided by one peak",
}


def known_controls(level: Role, gains: int, nyquist_hz: float) -> dict[str, Control]:
    """Returns every control that a network may predict, by name.

    ``level``: the role of what is proportional to the sound. ``gains``: how many of the excitation there are in a
    frame. ``nyquist_hz``: of the loop.
    """
    controls = (
        Control(
            "excitation_gain", "1", "a: strength of the pluck", curve="amplitude", role=level, size=gains
        ),
        Control("damping", "1", "b: loop filter, 0.5 damps high partials most", high=0.5, curve="amplitude"),
        Control(
            "dynamics", "1", "r: excitation low-pass, high for a soft pluck", high=0.95, curve="amplitude"
        ),
        Control(
            "feedback",
            "1",
            "rho: what is left after a round of the loop",
            high=LOSSLESS,
            offset=4.0,
            role="time",
        ),
        Control(
            "t60_seconds",
            "s",
            "decay time of the fundamental, in place of rho",
            0.1,
            30.0,
            curve="log",
            role="time",
        ),
        Control("cutoff_hz", "Hz", "f_c: of the loop's one-pole low-pass", LOWEST_F0_HZ, nyquist_hz),
        Control(
            "balance",
            "1",
            "b: share of the burst against what the string keeps",
            1 - LOSSLESS,
            offset=-4.0,
            role="time",
        ),
    )
    return {control.name: control for control in controls}


def with_ranges(
    controls: dict[str, Control], ranges: Mapping[str, Sequence[float]] | None
) -> dict[str, Control]:
    """Returns controls with other ranges (low, high), by name, which they go through as in the authors' code.

    That is by `exp_sigmoid`, from where it begins. Raises `DdspZooError` for unknown names and for what is no range.
    """
    check_names("control", ranges or {}, controls)
    out = dict(controls)
    for name, ends in (ranges or {}).items():
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise DdspZooError(
                f"The range of {name} is {list(ends)}: give its lower and its upper end, [0.0, 1.0]."
            )
        out[name] = replace(controls[name], low=ends[0], high=ends[1], curve="amplitude", offset=0.0)
    return out


def check_names(kind: str, given: Any, known: Any) -> None:
    """Raises `DdspZooError` for names that are not known."""
    for name in given:
        if name not in known:
            raise DdspZooError(
                f"There is no {kind} {name!r} of a Karplus-Strong string: choose from {', '.join(known)}."
            )
