"""Filtered noise: filters with both halves, repeatable noise, flat power."""

import pytest
import torch

from ddsp_zoo.dsp.noise import filtered_noise, noise_power, uniform_noise, zero_phase_fir
from ddsp_zoo.dsp.stft import stft


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_flat_response_is_one_impulse_at_the_centre():
    expected = torch.zeros(32)
    expected[16] = 1
    torch.testing.assert_close(zero_phase_fir(torch.ones(17)), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("lag", [1, 5, 12])
def test_both_halves_of_a_response_are_kept(lag):
    magnitude = 1 + torch.cos(torch.pi * lag * torch.arange(17) / 16)
    window = torch.hann_window(32)
    expected = torch.zeros(32)
    expected[16], expected[16 - lag], expected[16 + lag] = 1, 0.5 * window[16 - lag], 0.5 * window[16 + lag]
    torch.testing.assert_close(zero_phase_fir(magnitude), expected, atol=1e-6, rtol=0)


def test_uniform_noise_fills_its_range():
    noise = uniform_noise(torch.zeros(1), (10_000,), seeded())
    assert -1 <= noise.min() < -0.99 and 0.99 < noise.max() < 1
    assert noise.square().mean().item() == pytest.approx(1 / 3, rel=0.03)


def test_magnitude_one_leaves_the_noise_as_it_is():
    audio = filtered_noise(torch.ones(2, 5, 17), 64, seeded())
    noise = uniform_noise(audio, (2, 5, 64), seeded()).flatten(1)
    torch.testing.assert_close(audio, noise, atol=1e-5, rtol=0)
    assert audio.square().mean().item() == pytest.approx(1 / 3, rel=0.1)


def test_a_seed_repeats_the_noise():
    magnitudes = torch.rand(1, 4, 9, generator=seeded())
    first, second, other = (filtered_noise(magnitudes, 32, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)


def test_a_low_pass_takes_the_upper_half_away():
    magnitudes = (torch.arange(65) < 24).float().expand(1, 40, 65)
    power = torch.fft.rfft(filtered_noise(magnitudes, 128, seeded())[0]).abs().square()
    low, high = power[: len(power) // 4].mean(), power[len(power) // 2 :].mean()
    assert low > 1e4 * high


def test_a_silent_frame_keeps_only_its_neighbours_tails():
    magnitudes = torch.ones(1, 3, 9)
    magnitudes[:, 1] = 0
    audio = filtered_noise(magnitudes, 64, seeded())[0]
    assert audio[72:120].abs().max() < 1e-6
    assert audio[:56].abs().max() > 0.5 and audio[136:].abs().max() > 0.5


@pytest.mark.parametrize("n_fft", [128, 512])
def test_expected_power_is_the_mean_over_many_draws(n_fft):
    """Band-limited noise that is loud in the middle third of the time."""
    magnitudes = 0.01 + torch.hann_window(17).expand(1, 30, 17).clone()
    magnitudes[:, 10:20] *= 3
    draws = torch.cat([filtered_noise(magnitudes, 64, seeded(seed)) for seed in range(300)])
    mean = stft(draws, n_fft, 64).abs().square().mean(0)
    expected = noise_power(magnitudes, 64, n_fft)[0]
    assert expected.shape == mean.shape == (n_fft // 2 + 1, 31)
    inside = expected > 0.05 * expected.max()
    assert inside.float().mean() > 0.1
    assert (10 * (expected[inside] / mean[inside]).log10()).abs().mean() < 0.6


def test_gradients():
    magnitudes = torch.rand(1, 3, 5, dtype=torch.float64, generator=seeded()).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: filtered_noise(m, 6, seeded()), magnitudes)
