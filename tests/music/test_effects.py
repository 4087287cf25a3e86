"""What bands play and sound like beyond their notes: hands, voices, amplifiers, the mixing desk."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music import effects as band_effects
from ddsp_zoo.music.band.playing import humanise, play_guitar, second_take, sung_melody
from ddsp_zoo.music.band.scores import STEMS, Note, Part
from ddsp_zoo.music.band.singers import recorded_singing, render_voice, singing_files
from ddsp_zoo.music.signals import Audio, playing_level

RATE = 8000


def sine(hz: float, seconds: float, rate: int = RATE) -> Audio:
    return np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def chords(*starts: float, midi: tuple[int, ...] = (45, 49, 52)) -> tuple[Note, ...]:
    return tuple(Note(start, 0.5, number, 0.8) for start in starts for number in midi)


# ---- playing


def test_human_players_are_off_by_milliseconds() -> None:
    part = Part("bass", 33, tuple(Note(0.5 * place, 0.4, 40, 0.7) for place in range(40)))
    played = humanise(part, np.random.default_rng(0))
    off = np.array([a.start_seconds - b.start_seconds for a, b in zip(played.notes, part.notes, strict=True)])
    assert 0.001 < off.std() < 0.012 and np.abs(off).max() < 0.06
    assert len({note.velocity for note in played.notes}) > 30
    assert all(0 < note.velocity <= 1 and note.start_seconds >= 0 for note in played.notes)
    twice = second_take(played, np.random.default_rng(1))
    assert 0 < np.mean([a != b for a, b in zip(twice.notes, played.notes, strict=True)])


def test_guitarists_strum_and_driven_ones_play_power_chords_and_damp() -> None:
    part = Part("guitar", 30, chords(0.0, 1.0, 2.0, 3.0))
    takes = [play_guitar(part, np.random.default_rng(seed)) for seed in range(40)]
    kinds = [tuple(sorted({note.midi for note in take.notes})) for take in takes]
    assert {(45, 49, 52), (45, 52), (45, 52, 57)} == set(kinds)
    assert any(min(note.length_seconds for note in take.notes) < 0.14 for take in takes)
    for take in takes:
        first = [note.start_seconds for note in take.notes if note.start_seconds < 0.5]
        assert len(set(first)) == len(first) and max(first) < 0.1
    clean = play_guitar(Part("guitar", 25, chords(0.0)), np.random.default_rng(0))
    assert {note.midi for note in clean.notes} == {45, 49, 52}


def test_a_singer_takes_the_top_line_one_note_at_a_time() -> None:
    parts = (
        Part("bass", 33, chords(0.0, 1.0)),
        Part("other", 0, chords(*np.arange(0, 30, 0.25), midi=(60, 64, 67))),
    )
    lines = [sung_melody(parts, np.random.default_rng(seed), 30.0) for seed in range(10)]
    for line in lines:
        assert line.sung and line.stem == "other" and {note.midi % 12 for note in line.notes} == {7}
        assert all(45 <= note.midi <= 79 for note in line.notes)
        ends = [note.start_seconds + note.length_seconds for note in line.notes]
        assert all(end <= note.start_seconds for end, note in zip(ends, line.notes[1:]))
    gaps = [np.diff([note.start_seconds for note in line.notes]).max() for line in lines]
    assert sum(gap > 1.5 for gap in gaps) >= 5  # breaths and rests
    assert sung_melody(parts[:1], np.random.default_rng(0), 30.0) is None


# ---- voices


def test_made_up_singers_sing_in_tune(loudest_hz) -> None:
    part = Part("other", 53, (Note(0.2, 1.5, 57, 0.8),), sung=True)
    audio = render_voice(part, 2.0, np.random.default_rng(0), RATE)
    assert audio.shape == (2 * RATE,) and np.isfinite(audio).all()
    assert abs(12 * np.log2(loudest_hz(audio[4000:12000], RATE, 195, 245) / 220)) < 0.6
    assert np.abs(audio[-RATE // 8 :]).max() < 0.05 * np.abs(audio).max()


def test_stretches_of_recorded_singing_come_with_rests(tmp_path: Path) -> None:
    for name, hz in (("a", 300), ("b", 500)):
        sf.write(tmp_path / f"{name}.wav", 0.5 * np.stack([sine(hz, 20, 16000)] * 2, 1), 16000)
    files = singing_files([str(tmp_path / "a.wav"), str(tmp_path)])
    assert [path.stem for path in files] == ["a", "a", "b"]
    takes = [recorded_singing(files, 30.0, np.random.default_rng(seed), RATE) for seed in range(6)]
    for audio in takes:
        assert audio.shape == (30 * RATE,) and 0.45 < np.abs(audio).max() < 0.55
    silent = [np.mean(np.abs(audio) < 1e-4) for audio in takes]
    assert 0.05 < np.mean(silent) < 0.7
    with pytest.raises(DdspZooError, match="no recordings of singing"):
        singing_files([str(tmp_path / "nothing")])


# ---- devices


def test_amplifiers_add_harmonics_and_nothing_between_them() -> None:
    spectrum = np.zeros(RATE // 2 + 1)
    for seed in range(8):
        audio = band_effects.amplifier(sine(200, 2), np.random.default_rng(seed), RATE)[RATE:]
        spectrum = np.maximum(spectrum, np.abs(np.fft.rfft(audio * np.blackman(RATE))) / RATE)
    near = np.abs((np.arange(len(spectrum)) + 100) % 200 - 100) < 5
    assert spectrum[600] > 0.05 * spectrum[200]
    assert spectrum[~near].max() < 0.01 * spectrum.max()


def test_a_compressor_brings_loud_and_soft_together() -> None:
    audio = sine(300, 4) * np.repeat((1.0, 0.1), 2 * RATE)
    squeezed = band_effects.compress(audio, -20.0, 4.0, 0.02, RATE)
    before, after = (
        playing_level(x[:RATE], RATE) / playing_level(x[3 * RATE :], RATE) for x in (audio, squeezed)
    )
    assert before == pytest.approx(10, rel=0.01) and 1.6 < after < 3  # 20 dB become 5
    untouched = band_effects.compress(audio, 40.0, 4.0, 0.02, RATE)
    assert np.allclose(untouched, audio, atol=1e-3)


def test_shelves_change_their_end_of_the_spectrum() -> None:
    def gain_db(hz: float) -> float:
        audio = sine(hz, 1)
        shelved = band_effects.shelves(audio, 6.0, -6.0, 150.0, 2000.0, RATE)
        return 20 * np.log10(shelved[RATE // 2 :].std() / audio[RATE // 2 :].std())

    assert gain_db(30) == pytest.approx(6, abs=0.7) and gain_db(3800) == pytest.approx(-6, abs=1)
    assert abs(gain_db(550)) < 1.2


def _desk(stem: str, audio: Audio, rng: np.random.Generator, rate_hz: int) -> Audio:
    return band_effects.desk(audio, stem, rng, rate_hz)


DEVICES = {
    "amplifier": band_effects.amplifier,
    "chorus": band_effects.chorus,
    "equalise": band_effects.equalise,
    "room": band_effects.room_microphones,
    **{stem: partial(_desk, stem) for stem in STEMS},
}


@pytest.mark.parametrize("device", DEVICES)
def test_devices_keep_length_and_silence_and_a_sane_level(device: str) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        audio = rng.standard_normal(2 * RATE) * 0.1
        out = DEVICES[device](audio, rng, RATE)
        assert out.shape == audio.shape and np.isfinite(out).all() and 0.003 < out.std() < 20
        silence = DEVICES[device](np.zeros(RATE), rng, RATE)
        assert np.isfinite(silence).all() and np.abs(silence).max() < 1e-6
