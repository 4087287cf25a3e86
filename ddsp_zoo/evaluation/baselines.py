"""What every table is read against: nothing done, noise, f0 without learning, and the best possible mask.

All functions return estimates (B, S, T).
"""

import math

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.masking import EPS, apply_masks, soft_masks

HARMONICS = 101


def mixture_itself(mixture: Tensor, sources: int) -> Tensor:
    """The mixture (B, T) as the estimate of each of ``sources`` sources."""
    return mixture[:, None].expand(-1, sources, -1)


def white_noise(like: Tensor, seed: int = 0) -> Tensor:
    """Uniform white noise in [-1, 1) of the shape (B, S, T) of ``like``; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(like.shape, generator=generator) - 1).to(like)


def irm_mixture(
    sources: Tensor, mixture: Tensor, power: float = 1.0, n_fft: int = 2048, hop: int = 256
) -> Tensor:
    """Ideal ratio mask against the mixture, (|S| / (|X| + eps))^power: sources (B, S, T), mixture (B, T).

    It passes one where sources cancel each other. Source: thesis eq. 3.4.
    """
    ratio = stft(sources, n_fft, hop).abs() / (stft(mixture, n_fft, hop).abs()[:, None] + EPS)
    return apply_masks(mixture, ratio**power, n_fft, hop)


def irm_sum(
    sources: Tensor, mixture: Tensor, power: float = 1.0, n_fft: int = 2048, hop: int = 256
) -> Tensor:
    """Ideal ratio mask among sources, |S_i|^power / sum_j |S_j|^power: sources (B, S, T), mixture (B, T).

    What the mixture holds beside the sources takes part as one more source.
    """
    rest = mixture[:, None] - sources.sum(dim=1, keepdim=True)
    masks = soft_masks(torch.cat([sources, rest], dim=1), power, n_fft, hop)[:, :-1]
    return apply_masks(mixture, masks, n_fft, hop)


def comb_mask(
    mixture: Tensor, f0_hz: Tensor, sample_rate: int, frame_hop: int,
    power: float = 1.0, n_fft: int = 2048, hop: int = 256,
) -> Tensor:  # fmt: skip
    """Soft masks from one fixed harmonic comb on each f0: what pitch alone achieves, without any learning.

    mixture (B, T); f0_hz (B, S, N) with S > 1, frame n at sample n * frame_hop, 0 = unvoiced.
    """
    combs = _harmonic_comb(f0_hz, sample_rate, frame_hop, mixture.shape[-1])
    return apply_masks(mixture, soft_masks(combs.to(mixture.dtype), power, n_fft, hop), n_fft, hop)


def _harmonic_comb(f0_hz: Tensor, sample_rate: int, frame_hop: int, samples: int) -> Tensor:
    """The excitation of UMSS without its network: f0 (B, S, N) -> audio (B, S, samples), float64.

    101 equal harmonics that share one unit of amplitude among those below Nyquist, through a low-pass that is
    flat to 200 Hz and falls by 6 dB per octave above. Silent where f0 is 0, with fades of one frame.
    """
    f0, voiced = _at_audio_rate(f0_hz.double(), frame_hop, samples)
    phase = 2 * math.pi * torch.cumsum(f0 / sample_rate, dim=-1)
    audio, audible = torch.zeros_like(f0), torch.zeros_like(f0)
    for harmonic in range(1, HARMONICS + 1):
        frequency = harmonic * f0
        below_nyquist = frequency < sample_rate / 2
        audible += below_nyquist
        audio += below_nyquist * (200 / frequency.clamp(min=200)) * torch.sin(harmonic * phase)
    return voiced * audio / audible.clamp(min=1)


def _at_audio_rate(f0_hz: Tensor, frame_hop: int, samples: int) -> tuple[Tensor, Tensor]:
    """f0 and voicing in [0, 1] at each sample: (..., N) -> two of (..., samples).

    Both are linear between frames, but f0 glides between voiced frames only.
    """
    position = torch.arange(samples, device=f0_hz.device) / frame_hop
    left = position.floor().long().clamp(max=f0_hz.shape[-1] - 1)
    right = (left + 1).clamp(max=f0_hz.shape[-1] - 1)
    weight = (position - left).clamp(max=1).to(f0_hz.dtype)
    start, end = f0_hz[..., left], f0_hz[..., right]
    voiced = torch.lerp((start > 0).to(f0_hz.dtype), (end > 0).to(f0_hz.dtype), weight)
    return torch.lerp(torch.where(start > 0, start, end), torch.where(end > 0, end, start), weight), voiced
