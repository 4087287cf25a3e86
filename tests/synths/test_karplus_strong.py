"""Plucked strings: pitch to a cent, decay by the book, rests, no glides into a note, and the options of A to D."""

import math

import pytest
import torch

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.karplus_strong import KarplusStrong, fill_pitch

RATE, HOP = 16000, 256
F0_HZ = (70.0, 110.0, 196.3, 329.63, 500.0, 715.7, 1000.0)


def played(f0_hz: torch.Tensor, damping: float, **others: torch.Tensor | float) -> dict[str, torch.Tensor]:
    """Controls of strings (S, N) plucked at frame 0 with a plain burst."""
    onset = torch.zeros_like(f0_hz)
    onset[:, 0] = 1
    fixed = {"excitation_gain": 1.0, "dynamics": 0.0, "feedback": 0.99, "ceiling": 1.0}
    values = fixed | {"damping": damping, "onset": onset, **others}
    shaped = {name: torch.as_tensor(value).expand(f0_hz.shape) for name, value in values.items()}
    return {name: value[None, ..., None] for name, value in (shaped | {"f0_hz": f0_hz}).items()}


def render(
    controls: dict[str, torch.Tensor], oversampling: int = 1, rate: int = RATE, **options: object
) -> torch.Tensor:
    """Audio (S, T)."""
    synth = KarplusStrong(rate, HOP, oversampling=oversampling, **options)
    return synth.render(controls, torch.Generator().manual_seed(0)).audio[0]


