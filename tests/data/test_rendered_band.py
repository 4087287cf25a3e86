"""Rendered bands: scores, own instruments, soundfonts, and the corpus on disk."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest
import soundfile as sf
import yaml

from ddsp_zoo.data import band_scores, soundfonts
from ddsp_zoo.data.band_drums import DrumKit
from ddsp_zoo.data.band_instruments import own_instrument, render_part
from ddsp_zoo.data.band_patterns import BAR_STEPS, GROOVES, PLAYERS, invent
from ddsp_zoo.data.band_scores import STEMS, Note, Part
from ddsp_zoo.data.band_signals import band, decaying_partials, playing_level
from ddsp_zoo.data.rendered_band import RenderedBand, _playable_bar, _with_guitar
from ddsp_zoo.errors import DdspZooError

RATE = 16000
RECIPE = Path(__file__).parents[2] / "recipes" / "data" / "rendered_band.yaml"


def small(root: Path, **settings) -> RenderedBand:
    """A corpus of two short tracks."""
    settings = {"train_tracks": 2, "validation_tracks": 0, "test_tracks": 0, "track_seconds": 6.0, **settings}
    return RenderedBand(root=str(root), **settings)


def line(*midi: int, seconds: float = 0.5) -> tuple[Note, ...]:
    return tuple(Note(index * seconds, seconds * 0.9, number, 0.8) for index, number in enumerate(midi))


def write_piece(path: Path, bars: int = 8, tempo: int = 500_000, drums_only: bool = False) -> None:
    """A General MIDI file of drums, and of bass, guitar and organ unless ``drums_only``."""
    file = mido.MidiFile(ticks_per_beat=480)
    players = [(9, 0, 38)] if drums_only else [(9, 0, 38), (0, 33, 40), (1, 27, 60), (2, 16, 72)]
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)]))
    for channel, program, note in players:
        track = mido.MidiTrack([mido.Message("program_change", channel=channel, program=program)])
        for _ in range(8 * bars):
            track.append(mido.Message("note_on", channel=channel, note=note, velocity=100))
            track.append(mido.Message("note_off", channel=channel, note=note, time=240))
        file.tracks.append(track)
    path.parent.mkdir(parents=True, exist_ok=True)
    file.save(path)


def name_in(split: str) -> str:
    """A file name that the hash puts into a split."""
    names = (f"piece{number}.mid" for number in range(100))
    return next(name for name in names if band_scores.split_of(Path(name)) == split)


# ---- scores


def test_invented_scores_have_all_parts_and_stay_in_time() -> None:
    scores = [invent(np.random.default_rng(seed), 12.0) for seed in range(20)]
    heard = {part.stem for parts in scores for part in parts if part.notes}
    assert heard == set(STEMS)
    for parts in scores:
        for part in parts:
            assert all(0 <= note.start_seconds < 12 and 0 < note.velocity <= 1 for note in part.notes)
            assert part.stem == "drums" or part.stem == band_scores.stem_of(0, part.program)
        bass = [note.midi for part in parts if part.stem == "bass" for note in part.notes]
        assert all(24 <= midi <= 56 for midi in bass)


def test_sections_of_rest_are_in_the_data() -> None:
    gaps = []
    for seed in range(20):
        bass = next(part for part in invent(np.random.default_rng(seed), 20.0) if part.stem == "bass")
        times = [0.0, *(note.start_seconds for note in bass.notes), 20.0]
        gaps.append(max(np.diff(times)))
    assert 3 <= sum(gap > 3.0 for gap in gaps) <= 17


def test_grooves_are_whole_bars_of_known_steps() -> None:
    for groove in GROOVES.values():
        for rows in groove.bars.values():
            assert all(len(row) == BAR_STEPS and set(row) <= set("Xxo.") for row in rows)


def test_players_are_given_programs_of_their_stem() -> None:
    for stem, players in PLAYERS.items():
        for _, programs in players:
            assert {band_scores.stem_of(0, program) for program in programs} == {stem}


def test_midi_times_follow_tempo_changes_and_channels_become_stems(tmp_path: Path) -> None:
    write_piece(tmp_path / "a.mid", bars=2, tempo=1_000_000)
    piece = band_scores.read_midi(tmp_path / "a.mid")
    assert [(part.stem, part.program) for part in piece.parts] == [
        ("bass", 33), ("guitar", 27), ("other", 16), ("drums", 0),
    ]  # fmt: skip
    starts = [note.start_seconds for note in piece.parts[0].notes]
    assert np.allclose(starts, np.arange(16) * 0.5)
    assert piece.first_bar_seconds == pytest.approx(4.0)


def test_pads_of_electronic_kits_become_general_midi(tmp_path: Path) -> None:
    track = mido.MidiTrack(
        [mido.Message("note_on", channel=9, note=22), mido.Message("note_on", channel=9, note=26)]
    )
    mido.MidiFile(tracks=[track]).save(tmp_path / "kit.mid")
    (part,) = band_scores.read_midi(tmp_path / "kit.mid").parts
    assert [note.midi for note in part.notes] == [42, 46]


def test_an_excerpt_begins_at_a_bar_and_needs_a_playing_band(tmp_path: Path) -> None:
    write_piece(tmp_path / "a.mid")
    piece = band_scores.read_midi(tmp_path / "a.mid")
    parts, bar = band_scores.excerpt(piece, np.random.default_rng(0), 6.0)
    assert {part.stem for part in parts} == set(STEMS)
    assert min(note.start_seconds for part in parts for note in part.notes) == pytest.approx(0)
    assert 2 / 1.12 <= bar <= 2 / 0.88
    no_bass = replace(piece, parts=tuple(part for part in piece.parts if part.stem != "bass"))
    assert band_scores.excerpt(no_bass, np.random.default_rng(0), 6.0) is None


def test_drum_loops_fit_the_tempo(tmp_path: Path) -> None:
    write_piece(tmp_path / "d.mid", bars=2, drums_only=True)
    piece = band_scores.read_midi(tmp_path / "d.mid")  # eighths at 120 bpm: a bar takes two seconds
    part = band_scores.loop_drums(piece, np.random.default_rng(0), 12.0, 3.0)
    assert np.allclose([note.start_seconds for note in part.notes], np.arange(32) * 0.375)
    assert band_scores.fitting_bar(2.0, 1.1) == 2.2
    assert band_scores.fitting_bar(2.0, 2.7) == 2.7
    assert band_scores.fitting_bar(2.0, 7.0) == 1.75
    assert _playable_bar(240 / 300) == 240 / 150


def test_a_rest_silences_a_stretch() -> None:
    rested = band_scores.with_rest(Part("bass", 33, line(40, 41, 42, 43, seconds=1.0)), 0.5, 2.5)
    assert [note.midi for note in rested.notes] == [40, 43]
    assert rested.notes[0].length_seconds == pytest.approx(0.5)


def test_copies_of_a_piece_count_once_and_splits_follow_the_name(tmp_path: Path) -> None:
    write_piece(tmp_path / "a.mid")
    shutil.copy(tmp_path / "a.mid", tmp_path / "b.mid")
    assert [path.name for path in band_scores.midi_files(tmp_path)] == ["a.mid"]
    splits = [band_scores.split_of(Path(f"x/{number}.mid")) for number in range(1000)]
    assert 750 < splits.count("train") < 850 and splits.count("test") > 60
    with pytest.raises(DdspZooError, match="no .mid files"):
        band_scores.midi_files(tmp_path / "nothing")


def test_a_file_that_is_no_midi_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.mid").write_bytes(b"not midi at all")
    with pytest.raises(DdspZooError, match="bad.mid"):
        band_scores.read_midi(tmp_path / "bad.mid")


# ---- own instruments


def strongest_hz(audio: np.ndarray, low_hz: float, high_hz: float) -> float:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), 8 * len(audio)))
    frequency = np.fft.rfftfreq(8 * len(audio), 1 / RATE)
    inside = (frequency > low_hz) & (frequency < high_hz)
    return float(frequency[inside][spectrum[inside].argmax()])


def test_partials_by_matrix_product_equal_the_plain_sum() -> None:
    rng = np.random.default_rng(0)
    hz, loud, t60, phase = (
        rng.uniform(50, 7000, 9),
        rng.random(9),
        rng.uniform(0.1, 2, 9),
        rng.uniform(0, 6, 9),
    )
    time = np.arange(1001)[:, None] / RATE
    plain = (loud * 10 ** (-3 * time / t60) * np.cos(2 * np.pi * hz * time + phase)).sum(1)
    assert np.allclose(decaying_partials(hz, loud, t60, phase, 1001, RATE), plain, atol=1e-10)


@pytest.mark.parametrize("program", [*range(0, 112, 4), 5, 30, 33, 35, 37, 38, 39])
def test_every_instrument_plays_in_tune_and_stops(program: int) -> None:
    notes = (Note(0.0, 1.0, 57, 0.8),)
    audio = render_part(Part("other", program, notes), 3.0, np.random.default_rng(program), RATE)
    assert audio.shape == (3 * RATE,) and np.isfinite(audio).all()
    assert playing_level(audio[: RATE // 2], RATE) > 0.005
    assert np.abs(audio[2 * RATE :]).max() < 0.01 * np.abs(audio).max()
    assert abs(12 * np.log2(strongest_hz(audio[3000:15000], 200, 240) / 220)) < 0.4


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_the_highest_notes_stay_finite_at_every_rate(rate_hz: int) -> None:
    for program in range(0, 112, 8):
        audio = render_part(
            Part("other", program, line(20, 108, 127)), 2.0, np.random.default_rng(0), rate_hz
        )
        assert np.isfinite(audio).all()
    drums = line(*range(34, 83), seconds=0.05)
    assert np.isfinite(render_part(Part("drums", 0, drums), 2.0, np.random.default_rng(0), rate_hz)).all()


def test_a_bass_is_low_and_a_guitar_above_it() -> None:
    def share_below_500(stem: str, program: int, midi: int) -> float:
        rng = np.random.default_rng(program)
        audio = render_part(Part(stem, program, line(midi, midi + 5, midi + 7)), 2.0, rng, RATE)
        return float(np.sum(band(audio, None, 500, RATE, order=4) ** 2) / np.sum(audio**2))

    basses = [share_below_500("bass", program, 36) for program in range(32, 40)]
    guitars = [share_below_500("guitar", program, 60) for program in range(24, 31)]
    assert min(basses) > 0.5 and np.median(basses) > 0.8 > np.median(guitars)


def test_loud_strings_are_brighter_than_soft_ones() -> None:
    def brightness(velocity: float) -> float:
        instrument = own_instrument(25)(np.random.default_rng(3), 25, RATE)
        audio = instrument.note(110.0, velocity, 1.0)
        return float(np.sum(band(audio, 1500, None, RATE) ** 2) / np.sum(audio**2))

    assert brightness(1.0) > 1.5 * brightness(0.2)


def test_a_closed_hat_ends_the_open_one_and_kits_differ() -> None:
    def tail(*notes: Note) -> float:
        audio = DrumKit(np.random.default_rng(1), RATE).render(notes, 1.0)
        return float(np.abs(audio[RATE // 5 :]).max())

    opened = Note(0.0, 0.1, 46, 0.9)
    assert tail(opened, Note(0.1, 0.1, 44, 0.05)) < 0.3 * tail(opened)
    kicks = [DrumKit(np.random.default_rng(seed), RATE).kick_hz for seed in range(8)]
    assert len(set(kicks)) == 8


# ---- the corpus


def audio_of(corpus: RenderedBand, split: str = "train") -> list[dict[str, np.ndarray]]:
    return [
        {stem: sf.read(paths[0], dtype="int16")[0] for stem, paths in track.stems.items()}
        for track in corpus.tracks(split)
    ]


def test_tracks_are_levelled_and_do_not_clip(tmp_path: Path) -> None:
    corpus = small(tmp_path, train_tracks=4, test_tracks=1)
    corpus.prepare_data()
    tracks = audio_of(corpus) + audio_of(corpus, "test")
    assert len(tracks) == 5
    for stems in tracks:
        assert set(stems) == set(STEMS)
        floats = {stem: audio / 32768 for stem, audio in stems.items()}
        assert all(len(audio) == 6 * RATE for audio in floats.values())
        assert 0.3 < np.abs(sum(floats.values())).max() <= 0.901
        levels = [20 * np.log10(playing_level(a, RATE)) for a in floats.values() if np.abs(a).max() > 0]
        assert len(levels) >= 2 and max(levels) - min(levels) < 6.3  # 16 bits move quiet frames a little


def test_the_same_seed_gives_the_same_files_in_any_order_and_number(tmp_path: Path) -> None:
    small(tmp_path / "a").prepare_data()
    larger = small(tmp_path / "b", train_tracks=3)
    larger.band.render(_made(larger._folder("train", 1)), ("train", 1))
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


def test_settings_that_change_the_sound_change_the_folder(tmp_path: Path) -> None:
    write_piece(tmp_path / "midi" / name_in("train"))
    names = [
        small(tmp_path, **settings).band.fingerprint()
        for settings in (
            {}, {"render_seed": 1}, {"render_rate": 8000}, {"track_seconds": 5.0},
            {"midi_dir": str(tmp_path / "midi")},
        )
    ]  # fmt: skip
    assert len(set(names)) == 5
    assert small(tmp_path, train_tracks=9, workers=2, seed=3).band.fingerprint() == names[0]


def test_midi_pieces_and_performances_of_the_split_are_used(tmp_path: Path) -> None:
    write_piece(tmp_path / "midi" / name_in("train"))
    write_piece(tmp_path / "drums" / name_in("train"), bars=2, drums_only=True)
    corpus = small(
        tmp_path, midi_dir=str(tmp_path / "midi"), drum_midi_dir=str(tmp_path / "drums"),
        midi_share=1.0, drum_midi_share=1.0,
    )  # fmt: skip
    parts = corpus.band.score("train", 0)
    assert {part.stem for part in parts} == set(STEMS)
    assert {note.midi for part in parts if part.stem == "drums" for note in part.notes} == {38}
    corpus.prepare_data()
    score = band_scores.read_midi(corpus._folder("train", 0) / "score.mid")
    kept = sorted(note.midi for part in parts for note in part.notes)
    assert sorted(note.midi for part in score.parts for note in part.notes) == kept


def test_some_pieces_without_guitar_get_one_from_their_other_parts() -> None:
    parts = (Part("bass", 33, line(40)), Part("other", 80, line(60, 62)), Part("other", 16, line(60)))
    given = [_with_guitar(parts, np.random.default_rng(seed)) for seed in range(20)]
    guitars = [part for new in given for part in new if part.stem == "guitar"]
    assert 4 <= len(guitars) <= 16 and all(part.notes == parts[1].notes for part in guitars)
    assert {part.program // 8 for part in guitars} == {3}
    complete = (*parts, Part("guitar", 27, line(64)))
    assert all(_with_guitar(complete, np.random.default_rng(seed)) == complete for seed in range(9))


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
    assert data["class_path"] == "ddsp_zoo.data.RenderedBand"
    corpus = RenderedBand(**data["init_args"])
    assert set(data["init_args"]) == set(RenderedBand.__init__.__annotations__) - {"return"}
    assert corpus.counts == RenderedBand().counts
    keys = [text for text in RECIPE.read_text().splitlines() if text.startswith("    ")]
    assert all("#" in text for text in keys)


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
    with pytest.raises(DdspZooError, match="programs \\[33\\] in b.sf2"):
        soundfonts.render_parts((Part("bass", 33, line(40)),), (kit,), 1.0, np.random.default_rng(0), RATE)
    with pytest.raises(DdspZooError, match="needs soundfonts"):
        small(tmp_path, engine="soundfont").prepare_data()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DdspZooError, match="apt install fluidsynth"):
        small(tmp_path, engine="mixed", soundfonts=[str(tmp_path / "b.sf2")]).prepare_data()
    with pytest.raises(DdspZooError, match="choose own, soundfont or mixed"):
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


@pytest.mark.skipif(
    not (shutil.which("fluidsynth") and installed_soundfont()),
    reason="fluidsynth or a General MIDI soundfont is not installed",
)
def test_fluidsynth_plays_a_corpus(tmp_path: Path) -> None:
    corpus = small(
        tmp_path,
        train_tracks=1,
        engine="soundfont",
        soundfonts=[str(installed_soundfont())],
        render_rate=8000,
    )
    corpus.prepare_data()
    (stems,) = audio_of(corpus)
    assert sum(np.abs(audio).max() > 0 for audio in stems.values()) >= 2
    assert all(len(audio) == 48000 for audio in stems.values())
    fonts = (soundfonts.read_soundfont(installed_soundfont()),)
    played = [
        soundfonts.render_parts((Part("bass", 33, line(45)),), fonts, 1.0, np.random.default_rng(0), RATE)
        for _ in range(2)
    ]
    assert np.array_equal(*played)
    assert strongest_hz(played[0][1000:8000], 80, 140) == pytest.approx(110, rel=0.02)
    hollow = (soundfonts.read_soundfont(write_soundfont(tmp_path / "hollow.sf2", [(0, 33)])),)
    with pytest.raises(DdspZooError, match="cannot play .*hollow.sf2"):
        soundfonts.render_parts((Part("bass", 33, line(45)),), hollow, 1.0, np.random.default_rng(0), RATE)
