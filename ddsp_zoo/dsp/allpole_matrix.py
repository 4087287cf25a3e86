"""The rotations of the all-pole lattice as one matrix a sample, for devices on which many small products cost little.

A sample takes the state s (P,) to F s + f x, and what sounds is the first number of the new state. A stretch of sound
is cut into as many chunks as each has samples; all chunks run at once, each from silence and from every unit state, and
then their states are joined one after the other: 2 sqrt(T) steps instead of T. Memory is bounded by stretches, which
are computed again for the gradients.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from ddsp_zoo.dsp.precision import full_precision

AT_ONCE = 1 << 25  # numbers in the matrices of a stretch, 128 MiB in float32


def matrix_lattice(
    excitation: Tensor, angle: Tensor, gain: Tensor, state: Tensor, hop: int
) -> tuple[Tensor, Tensor]:
    """Filters as `ddsp_zoo.dsp.allpole.allpole` does: returns audio (R, M * hop) and the new state (R, P).

    It takes excitation (R, M * hop), angles asin(k) (R, M + 1, P) and gains (R, M + 1), which move linearly between
    frames, and state (R, P). Where matrix products of float32 are rounded (`torch.set_float32_matmul_precision`), so
    is the sound.
    """
    rows, frames, order = angle.shape
    if not excitation.numel():
        return excitation, state
    most = max(1, AT_ONCE // (rows * hop * order * (order + 1)))
    audio = []
    with full_precision(excitation.device):
        for first in range(0, frames - 1, most):
            ends = slice(first, first + most + 1)
            given = (
                excitation[:, first * hop : (first + most) * hop],
                angle[:, ends],
                gain[:, ends],
                state,
                hop,
            )
            sound, state = checkpoint(_stretch, *given, use_reentrant=False, preserve_rng_state=False)
            audio.append(sound)
    return torch.cat(audio, dim=1), state


def _stretch(
    excitation: Tensor, angle: Tensor, gain: Tensor, state: Tensor, hop: int
) -> tuple[Tensor, Tensor]:
    count, order = excitation.shape[1], state.shape[1]
    ramp = torch.arange(hop, dtype=angle.dtype, device=angle.device) / hop
    angle = torch.lerp(angle[:, :-1, None], angle[:, 1:, None], ramp[:, None]).flatten(1, 2)
    gain = torch.lerp(gain[:, :-1, None], gain[:, 1:, None], ramp).flatten(1)
    driven = (excitation * gain).to(excitation.dtype)
    length = _divisor_near(count, math.isqrt(count))
    turned = _matrices(angle.cos().to(excitation.dtype), angle.sin().to(excitation.dtype))
    turned = turned.unflatten(1, (-1, length)).movedim(
        2, 0
    )  # (L, R, C, P, P + 1): sample, row, chunk, to, from
    shape = (length, -1, order)
    moves = turned[..., :order].reshape(*shape, order)
    driven = driven.unflatten(1, (-1, length)).movedim(2, 0)
    fed = pad((turned[..., order] * driven[..., None]).reshape(*shape, 1), (order, 0))
    now = torch.eye(order, order + 1, dtype=excitation.dtype, device=excitation.device).expand(
        moves.shape[1], -1, -1
    )
    heard = []  # of each unit state and, last, of what is fed in from silence: (R * C, P + 1) a sample
    for move, feed in zip(moves.unbind(0), fed.unbind(0), strict=True):
        now = torch.baddbmm(feed, move, now)
        heard.append(now[:, 0])
    heard = torch.stack(heard, 1).unflatten(0, (len(state), -1))  # (R, C, L, P + 1)
    before = []
    for chunk in now.unflatten(0, (len(state), -1)).unbind(1):
        before.append(state)
        state = torch.baddbmm(chunk[..., order:], chunk[..., :order], state[..., None])[..., 0]
    begun = pad(torch.stack(before, 1), (0, 1), value=1.0)[..., None]
    return (heard @ begun).flatten(1), state


def _divisor_near(count: int, wanted: int) -> int:
    """The divisor of a number that is nearest to another in proportion."""
    divisors = (n for n in range(1, count + 1) if count % n == 0)
    return min(divisors, key=lambda n: max(n, wanted) / min(n, wanted))


def _matrices(cosine: Tensor, sine: Tensor) -> Tensor:
    """Cosines and sines (..., P) of a chain of rotations -> what state and input do to the state, (..., P, P + 1).

    A wave that has come back from rotation i - 1 lies at i. It holds what ran ahead into that rotation: all states
    further on, and the input, each turned aside once and weakened by the cosines in between.
    """
    order = cosine.shape[-1]
    one = torch.ones_like(cosine[..., :1])
    between = torch.ones(order, order, dtype=cosine.dtype, device=cosine.device).triu()
    weakened = pad(
        (between * cosine.log()[..., None, :]).cumsum(-1), (1, 0)
    ).exp()  # cosines from i up to before j
    aside = torch.cat([-sine, one], dim=-1)[..., None, :]
    back = torch.cat([one, sine[..., :-1]], dim=-1)[..., None]
    ahead = (back * aside * weakened).triu()
    straight = (
        torch.diag_embed(cosine[..., :-1], offset=-1) if order > 1 else torch.zeros_like(cosine[..., None])
    )
    return ahead + pad(straight, (0, 1))
