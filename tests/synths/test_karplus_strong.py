"""Plucked strings: pitch to a cent, decay by the book, rests, no glides into a note."""

import math

import pytest
import torch

from ddsp_zoo.synths.karplus_strong import KarplusStrong, hold_pitch

RATE, HOP = 16000, 256
F0_HZ = (70.0, 110.0, 196.3, 329.63, 500.0, 715.7, 1000.0)


def played(f0_hz: torch.Tensor, damping: float, **others: torch.Tensor | float) -> dict[str, torch.Tensor]:
    """Controls of strings (S, N) plucked at frame 0 with a plain burst."""
    onset = torch.zeros_like(f0_hz)
    onset[:, 0] = 1
    values = {"excitation_gain": 1.0, "damping": damping, "dynamics": 0.0, "onset": onset, **others}
    shaped = {name: torch.as_tensor(value).expand(f0_hz.shape) for name, value in values.items()}
    return {name: value[None, ..., None] for name, value in (shaped | {"f0_hz": f0_hz}).items()}


def render(controls: dict[str, torch.Tensor], oversampling: int = 1, rate: int = RATE) -> torch.Tensor:
    """Audio (S, T)."""
    synth = KarplusStrong(rate, HOP, oversampling)
    return synth.render(controls, torch.Generator().manual_seed(0)).audio[0]


@pytest.mark.parametrize("damping", [0.01, 0.1, 0.3, 0.5])
@pytest.mark.parametrize(("rate", "oversampling"), [(16000, 1), (16000, 2), (32000, 1)])
def test_pitch_is_within_one_cent(damping, rate, oversampling, loudest_hz):
    frames = round(1.1 * rate / HOP)
    f0 = torch.tensor(F0_HZ)[:, None].expand(-1, frames)
    audio = render(played(f0, damping), oversampling, rate).double().numpy()[:, rate // 20 :]
    for hz, string in zip(F0_HZ, audio, strict=True):
        heard = loudest_hz(string, rate, hz * 0.95, hz * 1.05)
        assert abs(1200 * math.log2(heard / hz)) < 1, f"{hz} Hz sounds at {heard} Hz"


# The last two are tuned to whole delays, where the loop filter alone decides: cos(pi f / rate) for b = 0.5.
@pytest.mark.parametrize(
    ("f0_hz", "damping"), [(110.0, 0.1), (220.0, 0.5), (32000 / 32.5, 0.5), (32000 / 20.5, 0.5)]
)
def test_decay_time_of_the_loop(f0_hz, damping):
    rate = 32000
    loss = abs((1 - damping) + damping * complex(math.cos(a := 2 * math.pi * f0_hz / rate), -math.sin(a)))
    expected = -3 / (f0_hz * math.log10(0.99 * loss))
    audio = render(played(torch.full((1, 100), f0_hz), damping), rate=rate)[0].double()
    carrier = torch.exp(-1j * a * torch.arange(len(audio), dtype=torch.float64))
    window = torch.hann_window(3200, dtype=torch.float64)
    level = [(audio * carrier)[s : s + 3200].mul(window).sum().abs().log10() for s in (1600, 9600)]
    assert (8000 / rate) * -3 / (level[1] - level[0]).item() == pytest.approx(expected, rel=0.05)


def test_softer_dynamics_are_darker():
    frames = torch.full((1, 30), 110.0)
    hard, soft = (render(played(frames, 0.1, dynamics=r))[0] for r in (0.0, 0.9))
    treble = [torch.fft.rfft(audio).abs()[len(audio) // 8 :].sum() for audio in (hard, soft)]
    assert treble[1] < 0.2 * treble[0]


def test_a_string_without_pitch_and_onset_is_silent():
    controls = played(torch.zeros(2, 10), 0.2, onset=0.0)
    assert not render(controls, oversampling=2).any()


def test_an_unvoiced_frame_stops_the_string():
    f0 = torch.full((1, 20), 200.0)
    f0[:, 10:] = 0
    audio = render(played(f0, 0.1), oversampling=2)[0]
    assert audio[9 * HOP : 10 * HOP].abs().max() > 1e-2
    assert audio[11 * HOP :].abs().max() < 1e-5


def test_a_stopped_string_keeps_its_tuning_while_it_rings_off():
    f0 = torch.full((1, 20), 200.0)
    f0[:, 10:] = 0
    ringing = render(played(f0, 0.1))[0, 9 * HOP : 10 * HOP]
    period = round(RATE / 200)
    pair = torch.stack([ringing[:-period], ringing[period:]])
    assert torch.corrcoef(pair)[0, 1] > 0.9


def test_nothing_sounds_before_the_onset():
    onset = torch.zeros(1, 20)
    onset[:, 8] = 1
    audio = render(played(torch.full((1, 20), 200.0), 0.1, onset=onset))[0]
    assert not audio[: 8 * HOP].any()
    assert audio[8 * HOP : 9 * HOP].abs().max() > 0.1


def test_the_pluck_lasts_five_milliseconds():
    synth = KarplusStrong(RATE, HOP)
    burst = synth.burst(torch.tensor([[0.0, 1.0, 0.0]]), HOP, RATE, torch.Generator().manual_seed(0))[0]
    sounding = burst.nonzero().flatten()
    assert (sounding[0].item(), sounding[-1].item()) == (HOP, HOP + 79)


def test_a_note_does_not_glide_from_the_one_before(loudest_hz):
    f0 = torch.tensor([[200.0] * 5 + [400.0] * 60])
    onset = torch.zeros(1, 65)
    onset[:, 5] = 1
    audio = render(played(f0, 0.1, onset=onset)).double().numpy()[0, 5 * HOP :]
    assert abs(1200 * math.log2(loudest_hz(audio, RATE, 300, 500) / 400)) < 1


def test_output_stays_within_the_bound_for_wild_controls():
    generator = torch.Generator().manual_seed(0)
    synth = KarplusStrong(RATE, HOP, oversampling=1)
    controls = synth.constrain(20 * torch.randn(1, 4, 100, 3, generator=generator))
    f0 = 3000 * torch.rand(1, 4, 100, 1, generator=generator)
    audio = synth.render(controls | {"f0_hz": f0, "onset": torch.ones(1, 4, 100, 1)}, generator).audio
    limit = (controls["excitation_gain"].max() / (1 - synth.feedback)).item()
    assert 0.1 < audio.abs().max().item() <= limit


def test_gradients_reach_every_control():
    f0 = torch.full((1, 10), 200.0)
    controls = played(f0, 0.2, dynamics=0.3)
    predicted = ("excitation_gain", "damping", "dynamics")
    controls |= {name: controls[name].clone().requires_grad_() for name in predicted}
    render(controls, oversampling=2).square().sum().backward()
    assert all(controls[name].grad.abs().sum() > 0 for name in predicted)


@pytest.mark.parametrize(
    ("given", "held"),
    [([0, 0, 5e2, 0, 3e2, 0], [5e2, 5e2, 5e2, 5e2, 3e2, 3e2]), ([0, 0], [20, 20]), ([9, 0], [20, 20])],
)
def test_rests_keep_the_tuning(given, held):
    assert hold_pitch(torch.tensor([given], dtype=torch.float32)).tolist() == [held]
