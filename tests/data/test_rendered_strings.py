"""Rendered strings: the same from the same seed, whole after an interruption, and in tune with their f0."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.data import RenderedStrings
from ddsp_zoo.data.rendered_strings import RATE, compose, perform
from ddsp_zoo.data.string_notes import Guitar, Pluck, pluck
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.controls import read_f0_csv
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

SECONDS = 3.0
STRINGS = tuple(GUITAR_STRINGS_HZ)


def small(root: Path, **settings) -> RenderedStrings:
    counts = {"train_tracks": 2, "validation_tracks": 1, "test_tracks": 1, "track_seconds": SECONDS}
    return RenderedStrings(str(root), **(counts | settings))


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> RenderedStrings:
    data = small(tmp_path_factory.mktemp("strings"))
    data.prepare_data()
    return data


def test_counts_and_files(corpus):
    names = {split: [track.name for track in corpus.tracks(split)] for split in corpus.counts}
    assert names == {
        "train": ["piece_0000", "piece_0001"],
        "validation": ["piece_0000"],
        "test": ["piece_0000"],
    }
    track = corpus.tracks("train")[0]
    assert sorted(track.sources) == sorted(STRINGS)
    assert track.seconds == SECONDS and track.pitch.name == "f0.csv"
    assert sf.info(track.stems["E2"][0]).samplerate == RATE


def test_a_seed_gives_the_same_files_again(corpus, tmp_path):
    again = small(tmp_path)
    again.prepare_data()
    assert contents(again.root) == contents(corpus.root)
    assert again.root.name == corpus.root.name


def test_pieces_differ_between_splits_and_seeds(corpus, tmp_path):
    other = small(tmp_path, render_seed=1, train_tracks=1, validation_tracks=0, test_tracks=0)
    other.prepare_data()
    assert other.root.name != corpus.root.name
    tracks = [track for data in (corpus, other) for split in data.counts for track in data.tracks(split)]
    pitches = [track.pitch.read_bytes() for track in tracks]
    assert len(pitches) == len(set(pitches)) == 5


def test_an_interrupted_rendering_goes_on(corpus, tmp_path, monkeypatch):
    data, done = small(tmp_path), []
    render = RenderedStrings._render

    def until_the_third(self, folder: Path, seed: list[int]) -> None:
        done.append(folder)
        if len(done) == 3:
            sf.write(folder / "E2.flac", np.zeros(100), RATE)
            raise KeyboardInterrupt
        render(self, folder, seed)

    monkeypatch.setattr(RenderedStrings, "_render", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        data.prepare_data()
    assert [len(list((data.root / split).glob("piece*"))) for split in ("train", "validation")] == [2, 0]
    data.prepare_data()
    assert len(done) == 5  # two finished, one cut off, two after it
    assert contents(data.root) == contents(corpus.root)


def test_what_is_there_is_not_rendered_again(corpus, monkeypatch):
    def never(self, folder: Path, seed: list[int]) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr(RenderedStrings, "_render", never)
    small(corpus.root.parent).prepare_data()


def test_more_tracks_keep_those_that_are_there(corpus, tmp_path):
    first = small(tmp_path, train_tracks=1)
    first.prepare_data()
    more = small(tmp_path)
    assert more.root == first.root
    more.prepare_data()
    assert contents(more.root) == contents(corpus.root)
    assert len(first.tracks("train")) == 1


def test_the_cache_folder_is_the_default(monkeypatch, tmp_path):
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path))
    assert RenderedStrings().root.parent == tmp_path / "rendered_strings"


def notes(f0: np.ndarray) -> list[tuple[int, int, float]]:
    """First frame, last frame and Hz of the stretches of constant pitch in f0 (M,)."""
    edges = np.flatnonzero(np.diff(f0, prepend=0, append=0))
    return [(a, b, float(f0[a])) for a, b in zip(edges[:-1], edges[1:], strict=True) if f0[a] > 0]


def test_f0_is_what_sounds(corpus, loudest_hz):
    """The fundamental of every long note lies within the player's vibrato of its f0."""
    heard = 0
    for track in corpus.tracks("train") + corpus.tracks("test"):
        time, f0, _ = read_f0_csv(track.pitch, STRINGS)
        for name, line in zip(STRINGS, f0, strict=True):
            audio, _ = sf.read(track.stems[name][0])
            for first, last, hz in notes(line):
                if last - first < 75:  # 0.3 s
                    continue
                note = audio[round((time[first] + 0.03) * RATE) : round(time[last - 1] * RATE)]
                found = loudest_hz(note, RATE, hz * 0.94, hz * 1.06)
                assert abs(1200 * math.log2(found / hz)) < 15
                heard += 1
    assert heard >= 10


