"""The time-varying all-pole filter 1/A(z) as a chain of rotations, and its exact adjoint.

The normalised lattice has, for each reflection coefficient k = sin(theta), a rotation by theta between a wave
that runs ahead and one that comes back. Rotations keep energy, so no motion of the controls can make the filter
unstable; and they can be undone, so the backward pass needs no states of single samples.
Source: Gray & Markel 1975, A normalized digital filter structure.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.allpole_matrix import matrix_lattice
from ddsp_zoo.dsp.operators import operator
from ddsp_zoo.dsp.precision import exact, finest
from ddsp_zoo.errors import DdspZooError

MAX_REFLECTION = 1 - 1e-9  # keeps the slope of asin finite
MAX_GAIN = 1e6  # 120 dB


def allpole(
    excitation: Tensor, reflection: Tensor, hop: int, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Filters each row by its own moving 1/A(z), sample by sample, and carries the state along.

    It takes excitation x (R, T), reflection k (R, N, P) within [-1, 1] and centred at samples n * hop, and
    state (R, P) or None for silence. It returns audio (R, T) and the new state (R, P). T is N * hop, where the
    last frame is held, or (N - 1) * hop, where the last frame is only what the one before moves to: so chunks
    cut at frames join without a seam. The angles asin(k) move linearly between frames, and so does the gain G =
    1 / prod sqrt(1 - k^2) that makes a filter at rest 1/A(z).

    For any motion of k, y[n]^2 <= |state[n]|^2 <= |state[0]|^2 + sum (G x)^2 up to n. G is limited to 120 dB,
    and k of +-1 is moved inside by 1e-9. Serial kernels compute this on the CPU; on other devices, and without numba,
    `ddsp_zoo.dsp.allpole_matrix` does. NaN in a row's excitation stays in that row. Raises `DdspZooError` for wrong
    shapes or dtypes and for k that is not a number or beyond +-1.
    Source: Gray & Markel 1975; UMSS (Schulze-Forster et al. 2022); thesis eq. 4.7.
    """
    frames = _check(excitation, reflection, hop, state)
    if state is None:
        state = excitation.new_zeros(excitation.shape[0], reflection.shape[2])
    if frames == reflection.shape[1]:
        reflection = torch.cat([reflection, reflection[:, -1:]], 1)
    k = exact(reflection)
    k = torch.where(k.abs() <= 1, k.clamp(-MAX_REFLECTION, MAX_REFLECTION), torch.nan)
    gain = torch.exp((-0.5 * torch.log1p(-k * k).sum(-1)).clamp(max=math.log(MAX_GAIN)))
    angle = torch.asin(k)
    if compiled.AVAILABLE and excitation.device.type == "cpu":
        audio, state, *_ = _lattice(excitation, angle, gain, state, hop)
        return audio, state
    if not torch.compiler.is_compiling():
        _check_angles(angle)
    angle, gain = (x.to(excitation.device, finest(excitation.device)) for x in (angle, gain))
    return matrix_lattice(excitation, angle, gain, state, hop)


