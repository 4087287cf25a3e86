"""The plucked-string loop of Karplus and Strong: a tuned delay line that loses a little on every round.

One row is one string. Controls come once a frame and move linearly between frames.
"""

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.checks import check, check_finite, check_maps, check_state, check_string
from ddsp_zoo.dsp.frames import ramps
from ddsp_zoo.dsp.operators import operator
from ddsp_zoo.dsp.string_block import block_loop
from ddsp_zoo.errors import DdspZooError

LoopFilter = Literal["one_zero", "one_pole"]
FAINTEST = 1e-16  # power below which the gain of a loop filter has no slope


class StringState(NamedTuple):
    """Holds what a string remembers between chunks.

    history: its last samples (R, H).
    tail: last output of the loop filter and of the DC blocker inside the loop (R, 2).
    """

    history: Tensor
    tail: Tensor

    @classmethod
    def silent(cls, rows: int, longest_delay: int, like: Tensor) -> "StringState":
        """Returns the state of strings at rest, able to continue with delays up to ``longest_delay`` samples."""
        check_state(rows, longest_delay)
        return cls(like.new_zeros(rows, longest_delay + 2), like.new_zeros(rows, 2))


def phase_delay(smoothing: Tensor, omega: Tensor, loop_filter: LoopFilter = "one_zero") -> Tensor:
    """Returns the phase delay in samples of the loop filter at the angular frequency omega (radians per sample).

    "one_zero" is (1 - s) + s z^-1, "one_pole" is (1 - s) / (1 - s z^-1). s lies in [0, 1] and omega above 0, up
    to pi. Raises `DdspZooError` for tensors without floating point or whose shapes do not fit.
    """
    check_maps("The phase delay of a loop filter", smoothing, omega)
    if loop_filter == "one_zero":
        return torch.atan2(smoothing * torch.sin(omega), 1 - smoothing + smoothing * torch.cos(omega)) / omega
    return torch.atan2(smoothing * torch.sin(omega), 1 - smoothing * torch.cos(omega)) / omega


def magnitude(smoothing: Tensor, omega: Tensor, loop_filter: LoopFilter = "one_zero") -> Tensor:
    """Returns the gain of the loop filter at the angular frequency omega (radians per sample); see `phase_delay`.

    It is at least 1e-8 for "one_zero", so that its gradient is finite.
    """
    check_maps("The gain of a loop filter", smoothing, omega)
    if loop_filter == "one_zero":
        power = 1 - 2 * smoothing * (1 - smoothing) * (1 - torch.cos(omega))
        return power.clamp(min=FAINTEST).sqrt()
    power = 1 - 2 * smoothing * torch.cos(omega) + smoothing.square()
    return (1 - smoothing) / power.clamp(min=FAINTEST).sqrt()


def tuned_delay(
    f0_hz: Tensor, smoothing: Tensor, sample_rate: float, loop_filter: LoopFilter = "one_zero"
) -> Tensor:
    """Returns the delay in samples that makes the loop resonate at f0 > 0: one period minus the delay of its filter.

    The phase delay of the linear interpolator is taken to be its fraction, which is exact to 0.3 cents at 1 kHz
    and 16 kHz and better below (thesis eq. 5.3, with the correction of the filter's delay). Errors are as in
    `phase_delay`.
    """
    check_maps("The tuned delay of a string", smoothing, f0_hz)
    omega = 2 * torch.pi * f0_hz / sample_rate
    return sample_rate / f0_hz - phase_delay(smoothing, omega, loop_filter)


