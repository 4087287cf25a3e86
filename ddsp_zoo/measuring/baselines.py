"""Baselines of every table: nothing done, noise, f0 without learning, and the best possible mask.

All functions return estimates (B, S, T).
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

from ddsp_zoo.dsp.harmonic_ls import fit_windows, harmonic_least_squares
from ddsp_zoo.dsp.oscillator import harmonic_bank
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.measuring.nmf import harmonic_nmf
from ddsp_zoo.separation.masks import EPS, apply_masks, shared_rest, soft_masks
from ddsp_zoo.synths.source_filter import SourceFilter


def mixture_itself(mixture: Tensor, sources: int) -> Tensor:
    """Returns the mixture (B, T) as the estimate of each of ``sources`` sources."""
    return mixture[:, None].expand(-1, sources, -1)


def white_noise(like: Tensor, seed: int = 0) -> Tensor:
    """Returns uniform white noise in [-1, 1) of the shape (B, S, T) of ``like``; the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return (2 * torch.rand(like.shape, generator=generator) - 1).to(like)


def irm_mixture(
    sources: Tensor, mixture: Tensor, power: float = 1.0, n_fft: int = 2048, hop: int = 256
) -> Tensor:
    """Applies the ideal ratio mask against the mixture, (|S| / (|X| + eps))^power.

    sources (B, S, T), mixture (B, T). The mask is above one where sources cancel each other. Source: thesis eq. 3.4.
    """
    ratio = stft(sources, n_fft, hop).abs() / (stft(mixture, n_fft, hop).abs()[:, None] + EPS)
    return apply_masks(mixture, ratio**power, n_fft, hop)


def irm_sum(
    sources: Tensor, mixture: Tensor, power: float = 1.0, n_fft: int = 2048, hop: int = 256
) -> Tensor:
    """Applies the ideal ratio mask among sources, |S_i|^power / sum_j |S_j|^power.

    sources (B, S, T), mixture (B, T). What the mixture holds beside the sources takes part as one more source.
    """
    others = mixture[:, None] - sources.sum(dim=1, keepdim=True)
    masks = soft_masks(torch.cat([sources, others], dim=1), power, n_fft, hop)[:, :-1]
    return apply_masks(mixture, masks, n_fft, hop)


def comb_mask(
    mixture: Tensor,
    f0_hz: Tensor,
    sample_rate: int,
    frame_hop: int,
    power: float = 1.0,
    n_fft: int = 2048,
    hop: int = 256,
) -> Tensor:
    """Applies soft masks from one fixed harmonic comb on each f0: what pitch alone achieves, without any learning.

    mixture (B, T); f0_hz (B, S, N) with S > 1, frame n at sample n * frame_hop, 0 = unvoiced.
    """
    combs = _harmonic_comb(f0_hz, sample_rate, frame_hop, mixture.shape[-1]).to(mixture.dtype)
    return apply_masks(mixture, soft_masks(combs, power, n_fft, hop), n_fft, hop)


def _harmonic_comb(f0_hz: Tensor, sample_rate: int, frame_hop: int, samples: int) -> Tensor:
    """The excitation of UMSS without its network: f0 (B, S, N) -> audio (B, S, samples).

    101 equal harmonics that share one unit of amplitude among those below Nyquist, through a low-pass that is
    flat to 200 Hz and falls by 6 dB per octave above. Silent where f0 is 0, with fades of one frame.
    """
    missing = max(0, -(-samples // frame_hop) - f0_hz.shape[-1])
    pitch = pad(f0_hz.float(), (0, missing)).flatten(0, 1)[..., None]
    voice = SourceFilter(sample_rate, frame_hop)
    amplitude = voice.harmonic_amplitudes({"f0_hz": pitch, "harmonic_amplitude": torch.ones_like(pitch)})
    combs, _ = harmonic_bank(pitch[..., 0], amplitude, sample_rate, frame_hop)
    return combs[:, :samples].unflatten(0, (len(f0_hz), -1))


def given_pitch(
    mixture: Tensor, f0_hz: Tensor, sample_rate: int, frame_hop: int, n_fft: int = 2048, hop: int = 256
) -> dict[str, Tensor]:
    """Returns all baselines that need no more than f0, by their names in tables; arguments as in `comb_mask`."""
    pitch, window = (f0_hz, sample_rate, frame_hop), {"n_fft": n_fft, "hop": hop}
    fitted = harmonic_least_squares(mixture, *pitch, windows=fit_windows(sample_rate))
    return {
        "comb_mask": comb_mask(mixture, *pitch, **window),
        "comb_mask_power": comb_mask(mixture, *pitch, power=2.0, **window),
        "nmf": harmonic_nmf(mixture, *pitch, **window),
        "harmonic_ls": fitted,
        "harmonic_ls_masked": apply_masks(mixture, soft_masks(fitted, 1.0, **window), **window),
        "harmonic_ls_masked_power": apply_masks(mixture, soft_masks(fitted, 2.0, **window), **window),
        "harmonic_ls_shared": shared_rest(mixture, fitted, 2.0, **window),
    }
