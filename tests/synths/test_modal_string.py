"""Strings by their modes: what is declared in pitch, decay, colour and level is what sounds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.karplus_strong import KarplusStrong
from ddsp_zoo.synths.modal_string import EXTRAS, PICK_WIDTH, ModalString

RATE, HOP = 16000, 256
NEUTRAL = {
    "pluck_gain": 0.5,
    "cutoff_hz": 8000.0,
    "t60_seconds": 2.0,
    "treble_loss": 0.01,
    "pick_position": 0.2,
    "body_db": 0.0,
    "inharmonicity": 1e-6,
    "second_share": 0.0,
    "second_speed": 1.0,
    "release_seconds": 0.3,
    "attack_gain": 0.0,
    "attack_seconds": 0.1,
    "attack_db": 0.0,
}


def synth(*extras: str, partials: int = 40) -> ModalString:
    return ModalString(RATE, HOP, extras, partials)


def played(
    string: ModalString, f0_hz: Tensor | float, frames: int = 60, **values: float | Tensor
) -> dict[str, Tensor]:
    """Controls (1, 1, N, k) of a string plucked where its pitch begins, or at the given ``onset``."""
    f0 = torch.as_tensor(f0_hz, dtype=torch.float32).expand(frames)
    onset = values.pop("onset", ((f0 > 0) & (torch.cat([0 * f0[:1], f0[:-1]]) == 0)).float())
    controls = {}
    for control in string.controls.controls:
        value = torch.as_tensor((NEUTRAL | values)[control.name], dtype=torch.float32)
        controls[control.name] = value.expand(frames, control.size)[None, None]
    return controls | {"f0_hz": f0[None, None, :, None], "onset": onset[None, None, :, None]}


def sound(string: ModalString, f0_hz: Tensor | float, frames: int = 60, **values: float | Tensor) -> Tensor:
    controls = played(string, f0_hz, frames, **values)
    return string.render(controls, torch.Generator().manual_seed(0)).audio[0, 0].double()


def level_db(audio: Tensor, hz: float, at_seconds: float, seconds: float = 0.1) -> float:
    """Amplitude of one partial around a moment."""
    start, size = round(at_seconds * RATE), round(seconds * RATE)
    time = torch.arange(start, start + size, dtype=torch.float64) / RATE
    window = torch.hann_window(size, dtype=torch.float64)
    return (
        20
        * (audio[start : start + size] * window * torch.exp(-2j * torch.pi * hz * time))
        .sum()
        .abs()
        .log10()
        .item()
    )


def t60_of(audio: Tensor, hz: float, first: float = 0.05, last: float = 0.75) -> float:
    return 60 * (last - first) / (level_db(audio, hz, first) - level_db(audio, hz, last))


def seeds(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


# Pitch and decay


@pytest.mark.parametrize("extras", [(), ("pick", "body", "polarisation", "release")], ids=["plain", "extras"])
@pytest.mark.parametrize("f0_hz", [70.0, 82.41, 329.63, 1000.0])
def test_pitch_is_exact(f0_hz, extras, loudest_hz):
    audio = sound(synth(*extras), f0_hz, 70).numpy()
    heard = loudest_hz(audio[RATE // 20 :], RATE, f0_hz * 0.95, f0_hz * 1.05)
    assert abs(1200 * math.log2(heard / f0_hz)) < 0.3


@pytest.mark.parametrize("seconds", [0.2, 1.0, 5.0])
@pytest.mark.parametrize("treble_loss", [0.01, 2.0])
def test_each_partial_dies_away_as_declared(seconds, treble_loss):
    f0_hz = 200.0
    audio = sound(synth(), f0_hz, t60_seconds=seconds, treble_loss=treble_loss)
    for number in (1, 3, 10):
        expected = 1 / (1 / seconds + treble_loss * number * f0_hz / 1000)
        assert t60_of(audio, number * f0_hz, last=min(0.75, 0.05 + expected)) == pytest.approx(
            expected, rel=0.03
        )


@pytest.mark.parametrize("f0_hz", [110.0, 246.94])
@pytest.mark.parametrize("seconds", [0.5, 2.0])
def test_a_karplus_strong_loop_of_that_decay_time_dies_away_the_same(f0_hz, seconds):
    loop = KarplusStrong(RATE, HOP, ("t60_seconds", "damping"), oversampling=2)
    modes = played(synth(), f0_hz, t60_seconds=seconds)
    shape = modes["f0_hz"].shape
    controls = {name: torch.full(shape, value) for name, value in (loop.fixed | {"damping": 0.1}).items()}
    given = {name: modes[name] for name in ("f0_hz", "onset", "t60_seconds")}
    looped = loop.render(controls | given, torch.Generator().manual_seed(0)).audio[0, 0].double()
    own = sound(synth(), f0_hz, t60_seconds=seconds)
    assert t60_of(looped, f0_hz, last=0.5) == pytest.approx(t60_of(own, f0_hz, last=0.5), rel=0.05)
    assert t60_of(looped, 8 * f0_hz, last=0.4) < t60_of(looped, f0_hz, last=0.4)  # so does the loop's treble


def test_partials_fall_off_as_those_of_a_pluck_and_a_soft_one_is_darker():
    hard, soft = (
        sound(synth(), 200.0, cutoff_hz=hz, treble_loss=0.0, t60_seconds=30.0) for hz in (8000.0, 400.0)
    )
    for number in (2, 5, 10):
        drop = level_db(hard, 200.0, 0.3) - level_db(hard, number * 200.0, 0.3)
        pole = 10 * math.log10((1 + (number * 200 / 8000) ** 2) / (1 + (200 / 8000) ** 2))
        assert drop == pytest.approx(20 * math.log10(number) + pole, abs=0.3)
    softened = level_db(hard, 2000.0, 0.3) - level_db(soft, 2000.0, 0.3)
    assert softened == pytest.approx(10 * math.log10((1 + 25) / (1 + 0.0625)), abs=0.3)


def test_what_lies_above_nyquist_is_silent():
    audio = sound(synth(partials=96), 1990.0)
    spectrum = torch.fft.rfft(audio[4000:8000] * torch.hann_window(4000, dtype=torch.float64)).abs()
    middle, below, above = spectrum[1:-1], spectrum[:-2], spectrum[2:]
    peaks = ((middle > 0.01 * spectrum.max()) & (middle > below) & (middle >= above)).nonzero()[:, 0] + 1
    assert (4 * peaks).tolist() == pytest.approx([1990, 3980, 5970, 7960], abs=8)  # bins of 4 Hz


# Level


@settings(max_examples=30, deadline=None, derandomize=True)
@given(seed=st.integers(0, 999), scale=st.sampled_from([1.0, 10.0, 1e4]))
def test_no_sample_exceeds_the_sum_of_the_partials(seed, scale):
    draw = torch.Generator().manual_seed(seed)
    string = synth(*EXTRAS, partials=24)
    raw = scale * torch.randn(1, 2, 8, string.controls.channels, generator=draw)
    f0 = 3000 * torch.rand(1, 2, 8, 1, generator=draw) * (torch.rand(1, 2, 8, 1, generator=draw) > 0.3)
    onset = (torch.rand(1, 2, 8, 1, generator=draw) > 0.6).float()
    controls = string.constrain(raw) | {"f0_hz": f0, "onset": onset}
    bound = string.amplitudes(controls).sum(-1).amax(-1)
    audio, tonal, _ = string.render(controls, draw)
    assert (tonal.abs().amax(-1) <= bound * (1 + 1e-5) + 1e-9).all()
    assert audio.isfinite().all() and not torch.equal(audio, tonal)


@pytest.mark.parametrize("extras", [(), EXTRAS], ids=["plain", "extras"])
@pytest.mark.parametrize("pattern", ["random", "high", "low"])
def test_extreme_raw_values_sound_finite_and_gradients_reach_every_control(extras, pattern):
    string = synth(*extras, partials=24)
    raw = torch.randn(1, 1, 12, string.controls.channels, generator=torch.Generator().manual_seed(0))
    raw = {"random": raw, "high": torch.full_like(raw, 1e4), "low": torch.full_like(raw, -1e4)}[pattern]
    raw.requires_grad_()
    f0 = torch.tensor([300.0] * 8 + [0.0] * 4)[None, None, :, None]
    onset = torch.zeros_like(f0)
    onset[:, :, 0] = 1
    controls = string.constrain(raw) | {"f0_hz": f0, "onset": onset}
    audio = string.render(controls, torch.Generator().manual_seed(0)).audio
    assert audio.isfinite().all()
    audio.square().sum().backward()
    assert raw.grad.isfinite().all()
    unheard = (raw.grad.abs().sum((0, 1, 2)) == 0).nonzero().flatten().tolist()
    names = [control.name for control in string.controls.controls for _ in range(control.channels)]
    # Bands of the body below the fundamental colour nothing.
    assert pattern != "random" or [n for n in unheard if names[n] != "body_db"] == []


# When a string sounds


@pytest.mark.parametrize("extras", [(), EXTRAS], ids=["plain", "extras"])
def test_without_a_pitch_nothing_sounds_whatever_the_controls(extras):
    onset = torch.zeros(20)
    for struck in (0, 1):
        onset[5] = struck
        assert not sound(synth(*extras), 0.0, 20, onset=onset, attack_gain=0.5).any()


@pytest.mark.parametrize("extras", [(), EXTRAS], ids=["plain", "extras"])
def test_nothing_sounds_before_the_note_but_its_fade_in(extras):
    f0 = torch.tensor([0.0] * 10 + [220.0] * 10)
    audio = sound(synth(*extras), f0, 20)
    assert not audio[: 9 * HOP].any() and audio[10 * HOP : 11 * HOP].abs().max() > 0.05


def test_a_string_stops_where_its_pitch_does():
    f0 = torch.tensor([220.0] * 10 + [0.0] * 10)
    audio = sound(synth(), f0, 20)
    assert audio[8 * HOP : 9 * HOP].abs().max() > 0.05 and not audio[10 * HOP :].any()


@pytest.mark.parametrize("seconds", [0.1, 0.5])
def test_a_lifted_finger_lets_the_string_die_within_the_time_of_release(seconds, loudest_hz):
    f0 = torch.tensor([220.0] * 10 + [0.0] * 90)
    audio = sound(synth("release"), f0, 100, release_seconds=seconds, t60_seconds=30.0, treble_loss=0.0)
    heard = 60 * seconds * 0.5 / (level_db(audio, 220.0, 0.2) - level_db(audio, 220.0, 0.2 + seconds * 0.5))
    assert heard == pytest.approx(1 / (1 / seconds + 1 / 30), rel=0.03)
    ringing = audio[11 * HOP :].numpy()
    assert loudest_hz(ringing, RATE, 180, 260) == pytest.approx(220, rel=2e-3)


def test_a_released_string_is_plucked_again_at_full_strength():
    f0 = torch.tensor([220.0] * 6 + [0.0] * 20 + [220.0] * 14)
    audio = sound(synth("release"), f0, 40, release_seconds=0.05)
    first, gap, second = (audio[at * HOP : (at + 3) * HOP].abs().max().item() for at in (1, 20, 27))
    assert gap < 0.01 * first and second == pytest.approx(first, rel=0.05)


@pytest.mark.parametrize("extras", [(), EXTRAS], ids=["plain", "extras"])
def test_a_pluck_without_a_pitch_is_none(extras):
    f0 = torch.tensor([220.0] * 10 + [0.0] * 20)
    onset = torch.zeros(30)
    onset[0] = 1
    plain = sound(synth(*extras), f0, 30, onset=onset, attack_gain=0.1)
    astray = onset.clone()
    astray[15] = 1
    torch.testing.assert_close(sound(synth(*extras), f0, 30, onset=astray, attack_gain=0.1), plain)


def test_onsets_on_consecutive_frames_hold_the_string_at_full_strength():
    onset = torch.zeros(30)
    onset[0:20] = 1
    audio = sound(synth(), 220.0, 30, onset=onset, t60_seconds=0.2)
    assert level_db(audio, 220.0, 0.2) == pytest.approx(level_db(audio, 220.0, 0.02), abs=0.1)
    assert level_db(audio, 220.0, 0.36) < level_db(audio, 220.0, 0.2) - 5


def test_controls_of_a_note_are_read_frame_by_frame():
    """Halving the gain from a frame on halves the sound from there on: pooling over notes is the network's affair."""
    gain = torch.where(torch.arange(60) < 30, 0.5, 0.25)[:, None]
    moved, plain = sound(synth(), 220.0, pluck_gain=gain), sound(synth(), 220.0)
    torch.testing.assert_close(moved[: 29 * HOP], plain[: 29 * HOP])
    torch.testing.assert_close(moved[30 * HOP :], plain[30 * HOP :] / 2, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(("asked_hz", "heard_hz"), [(2000.0, 2000.0), (3100.0, 2000.0), (1e6, 2000.0)])
@pytest.mark.parametrize("extras", [(), ("release",)], ids=["plain", "release"])
def test_a_pitch_beyond_the_range_sounds_at_its_end(asked_hz, heard_hz, extras):
    torch.testing.assert_close(sound(synth(*extras), asked_hz, 20), sound(synth(*extras), heard_hz, 20))
    assert torch.equal(sound(synth(*extras), 3.0, 20), sound(synth(*extras), 20.0, 20))


# What the extras do


def test_extras_are_modelled_only_where_they_are_named():
    names = [control.name for control in synth().controls.controls]
    assert names == ["pluck_gain", "cutoff_hz", "t60_seconds", "treble_loss"]
    everything = {control.name for control in synth(*EXTRAS).controls.controls}
    assert everything == set(NEUTRAL) and synth(*reversed(EXTRAS)).controls == synth(*EXTRAS).controls


@pytest.mark.parametrize(("position", "nodes"), [(1 / 2, (2, 4, 6)), (1 / 3, (3, 6)), (1 / 5, (5,))])
def test_a_pick_weakens_the_partials_that_rest_where_it_plucks(position, nodes):
    plain, picked = sound(synth(), 200.0), sound(synth("pick"), 200.0, pick_position=position)
    change = {k: level_db(picked, k * 200.0, 0.2) - level_db(plain, k * 200.0, 0.2) for k in range(1, 7)}
    for number, decibels in change.items():
        power = PICK_WIDTH + (1 - PICK_WIDTH) * math.sin(math.pi * number * position) ** 2
        assert decibels == pytest.approx(10 * math.log10(power), abs=0.3)
    others = min(decibels for number, decibels in change.items() if number not in nodes)
    assert all(change[number] < others - 2 and change[number] < -6 for number in nodes)


def test_the_body_raises_what_lies_in_its_band():
    string = synth("body")
    bands = torch.zeros(24)
    bands[10] = 20.0
    centre = string.centres_hz[10].item()
    assert string.centres_hz[[0, -1]].tolist() == pytest.approx([70, 8000])
    plain, flat, boosted = (
        sound(s, centre / 3, body_db=b) for s, b in ((synth(), 0.0), (string, 0.0), (string, bands))
    )
    torch.testing.assert_close(flat, plain, atol=1e-6, rtol=1e-4)
    for number, gain in ((1, 0), (2, 0), (3, 20), (6, 0), (12, 0)):
        change = level_db(boosted, number * centre / 3, 0.2) - level_db(plain, number * centre / 3, 0.2)
        assert change == pytest.approx(gain, abs=0.3)
    torch.testing.assert_close(
        sound(string, 200.0, body_db=-20.0), sound(synth(), 200.0) / 10, atol=1e-6, rtol=1e-4
    )


def test_stiff_strings_have_stretched_partials(loudest_hz):
    f0_hz, stiffness = 110.0, 4e-4
    audio = sound(
        synth("stiffness"), f0_hz, 70, inharmonicity=stiffness, treble_loss=0.0, t60_seconds=10.0
    ).numpy()
    for number in (1, 5, 15, 30):
        expected = number * f0_hz * math.sqrt(1 + stiffness * number**2)
        heard = loudest_hz(audio[RATE // 20 :], RATE, expected - 50, expected + 50)
        assert abs(1200 * math.log2(heard / expected)) < 0.3
    limp = sound(synth("stiffness"), f0_hz, 70, inharmonicity=1e-6)
    assert loudest_hz(limp.numpy(), RATE, 3200, 3400) == pytest.approx(
        30 * f0_hz * math.sqrt(1 + 9e-4), rel=1e-5
    )


def test_a_second_polarisation_dies_first_and_leaves_the_other():
    share, speed, seconds = 0.8, 10.0, 2.0
    both = sound(synth("polarisation"), 220.0, second_share=share, second_speed=speed, t60_seconds=seconds)
    one = sound(synth(), 220.0, t60_seconds=seconds)
    assert t60_of(both, 220.0, 0.0, 0.1) < 0.4 * seconds
    assert t60_of(both, 220.0, 0.5, 0.8) == pytest.approx(t60_of(one, 220.0, 0.5, 0.8), rel=0.03)
    left = level_db(both, 220.0, 0.7) - level_db(one, 220.0, 0.7)
    assert left == pytest.approx(20 * math.log10(1 - share), abs=0.2)
    for same in ({"second_share": 0.0, "second_speed": 10.0}, {"second_share": 0.5, "second_speed": 1.0}):
        torch.testing.assert_close(sound(synth("polarisation"), 220.0, t60_seconds=seconds, **same), one)


@pytest.mark.parametrize("seconds", [0.05, 0.3])
def test_the_noise_of_an_attack_begins_with_the_note_and_dies_away(seconds):
    f0 = torch.tensor([0.0] * 10 + [220.0] * 40)
    noise = sound(synth("attack"), f0, 50, pluck_gain=0.0, attack_gain=0.5, attack_seconds=seconds)
    assert not noise[: 8 * HOP].any() and noise[10 * HOP : 11 * HOP].square().mean().sqrt() > 0.1
    level = noise[11 * HOP :].unflatten(0, (-1, HOP)).square().mean(-1).log10() * 10
    frames = max(2, round(0.5 * seconds * RATE / HOP))
    fall = (level[0] - level[frames]).item()
    assert fall == pytest.approx(60 * frames * HOP / RATE / seconds, rel=0.25)
    assert not sound(synth("attack"), 220.0, onset=torch.zeros(60), pluck_gain=0.0, attack_gain=0.5).any()


def test_the_colour_of_an_attack_is_that_of_its_bands():
    string = synth("attack")
    (bands,) = (control.size for control in string.controls.controls if control.name == "attack_db")
    dark = torch.linspace(20, -20, bands)
    noise = sound(string, 220.0, 20, pluck_gain=0.0, attack_gain=0.1, attack_seconds=0.5, attack_db=dark)
    power = torch.fft.rfft(noise).abs().square()
    low, middle, high = (part.mean().log10().item() * 10 for part in power.tensor_split(3))
    assert low - middle == pytest.approx(40 / 3 * 1, abs=6) and low - high > 20


def test_masks_count_the_noise_of_an_attack_as_expected_and_not_as_drawn():
    string = synth("attack")
    controls = played(string, 220.0, 20, pluck_gain=0.0, attack_gain=0.5, attack_seconds=0.5)
    spectra = [string.power_spectra(controls, string.render(controls, g).tonal, 1024) for g in seeds(2)]
    assert torch.equal(*spectra)
    drawn = torch.stack([string.render(controls, g).audio[0, 0] for g in seeds(40)])
    window = torch.hann_window(1024)
    heard = torch.stft(drawn, 1024, HOP, window=window, return_complex=True).abs().square().mean(0)
    ratio = spectra[0][0, 0, 8:-8, 2:12].mean(0) / heard[8:-8, 2:12].mean(0)
    assert (10 * ratio.log10()).abs().max() < 1


def test_unknown_extras_are_refused_with_those_known():
    with pytest.raises(DdspZooError, match="'bow' to a modal string.*pick.*release"):
        synth("pick", "bow")


def test_the_prior_of_a_fit_is_the_square_of_the_amplitudes():
    string = synth(*EXTRAS)
    controls = played(string, 220.0, 20)
    prior = string.partial_variance(controls)
    assert prior.shape == (1, 1, 20, 40)
    torch.testing.assert_close(prior, string.amplitudes(controls).square())
    octave = level_db(sound(string, 220.0, 20), 440.0, 0.1) - level_db(sound(string, 220.0, 20), 220.0, 0.1)
    assert 10 * (prior[0, 0, 9, 1] / prior[0, 0, 9, 0]).log10().item() == pytest.approx(octave, abs=0.3)
