"""Stems on disk -> batches: excerpts, pitch beside them, and an order that can be repeated."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora import order as orders
from ddsp_zoo.corpora.base import BatchSpec, StemDataset, Track, folder_tracks
from ddsp_zoo.corpora.order import EpochSampler, StreamSampler
from ddsp_zoo.errors import DdspZooError

RATE, HOP, SEGMENT = 8000, 100, 1600


def spec(*sources: str, needs_pitch: bool = False) -> BatchSpec:
    return BatchSpec(sources, RATE, HOP, SEGMENT, needs_pitch)


def stairs(steps: int, level: float = 1 / 64) -> np.ndarray:
    """A stem that tells the time: step k of 100 samples has the value k * level."""
    return np.repeat(np.arange(steps) * level, HOP).astype(np.float32)


def write_track(folder: Path, **stems: np.ndarray) -> Path:
    folder.mkdir(parents=True)
    for name, audio in stems.items():
        sf.write(folder / f"{name}.wav", audio, RATE, subtype="FLOAT")
    return folder


@pytest.fixture
def tracks(tmp_path) -> list[Track]:
    """Two tracks of 0.6 and 0.25 s with stems a and b, and one more of c."""
    write_track(tmp_path / "one", a=stairs(48), b=-0.25 * stairs(48), c=stairs(30, 1 / 128))
    write_track(tmp_path / "two", a=stairs(20), b=stairs(10))
    return folder_tracks(tmp_path)


# ---- tracks


def test_tracks_of_a_folder(tracks):
    assert [track.name for track in tracks] == ["one", "two"]
    assert [track.sources for track in tracks] == [("a", "b", "c"), ("a", "b")]
    assert [track.seconds for track in tracks] == [0.6, 0.25]
    assert tracks[0].pitch is None


def test_hidden_folders_and_other_files_are_passed_over(tracks, tmp_path):
    (tmp_path / ".half_done").mkdir()
    (tmp_path / "readme.txt").write_text("-")
    (tmp_path / "one" / "cover.jpg").write_text("-")
    assert folder_tracks(tmp_path) == tracks


def test_an_absent_folder_has_no_tracks(tmp_path):
    assert folder_tracks(tmp_path / "none") == []


def test_a_track_without_stems(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DdspZooError, match="empty holds no stems"):
        folder_tracks(tmp_path)


# ---- excerpts


def test_consecutive_excerpts_cover_the_tracks_in_order(tracks):
    dataset = StemDataset(tracks, spec("a", "b"))
    assert [dataset.track_of(index) for index in range(len(dataset))] == ["one", "one", "one", "two"]
    steps = [dataset[index]["sources"][0, ::HOP] * 64 for index in range(3)]
    assert torch.cat(steps).tolist() == list(range(48))


def test_the_mixture_is_the_sum_of_the_sources(tracks):
    item = StemDataset(tracks, spec("a", "b"))[1]
    assert set(item) == {"mixture", "sources"}
    assert item["sources"].shape == (2, SEGMENT) and item["sources"].dtype == torch.float32
    assert torch.equal(item["mixture"], item["sources"].sum(0))
    assert item["mixture"][0].item() == pytest.approx(16 / 64 * 0.75)


def test_the_rest_is_all_that_the_other_sources_leave(tracks):
    item = StemDataset(tracks, spec("b", "rest"))[0]
    expected = 2 / 64 * 1.5  # a and c at step 2
    assert item["sources"][1, 2 * HOP].item() == pytest.approx(expected)


def test_a_stem_that_ends_early_goes_on_in_silence(tracks):
    sources = StemDataset(tracks, spec("a", "c"))[1]["sources"]
    assert sources[0, 15 * HOP :].all()
    assert sources[1, 13 * HOP].item() > 0 and not sources[1, 14 * HOP :].any()


@pytest.mark.parametrize("rate", [RATE, 16000])
def test_a_stem_that_ended_before_the_excerpt(tmp_path, rate):
    write_track(tmp_path / "x", a=stairs(48))
    sf.write(tmp_path / "x" / "b.wav", np.ones(400), rate)
    sources = StemDataset(folder_tracks(tmp_path), spec("a", "b"))[2]["sources"]
    assert sources[0].all() and not sources[1].any()


def test_several_files_of_one_stem_are_summed(tracks):
    files = tuple(path for paths in tracks[0].stems.values() for path in paths)
    sources = StemDataset([Track("sum", {"all": files})], spec("all"))[0]["sources"]
    assert sources[0, 4 * HOP].item() == pytest.approx(4 / 64 * 0.75 + 4 / 128)


def test_stereo_is_averaged_and_other_rates_are_resampled(tmp_path, tone, loudest_hz):
    note = tone(440, 0.5, 44100)
    folder = write_track(tmp_path / "x")
    sf.write(folder / "a.flac", np.stack([note, 0 * note], axis=1), 44100)
    audio = StemDataset(folder_tracks(tmp_path), spec("a"))[1]["sources"][0].numpy()
    assert audio.shape == (SEGMENT,)
    assert loudest_hz(audio.astype(np.float64), RATE, 300, 600) == pytest.approx(440, abs=0.5)
    assert np.abs(audio).max() == pytest.approx(np.abs(note).max() / 2, rel=0.1)


# ---- pitch


@pytest.fixture
def pitched(tmp_path) -> list[Track]:
    """A track whose f0 in Hz is its step plus one hundred, from step 4 on."""
    folder = write_track(tmp_path / "x", a=stairs(48))
    rows = [f"{n * HOP / RATE},{100 + n if n >= 4 else 0},{int(n in (4, 20))}" for n in range(48)]
    (folder / "f0.csv").write_text("time_seconds,a,a_onset\n" + "\n".join(rows))
    return folder_tracks(tmp_path)


def test_pitch_belongs_to_its_audio(pitched):
    item = StemDataset(pitched, spec("a", needs_pitch=True))[1]
    assert item["f0_hz"].shape == item["onset"].shape == (1, SEGMENT // HOP)
    assert torch.equal(item["f0_hz"][0] - 100, (item["sources"][0, ::HOP] * 64).round())
    onsets = item["onset"][0].nonzero().flatten().tolist()
    assert onsets == [0, 4]  # sounding at its start, plucked at step 20


def test_random_excerpts_begin_on_a_frame(pitched):
    dataset = StemDataset(pitched, spec("a", needs_pitch=True), random_excerpts=8)
    for index in range(8):
        item = dataset[index]
        steps = item["sources"][0, ::HOP] * 64
        voiced = item["f0_hz"][0] > 0
        assert torch.equal(item["f0_hz"][0][voiced] - 100, steps[voiced].round())
        assert torch.equal(item["sources"][0, :HOP], item["sources"][0, :1].expand(HOP))


# ---- order


def test_random_excerpts_repeat_by_seed_and_index(tracks):
    first, again, other = (StemDataset(tracks, spec("a"), 4, seed) for seed in (0, 0, 1))
    excerpts = [first[index]["mixture"] for index in range(8)]
    assert all(torch.equal(again[index]["mixture"], excerpt) for index, excerpt in enumerate(excerpts))
    assert not all(torch.equal(other[index]["mixture"], excerpt) for index, excerpt in enumerate(excerpts))


def test_longer_tracks_are_drawn_more_often(tracks):
    dataset = StemDataset(tracks, spec("b"), 400)
    share = np.mean(
        [bool(dataset[index]["mixture"].min() < 0) for index in range(400)]
    )  # below 0 in the longer
    assert share == pytest.approx(0.6 / 0.85, abs=0.07)


class Numbers(list):
    """A data set of its own indices."""

    def __init__(self, count: int, random_excerpts: int = 0) -> None:
        super().__init__(range(count))
        self.random_excerpts = random_excerpts


def order(dataset: Numbers, seed: int, epoch: int) -> list[int]:
    sampler = EpochSampler(dataset, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


def test_the_order_follows_from_seed_and_epoch():
    numbers = Numbers(50)
    assert order(numbers, 0, 3) == order(numbers, 0, 3)
    assert sorted(order(numbers, 0, 3)) == list(range(50))
    assert len({tuple(order(numbers, *key)) for key in ((0, 0), (0, 1), (1, 0), (1, 1))}) >= 3
    assert order(numbers, 0, 0) != order(numbers, 0, 1) != order(numbers, 0, 2)


def test_random_excerpts_are_new_in_every_epoch():
    epochs = [order(Numbers(5, random_excerpts=5), 0, epoch) for epoch in range(3)]
    assert epochs == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11, 12, 13, 14]]


@pytest.mark.parametrize("random_excerpts", [0, 6])
def test_processes_share_an_epoch(monkeypatch, random_excerpts):
    taken = []
    for rank in (0, 1):
        group = SimpleNamespace(
            is_available=lambda: True,
            is_initialized=lambda: True,
            get_world_size=lambda: 2,
            get_rank=lambda rank=rank: rank,
        )
        monkeypatch.setattr(orders, "dist", group)
        taken.append(order(Numbers(6, random_excerpts), 0, 0))
    assert [len(share) for share in taken] == [3, 3]
    assert sorted(taken[0] + taken[1]) == [0, 1, 2, 3, 4, 5]


# ---- streams


class Pieces(list):
    """Tracks of so many excerpts, which are numbered through: a data set of consecutive excerpts."""

    random_excerpts = 0

    def __init__(self, *counts: int) -> None:
        super().__init__(range(sum(counts)))
        self.tracks = counts
        self.excerpts = [
            SimpleNamespace(track=track) for track, count in enumerate(counts) for _ in range(count)
        ]


def streams_of(dataset: Pieces, streams: int, epoch: int = 0, seed: int = 0) -> np.ndarray:
    """What each place of the batches hears, (batches, streams)."""
    sampler = StreamSampler(dataset, seed, streams)
    sampler.set_epoch(epoch)
    return np.array(list(sampler)).reshape(-1, streams)


def test_a_stream_goes_through_tracks_from_start_to_end() -> None:
    heard = streams_of(Pieces(3, 3, 3, 3), 2)
    assert heard.shape == (6, 2) and sorted(heard.ravel()) == list(range(12))
    for stream in heard.T:
        assert all(
            (part == part[0] + np.arange(3)).all() and part[0] % 3 == 0 for part in stream.reshape(2, 3)
        )


def test_an_epoch_of_streams_ends_where_one_finds_no_track() -> None:
    """Of three tracks of one length the third is never heard but for what no one waits for."""
    first = {tuple(streams_of(Pieces(4, 4, 4), 2, epoch)[0] // 4) for epoch in range(20)}
    assert len(first) > 3  # the order of tracks is drawn anew
    assert all(streams_of(Pieces(4, 4, 4), 2, epoch).shape == (4, 2) for epoch in range(5))
    lengths = {len(streams_of(Pieces(2, 5, 3), 2, epoch)) for epoch in range(20)}
    assert lengths == {3, 5}  # as the order falls


def test_the_order_of_streams_follows_from_seed_and_epoch_and_can_be_gone_on_with() -> None:
    pieces = Pieces(3, 4, 5, 6)
    assert (streams_of(pieces, 2, 3) == streams_of(pieces, 2, 3)).all()
    sampler = StreamSampler(pieces, 0, 2)
    sampler.go_on(3, 4)
    assert list(sampler) == streams_of(pieces, 2, 3).ravel()[4:].tolist()
    with pytest.raises(TypeError):
        len(sampler)


def test_streams_need_as_many_tracks() -> None:
    with pytest.raises(DdspZooError, match="3 streams need as many tracks.*batch_size"):
        StreamSampler(Pieces(5, 5), 0, 3)


def test_consecutive_excerpts_go_to_the_end_where_asked_to(tracks: list[Track]) -> None:
    """Tracks of 0.6 and 0.25 s in excerpts of 0.2 s; silence fills the last one up."""
    starts = {
        to_the_end: [
            (place.track, round(place.start_seconds, 3))
            for place in StemDataset(tracks, spec("a"), to_the_end=to_the_end).excerpts
        ]
        for to_the_end in (False, True)
    }
    assert starts[False] == [(0, 0), (0, 0.2), (0, 0.4), (1, 0)] and starts[True] == [
        *starts[False],
        (1, 0.2),
    ]
    last = StemDataset(tracks, spec("a"), to_the_end=True)[4]["mixture"]
    assert last[:400].any() and not last[400:].any()
