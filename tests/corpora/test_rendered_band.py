"""Rendered bands: soundfonts, and the corpus on disk."""

import shutil
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import yaml
from bands import line, name_in, write_piece

from ddsp_zoo.corpora.base import Excerpts, StemDataset
from ddsp_zoo.corpora.rendered.band import RenderedBand, SoundFiles
from ddsp_zoo.corpora.variation import Place, Take, Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music import soundfonts
from ddsp_zoo.music.band import banks as band_banks
from ddsp_zoo.music.band import renderer as band_renderer
from ddsp_zoo.music.band import scores as band_scores
from ddsp_zoo.music.band import sounds as band_sounds
from ddsp_zoo.music.band.banks import Source, open_bank
from ddsp_zoo.music.band.casting import with_guitar
from ddsp_zoo.music.band.scores import STEMS, Note, Part
from ddsp_zoo.music.band.sounds import Sounds, pitched_events, render_sampled
from ddsp_zoo.music.drum_set import DRUM_SET
from ddsp_zoo.music.sampler import play
from ddsp_zoo.music.signals import playing_level
from ddsp_zoo.settings.build import build

RATE = 16000
RECIPE = Path(__file__).parents[2] / "recipes" / "data" / "rendered_band.yaml"


def small(root: Path, **settings) -> RenderedBand:
    """A corpus of two short tracks."""
    usual = {
        "train_tracks": 2,
        "validation_tracks": 0,
        "test_tracks": 0,
        "track_seconds": 6.0,
        "singing_share": 0.0,
    }
    return RenderedBand(root=str(root), **(usual | settings))


# ---- the corpus


def audio_of(corpus: RenderedBand, split: str = "train") -> list[dict[str, np.ndarray]]:
    return [
        {stem: sf.read(paths[0], dtype="int16")[0] for stem, paths in track.stems.items()}
        for track in corpus.tracks(split)
    ]


def test_tracks_are_levelled_and_do_not_clip(tmp_path: Path) -> None:
    corpus = small(tmp_path, train_tracks=4, test_tracks=3)
    corpus.prepare_data()
    for split, range_db in (("train", 12.3), ("test", 6.3)):  # 16 bits move quiet frames a little
        for stems in audio_of(corpus, split):
            assert set(stems) == set(STEMS)
            floats = {stem: audio / 32768 for stem, audio in stems.items()}
            assert all(len(audio) == 6 * RATE for audio in floats.values())
            assert 0.3 < np.abs(sum(floats.values())).max() <= 0.901
            levels = [20 * np.log10(playing_level(a, RATE)) for a in floats.values() if np.abs(a).max() > 0]
            assert len(levels) >= 2 and max(levels) - min(levels) < range_db


def test_some_stems_of_training_tracks_are_absent_and_some_have_singers(tmp_path: Path) -> None:
    band = small(tmp_path, track_seconds=10.0, singing_share=0.4).band
    scores = {split: [band.score(split, index) for index in range(60)] for split in ("train", "test")}
    playing = {split: [{p.stem for p in parts if p.notes} for parts in scores[split]] for split in scores}
    drummers = {split: np.mean(["drums" in stems for stems in playing[split]]) for split in playing}
    assert drummers["test"] == 1 and 0.8 < drummers["train"] < 1
    assert min(len(stems) for stems in playing["train"]) >= 2
    singers = [parts for parts in scores["test"] if any(part.sung for part in parts)]
    assert 12 <= len(singers) <= 36
    alone = [parts for parts in singers if all(part.sung for part in parts if part.stem == "other")]
    assert 0 < len(alone) < len(singers)


