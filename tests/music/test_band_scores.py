"""Scores of rendered bands, and the instruments of our own that play them."""

import shutil
from dataclasses import replace
from pathlib import Path

import mido
import numpy as np
import pytest
from bands import line, write_piece

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.band import scores as band_scores
from ddsp_zoo.music.band.drums import DrumKit
from ddsp_zoo.music.band.instruments import own_instrument, render_part
from ddsp_zoo.music.band.patterns import BAR_STEPS, GROOVES, PLAYERS, invent
from ddsp_zoo.music.band.scores import STEMS, Note, Part
from ddsp_zoo.music.signals import band, decaying_partials, playing_level

RATE = 16000


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
        ("bass", 33),
        ("guitar", 27),
        ("other", 16),
        ("drums", 0),
    ]
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
    assert band_scores.playable_bar(240 / 300) == 240 / 150


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
