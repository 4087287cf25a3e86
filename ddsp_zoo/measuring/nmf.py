"""Non-negative matrix factorisation with harmonic templates on given f0, nothing learned.

The magnitude spectrogram of the mixture is a sum over sources of harmonics on f0 whose levels are drawn by a few
overlapping bands: V[f, n] = sum over s and e of H[s, n](f) * E[e](f) * G[s, e, n]. Only the levels G are free; they
fall where the Kullback-Leibler divergence to the mixture does, by the multiplicative updates of Lee and Seung 2001.
Sources: Vincent, Bertin and Badeau 2010 (harmonic templates with spectral envelope bands); the learning-free
baseline of Schulze-Forster et al. 2022 is of this kind.
"""

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.separation.masks import apply_masks, shares

BANDS = 12
TINY = 1e-8


def harmonic_nmf(
    mixture: Tensor,
    f0_hz: Tensor,
    sample_rate: int,
    frame_hop: int,
    power: float = 1.0,
    n_fft: int = 2048,
    hop: int = 256,
    updates: int = 40,
) -> Tensor:
    """Masks the mixture by the factorisation: mixture (B, T), f0_hz (B, S, N) -> sources (B, S, T).

    Frame n of f0 lies at sample n * frame_hop, 0 = unvoiced; what no source's pitch explains is shared equally.
    """
    spectrogram = stft(mixture, n_fft, hop).abs().transpose(1, 2)  # (B, M, F)
    moment = torch.arange(spectrogram.shape[1], device=f0_hz.device) * hop / frame_hop
    f0_hz = f0_hz[..., moment.round().long().clamp(max=f0_hz.shape[-1] - 1)]
    combs = _combs(f0_hz, sample_rate, n_fft).to(spectrogram.dtype)
    bands = _bands(n_fft // 2 + 1, sample_rate, spectrogram)
    levels = _levels(spectrogram, combs, bands, updates)
    parts = combs * (levels @ bands)
    return apply_masks(mixture, shares(parts.transpose(2, 3) ** power), n_fft, hop)


def _levels(spectrogram: Tensor, combs: Tensor, bands: Tensor, updates: int) -> Tensor:
    """Levels (B, S, M, E) that bring the model near the spectrogram (B, M, F); combs (B, S, M, F), bands (E, F)."""
    weight = combs @ bands.T
    loudness = spectrogram.mean(-1)[:, None, :, None] + TINY
    levels = loudness.expand(weight.shape).clone()
    for _ in range(updates):
        model = (combs * (levels @ bands)).sum(1)
        ratio = (spectrogram + TINY) / (model + TINY)
        levels *= (combs * ratio[:, None]) @ bands.T / (weight + TINY)
    return levels


def _combs(f0_hz: Tensor, sample_rate: int, n_fft: int) -> Tensor:
    """Harmonics as the window shows them: f0 (B, S, M) -> magnitudes (B, S, M, F), 0 where unvoiced.

    Each is the Hann window's main lobe, which falls to zero two bins from its centre.
    """
    spacing = (f0_hz * n_fft / sample_rate)[..., None]
    place = torch.arange(n_fft // 2 + 1, device=f0_hz.device)
    nearest = (place / spacing.clamp(min=TINY)).round().clamp(min=1) * spacing
    away = (place - nearest).abs()
    return torch.where((away < 2) & (spacing > 0), 0.5 + 0.5 * torch.cos(torch.pi * away / 2), 0)


def _bands(bins: int, sample_rate: int, like: Tensor) -> Tensor:
    """Triangles evenly spaced in the logarithm of 1 + f / 500 Hz, together one at every bin: (E, F)."""
    frequency = torch.linspace(0, sample_rate / 2, bins, dtype=like.dtype, device=like.device)
    scale = torch.log1p(frequency / 500)
    place = scale / scale[-1] * (BANDS - 1)
    return (1 - (place - torch.arange(BANDS, device=like.device)[:, None]).abs()).clamp(min=0)