def string_loop(
    excitation: Tensor,
    delay: Tensor,
    gain: Tensor,
    smoothing: Tensor,
    hop: int,
    *,
    loop_filter: LoopFilter = "one_zero",
    onset: Tensor | None = None,
    dc_pole: float = 0.0,
    clip: bool = False,
    state: StringState | None = None,
) -> tuple[Tensor, StringState]:
    """Renders strings fed with an excitation: y[n] = x[n] + (filtered g y)[n - D[n]], from silence or from ``state``.

    The delayed sample is read by linear interpolation, multiplied by the gain and passed through the loop
    filter, (1 - s) + s z^-1 ("one_zero", thesis eq. 5.11) or (1 - s) / (1 - s z^-1) ("one_pole", eq. 5.2). For
    |g| <= g_max < 1 and s in [0, 1] both filters and the interpolator are convex combinations, so that |y| <=
    max|x| / (1 - g_max) for any motion of the controls, and the adjoint obeys the same bound in the sum norm. A
    delay that reaches before the beginning reads silence. The adjoint is exact, and everything is
    differentiable, the state included.

    Args:
        excitation: (R, T), float32 or float64.
        delay: length of the loop in samples, at least 1 (R, N). With N = T / hop frames the last is held; one more
            is only what the last hop moves towards, which is how chunks of a longer sound are cut.
        gain: loop gain g (R, N).
        smoothing: s of the loop filter (R, N).
        hop: samples a frame.
        loop_filter: the filter in the loop.
        onset: (R, N), above zero where a frame starts a new note: controls jump there instead of gliding.
        dc_pole: pole p, 0 <= p < 1, of the high-pass p (1 - z^-1) / (1 - p z^-1) inside the loop, as published by
            the thesis (eq. 5.5); it voids the bound, so 0 leaves it out: `one_pole.dc_block` does the same outside.
        clip: limit y to [-1, 1] (hardtanh) inside the loop, as series B2.1; no gradient passes where it does.
        state: what a previous call returned; this call continues its audio.

    Returns:
        audio (R, T) and the state at its end, which remembers as many samples as the given state, else all.

    Raises:
        DdspZooError: shapes or types that do not fit, controls that are NaN or infinite, a delay below one sample or
            longer than the state remembers.
    """
    frames = check_string(excitation, delay, gain, smoothing, onset)
    check(
        loop_filter in ("one_zero", "one_pole") and 0 <= dc_pole < 1,
        f'A string has the loop filter "one_zero" or "one_pole" and a DC pole of at least 0 and below 1; got '
        f"{loop_filter!r} and {dc_pole:g}.",
    )
    if frames.numel() and not torch.compiler.is_compiling():  # also what is given and never played
        check_finite(*torch.stack(frames.detach().aminmax()).cpu())
    start, goal = ramps(frames, hop, excitation.shape[-1], onset)
    history, tail = state or StringState(excitation[:, :0], excitation.new_zeros(len(excitation), 2))
    _check_state(history, tail, excitation)
    options = (hop, loop_filter == "one_pole", dc_pole, clip)
    if excitation.device.type == "cpu" and compiled.AVAILABLE:
        audio, _, tail = _string_loop(excitation, start, goal, history, tail, *options)
    else:
        delays = _checked_delays(start, goal, history)
        audio, tail = block_loop(excitation, start, goal, history, tail, *options, delays)
    if state:
        return audio, StringState(torch.cat([history, audio], dim=1)[:, -history.shape[1] :], tail)
    return audio, StringState(audio, tail)


def _check_state(history: Tensor, tail: Tensor, excitation: Tensor) -> None:
    rows = len(excitation)
    fits = history.ndim == 2 and len(history) == rows and tail.shape == (rows, 2)
    if not fits or not history.dtype == tail.dtype == excitation.dtype:
        raise DdspZooError(
            f"The state of a string is that of {rows} strings in {excitation.dtype}; got history "
            f"{tuple(history.shape)} and tail {tuple(tail.shape)} in {history.dtype}."
        )


def _checked_reach(start: Tensor, goal: Tensor, history: Tensor, count: int) -> int:
    """The samples before the audio that its delays read, all of them silent beyond the history; or an error."""
    _, longest = _checked_delays(start, goal, history)
    return int(longest if history.shape[1] else min(longest, count + 1)) + 2


