"""The plucked-string loop of Karplus and Strong: a delay line with losses, and its exact adjoint.

One row is one string. All controls are at sample rate here: (R, T).
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ddsp_zoo.errors import DdspZooError


def one_zero_phase_delay(weight: Tensor, omega: Tensor) -> Tensor:
    """Phase delay in samples of (1 - w) + w z^-1 at the angular frequency omega (radians per sample)."""
    return torch.atan2(weight * torch.sin(omega), 1 - weight + weight * torch.cos(omega)) / omega


def tuned_delay(f0_hz: Tensor, damping: Tensor, sample_rate: float) -> tuple[Tensor, Tensor]:
    """Whole and fractional delay that make the loop resonate exactly at f0.

    f0_hz, damping (b of H_a = (1 - b) + b z^-1) -> integer delay (int64) and the weight eta of the linear
    interpolator (1 - eta) + eta z^-1. The phase delay of the damping filter at f0 is taken off, and eta is
    solved for its own phase delay at f0 (thesis eq. 5.3 with both corrections).
    """
    omega = 2 * torch.pi * f0_hz / sample_rate
    delay = 2 * torch.pi / omega - one_zero_phase_delay(damping, omega)
    whole = delay.detach().floor()
    fraction = (delay - whole) * omega
    eta = torch.sin(fraction) / (torch.sin(omega - fraction) + torch.sin(fraction))
    return whole.long(), eta


def loop_taps(gain: Tensor, damping: Tensor, eta: Tensor) -> Tensor:
    """The three taps of a string loop: gain, damping, eta (R, T) -> (3, R, T).

    Product of the loop gain, the damping filter and the fractional delay. For gain >= 0 and damping, eta in
    [0, 1] the taps are non-negative and sum to the gain, which is what makes the loop stable.
    """
    keep, pass_on = 1 - damping, 1 - eta
    return gain * torch.stack([keep * pass_on, damping * pass_on + keep * eta, damping * eta])


class _DelayLoop(torch.autograd.Function):
    """Block-parallel recursion: within the shortest delay no sample depends on another of its block."""

    @staticmethod
    def forward(ctx: FunctionCtx, excitation: Tensor, taps: Tensor, delay: Tensor) -> Tensor:
        rows, count = excitation.shape
        block, reach = int(delay.min()), int(delay.max()) + 2
        ring = excitation.new_zeros(reach + count, rows)  # time first, so that a block is one slice
        index = _tap_index(delay, reach)
        taps, excitation = taps.permute(2, 0, 1).contiguous(), excitation.t().contiguous()
        for start in range(0, count, block):
            stop = min(start + block, count)
            past = torch.take(ring, index[start:stop])
            torch.sum(past * taps[start:stop], dim=1, out=ring[reach + start : reach + stop])
            ring[reach + start : reach + stop] += excitation[start:stop]
        ctx.save_for_backward(ring, taps, index)
        ctx.block, ctx.reach = block, reach
        return ring[reach:].t().contiguous()

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        ring, taps, index = ctx.saved_tensors
        block, reach = ctx.block, ctx.reach
        adjoint = torch.zeros_like(ring)
        adjoint[reach:] = grad.t()
        flat = adjoint.view(-1)
        count = grad.shape[1]
        for stop in range(count, 0, -block):
            start = max(stop - block, 0)
            sent = taps[start:stop] * adjoint[reach + start : reach + stop, None]
            flat.index_add_(0, index[start:stop].reshape(-1), sent.reshape(-1))
        adjoint = adjoint[reach:]
        grad_taps = torch.take(ring, index) * adjoint[:, None]
        return adjoint.t(), grad_taps.permute(1, 2, 0), None


def _tap_index(delay: Tensor, reach: int) -> Tensor:
    """Flat positions (T, 3, R) of the three delayed samples in a ring of shape (reach + T, R)."""
    rows, count = delay.shape
    now = torch.arange(count, device=delay.device)[:, None] + reach - delay.t()
    steps = torch.arange(3, device=delay.device)
    return (now[:, None] - steps[:, None]) * rows + torch.arange(rows, device=delay.device)


def delay_loop(excitation: Tensor, taps: Tensor, delay: Tensor) -> Tensor:
    """y[n] = x[n] + sum_j taps[j, n] * y[n - delay[n] - j], from silence.

    excitation (R, T), taps (3, R, T), delay (R, T) int64 -> y (R, T). With non-negative taps whose sum never
    exceeds g < 1, |y| <= max|x| / (1 - g) for any motion of taps and delay. Raises `DdspZooError` for delays
    below one sample or wrong shapes. Source: Karplus & Strong 1983; thesis eq. 5.4.
    """
    if excitation.ndim != 2 or delay.shape != excitation.shape or taps.shape != (3, *excitation.shape):
        raise DdspZooError(
            "A string loop takes excitation (R, T), taps (3, R, T) and delay (R, T); "
            f"got {tuple(excitation.shape)}, {tuple(taps.shape)} and {tuple(delay.shape)}."
        )
    if excitation.shape[1] == 0:
        return excitation
    if delay.dtype != torch.int64 or int(delay.min()) < 1:
        raise DdspZooError("A string's delay must be whole samples (int64) and at least 1: lower its f0.")
    return _DelayLoop.apply(excitation, taps, delay.clamp(max=excitation.shape[1]))


def _first_order_scan(x: Tensor, pole: Tensor) -> Tensor:
    """y[n] = x[n] + pole[n] * y[n - 1] by recursive doubling along the last axis."""
    y, carry, step = x, pole, 1
    while step < x.shape[-1] and bool(carry.abs().max() > 0):
        shifted = torch.nn.functional.pad(y[..., :-step], (step, 0))
        y = torch.addcmul(y, carry, shifted)
        carry = carry * torch.nn.functional.pad(carry[..., :-step], (step, 0))
        carry = torch.where(carry.abs() < 1e-30, 0.0, carry)  # no denormals: they are slow and inaudible
        step *= 2
    return y


class _OnePole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, pole: Tensor) -> Tensor:
        y = _first_order_scan(x, pole)
        ctx.save_for_backward(y, pole)
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor]:
        y, pole = ctx.saved_tensors
        following = torch.nn.functional.pad(pole[..., 1:], (0, 1))
        adjoint = _first_order_scan(grad.flip(-1), following.flip(-1)).flip(-1)
        return adjoint, adjoint * torch.nn.functional.pad(y[..., :-1], (1, 0))


def one_pole(x: Tensor, pole: Tensor) -> Tensor:
    """Time-varying low-pass y[n] = (1 - r[n]) x[n] + r[n] y[n - 1], from silence: x, pole r (..., T) -> y.

    For r in [0, 1) it never exceeds max|x|. Source: Jaffe & Smith 1983; thesis eq. 5.13.
    """
    return _OnePole.apply((1 - pole) * x, pole)
