"""The plucked string whose feedback is limited before it meets the excitation (thesis figures 5.11 to 5.17).

One row is one string. `ddsp_zoo.dsp.string` has the loop that needs no limit.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import hardtanh, pad

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.checks import check, check_finite, check_state, check_string
from ddsp_zoo.dsp.frames import follow, ramps
from ddsp_zoo.dsp.scan import FirstOrder
from ddsp_zoo.errors import DdspZooError

Limit = Literal["none", "feedback", "before_gain"]
LIMITS: tuple[Limit, ...] = ("none", "feedback", "before_gain")  # the order is that of the kernel's modes


class FeedbackState(NamedTuple):
    """Holds what a string remembers between chunks.

    history: its last samples (R, H).
    tail: the last values (R, 4) of what was read, of the high-pass, of the feedback and of the excitation.
    """

    history: Tensor
    tail: Tensor

    @classmethod
    def silent(cls, rows: int, longest_delay: int, like: Tensor) -> "FeedbackState":
        """Returns the state of strings at rest, able to continue with delays up to ``longest_delay`` samples."""
        check_state(rows, longest_delay)
        return cls(like.new_zeros(rows, longest_delay + 2), like.new_zeros(rows, 4))


def feedback_loop(
    excitation: Tensor,
    delay: Tensor,
    gain: Tensor,
    smoothing: Tensor,
    hop: int,
    *,
    limit: Limit = "none",
    filters_sum: bool = False,
    onset: Tensor | None = None,
    dc_pole: float = 0.0,
    state: FeedbackState | None = None,
) -> tuple[Tensor, FeedbackState]:
    """Renders strings fed with an excitation, from silence or from ``state``: the feedback can be limited.

    y[n] = x[n] + (1 - s[n]) c[n] + s[n] c[n - 1], where c is the limited feedback g h, and h the high-pass of what
    the delay line gives back, y[n - D[n]] by linear interpolation. With ``filters_sum`` the filter (1 - s) + s z^-1
    takes the excitation too. With a limit and s in [0, 1], |y| <= max|x| + 1 for "feedback", max|x| + max|g| for
    "before_gain"; without one and with g or s beyond 1 it may diverge. The adjoint is exact in everything; nothing
    passes where the feedback is limited. A delay that reaches before the beginning reads silence.

    Args:
        excitation: (R, T), float32 or float64.
        delay: length of the loop in samples, at least 1 (R, N); frames are as in `string_loop`.
        gain: loop gain g (R, N).
        smoothing: s of the loop filter (R, N).
        hop: samples a frame.
        limit: what is kept in [-1, 1] (hardtanh): nothing ("none"), the "feedback" g h, or h "before_gain".
        filters_sum: the loop filter comes after the sum of excitation and feedback.
        onset: (R, N), above zero where a frame starts a new note: controls jump there instead of gliding.
        dc_pole: pole p, 0 <= p < 1, of the high-pass p (1 - z^-1) / (1 - p z^-1) (thesis eq. 5.5); 0 leaves it out.
        state: what a previous call returned; this call continues its audio.

    Returns:
        audio (R, T) and the state at its end, which remembers as many samples as the given state, else all.

    Raises:
        DdspZooError: as `string_loop`.
    """
    frames = check_string(excitation, delay, gain, smoothing, onset)
    check(
        limit in LIMITS and 0 <= dc_pole < 1,
        f"A string's limit is one of {', '.join(LIMITS)}, its DC pole at least 0 and below 1; got {limit!r} and "
        f"{dc_pole:g}.",
    )
    history, tail = state or FeedbackState(excitation[:, :0], excitation.new_zeros(len(excitation), 4))
    _check_state(history, tail, excitation)
    if frames.numel():
        check_finite(*frames.detach().aminmax())
    delay, gain, smoothing = follow(*ramps(frames, hop, excitation.shape[-1], onset), hop)
    if not excitation.numel():
        return excitation, FeedbackState(history, tail)
    whole = _whole(delay, excitation, history)
    before = torch.cat([tail[:, 3:], excitation[:, :-1]], dim=1)
    fed_in = (1 - smoothing) * excitation + smoothing * before if filters_sum else excitation
    past = pad(history, (max(int(whole.max()) + 2 - history.shape[1], 0), 0))
    given = (fed_in, delay - whole, gain, smoothing, past, tail[:, :3], whole, dc_pole, limit)
    fast = excitation.device.type == "cpu" and compiled.AVAILABLE
    audio, end = _FeedbackLoop.apply(*given) if fast else _by_blocks(*given)
    end = torch.cat([end, excitation[:, -1:]], dim=1)
    kept = torch.cat([history, audio], dim=1)[:, -history.shape[1] :] if state else audio
    return audio, FeedbackState(kept, end)


def _whole(delay: Tensor, excitation: Tensor, history: Tensor) -> Tensor:
    """Whole samples of the delays (R, T), no longer than all that has sounded; or an error."""
    shortest, longest = (float(x) for x in delay.detach().aminmax())
    if shortest < 1:
        raise DdspZooError(f"A string's delay is at least 1 sample, got {shortest:g}: lower its f0.")
    if history.shape[1] and longest + 2 > history.shape[1]:
        raise DdspZooError(
            f"A delay of {longest:.0f} samples reaches further back than the {history.shape[1]} samples that the "
            "state remembers: begin with FeedbackState.silent(rows, longest_delay, like)."
        )
    most = excitation.shape[1] + history.shape[1] + 1  # all is silence further back
    return delay.detach().floor().clamp(max=most).long()


def _check_state(history: Tensor, tail: Tensor, excitation: Tensor) -> None:
    rows = len(excitation)
    fits = history.ndim == 2 and len(history) == rows and tail.shape == (rows, 4)
    if not fits or not history.dtype == tail.dtype == excitation.dtype:
        raise DdspZooError(
            f"The state of a string is that of {rows} strings in {excitation.dtype}; got history "
            f"{tuple(history.shape)} and tail {tuple(tail.shape)} in {history.dtype}."
        )


class _FeedbackLoop(torch.autograd.Function):
    """The loop by compiled kernels: all (R, T) but history (R, H) and tail (R, 3)."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        from ddsp_zoo.dsp import feedback_kernel

        excitation, eta, gain, smoothing, history, tail, whole, dc_pole, limit = given
        rows, count = excitation.shape
        line = excitation.new_empty(rows, history.shape[1] + count)
        high, fed, end = (
            excitation.new_empty(rows, count + 1),
            excitation.new_empty(rows, count + 1),
            torch.empty_like(tail),
        )
        options = excitation.numpy().dtype.type(dc_pole), LIMITS.index(limit)
        arrays = _arrays(excitation, whole, eta, gain, smoothing, history, tail)
        feedback_kernel.forward(*arrays, *options, *_arrays(line, high, fed, end))
        ctx.save_for_backward(line, high, fed, whole, eta, gain, smoothing)
        ctx.options = (history.shape[1], *options)
        return line[:, history.shape[1] :].clone(), end

    @staticmethod
    def backward(ctx: Any, grad: Tensor, grad_end: Tensor) -> tuple[Tensor | None, ...]:
        from ddsp_zoo.dsp import feedback_kernel

        line, kept = ctx.saved_tensors[0], ctx.options[0]
        adjoint = torch.cat([torch.zeros_like(line[:, :kept]), grad], dim=1)
        of_frames = [torch.empty_like(grad, memory_format=torch.contiguous_format) for _ in range(3)]
        grad_tail = torch.empty_like(grad_end, memory_format=torch.contiguous_format)
        arrays = _arrays(adjoint, grad_end, *ctx.saved_tensors)
        feedback_kernel.backward(*arrays, *ctx.options, *_arrays(*of_frames, grad_tail))
        return adjoint[:, kept:], *of_frames, adjoint[:, :kept], grad_tail, None, None, None


