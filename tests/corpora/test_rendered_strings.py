"""Rendered strings: the same from the same seed, whole after an interruption, and in tune with their f0."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.corpora import RenderedStrings
from ddsp_zoo.corpora.rendered import strings
from ddsp_zoo.corpora.rendered.strings import HEAVY, LIGHT, RATE, Job, perform
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import read_f0_csv
from ddsp_zoo.music.strings.jams import read_notes
from ddsp_zoo.music.strings.recordings import measure_f0
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
        "train": ["piece_0000_comp_own", "piece_0001_solo_own"],
        "validation": ["piece_0000_comp_own"],
        "test": ["piece_0000_comp_own"],
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


def test_styles_in_turn(tmp_path, corpus):
    """Other styles are other renderings; the usual ones named keep those that are there."""
    data = small(tmp_path, styles=["free", "comp", "solo"], train_tracks=4)
    assert [name.split("_")[2] for name in data._jobs("train")] == ["free", "comp", "solo", "free"]
    assert data.root.name != corpus.root.name
    assert small(tmp_path, styles=["comp", "solo"]).root.name == corpus.root.name
    recorded = small(tmp_path, styles=["free", "comp", "solo"], train_tracks=6, instruments="recorded")
    assert [name.split("_")[3] for name in recorded._jobs("train")] == ["own"] * 3 + ["steel"] * 3
    for styles in ([], ["jazz"]):
        with pytest.raises(DdspZooError, match="choose from comp, solo, free"):
            small(tmp_path, styles=styles)


def test_an_interrupted_rendering_goes_on(corpus, tmp_path, monkeypatch):
    data, done = small(tmp_path), []
    render = RenderedStrings._render

    def until_the_third(self, folder: Path, job: Job) -> None:
        done.append(folder)
        if len(done) == 3:
            sf.write(folder / "E2.flac", np.zeros(100), RATE)
            raise KeyboardInterrupt
        render(self, folder, job)

    monkeypatch.setattr(RenderedStrings, "_render", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        data.prepare_data()
    assert [len(list((data.root / split).glob("piece*"))) for split in ("train", "validation")] == [2, 0]
    data.prepare_data()
    assert len(done) == 5  # two finished, one cut off, two after it
    assert contents(data.root) == contents(corpus.root)


def test_what_is_there_is_not_rendered_again(corpus, monkeypatch):
    def never(self, folder: Path, job: Job) -> None:
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


def notes(f0: np.ndarray, onset: np.ndarray) -> list[tuple[int, int]]:
    """First frame and the one after the last of the notes in f0 (M,), by their onsets."""
    starts = np.flatnonzero(onset).tolist()
    ends = [*starts[1:], len(f0)][: len(starts)]
    silent = np.append(f0, 0) == 0
    return [(a, min(b, a + int(silent[a:].argmax()))) for a, b in zip(starts, ends, strict=True)]


def test_f0_is_what_sounds(corpus):
    """Every long note, bent or not, sounds at its f0 within three cents, by the turning of its partials."""
    heard = 0
    for track in corpus.tracks("train") + corpus.tracks("test"):
        time, f0, onset = read_f0_csv(track.pitch, STRINGS)
        for name, line, marks in zip(STRINGS, f0, onset, strict=True):
            audio, _ = sf.read(track.stems[name][0])
            for first, last in notes(line, marks):
                if last - first < 75:  # 0.3 s
                    continue
                found = measure_f0(audio[first * 64 : last * 64], float(np.median(line[first:last])))
                cents = 1200 * np.log2(found / line[first : first + len(found)])
                assert abs(np.median(cents[12:-12])) < 3
                heard += 1
    assert heard >= 10


def test_every_onset_has_a_pitch_that_the_string_can_play(corpus):
    for split in corpus.counts:
        _, f0, onset = read_f0_csv(corpus.tracks(split)[0].pitch, STRINGS)
        assert onset.sum() >= 3
        for line, marks, open_hz in zip(f0, onset, GUITAR_STRINGS_HZ.values(), strict=True):
            assert (line[marks > 0] > 0).all()
            frets = 12 * np.log2(line[line > 0] / open_hz)
            assert frets.min(initial=0) > -0.5 and frets.max(initial=0) < 18


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


@pytest.mark.parametrize("style", ["comp", "solo", "free"])
def test_a_piece_is_as_long_and_as_loud_as_it_should_be(style):
    audio, f0, onset = perform(np.random.default_rng(1), 2.0, style)
    assert audio.shape == (6, 32000) and f0.shape == onset.shape == (6, 500)
    assert 0.1 <= np.abs(audio.sum(0)).max() <= 1 and np.isfinite(audio).all() and f0.min() >= 0


def test_own_test_guitars_have_other_strings_than_those_of_training(corpus, monkeypatch):
    asked: dict[Path, Job] = {}
    monkeypatch.setattr(strings, "render_folders", lambda jobs, *_: asked.update(jobs))
    corpus.prepare(tuple(corpus.counts))
    materials = {
        split: {job.material for folder, job in asked.items() if folder.parent.name == split}
        for split in corpus.counts
    }
    assert materials == {"train": {LIGHT}, "validation": {LIGHT}, "test": {HEAVY}} and LIGHT[1] < HEAVY[0]


# Recorded instruments and performances


@pytest.fixture
def recorded(tmp_path, monkeypatch, note_folders, jams) -> Callable[..., RenderedStrings]:
    monkeypatch.delenv("GUITAR_NOTES_ROOT", raising=False)
    monkeypatch.delenv("GUITARSET_ROOT", raising=False)

    def make(**settings: Any) -> RenderedStrings:
        settings = {"notes": str(note_folders), "performances": str(jams), "test_performances": 2} | settings
        counts = {"train_tracks": 4, "validation_tracks": 3, "test_tracks": 2, "track_seconds": 1.0}
        return RenderedStrings(str(tmp_path / "rendered"), "recorded", **(counts | settings))

    return make


def test_nylon_is_for_the_test_alone(recorded):
    data = recorded()
    data.prepare_data()
    names = {split: [track.name for track in data.tracks(split)] for split in data.counts}
    assert names["train"] == [
        "piece_0000_comp_own",
        "piece_0001_solo_own",
        "piece_0002_comp_steel",
        "piece_0003_solo_steel",
    ]
    assert {name.split("_")[-1] for name in names["validation"]} == {"own", "steel"}
    assert names["test"] == [
        "piece_0000_comp_nylon",
        "piece_0001_solo_nylon",
        "take_00_A_comp_nylon",
        "take_00_A_solo_nylon",
    ]


def test_strung_guitars_are_others_that_play_the_same(recorded):
    plain, strung = recorded(), recorded(strung=True)
    assert plain.root != strung.root and recorded(strung=False).root == plain.root
    for data in (plain, strung):
        data.prepare(("test",))
    one, other = (data.tracks("test")[0] for data in (plain, strung))
    assert one.pitch.read_bytes() == other.pitch.read_bytes()
    audio = [np.stack([sf.read(track.stems[name][0])[0] for name in STRINGS]) for track in (one, other)]
    assert not np.allclose(*audio, atol=1e-3)


def test_a_performance_keeps_its_notes(recorded, jams):
    data = recorded(train_tracks=0, validation_tracks=0, test_tracks=0, test_performances=1)
    data.prepare_data()
    (track,) = data.tracks("test")
    written = read_notes(jams / "annotation/00_A_comp.jams")
    time, f0, onset = read_f0_csv(track.pitch, STRINGS)
    assert track.seconds == pytest.approx(written[5][-1][0] + written[5][-1][1] + 0.5, abs=1e-3)
    for line, marks, string in zip(f0, onset, written, strict=True):
        for (start, duration, midi), place in zip(string, np.flatnonzero(marks), strict=True):
            assert time[place] == pytest.approx(start, abs=0.0021)
            inside = line[place + 5 : place + round(duration / 0.004) - 5]
            assert np.abs(12 * np.log2(inside / 440) + 69 - midi).max() < 0.1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"notes": None}, "spanish_classical of guitar notes: set data.notes or GUITAR_NOTES_ROOT"),
        ({"notes": "nowhere"}, "There is no folder nowhere.spanish_classical"),
        ({"performances": None}, "set data.performances or GUITARSET_ROOT"),
        ({"performances": "nowhere"}, "nowhere has 0 performances .*fewer than the 2"),
    ],
)
def test_what_is_missing_is_named(recorded, settings, words):
    with pytest.raises(DdspZooError, match=words):
        recorded(**settings).prepare_data()


def test_there_are_own_and_recorded_instruments():
    with pytest.raises(DdspZooError, match="instruments is 'lute': choose own or recorded"):
        RenderedStrings(instruments="lute")