def test_pitches_are_those_of_frets(corpus):
    for split in corpus.counts:
        _, f0, _ = read_f0_csv(corpus.tracks(split)[0].pitch, STRINGS)
        for line, open_hz in zip(f0, GUITAR_STRINGS_HZ.values(), strict=True):
            frets = 12 * np.log2(line[line > 0] / open_hz)
            assert np.abs(frets - frets.round()).max(initial=0) < 0.15
            assert frets.min(initial=0) > -0.2 and frets.max(initial=0) < 15


def test_onsets_are_where_notes_begin(corpus):
    for split in corpus.counts:
        _, f0, onset = read_f0_csv(corpus.tracks(split)[0].pitch, STRINGS)
        assert onset.sum() >= 3
        for line, marks in zip(f0, onset, strict=True):
            assert {first for first, _, _ in notes(line)} <= set(np.flatnonzero(marks))


def test_a_string_is_silent_until_its_first_note(corpus):
    track = corpus.tracks("train")[0]
    time, f0, _ = read_f0_csv(track.pitch, STRINGS)
    for name, line in zip(STRINGS, f0, strict=True):
        audio, _ = sf.read(track.stems[name][0])
        start = time[(line > 0).argmax()] if line.any() else SECONDS
        assert not audio[: round((start - 0.004) * RATE)].any()


def test_a_model_gets_an_onset_for_every_note(corpus, strings_model):
    """None is lost between the 4-ms grid of the files and the frames of a model."""
    track = corpus.tracks("train")[1]
    _, _, onset = read_f0_csv(track.pitch, STRINGS)
    pitch = track.read_pitch(STRINGS, strings_model.hop_samples / strings_model.sample_rate)
    assert pitch.onset.sum() == onset.sum() > 5


def test_a_split_of_no_tracks(tmp_path, strings_model):
    data = small(tmp_path, test_tracks=0).feed(strings_model)
    with pytest.raises(DdspZooError, match="RenderedStrings has no tracks in its test split"):
        data.setup("test")


def test_batches(corpus, strings_model):
    corpus.feed(strings_model).setup("fit")
    batch = next(iter(corpus.train_dataloader()))
    assert batch["sources"].shape == (2, 6, 16128)
    assert batch["f0_hz"].shape == batch["onset"].shape == (2, 6, 63)
    assert batch["mixture"].abs().max() > 0.05


@pytest.mark.parametrize("seed", range(5))
def test_a_string_plays_one_note_at_a_time(seed):
    played = compose(np.random.default_rng(seed), 8.0)
    assert played and all(0 <= note.fret <= 14 and 0 < note.velocity <= 1 for note in played)
    for string in range(6):
        line = [note for note in played if note.string == string]
        assert all(a.end_seconds <= b.start_seconds for a, b in zip(line, line[1:], strict=False))


def test_a_piece_is_as_long_and_as_loud_as_it_should_be():
    audio, f0, onset = perform(np.random.default_rng(1), 2.0)
    assert audio.shape == (6, 32000) and f0.shape == onset.shape == (6, 500)
    assert np.abs(audio.sum(0)).max() == pytest.approx(0.7, rel=1e-5)


def test_a_pluck_decays_and_stops():
    rng = np.random.default_rng(0)
    note = pluck(Pluck(220.0, 3, 1.0, 0.8), Guitar.random(rng), RATE, rng)
    assert len(note) == round(1.15 * RATE)
    early, late, after = (np.abs(note[round(s * RATE) :][:800]).max() for s in (0.05, 0.9, 1.1))
    assert early > late > 10 * after