def test_the_same_seed_gives_the_same_files_in_any_order_and_number(tmp_path: Path) -> None:
    small(tmp_path / "a").prepare_data()
    larger = small(tmp_path / "b", train_tracks=3)
    folder = tmp_path / "b" / larger.band.fingerprint() / "train" / "track_00001"
    larger.band.render(_made(folder), ("train", 1))
    larger.prepare_data()
    first, second = (sorted((tmp_path / name).rglob("track_0000[01]/*")) for name in "ab")
    assert len(first) == 10 and [p.name for p in first] == [p.name for p in second]
    assert all(p.read_bytes() == q.read_bytes() for p, q in zip(first, second, strict=True))
    other = small(tmp_path / "c", render_seed=1, train_tracks=1)
    other.prepare_data()
    assert not np.array_equal(audio_of(other)[0]["drums"], audio_of(larger)[0]["drums"])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_an_interrupted_rendering_goes_on_where_it_stopped(tmp_path: Path, monkeypatch) -> None:
    corpus = small(tmp_path, train_tracks=3)
    render = type(corpus.band).render

    def stop_at_the_third(self, folder: Path, track: tuple[str, int]) -> None:
        render(self, folder, track)
        if track[1] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(type(corpus.band), "render", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        corpus.prepare_data()
    monkeypatch.setattr(type(corpus.band), "render", render)
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.flac")}
    assert len(done) == 8
    corpus.prepare_data()
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())
    assert len(list(tmp_path.rglob("*.flac"))) == 12


def test_fewer_tracks_than_rendered_are_listed_as_asked(tmp_path: Path) -> None:
    small(tmp_path).prepare_data()
    assert [track.name for track in small(tmp_path, train_tracks=1).tracks("train")] == ["track_00000"]


def test_only_the_split_that_is_evaluated_is_rendered(tmp_path: Path) -> None:
    model = SimpleNamespace(
        sources=("bass", "rest"), sample_rate=8000, hop_samples=128, segment_samples=4096, needs_pitch=False
    )
    corpus = small(tmp_path, train_tracks=1, test_tracks=1).feed(model, "test")
    corpus.prepare_data()
    assert corpus.tracks("test") and not corpus.tracks("train")
    corpus.feed(model).prepare_data()
    assert corpus.tracks("train")


def test_settings_that_change_the_sound_change_the_folder(tmp_path: Path) -> None:
    write_piece(tmp_path / "midi" / name_in("train"))
    names = [
        small(tmp_path, **settings).band.fingerprint()
        for settings in (
            {},
            {"render_seed": 1},
            {"render_rate": 8000},
            {"track_seconds": 5.0},
            {"midi_dir": str(tmp_path / "midi")},
            {"singing_share": 0.5},
        )
    ]
    assert len(set(names)) == 6
    assert (
        small(tmp_path, train_tracks=9, excerpts=Excerpts(workers=2, seed=3)).band.fingerprint() == names[0]
    )


