"""STFT and masks: nothing of the mixture is lost, and shares go where the energy is."""

import pytest
import torch
from tiny import tiny_ast

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.dsp.stft import istft, stft
from ddsp_zoo.models import Rendered
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.separation.masks import (
    apply_masks,
    by_channel,
    shared_rest,
    single_mask,
    soft_masks,
    spectral_shares,
)

SETTINGS = {"n_fft": 256, "hop": 64}


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(1000,), (2, 999), (2, 3, 30)])
@pytest.mark.parametrize("hop", [32, 64, 128])
def test_stft_is_inverted_at_any_length(shape: tuple[int, ...], hop: int) -> None:
    audio = noise(*shape)
    spec = stft(audio, 256, hop)
    assert spec.shape == (*shape[:-1], 129, -(-shape[-1] // hop) + 1)
    torch.testing.assert_close(istft(spec, 256, hop, shape[-1]), audio, atol=1e-5, rtol=0)


def test_stft_frame_is_centred_at_its_hop() -> None:
    audio = torch.zeros(1024)
    audio[5 * 64] = 1
    spec = stft(audio, 256, 64).abs()
    assert spec.sum(dim=0).argmax() == 5
    torch.testing.assert_close(spec[:, 5], torch.ones(129))  # the middle of the window is one


@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("level", [1.0, 1e-7, 0.0])
def test_masked_sources_sum_to_the_mixture(power: float, level: float) -> None:
    mixture = noise(2, 3000)
    estimates = level * noise(2, 4, 3000, seed=1)
    masks = soft_masks(estimates, power, **SETTINGS)
    torch.testing.assert_close(masks.sum(dim=1), torch.ones_like(masks[:, 0]))
    masked = apply_masks(mixture, masks, **SETTINGS)
    torch.testing.assert_close(masked.sum(dim=1), mixture, atol=1e-5, rtol=0)


def test_silent_estimates_share_equally_and_keep_gradients_finite() -> None:
    estimates = torch.zeros(1, 4, 1000, requires_grad=True)
    masks = soft_masks(estimates, **SETTINGS)
    torch.testing.assert_close(masks, torch.full_like(masks, 0.25))
    masks[:, 0].sum().backward()
    assert estimates.grad.isfinite().all()


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_shares_of_power_spectra_are_those_of_what_they_are_measured_on(power: float) -> None:
    estimates = noise(2, 3, 1000)
    spectra = stft(estimates, **SETTINGS).abs().square()
    masks = spectral_shares(spectra, power)
    torch.testing.assert_close(masks, soft_masks(estimates, power, **SETTINGS), atol=1e-4, rtol=0)
    assert masks.sum(1).sub(1).abs().max() < 1e-6


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_power_spectra_without_power_share_equally_with_finite_gradients(power: float) -> None:
    spectra = torch.zeros(1, 4, 5, 6, requires_grad=True)
    masks = spectral_shares(spectra, power)
    torch.testing.assert_close(masks, torch.full_like(masks, 0.25))
    masks[:, 0].sum().backward()
    assert spectra.grad.isfinite().all()


def test_power_sharpens_the_mask() -> None:
    estimates = torch.stack([noise(1, 1000), 0.5 * noise(1, 1000)], dim=1)
    for power, share in ((1.0, 2 / 3), (2.0, 4 / 5)):
        masks = soft_masks(estimates, power, **SETTINGS)
        torch.testing.assert_close(masks[:, 0], torch.full_like(masks[:, 0], share))


def test_stereo_channels_get_the_same_masks() -> None:
    stereo, estimates = noise(1, 2, 1000), noise(1, 3, 1000, seed=1)
    masks = soft_masks(estimates, **SETTINGS)
    both = apply_masks(stereo, masks, **SETTINGS)
    assert both.shape == (1, 3, 2, 1000)
    for channel in range(2):
        alone = apply_masks(stereo[:, channel], masks, **SETTINGS)
        torch.testing.assert_close(both[:, :, channel], alone)


def test_single_mask_takes_its_part_and_never_more() -> None:
    mixture = noise(1, 1000)
    for gain, kept in ((0.25, 0.25), (3.0, 1.0)):
        mask = single_mask(gain * mixture[:, None], mixture, **SETTINGS)
        torch.testing.assert_close(mask, torch.full_like(mask, kept))
        masked = apply_masks(mixture, mask, **SETTINGS)
        torch.testing.assert_close(masked[:, 0], kept * mixture, atol=1e-5, rtol=0)


def test_single_mask_of_stereo_compares_with_the_power_of_channels() -> None:
    stereo = noise(1, 2, 1000)
    model = tiny_ast(sources=["bass"], masks=Masks(1.0))
    half = 0.5 * one_channel(stereo)[:, None]
    masked = model.masked(stereo, Rendered(half, {}, half))
    torch.testing.assert_close(masked[:, 0], 0.5 * stereo, atol=1e-5, rtol=0)


def test_masks_of_another_length_are_refused() -> None:
    masks = soft_masks(noise(1, 2, 1000), **SETTINGS)
    with pytest.raises(ValueError, match="frames"):
        apply_masks(noise(1, 2000), masks, **SETTINGS)


@pytest.mark.parametrize("channels", [None, 2])
def test_what_sources_leave_is_shared_by_what_they_have(channels: int | None) -> None:
    """Two tones fitted at half their level: the rest of each goes to whoever has its frequency."""
    time = torch.arange(16000) / 16000
    tones = torch.stack([torch.sin(2 * torch.pi * hertz * time) for hertz in (300, 2000)])[None]
    if channels:
        tones = torch.stack([tones, -0.5 * tones], dim=2)  # out of phase: their sum must not matter
    whole = shared_rest(tones.sum(1), tones / 2)
    assert torch.allclose(whole.sum(1), tones.sum(1), atol=1e-5)
    assert (whole - tones)[..., 2048:-2048].abs().max() < 0.02


def test_channels_are_separated_one_by_one() -> None:
    stereo = torch.randn(2, 2, 50)
    halves = by_channel(stereo, lambda mono: torch.stack([mono / 2, mono / 3], 1))
    assert halves.shape == (2, 2, 2, 50) and torch.equal(halves[:, 1], stereo / 3)
    assert torch.equal(by_channel(stereo[:, 0], lambda mono: mono[:, None]), stereo[:, :1])
