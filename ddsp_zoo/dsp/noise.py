"""Noise shaped by a time-varying magnitude response."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.frames import overlap_add


def uniform_noise(like: Tensor, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
    """White noise, uniform in [-1, 1), with dtype and device of ``like``.

    With a generator the samples are drawn on the generator's own device, so that a seed means the same noise
    on every device.
    """
    device = generator.device if generator is not None else like.device
    return torch.rand(shape, generator=generator, device=device, dtype=like.dtype).to(like.device) * 2 - 1


def zero_phase_fir(magnitudes: Tensor) -> Tensor:
    """Impulse response of a magnitude response: (..., F) -> (..., 2F - 2), centred at index F - 1.

    The F points lie evenly from 0 Hz to the Nyquist frequency. Both halves of the response are kept under a
    Hann window. Source: Engel et al. 2020 (DDSP), section 3.
    """
    taps = 2 * (magnitudes.shape[-1] - 1)
    response = torch.fft.irfft(magnitudes, n=taps).roll(taps // 2, dims=-1)
    return response * torch.hann_window(taps, device=magnitudes.device, dtype=magnitudes.dtype)


def filtered_noise(magnitudes: Tensor, hop: int, generator: torch.Generator | None = None) -> Tensor:
    """White noise through time-varying zero-phase filters: magnitudes (B, N, F) -> audio (B, N * hop).

    Each frame's ``hop`` samples of noise pass through that frame's filter (one FFT product, linear
    convolution) and the results are overlap-added, with the filters' delay of F - 1 samples removed.
    """
    batch, count, points = magnitudes.shape
    taps = 2 * (points - 1)
    noise = uniform_noise(magnitudes, (batch, count, hop), generator)
    size = 1 << (hop + taps - 2).bit_length()
    spectrum = torch.fft.rfft(noise, n=size) * torch.fft.rfft(zero_phase_fir(magnitudes), n=size)
    audio = overlap_add(torch.fft.irfft(spectrum, n=size)[..., : hop + taps - 1], hop)
    return audio[:, taps // 2 : taps // 2 + count * hop]
