"""Pitch from the mixture: targets, transposition, learning, pieces of long recordings, bad input."""

import numpy as np
import pytest
import torch

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import Umss
from ddsp_zoo.pitch import multipitch
from ddsp_zoo.pitch.multipitch import FIRST_BIN_HZ, PITCHES, MultiPitch, interleaved, pitch_targets
from ddsp_zoo.pitch.voice_order import draw_voices, from_the_top
from ddsp_zoo.zoo.loading import copy_weights

RATE = 16000
SMALL = {"width": 4, "context": 8, "transposition": 0.0}


def sung(f0_hz: list[float], seconds: float = 1.0) -> np.ndarray:
    """A mixture (T,) of voices that each hold a tone with harmonics."""
    time = np.arange(round(seconds * RATE)) / RATE
    voices = [sum(np.sin(2 * np.pi * h * hz * time) / h for h in range(1, 9)) for hz in f0_hz]
    return (0.1 * np.sum(voices, 0)).astype(np.float32)


def hertz(step: float) -> float:
    return FIRST_BIN_HZ * 2 ** (step / 60)


def test_size():
    count = sum(p.numel() for p in MultiPitch().parameters())
    assert 400_000 < count < 2_000_000


def test_targets():
    f0 = torch.tensor([[[hertz(100), hertz(100.5), 0.0, 10.0, 9000.0]]])
    truth = pitch_targets(f0, torch.zeros(1))[0, 0]
    assert truth.shape == (5, PITCHES + 1)
    assert torch.allclose(truth.sum(-1), torch.ones(5), atol=1e-5)
    assert truth[:, :-1].argmax(-1)[0] == 100 and abs(truth[1, 100] - truth[1, 101]) < 1e-3
    assert truth[2, -1] == 1 and truth[0, -1] == 0
    assert truth[3, 0] > 0.5 and truth[4, -2] > 0.5  # beyond the axis
    moved = pitch_targets(f0, torch.tensor([7]))[0, 0]
    assert moved[0].argmax() == 93


def test_transposition_is_what_a_transposed_mixture_looks_like():
    """Reading 12 steps higher from a mixture 12 steps higher gives the same picture."""
    model = MultiPitch(**SMALL)
    low, high = (torch.from_numpy(sung([hertz(90 + s), hertz(140 + s)]))[None] for s in (0, 12))
    plain, moved = model.features(low), model.features(high, torch.tensor([12]))
    inside = (..., slice(4, -4), slice(60, 200))
    likeness = torch.corrcoef(torch.stack([plain[inside].flatten(), moved[inside].flatten()]))[0, 1]
    unmoved = torch.corrcoef(torch.stack([plain[inside].flatten(), model.features(high)[inside].flatten()]))[
        0, 1
    ]
    assert likeness > 0.95 > unmoved + 0.2


def test_features_have_no_scale():
    model, audio = MultiPitch(**SMALL), torch.from_numpy(sung([220.0, 330.0]))[None]
    assert torch.allclose(model.features(audio), model.features(100 * audio), atol=1e-2)


def test_frames_between_frames():
    f0 = np.array([[100.0, 121.0, 0.0, 50.0]])
    assert interleaved(f0)[0].tolist() == pytest.approx([100, 110, 121, 121, 0, 50, 50, 50])


