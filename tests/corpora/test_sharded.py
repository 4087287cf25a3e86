"""Shards: what is written comes back the same, every excerpt once, however many processes read."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora import ShardedStems, StemFolder
from ddsp_zoo.corpora.base import BatchSpec, Excerpts
from ddsp_zoo.corpora.shard_files import write_shards
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import write_f0_csv

pytest.importorskip("webdataset")
RATE, SEGMENT, TRACKS = 8000, 2000, 8
SPEC = BatchSpec(("E2", "rest"), RATE, 80, SEGMENT, False)


def number_of(excerpt: torch.Tensor) -> int:
    """Which excerpt it is, by its constant value."""
    return round(float(excerpt.mean()) * 1000)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> StemFolder:
    """Eight tracks of three excerpts, each of a value of its own."""
    root = tmp_path_factory.mktemp("corpus")
    for split in ("train", "validation"):
        for number in range(TRACKS):
            folder = root / split / f"song.{number}"
            folder.mkdir(parents=True)
            values = np.repeat(np.arange(3) + 3 * number + 1, SEGMENT) / 1000
            sf.write(folder / "E2.wav", values, RATE, "FLOAT")
            sf.write(folder / "drums.flac", 0 * values, RATE)
            f0 = np.full((1, 75), 100.0 + number)
            write_f0_csv(folder / "f0.csv", np.arange(75) / 100, f0, ("E2",))
    return StemFolder(str(root))


@pytest.fixture(scope="module")
def shards(corpus: StemFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards") / "new"
    return write_shards(corpus, folder, ("train", "validation"), megabytes=0.05)


def reader(root: Path | str, workers: int = 0, spec: BatchSpec = SPEC, **settings) -> ShardedStems:
    data = ShardedStems(str(root), Excerpts(batch_size=2, workers=workers, seed=4), **settings)
    data.spec = spec
    data.setup("fit")
    return data


def heard(data: ShardedStems, epoch: int = 0) -> list[int]:
    loader = data.train_dataloader()
    loader.dataset.epoch = epoch
    batches = list(loader)
    assert len(batches) == len(loader)
    return [number_of(x) for batch in batches for x in batch["sources"][:, 0]]


def test_shards_hold_all_tracks(shards: Path) -> None:
    index = json.loads((shards / "shards.json").read_text())
    assert [len(row["seconds"]) for row in index["splits"]["train"]] == [2, 2, 2, 2]
    assert sum(s for row in index["splits"]["train"] for s in row["seconds"]) == TRACKS * 0.75


@pytest.mark.parametrize("workers", [0, 2])
def test_every_excerpt_is_heard_once_and_in_another_order_in_each_epoch(shards: Path, workers: int) -> None:
    data = reader(shards, workers)
    first, again, second = heard(data), heard(data), heard(data, 1)
    assert sorted(first) == sorted(second) == list(range(1, 3 * TRACKS + 1))
    assert first == again != second and first != sorted(first)


@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes_hear_every_excerpt_once_together(
    shards: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr("ddsp_zoo.corpora.sharded._process", lambda rank=rank: (rank, 2))
        parts.append(heard(reader(shards, workers)))
    assert len(parts[0]) == len(parts[1])
    assert sorted(parts[0] + parts[1]) == list(range(1, 3 * TRACKS + 1))


def test_processes_with_unequal_shares_stop_together(
    corpus: StemFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_shards(corpus, tmp_path / "three", ("train", "validation"), megabytes=0.066)
    assert len(list(root.glob("train*"))) == 3
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr("ddsp_zoo.corpora.sharded._process", lambda rank=rank: (rank, 2))
        parts.append(heard(reader(root)))
    assert len(parts[0]) in (9, 10) and len(parts[1]) in (
        9,
        10,
    )  # five batches of two, of which one is not full
    assert not set(parts[0]) & set(parts[1])


def test_validation_is_read_in_order_as_from_the_folder(corpus: StemFolder, shards: Path) -> None:
    spec = BatchSpec(("E2",), RATE, 80, SEGMENT, True)
    data = reader(shards, spec=spec)
    corpus.spec = spec
    corpus.setup("validate")
    of_folder = {number_of(x["sources"][0]): x for x in corpus.datasets["validation"]}
    items = [item for item in data.datasets["validation"]]
    assert len(items) == len(of_folder) == 3 * TRACKS
    for item in items:
        for name, value in of_folder[number_of(item["sources"][0])].items():
            torch.testing.assert_close(item[name], value)


def test_training_excerpts_vary(shards: Path) -> None:
    data = reader(shards, variation=Variation(gain_db=6.0, polarity=True))
    plain, varied = heard(reader(shards)), heard(data)
    assert len(varied) == len(plain) and min(varied) < 0
    assert sum(abs(a) != b for a, b in zip(varied, plain, strict=True)) > TRACKS


def test_shards_are_read_through_a_command(shards: Path) -> None:
    assert sorted(heard(reader(f"pipe:cat {shards}/{{}}"))) == list(range(1, 3 * TRACKS + 1))


def test_what_cannot_be_read_is_told(shards: Path, corpus: StemFolder, tmp_path: Path, monkeypatch) -> None:
    with pytest.raises(DdspZooError, match="There is no"):
        reader(tmp_path)
    with pytest.raises(DdspZooError, match="no shards of the test split"):
        reader(shards).setup("test")
    with pytest.raises(DdspZooError, match="leave out excerpts.examples_per_epoch"):
        ShardedStems(str(shards), Excerpts(examples_per_epoch=3)).setup("fit")
    with pytest.raises(DdspZooError, match="measure on the corpus"):
        reader(shards).tracks("test")
    with pytest.raises(DdspZooError, match="is there already"):
        write_shards(corpus, shards)
    with pytest.raises(DdspZooError, match="B3.wav or .flac"):
        list(reader(shards, spec=BatchSpec(("B3",), RATE, 80, SEGMENT, False)).datasets["train"])
    (tmp_path / "shards.json").write_text("[]")
    with pytest.raises(DdspZooError, match="no list of shards"):
        reader(tmp_path)
    monkeypatch.setitem(sys.modules, "webdataset", None)
    with pytest.raises(DdspZooError, match=r"ddsp_zoo\[shards\]"):
        list(reader(shards).datasets["train"])
