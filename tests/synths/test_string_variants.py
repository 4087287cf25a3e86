"""The string of every experiment as its recipe names it, and what each of the authors' quirks changes."""

import inspect
import math
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.karplus_strong import KarplusStrong
from ddsp_zoo.synths.string_controls import QUIRKS

RATE, HOP = 16000, 256
FOLDER = Path(__file__).resolve().parents[2] / "recipes"
GIVEN = inspect.signature(KarplusStrong).parameters


def strings_of(recipe: Path) -> KarplusStrong:
    named = yaml.safe_load(recipe.read_text())["model"]["init_args"]
    return KarplusStrong(**{name: x for name, x in named.items() if name in GIVEN}, hop=HOP)


def karplus(recipe: Path) -> bool:
    return yaml.safe_load(recipe.read_text())["model"]["class_path"].endswith("KarplusStrongStrings")


PLAIN = {path.stem: strings_of(path) for path in sorted(FOLDER.glob("ex*.yaml")) if karplus(path)}
PUBLISHED = {path.stem: strings_of(path) for path in sorted(FOLDER.glob("as_published/ex*.yaml"))}
each_plain = pytest.mark.parametrize("synth", PLAIN.values(), ids=PLAIN)
each_published = pytest.mark.parametrize("synth", PUBLISHED.values(), ids=PUBLISHED)


def notes(frames: int = 12) -> dict[str, Tensor]:
    """Two strings (1, 2, N, 1): one with a rest and two plucks, one plucked once at the start."""
    f0 = torch.full((1, 2, frames, 1), 330.0)
    f0[0, 0, :2], f0[0, 0, 2:6] = 0, 110.0
    onset = torch.zeros_like(f0)
    onset[0, 0, (2, 6)] = onset[0, 1, 0] = 1
    return {"f0_hz": f0, "onset": onset}


def play(synth: KarplusStrong, raw: Tensor, given: dict[str, Tensor]) -> Tensor:
    return synth.render(synth.constrain(raw) | given, torch.Generator().manual_seed(0)).audio


def named(synth: KarplusStrong, given: dict[str, Tensor], **values: float) -> dict[str, Tensor]:
    """Controls of strings without a network: those that are fixed, and ``values``."""
    shape = given["f0_hz"].shape
    return {name: torch.full(shape, value) for name, value in (synth.fixed | values).items()} | given


def sound(synth: KarplusStrong, given: dict[str, Tensor], **values: float) -> Tensor:
    return synth.render(named(synth, given, **values), torch.Generator().manual_seed(0)).audio


def note(f0_hz: float, frames: int, onset_at: int = 0) -> dict[str, Tensor]:
    f0 = torch.full((1, 1, frames, 1), f0_hz)
    onset = torch.zeros_like(f0)
    onset[:, :, onset_at] = 1
    return {"f0_hz": f0, "onset": onset}


# Every variant


def test_there_is_a_published_form_of_every_experiment_of_the_thesis():
    names = {"exA1", "exA2", "exB0", "exB1", "exB2", "exB2_1", "exB3", "exB4", "exC1", "exC2", "exD1", "exD2"}
    assert set(PUBLISHED) == names and names < set(PLAIN)
    for name in names:
        plain, published = PLAIN[name], PUBLISHED[name]
        assert not plain.quirks and {"tuning", "held_controls", "rings_on"} < published.quirks
        assert published.chunked and not plain.chunked
        assert (plain.loop_rate, plain.loop_filter) == (published.loop_rate, published.loop_filter)
        assert (plain.hold_pitch, plain.excitation) == (published.hold_pitch, published.excitation)
        predicted = [[c.name for c in synth.controls.controls] for synth in (plain, published)]
        assert predicted[0] == predicted[1] or name.startswith("exD")  # the plain ones weigh burst and string


