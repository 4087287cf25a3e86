"""Chooses the precision that a device can compute in, and keeps to it.

Apple's GPUs (MPS) have no float64. What needs it there is computed on the CPU where it is small, a few numbers a frame:
phases up to each frame, filters, damping. What is there for every sample goes on in float32 from these numbers, so that
nothing drifts: within a frame a phase is right to 1e-4 turns. Harmonic least squares run on the CPU as a whole.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

SINGLE = {"mps"}  # types of devices without float64


def finest(device: torch.device) -> torch.dtype:
    """Returns the most precise type of real numbers that a device has: float64 or float32."""
    return torch.float32 if device.type in SINGLE else torch.float64


def exact(values: Tensor) -> Tensor:
    """Returns values in float64, on the CPU where their device has none; differentiable."""
    return host(values).double()


def host(values: Tensor) -> Tensor:
    """Returns values where float64 can be computed: where they are, or on the CPU."""
    return values.cpu() if values.device.type in SINGLE else values


def full_precision(device: torch.device) -> AbstractContextManager:
    """Returns a context in which no product is computed in half precision: an error in a loop goes round and round."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
