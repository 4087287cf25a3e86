"""Sinusoids: phase that does not drift, silence above Nyquist, gradients."""

import math

import pytest
import torch

from ddsp_zoo.dsp.frames import upsample_linear
from ddsp_zoo.dsp.oscillator import sinusoidal_bank


def exact(frequency_hz: torch.Tensor, rate: int, hop: int) -> torch.Tensor:
    """Unit sine of one oscillator (N,) by a running sum in float64."""
    cycles = upsample_linear(frequency_hz.double(), hop).cumsum(0) / rate
    return torch.sin(2 * math.pi * cycles)


def snr_db(audio: torch.Tensor, reference: torch.Tensor) -> float:
    return 10 * math.log10((reference.square().sum() / (audio.double() - reference).square().sum()).item())


def test_phase_is_exact_after_five_minutes():
    rate, hop = 8000, 128
    steps = torch.randn(300 * rate // hop, generator=torch.Generator().manual_seed(0))
    frequency = 1000 + 800 * torch.sin(steps.cumsum(0) / 20)
    audio = sinusoidal_bank(frequency[None, :, None], torch.ones(1, len(frequency), 1), rate, hop)[0]
    assert snr_db(audio[-rate:], exact(frequency, rate, hop)[-rate:]) > 90


def test_a_steady_tone():
    audio = sinusoidal_bank(torch.full((1, 4, 1), 100.0), torch.full((1, 4, 1), 0.5), 8000, 20)[0]
    expected = 0.5 * torch.sin(2 * math.pi * 100 / 8000 * torch.arange(1, 81))
    torch.testing.assert_close(audio, expected, atol=1e-6, rtol=0)


def test_oscillators_add_up():
    frequency = torch.tensor([[[100.0, 250.0]]]).expand(1, 3, 2)
    amplitude = torch.tensor([[[0.2, 0.7]]]).expand(1, 3, 2)
    parts = [sinusoidal_bank(frequency[..., k : k + 1], amplitude[..., k : k + 1], 8000, 16) for k in (0, 1)]
    torch.testing.assert_close(sinusoidal_bank(frequency, amplitude, 8000, 16), sum(parts))


@pytest.mark.parametrize(("frequency", "silent"), [(3999.0, False), (4000.0, True), (5000.0, True)])
def test_silent_from_nyquist_on(frequency, silent):
    audio = sinusoidal_bank(torch.full((1, 4, 1), frequency), torch.ones(1, 4, 1), 8000, 100)
    assert (audio.abs().max().item() == 0) == silent


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    frequency = 500 + 1000 * torch.rand(1, 4, 2, dtype=torch.float64, generator=generator)
    amplitude = torch.rand(1, 4, 2, dtype=torch.float64, generator=generator)
    inputs = (frequency.requires_grad_(), amplitude.requires_grad_())
    assert torch.autograd.gradcheck(lambda f, a: sinusoidal_bank(f, a, 8000, 6), inputs)