@each_plain
def test_any_raw_values_sound_finite_with_finite_gradients_in_every_control(synth):
    shape = (1, 2, 12, synth.controls.channels)
    random = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    for raw in (random, 1e4 * random.sign(), torch.full(shape, 1e4), torch.full(shape, -1e4)):
        raw = raw.clone().requires_grad_()
        audio = play(synth, raw, notes())
        assert audio.shape == (1, 2, 12 * HOP) and audio.isfinite().all()
        if raw.numel():  # experiment B0 predicts nothing
            audio.square().mean().backward()
            assert raw.grad.isfinite().all()
            if raw.detach().equal(random):
                assert (raw.grad.abs().sum((0, 1, 2)) > 0).all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    predicts=st.sets(st.sampled_from(sorted(KarplusStrong(RATE, HOP).known))),
    loop_filter=st.sampled_from(["one_zero", "one_pole"]),
    excitation=st.sampled_from(["burst", "noise"]),
    hold_pitch=st.booleans(),
    clip=st.booleans(),
    oversampling=st.integers(1, 2),
    seed=st.integers(0, 99),
    quirks=st.sets(st.sampled_from(sorted(QUIRKS))),
    chunk_seconds=st.sampled_from([0.0, 0.016, 0.064]),
)
def test_any_choice_of_options_is_stable(
    predicts, loop_filter, excitation, hold_pitch, clip, oversampling, seed, quirks, chunk_seconds
):
    """But for the ranges that the authors gave, and a DC blocker in a loop that hardly loses anything."""
    if loop_filter == "one_pole" or clip:
        quirks = quirks - {"filters_sum"}
    if loop_filter == "one_pole":
        predicts = predicts | {"cutoff_hz"}
    if excitation == "noise":
        predicts = predicts | {"excitation_gain"}
    synth = KarplusStrong(
        RATE,
        HOP,
        sorted(predicts),
        loop_filter,
        excitation,
        hold_pitch,
        clip,
        oversampling,
        tuple(quirks),
        chunk_seconds=chunk_seconds,
    )
    draw = torch.Generator().manual_seed(seed)
    raw = 50 * torch.randn(1, 2, 6, synth.controls.channels, generator=draw)
    f0 = 5000 * torch.rand(1, 2, 6, 1, generator=draw) * (torch.rand(1, 2, 6, 1, generator=draw) > 0.2)
    onset = (torch.rand(1, 2, 6, 1, generator=draw) > 0.5).float()
    raw.requires_grad_()
    audio = play(synth, raw, {"f0_hz": f0, "onset": onset})
    assert audio.isfinite().all() and audio.abs().max() < 3 * 6  # of bursts, none of which grows
    (audio.square().sum() + 0 * raw.sum()).backward()
    assert raw.grad.isfinite().all()


@each_plain
def test_a_silent_network_makes_a_string_that_sounds_and_dies_away(synth):
    audio = play(synth, torch.zeros(1, 1, 60, synth.controls.channels), note(220.0, 60))[0, 0]
    assert 1e-3 < audio.abs().max() < 4
    if synth.excitation == "burst":
        assert audio[: 10 * HOP].square().sum() > audio[-10 * HOP :].square().sum()


@each_plain
def test_strings_do_not_hear_each_other(synth):
    raw = torch.randn(1, 2, 12, synth.controls.channels, generator=torch.Generator().manual_seed(0))
    given = notes()
    audio = play(synth, raw, given)
    given["f0_hz"] = given["f0_hz"].clone()
    given["f0_hz"][:, 1] = 200.0
    other = play(synth, raw, given)
    assert torch.equal(audio[:, 0], other[:, 0]) and not torch.allclose(audio[:, 1], other[:, 1], atol=1e-3)


def test_noise_whose_gains_are_not_predicted_is_plain_noise():
    synth = KarplusStrong(RATE, HOP, ("damping",), excitation="noise")
    assert play(synth, torch.zeros(1, 1, 12, 1), note(220.0, 12)).abs().max() > 0.1


# The range


def test_a_range_is_all_that_it_changes():
    ranges = {"excitation_gain": (0.0, 2.0), "damping": (0.1, 1.9)}
    plain, quirky = KarplusStrong(RATE, HOP), KarplusStrong(RATE, HOP, ranges=ranges)
    assert torch.equal(sound(plain, notes()), sound(quirky, notes()))
    raw = torch.linspace(-3, 3, 13)[:, None].expand(-1, 3)
    wide, narrow = quirky.constrain(raw), plain.constrain(raw)
    assert torch.equal(wide["dynamics"], narrow["dynamics"])
    torch.testing.assert_close(wide["excitation_gain"], narrow["excitation_gain"] * 2, atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(wide["damping"], 0.1 + narrow["damping"] * 1.8 / 0.5, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ranges": {"colour": (0.0, 1.0)}}, "no control 'colour'"),
        ({"ranges": {"damping": (1.0, 0.0)}}, r"range of damping is \[1.0, 0.0\]"),
        ({"clip": "feedback", "loop_filter": "one_pole"}, "loop_filter one_zero"),
        ({"clip": True, "quirks": ("filters_sum",)}, "clip false, feedback or before_gain"),
        ({"constants": {"cutoff_hz": 1.0}}, "no control 'cutoff_hz'.*ceiling"),
    ],
)
def test_ranges_and_constants_that_do_not_fit_are_refused_in_a_sentence(options, message):
    with pytest.raises(DdspZooError, match=message):
        KarplusStrong(RATE, HOP, **options)


