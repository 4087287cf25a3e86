"""Banks of sinusoids and harmonics with phases that do not drift.

Phases are counted in turns (float64). Frequencies move linearly from frame to frame, amplitudes by a Hann
cross-fade, and what lies at or above the Nyquist frequency is silent. On a CPU with numba the banks run in compiled
kernels, elsewhere in plain tensor operations; both compute the same.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.utils.checkpoint import checkpoint

from ddsp_zoo.dsp import checks, compiled
from ddsp_zoo.dsp.operators import operator
from ddsp_zoo.dsp.precision import exact, finest

PITCH = "Oscillators: frequencies and inharmonicity"
AT_ONCE = 1 << 22  # numbers in an array of the tensor form, 32 MiB in float64
NOT_NEGATIVE = " and not negative; set unvoiced frames to 0 Hz"


def sinusoidal_bank(
    frequency_hz: Tensor,
    amplitude: Tensor,
    sample_rate: float,
    hop: int,
    phase: Tensor | None = None,
    lookahead: bool = False,
) -> tuple[Tensor, Tensor]:
    """Renders the sum of K free sinusoids: frequency_hz, amplitude (B, N, K) give audio (B, N * hop) and phase (B, K).

    The given ``phase`` is where each oscillator stands before the first sample, in turns (zero by default); the
    returned phase is where it stands after the last one, so that the next chunk can go on from there. The last
    frame is held, or with ``lookahead`` it is only the goal of the frame before it, and N frames give (N - 1) *
    hop samples. Everything is differentiable, the phases included. Raises `DdspZooError` for frequencies that
    are negative or not finite, for amplitudes and phases that are not finite, and for shapes or types that do
    not fit. Beside a frame of more than 1000 times the sample rate, which is silent itself, the sound is bounded as
    ever, but its phase is no longer exact.
    Source: AST-DDSP eq. 1-2; Engel et al. 2020b.
    """
    _check_inputs(frequency_hz, amplitude, sample_rate, hop)
    _check_data(frequency_hz, amplitude, phase)
    cycles = exact(frequency_hz) / sample_rate
    amplitude = torch.where((cycles < 0.5).to(amplitude.device), amplitude, 0)
    return _bank(*_glides(cycles, lookahead), amplitude, hop, phase, lookahead)


def harmonic_bank(
    f0_hz: Tensor,
    amplitude: Tensor,
    sample_rate: float,
    hop: int,
    inharmonicity: Tensor | None = None,
    phase: Tensor | None = None,
    lookahead: bool = False,
) -> tuple[Tensor, Tensor]:
    """Renders the partials of a voice or string: f0_hz (B, N), amplitude (B, N, H) give audio (B, N * hop) and phase.

    Partial h sounds at h * f0, or with ``inharmonicity`` (B, N), the coefficient of a stiff string, at h * f0 *
    sqrt(1 + inharmonicity * h^2). Frames with f0 = 0 (unvoiced) are silent: beside them the amplitude fades and
    the pitch of the voiced frame is held. The phase in turns is that of the fundamental (B,), and partial h
    stands at h times it; stiff partials each have their own (B, H). ``phase``, ``lookahead``, gradients and
    errors are as in `sinusoidal_bank`. Source: Engel et al. 2020; Fletcher 1964 for stiff strings.
    """
    _check_inputs(f0_hz[..., None].expand(*f0_hz.shape, amplitude.shape[-1]), amplitude, sample_rate, hop)
    _check_data(f0_hz, amplitude, phase)
    cycles = exact(f0_hz)[..., None] / sample_rate
    number = torch.arange(1, amplitude.shape[-1] + 1, device=cycles.device, dtype=torch.float64)
    partials = cycles * number
    if inharmonicity is not None:
        _check(inharmonicity.shape == f0_hz.shape, "inharmonicity must have the shape (B, N) of f0_hz.")
        checks.check_real("Inharmonicity", inharmonicity)
        checks.check_values(PITCH, inharmonicity, mend=NOT_NEGATIVE)
        stiffness = exact(torch.where(inharmonicity >= 0, inharmonicity, torch.nan))[..., None]
        cycles = partials = partials * torch.sqrt(1 + stiffness * number**2)
    amplitude = torch.where(((partials < 0.5) & (partials > 0)).to(amplitude.device), amplitude, 0)
    cycles, goal = _glides(cycles, lookahead)
    cycles, goal = torch.where(cycles == 0, goal, cycles), torch.where(goal == 0, cycles, goal)
    if inharmonicity is not None:
        return _bank(cycles, goal, amplitude, hop, phase, lookahead)
    phase = phase if phase is None else phase[..., None]
    audio, phase = _bank(cycles, goal, amplitude, hop, phase, lookahead)
    return audio, phase[..., 0]


def _check(right: bool, mend: str) -> None:
    checks.check(right, f"Oscillators: {mend}")


def _check_inputs(frequency_hz: Tensor, amplitude: Tensor, sample_rate: float, hop: int) -> None:
    shape = tuple(frequency_hz.shape)
    _check(
        len(shape) == 3 and shape[1] > 0 and amplitude.shape == shape,
        "frequencies and amplitudes must have one shape (B, N, K) with at least one frame (f0 has no K); "
        f"got {shape} and {tuple(amplitude.shape)}.",
    )
    _check(
        frequency_hz.dtype == amplitude.dtype and amplitude.dtype in (torch.float32, torch.float64),
        f"frequencies and amplitudes must be both float32 or both float64; got {frequency_hz.dtype} and "
        f"{amplitude.dtype}.",
    )
    _check(
        sample_rate > 0 and hop >= 1, f"sample_rate and hop must be positive; got {sample_rate} and {hop}."
    )


def _check_data(frequency_hz: Tensor, amplitude: Tensor, phase: Tensor | None) -> None:
    """Also of what is given and left out later on, of which `_check_values` sees nothing."""
    checks.check_values(PITCH, frequency_hz, mend=NOT_NEGATIVE)
    checks.check_values("Oscillators: amplitudes", amplitude)
    checks.check_values("Oscillators: the phase", phase)


def _check_values(start: Tensor, cycles: Tensor, goal: Tensor, amplitude: Tensor) -> None:
    """Reads the data, so it belongs where a graph is already running, not where it is traced."""
    if cycles.numel():
        (low, high), (low_goal, high_goal) = cycles.aminmax(), goal.aminmax()
        _check(
            bool((low >= 0) & (low_goal >= 0) & (high < 1e100) & (high_goal < 1e100)),  # what sums can hold
            f"frequencies and inharmonicity must be finite{NOT_NEGATIVE}.",
        )
        _check(bool(start.sum().isfinite()), "the phase must be finite.")
    if amplitude.numel():
        _check(bool(torch.stack(amplitude.aminmax()).isfinite().all()), "amplitudes must be finite.")


def _glides(cycles: Tensor, lookahead: bool) -> tuple[Tensor, Tensor]:
    """Frequencies (B, N, K) where each rendered frame starts and where it leads."""
    if lookahead:
        return cycles[:, :-1], cycles[:, 1:]
    return cycles, torch.cat([cycles[:, 1:], cycles[:, -1:]], dim=1)


def _bank(
    cycles: Tensor, goal: Tensor, amplitude: Tensor, hop: int, phase: Tensor | None, lookahead: bool
) -> tuple[Tensor, Tensor]:
    """Turns summed up over the frames before each one, without the whole ones, and the sound itself."""
    shape = cycles.shape[0], cycles.shape[2]
    phase = cycles.new_zeros(shape) if phase is None else phase
    _check(
        phase.shape == shape,
        f"the phase must have the shape of the one given back; got {tuple(phase.shape)}.",
    )
    if not lookahead:
        amplitude = torch.cat([amplitude, amplitude[:, -1:]], dim=1)
    advance = hop * cycles + (hop - 1) / 2 * (goal - cycles)
    turns = _fraction(torch.cat([exact(phase)[:, None], _fraction(advance)], dim=1).cumsum(1))
    start, end = turns[:, :-1], turns[:, -1]
    if compiled.AVAILABLE and amplitude.device.type == "cpu":
        return _oscillators(start, cycles, goal, amplitude, hop), end
    if not torch.compiler.is_compiling():
        _check_values(start, cycles, goal, amplitude)
    device, finest_ = amplitude.device, finest(amplitude.device)
    start, cycles, goal, end = (x.to(device, finest_) for x in (start, cycles, goal, end))
    return _tensor_bank(start, cycles, goal, amplitude, hop), end


def _fraction(turns: Tensor) -> Tensor:
    return turns - turns.detach().floor()


def _hann_rise(hop: int, like: Tensor) -> Tensor:
    """Weight of the next frame within a hop: the rising half of a Hann window."""
    position = torch.arange(hop, device=like.device, dtype=finest(like.device)) / hop
    return (0.5 - 0.5 * torch.cos(torch.pi * position)).to(like.dtype)


def _tensor_bank(start: Tensor, cycles: Tensor, goal: Tensor, amplitude: Tensor, hop: int) -> Tensor:
    """The same as the kernels by tensor operations, some frames at a time; a backward pass computes them again.

    So no array is larger than `AT_ONCE`, however long the audio is.
    """
    frames = max(1, AT_ONCE // max(1, len(start) * hop * amplitude.shape[-1]))
    parts = []
    for first in range(0, start.shape[1], frames):
        span, ends = slice(first, first + frames), slice(first, first + frames + 1)
        given = start[:, span], cycles[:, span], goal[:, span], amplitude[:, ends]
        parts.append(checkpoint(_tensor_frames, *given, hop, use_reentrant=False, preserve_rng_state=False))
    return torch.cat(parts, 1) if parts else amplitude.new_zeros(len(start), 0)


def _tensor_frames(start: Tensor, cycles: Tensor, goal: Tensor, amplitude: Tensor, hop: int) -> Tensor:
    """Arrays (B, N, hop, K); the phases' last bits need float64 until they are wrapped."""
    j = torch.arange(hop, device=start.device, dtype=start.dtype)[:, None]
    start, cycles, bend = start[:, :, None], cycles[:, :, None], ((goal - cycles) / hop)[:, :, None]
    turns = start + (j + 1) * cycles + j * (j + 1) / 2 * bend
    if cycles.shape[-1] == 1:
        turns = turns * torch.arange(1, amplitude.shape[-1] + 1, device=start.device)
    angle = 2 * torch.pi * _fraction(turns).to(amplitude.dtype)
    weight = _hann_rise(hop, amplitude)[:, None]
    envelope = torch.lerp(amplitude[:, :-1, None], amplitude[:, 1:, None], weight)
    return (envelope * torch.sin(angle)).sum(-1).flatten(1)


