"""The voice: identity filter, harmonics, breath, expected spectra, wild controls, gradients."""

import numpy as np
import pytest
import torch
from scipy.signal import freqz

from ddsp_zoo.dsp.lsf import lsf_from_logits, lsf_to_coefficients
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.synths.source_filter import SourceFilter

RATE, HOP, FRAMES = 16000, 256, 40


@pytest.fixture(params=["samplewise", "framewise"])
def synth(request) -> SourceFilter:
    return SourceFilter(RATE, HOP, filtering=request.param)


def voice(synth: SourceFilter, f0_hz: float, folds: float, breath: float, seed: int | None = None) -> dict:
    """Controls of one steady voice (1, 1, FRAMES, k), with the identity filter or a random one."""
    logits = torch.zeros(1, 1, FRAMES, 21)
    if seed is not None:
        logits += torch.randn(21, generator=torch.Generator().manual_seed(seed))
    return {
        "f0_hz": torch.full((1, 1, FRAMES, 1), f0_hz),
        "harmonic_amplitude": torch.full((1, 1, FRAMES, 1), folds),
        "noise_gain": torch.full((1, 1, FRAMES, 1), breath),
        "noise_magnitude": torch.ones(1, 1, FRAMES, 40),
        "lsf_hz": lsf_from_logits(logits) * (RATE / (2 * np.pi)),
    }


def test_raw_controls_number_63():
    synth = SourceFilter(RATE, HOP)
    assert synth.controls.channels == 1 + 1 + 21 + 40


def test_harmonics_share_the_amplitude_and_fall_by_six_db_per_octave(synth):
    audio = synth.render(voice(synth, 100.0, 0.8, 0.0)).audio[0, 0, 4 * HOP : -4 * HOP].double().numpy()
    audio = audio[: len(audio) // 160 * 160]  # whole periods
    level = np.abs(np.fft.rfft(audio)) / len(audio) * 2
    lines = level[:: len(audio) // 160]
    expected = 0.8 / 79 * np.minimum(1, 200 / (100 * np.arange(1, 80)))
    np.testing.assert_allclose(lines[1:80], expected, rtol=2e-3, atol=1e-7)


def test_the_vocal_tract_colours_the_harmonics(synth):
    plain, coloured = (
        synth.render(voice(synth, 125.0, 0.8, 0.0, seed)).audio[0, 0, 10 * HOP : 30 * HOP].double().numpy()
        for seed in (None, 3)
    )
    ratio = np.abs(np.fft.rfft(coloured * np.hanning(5120))) / np.abs(np.fft.rfft(plain * np.hanning(5120)))
    lsf = voice(synth, 125.0, 0.8, 0.0, 3)["lsf_hz"][0, 0, 0].double() * (2 * np.pi / RATE)
    a = np.concatenate([[1], lsf_to_coefficients(lsf).numpy()])
    lines = np.arange(1, 60) * 40  # harmonics of 125 Hz in bins of 3.125 Hz
    _, response = freqz(1, a, 2 * np.pi * lines / 5120)
    tolerance = 0.02 if synth.filtering == "samplewise" else 0.1
    np.testing.assert_allclose(ratio[lines], np.abs(response), rtol=tolerance)


def test_an_unvoiced_voice_only_breathes(synth):
    controls = voice(synth, 0.0, 1.0, 0.3)
    sound = synth.render(controls, torch.Generator().manual_seed(0))
    assert not sound.tonal.any()
    assert sound.audio.square().mean().sqrt().item() == pytest.approx(0.3 / 3**0.5, rel=0.1)


def test_expected_spectra_are_the_mean_of_many_draws(synth):
    if synth.filtering == "framewise":
        pytest.skip("the published scheme loses what rings on, which the expectation leaves out")
    controls = {k: v.expand(1, 64, FRAMES, -1) for k, v in voice(synth, 200.0, 0.5, 0.5, seed=1).items()}
    sound = synth.render(controls, torch.Generator().manual_seed(0))
    drawn = stft(sound.audio, 2048, HOP).abs().square().mean(1)[..., 10:30].mean(-1)
    expected = synth.power_spectra(controls, sound.tonal, 2048)[:, 0, :, 10:30].mean(-1)
    ratio = (drawn / expected)[0, 20:-20].log10().mul(10)
    assert ratio.mean().abs() < 0.5 and ratio.std() < 1.5


def test_wild_controls_stay_finite(synth):
    raw = 1e4 * torch.randn(1, 3, FRAMES, 63, generator=torch.Generator().manual_seed(0))
    controls = synth.constrain(raw.requires_grad_())
    f0 = 2000 * torch.rand(1, 3, FRAMES, 1, generator=torch.Generator().manual_seed(1))
    audio = synth.render(controls | {"f0_hz": f0 * (f0 > 500)}).audio
    assert audio.isfinite().all()
    audio.square().mean().backward()
    assert raw.grad.isfinite().all()


def test_gradients_reach_every_control(synth):
    controls = {k: v.clone().requires_grad_() for k, v in voice(synth, 200.0, 0.5, 0.5, seed=2).items()}
    synth.render(controls, torch.Generator().manual_seed(0)).audio.square().sum().backward()
    assert all(value.grad.abs().sum() > 0 for value in controls.values())
