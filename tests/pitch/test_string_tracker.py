"""What each string plays, heard: targets, tunings, learning, what a training step does."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from guitar import HZ, make_batch, pluck, steady

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.pitch import string_tracker
from ddsp_zoo.pitch.concert_pitch import tuning_deviation
from ddsp_zoo.pitch.fretting import REST
from ddsp_zoo.pitch.neck import FRETS, STANDARD, Neck
from ddsp_zoo.pitch.onsets import blurred_onsets
from ddsp_zoo.pitch.string_tracker import SEMITONES, Heard, StringTracker, fret_targets

SMALL = {"width": 8, "context": 16, "segment_seconds": 0.512}


def small(**settings: object) -> StringTracker:
    torch.manual_seed(0)
    return StringTracker(**SMALL | settings)


def test_size():
    assert 300_000 < sum(p.numel() for p in StringTracker().parameters()) < 500_000


def test_targets_of_frets_and_offsets():
    cents = torch.tensor([0.0, 30.0, 300.0, 2390.0, 9000.0])
    f0 = torch.zeros(1, 6, 6)
    f0[0, 1, :5] = 110 * 2 ** (cents / 1200)
    state, offset, sounding = fret_targets(f0)
    assert state[0, 1].tolist() == [0, 0, 3, 24, 24, REST] and (state[0, 0] == REST).all()
    assert torch.allclose(offset[0, 1, :4], torch.tensor([0.0, 0.3, 0.0, -0.1]), atol=0.01)
    assert sounding.shape == (1, 6, SEMITONES) and sounding[0, 0].nonzero().flatten().tolist() == [11]
    assert not sounding[0, 5].any()
    lower = fret_targets(f0, (38, 43, 50, 55, 59, 64)).state
    assert lower[0, 1, 0] == 2


def test_targets_of_onsets_are_wide():
    marks = torch.tensor([[[0.0, 0, 1, 0, 0]]])
    assert blurred_onsets(marks)[0, 0].tolist() == [0, 0.5, 1, 0.5, 0]


def test_levels_have_no_scale_and_are_those_of_a_lower_guitar_where_read_lower():
    model = small()
    f0 = steady()
    low = torch.from_numpy(pluck(f0).sum(0))[None]
    high = torch.from_numpy(pluck(f0 * 2 ** (3 / 12)).sum(0))[None]
    plain = model.levels(low)
    assert plain.shape == (1, 32, 32, 180)
    assert torch.allclose(plain, model.levels(100 * low), atol=1e-2)

    def likeness(other: torch.Tensor) -> float:
        inside = (..., slice(8, 30), slice(10, 150))
        return float(torch.corrcoef(torch.stack([plain[inside].flatten(), other[inside].flatten()]))[0, 1])

    assert likeness(model.levels(high, torch.tensor([3.0]))) > 0.9 > likeness(model.levels(high)) + 0.1


def test_each_harmonic_is_read_at_its_place():
    """A lone sine fills the fundamental's plane at its own pitch, and the others' at the pitches below."""
    time = torch.arange(16384) / 16000
    level = small().levels(torch.sin(2 * np.pi * 440 * time)[None])[0].mean(1)  # (harmonics * windows, 180)
    loudest = level.unflatten(0, (8, 4))[:, 3].argmax(-1) / 3  # in semitones, by the longest window
    wanted = 69 - 34 - 12 * torch.log2(torch.tensor([0.5, 1, 2, 3, 4, 5, 6, 7]))
    assert (loudest - wanted - 1 / 3)[wanted > 0].abs().max() <= 0.5


@pytest.mark.parametrize("tuning", [STANDARD, (34, 45, 50, 55, 59, 64), (47, 52, 57, 62, 66, 71)])
@pytest.mark.parametrize("samples", [256, 300, 5000])
def test_any_length_and_tuning(samples: int, tuning: tuple[int, ...]):
    model, count = small(), -(-samples // 256)
    heard = model(torch.randn(2, samples), torch.tensor([0.0, -0.4]), tuning)
    assert heard.state.shape == (2, 6, count, FRETS + 1) and heard.onset.shape == (2, 6, count)
    assert heard.offset.shape == (2, 6, count, FRETS) and heard.sounding.shape == (2, count, SEMITONES)
    assert all(part.isfinite().all() for part in heard) and heard.offset.abs().max() <= 0.6


@pytest.mark.parametrize("audio", [torch.zeros(1, 4096), torch.full((1, 4096), 1e-30)])
def test_silence_is_no_trouble(audio: torch.Tensor):
    assert all(part.isfinite().all() for part in small()(audio))


def test_a_tuning_that_lies_higher_is_read_higher():
    """The same sound on strings that are all tuned two semitones higher: every fret is two lower."""
    model = small().eval()
    model.network.outward.weight.data.zero_()
    model.network.place.weight.data[6:] = 0  # what a fret looks for whichever it is
    model.network.place.bias.data[6:] = 0
    audio = torch.from_numpy(pluck(steady()).sum(0))[None]
    low, high = (model(audio, None, tuple(p + n for p in STANDARD)).state for n in (0, 2))
    bias = model.network.outward.bias.detach().unflatten(0, (6, -1))[None, :, None, :FRETS]
    low, high = (state[..., :FRETS] - bias for state in (low, high))
    assert torch.allclose(low[..., 2:], high[..., :-2], atol=1e-5)
    assert not torch.allclose(low[..., :-2], high[..., :-2], atol=1e-3)


def test_it_learns_an_example(monkeypatch: pytest.MonkeyPatch):
    model, batch = small(), make_batch()
    said: dict[str, torch.Tensor] = {}
    monkeypatch.setattr(model, "log_dict", lambda values, **_: said.update(values))
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(25):
        loss = model._step(batch["mixture"], batch, 0, torch.zeros(1), "train")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.validation_step(batch, 0)
    assert said["validation/right"] > 0.9 and said["validation/right_fret"] > 0.9
    state = model(batch["mixture"]).state
    assert (state.argmax(-1)[0, :, 10:] == 0).all()  # six open strings


def test_a_training_step_is_repeatable_and_has_gradients(monkeypatch: pytest.MonkeyPatch):
    model = small(apart=1.0)
    monkeypatch.setattr(model, "log_dict", lambda *a, **k: None)
    batch = {name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in make_batch().items()}
    first, again = (model.training_step(batch, 0) for _ in range(2))
    first.backward()
    assert first == again and first.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_a_guitar_tuned_higher_is_learned_as_one_read_lower(monkeypatch: pytest.MonkeyPatch):
    """The targets move with the tuning: a string that plays its open pitch is at fret 0 whatever the transposition."""
    model, seen = small(), []
    monkeypatch.setattr(model, "log_dict", lambda *a, **k: None)
    monkeypatch.setattr(
        model, "forward", lambda audio, shift, tuning: seen.append((shift, tuning)) or small()(audio)
    )
    batch = make_batch()
    model._step(batch["mixture"], batch, 2, torch.tensor([0.25]), "train")
    ((shift, tuning),) = seen
    assert shift.tolist() == [-2.25] and tuning == tuple(p + 2 for p in STANDARD)
    truth = fret_targets(torch.from_numpy(HZ)[None, :, None] * 2 ** (2.25 / 12), tuning)
    assert (truth.state == 0).all() and torch.allclose(truth.offset, torch.tensor(0.25), atol=0.01)


def played(fret: int, first: float = 12.0, gate: int = 8) -> Callable[..., Heard]:
    """A network that hears fret ``fret`` of the A string from frame ``gate`` on, a quarter of a semitone high."""

    def forward(audio: torch.Tensor, shift: torch.Tensor, tuning: tuple[int, ...]) -> Heard:
        count = -(-audio.shape[-1] // 256)
        state, onset = torch.zeros(1, 6, count, FRETS + 1), torch.full((1, 6, count), -first)
        state[..., REST] = first
        state[0, 1, gate:, [fret, REST]] = torch.tensor([first, 0.0])
        onset[0, 1, gate] = first
        return Heard(state, onset, torch.full((1, 6, count, FRETS), 0.25), torch.zeros(1, count, SEMITONES))

    return forward


@pytest.mark.parametrize(("neck", "midi"), [(Neck(), 48), (Neck.parse("DADGAD", 3), 51)])
def test_pitch_follows_from_string_fret_offset_tuning_and_capo(
    neck: Neck, midi: int, monkeypatch: pytest.MonkeyPatch
):
    model = small()
    model.forward = played(3)
    monkeypatch.setattr(string_tracker, "REFINEMENTS", 0)
    track = model.find(np.random.default_rng(0).normal(size=32 * 256).astype(np.float32), 6, neck)
    deviation = tuning_deviation(np.random.default_rng(0).normal(size=32 * 256), 16000)
    assert track.f0_hz[1, 8:] == pytest.approx(440 * 2 ** ((midi + 0.25 + deviation - 69) / 12), rel=1e-4)
    assert not track.f0_hz[1, :8].any() and not track.f0_hz[[0, 2, 3, 4, 5]].any()
    assert np.argwhere(track.onset).tolist() == [[1, 8]] and track.hop_seconds == 0.016


def test_long_recordings_in_pieces(monkeypatch: pytest.MonkeyPatch):
    """Every frame comes from the middle of its piece."""
    monkeypatch.setattr(string_tracker, "PIECE_SECONDS", 1.024)
    monkeypatch.setattr(string_tracker, "MARGIN_SECONDS", 0.256)
    model = small()

    def loudness(audio: torch.Tensor, shift: torch.Tensor, tuning: tuple[int, ...]) -> Heard:
        count = -(-audio.shape[-1] // 256)
        level = torch.nn.functional.pad(audio, (0, count * 256 - audio.shape[-1]))[0, ::256] / 1e6
        return Heard(
            torch.zeros(1, 6, count, FRETS + 1),
            level.expand(1, 6, -1).logit(),
            torch.zeros(1, 6, count, FRETS),
            1e6 * level[None, :, None].expand(-1, -1, SEMITONES),
        )

    model.forward = loudness
    audio = np.arange(1, 5 * 16000 + 101, dtype=np.float32)
    _, plucked, _, sounding = model.listen(audio, Neck())
    assert plucked.shape == (6, -(-len(audio) // 256))
    assert np.allclose(plucked[3], audio[::256] / 1e6, rtol=1e-3)
    assert sounding.shape == (plucked.shape[1], SEMITONES) and np.allclose(
        sounding[:, 0], audio[::256], rtol=1e-3
    )


def test_pitch_is_moved_to_where_the_partials_lie(monkeypatch: pytest.MonkeyPatch):
    """The network hears two strings 15 cents above where they are; pieces are joined."""
    monkeypatch.setattr(string_tracker, "PIECE_SECONDS", 0.512)
    monkeypatch.setattr(string_tracker, "MARGIN_SECONDS", 0.128)
    f0 = steady(82.4, 0, 155.6, 0, 0, 0, frames=96)
    audio = pluck(f0).sum(0)
    found = small()._refined(audio, f0 * np.float32(2 ** (0.15 / 12)))
    assert np.abs(1200 * np.log2(found[[0, 2], 12:84] / f0[[0, 2], 12:84])).max() < 3
    assert not found[f0 == 0].any()
    far = small()._refined(audio, f0 * np.float32(2 ** (3 / 12)))  # nothing lies there
    assert np.abs(1200 * np.log2(far[f0 > 0] / f0[f0 > 0]) - 300).max() <= 40


def test_nothing_is_heard_in_silence():
    model = small()
    model.forward = played(3, gate=0)
    noise = np.random.default_rng(0).normal(size=64 * 256).astype(np.float32)
    noise[20 * 256 : 40 * 256] = 0
    track = model.find(noise, 6)
    assert (track.f0_hz[1, :20] > 0).all() and not track.f0_hz[:, 22:38].any() and track.f0_hz[1, 42:].all()
    silence = model.find(np.zeros(5000, np.float32), 6)
    assert not silence.f0_hz.any() and not silence.onset.any() and silence.f0_hz.shape == (6, 20)


@pytest.mark.parametrize("samples", [0, 1, 255, 257])
def test_recordings_of_any_length_are_followed(samples: int):
    track = small().find(np.ones(samples, np.float32), 6)
    assert track.f0_hz.shape == (6, -(-samples // 256)) and np.isfinite(track.f0_hz).all()


def test_other_numbers_of_strings_are_refused():
    with pytest.raises(DdspZooError, match="6 strings, not on 7"):
        small().find(np.ones(300, np.float32), 7)
