"""The learned onset head: targets, features, errors put into f0, learning, checkpoints, bad input."""

from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.pitch.onset_corruption import convolve, corrupted, muddied
from ddsp_zoo.pitch.onset_head import OnsetHead, nearest_pitch, onset_targets
from ddsp_zoo.pitch.onsets import Evidence, gate_onsets
from ddsp_zoo.reports.onsets import learned_detector

RATE, HOP, STRIDE = 16000, 64, 256
DUO = {"sources": ("low", "high"), "width": 16, "apart": 0.0}
PITCH = {"low": 110.0, "high": 261.6}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def played(rng: np.random.Generator, seconds: float = 1.024) -> dict[str, torch.Tensor]:
    """A batch of one: two strings plucked at random moments at one pitch each, voiced throughout."""
    count = round(seconds * RATE)
    sources, onset = torch.zeros(2, count), torch.zeros(2, count // HOP)
    for row, hz in enumerate(PITCH.values()):
        for start in np.cumsum(rng.uniform(0.12, 0.4, 5)):
            frame = round(start * RATE / HOP)
            if frame < onset.shape[1]:
                time = torch.arange(count - frame * HOP) / RATE
                tone = sum(
                    torch.exp(-(4 + h) * time) * torch.sin(6.2832 * h * hz * time) / h for h in range(1, 9)
                )
                sources[row, frame * HOP :] = tone
                onset[row, frame] = 1
    f0 = torch.tensor(list(PITCH.values()))[:, None].expand(-1, onset.shape[1])
    return {
        "mixture": sources.sum(0)[None],
        "sources": sources[None],
        "f0_hz": f0[None],
        "onset": onset[None],
    }


def test_size():
    assert 50_000 < sum(p.numel() for p in OnsetHead().parameters()) < 300_000


def test_targets_say_how_near_and_how_late():
    onset = torch.zeros(1, 1, 40)
    onset[..., 13] = 1  # a quarter after frame 3
    likely, later = onset_targets(onset)
    assert likely.shape == (1, 1, 10)
    assert likely[0, 0, 2:6].tolist() == pytest.approx([1 - 1.25 / 2, 1 - 0.25 / 2, 1 - 0.75 / 2, 0])
    assert later[0, 0, 2:5].tolist() == [1.25, 0.25, -0.75]
    assert likely.count_nonzero() == 3
    onset[..., 16] = 1  # on frame 4: the nearer one counts
    assert onset_targets(onset)[0][0, 0, 4] == 1


def test_rests_take_the_nearest_pitch():
    f0 = torch.tensor([[[0.0, 100, 0, 0, 0, 200, 0], [0.0] * 7]])
    assert nearest_pitch(f0)[0, 0].tolist() == [100, 100, 100, 200, 200, 200, 200]
    assert nearest_pitch(f0)[0, 1].tolist() == [100] * 7


def test_features_have_no_scale_and_stand_silence():
    head, batch = OnsetHead(**DUO), played(np.random.default_rng(0))
    f0 = batch["f0_hz"][..., ::4]
    loud, soft = (head.features(gain * batch["mixture"], f0) for gain in (1, 1e-3))
    assert torch.allclose(loud, soft, atol=1e-2)
    assert all(part.isfinite().all() for part in head(torch.zeros(1, 4096), torch.zeros(1, 2, 16)))
    assert head.features(torch.rand(1, 4096), 7000 * torch.ones(1, 2, 16)).isfinite().all()  # beyond Nyquist


def test_a_transposed_string_looks_the_same():
    """Levels are read at the harmonics, so the levels of a tone do not depend on its pitch."""
    head, time = OnsetHead(**DUO), torch.arange(8192) / RATE
    seen = []
    for hz in (125.0, 250.0):  # on the bins of the spectrum
        tone = sum(torch.sin(6.2832 * h * hz * time) / h for h in range(1, 11))
        seen.append(head.features(tone[None], torch.full((1, 2, 32), hz))[0, 0, 16, 3:93:9])
    assert torch.allclose(*seen, atol=0.05)
    assert seen[0][0] > seen[0][9] + 0.5  # and the tenth harmonic is 20 dB below the first


def test_errors_of_a_tracker():
    f0 = torch.zeros(40, 6, 200)
    f0[..., 20:60], f0[..., 70:120] = 110.0, 110.0
    wrong = corrupted(f0, seeded())
    assert wrong.shape == f0.shape and wrong.isfinite().all() and (wrong >= 0).all()
    assert torch.equal(wrong, corrupted(f0, seeded()))
    exact = (wrong == f0).all(-1).all(-1)
    assert 0 < exact.sum() < 25
    voiced = wrong[~exact] > 0
    assert (voiced[..., 62:68].all(-1)).float().mean() > 0.3  # the gap between equal pitches is gone
    assert (~voiced[..., 30:50]).any(-1).float().mean() > 0.2  # notes break off
    cents = 1200 * torch.log2(wrong[~exact][..., 30:50][voiced[..., 30:50]] / 110)
    assert 0.005 < (cents.abs() > 600).float().mean() < 0.1  # octaves
    assert cents.abs().median() < 30


def test_mud_keeps_the_music():
    clean = torch.sin(torch.arange(16000) / 10).expand(60, -1)
    muddy = muddied(clean, RATE, seeded())
    same = (muddy == clean).all(-1)
    assert muddy.shape == clean.shape and muddy.isfinite().all() and 5 < same.sum() < 35
    assert torch.corrcoef(torch.cat([clean[:1], muddy]))[0].median() > 0.7
    assert not muddied(torch.zeros(2, 4000), RATE, seeded()).any()


def test_convolution_is_numpys():
    audio, response = torch.randn(2, 50), torch.randn(2, 20)
    for row, found in enumerate(convolve(audio, response)):
        assert found.numpy() == pytest.approx(np.convolve(audio[row], response[row])[:50], abs=1e-4)


@pytest.fixture(scope="module")
def trained() -> OnsetHead:
    """A small head that has heard some seconds of plucks."""
    torch.manual_seed(0)
    head, rng = OnsetHead(**DUO), np.random.default_rng(0)
    head.log_dict = lambda *a, **k: None
    optimiser = torch.optim.Adam(head.parameters(), lr=5e-3)
    many = [played(rng) for _ in range(8)]
    batch = {name: torch.cat([one[name] for one in many]) for name in many[0]}
    for _ in range(60):
        f0 = batch["f0_hz"][..., ::4]
        loss = head._step(batch["mixture"], f0, batch["onset"], "train")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return head.eval()


def test_it_learns_plucks_that_no_gate_sees(trained: OnsetHead):
    batch = played(np.random.default_rng(99))
    evidence = Evidence(batch["mixture"][0].numpy(), batch["f0_hz"][0, :, ::4].numpy(), RATE, STRIDE)
    assert sum(map(len, gate_onsets(evidence))) == 2
    for found, onset in zip(trained.detect(evidence), batch["onset"][0], strict=True):
        plucked = np.flatnonzero(onset) * HOP / RATE
        assert len(found) == len(plucked) > 1
        assert np.abs(found - plucked).max() < 0.012


def test_f0_on_another_grid(trained: OnsetHead):
    batch = played(np.random.default_rng(99))
    mixture, f0 = batch["mixture"][0].numpy(), batch["f0_hz"][0].numpy()
    fine, coarse = (trained.detect(Evidence(mixture, f0[:, ::k], RATE, k * HOP)) for k in (1, 4))
    assert all(np.allclose(*pair) for pair in zip(fine, coarse, strict=True))


def test_no_onsets_without_sound_or_pitch(trained: OnsetHead):
    f0 = np.array([[110.0] * 40, [0.0] * 40])
    music = played(np.random.default_rng(1))["mixture"][0, : 40 * STRIDE].numpy()
    assert len(trained.detect(Evidence(music, f0, RATE, STRIDE))[1]) == 0
    for samples in (0, 1, 5000):
        assert all(
            np.isfinite(t).all() for t in trained.detect(Evidence(np.zeros(samples), f0, RATE, STRIDE))
        )
    assert [len(t) for t in trained.detect(Evidence(music, f0[:, :0], RATE, STRIDE))] == [0, 0]


@pytest.mark.parametrize(("rows", "rate"), [(3, RATE), (2, 44100)])
def test_strings_and_rate_that_do_not_fit(rows: int, rate: int):
    with pytest.raises(DdspZooError, match=f"2 strings at 16000 Hz, not {rows} at {rate} Hz"):
        OnsetHead(**DUO).detect(Evidence(np.zeros(5000), np.zeros((rows, 20)), rate, STRIDE))


def test_a_training_step_mixes_strings_anew(monkeypatch: pytest.MonkeyPatch):
    head = OnsetHead(**DUO | {"apart": 1.0})
    heard = []
    monkeypatch.setattr(head, "log_dict", lambda *a, **k: None)
    monkeypatch.setattr(head, "_step", lambda *parts: heard.append(parts) or parts[0].sum())
    monkeypatch.setattr("ddsp_zoo.pitch.onset_head.muddied", lambda mixture, *rest: mixture)
    sources = torch.tensor([[1.0, 10], [100, 1000]])[..., None].expand(-1, -1, 1024)
    onset = sources[..., ::64] / 1000  # tells whose string it is
    head.training_step({"mixture": sources.sum(1), "sources": sources, "f0_hz": onset, "onset": onset}, 0)
    mixture, _, marks, _ = heard[0]
    gain = 10 ** (6 / 20)
    strings = 1000 * marks[..., 0]
    assert sorted(strings[:, 0].tolist()) == [1, 100] and sorted(strings[:, 1].tolist()) == [10, 1000]
    assert (strings.sum(1) / gain <= mixture[:, 0]).all() and (mixture[:, 0] <= strings.sum(1) * gain).all()


def test_a_lightning_checkpoint_becomes_a_detector(trained: OnsetHead, tmp_path: Path):
    trainer = L.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(trained)
    trainer.save_checkpoint(tmp_path / "head.ckpt", weights_only=True)
    batch = played(np.random.default_rng(3))
    evidence = Evidence(batch["mixture"][0].numpy(), batch["f0_hz"][0, :, ::4].numpy(), RATE, STRIDE)
    loaded = learned_detector(tmp_path / "head.ckpt")
    assert all(np.array_equal(*pair) for pair in zip(loaded(evidence), trained.detect(evidence), strict=True))
