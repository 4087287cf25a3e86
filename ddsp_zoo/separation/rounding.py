"""Controls with no more digits than can be heard, so that a file of them is small.

They are rounded before they are played. What is saved is therefore what was heard, and plays again the same.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ddsp_zoo.synths.control import Control, Controls

FREQUENCY_BITS = 12  # of the mantissa: within 0.22 cents
LEVEL_BITS = 8  # within 0.017 dB
MANTISSA = 23  # bits in float32


def rounded(controls: Controls, declared: Mapping[str, Control]) -> Controls:
    """Rounds what a network says of many bands: {name: (S, n, k)}, float32.

    Single values weigh nothing in a file, and some of them are the damping of a string, which rings by the last
    digits: they stay as they are, as do times, line spectral frequencies, which may lie close together, and what was
    given. What is rounded stays in its range.
    """
    return {
        name: _rounded(value, declared[name]) if name in declared else value
        for name, value in controls.items()
    }


def _rounded(value: Tensor, control: Control) -> Tensor:
    exact = control.origin != "network" or control.role == "time" or control.curve == "lsf"
    if exact or control.size == 1 or value.dtype != torch.float32:
        return value
    hertz = control.role in ("partials", "pitch")
    return round_mantissa(value, FREQUENCY_BITS if hertz else LEVEL_BITS).clamp(control.low, control.high)


def round_mantissa(value: Tensor, bits: int) -> Tensor:
    """Rounds float32 values to so many bits after the leading one, halves away from zero.

    The error is at most 2**-(bits + 1) of the value.
    """
    spare = MANTISSA - bits
    whole = value.contiguous().view(torch.int32) + (1 << (spare - 1))
    return (whole >> spare << spare).view(torch.float32)
