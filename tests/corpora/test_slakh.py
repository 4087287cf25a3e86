"""Slakh2100 in its published layouts: classes, splits, what is missing, and the download."""

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml
from zenodo import Zenodo

from ddsp_zoo.corpora import Slakh2100, download
from ddsp_zoo.corpora.base import BatchSpec, Excerpts
from ddsp_zoo.corpora.slakh.files import class_of, find_tracks
from ddsp_zoo.corpora.slakh.splits import ORIGINAL, find_splits
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import read_mono
from ddsp_zoo.sources import SPLITS

BAND = ("bass", "drums", "guitar", "other")
REAL_ROOT = os.environ.get("SLAKH_ROOT")
RATE = 16000
# Name of a stem: (inst_class, is_drum, rendered); as in the corpus, a sound effect has no audio.
PARTS = {
    "S00": ("Bass", False, True),
    "S01": ("Drums", True, True),
    "S02": ("Guitar", False, True),
    "S03": ("Piano", False, True),
    "S04": ("Guitar", False, True),
    "S05": ("Organ", False, True),
    "S06": ("Sound Effects", False, False),
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SLAKH_ROOT", raising=False)


def write_track(folder: Path, parts: dict = PARTS, suffix: str = ".flac", rate: int = RATE) -> Path:
    """A second of a track in the corpus's own layout; every stem is a tone of its own."""
    (folder / "stems").mkdir(parents=True)
    (folder / "MIDI").mkdir()
    stems: dict[str, dict[str, Any]] = {}
    mix = np.zeros(rate)
    for number, (name, (inst_class, is_drum, rendered)) in enumerate(parts.items()):
        stems[name] = {
            "audio_rendered": rendered,
            "inst_class": inst_class,
            "is_drum": is_drum,
            "program_num": 1,
        }
        if rendered:
            audio = 0.1 * np.sin(2 * np.pi * 110 * (number + 2) * np.arange(rate) / rate)
            mix += audio
            sf.write(folder / "stems" / f"{name}{suffix}", audio, rate)
    sf.write(folder / f"mix{suffix}", mix, rate)
    (folder / "metadata.yaml").write_text(
        yaml.safe_dump({"UUID": "x", "audio_dir": "elsewhere", "stems": stems})
    )
    return folder


def write_corpus(root: Path, folders: bool = True, **more: Any) -> Path:
    """Two tracks of each split, and in training one that redux omits."""
    for number, split in (
        (1, "train"),
        (49, "omitted"),
        (1500, "train"),
        (1501, "validation"),
        (1502, "validation"),
        (1876, "test"),
        (1877, "test"),
    ):
        write_track((root / split if folders else root) / f"Track{number:05d}", **more)
    return root


def spec(*sources: str, rate: int = RATE) -> BatchSpec:
    return BatchSpec(sources or BAND, rate, 100, rate // 2, needs_pitch=False)


def names(data: Slakh2100) -> dict[str, list[int]]:
    return {split: [int(track.name[5:]) for track in data.tracks(split)] for split in SPLITS}


# ---- classes


@pytest.mark.parametrize("suffix", [".flac", ".wav"])
def test_a_class_is_the_sum_of_all_its_stems(tmp_path: Path, suffix: str) -> None:
    folder = write_track(tmp_path / "Track00001", suffix=suffix)
    data = Slakh2100(str(tmp_path), splits="original")
    (track,) = data.tracks("train")
    files = {name: [path.name for path in paths] for name, paths in track.stems.items()}
    assert files == {
        "bass": [f"S00{suffix}"],
        "drums": [f"S01{suffix}"],
        "guitar": [f"S02{suffix}", f"S04{suffix}"],
        "other": [f"S03{suffix}", f"S05{suffix}"],
    }
    write_track(tmp_path / "Track01501")
    data = Slakh2100(str(tmp_path), splits="original")
    data.spec = spec()
    data.setup("fit")
    item = data.datasets["train"][1]
    audio = {name: read_mono(folder / "stems" / f"{name}{suffix}", RATE, 0.5) for name in list(PARTS)[:6]}
    expected = [audio["S00"], audio["S01"], audio["S02"] + audio["S04"], audio["S03"] + audio["S05"]]
    assert np.abs(item["sources"].numpy() - expected).max() < 1e-6
    mix = read_mono(folder / f"mix{suffix}", RATE, 0.5)
    assert np.abs(item["mixture"].numpy() - mix).max() < 1e-3  # six files of 16 bits


@pytest.mark.parametrize(
    ("inst_class", "is_drum", "expected"),
    [
        ("Bass", False, "bass"),
        ("Guitar", False, "guitar"),
        ("Drums", True, "drums"),
        ("Guitar", True, "drums"),
        ("Strings (continued)", False, "other"),
        ("Other", False, "other"),
    ],
)
def test_class_of_a_stem(inst_class: str, is_drum: bool, expected: str) -> None:
    assert class_of({"inst_class": inst_class, "is_drum": is_drum}) == expected


def test_a_class_that_nobody_plays_is_silent(tmp_path: Path) -> None:
    parts = {name: part for name, part in PARTS.items() if part[0] != "Guitar"}
    for number in (1, 1501):
        write_track(tmp_path / f"Track{number:05d}", parts)
    data = Slakh2100(str(tmp_path))
    data.spec = spec("guitar", "rest")
    data.setup("fit")
    guitar, rest = data.datasets["train"][0]["sources"]
    assert not guitar.any() and rest.abs().max() > 0.3


def test_silence_is_kept(tmp_path: Path) -> None:
    """Every stretch of a track is an excerpt, also where nobody plays."""
    for number in (1, 1501):
        folder = write_track(tmp_path / f"Track{number:05d}")
    for path in (tmp_path / "Track00001" / "stems").iterdir():
        sf.write(path, np.concatenate([np.zeros(RATE), np.full(RATE, 0.1)]), RATE)
    data = Slakh2100(str(folder.parent))
    data.spec = spec()
    data.setup("fit")
    loud = [bool(data.datasets["train"][n]["mixture"].any()) for n in range(len(data.datasets["train"]))]
    assert loud == [False, False, True, True]


def test_a_stem_is_used_if_it_is_there_whatever_its_flag_says(tmp_path: Path) -> None:
    """In babyslakh every stem is marked as not rendered."""
    folder = write_track(tmp_path / "Track00001")
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(text.replace("audio_rendered: true", "audio_rendered: false"))
    (track,) = Slakh2100(str(tmp_path)).tracks("train")
    assert [len(paths) for paths in track.stems.values()] == [1, 1, 2, 2]


# ---- splits


def test_borders_of_the_splits() -> None:
    numbers = (1, 1500, 1501, 1875, 1876, 2100, 2101)
    found = find_splits([Path(f"Track{n:05d}") for n in numbers], "original")
    assert list(found.values()) == ["train"] * 2 + ["validation"] * 2 + ["test"] * 2 + [None]
    assert [len(ORIGINAL[split]) for split in SPLITS] == [1500, 375, 225]


def test_redux_is_as_large_as_published() -> None:
    found = find_splits([Path(f"Track{n:05d}") for n in range(1, 2101)], "redux")
    every = list(found.values())
    assert [every.count(split) for split in (*SPLITS, None)] == [1289, 270, 151, 390]
    assert [found[f"Track{n:05d}"] for n in (10, 2098)] == ["train", "test"]
    assert [found[f"Track{n:05d}"] for n in (49, 1872, 2100)] == [None] * 3


@pytest.mark.parametrize("folders", [True, False])
def test_layouts(tmp_path: Path, folders: bool) -> None:
    root = str(write_corpus(tmp_path, folders))
    redux = {"train": [1, 1500], "validation": [1501, 1502], "test": [1876, 1877]}
    assert names(Slakh2100(root)) == redux
    assert names(Slakh2100(root, splits="original")) == redux | {"train": [1, 49, 1500]}
    if folders:
        (tmp_path / "test" / "Track01876").rename(tmp_path / "train" / "Track01876")
        moved = {"train": [1, 1500, 1876], "validation": [1501, 1502], "test": [1877]}
        assert names(Slakh2100(root, splits="folders")) == moved


def test_splits_from_a_file(tmp_path: Path) -> None:
    entries: dict[str, Any] = {f"Track{n:05d}": {"action": None} for n in (1, 1501, 1502, 1876)}
    entries["Track00049"] = {"action": "omit", "source_split": "train"}
    entries["Track01500"] = {"action": "move", "source_split": "train", "destination_split": "test"}
    (tmp_path / "mine.json").write_text(json.dumps(entries))
    data = Slakh2100(str(write_corpus(tmp_path)), splits=str(tmp_path / "mine.json"))
    assert names(data) == {"train": [1], "validation": [1501, 1502], "test": [1500, 1876]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no file of splits .*mine.json"),
        ("{", 'needs an entry like "Track00003"'),
        ("[1]", "needs an entry like"),
        ('{"Track00001": {"action": "drop"}}', "needs an entry like"),
        ('{"Track00001": {"action": "move", "destination_split": "garage"}}', "needs an entry like"),
    ],
)
def test_a_file_that_holds_no_splits(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "mine.json").write_text(text)
    with pytest.raises(DdspZooError, match=message):
        Slakh2100(str(write_corpus(tmp_path)), splits=str(tmp_path / "mine.json")).tracks("train")


def test_some_of_the_tracks(tmp_path: Path) -> None:
    root = write_corpus(tmp_path)
    write_track(tmp_path / "train" / "Track00002")
    assert names(Slakh2100(str(root), train_tracks=2, test_tracks=1)) == {
        "train": [1, 2],
        "validation": [1501, 1502],
        "test": [1876],
    }


# ---- audio of another rate, and training


@pytest.mark.parametrize(
    ("sources", "changes"), [(BAND, {}), (("drums", "rest"), {"swap": 0.5, "gain_db": 6.0, "stretch": 0.1})]
)
def test_training_batches(tmp_path: Path, sources: tuple[str, ...], changes: dict[str, float]) -> None:
    root = str(write_corpus(tmp_path / "corpus"))
    model = SimpleNamespace(
        sources=sources, sample_rate=8000, hop_samples=100, segment_samples=4000, needs_pitch=False
    )

    def batches(resampled: bool | str) -> list[dict[str, torch.Tensor]]:
        data = Slakh2100(
            root, excerpts=Excerpts(4, 8, resampled=resampled), variation=Variation(**changes)
        ).feed(model)
        data.prepare_data()
        data.setup("fit")
        return [*data.train_dataloader(), next(iter(data.val_dataloader()))]

    first, again = batches(True), batches(True)
    assert len(list((tmp_path / "cache/resampled/8000").glob("S*.flac"))) == 4 * 6  # of the tracks in use
    for batch, same in zip(first, again, strict=True):
        assert batch["sources"].shape == (4, len(sources), 4000)
        assert torch.equal(batch["mixture"], same["mixture"])
        assert torch.allclose(batch["mixture"], batch["sources"].sum(1), atol=1e-6)
    for batch, other in zip(first, batches(False), strict=True):
        error = (batch["sources"] - other["sources"])[..., 300:-300].abs().max()
        assert error < 2e-3  # rounded to 16 bits, and without the ends that resampling an excerpt has


@pytest.mark.skipif(not REAL_ROOT, reason="SLAKH_ROOT names no folder with Slakh2100 or babyslakh")
def test_the_real_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its first track all stems are found, on the scale of the mixture."""
    data = Slakh2100(REAL_ROOT, splits="original", train_tracks=1, excerpts=Excerpts())
    (track,) = data.tracks("train")
    folder = next(path for paths in track.stems.values() for path in paths).parents[1]
    rendered = sorted(path.name for path in (folder / "stems").glob("S*"))
    assert sorted(path.name for paths in track.stems.values() for path in paths) == rendered
    monkeypatch.setattr(data, "tracks", lambda split: [track])
    data.spec = spec(rate=16000)
    data.setup("fit")
    items = [next(iter(loader))["mixture"] for loader in (data.train_dataloader(), data.val_dataloader())]
    assert all(batch.shape[1] == 8000 for batch in items)
    mix = read_mono(next(folder.glob("mix.*")), 16000, 0.0, len(items[1]) / 2)
    assert np.abs(items[1].flatten().numpy() - mix)[200:-200].max() < 1e-2


# ---- errors


@pytest.mark.parametrize("root", [None, "empty"])
def test_without_the_corpus_downloads_and_the_rendered_band_are_named(
    tmp_path: Path, root: str | None
) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DdspZooError, match="data.download.*redux or baby.*recipes/data/rendered_band.yaml"):
        Slakh2100(root and str(tmp_path / root)).tracks("train")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"splits": "mine"},
            "no splits called 'mine': choose one of redux, original, baby, folders, or a JSON",
        ),
        ({"download": "all"}, "no download called 'all': choose redux or baby"),
        ({"train_tracks": 9}, "train split of redux has 2 tracks here, not 9: lower data.train_tracks"),
        ({"train_tracks": -1}, "not -1"),
        ({"splits": "baby"}, "has no validation tracks in the splits 'baby'"),
    ],
)
def test_unusable_settings(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DdspZooError, match=message):
        names(Slakh2100(str(write_corpus(tmp_path)), **settings))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no .*Track00001/metadata.yaml, which tells what each stem is: unpack"),
        ("stems: [", "metadata.yaml does not tell what each stem is"),
        ("UUID: x", "does not tell what each stem is"),
        ("stems: {S00: loud}", "does not tell what each stem is"),
        ("stems: {}", "holds no audio of the stems"),
        ("stems: {S77: {audio_rendered: false}}", "Track00001 holds no audio of the stems"),
        ("stems: {S77: {audio_rendered: true}}", "stems/S77.flac or .wav is missing: unpack .* or set its"),
    ],
)
def test_metadata_that_cannot_be_used(tmp_path: Path, text: str | None, message: str) -> None:
    path = write_track(tmp_path / "Track00001") / "metadata.yaml"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(DdspZooError, match=message) as error:
        Slakh2100(str(tmp_path)).tracks("train")
    assert str(error.value).count("\n") == 0


def test_a_track_that_is_there_twice(tmp_path: Path) -> None:
    for split in ("train", "omitted"):
        (tmp_path / split / "Track00001").mkdir(parents=True)
    with pytest.raises(DdspZooError, match="Track00001 is there twice, in .*train and .*omitted: remove one"):
        find_tracks(tmp_path)


def test_damaged_audio_is_named(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "corpus")
    (root / "train" / "Track00001" / "stems" / "S02.flac").write_bytes(b"fLaC nonsense")
    data = Slakh2100(str(root))
    data.spec = spec(rate=8000)
    with pytest.raises(DdspZooError, match="S02.flac is not audio that can be read"):
        data.setup("fit")


# ---- downloads


@pytest.fixture
def baby(tmp_path: Path, serve_zenodo: Callable[..., Zenodo]) -> Zenodo:
    """Its archive holds one folder, and beside each file what macOS adds."""
    top = tmp_path / "upload" / "babyslakh_16k"
    for number in (1, 15, 18):
        write_track(top / f"Track{number:05d}", suffix=".wav")
        (top / f"Track{number:05d}" / "._metadata.yaml").write_bytes(b"\0")
    (top / "noise").write_bytes(np.random.default_rng(0).bytes(200_000))  # so that it comes in several parts
    with tarfile.open(tmp_path / "upload.tar.gz", "w:gz") as archive:
        archive.add(top, "babyslakh_16k")
    return serve_zenodo(4603870, {"babyslakh_16k.tar.gz": (tmp_path / "upload.tar.gz").read_bytes()})


def test_download(baby: Zenodo, tmp_path: Path) -> None:
    baby.cuts = [100_000]  # goes on where it stopped
    data = Slakh2100(splits="baby", download="baby")
    data.prepare_data()
    assert names(data) == {"train": [1], "validation": [15], "test": [18]}
    first, second = (int(part[6:-1]) for part in baby.ranges)
    assert first == 0 < second <= 100_000
    folder = tmp_path / "cache" / "slakh"
    assert sorted(path.name for path in folder.iterdir()) in (["baby"], ["baby", "baby.lock"])
    assert not list(folder.rglob("._*"))
    Slakh2100(splits="baby", download="baby").prepare_data()
    assert len(baby.ranges) == 2


def test_a_disk_that_is_too_small(baby: Zenodo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(
        DdspZooError, match=r"babyslakh_16k.tar.gz needs 0.\d GB in .* 0.0 GB are free: make room"
    ):
        Slakh2100(download="baby").prepare_data()
    assert baby.ranges == [] and not (tmp_path / "cache" / "slakh" / "baby").exists()


@pytest.mark.parametrize("content", [b"no archive at all", b"\x1f\x8b\x08\x00half"])
def test_what_is_no_archive(serve_zenodo: Callable[..., Zenodo], tmp_path: Path, content: bytes) -> None:
    serve_zenodo(4603870, {"babyslakh_16k.tar.gz": content})
    with pytest.raises(DdspZooError, match="baby.tar.gz.part cannot be unpacked .*: remove it and try again"):
        Slakh2100(download="baby").prepare_data()
    assert not (tmp_path / "cache" / "slakh" / "baby").exists()
