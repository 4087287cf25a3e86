"""Conversions from frame rate to sample rate.

Frame ``n`` is centred at sample ``n * hop``; ``N`` frames describe ``N * hop`` samples.
"""

import torch
from torch import Tensor

from ddsp_zoo.dsp.checks import check, check_floating, check_shape


def ramps(frames: Tensor, hop: int, samples: int, onset: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns the start and the goal of each hop, two (..., samples / hop), from frames (..., N).

    N frames describe N * hop samples, where the last one is held, or (N - 1) * hop samples, where the last one
    is only the goal of the last hop: chunks of a longer sound are cut that way. ``onset`` (..., N) is above
    zero where a frame starts something new: the value before it is held and then jumps. Raises `DdspZooError`
    for any other number of samples, and for shapes and types that do not fit.
    """
    check_floating("A ramp between frames", frames)
    check(frames.ndim > 0, "Ramps between frames need frames (..., N).")
    if onset is not None:
        check_shape("The onsets of frames", onset, frames.shape[-onset.ndim :])
        check(
            not onset.is_complex(),
            "The onsets of frames are real numbers, or true and false; got complex ones.",
        )
    count = frames.shape[-1]
    check(
        hop >= 1 and samples >= 0 and samples in (count * hop, (count - 1) * hop),
        f"{count} frames of {hop} samples describe {count * hop} samples (or {(count - 1) * hop}, with the last "
        f"frame as goal), got {samples}.",
    )
    hops = samples // hop
    goal = frames[..., 1:] if hops < count else torch.cat([frames[..., 1:], frames[..., -1:]], dim=-1)
    start = frames[..., :hops]
    if onset is not None:
        ahead = onset[..., 1:] if hops < count else torch.cat([onset[..., 1:], onset[..., :1] * 0], dim=-1)
        goal = torch.where(ahead > 0, start, goal)
    return start, goal


def follow(start: Tensor, goal: Tensor, hop: int) -> Tensor:
    """Returns the values at each sample, (..., N * hop), of ramps from start to goal, two (..., N).

    Raises `DdspZooError` for shapes and types that do not fit.
    """
    check_floating("A ramp between frames", start, goal)
    check_shape("The goals of ramps", goal, start.shape)
    check(
        hop >= 1 and start.ndim > 0, f"Ramps (..., N) need a hop of at least 1; got {start.ndim} axes, {hop}."
    )
    weight = torch.arange(hop, device=start.device, dtype=start.dtype) / hop
    return torch.lerp(start[..., None], goal[..., None], weight).flatten(-2)


def upsample_linear(frames: Tensor, hop: int, jump: Tensor | None = None, lookahead: bool = False) -> Tensor:
    """Interpolates frames (..., N) linearly to (..., N * hop); the last frame is held.

    ``jump`` (..., N) is true where a frame starts something new (a note): the value before it is held up to
    that frame and then jumps, so that a new note never begins with a glide from the old one. With ``lookahead``
    the last frame is only the goal of the one before it, and the result is (..., (N - 1) * hop).
    """
    return follow(*ramps(frames, hop, (frames.shape[-1] - lookahead) * hop, jump), hop)


def upsample_window(frames: Tensor, hop: int, lookahead: bool = False) -> Tensor:
    """Interpolates frames (..., N) to (..., N * hop) by overlapping Hann windows of two hops.

    The periodic Hann window of length 2*hop sums to one at hop spacing, so this is a raised-cosine crossfade
    between neighbouring frames, and a constant stays constant. With ``lookahead`` the last frame is only the
    goal of the one before it, and the result is (..., (N - 1) * hop). Source: magenta/ddsp
    ``upsample_with_windows``.
    """
    start, goal = ramps(frames, hop, (frames.shape[-1] - lookahead) * hop)
    position = torch.arange(hop, device=frames.device, dtype=frames.dtype) / hop
    weight = 0.5 - 0.5 * torch.cos(torch.pi * position)
    return torch.lerp(start[..., None], goal[..., None], weight).flatten(-2)


def upsample_centred(frames: Tensor, hop: int) -> Tensor:
    """Interpolates linearly frames (..., N) that stand at the middle of their hop, to (..., N * hop).

    The first half hop and the last one are held. A hop depends only on its own frame and the two beside it.
    Raises `DdspZooError` for shapes and types that do not fit.
    """
    check_floating("An interpolation between frames", frames)
    check(
        hop >= 1 and frames.ndim > 0,
        f"Frames (..., N) need a hop of at least 1; got {frames.ndim} axes, {hop}.",
    )
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    after = torch.cat([frames[..., 1:], frames[..., -1:]], dim=-1)
    place = (torch.arange(hop, device=frames.device, dtype=frames.dtype) + 0.5) / hop - 0.5
    other = torch.where(place < 0, before[..., None], after[..., None])
    return torch.lerp(frames[..., None], other, place.abs()).flatten(-2)


def overlap_add(frames: Tensor, hop: int) -> Tensor:
    """Sums frames (..., N, L) placed every ``hop`` samples, to (..., (N - 1) * hop + ceil(L / hop) * hop).

    Frames are cut in pieces of one hop and the pieces that fall together are added, which costs ``ceil(L /
    hop)`` additions for any N. They may be of any numeric type, whose precision the sum has. Raises
    `DdspZooError` without frames or samples.
    """
    check(
        frames.ndim > 1 and 0 not in frames.shape[-2:] and hop >= 1 and frames.dtype != torch.bool,
        f"Overlapping frames (..., N, L) need a frame, a sample and a hop of at least 1; got "
        f"{tuple(frames.shape)} of {frames.dtype} and hop {hop}.",
    )
    count, length = frames.shape[-2:]
    pieces = -(-length // hop)
    frames = torch.nn.functional.pad(frames, (0, pieces * hop - length))
    frames = frames.unflatten(-1, (pieces, hop))
    out = frames.new_zeros(*frames.shape[:-3], count + pieces - 1, hop)
    for piece in range(pieces):
        out[..., piece : piece + count, :] += frames[..., piece, :]
    return out.flatten(-2)


def latest(marked: Tensor) -> Tensor:
    """Returns the index of the last frame up to each frame that is above zero, -1 where there is none: (..., N).

    Raises `DdspZooError` for what is no real number and for a single value.
    """
    check(
        marked.ndim > 0 and not marked.is_complex(),
        f"Marked frames are real numbers (..., N); got {tuple(marked.shape)} of {marked.dtype}.",
    )
    frame = torch.arange(marked.shape[-1], device=marked.device).expand(marked.shape)
    return torch.where(marked > 0, frame, -1).cummax(-1).values


def frames_since(marked: Tensor, before: Tensor | None = None) -> Tensor:
    """Returns how many frames ago the last one above zero was, (..., N) integers; without one, since the start.

    ``before`` (...) is what this function returned for the last frame of the piece before. Raises `DdspZooError`
    for shapes that do not fit.
    """
    last = latest(marked)
    check_shape("What was counted before", before, marked.shape[:-1])
    frame = torch.arange(marked.shape[-1], device=marked.device)
    start = frame if before is None else before[..., None] + 1 + frame
    return torch.where(last < 0, start, frame - last)


def hold(values: Tensor, marked: Tensor, before: Tensor | None = None) -> Tensor:
    """Returns for every frame the value at the last frame where ``marked`` is above zero; all are (..., N).

    Before the first such frame it is ``before`` (...), what this function returned for the last frame of the
    piece before, or zero. Raises `DdspZooError` for shapes that do not fit.
    """
    last = latest(marked)
    check_shape("Values to be held", values, marked.shape)
    check_shape("The value that was held before", before, marked.shape[:-1])
    held = values.gather(-1, last.clamp(min=0))
    return torch.where(last < 0, torch.zeros_like(held) if before is None else before[..., None], held)


def seconds_since(marked: Tensor, frame_seconds: float) -> Tensor:
    """Returns the seconds (..., N) since the last frame above zero, or since the start where there is none.

    It has the type of ``marked``, which is a floating-point one.
    """
    check_floating("The time since a marked frame", marked)
    return frames_since(marked).to(marked.dtype) * frame_seconds