@operator("ddsp_zoo::oscillators", device_types="cpu")
def _oscillators(start: Tensor, cycles: Tensor, goal: Tensor, amplitude: Tensor, hop: int) -> Tensor:
    """Start, cycles, goal (B, N, K), or (B, N, 1) for harmonics; amplitude (B, N + 1, K) -> (B, N * hop)."""
    from ddsp_zoo.dsp import oscillator_kernel as kernels

    _check_values(start, cycles, goal, amplitude)
    bank = kernels.harmonics if _harmonic(start, amplitude) else kernels.sinusoids
    audio = amplitude.new_zeros(start.shape[0], start.shape[1] * hop)
    controls = _arrays(start, cycles, goal, amplitude, _hann_rise(hop, amplitude))
    bank(*controls, kernels.sine_polynomial(controls[-1].dtype), *_arrays(audio))
    return audio


@_oscillators.register_fake
def _(start: Tensor, cycles: Tensor, goal: Tensor, amplitude: Tensor, hop: int) -> Tensor:
    return amplitude.new_empty(start.shape[0], start.shape[1] * hop)


@operator("ddsp_zoo::oscillators_backward", device_types="cpu")
def _oscillators_backward(
    start: Tensor, cycles: Tensor, goal: Tensor, amplitude: Tensor, grad: Tensor, hop: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the four tensors from that of the audio."""
    from ddsp_zoo.dsp import oscillator_kernel as kernels

    backward = kernels.harmonics_backward if _harmonic(start, amplitude) else kernels.sinusoids_backward
    grads = tuple(x.new_zeros(x.shape) for x in (start, cycles, goal, amplitude))
    controls = _arrays(start, cycles, goal, amplitude, _hann_rise(hop, amplitude))
    backward(*controls, kernels.sine_polynomial(controls[-1].dtype), *_arrays(grad, *grads))
    return grads


@_oscillators_backward.register_fake
def _(
    start: Tensor, cycles: Tensor, goal: Tensor, amplitude: Tensor, grad: Tensor, hop: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return tuple(x.new_empty(x.shape) for x in (start, cycles, goal, amplitude))


def _harmonic(start: Tensor, amplitude: Tensor) -> bool:
    return start.shape[-1] != amplitude.shape[-1]


def _arrays(*tensors: Tensor) -> tuple:
    return tuple(x.detach().contiguous().numpy() for x in tensors)


def _save(ctx: FunctionCtx, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.hop = inputs[4]


def _differentiate(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
    return *_oscillators_backward(*ctx.saved_tensors, grad, ctx.hop), None


_oscillators.register_autograd(_differentiate, setup_context=_save)