def _arrays(*tensors: Tensor) -> list[Any]:
    return [x.detach().contiguous().numpy() for x in tensors]


def _by_blocks(
    excitation: Tensor,
    eta: Tensor,
    gain: Tensor,
    smoothing: Tensor,
    history: Tensor,
    tail: Tensor,
    whole: Tensor,
    dc_pole: float,
    limit: Limit,
) -> tuple[Tensor, Tensor]:
    """The loop for any device: within the shortest delay no sample depends on another."""
    line, (read, high, fed) = history, tail.unbind(1)
    sound, size = [], int(whole.min())
    for part in zip(*(x.split(size, dim=1) for x in (excitation, eta, gain, smoothing, whole)), strict=True):
        x, fraction, g, s, back = part
        place = line.shape[1] + torch.arange(x.shape[1], device=x.device) - back
        near, far = line.gather(1, place), line.gather(1, place - 1)
        heard = near + fraction * (far - near)
        passed = heard
        if dc_pole:
            change = dc_pole * (heard - torch.cat([read[:, None], heard[:, :-1]], dim=1))
            passed = FirstOrder.apply(change.t(), torch.full_like(change.t(), dc_pole), high).t()
        back_in = g * (hardtanh(passed) if limit == "before_gain" else passed)
        back_in = hardtanh(back_in) if limit == "feedback" else back_in
        y = x + (1 - s) * back_in + s * torch.cat([fed[:, None], back_in[:, :-1]], dim=1)
        read, high, fed = heard[:, -1], passed[:, -1], back_in[:, -1]
        line = torch.cat([line, y], dim=1)[:, -history.shape[1] :]
        sound.append(y)
    return torch.cat(sound, dim=1), torch.stack([read, high, fed], dim=1)
