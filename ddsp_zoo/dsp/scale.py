"""Maps between raw network outputs, unit intervals and musical or physical units."""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.dsp.checks import check, check_real

Numbers = TypeVar("Numbers", float, np.ndarray, Tensor)
LOG_10 = math.log(10.0)
LOWEST_F0_HZ = 20.0  # the scale of pitch begins here; what is below would pass for unvoiced


def exp_sigmoid(x: Tensor, max_value: float = 2.0, threshold: float = 1e-7) -> Tensor:
    """Returns a positive amplitude from an unbounded value: ``max_value * sigmoid(x) ** ln(10) + threshold``.

    Any shape; the result lies in ``[threshold, max_value + threshold]``.
    Source: Engel et al. 2020 (DDSP), appendix; thesis eq. 4.9.
    """
    check_real("exp_sigmoid", x)
    return max_value * torch.sigmoid(x) ** LOG_10 + threshold


def exp_sigmoid_inverse(amplitude: Tensor, max_value: float = 2.0) -> Tensor:
    """Returns the value that `exp_sigmoid` maps to an amplitude (any shape), limited to 1e-9 and 0.9 of its range."""
    check_real("exp_sigmoid_inverse", amplitude)
    check(max_value > 0, f"The range of an amplitude must be above 0; got {max_value:g}.")
    unit = (amplitude / max_value).clamp(1e-9, 0.9) ** (1 / LOG_10)
    return torch.logit(unit)


def hz_to_midi(frequency_hz: Numbers) -> Numbers:
    """Returns the MIDI note number of a frequency (number, array or tensor); 0 Hz (unvoiced) and below give 0."""
    if isinstance(frequency_hz, Tensor):
        check_real("A scale of pitch", frequency_hz)
        safe = frequency_hz.clamp(min=1e-6)
        return torch.where(frequency_hz > 0, 12.0 * torch.log2(safe / 440.0) + 69.0, torch.zeros_like(safe))
    midi = 12.0 * np.log2(np.maximum(frequency_hz, 1e-6) / 440.0) + 69.0
    return np.where(np.greater(frequency_hz, 0), midi, 0.0)[()]


def midi_to_hz(midi: Numbers) -> Numbers:
    """Returns the frequency in Hz of a (fractional) MIDI note number: number, array or tensor."""
    if isinstance(midi, Tensor):
        check_real("A scale of pitch", midi)
    return 440.0 * 2.0 ** ((midi - 69.0) / 12.0)


def hz_to_unit(frequency_hz: Tensor, low_hz: float = LOWEST_F0_HZ, high_hz: float = 8000.0) -> Tensor:
    """Maps log-frequency to a unit interval: 0 at ``low_hz``, 1 at ``high_hz``; unvoiced (0 Hz) is below 0.

    Source: UMSS (Schulze-Forster et al. 2022), the decoder's f0 input.
    """
    _check_ends(low_hz, high_hz)
    low, high = float(hz_to_midi(low_hz)), float(hz_to_midi(high_hz))
    return (hz_to_midi(frequency_hz) - low) / (high - low)


def unit_to_hz(unit: Tensor, low_hz: float, high_hz: float) -> Tensor:
    """Inverts `hz_to_unit` for voiced values: returns log-spaced frequencies in ``[low_hz, high_hz]``."""
    check_real("A scale of pitch", unit)
    _check_ends(low_hz, high_hz)
    return low_hz * (high_hz / low_hz) ** unit


def _check_ends(low_hz: float, high_hz: float) -> None:
    check(
        0 < low_hz < high_hz < math.inf,
        f"A scale of pitch goes from a frequency above 0 to a higher one; got {low_hz:g} and {high_hz:g} Hz.",
    )
