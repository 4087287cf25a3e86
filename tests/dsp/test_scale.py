"""Maps between raw values, unit intervals and physical units."""

import numpy as np
import pytest
import torch

from ddsp_zoo.dsp.scale import (
    exp_sigmoid,
    exp_sigmoid_inverse,
    hz_to_midi,
    hz_to_unit,
    midi_to_hz,
    unit_to_hz,
)


def test_exp_sigmoid_of_zero():
    assert exp_sigmoid(torch.tensor(0.0)).item() == pytest.approx(0.405399, abs=2e-6)


def test_exp_sigmoid_crosses_one_near_1_05():
    x = torch.linspace(0, 2, 2001)
    assert x[(exp_sigmoid(x) >= 1).int().argmax()].item() == pytest.approx(1.046, abs=0.002)


@pytest.mark.parametrize(("raw", "expected"), [(-1e4, 1e-7), (1e4, 2.0 + 1e-7)])
def test_exp_sigmoid_ends(raw, expected):
    assert exp_sigmoid(torch.tensor(raw)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("highest", [0.5, 1.0, 2.0])
def test_exp_sigmoid_is_inverted_within_its_range(highest):
    amplitude = highest * torch.logspace(-9, -0.05, 50)
    raw = exp_sigmoid_inverse(amplitude, highest)
    assert (raw.diff() > 0).all()
    torch.testing.assert_close(exp_sigmoid(raw, highest, threshold=0.0), amplitude, rtol=1e-4, atol=0)


@pytest.mark.parametrize(("amplitude", "kept"), [(0.0, 1e-9), (1e-30, 1e-9), (0.95, 0.9), (5.0, 0.9)])
def test_what_exp_sigmoid_hardly_reaches_is_inverted_to_its_bounds(amplitude, kept):
    raw = exp_sigmoid_inverse(torch.tensor(amplitude), 1.0)
    assert exp_sigmoid(raw, 1.0, threshold=0.0).item() == pytest.approx(kept, rel=1e-4)


@pytest.mark.parametrize(
    ("hz", "midi"), [(440.0, 69.0), (220.0, 57.0), (82.4069, 40.0), (0.0, 0.0), (-1.0, 0.0)]
)
def test_hz_to_midi(hz, midi):
    assert hz_to_midi(torch.tensor(hz)).item() == pytest.approx(midi, abs=1e-4)


@pytest.mark.parametrize(("midi", "hz"), [(69.0, 440.0), (57.0, 220.0), (69.5, 452.893)])
def test_midi_to_hz(midi, hz):
    assert midi_to_hz(torch.tensor(midi)).item() == pytest.approx(hz, rel=1e-5)


def test_gradient_at_an_unvoiced_frame_is_zero():
    hz = torch.zeros(1, requires_grad=True)
    hz_to_midi(hz).backward()
    assert hz.grad.item() == 0


@pytest.mark.parametrize(("hz", "unit"), [(20.0, 0.0), (400.0, 0.5), (8000.0, 1.0)])
def test_units_and_hz_are_inverse(hz, unit):
    assert hz_to_unit(torch.tensor(hz)).item() == pytest.approx(unit, abs=1e-5)
    assert unit_to_hz(torch.tensor(unit), 20.0, 8000.0).item() == pytest.approx(hz, rel=1e-5)


def test_unvoiced_is_below_every_voiced_unit():
    assert hz_to_unit(torch.tensor(0.0)).item() < 0


@pytest.mark.parametrize(("hz", "midi"), [(440.0, 69.0), (82.4069, 40.0), (0.0, 0.0), (-1.0, 0.0)])
def test_numbers_and_arrays_have_the_same_midi_notes_as_tensors(hz, midi):
    assert hz_to_midi(hz) == pytest.approx(midi, abs=1e-4)
    np.testing.assert_allclose(hz_to_midi(np.array([hz, hz])), [midi, midi], atol=1e-4)
    if hz > 0:
        assert midi_to_hz(hz_to_midi(hz)) == pytest.approx(hz, rel=1e-12)
        np.testing.assert_allclose(midi_to_hz(np.array([midi])), hz, rtol=1e-5)
