"""The pitch of a stem that plays one note at a time."""

import numpy as np
import pytest
import torch

from ddsp_zoo.pitch.salience import salient_f0

RATE, HOP = 8000, 128


def heard(audio: np.ndarray | torch.Tensor, **settings: float) -> torch.Tensor:
    return salient_f0(torch.as_tensor(audio), RATE, HOP, **settings)


def partials(amplitudes: dict[float, float], count: int = 64 * HOP) -> torch.Tensor:
    """A sum of sines, {frequency in Hz: amplitude}."""
    time = torch.arange(count) / RATE
    return sum(a * torch.sin(2 * torch.pi * hz * time) for hz, a in amplitudes.items())


def cents(f0_hz: torch.Tensor, expected_hz: float) -> torch.Tensor:
    """Distance of the frames in the middle of one second."""
    return (1200 * torch.log2(f0_hz[12:-12] / expected_hz)).abs()


@pytest.mark.parametrize("f0_hz", [41.2, 55.0, 73.4, 98.0, 146.8, 233.1, 440.0])
def test_notes_are_heard_at_their_fundamental(tone, f0_hz):
    f0 = heard(tone(f0_hz, 64 * HOP / RATE, RATE))
    assert f0.shape == (64,)
    assert cents(f0, f0_hz).max() < 35


@pytest.mark.parametrize(
    "amplitudes",
    [
        {110.0 * h: 1 / h for h in range(2, 9)},
        {110.0 * h: 0.1 for h in (1, 3, 5, 7)},
        {110.0 * h * (1 + 1e-4 * h**2): 1 / h for h in range(1, 9)},
        {110.0: 0.3, 220.0: 0.2, 330.0: 0.1, 187.0: 0.01, 1777.0: 0.02},
    ],
    ids=["no fundamental", "odd", "stretched", "others"],
)
def test_spectra_of_many_shapes(amplitudes):
    assert cents(heard(partials(amplitudes)), 110).max() < 35


def test_batches_and_levels():
    notes = torch.stack([partials({hz * h: 1 / h for h in range(1, 6)}) for hz in (60.0, 90.0)])
    f0 = heard(torch.stack([notes, 0.01 * notes]))
    assert f0.shape == (2, 2, 64)
    assert torch.equal(f0[0, :, 12:-12], f0[1, :, 12:-12])
    assert cents(f0[0, 1], 90).max() < 35


def test_rests_are_unvoiced(tone):
    audio = tone(110, 64 * HOP / RATE, RATE)
    audio[20 * HOP : 40 * HOP] *= 1e-4
    f0 = heard(audio)
    assert not f0[21:40].any() and f0[:20].all() and f0[41:].all()
    assert not heard(audio, floor=1.0).any()


def test_a_change_of_note_is_heard_where_it_is(tone):
    seconds = 32 * HOP / RATE
    f0 = heard(np.concatenate([tone(82.4, seconds, RATE), tone(123.5, seconds, RATE)]))
    assert (f0[12:28] < 90).all() and (f0[36:52] > 115).all()
