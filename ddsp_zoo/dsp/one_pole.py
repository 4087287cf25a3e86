"""A time-varying one-pole low-pass, and the DC blocker made of it."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.checks import check, check_computing, check_floating, check_values
from ddsp_zoo.dsp.frames import follow, ramps
from ddsp_zoo.dsp.operators import operator
from ddsp_zoo.dsp.scan import FirstOrder
from ddsp_zoo.errors import DdspZooError


def one_pole(
    x: Tensor, pole: Tensor, hop: int, onset: Tensor | None = None, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Filters x (R, T) by a one-pole low-pass and returns y (R, T) and the new state (R,).

    It computes y[n] = (1 - r[n]) x[n] + r[n] y[n - 1], from y[-1] = ``state`` (R,) or silence; x is float32 or
    float64. The pole r (R, N) moves linearly from frame to frame, jumps where ``onset`` (R, N) is above zero,
    and with one frame more than T / hop moves towards the last. For r in [0, 1) the output never exceeds
    max|x|; beyond it may grow. The adjoint is exact in everything. NaN in a row stays in that row, from there
    on. Raises `DdspZooError` for shapes or types that do not fit and for poles that are not finite.
    Source: Jaffe & Smith 1983; thesis eq. 5.13.
    """
    check_computing("A one-pole filter", x, pole)
    check(
        x.ndim == 2 and pole.ndim == 2 and len(pole) == len(x),
        f"A one-pole filter takes x (R, T) and poles (R, N); got {tuple(x.shape)} and {tuple(pole.shape)}.",
    )
    check_values("The pole of a one-pole filter", pole)  # a goal that an onset hides, too
    start, goal = ramps(pole, hop, x.shape[1], onset)
    state = _state(x, state)
    if not x.numel():
        return x, state
    if x.device.type == "cpu" and compiled.AVAILABLE:
        y = _one_pole(x, start, goal, state, hop)
    else:
        _check_finite(start, goal)
        poles = follow(start, goal, hop)
        y = FirstOrder.apply(((1 - poles) * x).t(), poles.t(), state).t()
    return y, y[:, -1]


