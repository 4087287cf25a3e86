"""The pitch of a stem that plays one note at a time."""

import math

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.pitch.stretches import beginnings
from ddsp_zoo.sources import UNPITCHED

GRID_CENTS = 10
HARMONICS = 8
WINDOW_SECONDS = 0.256


def salient_f0(
    audio: Tensor,
    sample_rate: int,
    hop: int,
    low_hz: float = 30.0,
    high_hz: float = 500.0,
    floor: float = 1e-3,
) -> Tensor:
    """Returns f0_hz (..., T / hop) of audio (..., T) by harmonic summation, 0 where unvoiced.

    A candidate collects the square roots of the magnitudes at its harmonics h = 1…8, weighted by 0.84^(h - 1),
    from a spectrum over a quarter of a second; the best of a 10-cent grid wins. Frames whose root mean square
    is below ``floor`` are unvoiced. Source: Hermes 1988, subharmonic summation.
    """
    n_fft = 1 << round(math.log2(WINDOW_SECONDS * sample_rate))
    strength = stft(audio, n_fft, hop).abs()[..., : audio.shape[-1] // hop].sqrt()
    steps = math.floor(math.log2(high_hz / low_hz) * 1200 / GRID_CENTS) + 1
    candidates = low_hz * 2 ** (torch.arange(steps, device=audio.device) * GRID_CENTS / 1200)
    salience = _comb(candidates, n_fft, sample_rate).to(strength) @ strength
    f0 = candidates[salience.argmax(-2)].to(audio.dtype)
    centred = torch.nn.functional.pad(audio, (hop // 2, -(hop // 2)))
    level = centred.unflatten(-1, (-1, hop)).square().mean(-1).sqrt()
    return torch.where(level >= floor, f0, torch.zeros_like(f0))


def melodies(stems: Tensor, names: tuple[str, ...], sample_rate: int, hop: int) -> dict[str, Tensor]:
    """Returns f0_hz and onset (..., S, N, 1) of stems (..., S, N * hop) by their names; drums have none.

    They are the `salient_f0` and where its notes begin, see `stretches`.
    """
    f0 = salient_f0(stems, sample_rate, hop)
    f0 = f0 * torch.tensor([name not in UNPITCHED for name in names], device=f0.device)[:, None]
    onset = torch.from_numpy(beginnings(f0.cpu().numpy(), sample_rate / hop)).to(f0)
    return {"f0_hz": f0[..., None], "onset": onset[..., None]}


def _comb(candidates: Tensor, n_fft: int, sample_rate: int) -> Tensor:
    """Returns weights (candidates, F) that read a spectrum linearly at the harmonics of each candidate."""
    bins = n_fft // 2 + 1
    comb = candidates.new_zeros(len(candidates), bins)
    rows = torch.arange(len(candidates), device=candidates.device)
    for harmonic in range(1, HARMONICS + 1):
        position = (candidates * harmonic * n_fft / sample_rate).clamp(max=bins - 1.001)
        left = position.floor().long()
        weight = 0.84 ** (harmonic - 1) * (candidates * harmonic < sample_rate / 2)
        comb[rows, left] += weight * (1 - (position - left))
        comb[rows, left + 1] += weight * (position - left)
    return comb