def framewise_allpole(excitation: Tensor, reflection: Tensor, hop: int = 256) -> Tensor:
    """Filters as UMSS was published: every frame alone from silence, windowed, overlapped and added.

    It takes excitation (R, T) and reflection (R, N, P) with N = ceil(T / hop), and returns audio (R, T). Frame
    n is the 2 * hop samples from n * hop on, filtered by one held filter, then weighted by a periodic Hann
    window (the first half of the first frame by one). What rings on beyond a frame is lost, and frames stand
    one hop later than those of `allpole`: the two agree only where the controls stand still and the filter's
    memory is short.
    Source: UMSS (Schulze-Forster et al. 2022), the authors' implementation.
    """
    if excitation.ndim != 2 or reflection.ndim != 3 or not reflection.shape[2] or hop < 1:
        raise DdspZooError(
            "A frame-wise all-pole filter takes excitation (R, T), reflection (R, N, P) and a positive hop; "
            f"got {tuple(excitation.shape)}, {tuple(reflection.shape)} and {hop}."
        )
    (rows, count), frames = excitation.shape, reflection.shape[1]
    if frames != -(-count // hop) or reflection.shape[0] != rows:
        raise DdspZooError(
            f"{rows} rows of {count} samples at hop {hop} need reflection ({rows}, {-(-count // hop)}, P); "
            f"got {tuple(reflection.shape)}."
        )
    if excitation.numel() == 0:
        return excitation
    cut = F.pad(excitation, (0, (frames + 1) * hop - count)).unfold(1, 2 * hop, hop)
    filtered, _ = allpole(cut.reshape(rows * frames, 2 * hop), reflection.flatten(0, 1)[:, None], 2 * hop)
    window = torch.hann_window(2 * hop, dtype=excitation.dtype, device=excitation.device)
    rising, falling = (filtered.view(rows, frames, 2, hop) * window.view(2, hop)).unbind(2)
    rising = torch.cat([filtered.view(rows, frames, 2 * hop)[:, :1, :hop], rising[:, 1:]], 1)
    return (rising + F.pad(falling[:, :-1], (0, 0, 1, 0))).flatten(1)[:, :count]


def _check(excitation: Tensor, reflection: Tensor, hop: int, state: Tensor | None) -> int:
    """Returns the number of frames to render, after a check of shapes and dtypes."""
    if excitation.dtype not in (torch.float32, torch.float64) or not reflection.is_floating_point():
        raise DdspZooError(
            "An all-pole filter takes an excitation of float32 or float64 and floating-point reflection "
            f"coefficients; got {excitation.dtype} and {reflection.dtype}."
        )
    if excitation.ndim != 2 or reflection.ndim != 3 or reflection.shape[0] != excitation.shape[0]:
        raise DdspZooError(
            "An all-pole filter takes excitation (R, T) and reflection (R, N, P); "
            f"got {tuple(excitation.shape)} and {tuple(reflection.shape)}."
        )
    (rows, count), (_, frames, order) = excitation.shape, reflection.shape
    if frames < 1 or order < 1 or hop < 1 or count not in (frames * hop, (frames - 1) * hop):
        raise DdspZooError(
            f"{frames} frames of order {order} at hop {hop} render {frames * hop} samples, or one hop less with "
            f"the last frame as goal, but the excitation has {count}."
        )
    if state is not None and (state.shape != (rows, order) or state.dtype != excitation.dtype):
        raise DdspZooError(
            f"The state of this filter is ({rows}, {order}) of {excitation.dtype}; "
            f"got {tuple(state.shape)} of {state.dtype}."
        )
    return count // hop


def _check_angles(angle: Tensor) -> None:
    if not bool(torch.isfinite(angle).all()):
        raise DdspZooError(
            "Reflection coefficients must be numbers within [-1, 1]: check what predicts them."
        )


def _lanes() -> int:
    from ddsp_zoo.dsp.allpole_kernel import LANES

    return LANES


def _tiled(rows: Tensor) -> Tensor:
    """Groups rows (R, ...) in tiles (K, ..., LANES), with zeros for the missing rows of the last tile."""
    lanes = _lanes()
    tiles = -(-rows.shape[0] // lanes)
    padded = torch.cat([rows, rows.new_zeros(tiles * lanes - rows.shape[0], *rows.shape[1:])])
    return padded.unflatten(0, (tiles, lanes)).movedim(1, -1).contiguous()


def _untiled(tiles: Tensor, count: int) -> Tensor:
    return tiles.movedim(-1, 1).flatten(0, 1)[:count].clone(memory_format=torch.contiguous_format)


def _turns(angle: Tensor, hop: int, at: int, dtype: torch.dtype) -> Tensor:
    """angle (R, M + 1, P) -> (K, M, P, 4, LANES): cosine and sine at one sample of each frame, and the two shears
    whose product (shear, lift, shear) is the rotation by one sample's share of the way to the next frame."""
    angle = _tiled(angle)
    step = (angle[:, 1:] - angle[:, :-1]) / hop
    now, step = angle[:, :-1] + at * step, step.to(dtype)
    return torch.stack([now.cos().to(dtype), now.sin().to(dtype), (step / 2).tan(), step.sin()], -2)


def _gains(gain: Tensor, dtype: torch.dtype) -> Tensor:
    """Groups gain (R, M + 1) as (K, M, 2, LANES): the gain at the start of each frame and its rise within it."""
    gain = _tiled(gain)
    return torch.stack([gain[:, :-1], gain[:, 1:] - gain[:, :-1]], -2).to(dtype)


def _scratch(turns: Tensor, hop: int) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the ramp (hop,) from 0 to just below 1, a tile's working memory, and room for one frame of it."""
    from ddsp_zoo.dsp.allpole_kernel import ROWS

    _, _, order, _, lanes = turns.shape
    ramp = torch.arange(hop, dtype=turns.dtype) / hop
    return ramp, turns.new_empty(order + 1, ROWS, lanes), turns.new_empty(hop, lanes)


@operator("ddsp_zoo::allpole", device_types="cpu")
def _lattice(
    excitation: Tensor, angle: Tensor, gain: Tensor, state: Tensor, hop: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """excitation (R, M*hop), angle (R, M + 1, P), gain (R, M + 1), state (R, P) -> audio, state, and for the
    backward pass what falls out of the lattice (K, M, hop, LANES) and all frames' states (K, M + 1, P, 1, LANES)."""
    from ddsp_zoo.dsp import allpole_kernel

    _check_angles(angle)
    excitation = excitation.contiguous()
    turns, gains = _turns(angle, hop, 0, excitation.dtype), _gains(gain, excitation.dtype)
    tiles, frames, order, _, lanes = turns.shape
    audio, fallen = torch.empty_like(excitation), turns.new_empty(tiles, frames, hop, lanes)
    states = turns.new_empty(tiles, frames + 1, order, 1, lanes)
    states[:, 0, :, 0] = _tiled(state)
    given = (excitation, turns, gains, *_scratch(turns, hop))
    allpole_kernel.forward(*(t.numpy() for t in (*given, audio, fallen, states)))
    return audio, _untiled(states[:, -1, :, 0], len(state)), fallen, states


@_lattice.register_fake
def _(
    excitation: Tensor, angle: Tensor, gain: Tensor, state: Tensor, hop: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rows, frames, order = angle.shape
    lanes = _lanes()
    tiles = -(-rows // lanes)
    return (
        torch.empty_like(excitation, memory_format=torch.contiguous_format),
        torch.empty_like(state, memory_format=torch.contiguous_format),
        excitation.new_empty(tiles, frames - 1, hop, lanes),
        excitation.new_empty(tiles, frames, order, 1, lanes),
    )


@operator("ddsp_zoo::allpole_backward", device_types="cpu")
def _lattice_backward(
    grad_audio: Tensor, grad_state: Tensor, angle: Tensor, gain: Tensor, fallen: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns the gradients of `_lattice` by excitation, angle, gain and state."""
    from ddsp_zoo.dsp import allpole_kernel

    hop, rows = fallen.shape[2], angle.shape[0]
    grad_audio = grad_audio.contiguous()
    turns, gains = _turns(angle, hop, hop - 1, grad_audio.dtype), _gains(gain, grad_audio.dtype)
    grad_excitation, grad_first = torch.empty_like(grad_audio), _tiled(grad_state)[:, :, None]
    sums, gain_sums = torch.zeros_like(turns[..., :2, :]), torch.zeros_like(gains)
    given = (grad_audio, turns, gains, *_scratch(turns, hop), fallen, states)
    allpole_kernel.backward(*(t.numpy() for t in (*given, grad_excitation, sums, gain_sums, grad_first)))
    return (
        grad_excitation,
        _to_frames(sums, rows).to(angle.dtype),
        _to_frames(gain_sums, rows).to(gain.dtype),
        _untiled(grad_first[:, :, 0], rows),
    )


@_lattice_backward.register_fake
def _(
    grad_audio: Tensor, grad_state: Tensor, angle: Tensor, gain: Tensor, fallen: Tensor, states: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    like = (grad_audio, angle, gain, grad_state)
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in like)


def _to_frames(sums: Tensor, rows: int) -> Tensor:
    """Turns sums over each frame (K, M, ..., 2, LANES), plain and ramped, into gradients by frame (R, M + 1, ...)."""
    plain, late = sums.unbind(-2)
    tail = (0, 0) * (plain.ndim - 2)
    return _untiled(F.pad(plain - late, (*tail, 0, 1)) + F.pad(late, (*tail, 1, 0)), rows)


def _keep(ctx: FunctionCtx, inputs: tuple, output: tuple[Tensor, ...]) -> None:
    _, angle, gain, _, _ = inputs
    _, _, fallen, states = output
    ctx.mark_non_differentiable(fallen, states)
    ctx.save_for_backward(angle, gain, fallen, states)


def _adjoint(ctx: FunctionCtx, grad_audio: Tensor, grad_state: Tensor, *_: object) -> tuple:
    return (*_lattice_backward(grad_audio, grad_state, *ctx.saved_tensors), None)


_lattice.register_autograd(_adjoint, setup_context=_keep)