def test_it_learns_and_then_tells_two_voices_apart():
    torch.manual_seed(0)
    model = MultiPitch(sources=("high", "low"), **SMALL | {"width": 8, "context": 16})
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    generator = np.random.default_rng(0)
    for _ in range(60):
        steps = np.stack([generator.uniform(150, 230, 4), generator.uniform(40, 110, 4)], 1)
        audio = torch.from_numpy(np.stack([sung([hertz(s) for s in pair], 0.25) for pair in steps]))
        truth = torch.from_numpy(np.vectorize(hertz)(steps)).float()[..., None].expand(-1, -1, 8)
        by_voice, _ = model(audio, 2)
        loss = -(pitch_targets(truth, torch.zeros(4)) * by_voice.log_softmax(-1)).sum(-1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = model.track(sung([hertz(190), hertz(75)]), 2)
    cents = 1200 * np.abs(np.log2(np.median(found, 1) / [hertz(190), hertz(75)]))
    assert cents.max() < 60


def test_a_training_step_leaves_out_voices_and_has_gradients(monkeypatch: pytest.MonkeyPatch):
    model = MultiPitch(**SMALL | {"transposition": 300.0})
    monkeypatch.setattr(model, "log_dict", lambda *a, **k: None)
    f0 = torch.tensor([440.0, 330.0, 220.0, 110.0])[:, None].expand(2, 4, 32)
    batch = {"sources": torch.randn(2, 4, 32 * 256), "f0_hz": f0, "mixture": torch.randn(2, 32 * 256)}
    loss = model.training_step(batch, 0)
    loss.backward()
    assert loss.isfinite() and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.network.inward.weight.grad.abs().sum() > 0


def test_long_recordings_in_pieces(monkeypatch: pytest.MonkeyPatch):
    """Pieces are put together frame by frame: every frame comes from the middle of its piece."""
    monkeypatch.setattr(multipitch, "CHUNK_SECONDS", 1.024)
    monkeypatch.setattr(multipitch, "MARGIN_SECONDS", 0.256)
    model = MultiPitch(**SMALL)

    def loudness(audio: torch.Tensor, voices: int) -> np.ndarray:
        count = -(-len(audio) // 256)
        padded = np.pad(audio.numpy(), (0, count * 256 - len(audio)))
        return np.tile(padded.reshape(count, 256)[:, 0], (voices, 1))

    monkeypatch.setattr(model, "_track_piece", loudness)
    audio = np.arange(5 * RATE + 100, dtype=np.float32)
    f0 = model.track(audio, 3)
    assert f0.shape == (3, -(-len(audio) // 256))
    assert np.array_equal(f0[2], audio[::256])


@pytest.mark.parametrize("samples", [1, 100, 256, 257, 5000])
def test_any_length(samples: int):
    f0 = MultiPitch(**SMALL).track(np.zeros(samples, dtype=np.float32), 4)
    assert f0.shape == (4, -(-samples // 256)) and np.isfinite(f0).all()


def test_too_many_voices():
    with pytest.raises(DdspZooError, match="2 to 4 voices, not of 5"):
        MultiPitch(**SMALL).track(np.zeros(1000, dtype=np.float32), 5)


# ---- any number of voices


def test_voices_from_the_top_and_resting_ones_in_their_place() -> None:
    f0 = torch.tensor([[[100.0, 0.0], [0.0, 0.0], [300.0, 310.0], [200.0, 200.0]]]).expand(2, -1, -1)
    kept, told = torch.ones(2, 4, dtype=torch.bool), torch.tensor([True, False])
    sorted_f0, number = from_the_top(f0, kept, told)
    assert sorted_f0[..., 0].tolist() == [[300, 0, 200, 100], [300, 200, 100, 0]] and number.tolist() == [
        4,
        3,
    ]
    kept[0, 2] = False
    sorted_f0, number = from_the_top(f0, kept, told)
    assert sorted_f0[0, :, 0].tolist() == [200, 0, 100, 0] and number[0] == 3


def test_drawn_voices_sound_but_for_at_most_one() -> None:
    f0 = torch.zeros(400, 8, 3)
    f0[:, :5] = 200.0
    kept, told = draw_voices(f0, 8, torch.Generator().manual_seed(0))
    resting = kept[:, 5:].sum(1)
    assert (kept.sum(1) >= 1).all() and (resting <= 1).all() and 0 < resting.float().mean() < 0.2
    assert (kept[resting == 1][:, :5]).all()
    assert set(kept.sum(1).tolist()) == {1, 2, 3, 4, 5, 6} and 0.5 < told.float().mean() < 0.7


def test_a_training_step_of_any_number_of_voices(monkeypatch: pytest.MonkeyPatch) -> None:
    model = MultiPitch(**SMALL, most_voices=8)
    monkeypatch.setattr(model, "log_dict", lambda *a, **k: None)
    f0 = torch.tensor([440.0, 330.0, 0.0, 110.0])[:, None].expand(3, 4, 32)
    batch = {"sources": torch.randn(3, 4, 32 * 256), "f0_hz": f0, "mixture": torch.randn(3, 32 * 256)}
    for step in (model.training_step, model.validation_step):
        loss = step(batch, 0)
        loss.backward()
        assert loss.isfinite()
    silent = batch | {"f0_hz": torch.zeros(3, 4, 32)}
    assert model.training_step(silent, 0).isfinite() and model.validation_step(silent, 0).isfinite()


def test_one_number_a_mixture_is_as_the_same_alone() -> None:
    model, audio = MultiPitch(**SMALL, most_voices=5).eval(), torch.randn(3, 8000)
    together, _ = model(audio, torch.tensor([2, 0, 4]))
    assert together.shape[1] == 5
    for row, voices in enumerate((2, 0, 4)):
        alone, _ = model(audio[row : row + 1], voices)
        assert torch.allclose(together[row, : alone.shape[1]], alone[0], atol=1e-5)


def test_an_open_number_has_a_row_for_each_voice_that_there_may_be() -> None:
    model = MultiPitch(**SMALL, most_voices=6)
    assert model.track(np.zeros(5000, np.float32), 0).shape == (6, 20)
    assert model.track(np.zeros(5000, np.float32), 1).shape == (1, 20)
    with pytest.raises(DdspZooError, match="1 to 6 voices, not of 7"):
        model.track(np.zeros(5000, np.float32), 7)
    with pytest.raises(DdspZooError, match="2 to 4 voices, not of 0"):
        MultiPitch(**SMALL).track(np.zeros(5000, np.float32), 0)


def test_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    model, audio = MultiPitch(**SMALL, most_voices=4), np.zeros(5000, np.float32)
    f0 = np.zeros((4, 100))
    f0[0, :50], f0[1, 20:60], f0[2, :3] = 300, 200, 100
    monkeypatch.setattr(model, "track", lambda audio, voices: f0)
    assert model.count(audio) == 2
    monkeypatch.setattr(model, "track", lambda audio, voices: 0 * f0)
    assert model.count(audio) == 1
    told = MultiPitch(**SMALL)
    salience = torch.full((1, 10, PITCHES), -9.0)
    salience[0, :, [20, 60, 130]] = 4.0
    monkeypatch.setattr(told, "forward", lambda audio, voices: (None, salience))
    assert told.count(audio) == 3
    monkeypatch.setattr(told, "forward", lambda audio, voices: (None, salience * 0 - 9))
    assert told.count(audio) == 2  # it knows no fewer


def test_a_tracker_of_more_voices_begins_with_one_of_fewer() -> None:
    """Where the old one has as many voices, the new one says the same; each new voice is that of its neighbour."""
    old, new = MultiPitch(**SMALL).eval(), MultiPitch(**SMALL, most_voices=8).eval()
    copy_weights(old, new, "old")
    audio = torch.randn(1, 8000)
    before, after = old(audio, 4), new(audio, 4)
    assert torch.equal(before[1], after[1])
    full, _ = new(audio, 8)
    assert full.shape[1] == 8 and torch.allclose(full[:, 7], full[:, 6], atol=1e-5)
    assert torch.allclose(after[0][:, 0], before[0][:, 0], atol=1e-5)
    assert torch.allclose(full[:, 7], before[0][:, 3], atol=1e-5)  # more than it knew is as many as it knew


def test_training_begins_with_the_tracker_of_a_separator() -> None:
    separator = Umss(tracks_pitch=True)
    tracker = MultiPitch()
    copy_weights(separator, tracker, "separator")
    assert torch.equal(tracker.network.inward.weight, separator.tracker.network.inward.weight)


def test_each_voice_is_heard_again_without_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The upper voice is taken for another at first; alone its own pitch stands out."""
    audio = sung([hertz(190), hertz(75)])

    def forward(heard: torch.Tensor, voices: int) -> tuple[torch.Tensor, torch.Tensor]:
        frames = -(-heard.shape[-1] // 512)
        by_voice = torch.full((1, 2, frames, PITCHES + 1), -9.0)
        by_voice[0, 0, :, 120], by_voice[0, 0, :, 190], by_voice[0, 1, :, 75] = 5.3, 5.0, 5.0
        salience = torch.full((1, frames, PITCHES), -6.0)
        salience[..., 190] = salience[..., 75] = 3.0
        return by_voice, salience

    pitches = []
    for heard_again in (0, 1):
        model = MultiPitch(**SMALL, heard_again=heard_again)
        monkeypatch.setattr(model, "forward", forward)
        pitches.append(np.median(model.track(audio, 2), 1))
    assert abs(12 * np.log2(pitches[0][0] / hertz(190))) > 2
    assert np.abs(12 * np.log2(pitches[1] / [hertz(190), hertz(75)])).max() < 0.2
