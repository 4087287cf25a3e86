"""Distances between parameters and sideways between spectra: zeros, orders, directions, silence."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance

from ddsp_zoo.dsp.oscillator import sinusoidal_bank
from ddsp_zoo.learning.losses import multi_scale_spectral_distance
from ddsp_zoo.learning.parameter_losses import (
    consistency,
    line_spectrum,
    line_transport,
    noise_distance,
    note_distances,
    spectral_transport,
    transport_distance,
)

RATE = 8000
LINES = st.lists(st.tuples(st.floats(30, 3900), st.floats(0.01, 1)), min_size=1, max_size=5)


def lines(*pairs: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    frequency, amplitude = torch.tensor(pairs, dtype=torch.float64).T
    return frequency, amplitude


def tone(frequency_hz: torch.Tensor | float) -> torch.Tensor:
    """Half a second of a sinusoid, differentiable by its frequency."""
    frequency = torch.as_tensor(frequency_hz, dtype=torch.float32).expand(1, 16, 1)
    return sinusoidal_bank(frequency, torch.full_like(frequency, 0.5), RATE, 250)[0]


# Consistency


@settings(max_examples=25, deadline=None, derandomize=True)
@given(one=LINES, other=LINES)
def test_consistency_is_zero_for_the_same_lines_in_any_order_and_never_below(one, other):
    a, b = lines(*one), lines(*other)
    assert consistency(*a, *b) >= -1e-9
    torch.testing.assert_close(consistency(*a, *b), consistency(*b, *a))
    assert consistency(*a, *(x.flip(-1) for x in a)).abs() < 1e-9
    shuffled = (x[torch.randperm(len(one), generator=torch.Generator().manual_seed(0))] for x in a)
    torch.testing.assert_close(consistency(*shuffled, *b), consistency(*a, *b))


@pytest.mark.parametrize(
    "other",
    [
        lines((441, 0.5), (880, 0.5)),
        lines((440, 0.6), (880, 0.4)),
        lines((440, 1.0), (880, 1.0)),
        lines((440, 1.0)),
    ],
    ids=["frequency", "share", "level", "missing"],
)
def test_consistency_sees_every_difference(other):
    assert consistency(*lines((440, 0.5), (880, 0.5)), *other) > 1e-3


def test_a_line_in_two_parts_is_the_same_line():
    whole, parts = lines((440, 0.5), (880, 0.5)), lines((440, 0.2), (880, 0.5), (440, 0.3))
    assert consistency(*whole, *parts).abs() < 1e-6


def test_consistency_grows_with_the_square_of_the_distance():
    """Two single lines d semitones apart: both ways d^2 / (2 sigma^2), plus nothing for the level."""
    for semitones in (0.05, 1.0, 24.0):
        apart = consistency(*lines((110, 0.5)), *lines((110 * 2 ** (semitones / 12), 0.5)))
        assert apart.item() == pytest.approx(semitones**2 / 0.01, rel=1e-3)


def test_consistency_pulls_each_line_towards_its_neighbour_however_far():
    frequency, amplitude = lines((60, 0.5), (3000, 0.5))
    frequency.requires_grad_()
    consistency(frequency, amplitude, *lines((100, 0.5), (1000, 0.5))).backward()
    assert frequency.grad[0] < 0 < frequency.grad[1]


# Transport


def test_two_lines_are_as_far_apart_as_they_lie():
    positions = torch.linspace(0, 10, 101)
    one, other = torch.zeros(2, 101)
    one[20], other[75] = 3.0, 0.1
    assert spectral_transport(one, other, positions).item() == pytest.approx(5.5, rel=1e-5)
    assert spectral_transport(one, 7 * one, positions) == 0


@settings(max_examples=20, deadline=None, derandomize=True)
@given(data=st.data(), size=st.integers(2, 12))
def test_transport_is_the_wasserstein_distance(data, size):
    values = st.lists(st.floats(0.01, 5), min_size=size, max_size=size)
    one, other, steps = (torch.tensor(data.draw(values), dtype=torch.float64) for _ in range(3))
    positions = steps.cumsum(0)
    expected = wasserstein_distance(positions, positions, one, other)
    assert spectral_transport(one, other, positions).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("true_hz", [110.0, 440.0, 2500.0])
def test_transport_points_the_right_way_however_far(true_hz):
    """The point of it all: the gradient of the spectral distance is a matter of luck, half of the time wrong."""
    target, right = tone(true_hz), {"transport": [], "spectral": []}
    for start in torch.logspace(1.8, 3.55, 12).tolist():
        for name in right:
            frequency = torch.tensor(start, requires_grad=True)
            if name == "transport":
                transport_distance(tone(frequency), target, RATE).sum().backward()
            else:
                multi_scale_spectral_distance(tone(frequency), target).sum().backward()
            if abs(start / true_hz - 1) > 0.05:
                right[name].append((frequency.grad > 0).item() is (start > true_hz))
    assert all(right["transport"]) and sum(right["spectral"]) < 0.9 * len(right["spectral"])


def test_transport_of_tones_is_about_their_interval():
    octave = transport_distance(tone(880.0), tone(440.0), RATE).item()
    assert octave == pytest.approx(12, rel=0.15)
    assert transport_distance(0.1 * tone(440.0), tone(440.0), RATE).item() < 0.05


@settings(max_examples=25, deadline=None, derandomize=True)
@given(one=LINES, other=LINES)
def test_transport_of_lines_is_the_wasserstein_distance_of_their_pitches(one, other):
    a, b = lines(*one), lines(*other)
    pitches = (12 * torch.log2(frequency / 440) + 69 for frequency, _ in (a, b))
    expected = wasserstein_distance(*pitches, a[1], b[1])
    assert line_transport(*a, *b).item() == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_two_lines_on_one_place_part_where_two_are_wanted():
    """Where `consistency` would leave both at the line that is nearer to them."""
    frequency, amplitude = lines((200, 0.5), (210, 0.5))
    frequency.requires_grad_()
    line_transport(frequency, amplitude, *lines((205, 0.5), (2000, 0.5))).backward()
    assert frequency.grad[0] < 0 and frequency.grad[1] < 0  # both up: the higher one all the way


# Notes


def test_the_partials_of_a_note():
    f0, amplitude = torch.tensor([0.0, 1500.0]), torch.tensor([1.0, 0.5])
    frequency, levels = line_spectrum(f0, amplitude, torch.full((2, 3), 1 / 3), RATE)
    assert frequency[1].tolist() == [1500, 3000, 4500]
    assert not levels[0].any() and levels[1].tolist() == pytest.approx([1 / 6, 1 / 6, 0])


def test_each_note_distance_measures_its_own():
    f0, amplitude = torch.tensor([110.0, 0.0]), torch.tensor([0.5, 0.0])
    distribution = torch.tensor([[0.75, 0.25], [0.5, 0.5]])
    same = note_distances(f0, amplitude, distribution, f0, amplitude, distribution)
    assert set(same) == {"amplitude", "distribution", "f0"} and not any(same.values())
    off = note_distances(2 * f0, amplitude + 0.1, distribution.flip(-1), f0, amplitude, distribution)
    assert {k: v.item() for k, v in off.items()} == pytest.approx(
        {"amplitude": 0.1, "distribution": 1, "f0": 12}
    )


def test_noise_distance_is_the_mean_difference():
    assert noise_distance(torch.tensor([0.1, 0.5]), torch.tensor([0.3, 0.5])).item() == pytest.approx(0.1)


# Silence


@pytest.mark.parametrize("silent", ["prediction", "target", "both"])
def test_silence_has_finite_distances_and_gradients(silent):
    loud = torch.tensor([0.5, 0.2])
    levels = [loud * (silent not in (who, "both")) for who in ("prediction", "target")]
    frequency, amplitude = torch.tensor([200.0, 500.0]), levels[0].clone()
    inputs = [frequency.requires_grad_(), amplitude.requires_grad_()]
    apart = consistency(*inputs, torch.tensor([300.0, 700.0]), levels[1])
    assert apart.item() == pytest.approx(0.7 if silent != "both" else 0)
    audio = tone(300.0) * (silent == "target")
    audio.requires_grad_()
    lines_apart = line_transport(*inputs, torch.tensor([300.0, 700.0]), levels[1])
    assert lines_apart == 0
    moved = transport_distance(audio, tone(500.0) * (silent == "prediction"), RATE).sum()
    assert moved == 0
    f0 = torch.zeros(2, requires_grad=True)
    notes = note_distances(f0, amplitude, torch.rand(2, 3), torch.zeros(2), levels[1], torch.rand(2, 3))
    (apart + lines_apart + moved + sum(notes.values())).backward()
    for value in (*inputs, audio, f0):
        assert value.grad is None or value.grad.isfinite().all()
