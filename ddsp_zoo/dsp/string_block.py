"""The string loop for any device: block-parallel, with a hand-written adjoint.

Within the shortest delay no sample depends on another through the delay line, so a block of that length is a few tensor
operations. What recurs from sample to sample, a one-pole filter or a DC blocker, is one matrix for each block and row,
from what enters (the block, and the filters' last outputs) to what leaves; all of them are made before the first block.
The device is never asked for a number, but for the shortest and the longest delay where the caller does not know them.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ddsp_zoo.dsp.frames import follow
from ddsp_zoo.dsp.precision import full_precision
from ddsp_zoo.dsp.scan import scan

LARGEST_MATRIX = 32  # samples of a block that goes through one


class _BlockLoop(torch.autograd.Function):
    """Rows first: excitation (R, T), taps (R, T, 3), pole (R, T), history (R, H), tail (R, 2), whole delay (R, T)."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        excitation: Tensor,
        taps: Tensor,
        pole: Tensor,
        history: Tensor,
        tail: Tensor,
        delay: Tensor,
        size: int,
        reach: int,
        recurs: bool,
        dc_pole: float,
        clip: bool,
    ) -> tuple[Tensor, Tensor]:
        rows, count = excitation.shape
        at = reach + history.shape[1]
        line = torch.cat([history.new_zeros(rows, reach), history, excitation], dim=1)
        now = torch.arange(at, at + count, device=delay.device)
        index = (now - delay)[..., None] - torch.arange(3, device=delay.device)
        filters = _filters(pole, size, dc_pole) if recurs else None
        state = tail
        blocks = zip(*(x.split(size, dim=1) for x in (index, taps, line[:, at:])), strict=True)
        for number, (where, weight, sound) in enumerate(blocks):
            fed = (line.gather(1, where.flatten(1)).view(where.shape) * weight).sum(-1)
            if filters is not None:
                whole = torch.cat([fed, state], dim=1)[..., None]
                fed, state = torch.bmm(filters[number], whole)[..., 0].split([fed.shape[1], 2], dim=1)
            sound += fed
            if clip:
                sound.clamp_(-1, 1)
        ctx.save_for_backward(line, taps, pole, tail, index)
        ctx.options = (at, history.shape[1], size, recurs, dc_pole, clip)
        return line[:, at:].clone(), state.clone()

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor, grad_tail: Tensor) -> tuple[Tensor | None, ...]:
        line, taps, pole, tail, index = ctx.saved_tensors
        at, remembered, size, recurs, dc_pole, clip = ctx.options
        adjoint = torch.cat([torch.zeros_like(line[:, :at]), grad], dim=1)
        filters = [x.transpose(1, 2) for x in _filters(pole, size, dc_pole)] if recurs else None
        passes = line[:, at:].abs() < 1 if clip else None
        unfiltered, state = [], grad_tail
        where, weight, sound = (x.split(size, dim=1) for x in (index, taps, adjoint[:, at:]))
        for number in reversed(range(len(sound))):
            back = sound[number]
            if clip:
                back *= passes[:, number * size : (number + 1) * size]
            if filters is not None:
                whole = torch.cat([back, state], dim=1)[..., None]
                back, state = torch.bmm(filters[number], whole)[..., 0].split([back.shape[1], 2], dim=1)
            unfiltered.append(back)
            adjoint.scatter_add_(1, where[number].flatten(1), (weight[number] * back[..., None]).flatten(1))
        unfiltered = torch.cat(unfiltered[::-1], dim=1)
        read = line.gather(1, index.flatten(1)).view_as(taps)
        grad_pole = None
        if recurs:
            filtered = scan((taps * read).sum(-1).t(), pole.t(), tail[:, 0]).t()
            grad_pole = unfiltered * torch.cat([tail[:, :1], filtered[:, :-1]], dim=1)
        of_history = adjoint[:, at - remembered : at]
        return adjoint[:, at:], read * unfiltered[..., None], grad_pole, of_history, state, *[None] * 6


