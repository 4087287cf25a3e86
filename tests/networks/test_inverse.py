"""What the encoders of inverse synthesis know before they learn."""

import pytest
import torch

from ddsp_zoo.models import InverseSynthesis
from ddsp_zoo.networks.inverse import HarmonicEncoder


@pytest.fixture(scope="module")
def untrained() -> InverseSynthesis:
    return InverseSynthesis(segment_seconds=1.024, sinusoid_bins=32, harmonics=30, width=8).eval()


@pytest.mark.parametrize("hz", [110.0, 233.0, 440.0, 700.0])
def test_the_pitch_of_a_plain_tone_is_found_before_anything_is_learned(
    hz: float, untrained: InverseSynthesis
) -> None:
    time = torch.arange(16384) / 16000
    tone = sum(torch.sin(2 * torch.pi * hz * h * time) / h for h in range(1, 8))
    with torch.no_grad():
        f0_hz = untrained.predict_controls(0.2 * tone[None])["f0_hz"][0, 0, 4:-4, 0]
    assert (1200 * (f0_hz / hz).log2()).abs().max() < 60


def test_the_sinusoids_begin_where_the_spectrogram_is_loud(untrained: InverseSynthesis) -> None:
    time = torch.arange(16384) / 16000
    with torch.no_grad():
        found, _ = untrained.analyse(torch.sin(2 * torch.pi * 1000 * time)[None])
    loudest = found["amplitude"][0, 0, 16].argmax()
    assert found["frequency_hz"][0, 0, 16, loudest].item() == pytest.approx(1000, rel=0.05)


def test_candidates_are_judged_by_their_harmonics(untrained: InverseSynthesis) -> None:
    encoder: HarmonicEncoder = untrained.harmonic
    lines = torch.zeros(1, 1, 100) + 10.0, torch.zeros(1, 1, 100)
    lines[0][..., :5] = 100.0 * torch.arange(1, 6)
    lines[1][..., :5] = 0.1
    salience = encoder.salience(*lines)[0, 0]
    best = 30 * 2 ** (salience.argmax() / encoder.per_octave)
    assert best.item() == pytest.approx(100, rel=0.02) and salience.max() == 1
    silent = encoder.salience(lines[0], torch.zeros(1, 1, 100))
    assert silent.isfinite().all() and not silent.any()
