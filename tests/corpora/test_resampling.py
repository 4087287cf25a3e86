"""Stems at the model's rate: made once, whole or not at all, and again when a file changes."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora import StemFolder, resampling
from ddsp_zoo.corpora.base import BatchSpec, Excerpts, Track, folder_tracks
from ddsp_zoo.corpora.resampling import resample_tracks
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import read_mono

RATE = 8000


@pytest.fixture
def tracks(tmp_path: Path, tone: Callable) -> list[Track]:
    """Stereo FLAC at 44.1 kHz, and a WAV that has the model's rate already."""
    folder = tmp_path / "corpus" / "train" / "x"
    folder.mkdir(parents=True)
    sf.write(folder / "a.flac", np.stack([tone(440, 1.5, 44100), tone(660, 1.5, 44100)], 1), 44100)
    sf.write(folder / "b.wav", tone(330, 1.5, RATE), RATE)
    return folder_tracks(folder.parent)


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != ".lock")


def test_a_copy_is_the_resampled_file(tracks: list[Track], tmp_path: Path) -> None:
    (track,) = resample_tracks(tracks, RATE, str(tmp_path / "copies"))
    copy, same = track.stems["a"][0], track.stems["b"][0]
    assert same == tracks[0].stems["b"][0]
    assert copy.parent == tmp_path / "copies" / "8000" and copies(tmp_path / "copies") == [copy.name]
    assert sf.info(copy).samplerate == RATE and sf.info(copy).channels == 1
    expected = read_mono(tracks[0].stems["a"][0], RATE)
    np.testing.assert_allclose(read_mono(copy, RATE), expected, atol=2**-15)
    assert track.name == "x" and track.seconds == tracks[0].seconds


def test_copies_are_made_once(tracks: list[Track], tmp_path: Path) -> None:
    (first,) = resample_tracks(tracks, RATE, str(tmp_path / "copies"))
    first.stems["a"][0].write_bytes(b"mine")
    assert resample_tracks(tracks, RATE, str(tmp_path / "copies")) == [first]
    assert first.stems["a"][0].read_bytes() == b"mine"


def test_a_changed_file_is_resampled_again(tracks: list[Track], tmp_path: Path) -> None:
    source = tracks[0].stems["a"][0]
    (before,) = resample_tracks(tracks, RATE, str(tmp_path / "copies"))
    state = source.stat()
    os.utime(source, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    (after,) = resample_tracks(tracks, RATE, str(tmp_path / "copies"))
    (other,) = resample_tracks(tracks, 16000, str(tmp_path / "copies"))
    names = {track.stems["a"][0].relative_to(tmp_path / "copies") for track in (before, after, other)}
    assert len(names) == 3


def test_a_stem_beyond_full_scale_is_not_clipped(tmp_path: Path, tone: Callable) -> None:
    folder = tmp_path / "corpus" / "x"
    folder.mkdir(parents=True)
    sf.write(folder / "a.wav", 4 * tone(440, 0.5, 16000), 16000, subtype="FLOAT")
    for _ in range(2):  # made, then found
        (track,) = resample_tracks(folder_tracks(folder.parent), RATE, str(tmp_path / "copies"))
        copy = track.stems["a"][0]
        assert copy.suffix == ".wav" and copies(tmp_path / "copies") == [copy.name]
        np.testing.assert_array_equal(read_mono(copy, RATE), read_mono(folder / "a.wav", RATE))


def test_nothing_half_written_stays(
    tracks: list[Track], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, *given: object, **more: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(resampling.sf, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            resample_tracks(tracks, RATE, str(tmp_path / "copies"))
    assert copies(tmp_path / "copies") == []
    (track,) = resample_tracks(tracks, RATE, str(tmp_path / "copies"))
    assert len(read_mono(track.stems["a"][0], RATE)) == 1.5 * RATE


def test_a_damaged_file_is_named(tracks: list[Track], tmp_path: Path) -> None:
    tracks[0].stems["a"][0].write_bytes(b"fLaC nonsense")
    with pytest.raises(DdspZooError, match="a.flac is not audio that can be read"):
        resample_tracks(tracks, RATE, str(tmp_path / "copies"))


@pytest.mark.slow
def test_several_processes(tracks: list[Track], tmp_path: Path, tone: Callable) -> None:
    sf.write(tracks[0].stems["a"][0].with_name("c.wav"), tone(220, 1.0, 16000), 16000)
    more = folder_tracks(tracks[0].stems["a"][0].parents[1])
    (track,) = resample_tracks(more, RATE, str(tmp_path / "copies"), workers=2)
    assert {sf.info(path).samplerate for (path,) in track.stems.values()} == {RATE}


@pytest.mark.parametrize("where", [True, "copies"])
def test_a_corpus_reads_its_copies(
    tracks: list[Track], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: bool | str
) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "resampled" if where is True else tmp_path / where
    (tmp_path / "corpus" / "validation").symlink_to(tmp_path / "corpus" / "train")
    data = StemFolder(str(tmp_path / "corpus"), Excerpts(resampled=True if where is True else str(folder)))
    data.spec = BatchSpec(("a", "rest"), RATE, 100, 8000, needs_pitch=False)
    data.setup("fit")
    read = data.datasets["train"].tracks[0].stems
    assert read["a"][0].parent == folder / "8000" and read["b"] == tracks[0].stems["b"]
    plain = StemFolder(str(tmp_path / "corpus"))
    plain.spec = data.spec
    plain.setup("fit")
    for split in ("train", "validation"):
        item, other = data.datasets[split][0], plain.datasets[split][0]
        assert torch.equal(item["sources"][1], other["sources"][1])
        inner = slice(200, -200)  # where an excerpt is resampled by itself, its ends differ
        assert torch.allclose(item["sources"][0, inner], other["sources"][0, inner], atol=1e-3)
