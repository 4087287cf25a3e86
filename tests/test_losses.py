"""Spectral losses: known values, agreement with auraloss, and safety on silence."""

import math

import pytest
import torch

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.losses import (
    FFT_SIZES,
    MultiResolutionStftLoss,
    MultiScaleSpectralLoss,
    multi_scale_spectral_distance,
)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


LOSSES = [
    MultiScaleSpectralLoss(),
    MultiResolutionStftLoss(),
    MultiResolutionStftLoss(a_weighting=True, sample_rate=8000),
]


def test_multi_scale_distance_of_a_gain_is_known() -> None:
    audio = noise(3, 4096).double()
    scales = [stft(audio, n, n // 4).abs() for n in FFT_SIZES]
    expected = sum(spec.mean(dim=(1, 2)) for spec in scales) + len(FFT_SIZES) * math.log(2)
    got = multi_scale_spectral_distance(2 * audio, audio)
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=0)


def test_multi_scale_loss_is_the_mean_distance_and_symmetric() -> None:
    a, b = noise(2, 3, 3000), noise(2, 3, 3000, seed=1)
    loss = MultiScaleSpectralLoss()
    torch.testing.assert_close(loss(a, b), multi_scale_spectral_distance(a, b).mean())
    torch.testing.assert_close(loss(a, b), loss(b, a))
    assert loss(a, a) == 0 < loss(a, b)


def test_multi_scale_log_term_ignores_what_lies_under_the_floor() -> None:
    faint = 1e-9 * noise(1, 3000)
    assert multi_scale_spectral_distance(faint, torch.zeros_like(faint)).item() < 1e-6


@pytest.mark.parametrize("a_weighting", [False, True])
def test_multi_resolution_equals_auraloss_on_audible_signals(a_weighting: bool) -> None:
    from auraloss.freq import MultiResolutionSTFTLoss

    sizes = [1024, 256, 64]
    rival = MultiResolutionSTFTLoss(
        sizes, [n // 4 for n in sizes], sizes, w_lin_mag=0.5,
        perceptual_weighting=a_weighting, sample_rate=8000,
    )  # fmt: skip
    ours = MultiResolutionStftLoss(sizes, linear_weight=0.5, a_weighting=a_weighting, sample_rate=8000)
    a, b = noise(2, 3, 4000), noise(2, 3, 4000, seed=1)
    torch.testing.assert_close(ours(a, b), rival(a, b))


def test_multi_resolution_is_bounded_where_auraloss_is_not() -> None:
    from auraloss.freq import MultiResolutionSTFTLoss

    loud, silent = noise(1, 1, 8000), torch.zeros(1, 1, 8000)
    assert MultiResolutionSTFTLoss()(loud, silent) > 5000
    assert MultiResolutionStftLoss()(loud, silent) < 150


def test_multi_resolution_leaves_no_trace_in_a_checkpoint() -> None:
    loss = MultiResolutionStftLoss(a_weighting=True, sample_rate=8000)
    assert not loss.state_dict() and not list(loss.parameters())


@pytest.mark.parametrize("loss", LOSSES, ids=["multi_scale", "multi_resolution", "a_weighted"])
@pytest.mark.parametrize("samples", [16, 3000])
def test_silence_gives_finite_loss_and_gradient(loss: torch.nn.Module, samples: int) -> None:
    for prediction in (torch.zeros(2, 2, samples), noise(2, 2, samples)):
        for target in (torch.zeros(2, 2, samples), noise(2, 2, samples, seed=1)):
            prediction = prediction.detach().requires_grad_()
            value = loss(prediction, target)
            value.backward()
            assert value.isfinite() and prediction.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES, ids=["multi_scale", "multi_resolution", "a_weighted"])
def test_gradient_leads_to_the_level_of_the_target(loss: torch.nn.Module) -> None:
    target = noise(1, 2, 4000)
    gain = torch.tensor(0.5, requires_grad=True)
    loss(gain * target, target).backward()
    assert gain.grad < 0
    # Sources that are not contiguous in memory, as slices of a batch are, pass as well.
    swapped = target.transpose(0, 1)
    torch.testing.assert_close(loss(0.5 * swapped, swapped), loss(0.5 * target, target))
