"""Mel bands: known powers, where in a band a partial lies, pictures for the network."""

import math

import pytest
import torch
from torch import Tensor

from ddsp_zoo.dsp.mel import hz_to_mel
from ddsp_zoo.networks.band_features import BandAnalysis, BandPictures

RATE, HOP, N_FFT = 8000, 128, 1024


def sine(hz: float, amplitude: float = 0.5, frames: int = 24) -> Tensor:
    time = torch.arange(frames * HOP, dtype=torch.float64) / RATE
    return (amplitude * torch.sin(2 * math.pi * hz * time + 0.3)).float()[None]


def noise(frames: int = 24, seed: int = 0) -> Tensor:
    return torch.randn(1, frames * HOP, generator=torch.Generator().manual_seed(seed))


def analysis(bands: int = 128, n_fft: int = N_FFT) -> BandAnalysis:
    return BandAnalysis(RATE, n_fft, HOP, bands)


@pytest.mark.parametrize("bands", [16, 128])
@pytest.mark.parametrize("hz", [55.0, 440.0, 1237.0, 3800.0])
def test_the_bands_of_a_sine_hold_its_power(bands, hz):
    bands = analysis(bands)(sine(hz, 0.5))
    assert bands.power.shape == bands.offset.shape
    torch.testing.assert_close(bands.power[0, 6:-6].sum(-1), torch.full((12,), 0.5**2 / 4), rtol=0.01, atol=0)


def test_a_lone_partial_is_found_within_a_hundredth_of_a_band():
    """Between 60 Hz and 3.9 kHz, anywhere in a bin and in a band: the mean over bins does better than the bins."""
    model = analysis()
    hz = torch.logspace(math.log10(60), math.log10(3900), 60)
    bands = model(torch.cat([sine(one) for one in hz.tolist()]))
    band = bands.power[:, 12].argmax(-1)
    offset = bands.offset[torch.arange(60), 12, band]
    found = model.centres[band] + model.distance * offset
    assert ((found - hz_to_mel(hz)).abs() / model.distance).max() < 0.01
    assert offset.min() < -0.4 and offset.max() > 0.4


def test_the_offset_is_where_the_power_lies_between_two_partials():
    """In one wide band, at 1000 and 1100 Hz, the second one of twice the power."""
    model = analysis(8)
    bands = model(sine(1000, 0.1) + sine(1100, 0.1 * 2**0.5))
    band = bands.power[0, 12].argmax()
    expected = (hz_to_mel(torch.tensor(1000 + 100 * 2 / 3)) - model.centres[band]) / model.distance
    assert bands.offset[0, 12, band].item() == pytest.approx(expected.item(), abs=0.05)


@pytest.mark.parametrize("bands", [16, 128])
def test_white_noise_is_as_dense_in_every_band(bands):
    model = analysis(bands)
    density = model(noise(400)).power[0, 8:-8].mean(0) / model.weights.sum(0)
    assert density.mean().item() == pytest.approx(3 / 8 * N_FFT, rel=0.03)
    assert density.std() / density.mean() < 0.1


@pytest.mark.parametrize("n_fft", [256, 1024])
def test_frame_n_is_centred_at_sample_n_hop(n_fft):
    audio = torch.zeros(1, 32 * HOP)
    audio[0, 10 * HOP] = 1
    power = analysis(16, n_fft)(audio).power[0]
    assert power.shape == (32, 16) and power.sum(-1).argmax() == 10
    torch.testing.assert_close(power[9], power[11])


@pytest.mark.parametrize("audio", [torch.zeros(1, 20 * HOP), noise(), 1e-12 * noise(), 1e6 * noise()])
def test_offsets_stay_within_the_neighbouring_centres(audio):
    bands = analysis()(audio)
    assert bands.power.isfinite().all() and bands.power.min() >= 0
    assert bands.offset.abs().max() <= 1


@pytest.mark.parametrize("shape", [(1280,), (3, 1280), (2, 4, 1280), (2, 1300)])
def test_any_axes_before_time_are_kept(shape):
    audio = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    model = analysis(8)
    bands = model(audio)
    assert bands.power.shape == bands.offset.shape == (*shape[:-1], 10, 8)
    alone = model(audio.flatten(0, -2)[-1] if audio.ndim > 1 else audio)
    torch.testing.assert_close(bands.power.reshape(-1, 10, 8)[-1], alone.power)
    torch.testing.assert_close(bands.offset.reshape(-1, 10, 8)[-1], alone.offset)


def test_levels_scale_powers_and_leave_offsets():
    audio, model = noise(), analysis(16)
    once, twice = model(audio), model(2 * audio)
    torch.testing.assert_close(twice.power, 4 * once.power)
    torch.testing.assert_close(twice.offset, once.offset, rtol=0, atol=1e-4)


# Pictures


def test_pictures_are_standardised_one_frame_a_hop():
    audio = torch.cat([noise(40), noise(40, seed=1) * torch.linspace(0.1, 1, 40 * HOP)])
    pictures, bands = BandPictures(RATE, N_FFT, HOP, 16)(audio)
    assert pictures.shape == (2, 3, 40, 16) and bands.power.shape == (2, 40, 16)
    logs = pictures[:, :2]
    torch.testing.assert_close(logs.mean((2, 3)), torch.zeros(2, 2), rtol=0, atol=1e-4)
    torch.testing.assert_close(logs.square().mean((2, 3)), torch.ones(2, 2), rtol=0, atol=2e-3)
    torch.testing.assert_close(pictures[:, 2], bands.offset)


def test_pictures_of_loud_and_soft_are_the_same():
    model, audio = BandPictures(RATE, N_FFT, HOP, 16), noise()
    torch.testing.assert_close(model(0.1 * audio)[0], model(audio)[0], rtol=0, atol=1e-3)


def test_the_short_picture_begins_more_sharply_than_the_long_one():
    audio = noise(40)
    audio[:, : 20 * HOP] = 0
    long, short = BandPictures(RATE, N_FFT, HOP, 16)(audio)[0][0, :2].mean(-1)
    early = [(picture[14:19] - picture[0]) / (picture[30] - picture[0]) for picture in (long, short)]
    assert early[0].max() > 0.5 and early[1].max() < 0.1


def test_what_is_silent_has_no_offset():
    pictures, _ = BandPictures(RATE, N_FFT, HOP, 128)(sine(500))
    assert not pictures[0, 2, 12, :10].any() and not pictures[0, 2, 12, -30:].any()
    pictures, _ = BandPictures(RATE, N_FFT, HOP, 16)(torch.zeros(2, 10 * HOP))
    assert pictures.isfinite().all() and not pictures[:, 2].any()


def test_the_analysis_is_made_again_and_not_saved():
    assert not BandPictures(RATE, N_FFT, HOP, 16).state_dict()