def test_midi_pieces_and_performances_of_the_split_are_used(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(band_renderer, "ABSENT_SHARE", 0.0)
    write_piece(tmp_path / "midi" / name_in("train"))
    write_piece(tmp_path / "drums" / name_in("train"), bars=2, drums_only=True)
    corpus = small(
        tmp_path,
        midi_dir=str(tmp_path / "midi"),
        drum_midi_dir=str(tmp_path / "drums"),
        midi_share=1.0,
        drum_midi_share=1.0,
    )
    parts = corpus.band.score("train", 0)
    assert {part.stem for part in parts} == set(STEMS)
    assert {note.midi for part in parts if part.stem == "drums" for note in part.notes} == {38}
    corpus.prepare_data()
    score = band_scores.read_midi(corpus.tracks("train")[0].stems["bass"][0].with_name("score.mid"))
    kept = sorted(note.midi for part in parts for note in part.notes)
    assert sorted(note.midi for part in score.parts for note in part.notes) == kept


def test_some_pieces_without_guitar_get_one_from_their_other_parts() -> None:
    parts = (Part("bass", 33, line(40)), Part("other", 80, line(60, 62)), Part("other", 16, line(60)))
    given = [with_guitar(parts, np.random.default_rng(seed)) for seed in range(20)]
    guitars = [part for new in given for part in new if part.stem == "guitar"]
    assert 4 <= len(guitars) <= 16 and all(part.notes == parts[1].notes for part in guitars)
    assert {part.program // 8 for part in guitars} == {3}
    complete = (*parts, Part("guitar", 27, line(64)))
    assert all(with_guitar(complete, np.random.default_rng(seed)) == complete for seed in range(9))


def test_batches_are_stems_and_their_sum(tmp_path: Path) -> None:
    corpus = small(tmp_path, train_tracks=1, validation_tracks=1)
    corpus.prepare_data()
    model = SimpleNamespace(
        sources=STEMS, sample_rate=8000, hop_samples=128, segment_samples=16000, needs_pitch=False
    )
    corpus.feed(model).setup("fit")
    batch = next(iter(corpus.val_dataloader()))
    assert batch["sources"].shape == (3, 4, 16000)
    assert batch["mixture"].abs().max() > 0.1
    assert (batch["sources"].sum(1) - batch["mixture"]).abs().max() < 1e-6


def test_pieces_without_a_band_are_reported(tmp_path: Path) -> None:
    write_piece(tmp_path / "midi" / name_in("train"), drums_only=True)
    corpus = small(tmp_path, midi_dir=str(tmp_path / "midi"), midi_share=1.0)
    with pytest.raises(DdspZooError, match="midi_share"):
        corpus.band.score("train", 0)


def test_recipe_names_every_argument() -> None:
    data = yaml.safe_load(RECIPE.read_text())["data"]
    assert data["class_path"] == "ddsp_zoo.corpora.RenderedBand"
    corpus = build(data, RenderedBand)
    assert set(data["init_args"]) == set(RenderedBand.__init__.__annotations__) - {"return"}
    assert corpus.counts == RenderedBand().counts
    groups = {name: value for name, value in data["init_args"].items() if isinstance(value, dict)}
    kinds = {"excerpts": Excerpts, "variation": Variation, "sounds": SoundFiles, "test_sounds": SoundFiles}
    assert {name: set(value) for name, value in groups.items()} == {
        name: {field.name for field in fields(kind)} for name, kind in kinds.items()
    }
    keys = [text for text in RECIPE.read_text().splitlines() if text.startswith("    ")]
    assert all("#" in text for text in keys if not text.endswith(":"))


# ---- soundfonts


def write_soundfont(path: Path, presets: list[tuple[int, int]]) -> Path:
    """The head of a soundfont, with the given (bank, program) presets and no samples."""
    header = b"".join(
        b"name".ljust(20, b"\0") + program.to_bytes(2, "little") + bank.to_bytes(2, "little") + bytes(14)
        for bank, program in [*presets, (0, 0)]
    )
    lists = b"".join(
        b"LIST" + (4 + len(body)).to_bytes(4, "little") + kind + body
        for kind, body in (
            (b"INFO", b"ifil" + (4).to_bytes(4, "little") + bytes(4)),
            (b"pdta", b"phdr" + len(header).to_bytes(4, "little") + header),
        )
    )
    path.write_bytes(b"RIFF" + (4 + len(lists)).to_bytes(4, "little") + b"sfbk" + lists)
    return path


def test_presets_are_read_from_the_file(tmp_path: Path) -> None:
    font = soundfonts.read_soundfont(
        write_soundfont(tmp_path / "a.sf2", [(0, 33), (0, 24), (128, 8), (128, 56)])
    )
    assert font.programs() == {24, 33} and font.kits() == [8]
    kit = soundfonts.read_soundfont(write_soundfont(tmp_path / "b.sf2", [(0, 0)]))
    assert kit.single_kit and kit.kits() == [0] and kit.programs() == set()


def test_missing_and_wrong_soundfonts_are_explained(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "text.sf2").write_text("this is no soundfont")
    for name, message in (("none.sf2", "no soundfont"), ("text.sf2", "is no soundfont")):
        with pytest.raises(DdspZooError, match=message):
            soundfonts.read_soundfont(tmp_path / name)
    kit = soundfonts.read_soundfont(write_soundfont(tmp_path / "b.sf2", [(0, 0)]))
    with pytest.raises(DdspZooError, match="program 33 in b.sf2"):
        rng = np.random.default_rng(0)
        render_sampled(Part("bass", 33, line(40)), Sounds((kit,)), tmp_path, 1.0, rng, RATE)
    with pytest.raises(DdspZooError, match="needs soundfonts"):
        small(tmp_path, engine="sampled").prepare_data()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DdspZooError, match="apt install fluidsynth"):
        small(tmp_path, engine="mixed", sounds=SoundFiles([str(tmp_path / "b.sf2")])).prepare_data()
    with pytest.raises(DdspZooError, match="choose own, sampled or mixed"):
        small(tmp_path, engine="organ").prepare_data()


def test_written_midi_reads_back(tmp_path: Path) -> None:
    parts = (
        Part("drums", 0, line(36, 38, 36)),
        Part("bass", 33, line(40, 40, 43)),
        Part("guitar", 27, line(60)),
    )
    soundfonts.write_midi(parts, tmp_path / "x.mid")
    read = {part.stem: part for part in band_scores.read_midi(tmp_path / "x.mid").parts}
    for part in parts:
        assert read[part.stem].program == part.program
        assert [note.midi for note in read[part.stem].notes] == [note.midi for note in part.notes]
        times = [[note.start_seconds for note in p.notes] for p in (part, read[part.stem])]
        assert np.allclose(*times, atol=1e-3)


def installed_soundfont() -> Path | None:
    """A General MIDI soundfont where distributions put them."""
    folders = (Path("/usr/share/sounds/sf2"), Path("/usr/share/soundfonts"))
    found = [path for folder in folders if folder.is_dir() for path in sorted(folder.glob("*GM*.sf2"))]
    return min(found, key=lambda path: path.stat().st_size, default=None)


def played_by_sines(parts: tuple[Part, ...], soundfont: Path, seconds: float, channel: int = 9) -> np.ndarray:
    """What stands for fluidsynth: every note a dying sine."""
    audio = np.zeros(round(seconds * soundfonts.PLAYER_RATE_HZ))
    for note in (note for part in parts for note in part.notes):
        time = np.arange(round(note.length_seconds * soundfonts.PLAYER_RATE_HZ)) / soundfonts.PLAYER_RATE_HZ
        hz = 440 * 2 ** ((note.midi - 69) / 12)
        start = round(note.start_seconds * soundfonts.PLAYER_RATE_HZ)
        audio[start : start + len(time)] += note.velocity * np.exp(-3 * time) * np.sin(2 * np.pi * hz * time)
    return audio


def test_recorded_sounds_play_a_corpus_each_split_its_own(tmp_path: Path, monkeypatch) -> None:
    played = []
    monkeypatch.setattr(band_banks, "RANGES", ((0, (36, 85, 12)),))
    monkeypatch.setattr(band_sounds, "RECORDED_SHARE", 1.0)
    monkeypatch.setattr(
        soundfonts, "play", lambda *args: (played.append(args[1].name), played_by_sines(*args))[1]
    )
    monkeypatch.setattr(soundfonts, "fluidsynth_program", lambda: "")
    everything = [(0, program) for program in range(128)] + [(128, 0)]
    fonts = [str(write_soundfont(tmp_path / f"{name}.sf2", everything)) for name in ("train", "test")]
    (tmp_path / "notes").mkdir()
    time = np.arange(RATE) / RATE
    sf.write(tmp_path / "notes" / "E2.wav", np.exp(-2 * time) * np.sin(2 * np.pi * 82.4 * time), RATE)
    corpus = small(
        tmp_path / "corpus",
        engine="sampled",
        render_rate=8000,
        sounds=SoundFiles(fonts[:1], bass_notes=[str(tmp_path / "notes")]),
        test_sounds=SoundFiles(fonts[1:], bass_notes=[]),
    )
    corpus.prepare_data()
    banks = list(corpus.root.glob("banks/*/notes.json"))
    assert set(played) == {"train.sf2"} and len(played) == len(banks) - 1  # the last one is that of the notes
    assert corpus.band.sounds["train"].notes["bass"] == (tmp_path / "notes",)
    assert corpus.band.sounds["test"].notes["bass"] == ()
    for stems in audio_of(corpus):
        assert sum(np.abs(audio).max() > 300 for audio in stems.values()) >= 2
        assert all(len(audio) == 48000 for audio in stems.values())
    del played[:]
    corpus.band.stems(corpus.band.score("test", 0), "test", 0)
    assert set(played) == {"test.sf2"}
    with pytest.raises(DdspZooError, match="no folder .*nowhere"):
        small(
            tmp_path, engine="sampled", sounds=SoundFiles(fonts, [str(tmp_path / "nowhere")])
        ).prepare_data()


@pytest.mark.skipif(
    not (shutil.which("fluidsynth") and installed_soundfont()),
    reason="fluidsynth or a General MIDI soundfont is not installed",
)
def test_fluidsynth_records_a_preset(tmp_path: Path) -> None:
    bank = open_bank(Source("preset", installed_soundfont(), 0, 33), tmp_path, 8000)
    assert set(bank.velocity) == {0.45, 0.92} and bank.midi.min() == 25 and bank.midi.max() == 58
    bass = Part("bass", 33, (Note(0.0, 1.0, 45, 0.8),))
    played = [play(bank, pitched_events(bass, bank, np.random.default_rng(0)), 1.0, 8000) for _ in range(2)]
    assert np.array_equal(*played) and played[0].shape == (8000,)
    assert abs(12 * np.log2(loudest_near(played[0][800:], 110, 8000) / 110)) < 0.35
    hollow = write_soundfont(tmp_path / "hollow.sf2", [(0, 33)])
    with pytest.raises(DdspZooError, match="cannot play .*hollow.sf2"):
        open_bank(Source("preset", hollow, 0, 33), tmp_path, 8000)


def loudest_near(audio: np.ndarray, hz: float, rate_hz: int) -> float:
    """The strongest of the first partials around ``hz``, its octave folded back: a bass may lack its fundamental."""
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 8 * len(audio)))
    tried = hz * 2 ** (np.arange(-60, 61) / 1200)
    bins = np.rint(np.outer(tried, (1, 2, 3)) * 8 * len(audio) / rate_hz).astype(int)
    return float(tried[spectrum[bins].sum(1).argmax()])


