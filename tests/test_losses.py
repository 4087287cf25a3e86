"""Spectral losses: known values, agreement with auraloss, and safety on silence."""

import math
from collections.abc import Callable

import pytest
import torch

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.losses import (
    FFT_SIZES,
    MultiResolutionStftLoss,
    MultiScaleSpectralLoss,
    error_db,
    multi_scale_spectral_distance,
    spectral_distance,
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


def plain_distance(
    a: torch.Tensor, b: torch.Tensor, sizes: list[int], hops: list[int], weight: float
) -> torch.Tensor:
    """The distance as its definition reads, differentiated by autograd."""
    total = a.new_zeros(())
    for n_fft, hop in zip(sizes, hops, strict=True):
        x, y = (stft(audio, n_fft, hop).abs() for audio in (a, b))
        logs = x.clamp(min=1e-5).log() - y.clamp(min=1e-5).log()
        total = total + (x - y).abs().mean((-2, -1)) + weight * logs.abs().mean((-2, -1))
    return total


@pytest.mark.parametrize("samples", [1, 50, 700])
def test_multi_scale_value_and_gradients_equal_autograd(samples: int) -> None:
    a, b = noise(2, 3, samples).double(), noise(2, 3, samples, seed=1).double()
    a[0, 0], b[1, :, : samples // 2] = 0, 0
    sizes, hops, weight = [64, 30, 21], [19, 9, 6], 0.3

    def ours(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return multi_scale_spectral_distance(a, b, sizes, overlap=0.7, log_weight=weight)

    def results(distance: Callable[..., torch.Tensor], *given: object) -> list[torch.Tensor]:
        inputs = [a.clone().requires_grad_(), b.clone().requires_grad_()]
        value = distance(*inputs, *given)
        return [value, *torch.autograd.grad(value.square().sum(), inputs)]

    for got, expected in zip(results(ours), results(plain_distance, sizes, hops, weight), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


def test_multi_scale_loss_differentiates_the_target_alone() -> None:
    a, b = noise(2, 400), noise(2, 400, seed=1).requires_grad_()
    multi_scale_spectral_distance(a, b, [64]).sum().backward()
    assert b.grad.abs().max() > 0


def test_multi_scale_operation_is_registered_soundly() -> None:
    a, b = noise(2, 90).double().requires_grad_(), noise(2, 90, seed=1).double().requires_grad_()
    torch.library.opcheck(spectral_distance, (a, b, [32, 16], [8, 4], 1.0, 1e-5, True))


def test_multi_scale_loss_compiles_in_one_piece() -> None:
    target, loss = noise(2, 400), MultiScaleSpectralLoss([64, 32])
    gradients = []
    for run in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        prediction = noise(2, 400, seed=1).requires_grad_()
        gradients += torch.autograd.grad(run(prediction, target), prediction)
    torch.testing.assert_close(*gradients)


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


def test_error_in_decibels_has_known_answers() -> None:
    """A target at half its level errs by -6 dB; a perfect one is held at the floor; silence is safe."""
    target = torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0))
    mixture = target[:, 0]
    assert error_db(target / 2, target, mixture).item() == pytest.approx(-6.02, abs=0.05)
    assert error_db(target, target, mixture).item() == pytest.approx(-30.0, abs=0.01)
    assert error_db(0 * target, target, mixture).item() == pytest.approx(0.0, abs=1e-5)
    silence = torch.zeros(1, 2, 100, requires_grad=True)
    error = error_db(silence, torch.zeros(1, 2, 100), torch.zeros(1, 100))
    error.backward()
    assert error.item() == pytest.approx(0.0, abs=1e-5) and silence.grad.isfinite().all()