@pytest.mark.parametrize(
    ("name", "diverges"), [("exB2", True), ("exB4", True), ("exC1", True), ("exC2", True), ("exA1", False)]
)
def test_only_a_gain_or_an_excitation_filter_beyond_one_diverges_and_plain_ones_never(name, diverges):
    """B4 to C2 limit what goes around, and not the filter before it; f_c ends at the Nyquist frequency."""
    channels = PUBLISHED[name].controls.channels
    long = note(900.0, 60, onset_at=2)
    peak = play(PUBLISHED[name], torch.full((1, 1, 60, channels), 1e4), long).abs().max()
    assert bool(peak < 100) is not diverges
    channels = PLAIN[name].controls.channels
    assert play(PLAIN[name], torch.full((1, 1, 60, channels), 1e4), long).abs().max() < 100


@pytest.mark.parametrize(("name", "most"), [("exB2_1", 3.8), ("exB3", 2.97), ("exD2", 2.997)])
def test_a_published_loop_with_a_limited_feedback_stays_bounded_even_so(name, most):
    """By a + rho, or 3 b - 1 times that where b reaches beyond 1."""
    synth = PUBLISHED[name]
    audio = play(synth, torch.full((1, 1, 60, synth.controls.channels), 1e4), note(900.0, 60, onset_at=2))
    assert 0.5 < audio.abs().max() < 4 * most


# The tuning

CENTS = {
    # rate: {Hz: cents}, of the period's wrong fraction, the sample too many and the half of a loop filter of b = 0.5
    32000: {82.41: -4, 110.0: 2, 440.0: -1, 880.0: -37},
    16000: {82.41: -11, 440.0: -36, 880.0: -105},
}


