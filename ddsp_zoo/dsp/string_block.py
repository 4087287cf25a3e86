"""The string loop for any device: block-parallel, with a hand-written adjoint.

Within the shortest delay no sample depends on another, so a block of that length is one tensor operation.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from ddsp_zoo.dsp.frames import follow
from ddsp_zoo.dsp.scan import scan


class _BlockLoop(torch.autograd.Function):
    """Time first: excitation (T, R), taps (3, T, R), pole (T, R), history (H, R), tail (2, R)."""

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        excitation: Tensor,
        taps: Tensor,
        pole: Tensor,
        history: Tensor,
        tail: Tensor,
        delay: Tensor,
        dc_pole: float,
        clip: bool,
    ) -> tuple[Tensor, Tensor]:
        count, rows = excitation.shape
        reach = int(delay.max()) + 2
        line = torch.cat([history.new_zeros(reach, rows), history, excitation])
        at = len(line) - count
        index = (torch.arange(count, device=delay.device)[:, None] + at - delay) * rows + torch.arange(
            rows, device=delay.device
        )
        index = torch.stack([index, index - rows, index - 2 * rows])
        filtered = torch.empty_like(excitation)
        last_in, last_out = tail
        for block in _blocks(count, int(delay.min())):
            fed = scan((taps[:, block] * line.take(index[:, block])).sum(0), pole[block], last_in)
            filtered[block], before, last_in = fed, last_in, fed[-1]
            if dc_pole:
                change = fed - torch.cat([before[None], fed[:-1]])
                fed = scan(dc_pole * change, torch.full_like(fed, dc_pole), last_out)
                last_out = fed[-1]
            line[at + block.start : at + block.stop] += fed
            if clip:
                line[at + block.start : at + block.stop].clamp_(-1, 1)
        ctx.save_for_backward(line, taps, pole, tail, filtered, index)
        ctx.sizes, ctx.options = (at, len(history), int(delay.min())), (dc_pole, clip)
        return line[at:].clone(), torch.stack([last_in, last_out])

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor, grad_tail: Tensor) -> tuple[Tensor | None, ...]:
        line, taps, pole, tail, filtered, index = ctx.saved_tensors
        (at, remembered, shortest), (dc_pole, clip) = ctx.sizes, ctx.options
        adjoint = torch.cat([torch.zeros_like(line[:at]), grad])
        unfiltered, flat = torch.empty_like(filtered), adjoint.view(-1)
        later = torch.cat([pole[1:], torch.ones_like(pole[:1])])  # the pole of the sample after each
        carry, carry_out = grad_tail
        carry_in = torch.zeros_like(carry)  # what a DC blocker sends to the filter's output before
        for block in reversed(list(_blocks(len(grad), shortest))):
            back = adjoint[at + block.start : at + block.stop]
            if clip:
                back *= line[at + block.start : at + block.stop].abs() < 1
            if dc_pole:
                sent = (
                    scan(back.flip(0), torch.full_like(back, dc_pole), carry_out / dc_pole).flip(0) * dc_pole
                )
                back = sent - torch.cat([sent[1:], carry_in[None]])
                carry_in, carry_out = sent[0], sent[0]
            back = scan(back.flip(0), later[block].flip(0), carry).flip(0)
            unfiltered[block], carry = back, back[0]
            flat.index_add_(0, index[:, block].reshape(-1), (taps[:, block] * back).reshape(-1))
        grad_taps = line.take(index) * unfiltered
        grad_pole = unfiltered * torch.cat([tail[:1], filtered[:-1]])
        grad_tail = torch.stack([pole[0] * carry - carry_in, carry_out])
        return adjoint[at:], grad_taps, grad_pole, adjoint[at - remembered : at], grad_tail, None, None, None


def _blocks(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


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
) -> tuple[Tensor, Tensor]:
    """Returns audio (R, T) and the new tail (R, 2) of strings.

    It takes excitation (R, T), ramps start and goal (3, R, T / hop) of delay, gain and smoothing, history (R,
    H) and tail (R, 2). See `ddsp_zoo.dsp.string.string_loop`.
    """
    if not excitation.numel():
        return excitation, tail
    delay, gain, smoothing = follow(start, goal, hop).transpose(1, 2)
    whole = delay.detach().floor()
    eta = delay - whole
    whole = whole.clamp(1, len(excitation[0]) + history.shape[1] + 1)  # all is silence further back
    zero = torch.zeros_like(smoothing)
    pole, zero = (smoothing, zero) if one_pole else (zero, smoothing)
    near, far = (1 - zero) * gain * (1 - pole), zero * gain * (1 - pole)
    taps = torch.stack([near * (1 - eta), near * eta + far * (1 - eta), far * eta])
    audio, end = _BlockLoop.apply(
        excitation.t(), taps, pole, history.t(), tail.t(), whole.long(), dc_pole, clip
    )
    return audio.t(), end.t() if one_pole or dc_pole else tail
