"""Filtered noise: filters with both halves, repeatable noise, flat power."""

import pytest
import torch

from ddsp_zoo.dsp.noise import (
    filter_frames,
    filtered_noise,
    noise_frames,
    noise_power,
    seen_by_stft,
    uniform_noise,
    zero_phase_fir,
)
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.errors import DdspZooError


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
    noise = noise_frames(audio, 5, 64, seeded()).flatten(1)
    torch.testing.assert_close(audio, noise, atol=1e-5, rtol=0)
    assert audio.square().mean().item() == pytest.approx(1 / 3, rel=0.1)


def test_a_seed_repeats_the_noise():
    magnitudes = torch.rand(1, 4, 9, generator=seeded())
    first, second, other = (filtered_noise(magnitudes, 32, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.allclose(first, other)


def naive(noise: torch.Tensor, magnitudes: torch.Tensor) -> torch.Tensor:
    """Every sample of noise adds its frame's impulse response around itself: (N, hop), (N, F) -> (N * hop,)."""
    count, hop = noise.shape
    half = magnitudes.shape[-1] - 1
    audio = noise.new_zeros(count * hop + 2 * half)
    for n, response in enumerate(zero_phase_fir(magnitudes)):
        for j in range(hop):
            audio[n * hop + j : n * hop + j + 2 * half] += noise[n, j] * response
    return audio[half : half + count * hop]


@pytest.mark.parametrize(("hop", "points"), [(16, 9), (5, 17), (1, 2), (40, 5)])
def test_frames_equal_a_convolution_sample_by_sample(hop, points):
    magnitudes = torch.rand(1, 4, points, dtype=torch.float64, generator=seeded())
    noise = noise_frames(magnitudes, 4, hop, seeded(1))
    expected = naive(noise[0], magnitudes[0])
    torch.testing.assert_close(filter_frames(noise, magnitudes)[0], expected, atol=1e-12, rtol=0)


def test_one_filter_serves_for_the_whole_clip():
    magnitudes = torch.rand(3, 1, 9, dtype=torch.float64, generator=seeded())
    still = filtered_noise(magnitudes, 20, seeded(1), count=7)
    moving = filtered_noise(magnitudes.expand(3, 7, 9), 20, seeded(1))
    torch.testing.assert_close(still, moving, atol=1e-14, rtol=0)


def test_noise_is_drawn_frame_by_frame():
    like, generator = torch.zeros(3, 1), seeded()
    parts = torch.cat([noise_frames(like, count, 16, generator) for count in (1, 4, 2)], dim=1)
    assert torch.equal(parts, noise_frames(like, 7, 16, seeded()))


@pytest.mark.parametrize("static", [False, True])
def test_overlapping_chunks_equal_one_pass(static):
    """One frame more on each side is enough for filters that reach no further than a hop."""
    hop, magnitudes = 16, torch.rand(2, 1 if static else 9, 17, dtype=torch.float64, generator=seeded())
    noise = noise_frames(magnitudes, 9, hop, seeded(1))
    whole = filter_frames(noise, magnitudes)
    for first, last in [(0, 3), (3, 4), (4, 9)]:
        start, stop = max(first - 1, 0), last + 1
        filters = magnitudes if static else magnitudes[:, start:stop]
        part = filter_frames(noise[:, start:stop], filters)[:, (first - start) * hop :][
            :, : (last - first) * hop
        ]
        torch.testing.assert_close(part, whole[:, first * hop : last * hop], atol=1e-12, rtol=0)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_bad_magnitudes_are_refused(value):
    magnitudes = torch.ones(2, 3, 5)
    magnitudes[1, 2, 4] = value
    with pytest.raises(DdspZooError, match="finite and not negative"):
        filtered_noise(magnitudes, 8)


@pytest.mark.parametrize(
    "magnitudes",
    [
        torch.ones(2, 3, 1),
        torch.ones(3, 5),
        torch.ones(2, 0, 5),
        torch.ones(0, 3, 5),
        torch.ones(2, 3, 5).long(),
        torch.ones(2, 3, 5).half(),
    ],
)
def test_bad_shapes_and_types_are_refused(magnitudes):
    with pytest.raises(DdspZooError, match="needs float32 or float64 magnitudes"):
        filtered_noise(magnitudes, 8)


def test_a_count_goes_with_one_filter():
    with pytest.raises(DdspZooError, match="leave it out"):
        filtered_noise(torch.ones(2, 3, 5), 8, count=4)


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


@pytest.mark.parametrize(("hop", "n_fft"), [(64, 128), (64, 512), (128, 1024)])
def test_a_window_sees_steady_power_as_it_is_and_half_of_it_at_the_ends(hop, n_fft):
    seen = seen_by_stft(torch.full((2, 3, 20, 5), 0.7), hop, n_fft)
    assert seen.shape == (2, 3, 5, 21)
    reach = n_fft // hop // 2
    torch.testing.assert_close(seen[..., reach:-reach], torch.full((2, 3, 5, 21 - 2 * reach), 0.7))
    torch.testing.assert_close(seen[..., [0, -1]], torch.full((2, 3, 5, 2), 0.35), rtol=0.03, atol=0)


def test_a_lone_frame_is_seen_by_the_windows_over_it_and_lost_by_none():
    power = torch.zeros(20, 1)
    power[7] = 1
    seen = seen_by_stft(power, 64, 512)[0]
    torch.testing.assert_close(seen.sum(), torch.tensor(1.0))
    # Frame 7 lies between the middles of the windows 7 and 8; a periodic window begins with a zero of its own.
    torch.testing.assert_close(seen[:16], seen[:16].flip(0), rtol=0, atol=0.005)
    assert (seen[4:12] > 0).all() and not seen[:4].any() and not seen[12:].any()
    burst = torch.zeros(20 * 64)
    burst[7 * 64 : 8 * 64] = uniform_noise(burst, (64,), seeded())
    measured = stft(burst, 512, 64).abs().square().mean(0)
    torch.testing.assert_close(seen, measured / measured.sum(), rtol=0, atol=0.03)


def test_gradients():
    magnitudes = torch.rand(1, 3, 5, dtype=torch.float64, generator=seeded()).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: filtered_noise(m, 6, seeded()), magnitudes)
    assert torch.autograd.gradcheck(lambda m: filtered_noise(m, 6, seeded(), 4), magnitudes[:, :1])


def test_whole_graphs_compile():
    noise = noise_frames(torch.zeros(2, 1), 3, 16, seeded())
    magnitudes = torch.rand(2, 3, 9, generator=seeded())
    grads = []
    for function in (filter_frames, torch.compile(filter_frames, fullgraph=True, backend="aot_eager")):
        leaf = magnitudes.clone().requires_grad_()
        function(noise, leaf).square().sum().backward()
        grads.append(leaf.grad)
    torch.testing.assert_close(*grads)


def test_noise_of_one_generator_for_each_row_is_that_of_the_row_alone():
    both = noise_frames(torch.zeros(2, 1), 5, 8, [seeded(1), seeded(2)])
    for row, seed in enumerate((1, 2)):
        generator = seeded(seed)
        alone = [noise_frames(torch.zeros(1, 1), count, 8, generator) for count in (2, 3)]
        assert torch.equal(torch.cat(alone, 1)[0], both[row])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_another_number_of_generators_is_refused(count):
    with pytest.raises(DdspZooError, match=f"2 rows needs as many generators.*got {count}"):
        noise_frames(torch.zeros(2, 1), 5, 8, [seeded()] * count)
