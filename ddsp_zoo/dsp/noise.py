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


def noise_power(magnitudes: Tensor, hop: int, n_fft: int) -> Tensor:
    """Expected |STFT|^2 of `filtered_noise`: magnitudes (..., N, P) -> (..., F, N + 1), Hann window, same hop.

    Each STFT frame sees the noise of its neighbours, weighted by the energy of the window over their samples; the
    Hann window on the impulse responses smooths magnitudes by (1/4, 1/2, 1/4), and uniform noise has power 1/3.
    What the filters smear from frame to frame is left out. ``n_fft`` is an even number of hops.
    """
    mirrored = torch.cat([magnitudes[..., 1:2], magnitudes, magnitudes[..., -2:-1]], dim=-1)
    smooth = magnitudes / 2 + (mirrored[..., :-2] + mirrored[..., 2:]) / 4
    power = smooth.square().flatten(0, -3)
    power = torch.nn.functional.interpolate(power, n_fft // 2 + 1, mode="linear", align_corners=True)
    window = torch.hann_window(n_fft, device=power.device, dtype=power.dtype).square()
    energy = window.unflatten(0, (-1, hop)).sum(-1) / 3
    reach = len(energy) // 2
    spread = torch.nn.functional.pad(power.transpose(1, 2), (reach, reach)).unfold(-1, len(energy), 1)
    return (spread * energy).sum(-1).unflatten(0, magnitudes.shape[:-2])
