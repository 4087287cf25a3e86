"""Masks on the mixture, made from synthesised estimates.

A synthesised source has the right spectrum and the wrong phase. Its spectrum decides which share of every
bin of the mixture belongs to it, and the mixture supplies the phase. ``power`` is 1 for the papers' form and
2 for the Wiener form. Sources: Schulze-Forster et al. 2022 (UMSS); Planton's thesis, eq. 3.3.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import istft, stft

EPS = 1e-12


def soft_masks(estimates: Tensor, power: float = 1.0, n_fft: int = 2048, hop: int = 256) -> Tensor:
    """Returns each source's share in every bin, |S_i|^power / sum_j |S_j|^power: (B, S, T) -> (B, S, F, N).

    The masks always sum to one; where every estimate is silent the shares are equal.
    """
    return shares(stft(estimates, n_fft, hop).abs() ** power)


def shares(strength: Tensor) -> Tensor:
    """Masks (B, S, F, N) that sum to one, in proportion to what each source has in a bin."""
    # The usual guard of the denominator, given to the numerators too, so that no part of the mixture is lost.
    strength = strength + EPS / strength.shape[1]
    return strength / strength.sum(dim=1, keepdim=True)


def spectral_shares(power_spectra: Tensor, power: float) -> Tensor:
    """Returns the `shares` of sources given by |S|^2 (B, S, F, N), with exponent ``power`` of |S|."""
    spectra = power_spectra.clamp(min=1e-14)
    return shares(spectra if power == 2 else spectra ** (power / 2))


def single_mask(
    estimates: Tensor, mixture: Tensor, power: float = 1.0, n_fft: int = 2048, hop: int = 256
) -> Tensor:
    """Returns the mask of sources that are only part of the mixture, min(|S| / |X|, 1)^power.

    estimates (B, S, T), mono mixture (B, T) -> (B, S, F, N). Unlike ``soft_masks`` it needs the true level of
    the estimate, and what it leaves is the residual.
    """
    ratio = stft(estimates, n_fft, hop).abs() / (stft(mixture, n_fft, hop).abs()[:, None] + EPS)
    return ratio.clamp(max=1.0) ** power


def apply_masks(mixture: Tensor, masks: Tensor, n_fft: int = 2048, hop: int = 256) -> Tensor:
    """Masks the mixture: (B, T) or (B, C, T) with masks (B, S, F, N) -> (B, S, T) or (B, S, C, T).

    Every channel gets the same masks. Raises ValueError where they were made with other settings.
    """
    spec = stft(mixture, n_fft, hop)[:, None]
    if spec.shape[-2:] != masks.shape[-2:]:
        raise ValueError(f"the mixture has (bins, frames) {spec.shape[-2:]}, the masks {masks.shape[-2:]}")
    if mixture.ndim == 3:
        masks = masks[:, :, None]
    return istft(spec * masks, n_fft, hop, mixture.shape[-1])


def shared_rest(
    mixture: Tensor, sources: Tensor, power: float = 2.0, n_fft: int = 2048, hop: int = 256
) -> Tensor:
    """Shares what sources (B, S, [C,] T) leave of the mixture (B, [C,] T) among them, in proportion to them.

    The result sums to the mixture.
    """
    strength = stft(sources, n_fft, hop).abs()
    if sources.ndim == 4:
        strength = strength.square().mean(2).sqrt()
    return sources + apply_masks(mixture - sources.sum(1), shares(strength**power), n_fft, hop)


def by_channel(mixture: Tensor, separate: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies a function of mono, (B, T) -> (B, S, T), to each channel: (B, [C,] T) -> (B, S, [C,] T)."""
    if mixture.ndim == 2:
        return separate(mixture)
    return torch.stack([separate(channel) for channel in mixture.unbind(1)], dim=2)
