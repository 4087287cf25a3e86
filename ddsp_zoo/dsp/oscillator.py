"""Banks of sinusoids with phases that do not drift."""

import math

import torch
from torch import Tensor

from ddsp_zoo.dsp.frames import upsample_window


def frame_phase(frequency_hz: Tensor, sample_rate: float, hop: int) -> Tensor:
    """Phase of oscillators whose frequency moves linearly between frames.

    frequency_hz (B, N, K) -> phase in radians (B, N * hop, K). Within frame n the sum of the linearly
    interpolated frequency has a closed form; only the phase at each frame's start is accumulated, in float64
    and modulo one turn, so the phase is as exact after hours as at the start (AST-DDSP eq. 2).
    """
    cycles = frequency_hz.double() / sample_rate
    step = torch.cat([cycles[:, 1:], cycles[:, -1:]], dim=1) - cycles
    advance = hop * cycles + step * (hop - 1) / 2
    start = torch.cumsum(advance, dim=1) - advance
    start = (start - start.detach().floor()).to(frequency_hz.dtype)
    j = torch.arange(hop, device=frequency_hz.device, dtype=frequency_hz.dtype)
    cycles, step = cycles.to(start.dtype)[:, :, None], step.to(start.dtype)[:, :, None]
    ramp, bend = (j + 1)[:, None], (j * (j + 1) / (2 * hop))[:, None]
    return 2 * math.pi * (start[:, :, None] + ramp * cycles + bend * step).flatten(1, 2)


def sinusoidal_bank(frequency_hz: Tensor, amplitude: Tensor, sample_rate: float, hop: int) -> Tensor:
    """Sum of K sinusoids: frequency_hz, amplitude (B, N, K) -> audio (B, N * hop).

    Frequencies are interpolated linearly, amplitudes by Hann windows; an oscillator at or above the Nyquist
    frequency is silent. Source: AST-DDSP eq. 1-2, Engel et al. 2020b.
    """
    amplitude = torch.where(frequency_hz < sample_rate / 2, amplitude, torch.zeros_like(amplitude))
    phase = frame_phase(frequency_hz, sample_rate, hop)
    envelope = upsample_window(amplitude.transpose(1, 2), hop).transpose(1, 2)
    return (envelope * torch.sin(phase)).sum(-1)
