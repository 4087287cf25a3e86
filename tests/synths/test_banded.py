"""A sinusoid and noise in every band: places, levels, expected spectra, and where gradients go."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ddsp_zoo.dsp.mel import mel_grid, mel_to_hz
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.synths.banded import BandedSinusoids, sine_lobes
from ddsp_zoo.synths.control import Controls

RATE, HOP, BANDS = 8000, 64, 16


@pytest.fixture
def synth() -> BandedSinusoids:
    return BandedSinusoids(RATE, HOP, BANDS, bins=5, noise_points=65)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def raw_of(synth: BandedSinusoids, frames: int = 20, value: float | None = None) -> Tensor:
    """Two sources of one example: random, or the same value everywhere."""
    shape = (1, 2, frames, synth.controls.channels)
    return torch.randn(shape, generator=seeded()) if value is None else torch.full(shape, value)


def alone(synth: BandedSinusoids, hz: float, amplitude: float = 0.3, frames: int = 40) -> Controls:
    """Controls of one steady sinusoid."""
    controls = {
        name: torch.zeros(1, 1, frames, BANDS) for name in ("frequency_hz", "amplitude", "noise_magnitude")
    }
    controls["frequency_hz"] += 1000.0
    controls["frequency_hz"][..., 5], controls["amplitude"][..., 5] = hz, amplitude
    return controls


# Controls


def test_channels(synth):
    assert synth.controls.channels == BANDS * (5 + 1 + 1)
    assert BandedSinusoids(RATE, HOP).controls.channels == 128 * 7


def test_zeros_put_each_sinusoid_at_the_centre_of_its_band(synth):
    controls = synth.constrain(raw_of(synth, 3, 0.0))
    centres, _ = mel_grid(20.0, RATE / 2, BANDS)
    torch.testing.assert_close(controls["frequency_hz"], mel_to_hz(centres).expand(1, 2, 3, BANDS))


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e4])
def test_sinusoids_stay_in_their_bands_whatever_the_network_says(synth, scale):
    frequency = synth.constrain(scale * raw_of(synth, 200))["frequency_hz"]
    centres, distance = mel_grid(20.0, RATE / 2, BANDS)
    assert (frequency >= mel_to_hz(centres - distance) - 0.01).all()
    assert (frequency <= mel_to_hz(centres + distance) + 0.01).all()
    reached = frequency.amax((0, 1, 2)) - frequency.amin((0, 1, 2))
    span = mel_to_hz(centres + distance) - mel_to_hz(centres - distance)
    assert scale < 30 or (reached > 0.99 * span).all()


@pytest.mark.parametrize("kind", ["tones", "noise", "both"])
def test_loudness_is_the_root_mean_square_of_what_sounds(synth, kind):
    raw = raw_of(synth, 1).expand(1, 2, 60, -1).clone()
    if kind != "both":
        raw[..., BANDS * 6 :] *= 0 if kind == "noise" else 1
        silent = slice(BANDS * 6, None) if kind == "tones" else slice(BANDS * 5, BANDS * 6)
        raw[..., silent] = -1e4
    controls = synth.constrain(raw)
    assert controls["loudness"].shape == (1, 2, 60, 1)
    draws = torch.stack([synth.render(controls, seeded(seed)).audio for seed in range(10)])
    measured = draws[..., 4 * HOP : -4 * HOP].square().mean((0, 1, 3)).sqrt()
    torch.testing.assert_close(controls["loudness"][0, :, 0, 0], measured, rtol=0.04, atol=0)


def test_level_controls_are_linear_in_the_level(synth):
    controls = synth.constrain(raw_of(synth))
    louder = synth.scale(controls, torch.tensor([3.0]))
    once, thrice = (synth.render(c, seeded()).audio for c in (controls, louder))
    torch.testing.assert_close(thrice, 3 * once, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(louder["loudness"], 3 * controls["loudness"])
    assert torch.equal(louder["frequency_hz"], controls["frequency_hz"])
    spectra = [synth.power_spectra(c, once, 512) for c in (controls, louder)]
    torch.testing.assert_close(spectra[1], 9 * spectra[0])


# Sound


def test_a_sinusoid_alone_sounds_as_told(synth, loudest_hz):
    audio = synth.render(alone(synth, 441.0, frames=60)).audio
    assert audio.shape == (1, 1, 60 * HOP)
    assert audio.abs().max().item() == pytest.approx(0.3, abs=1e-3)
    assert loudest_hz(audio[0, 0].numpy().astype(np.float64), RATE, 20, 4000) == pytest.approx(441, abs=0.05)


def test_noise_sounds_in_the_bands_that_have_it(synth):
    controls = synth.constrain(raw_of(synth, 100, -1e4))
    controls["noise_magnitude"][:, 0, :, 9] = 0.5
    sound = synth.render(controls, seeded())
    assert sound.tonal.abs().max() < 1e-5 and sound.audio[0, 1].abs().max() < 1e-4
    power = torch.fft.rfft(sound.audio[0, 0]).abs().square()
    hz = torch.linspace(0, RATE / 2, len(power))
    low, high = mel_to_hz(mel_grid(20.0, RATE / 2, BANDS)[0][[7, 11]])
    assert power[(hz > low) & (hz < high)].sum() > 0.95 * power.sum()


def test_lowest_raw_values_are_silent(synth):
    assert synth.render(synth.constrain(raw_of(synth, 10, -1e4))).audio.abs().max() < 1e-5


def test_the_generator_fixes_the_noise(synth):
    controls = synth.constrain(raw_of(synth))
    first, again, other = (synth.render(controls, seeded(seed)) for seed in (0, 0, 1))
    assert torch.equal(first.audio, again.audio) and torch.equal(first.tonal, other.tonal)
    assert not torch.equal(first.audio, other.audio)


# Expected spectra


@pytest.mark.parametrize("n_fft", [512, 1024])
def test_spectra_of_lone_sinusoids_are_those_of_their_sound(synth, n_fft):
    """At and between bins, down to 20 dB below the peak."""
    for hz in torch.linspace(90, 3900, 29).tolist():
        controls = alone(synth, hz)
        sound = synth.render(controls)
        expected = synth.power_spectra(controls, sound.tonal, n_fft)[0, 0, :, 20]
        measured = stft(sound.audio, n_fft, HOP)[0, 0, :, 20].abs().square()
        near = measured > 0.01 * measured.max()
        assert 2 <= near.sum() <= 4
        assert (10 * (expected[near] / measured[near]).log10()).abs().max() < 0.1
        assert expected.sum() == pytest.approx(measured.sum().item(), rel=0.01)


def test_spectra_of_noise_and_tones_are_the_mean_over_draws_and_phases(synth):
    controls = synth.constrain(raw_of(synth, 1).expand(1, 2, 40, -1))
    for part, tolerance_db in (("noise_magnitude", 1.0), ("amplitude", 0.5)):
        one = {k: v if k in ("frequency_hz", part) else 0 * v for k, v in controls.items()}
        draws = [synth.render(one, seeded(seed)) for seed in range(60 if part == "noise_magnitude" else 1)]
        mean = torch.stack([stft(draw.audio, 512, HOP).abs().square() for draw in draws]).mean((0, 4))
        expected = synth.power_spectra(one, draws[0].tonal, 512)
        assert expected.shape == (1, 2, 257, 41)
        heard, told = torch.stack([mean, expected.mean(-1)]).unfold(-1, 16, 16).sum(-1)  # in 250 Hz
        loud = heard > 0.05 * heard.max()  # a filter also leaks a little
        assert loud.sum() > 16 and (10 * (told / heard)[loud].log10()).abs().max() < tolerance_db, part


def test_spectra_follow_what_comes_and_goes(synth):
    """A tone that begins and noise that ends halfway, each frame as loud as in the sound."""
    controls = alone(synth, 1030.0)
    controls["amplitude"][:, :, :20] = 0
    controls["noise_magnitude"][:, :, :20] = 0.02
    draws = [synth.render(controls, seeded(seed)) for seed in range(60)]
    mean = torch.stack([stft(draw.audio, 512, HOP).abs().square() for draw in draws]).mean(0)
    both = torch.stack([synth.power_spectra(controls, draws[0].tonal, 512), mean])[:, 0, 0]
    for bins in (slice(63, 70), slice(100, 220)):
        expected, heard = both[:, bins, 2:-5].sum(1)
        assert (expected - heard).abs().max() < 0.08 * heard.max()  # a frame late would be 0.3


def test_lobes_are_hann_windows_of_the_right_height():
    """On a bin: 1/4, 1, 1/4 of the height; halfway between two: (8 / 3 pi)^2 both, and a 25th of it beyond."""
    place, amplitude = torch.tensor([[20.0, 30.5]]), torch.tensor([[1.0, 2.0]])
    power = sine_lobes(place, amplitude, 128)[0]
    assert power[19:22].tolist() == pytest.approx([256, 1024, 256], rel=1e-5)
    middle = 4 * 1024 * (8 / (3 * torch.pi)) ** 2
    assert power[29:33].tolist() == pytest.approx([middle / 25, middle, middle, middle / 25], rel=1e-4)
    assert power.count_nonzero() == 3 + 4


def test_lobes_do_not_jump_where_a_frequency_crosses_a_bin():
    place = torch.tensor([[40 - 1e-6], [40.0], [40 + 1e-6]], dtype=torch.float64)
    power = sine_lobes(place, torch.ones_like(place), 128)
    torch.testing.assert_close(power[[0, 2]], power[[1, 1]], rtol=0, atol=0.01)


def test_gradients_of_lobes():
    place = torch.tensor([[3.2, 17.5, 17.9, 61.71]], dtype=torch.float64, requires_grad=True)
    amplitude = torch.tensor([[0.5, 1.0, 0.1, 2.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *given: sine_lobes(*given, 128), (place, amplitude))


@pytest.mark.parametrize("place", [0.0, 0.3, 1.0, 62.9, 63.0, 63.7, 64.0, 70.0])
def test_lobes_at_the_ends_of_the_spectrum_are_finite_and_no_higher_than_elsewhere(place):
    place = torch.tensor([[place]], dtype=torch.float64, requires_grad=True)
    power = sine_lobes(place, torch.ones(1, 1, dtype=torch.float64), 128)
    power.sum().backward()
    assert power.isfinite().all() and power.sum().item() == pytest.approx(1.5 * 32**2, rel=0.01)
    assert place.grad.abs().item() < 10


def test_spectra_of_the_highest_frequencies_are_finite(synth):
    """Bins that are all but certain put the topmost sinusoid at the Nyquist frequency itself."""
    raw = raw_of(synth, 5, 0.0)
    raw.view(1, 2, 5, -1)[..., 4 : 5 * BANDS : 5] = 1e4
    controls = synth.constrain(raw)
    assert controls["frequency_hz"].max() == pytest.approx(RATE / 2, abs=0.01)
    spectra = synth.power_spectra(controls, synth.render(controls).tonal, 512)
    assert spectra.isfinite().all() and spectra.max() < 1e6


# Gradients of the sound


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_gradient_of_the_sound_by_its_frequencies_is_scaled(share):
    def slope(share: float) -> tuple[Tensor, Tensor]:
        synth = BandedSinusoids(RATE, HOP, BANDS, noise_points=65, frequency_gradient=share)
        controls = synth.constrain(raw_of(synth, 6))
        leaves = [controls[name].requires_grad_() for name in ("frequency_hz", "amplitude")]
        heard = synth.render(controls, seeded()).audio.square().sum()
        by_frequency, by_amplitude = torch.autograd.grad(heard, leaves)
        return by_frequency, by_amplitude

    whole, scaled = slope(1.0), slope(share)
    assert whole[0].abs().max() > 0 and whole[1].abs().max() > 0
    torch.testing.assert_close(scaled[0], share * whole[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(scaled[1], whole[1])


def test_the_gradient_of_the_spectra_by_frequencies_is_never_scaled():
    synth = BandedSinusoids(RATE, HOP, BANDS, noise_points=65, frequency_gradient=0.0)
    raw = raw_of(synth, 6).requires_grad_()
    controls = synth.constrain(raw)
    (synth.power_spectra(controls, None, 512) * torch.linspace(0, 1, 257)[:, None]).sum().backward()
    assert raw.grad[..., : 5 * BANDS].abs().amax((0, 1, 2)).min() > 0
