"""Pitch as users have it: a CSV, recordings of each source, or a melody to be tracked."""

from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import Excerpt
from ddsp_zoo.pitch.crepe import track_f0
from ddsp_zoo.pitch.given import find_pitch

CENT = 2 ** (1 / 1200) - 1


@pytest.fixture
def duo() -> SimpleNamespace:
    """A model of two voices with 16-ms frames."""
    return SimpleNamespace(sources=("low", "high"), sample_rate=16000, hop_samples=256, tracker=None)


def write(path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


# ---- tables


def test_columns_of_a_table_are_found_by_name(duo, tmp_path):
    lines = [f"{n * 0.008},{440 if n < 10 else 0},x,{0 if n < 5 else 110}" for n in range(40)]
    path = write(tmp_path / "f0.csv", "time_seconds,high,remark,low\n" + "\n".join(lines))
    track = find_pitch(path, duo, np.zeros(4800), 16000, 0.3)
    assert track.f0_hz.shape == (2, 19) and track.hop_seconds == 0.016
    assert np.flatnonzero(track.f0_hz[0] == 110).tolist() == list(range(3, 19))
    assert np.flatnonzero(track.f0_hz[1] == 440).tolist() == list(range(5))
    assert np.argwhere(track.onset).tolist() == [[0, 3], [1, 0]]


def test_onset_columns_are_used(duo, tmp_path):
    lines = [f"{n * 0.016},110,220,{int(n in (2, 7))}" for n in range(10)]
    path = write(tmp_path / "f0.csv", "time_seconds,low,high,low_onset\n" + "\n".join(lines))
    track = find_pitch(path, duo, np.zeros(2560), 16000, 0.16)
    assert np.argwhere(track.onset).tolist() == [[0, 2], [0, 7]]


def test_a_table_of_the_whole_gives_the_pitch_of_an_excerpt(duo, tmp_path):
    lines = [f"{n * 0.016},{100 + n},{0 if n < 6 else 220},{int(n in (1, 2, 7))}" for n in range(20)]
    path = write(tmp_path / "f0.csv", "time_seconds,low,high,low_onset\n" + "\n".join(lines))
    track = find_pitch(path, duo, np.zeros(10), 16000, 0.16, excerpt=Excerpt(4 * 0.016, 0.16))
    assert np.array_equal(track.f0_hz[0], 104.0 + np.arange(10))
    assert np.flatnonzero(track.f0_hz[1]).tolist() == list(range(2, 10))
    assert np.argwhere(track.onset).tolist() == [[0, 3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("time_seconds,low\n0,110\n", "f0.csv has no column 'high'"),
        ("time_seconds,low,high\n0,110,-3\n", "line 2: high is '-3'"),
        ("time_seconds,low,high\n0,0,0\n", "Nothing in the pitch given by .*f0.csv is voiced"),
    ],
)
def test_unusable_tables(duo, tmp_path, text, message):
    with pytest.raises(DdspZooError, match=message):
        find_pitch(write(tmp_path / "f0.csv", text), duo, np.zeros(1600), 16000, 0.1)


def test_a_table_that_is_not_there(duo, tmp_path):
    with pytest.raises(DdspZooError, match="none.csv"):
        find_pitch(tmp_path / "none.csv", duo, np.zeros(1600), 16000, 0.1)


def test_without_pitch_the_ways_to_give_it_are_told(duo):
    with pytest.raises(DdspZooError, match=r"\(low, high\): pass `pitch=` .*time_seconds,low,high.*crepe"):
        find_pitch(None, duo, np.zeros(1600), 16000, 0.1)


# ---- recordings


@pytest.mark.parametrize("f0_hz", [82.4, 220.0, 659.3])
def test_crepe_finds_a_tone_to_a_quarter_of_a_semitone(tone, f0_hz):
    audio = np.concatenate([tone(f0_hz, 0.5), np.zeros(4000, np.float32)])
    f0 = track_f0(audio, 256)
    assert f0.shape == (47,)
    assert np.array_equal(f0, track_f0(audio, 256))
    assert f0[3:28] == pytest.approx(np.full(25, f0_hz), rel=25 * CENT)
    assert not f0[36:].any()


@pytest.mark.parametrize(("peak", "voiced"), [(1e-3, True), (1e-6, False)])
def test_tones_below_80_db_are_silence(tone, peak, voiced):
    assert track_f0(tone(220, 0.2) * 2 * peak, 256).all() == voiced


def test_a_folder_with_a_recording_of_each_source(duo, tmp_path, tone):
    sf.write(tmp_path / "low.wav", np.stack([tone(110, 0.6, 22050)] * 2, axis=1), 22050)
    sf.write(tmp_path / "high.flac", tone(440, 0.4, 16000), 16000)
    track = find_pitch(tmp_path, duo, np.zeros(9600), 16000, 0.6)
    assert track.f0_hz.shape == (2, 38)
    assert track.f0_hz[0, 3:34] == pytest.approx(np.full(31, 110), rel=25 * CENT)
    assert track.f0_hz[1, 3:22] == pytest.approx(np.full(19, 440), rel=25 * CENT)
    assert not track.f0_hz[1, 28:].any()  # its recording is shorter
    assert track.onset[:, :3].sum(1).tolist() == [1, 1]


def test_a_folder_that_lacks_a_source(duo, tmp_path, tone):
    sf.write(tmp_path / "low.wav", tone(110, 0.1), 16000)
    with pytest.raises(DdspZooError, match="has no high.wav or high.flac: put one recording"):
        find_pitch(tmp_path, duo, np.zeros(1600), 16000, 0.1)


@pytest.mark.parametrize("as_file", [False, True])
def test_a_melody_is_laid_on_the_strings(strings_model, tmp_path, tone, as_file):
    rate, rest = 22050, np.zeros(4410, np.float32)
    melody = np.concatenate([tone(110, 0.4, rate), rest, tone(329.63, 0.4, rate)])
    audio, path = np.stack([melody, melody]), tmp_path / "melody.wav"
    sf.write(path, audio.T, rate)
    track = find_pitch("crepe", strings_model, path if as_file else audio, rate, len(melody) / rate)
    assert track.f0_hz.shape == (6, 63)
    assert track.f0_hz[1, 3:23] == pytest.approx(np.full(20, 110), rel=25 * CENT)
    assert track.f0_hz[5, 42:60] == pytest.approx(np.full(18, 329.63), rel=25 * CENT)
    assert not track.f0_hz[[0, 2, 3, 4]].any()
    assert track.onset.sum(1).tolist() == [0, 1, 0, 0, 0, 1]


def test_a_melody_needs_strings(duo, tone):
    with pytest.raises(DdspZooError, match="six strings of a guitar"):
        find_pitch("crepe", duo, tone(110, 0.2), 16000, 0.2)


def test_silence_has_no_melody(strings_model):
    with pytest.raises(DdspZooError, match="is voiced: there is nothing to separate by"):
        find_pitch("crepe", strings_model, np.zeros(3200, np.float32), 16000, 0.2)
