"""Refuses controls that no synthesiser should be given, with a sentence that says which and where."""

from collections.abc import Mapping

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.separation.result import LOUDEST
from ddsp_zoo.synths.control import Control

SLACK = 1e-5  # by which rounding may leave a range, as a share of its bounds


def check(
    controls: Mapping[str, np.ndarray], declared: Mapping[str, Control], source: str, rate_hz: float
) -> None:
    """Raises `DdspZooError` unless all controls of a source are as they are declared.

    Args:
        controls: {name: (N, k)}, (N,) for single values.
        declared: what they are declared as, by name; each must be there.
        source: its name, for the sentence.
        rate_hz: frames a second, for the sentence.
    """
    lengths = {len(value) for value in controls.values()}
    for name, control in declared.items():
        if name not in controls:
            raise DdspZooError(
                f"{source}/{name} is missing: take the controls of one and the same separation."
            )
        values = np.asarray(controls[name])
        if values.ndim not in (1, 2) or values.size != len(values) * control.size or len(lengths) != 1:
            raise DdspZooError(
                f"{source}/{name} has shape {values.shape}: it must have {control.size} value(s) a frame, and as many "
                "frames as the other controls."
            )
        _check_values(values.reshape(len(values), -1), control, f"{source}/{name}", rate_hz)


def _check_values(values: np.ndarray, control: Control, name: str, rate_hz: float) -> None:
    low, high = (0.0, LOUDEST) if control.role == "level" else (control.low, control.high)
    slack = SLACK * max(abs(low), abs(high)) if control.role != "level" else 0.0
    fits = (values >= low - slack) & (values <= high + slack)  # NaN never does
    if control.role == "pitch":
        fits |= values == 0
    for frame, place in np.argwhere(~fits)[:1]:
        wanted = f"{low:g} to {high:g} {control.unit}".removesuffix(" 1")
        zero = ", or 0 where it rests" if control.role == "pitch" else ""
        raise DdspZooError(
            f"{name} is {values[frame, place]:g} at {frame / rate_hz:.3f} s: give {wanted}{zero}, nothing was played."
        )
    if control.curve == "lsf" and (np.diff(values) < 0).any():
        frame = np.argwhere(np.diff(values) < 0)[0, 0]
        raise DdspZooError(
            f"{name} does not rise from value to value at {frame / rate_hz:.3f} s: sort each frame."
        )