def _filters(pole: Tensor, size: int, dc_pole: float) -> list[Tensor]:
    """What each block does to what enters it: matrices (R, n + 2, n + 2) for a block of n samples.

    Columns: its samples, the last output of the loop filter and of the DC blocker before it. Rows: what leaves, and the
    last two outputs in it. All whole blocks are made at once, and the shorter last one alone.
    """
    rows, count = pole.shape
    whole = count - count % size
    first = pole[:, :whole].unflatten(1, (-1, size)).transpose(0, 1)
    last = [pole[None, :, whole:]] if whole < count else []
    return [x for part in (first, *last) for x in _filter(part, dc_pole).unbind(0)]


def _filter(pole: Tensor, dc_pole: float) -> Tensor:
    """Poles (C, R, n) -> (C, R, n + 2, n + 2)."""
    size = pole.shape[-1]
    poles = pole.movedim(-1, 0)[..., None].expand(-1, -1, -1, size + 1)
    entering = torch.eye(size, size + 1, dtype=pole.dtype, device=pole.device)[:, None, None]
    start = torch.zeros_like(poles[0])
    start[..., size] = 1
    fed = scan(entering.expand_as(poles).flatten(1), poles.flatten(1), start.flatten())
    fed = torch.nn.functional.pad(fed.view_as(poles).movedim(0, -2), (0, 1))  # (C, R, n, n + 2)
    before = torch.zeros_like(fed[..., :1, :])
    if not dc_pole:
        before[..., size + 1] = 1
        return torch.cat([fed, fed[..., -1:, :], before], dim=-2)
    before[..., size] = 1
    change = fed - torch.cat([before, fed[..., :-1, :]], dim=-2)
    number = torch.arange(size, device=pole.device, dtype=pole.dtype)
    decay = (dc_pole ** (1 + number[:, None] - number)).tril()
    high = decay @ change
    high[..., size + 1] += dc_pole ** (1 + number)
    return torch.cat([high, fed[..., -1:, :], high[..., -1:, :]], dim=-2)


def block_loop(
    excitation: Tensor,
    start: Tensor,
    goal: Tensor,
    history: Tensor,
    tail: Tensor,
    hop: int,
    one_pole: bool,
    dc_pole: float,
    clip: bool,
    delays: tuple[float, float] | None = None,
) -> tuple[Tensor, Tensor]:
    """Returns audio (R, T) and the new tail (R, 2) of strings.

    It takes excitation (R, T), ramps start and goal (3, R, T / hop) of delay, gain and smoothing, history (R,
    H) and tail (R, 2), and the shortest and the longest delay in samples, which the device is asked for where they are
    not given. See `ddsp_zoo.dsp.string.string_loop`.
    """
    if not excitation.numel():
        return excitation, tail
    delay, gain, smoothing = follow(start, goal, hop)
    longest = excitation.shape[1] + history.shape[1] + 1  # all is silence further back
    whole = delay.detach().floor()
    eta = delay - whole
    whole = whole.clamp(1, longest)
    shortest, furthest = delays or whole.aminmax()
    recurs = one_pole or dc_pole > 0
    size = min(max(int(shortest), 1), excitation.shape[1], *[LARGEST_MATRIX] * recurs)
    zero = torch.zeros_like(smoothing)
    pole, zero = (smoothing, zero) if one_pole else (zero, smoothing)
    near, far = (1 - zero) * gain * (1 - pole), zero * gain * (1 - pole)
    taps = torch.stack([near * (1 - eta), near * eta + far * (1 - eta), far * eta], dim=-1)
    reach = min(int(furthest), longest) + 2
    with full_precision(excitation.device):
        options = (whole.long(), size, reach, recurs, dc_pole, clip)
        audio, end = _BlockLoop.apply(excitation, taps, pole, history, tail, *options)
    return audio, end if recurs else tail
