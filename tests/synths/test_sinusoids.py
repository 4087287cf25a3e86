"""Sinusoids plus noise: normalised amplitudes, pure tones, silence."""

import numpy as np
import pytest
import torch

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.synths.sinusoids import SinusoidsPlusNoise

RATE, HOP = 8000, 64


@pytest.fixture
def synth() -> SinusoidsPlusNoise:
    return SinusoidsPlusNoise(RATE, HOP, sinusoids=5, noise_bands=9, bins=16)


def test_channels(synth):
    assert synth.controls.channels == 5 * 16 + 5 + 1 + 9


def test_amplitudes_sum_to_the_loudness(synth):
    controls = synth.constrain(torch.randn(2, 3, 7, 95, generator=torch.Generator().manual_seed(0)))
    assert controls["amplitude"].shape == (2, 3, 7, 5)
    torch.testing.assert_close(controls["amplitude"].sum(-1, keepdim=True), controls["loudness"])


def test_one_sinusoid_alone(synth, loudest_hz):
    controls = {
        "frequency_hz": torch.full((1, 2, 60, 5), 441.0),
        "amplitude": torch.zeros(1, 2, 60, 5),
        "loudness": torch.zeros(1, 2, 60, 1),
        "noise_magnitude": torch.zeros(1, 2, 60, 9),
    }
    controls["amplitude"][:, 0, :, 3] = 0.5
    audio = synth.render(controls).audio
    assert audio.shape == (1, 2, 60 * HOP)
    assert audio[0, 0].abs().max().item() == pytest.approx(0.5, abs=1e-3)
    assert loudest_hz(audio[0, 0].numpy().astype(np.float64), RATE, 20, 4000) == pytest.approx(441, abs=0.05)
    assert not audio[0, 1].any()


def test_lowest_raw_values_are_silent(synth):
    audio = synth.render(synth.constrain(torch.full((1, 1, 10, 95), -1e4))).audio
    assert audio.abs().max() < 1e-5


def test_the_generator_fixes_the_noise(synth):
    controls = synth.constrain(torch.zeros(1, 1, 10, 95))
    first, again, other = (synth.render(controls, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.audio, again.audio)
    assert not torch.equal(first.audio, other.audio)
    assert torch.equal(first.tonal, other.tonal)


def test_power_spectra_expect_the_noise_and_hear_the_tones(synth):
    controls = synth.constrain(torch.randn(1, 2, 20, 95, generator=torch.Generator().manual_seed(0)))
    controls["noise_magnitude"] *= 20
    draws = [synth.render(controls, torch.Generator().manual_seed(seed)) for seed in range(150)]
    mean = torch.stack([stft(draw.audio, 512, HOP).abs().square() for draw in draws]).mean(0)
    expected = synth.power_spectra(controls, draws[0].tonal, 512)
    assert expected.shape == (1, 2, 257, 21)
    middle = slice(4, -4)
    ratio_db = 10 * (expected.mean(2) / mean.mean(2)).log10()[..., middle]
    assert ratio_db.abs().max() < 1
