"""A user's own stems: what a model gets, and what is said when something is missing."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora import StemFolder
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.errors import DdspZooError

MODEL = {"sources": ("bass", "rest"), "sample_rate": 8000, "hop_samples": 100, "segment_samples": 1600}


@pytest.fixture
def root(tmp_path, tone):
    """Two tracks a split of 0.4 s: bass mono at 8 kHz, keys stereo at 44.1 kHz."""
    for split in ("train", "validation", "test"):
        for name, midi in (("first", 0), ("second", 7)):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            bass, keys = (tone(hz * 2 ** (midi / 12), 0.4, rate) for hz, rate in ((53, 8000), (443, 44100)))
            sf.write(folder / "bass.wav", bass, 8000)
            sf.write(folder / "keys.flac", np.stack([keys, keys], axis=1), 44100)
    return tmp_path


def ready(root, stage: str = "fit", needs_pitch: bool = False, **settings) -> StemFolder:
    data = StemFolder(str(root), Excerpts(**({"batch_size": 2} | settings)))
    data.feed(SimpleNamespace(**MODEL, needs_pitch=needs_pitch))
    data.setup(stage)
    return data


def test_batches(root):
    (batch, other) = ready(root).val_dataloader()
    assert batch["mixture"].shape == other["mixture"].shape == (2, 1600)
    assert batch["sources"].shape == (2, 2, 1600)
    torch.testing.assert_close(batch["sources"].sum(1), batch["mixture"])
    assert batch["sources"].abs().amax(-1).min() > 0.1


@pytest.mark.parametrize(
    ("stage", "splits"),
    [
        ("fit", ["train", "validation"]),
        ("validate", ["validation"]),
        ("test", ["test"]),
    ],
)
def test_stages_read_their_splits(root, stage, splits):
    data = ready(root, stage)
    assert list(data.datasets) == splits
    for split, dataset in data.datasets.items():
        assert {track.stems["bass"][0].parts[-3] for track in dataset.tracks} == {split}


def test_a_model_is_asked_when_a_trainer_is_there(root):
    data = StemFolder(str(root))
    data.trainer = SimpleNamespace(lightning_module=SimpleNamespace(**MODEL, needs_pitch=False))
    data.setup("test")
    assert data.spec.sources == ("bass", "rest")
    assert len(data.test_dataloader().dataset) == 4


def epoch(data: StemFolder, number: int) -> torch.Tensor:
    loader = data.train_dataloader()
    loader.sampler.set_epoch(number)
    return torch.cat([batch["mixture"] for batch in loader])


@pytest.mark.parametrize("examples", [0, 6])
def test_epochs_differ_and_a_rerun_repeats_them(root, examples):
    first, again = (ready(root, examples_per_epoch=examples, seed=3) for _ in range(2))
    epochs = [epoch(first, number) for number in range(2)]
    assert len(epochs[0]) == (examples or 4)
    assert not torch.equal(*epochs)
    assert torch.equal(epoch(again, 1), epochs[1])


def test_all_training_audio_is_taken_once(root):
    sums = [sorted(epoch(ready(root), number).square().sum(1).tolist()) for number in (0, 5)]
    assert sums[0] == sums[1] and len(set(sums[0])) == 4


def test_worker_processes_make_no_difference(root):
    alone, helped = (list(ready(root, workers=n, examples_per_epoch=4).train_dataloader()) for n in (0, 1))
    assert all(torch.equal(a["mixture"], b["mixture"]) for a, b in zip(alone, helped, strict=True))


# ---- errors


def test_a_missing_stem_is_named(root):
    (root / "train" / "second" / "bass.wav").unlink()
    with pytest.raises(DdspZooError, match=r"second/bass.wav or .flac: .* second \(train\) has only keys"):
        ready(root)


@pytest.mark.parametrize(("split", "stage"), [("train", "fit"), ("validation", "fit"), ("test", "test")])
def test_a_missing_split_is_named(root, split, stage):
    (root / split).rename(root / "elsewhere")
    with pytest.raises(DdspZooError, match=f"There is no folder .*{split}: StemFolder reads"):
        ready(root, stage)


def test_an_empty_split(root):
    (root / "test").rename(root / "elsewhere")
    (root / "test").mkdir()
    with pytest.raises(DdspZooError, match="StemFolder has no tracks in its test split"):
        ready(root, "test")


def test_missing_pitch(root):
    with pytest.raises(DdspZooError, match=r"Track first \(train\) has no f0.csv"):
        ready(root, needs_pitch=True)


def test_an_unreadable_stem_is_named(root):
    (root / "train" / "first" / "keys.flac").write_text("not audio")
    with pytest.raises(DdspZooError, match="first/keys.flac is not audio"):
        list(ready(root).train_dataloader())