def t60_of(audio: torch.Tensor, f0_hz: float, rate: int, seconds: float = 0.25) -> float:
    """T60 in seconds of the fundamental, from its level at 0.05 s and ``seconds`` later."""
    carrier = torch.exp(-2j * torch.pi * f0_hz / rate * torch.arange(len(audio), dtype=torch.float64))
    window = torch.hann_window(size := rate // 10, dtype=torch.float64)
    starts = [round(at * rate) for at in (0.05, 0.05 + seconds)]
    level = [(audio.double() * carrier)[s : s + size].mul(window).sum().abs().log10() for s in starts]
    return seconds * -3 / (level[1] - level[0]).item()


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
    assert t60_of(audio, f0_hz, rate) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("cutoff_hz", [4000.0, 6500.0])
@pytest.mark.parametrize(("rate", "oversampling"), [(16000, 1), (16000, 2), (32000, 1)])
def test_a_one_pole_loop_is_in_tune_too(cutoff_hz, rate, oversampling, loudest_hz):
    frames = round(1.1 * rate / HOP)
    f0 = torch.tensor(F0_HZ)[:, None].expand(-1, frames)
    controls = played(f0, 0.5, cutoff_hz=cutoff_hz, feedback=0.9999)
    audio = render(controls, oversampling, rate, loop_filter="one_pole").double().numpy()[:, rate // 20 :]
    for hz, string in zip(F0_HZ, audio, strict=True):
        heard = loudest_hz(string, rate, hz * 0.95, hz * 1.05)
        assert abs(1200 * math.log2(heard / hz)) < 1, f"{hz} Hz sounds at {heard} Hz"


def response(loop_filter: str, smoothing: float, omega: float) -> complex:
    z = complex(math.cos(omega), -math.sin(omega))
    return (
        1 - smoothing + smoothing * z if loop_filter == "one_zero" else (1 - smoothing) / (1 - smoothing * z)
    )


@pytest.mark.parametrize("seconds", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("f0_hz", [82.41, 196.0, 329.63, 440.0, 659.26])
@pytest.mark.parametrize(
    ("loop_filter", "smoothing"), [("one_zero", 0.05), ("one_zero", 0.3), ("one_pole", 0.3)]
)
def test_a_given_decay_time_is_that_of_the_fundamental(loop_filter, smoothing, f0_hz, seconds):
    """At 32 kHz, or the longest that filter and interpolator leave of a gain of 0.9999."""
    omega = 2 * math.pi * f0_hz / 32000
    passed = response(loop_filter, smoothing, omega)
    eta = math.modf((2 * math.pi + math.atan2(passed.imag, passed.real)) / omega)[0]
    interpolated = response("one_zero", eta, omega)
    longest = -3 / (f0_hz * math.log10(0.9999 * abs(passed * interpolated)))
    options = {"damping": smoothing, "cutoff_hz": 32000 / (2 * math.pi) * (1 / smoothing - 1)}
    controls = played(torch.full((1, 60), f0_hz), **options, t60_seconds=seconds)
    heard = t60_of(render(controls, 2, loop_filter=loop_filter)[0], f0_hz, RATE, min(0.5, seconds))
    assert heard == pytest.approx(min(seconds, longest), rel=0.05)


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
    synth = KarplusStrong(RATE, HOP, oversampling=1)
    noise = torch.rand(1, 3, synth.burst_samples, generator=torch.Generator().manual_seed(0)) * 2 - 1
    burst = synth.burst(torch.tensor([[0.0, 1.0, 0.0]]), noise)[0]
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


@pytest.mark.parametrize("feedback", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("loop_filter", ["one_zero", "one_pole"])
def test_the_loop_never_exceeds_gain_over_one_minus_feedback(loop_filter, feedback):
    """However often it is plucked, and however its pitch moves; without feedback that is the burst alone."""
    f0 = torch.rand(40, 60, generator=torch.Generator().manual_seed(1)) * 300 + 60
    controls = played(f0, 0.2, feedback=feedback, excitation_gain=0.7, onset=1.0, cutoff_hz=8000.0)
    peak = render(controls, loop_filter=loop_filter).abs().max().item()
    assert 0.5 * 0.7 < peak <= 0.7 / (1 - feedback) * (1 + 1e-5)


@pytest.mark.parametrize(("oversampling", "slack"), [(1, 1e-6), (2, 0.4)])
@pytest.mark.parametrize("ceiling", [0.05, 1.0, 3.0])
def test_a_clipped_string_stays_below_its_ceiling(oversampling, slack, ceiling):
    f0 = torch.full((2, 30), 150.0)
    controls = played(f0, 0.1, feedback=0.9999, excitation_gain=ceiling, onset=1.0)
    free = render(controls, oversampling)
    controls = controls | {"ceiling": torch.full_like(controls["ceiling"], ceiling)}
    clipped = render(controls, oversampling, clip=True)
    assert free.abs().max() > 1.2 * ceiling
    assert 0.9 * ceiling < clipped.abs().max() <= (1 + slack) * ceiling  # resampling overshoots


def test_a_string_whose_levels_are_zero_is_silent():
    controls = played(torch.full((2, 30), 150.0), 0.1, excitation_gain=0.0, ceiling=0.0)
    assert (render(controls, clip=True) == 0).all()


def test_nothing_is_clipped_below_the_ceiling():
    controls = played(torch.full((2, 30), 150.0), 0.1)
    plain = render(controls)
    high = controls | {"ceiling": torch.full_like(controls["ceiling"], 2 * plain.abs().max().item())}
    torch.testing.assert_close(render(high, clip=True), plain, atol=1e-6, rtol=1e-5)


def test_a_held_pitch_is_that_of_its_onset(loudest_hz):
    """Neither a glide nor a rest changes it; the next onset does."""
    wandering = torch.tensor([[200.0] * 5 + [260.0] * 5 + [0.0] * 20 + [300.0] * 70])
    onset = torch.zeros_like(wandering)
    onset[:, (0, 40)] = 1
    steady = torch.tensor([[200.0] * 40 + [300.0] * 60])
    audio = render(played(wandering, 0.1, onset=onset), hold_pitch=True)
    assert torch.equal(audio, render(played(steady, 0.1, onset=onset), hold_pitch=True))
    assert not torch.allclose(audio, render(played(wandering, 0.1, onset=onset)), atol=1e-3)
    late = audio.double().numpy()[0, 42 * HOP :]
    assert abs(1200 * math.log2(loudest_hz(late, RATE, 250, 350) / 300)) < 1


def test_a_pluck_without_a_pitch_is_none():
    f0 = torch.tensor([[0.0] * 6 + [200.0] * 6])
    onset = torch.zeros_like(f0)
    onset[:, 3] = 1
    for options in ({}, {"hold_pitch": True}):
        assert not render(played(f0, 0.1, onset=onset), **options).any()


def test_never_ending_noise_needs_no_onset_and_has_no_mean():
    f0 = torch.full((1, 60), 200.0)
    controls = played(f0, 0.1, onset=0.0)
    gain = torch.full((1, 1, 60, 64), 0.1)
    audio = render(controls | {"excitation_gain": gain}, 2, excitation="noise")[0]
    levels = audio[5 * HOP :].unflatten(0, (-1, 11 * HOP)).square().mean(-1).sqrt()
    assert levels.min() > 0.03 and levels.max() < 3 * levels.min()
    assert audio.mean().abs() < 0.02 * levels.mean()
    assert not render(controls | {"excitation_gain": 0 * gain}, 2, excitation="noise").any()


def test_noise_follows_its_64_gains_within_a_frame():
    gain = torch.zeros(1, 1, 6, 64)
    gain[:, :, 3, 32:48] = 1
    controls = played(torch.full((1, 6), 100.0), 0.0, feedback=0.0) | {"excitation_gain": gain}
    power = render(controls, excitation="noise")[0].square()
    begin, end = 3 * HOP + 32 * 4, 3 * HOP + 48 * 4
    assert power[begin:end].sum() > 0.95 * power.sum() > 1
    assert not power[: begin - 4].any()


def test_balance_weighs_the_burst_against_the_string():
    f0 = torch.full((1, 12), 200.0)
    controls = played(f0, 0.0)
    burst = render(played(f0, 0.0, feedback=0.0)).abs().max()
    for balance in (1e-4, 0.3, 1.0):
        mixed = render(controls | {"balance": torch.full((1, 1, 12, 1), balance)})
        plain = render(played(f0, 0.0, feedback=1 - balance, excitation_gain=balance))
        torch.testing.assert_close(mixed, plain, atol=1e-6, rtol=1e-4)
        assert mixed.abs().max() <= burst * (1 + 1e-6)


def test_balance_stays_between_its_bounds_and_starts_with_the_string():
    synth = KarplusStrong(RATE, HOP, ("balance",))
    balance = synth.constrain(torch.tensor([-1e4, 0.0, 1e4])[:, None])["balance"][:, 0].tolist()
    assert balance == pytest.approx([1e-4, 0.018, 1.0], rel=0.05)


def test_what_is_not_predicted_is_fixed_as_the_thesis_has_it():
    raw = torch.zeros(1, 1, 2, 0)
    plain = {name: v[0, 0, 0, 0].item() for name, v in KarplusStrong(RATE, HOP, ()).constrain(raw).items()}
    assert plain == pytest.approx(
        {"excitation_gain": 1, "damping": 0.5, "dynamics": 0, "ceiling": 1, "feedback": 0.9999}
    )
    damped = KarplusStrong(RATE, HOP, ("damping",)).constrain(torch.zeros(1, 1, 2, 1))
    assert damped["feedback"].unique().tolist() == pytest.approx([0.99])


@pytest.mark.parametrize("octaves", [0, 1, 5, 12])
def test_a_pitch_beyond_the_loops_range_sounds_at_its_end(octaves, loudest_hz):
    f0 = torch.full((1, 30), 4000.0 * 2**octaves)
    controls = played(f0, 0.01, feedback=0.999)
    assert torch.equal(
        render(controls, oversampling=2), render(played(f0.clamp(max=4000), 0.01, feedback=0.999), 2)
    )
    heard = loudest_hz(render(controls, oversampling=2)[0].double().numpy()[HOP:], RATE, 3500, 4500)
    assert abs(1200 * math.log2(heard / 4000)) < 10


@pytest.mark.parametrize("oversampling", [1, 2])
def test_a_pitch_below_the_range_sounds_at_twenty_hertz(oversampling):
    low, lowest = (render(played(torch.full((1, 20), hz), 0.1), oversampling) for hz in (0.01, 20.0))
    assert torch.equal(low, lowest) and low.abs().max() > 0.1


def test_onsets_on_consecutive_frames_pluck_anew_each_time():
    f0 = torch.full((1, 12), 200.0)
    onset = torch.zeros_like(f0)
    onset[:, 3:7] = 1
    audio = render(played(f0, 0.1, feedback=0.0, onset=onset))[0].unflatten(0, (12, HOP))
    assert audio.isfinite().all()
    assert (audio.abs().amax(-1) > 0.1).tolist() == [False] * 3 + [True] * 4 + [False] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predicts": ("excitation_gain", "colour")}, "no control 'colour'.*excitation_gain.*t60_seconds"),
        ({"quirks": ("tuning", "late_onsets")}, "no quirk 'late_onsets'.*early_onsets"),
    ],
)
def test_unknown_names_are_refused_with_those_known(options, message):
    with pytest.raises(DdspZooError, match=message):
        KarplusStrong(RATE, HOP, **options)


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
    assert fill_pitch(torch.tensor([given], dtype=torch.float32))[0].tolist() == [held]


def test_before_any_pluck_the_first_pitch_is_held():
    """A string that noise keeps sounding needs no onset; one that has had no pitch yet is not played."""
    f0 = torch.tensor([[0.0] * 4 + [200.0] * 6 + [210.0] * 10 + [0.0] * 10])
    steady = torch.where(torch.arange(30) < 4, 0.0, torch.full_like(f0, 200.0))
    gain = {"excitation_gain": torch.full((1, 1, 30, 64), 0.1)}
    first, second = (
        render(played(hz, 0.1, onset=0.0) | gain, excitation="noise", hold_pitch=True) for hz in (f0, steady)
    )
    assert torch.equal(first, second) and first[:, -HOP:].abs().max() > 0.01
    assert not first[:, : 3 * HOP].any()


@pytest.mark.parametrize(
    ("f0_hz", "options"), [(82.4, {}), (196.3, {"loop_filter": "one_pole"}), (330.0, {"hold_pitch": True})]
)
def test_the_probe_has_the_mean_spectrum_of_many_draws(f0_hz, options):
    """Two plucks of different strength at one pitch, the second while the first rings."""
    onset = torch.zeros(1, 40)
    onset[:, [2, 20]] = 1
    gain = torch.where(torch.arange(40) < 20, 1.0, 0.7)[None]
    controls = played(torch.full((1, 40), f0_hz), 0.2, onset=onset, excitation_gain=gain)
    controls["cutoff_hz"] = controls["f0_hz"] * 0 + 5000.0
    synth = KarplusStrong(RATE, HOP, **options)
    many = {name: value.expand(200, -1, -1, -1) for name, value in controls.items()}
    draws = synth.render(many, torch.Generator().manual_seed(0)).tonal
    mean = synth.power_spectra(many, draws, 2048).mean(0)[0].sum(-1)
    probe, one = (
        synth.power_spectra(controls, tonal, 2048)[0, 0].sum(-1)
        for tonal in (synth.probe(controls).tonal, draws[:1])
    )
    heard = mean > 1e-4 * mean.max()
    probe_db, one_db = (10 * (spectrum / mean)[heard].log10() for spectrum in (probe, one))
    assert probe_db.mean().abs() < 0.5
    assert probe_db.std() < 1 and one_db.std() > 3


def test_a_probe_of_bursts_needs_no_noise_and_one_of_noise_follows_its_generator():
    controls = played(torch.full((2, 30), 110.0), 0.2)
    burst, noise = KarplusStrong(RATE, HOP), KarplusStrong(RATE, HOP, excitation="noise")
    assert torch.equal(burst.probe(controls).tonal, burst.probe(controls).tonal)
    controls |= {"excitation_gain": torch.ones(1, 2, 30, 64)}
    first, same, other = (noise.probe(controls, torch.Generator().manual_seed(s)).tonal for s in (0, 0, 1))
    assert torch.equal(first, same) and not torch.equal(first, other)
    assert not torch.equal(first[:, :, 0], first[:, :, 1])
