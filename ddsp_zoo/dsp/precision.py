"""Chooses the precision that a device can compute in, and keeps to it."""

from contextlib import AbstractContextManager, nullcontext

import torch

SINGLE = {"mps"}  # devices without float64


def full_precision(device: torch.device) -> AbstractContextManager:
    """Returns a context in which no product is computed in half precision: an error in a loop goes round and round."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def finest(device: torch.device) -> torch.dtype:
    """Returns the most precise type of real numbers that a device has: float64, or float32 on Apple's GPUs (MPS)."""
    return torch.float64 if device.type not in SINGLE else torch.float32
