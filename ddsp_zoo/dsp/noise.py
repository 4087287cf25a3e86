"""Noise shaped by a time-varying magnitude response."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ddsp_zoo.dsp.checks import check, check_computing, check_floating
from ddsp_zoo.dsp.frames import overlap_add
from ddsp_zoo.errors import DdspZooError

Generators = torch.Generator | Sequence[torch.Generator]


def uniform_noise(like: Tensor, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """Returns white noise, uniform in [-1, 1), with dtype and device of ``like``.

    With a generator the samples are drawn on the generator's own device, so that a seed means the same noise on
    every device. Raises `DdspZooError` where ``like`` has no floating point or the shape is negative.
    """
    check_floating("White noise", like)
    check(all(size >= 0 for size in shape), f"White noise needs a shape; got {tuple(shape)}.")
    device = generator.device if generator is not None else like.device
    return torch.rand(shape, generator=generator, device=device, dtype=like.dtype).to(like.device) * 2 - 1


def zero_phase_fir(magnitudes: Tensor) -> Tensor:
    """Returns the impulse response (..., 2F - 2), centred at index F - 1, of a magnitude response (..., F).

    The F points lie evenly from 0 Hz to the Nyquist frequency. Both halves of the response are kept under a
    Hann window. What is not finite spreads over its own response. Raises `DdspZooError` for fewer than two
    points and for types that do not fit.
    Source: Engel et al. 2020 (DDSP), section 3.
    """
    check_computing("A filter's impulse response", magnitudes)
    check(
        magnitudes.ndim > 0 and magnitudes.shape[-1] > 1 and magnitudes.numel() > 0,
        f"A filter's impulse response needs magnitudes (..., F) at two points or more; got {tuple(magnitudes.shape)}.",
    )
    taps = 2 * (magnitudes.shape[-1] - 1)
    response = torch.fft.irfft(magnitudes, n=taps).roll(taps // 2, dims=-1)
    return response * torch.hann_window(taps, device=magnitudes.device, dtype=magnitudes.dtype)


def filtered_noise(
    magnitudes: Tensor, hop: int, generator: torch.Generator | None = None, count: int | None = None
) -> Tensor:
    """Returns white noise (B, N * hop) sent through time-varying zero-phase filters of magnitudes (B, N, F).

    With ``count``, one filter (B, 1, F) serves for that many frames. The noise is drawn frame by frame, so that
    drawing N frames and then M more from one generator gives the same as N + M at once. Raises `DdspZooError`
    for magnitudes that are negative or not finite, and for shapes that do not fit. Source: Engel et al. 2020
    (DDSP).
    """
    check_magnitudes(magnitudes, hop)
    frames = magnitudes.shape[1]
    if count is not None and frames != 1:
        raise DdspZooError(
            f"A count of frames goes with one filter (B, 1, F); got {frames} of them: leave it out."
        )
    noise = noise_frames(magnitudes, frames if count is None else count, hop, generator)
    return filter_frames(noise, magnitudes)


def noise_frames(
    like: Tensor, count: int, hop: int, generator: Generators | None = None, row_by_row: bool = False
) -> Tensor:
    """Draws white noise (B, count, hop) with batch, dtype and device of ``like`` (B, ...).

    ``generator`` is a sequence of one for each row, whose noise is then the same whether or not the row has others
    beside it, or one for all. That one is drawn from frame by frame, so that pieces of a stream have the noise of
    the whole, or ``row_by_row``. Raises `DdspZooError` for another number of generators and for shapes that do not
    fit.
    """
    check(
        like.ndim > 0 and count >= 0 and hop >= 1,
        f"Noise needs rows, a number of frames and a hop of at least 1; got {like.ndim} axes, {count} and {hop}.",
    )
    if not isinstance(generator, Sequence):
        if row_by_row:
            return uniform_noise(like, (like.shape[0], count, hop), generator)
        return uniform_noise(like, (count, like.shape[0], hop), generator).transpose(0, 1)
    if len(generator) != like.shape[0]:
        raise DdspZooError(
            f"Noise of {like.shape[0]} rows needs as many generators, or a single one; got {len(generator)}. One "
            "generator for each source goes with a batch of one."
        )
    return torch.stack([uniform_noise(like, (count, hop), one) for one in generator])


def filter_frames(noise: Tensor, magnitudes: Tensor) -> Tensor:
    """Filters each frame of a signal (B, N, hop) by its own zero-phase filter (B, N or 1, F), to audio (B, N * hop).

    A frame passes through its filter by one FFT product (linear convolution) and the results are overlap-added,
    with the filters' delay of F - 1 samples removed. A frame is heard at most F - 1 samples before and after
    its own, so a chunk of a longer signal is exact except for its first and last F - 1 samples: overlap chunks
    by that. What is not finite spreads as far. Raises `DdspZooError` for shapes or types that do not fit.
    """
    check_computing("A noise filter", noise, magnitudes)
    check(
        noise.ndim == 3
        and noise.numel() > 0
        and magnitudes.ndim == 3
        and len(magnitudes) == len(noise)
        and magnitudes.shape[1] in (1, noise.shape[1]),
        "A noise filter takes noise (B, N, hop) that is not empty and magnitudes (B, N, F) or (B, 1, F); got "
        f"{tuple(noise.shape)} and {tuple(magnitudes.shape)}.",
    )
    count, hop = noise.shape[-2:]
    taps = 2 * (magnitudes.shape[-1] - 1)
    size = 1 << (hop + taps - 2).bit_length()
    spectrum = torch.fft.rfft(noise, n=size) * torch.fft.rfft(zero_phase_fir(magnitudes), n=size)
    audio = overlap_add(torch.fft.irfft(spectrum, n=size)[..., : hop + taps - 1], hop)
    return audio[:, taps // 2 : taps // 2 + count * hop]


def check_magnitudes(magnitudes: Tensor, hop: int) -> None:
    """Raises `DdspZooError` where magnitudes (B, N, F) or the hop do not describe a noise filter."""
    shape, floating = tuple(magnitudes.shape), magnitudes.dtype in (torch.float32, torch.float64)
    if len(shape) != 3 or 0 in shape or shape[2] < 2 or not floating or hop < 1:
        raise DdspZooError(
            "A noise filter needs float32 or float64 magnitudes (B, N, F) that are not empty, with two points or more "
            f"from 0 Hz to Nyquist, and a hop of at least 1; got {magnitudes.dtype} of shape {shape} and hop {hop}."
        )
    if not torch.compiler.is_compiling():
        low, high = magnitudes.detach().aminmax()
        if not (low >= 0) & (high < torch.inf):
            raise DdspZooError("The magnitudes of a noise filter must be finite and not negative.")


def noise_power(magnitudes: Tensor, hop: int, n_fft: int) -> Tensor:
    """Returns the expected |STFT|^2 (..., F, N + 1) of `filtered_noise` with magnitudes (..., N, P) and the same hop.

    The STFT has a Hann window. The Hann window on the impulse responses smooths magnitudes by (1/4, 1/2, 1/4),
    and uniform noise has power 1/3. What the filters smear from frame to frame is left out. ``n_fft`` is an
    even number of hops. Raises `DdspZooError` for shapes or types that do not fit.
    """
    check_computing("The power of noise", magnitudes)
    check(
        magnitudes.ndim > 2 and magnitudes.numel() > 0 and magnitudes.shape[-1] > 1,
        f"The power of noise needs magnitudes (..., N, P) at two points or more; got {tuple(magnitudes.shape)}.",
    )
    _check_window(hop, n_fft)
    mirrored = torch.cat([magnitudes[..., 1:2], magnitudes, magnitudes[..., -2:-1]], dim=-1)
    smooth = magnitudes / 2 + (mirrored[..., :-2] + mirrored[..., 2:]) / 4
    power = smooth.square().flatten(0, -3)
    power = torch.nn.functional.interpolate(power, n_fft // 2 + 1, mode="linear", align_corners=True)
    return seen_by_stft(power.unflatten(0, magnitudes.shape[:-2]) * (n_fft / 8), hop, n_fft)


def seen_by_stft(power: Tensor, hop: int, n_fft: int, every: int = 1) -> Tensor:
    """Returns what a Hann-windowed STFT sees, (..., F, N + 1), of power (..., N, F) that changes from frame to frame.

    Each STFT frame sees its neighbours, weighted by the share of the window's energy that lies over their
    samples. ``n_fft`` is an even number of hops. ``every`` takes one STFT frame in so many, the first one included.
    Raises `DdspZooError` for shapes or types that do not fit.
    """
    check_computing("What a spectrogram sees", power)
    check(
        power.ndim > 1 and every >= 1,
        f"What a spectrogram sees is power (..., N, F), of every frame or fewer; got {tuple(power.shape)}, {every}.",
    )
    _check_window(hop, n_fft)
    window = torch.hann_window(n_fft, device=power.device, dtype=power.dtype).square()
    energy = window.unflatten(0, (-1, hop)).sum(-1) / window.sum()
    frames, reach = power.shape[-2], len(energy) // 2
    nearness = torch.arange(frames, device=power.device)[:, None] + reach
    nearness = nearness - torch.arange(0, frames + 1, every, device=power.device)
    inside = (nearness >= 0) & (nearness < len(energy))
    weights = torch.where(inside, energy[nearness.clamp(0, len(energy) - 1)], 0)
    return power.transpose(-1, -2) @ weights


def _check_window(hop: int, n_fft: int) -> None:
    check(
        hop >= 1 and n_fft >= 1 and n_fft % (2 * hop) == 0,
        f"The frame of a spectrogram must be an even number of hops; got {n_fft} samples and a hop of {hop}.",
    )
