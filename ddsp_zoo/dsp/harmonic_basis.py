"""Products of audio with gliding partials, audio as their sum, and the banded equations between the two.

On a CPU with numba these run in compiled kernels, elsewhere in plain tensor operations; both compute the same, and keep
nothing of the partials for their gradients.
Phases and shapes are those of `harmonic_ls_kernel`.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.banded_blocks import solve_in_blocks
from ddsp_zoo.dsp.frames import overlap_add
from ddsp_zoo.dsp.operators import operator

AT_ONCE = 1 << 24  # numbers in an array of the tensor form, of every partial at every sample: 128 MiB


def correlate(
    audio: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int
) -> Tensor:
    """Returns weighted inner products (B, S, N, K, 2) of audio (B, 1 or S, T) with exp(i phase) of each partial.

    The last axis holds real and imaginary part. Differentiable with respect to the audio.
    """
    return _correlate(audio, cycles, bend, multiple, weight, hop)


def synthesise(
    amplitudes: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int
) -> Tensor:
    """Returns the real part (B, S, T) of the sum of weighted partials of amplitudes (B, S, N, K, 2).

    Differentiable with respect to the amplitudes.
    """
    return _synthesise(amplitudes, cycles, bend, multiple, weight, hop)


def _correlate_by_tensors(
    audio: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int
) -> Tensor:
    """Returns what `correlate` does, by plain tensor operations on any device."""
    frames = audio.unfold(-1, len(weight), hop) * weight
    parts = [
        torch.einsum("bsnl,bsnlk->bsnk", frames[:, :, span].expand(*basis.shape[:4]).to(basis), basis.conj())
        for span, basis in _bases(cycles, bend, multiple, len(weight))
    ]
    return torch.view_as_real(torch.cat(parts, 2).resolve_conj())


def _synthesise_by_tensors(
    amplitudes: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int
) -> Tensor:
    """Returns what `synthesise` does, by plain tensor operations on any device."""
    complex_ = torch.view_as_complex(amplitudes.contiguous())
    parts = [
        torch.einsum("bsnk,bsnlk->bsnl", complex_[:, :, span], basis).real
        for span, basis in _bases(cycles, bend, multiple, len(weight))
    ]
    audio = overlap_add(torch.cat(parts, 2) * weight, hop)
    return audio[..., : (cycles.shape[-1] - 1) * hop + len(weight)]


def _bases(cycles: Tensor, bend: Tensor, multiple: Tensor, length: int):
    """Spans of frames, and exp(i phase) of all their partials (B, S, n, L, K), 0 where none sounds."""
    time = torch.arange(length, device=cycles.device, dtype=torch.float64) - length // 2
    frames = max(1, AT_ONCE // max(1, cycles.shape[0] * cycles.shape[1] * length * multiple.shape[-1]))
    for first in range(0, cycles.shape[-1], frames):
        span = slice(first, first + frames)
        pitch = cycles[..., span, None]
        turns = time * (pitch + 0.5 * bend[..., span, None] * time)
        number = multiple[..., span, None, :]
        sounding = (pitch[..., None] > 0) & (number * pitch[..., None] < 0.5)
        angle = 2 * torch.pi * turns[..., None] * number
        yield span, torch.polar(sounding.to(multiple.dtype).expand(angle.shape), angle.to(multiple.dtype))


@operator("ddsp_zoo::harmonic_correlate")
def _correlate(
    audio: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int
) -> Tensor:
    if not (compiled.AVAILABLE and audio.device.type == "cpu"):
        return _correlate_by_tensors(audio, cycles, bend, multiple, weight, hop).clone()
    from ddsp_zoo.dsp import harmonic_ls_kernel as kernels
    from ddsp_zoo.dsp.oscillator_kernel import sine_polynomial

    out = audio.new_zeros(2, *multiple.shape)
    arrays = [x.contiguous().numpy() for x in (audio, cycles, bend, multiple, weight)]
    kernels.project(*arrays, hop, sine_polynomial(arrays[0].dtype), *out.numpy())
    return torch.stack([out[0], out[1]], dim=-1)


@_correlate.register_fake
def _(audio: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int) -> Tensor:
    return audio.new_empty(*multiple.shape, 2)


@operator("ddsp_zoo::harmonic_synthesise")
def _synthesise(
    amplitudes: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int
) -> Tensor:
    if not (compiled.AVAILABLE and amplitudes.device.type == "cpu"):
        return _synthesise_by_tensors(amplitudes, cycles, bend, multiple, weight, hop).clone()
    from ddsp_zoo.dsp import harmonic_ls_kernel as kernels
    from ddsp_zoo.dsp.oscillator_kernel import sine_polynomial

    audio = amplitudes.new_zeros(*cycles.shape[:2], (cycles.shape[2] - 1) * hop + len(weight))
    parts = [part.contiguous().numpy() for part in amplitudes.unbind(-1)]
    arrays = [x.contiguous().numpy() for x in (cycles, bend, multiple, weight)]
    kernels.render(*parts, *arrays, hop, sine_polynomial(parts[0].dtype), audio.numpy())
    return audio


@_synthesise.register_fake
def _(amplitudes: Tensor, cycles: Tensor, bend: Tensor, multiple: Tensor, weight: Tensor, hop: int) -> Tensor:
    return amplitudes.new_empty(*cycles.shape[:2], (cycles.shape[2] - 1) * hop + len(weight))


def _keep(ctx: FunctionCtx, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[1:5])
    ctx.hop, ctx.shared = inputs[5], inputs[0].shape[1] == 1


def _correlate_adjoint(ctx: FunctionCtx, grad: Tensor) -> tuple:
    """The real part of a product with exp(-i phase) is the transpose of the real part of one with exp(i phase)."""
    audio = _synthesise(grad, *ctx.saved_tensors, ctx.hop)
    return (audio.sum(1, keepdim=True) if ctx.shared else audio, None, None, None, None, None)


def _synthesise_adjoint(ctx: FunctionCtx, grad: Tensor) -> tuple:
    return (_correlate(grad, *ctx.saved_tensors, ctx.hop), None, None, None, None, None)


_correlate.register_autograd(_correlate_adjoint, setup_context=_keep)
_synthesise.register_autograd(_synthesise_adjoint, setup_context=_keep)


@operator("ddsp_zoo::banded_solve")
def banded_solve(band: Tensor, load: Tensor, right: Tensor) -> Tensor:
    """Solves Hermitian systems of narrow band: band (R, P, W + 1), load (R, P) and right side (R, P) give (R, P).

    ``band`` holds the element (j + d, j) of each matrix at [j, d]; ``load``, positive, is added to the
    diagonal. Computed in double precision. Differentiable with respect to load and right side. The band is cut
    out of a positive semidefinite matrix; where the cut makes it indefinite, what is off the diagonal is scaled
    down.
    """
    wide = [x.to(torch.complex128).contiguous() for x in (band, right)]
    load = load.double().contiguous()
    if compiled.AVAILABLE and band.device.type == "cpu":
        from ddsp_zoo.dsp import harmonic_ls_kernel as kernels

        answer = torch.empty_like(wide[1])
        kernels.solve(wide[0].numpy(), load.numpy(), wide[1].numpy(), answer.numpy())
    else:
        answer = solve_in_blocks(wide[0], load, wide[1])
    return answer.to(right.dtype, copy=True)


@banded_solve.register_fake
def _(band: Tensor, load: Tensor, right: Tensor) -> Tensor:
    return right.new_empty(right.shape)


def _keep_system(ctx: FunctionCtx, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2], output)


def _solve_adjoint(ctx: FunctionCtx, grad: Tensor) -> tuple:
    band, load, answer = ctx.saved_tensors
    by_right = banded_solve(band, load, grad)
    return None, -(by_right.conj() * answer).real.to(load.dtype), by_right


banded_solve.register_autograd(_solve_adjoint, setup_context=_keep_system)
