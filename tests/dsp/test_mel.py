"""The mel scale and its bands."""

import pytest
import torch

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.dsp.mel import hz_to_mel, mel_filter_bank, mel_grid, mel_to_hz, mel_triangles

LOW_HZ, NYQUIST_HZ = 20.0, 4000.0


@pytest.mark.parametrize(("hz", "mel"), [(0.0, 0.0), (700.0, 781.1728), (1000.0, 999.9855), (6300.0, 2595.0)])
def test_known_values(hz, mel):
    assert hz_to_mel(torch.tensor(hz)).item() == pytest.approx(mel, abs=1e-3)


def test_mel_and_hz_are_inverse():
    hz = torch.linspace(0, 20000, 999, dtype=torch.float64)
    torch.testing.assert_close(mel_to_hz(hz_to_mel(hz)), hz, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("bands", [1, 8, 128])
def test_centres_lie_evenly_between_the_two_ends(bands):
    centres, distance = mel_grid(LOW_HZ, NYQUIST_HZ, bands)
    low, high = hz_to_mel(torch.tensor([LOW_HZ, NYQUIST_HZ])).tolist()
    steps = torch.cat([torch.tensor([low]), centres, torch.tensor([high])]).diff()
    assert len(centres) == bands and (bands + 1) * distance == pytest.approx(high - low, rel=1e-5)
    torch.testing.assert_close(steps, torch.full_like(steps, distance), rtol=1e-3, atol=0)


@pytest.mark.parametrize("bands", [8, 40, 128])
def test_every_frequency_belongs_to_bands_that_sum_to_one(bands):
    weights = mel_triangles(LOW_HZ, NYQUIST_HZ, bands, 513, NYQUIST_HZ)
    assert weights.shape == (bands, 513) and weights.min() == 0
    torch.testing.assert_close(weights.sum(0), torch.ones(513))
    assert ((weights > 0).sum(0) <= 2).all()
    assert weights[0, 0] == weights[-1, -1] == 1


def test_triangles_peak_at_their_centres_and_end_at_the_neighbouring_ones():
    centres, _ = mel_grid(LOW_HZ, NYQUIST_HZ, 8)
    weights = mel_triangles(LOW_HZ, NYQUIST_HZ, 8, 40001, NYQUIST_HZ)
    for band in range(1, 7):
        held = (weights[band] > 1e-4).nonzero()[:, 0]
        found = torch.stack([held[0], weights[band].argmax(), held[-1]]) * (NYQUIST_HZ / 40000)
        torch.testing.assert_close(found, mel_to_hz(centres[band - 1 : band + 2]), rtol=0, atol=0.3)


def test_triangles_interpolate_what_is_linear_in_mel():
    centres, _ = mel_grid(LOW_HZ, NYQUIST_HZ, 16)
    mel = hz_to_mel(torch.linspace(0, NYQUIST_HZ, 257))
    ramp = (3 * centres - 100) @ mel_triangles(LOW_HZ, NYQUIST_HZ, 16, 257, NYQUIST_HZ)
    expected = 3 * mel.clamp(centres[0].item(), centres[-1].item()) - 100
    torch.testing.assert_close(ramp, expected, rtol=1e-5, atol=0.05)


@pytest.mark.parametrize(
    ("low_hz", "rate", "bands", "points"), [(20.0, 8000, 40, 257), (0.0, 16000, 128, 1025)]
)
def test_the_filter_bank_is_that_of_torchaudio(low_hz, rate, bands, points):
    expected = import_torchaudio().functional.melscale_fbanks(points, low_hz, rate / 2, bands, rate)
    found = mel_filter_bank(low_hz, rate / 2, bands, points, rate / 2)
    torch.testing.assert_close(found.T.float(), expected, rtol=1e-3, atol=2e-5)