def cents(synth: KarplusStrong, f0_hz: float, measure, **values: float) -> float:
    audio = sound(synth, note(f0_hz, 100), **values)[0, 0, RATE // 20 :].double().numpy()
    return 1200 * math.log2(measure(audio, RATE, f0_hz * 0.85, f0_hz * 1.15) / f0_hz)


@pytest.mark.parametrize(
    ("rate", "f0_hz"), [(rate, hz) for rate, expected in CENTS.items() for hz in expected]
)
def test_the_published_delay_is_out_of_tune_by_known_cents(rate, f0_hz, loudest_hz):
    options = {"oversampling": rate // RATE}
    quirky = KarplusStrong(RATE, HOP, quirks=("tuning",), **options)
    period = rate / f0_hz
    expected = 1200 * math.log2(period / (math.floor(period) - period % 1 + 1 + 0.5))
    heard = cents(quirky, f0_hz, loudest_hz, feedback=0.9999)
    assert heard == pytest.approx(expected, abs=1) and heard == pytest.approx(CENTS[rate][f0_hz], abs=1.5)
    assert abs(cents(KarplusStrong(RATE, HOP, **options), f0_hz, loudest_hz, feedback=0.9999)) < 1


@pytest.mark.parametrize(("f0_hz", "expected"), [(82.41, 58), (880.0, -30)])
def test_published_series_b_is_sharp_in_the_bass_and_flat_in_the_treble(f0_hz, expected, loudest_hz):
    """With the DC blocker in the loop, whose lead grows towards low notes."""
    quirky = KarplusStrong(RATE, HOP, quirks=("tuning",), high_pass_hz=20.0)
    assert cents(quirky, f0_hz, loudest_hz, feedback=0.9999) == pytest.approx(expected, abs=4)


@pytest.mark.parametrize("name", ["exA1", "exA2"])
@pytest.mark.parametrize("f0_hz", [82.41, 329.63])
def test_the_high_pass_of_plain_series_a_does_not_put_it_out_of_tune(name, f0_hz, loudest_hz):
    """Its lead, atan(5 Hz / f0) of a round or 17 cents at the low E, is made up for."""
    synth = PLAIN[name]
    assert synth.arguments["high_pass_hz"] == 5.0  # thesis eq. 5.4 to 5.6
    assert abs(cents(synth, f0_hz, loudest_hz, cutoff_hz=0.45 * synth.loop_rate)) < 1


def test_a_high_pass_in_the_loop_takes_the_mean():
    draw = torch.Generator().manual_seed(0)
    means = []
    for high_pass_hz in (0.0, 5.0):
        synth = KarplusStrong(RATE, HOP, quirks=("raw_noise",), high_pass_hz=high_pass_hz)
        audio = synth.render(named(synth, note(100.0, 60)), draw.manual_seed(0)).audio
        means.append(audio[0, 0, 30 * HOP :].mean().abs().item())
    assert means[1] < 0.1 * means[0]


# The onsets


@pytest.mark.parametrize(("oversampling", "spread"), [(1, 0), (2, 8)])
def test_early_onsets_come_one_frame_early(oversampling, spread):
    """``spread``: samples that the resampler rings ahead."""
    plain, early = (
        KarplusStrong(RATE, HOP, oversampling=oversampling, quirks=f) for f in ((), ("early_onsets",))
    )
    given = note(200.0, 12, onset_at=5)
    first = [sound(synth, given)[0, 0].abs().gt(1e-3).nonzero()[0].item() for synth in (plain, early)]
    assert first == pytest.approx([5 * HOP, 4 * HOP], abs=2 + spread)


def test_early_onsets_lose_the_first_and_move_the_others_and_no_more():
    plain, early = KarplusStrong(RATE, HOP), KarplusStrong(RATE, HOP, quirks=("early_onsets",))
    assert not sound(early, note(200.0, 12)).any() and sound(plain, note(200.0, 12)).any()
    given = note(200.0, 12, onset_at=5)
    torch.testing.assert_close(sound(early, given), sound(plain, note(200.0, 12, onset_at=4)))


@pytest.mark.parametrize("f0_hz", [82.41, 110.0, 220.0, 440.0])
@pytest.mark.parametrize("others", [(), ("held_controls",)], ids=["alone", "held"])
def test_an_early_pluck_after_a_rest_rings_on_all_the_same(f0_hz, others):
    """The burst comes while the string still rests, but what is left of it in the loop is heard."""
    given = note(f0_hz, 40, onset_at=10)
    given["f0_hz"][:, :, :10] = 0
    levels = []
    for quirks in (others, ("early_onsets", *others)):
        audio = sound(KarplusStrong(RATE, HOP, quirks=quirks), given, damping=0.1)[0, 0]
        levels.append(audio[14 * HOP :].square().sum().item())
    assert levels[1] > 0.1 * levels[0] > 0


def test_an_early_pluck_enters_a_loop_tuned_to_the_note_before_and_a_held_pitch_stays_there(loudest_hz):
    f0 = torch.tensor([220.0] * 10 + [330.0] * 70)[None, None, :, None]
    onset = torch.zeros_like(f0)
    onset[:, :, (1, 10)] = 1
    held = {"hold_pitch": True}
    for options, heard in (({}, 330), (held, 330), (held | {"quirks": ("early_onsets",)}, 220)):
        audio = sound(
            KarplusStrong(RATE, HOP, **options), {"f0_hz": f0, "onset": onset}, feedback=0.999, damping=0.1
        )
        late = audio[0, 0, 12 * HOP :].double().numpy()
        assert loudest_hz(late, RATE, 200, 360) == pytest.approx(heard, rel=0.002)


# Held controls


def test_held_controls_are_steps_and_plain_ones_ramps():
    """Read off the burst at a gain that rises from one frame to the next, in a loop without feedback."""
    given = note(200.0, 8)
    given["onset"][:] = 0
    given["onset"][:, :, 3] = 1
    gain = torch.linspace(0.1, 0.8, 8)[None, None, :, None]
    shapes = {}
    for quirks in ((), ("held_controls",)):
        synth = KarplusStrong(RATE, HOP, oversampling=1, quirks=quirks)
        controls = named(synth, given, feedback=0.0)
        draws = [torch.Generator().manual_seed(0) for _ in range(2)]
        moving = synth.render(controls | {"excitation_gain": gain}, draws[0]).audio[0, 0]
        steady = synth.render(controls, draws[1]).audio[0, 0]
        shapes[quirks] = (moving / steady)[3 * HOP : 3 * HOP + 80]
    torch.testing.assert_close(shapes["held_controls",], torch.full((80,), 0.4))
    torch.testing.assert_close(shapes[()], 0.4 + 0.1 * torch.arange(80) / HOP, atol=1e-4, rtol=1e-4)


def test_controls_that_do_not_move_are_the_same_held():
    plain, held = KarplusStrong(RATE, HOP), KarplusStrong(RATE, HOP, quirks=("held_controls",))
    given = note(200.0, 12)
    torch.testing.assert_close(sound(plain, given), sound(held, given), atol=1e-6, rtol=1e-4)