def _checked_delays(start: Tensor, goal: Tensor, history: Tensor) -> tuple[float, float]:
    """The shortest and the longest delay, or an error; another device is waited for once."""
    if not start.numel():
        return 1, 1
    extremes = torch.stack(
        torch.stack([start, goal]).detach().transpose(0, 1).flatten(1).aminmax(dim=1)
    ).cpu()
    check_finite(*extremes)
    shortest, longest = extremes[:, 0].tolist()
    if shortest < 1:
        raise DdspZooError(f"A string's delay is at least 1 sample, got {shortest:g}: lower its f0.")
    if history.shape[1] and longest + 2 > history.shape[1]:
        raise DdspZooError(
            f"A delay of {longest:.0f} samples reaches further back than the {history.shape[1]} samples that the "
            "state remembers: begin with StringState.silent(rows, longest_delay, like)."
        )
    return shortest, longest


@operator("ddsp_zoo::string_loop", device_types="cpu")
def _string_loop(
    excitation: Tensor,
    start: Tensor,
    goal: Tensor,
    history: Tensor,
    tail: Tensor,
    hop: int,
    one_pole: bool,
    dc_pole: float,
    clip: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Audio (R, T), the loop filter's output from the sample before on (R, T + 1), and the new tail (R, 2)."""
    from ddsp_zoo.dsp import string_kernel

    reach = _checked_reach(start, goal, history, excitation.shape[1])
    rows, count = excitation.shape
    audio, end = torch.empty_like(excitation, memory_format=torch.contiguous_format), torch.empty_like(tail)
    filtered = excitation.new_empty(rows, count + 1 if one_pole or dc_pole else 0)
    arrays = [x.detach().contiguous().numpy() for x in (excitation, start, goal, history, tail)]
    outputs = [x.numpy() for x in (audio, filtered, end)]
    string_kernel.forward(
        *arrays, reach, hop, one_pole, excitation.numpy().dtype.type(dc_pole), clip, *outputs
    )
    return audio, filtered, end


@_string_loop.register_fake
def _(excitation, start, goal, history, tail, hop, one_pole, dc_pole, clip):
    rows, count = excitation.shape
    filtered = excitation.new_empty(rows, count + 1 if one_pole or dc_pole else 0)
    return (
        torch.empty_like(excitation, memory_format=torch.contiguous_format),
        filtered,
        torch.empty_like(tail),
    )


@operator("ddsp_zoo::string_loop_backward", device_types="cpu")
def _string_loop_backward(
    grad_audio: Tensor,
    grad_end: Tensor,
    audio: Tensor,
    filtered: Tensor,
    start: Tensor,
    goal: Tensor,
    history: Tensor,
    hop: int,
    one_pole: bool,
    dc_pole: float,
    clip: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of excitation, start, goal, history and tail."""
    from ddsp_zoo.dsp import string_kernel

    reach = _checked_reach(start, goal, history, audio.shape[1])
    given = (grad_audio, grad_end, audio, filtered, start, goal, history)
    arrays = [x.detach().contiguous().numpy() for x in given]
    grads = [torch.zeros_like(x, memory_format=torch.contiguous_format) for x in (start, goal)]
    grads += [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (audio, history, grad_end)]
    start, goal, excitation, history, tail = grads
    options = (reach, hop, one_pole, arrays[0].dtype.type(dc_pole), clip)
    string_kernel.backward(*arrays, *options, *(x.numpy() for x in grads))
    return excitation, start, goal, history, tail


@_string_loop_backward.register_fake
def _(grad_audio, grad_end, audio, filtered, start, goal, history, hop, one_pole, dc_pole, clip):
    given = (audio, start, goal, history, grad_end)
    return tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in given)


def _save(ctx: Any, inputs: tuple, output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)  # of the filter's output, which nobody differentiates
    _, start, goal, history, _, *ctx.options = inputs
    ctx.save_for_backward(output[0], output[1], start, goal, history)


def _differentiate(
    ctx: Any, grad_audio: Tensor | None, _: None, grad_end: Tensor | None
) -> tuple[Tensor | None, ...]:
    audio = ctx.saved_tensors[0]
    grad_audio = torch.zeros_like(audio) if grad_audio is None else grad_audio
    grad_end = audio.new_zeros(len(audio), 2) if grad_end is None else grad_end
    grads = _string_loop_backward(grad_audio, grad_end, *ctx.saved_tensors, *ctx.options)
    return *grads, None, None, None, None


_string_loop.register_autograd(_differentiate, setup_context=_save)