# ---- hits of drums, for those who learn from them


class Drummer(SimpleNamespace):
    sources, sample_rate, hop_samples, segment_samples = ("drums", "rest"), RATE, 128, 3 * RATE
    needs_pitch, needs_hits = False, True


@pytest.mark.parametrize("speed", [1.0, 1.25])
def test_hits_in_a_batch_are_those_of_the_score(tmp_path: Path, speed: float) -> None:
    corpus = small(tmp_path, train_tracks=0, test_tracks=1).feed(Drummer())
    corpus.prepare(("test",))
    (track,) = corpus.tracks("test")
    data = StemDataset([track], corpus.spec, random_excerpts=1)
    data._takes = lambda index: [Take(Place(0, 1.5), speed=speed)] * 2
    hits, score = data[0]["hits"].numpy(), track.read_hits()
    assert hits.shape == (len(DRUM_SET), 3 * RATE // 128)
    assert hits.any()
    for row, name in zip(hits, DRUM_SET):
        seconds = (score[name].seconds - 1.5) / speed
        frames = np.unique(np.rint(seconds[(seconds >= 0) & (seconds < 2.99)] * RATE / 128))
        assert np.abs(np.flatnonzero(row)[: len(frames)] - frames).max(initial=0) <= 1
        assert row.max(initial=0) <= 1


def test_a_track_without_a_score_has_no_hits_to_learn_from(tmp_path: Path) -> None:
    corpus = small(tmp_path, train_tracks=1, validation_tracks=1)
    corpus.prepare(("train", "validation"))
    (tmp_path / corpus.band.fingerprint() / "train/track_00000/score.mid").unlink()
    corpus.trainer = SimpleNamespace(lightning_module=Drummer())
    with pytest.raises(DdspZooError, match=r"has no score\.mid, which the model needs"):
        corpus.setup("fit")