def dc_block(
    x: Tensor, cutoff_hz: float, sample_rate: float, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Filters x (R, T) by a first-order high-pass r (1 - z^-1) / (1 - r z^-1).

    It returns audio (R, T) and the state (R,) for the next chunk. The result is x minus its one-pole low-pass,
    with r = `high_pass_pole` of the cutoff frequency. Source: thesis eq. 5.5.
    """
    check_computing("A DC blocker", x)
    check(
        x.ndim == 2 and 0 < cutoff_hz < sample_rate / 2 < math.inf,
        f"A DC blocker takes audio (R, T) and a cutoff between 0 and {sample_rate / 2:g} Hz; got {tuple(x.shape)} and "
        f"{cutoff_hz:g} Hz.",
    )
    state = _state(x, state)
    if not x.numel():
        return x, state
    pole = high_pass_pole(cutoff_hz, sample_rate)
    if x.device.type == "cpu" and compiled.AVAILABLE:
        y = _dc_block(x, state, pole, False)
        return y, x[:, -1] - y[:, -1]
    low, state = one_pole(x, x.new_full((len(x), 1), pole), x.shape[1], state=state)
    return x - low, state


def _check_finite(start: Tensor, goal: Tensor) -> None:
    if not bool(torch.isfinite(start).all() and torch.isfinite(goal).all()):
        raise DdspZooError("The pole of a one-pole filter must be finite.")


def _state(x: Tensor, state: Tensor | None) -> Tensor:
    """The state given, or silence; or an error."""
    if state is None:
        return x.new_zeros(len(x))
    if state.shape != x.shape[:1] or state.dtype != x.dtype:
        raise DdspZooError(
            f"The state of {len(x)} one-pole filters is ({len(x)},) in {x.dtype}; got {tuple(state.shape)} in "
            f"{state.dtype}."
        )
    return state


def high_pass_pole(cutoff_hz: float, sample_rate: float) -> float:
    """Returns the pole of the first-order high-pass with that cutoff frequency (thesis eq. 5.6).

    Raises `DdspZooError` for a cutoff that is negative and for a sample rate that is not positive.
    """
    check(
        0 <= cutoff_hz < math.inf and 0 < sample_rate < math.inf,
        f"A high-pass needs a cutoff and a sample rate in Hz; got {cutoff_hz:g} and {sample_rate:g}.",
    )
    return 1 / (1 + 2 * math.pi * cutoff_hz / sample_rate)


def high_pass_lead(pole: float, omega: Tensor) -> Tensor:
    """Returns by how many samples the high-pass p (1 - z^-1) / (1 - p z^-1) is ahead at omega, radians per sample.

    omega lies above 0, up to pi. Raises `DdspZooError` for a pole outside [0, 1) and where omega has no floating point.
    """
    check_floating("The lead of a high-pass", omega)
    check(0 <= pole < 1, f"A high-pass has a pole of at least 0 and below 1; got {pole:g}.")
    return ((math.pi - omega) / 2 - torch.atan2(pole * omega.sin(), 1 - pole * omega.cos())) / omega


@operator("ddsp_zoo::one_pole", device_types="cpu")
def _one_pole(x: Tensor, start: Tensor, goal: Tensor, state: Tensor, hop: int) -> Tensor:
    from ddsp_zoo.dsp import one_pole_kernel

    _check_finite(start, goal)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    one_pole_kernel.forward(
        *(v.detach().contiguous().numpy() for v in (x, start, goal, state)), hop, y.numpy()
    )
    return y


@_one_pole.register_fake
def _(x, start, goal, state, hop):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@operator("ddsp_zoo::one_pole_backward", device_types="cpu")
def _one_pole_backward(
    grad: Tensor, x: Tensor, y: Tensor, start: Tensor, goal: Tensor, state: Tensor, hop: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, start, goal and state."""
    from ddsp_zoo.dsp import one_pole_kernel

    grad, x, y, start, goal, state = (
        v.detach().contiguous().numpy() for v in (grad, x, y, start, goal, state)
    )
    adjoint, grads = np.empty_like(x), [np.empty_like(v) for v in (x, start, goal, state)]
    one_pole_kernel.accumulate(grad, start, goal, hop, adjoint, grads[3])
    one_pole_kernel.differentiate(adjoint, x, y, start, goal, state, hop, *grads[:3])
    return tuple(torch.from_numpy(v) for v in grads)


@_one_pole_backward.register_fake
def _(grad, x, y, start, goal, state, hop):
    return tuple(torch.empty_like(v, memory_format=torch.contiguous_format) for v in (x, start, goal, state))


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    x, start, goal, state, ctx.hop = inputs
    ctx.save_for_backward(x, output, start, goal, state)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    return *_one_pole_backward(grad, *ctx.saved_tensors, ctx.hop), None


_one_pole.register_autograd(_differentiate, setup_context=_save)


@operator("ddsp_zoo::dc_block", device_types="cpu")
def _dc_block(x: Tensor, state: Tensor, pole: float, backwards: bool) -> Tensor:
    """High-pass of x (R, T), forwards in time or, which is the adjoint, backwards."""
    from ddsp_zoo.dsp import one_pole_kernel

    # One order of samples is one kernel to compile.
    signal = (x.flip(1) if backwards else x).detach().contiguous().numpy()
    poles, result = x.new_full((len(x), 1), pole).numpy(), np.empty_like(signal)
    one_pole_kernel.forward(signal, poles, poles, state.detach().contiguous().numpy(), x.shape[1], result)
    y = torch.from_numpy(np.subtract(signal, result, out=result))
    return y.flip(1) if backwards else y


@_dc_block.register_fake
def _(x, state, pole, backwards):
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _save_pole(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, _, ctx.pole, ctx.backwards = inputs


def _differentiate_dc(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    grad_x = _dc_block(grad, grad.new_zeros(len(grad)), ctx.pole, not ctx.backwards)
    first = -1 if ctx.backwards else 0
    low = grad[:, first] - grad_x[:, first]  # the low-pass of the gradient, where it meets the state
    return grad_x, -ctx.pole / (1 - ctx.pole) * low, None, None


_dc_block.register_autograd(_differentiate_dc, setup_context=_save_pole)
