"""Controls stay in their declared range; every synthesiser is linear in its level."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddsp_zoo.dsp.mel import mel_grid, mel_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.banded import BandedSinusoids
from ddsp_zoo.synths.control import Control, ControlSet
from ddsp_zoo.synths.harmonic import HarmonicPlusNoise
from ddsp_zoo.synths.karplus_strong import KarplusStrong
from ddsp_zoo.synths.modal_string import ModalString
from ddsp_zoo.synths.sinusoids import SinusoidsPlusNoise

SYNTHS = {
    "sinusoids": SinusoidsPlusNoise(8000, 64, sinusoids=4, noise_bands=9, bins=16),
    "banded sinusoids": BandedSinusoids(8000, 64, bands=8, noise_points=33),
    "strings": KarplusStrong(8000, 64, oversampling=1),
    "decaying strings": KarplusStrong(8000, 64, ("excitation_gain", "t60_seconds"), oversampling=1),
    "one-pole strings": KarplusStrong(8000, 64, ("cutoff_hz", "feedback"), "one_pole", oversampling=1),
    "noisy strings": KarplusStrong(
        8000, 64, ("excitation_gain", "balance"), excitation="noise", oversampling=1
    ),
    "clipped strings": KarplusStrong(8000, 64, ("excitation_gain", "feedback"), clip=True, oversampling=1),
    "harmonics": HarmonicPlusNoise(8000, 64, harmonics=6, noise_bands=9, room_seconds=0.05, pitch_bins=12),
    "modes": ModalString(8000, 64, partials=12),
}
CURVES = [
    Control("level", "1", "", high=0.5, curve="amplitude"),
    Control("share", "1", "", low=-2.0, high=3.0, size=2),
    Control("frequency_hz", "Hz", "", 20.0, 4000.0, size=3, curve="log_bins", bins=8),
    Control("t60_seconds", "s", "", 0.1, 30.0, size=2, curve="log"),
    Control("partial_hz", "Hz", "", 20.0, 4000.0, size=4, curve="mel_bins", bins=5),
]
each_synth = pytest.mark.parametrize("synth", SYNTHS.values(), ids=SYNTHS)
each_curve = pytest.mark.parametrize("control", CURVES, ids=lambda control: control.curve)


def in_range(control: Control, value: torch.Tensor) -> bool:
    low, high = control.low, control.high
    if control.curve == "amplitude":
        low, high = 0, high + 1e-7
    slack = 1e-5 * max(abs(low), high)
    return bool(((value >= low - slack) & (value <= high + slack)).all())


@each_curve
@settings(max_examples=30, deadline=None, derandomize=True)
@given(raw=st.lists(st.floats(-1e4, 1e4, width=32), min_size=24, max_size=24))
def test_any_raw_value_ends_in_range(control, raw):
    value = control.constrain(torch.tensor(raw)[: control.channels])
    assert value.shape == (control.size,)
    assert in_range(control, value)


@each_synth
@pytest.mark.parametrize("pattern", [(1e4,), (-1e4,), (1e4, -1e4)])
def test_extreme_raw_values_stay_finite_with_finite_gradients(synth, pattern):
    channels = synth.controls.channels
    raw = torch.tensor(pattern * channels)[:channels].expand(1, 1, 3, -1).clone().requires_grad_()
    controls = synth.constrain(raw)
    for control in synth.controls.controls:
        assert controls[control.name].shape == (1, 1, 3, control.size)
        assert controls[control.name].isfinite().all()
        if control.name != "amplitude":  # that of the sinusoids is a share of their loudness
            assert in_range(control, controls[control.name])
    sum(value.sum() for value in controls.values()).backward()
    assert raw.grad.isfinite().all()


@pytest.mark.parametrize(
    ("control", "expected"),
    [(CURVES[0], [0.101350]), (CURVES[1], [0.5, 0.5]), (CURVES[3], [3**0.5, 3**0.5])],
    ids=["amplitude", "linear", "log"],
)
def test_silent_network(control, expected):
    assert control.constrain(torch.zeros(control.channels)).tolist() == pytest.approx(expected, rel=1e-4)


def test_frequencies_of_a_silent_network_are_spread_in_order():
    values = CURVES[2].constrain(torch.zeros(24))
    assert values[0] < 100 < values[1] < 1000 < values[2]


def test_confident_logits_pick_their_bin():
    raw = torch.zeros(3, 8)
    raw[:, (0)] = 1000.0
    raw[1, 7] = 2000.0
    assert CURVES[2].constrain(raw.flatten()).tolist() == pytest.approx([20.0, 4000.0, 20.0], rel=1e-4)


def mel_bands() -> tuple[torch.Tensor, float]:
    return mel_grid(20.0, 4000.0, 4)


def test_mel_bands_of_a_silent_network_are_at_their_centres():
    torch.testing.assert_close(CURVES[4].constrain(torch.zeros(20)), mel_to_hz(mel_bands()[0]))


@pytest.mark.parametrize(("bin", "offset"), [(0, -1.0), (1, -0.5), (2, 0.0), (3, 0.5), (4, 1.0)])
def test_confident_logits_pick_a_place_in_their_own_mel_band(bin, offset):
    raw, (centres, distance) = torch.zeros(4, 5), mel_bands()
    raw[1, bin] = 1000.0
    expected = centres.clone()
    expected[1] += offset * distance
    torch.testing.assert_close(CURVES[4].constrain(raw.flatten()), mel_to_hz(expected))


def test_mel_bands_take_the_expectation_in_mel():
    """Three quarters of the belief on the centre above, a quarter on the own one."""
    raw, (centres, distance) = torch.full((4, 5), -1000.0), mel_bands()
    raw[:, [2, 4]] = 0.5
    raw[:, 4] += torch.tensor(3.0).log()
    torch.testing.assert_close(CURVES[4].constrain(raw.flatten()), mel_to_hz(centres + 0.75 * distance))


def test_offset_moves_the_start():
    quiet = Control("level", "1", "", curve="amplitude", offset=-5.0)
    assert quiet.constrain(torch.zeros(1)).item() == pytest.approx(1e-5, rel=0.1)


def test_equal_steps_towards_the_ends_of_a_log_range_are_equal_ratios():
    low, middle, high = CURVES[3].constrain(torch.tensor([[-1.3, -1.3], [0, 0], [1.3, 1.3]]))[:, 0]
    assert (middle / low).item() == pytest.approx((high / middle).item(), rel=1e-5)
    assert CURVES[3].constrain(torch.tensor([-1e4, 1e4])).tolist() == pytest.approx([0.1, 30.0], rel=1e-5)


def test_channels_are_counted_over_sizes_and_bins():
    assert [control.channels for control in CURVES] == [1, 2, 24, 2, 20]
    assert ControlSet(tuple(CURVES)).channels == 49


def test_wrong_number_of_channels():
    with pytest.raises(DdspZooError, match="reads 49 raw controls, got 26"):
        ControlSet(tuple(CURVES)).constrain(torch.zeros(26))


@each_synth
def test_twice_the_level_is_twice_the_audio(synth):
    generator = torch.Generator().manual_seed(0)
    controls = synth.constrain(torch.randn(2, 1, 8, synth.controls.channels, generator=generator))
    pitch = {"f0_hz": torch.full((2, 1, 8, 1), 200.0), "onset": torch.zeros(2, 1, 8, 1)}
    pitch["onset"][:, :, 2] = 1
    level = torch.tensor([0.5, 3.0])
    plain = synth.render(controls | pitch, torch.Generator().manual_seed(1)).audio
    scaled = synth.render(synth.scale(controls, level) | pitch, torch.Generator().manual_seed(1)).audio
    assert plain.abs().amax(-1).min() > 1e-3
    torch.testing.assert_close(scaled, plain * level[:, None, None], atol=1e-6, rtol=1e-4)
