"""Spectral losses: known values, agreement with auraloss, and safety on silence."""

import math
from collections.abc import Callable

import pytest
import torch

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.learning.losses import (
    FFT_SIZES,
    MultiResolutionStftLoss,
    MultiScaleSpectralLoss,
    error_db,
    mask_error_db,
    multi_scale_spectral_distance,
)
from ddsp_zoo.separation.masks import apply_masks, soft_masks

WINDOW = {"n_fft": 256, "hop": 64}


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
    torch.library.opcheck(torch.ops.ddsp_zoo.spectral_distance.default, (a, b, [32, 16], [8, 4], 1.0, 1e-5, True))


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
        sizes,
        [n // 4 for n in sizes],
        sizes,
        w_lin_mag=0.5,
        perceptual_weighting=a_weighting,
        sample_rate=8000,
    )
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


def masked_pair(masks: torch.Tensor, target: torch.Tensor, mixture: torch.Tensor) -> tuple[float, float]:
    """The error of masks as taken in the spectrogram, and that of the audio they make."""
    audio = apply_masks(mixture, masks, **WINDOW)
    return mask_error_db(masks, target, mixture, **WINDOW).item(), error_db(audio, target, mixture).item()


@pytest.mark.parametrize("gain", [0.0, 0.3, 1.0])
def test_masks_that_are_one_gain_err_in_the_spectrogram_as_in_audio(gain: float) -> None:
    target = torch.stack([noise(2, 8000), 0.3 * noise(2, 8000, seed=1)], dim=1)
    mixture = target.sum(1)
    masks = torch.full((2, 2, 129, 126), gain)
    assert masked_pair(masks, target, mixture)[0] == pytest.approx(
        masked_pair(masks, target, mixture)[1], abs=0.05
    )


def test_a_true_mask_reaches_the_floor_and_half_of_it_errs_by_6_db() -> None:
    target = noise(2, 1, 8000)
    whole = torch.ones(2, 1, 129, 126)
    for masks, expected in ((whole, -30.0), (whole / 2, -6.0), (0 * whole, 0.0)):
        measured = mask_error_db(masks, target, target[:, 0], **WINDOW, silent_floor=1e-3).item()
        assert measured == pytest.approx(expected, abs=0.05)
    alone = mask_error_db(whole, target, target[:, 0], **WINDOW, silent_floor=0.05).item()
    assert alone == pytest.approx(10 * math.log10(0.05 / 1.05), abs=0.05)  # to leave silence is worth no more


@pytest.mark.parametrize(
    ("level", "silent_floor", "expected"), [(0.0, 0.05, 13.22), (0.0, 1e-3, 30.0), (0.02, 0.05, 13.2)]
)
def test_what_a_mask_leaves_in_a_silent_target_counts_from_a_floor_of_its_own(
    level: float, silent_floor: float, expected: float
) -> None:
    """All of the mixture where nothing should be: 10 log10((1 + floor) / floor), also for a stem 34 dB below it."""
    mixture = noise(2, 8000)
    masks = torch.ones(2, 1, 129, 126)
    target = level * noise(2, 1, 8000, seed=1)
    error = mask_error_db(masks, target, mixture, **WINDOW, silent_floor=silent_floor)
    assert error.item() == pytest.approx(expected, abs=0.1)
    heard = 0.1 * mixture[:, None]  # loud enough to be heard, so its errors count to the last
    error = mask_error_db(masks, heard, mixture, **WINDOW, silent_floor=silent_floor)
    assert error.item() == pytest.approx(10 * math.log10(0.811 / 0.011), abs=0.05)


def test_the_error_of_a_mask_is_hardly_above_that_of_its_audio_where_sources_lie_apart() -> None:
    """Two tones are told apart exactly; of noises in one place, what no audio can have is counted too."""
    time = torch.arange(8000) / 8000
    tones = 0.3 * torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in (500, 2100)])[None]
    seen, heard = masked_pair(soft_masks(tones, 2.0, **WINDOW), tones, tones.sum(1))
    assert seen == pytest.approx(heard, abs=0.3) and seen < -25
    noises = noise(1, 2, 8000)
    seen, heard = masked_pair(soft_masks(noises, 2.0, **WINDOW), noises, noises.sum(1))
    assert heard < seen < heard + 2


def test_gradient_of_a_mask_leads_to_the_truth_and_is_finite_on_silence() -> None:
    target = torch.stack([noise(1, 4000), 0.0 * noise(1, 4000)], dim=1)
    masks = torch.full((1, 2, 129, 64), 0.5, requires_grad=True)
    mask_error_db(masks, target, target.sum(1), **WINDOW).backward()
    assert (masks.grad[:, 0] <= 0).all() and (
        masks.grad[:, 1] >= 0
    ).all()  # more of the one, less of the silent
    assert masks.grad.abs().amax((0, 2, 3)).min() > 0
    silence = torch.zeros(1, 2, 4000)
    masks = torch.full((1, 2, 129, 64), 0.5, requires_grad=True)
    error = mask_error_db(masks, silence, silence[:, 0], **WINDOW)
    error.backward()
    assert error.item() == pytest.approx(0, abs=1e-5) and masks.grad.isfinite().all()


def test_gradient_of_mask_error_in_double_precision() -> None:
    target = noise(1, 2, 100).double()
    mixture = target.sum(1) + noise(1, 100, seed=3).double()
    masks = torch.rand(1, 2, 9, 14, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.autograd.gradcheck(
        lambda m: mask_error_db(m, target, mixture, 16, 8), masks.requires_grad_()
    )
