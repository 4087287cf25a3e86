"""Recorded notes: measured, moved to any pitch in tune, from the pluck on; real ones where they are at hand."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from guitar import stiff_note

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.strings.playing import OPEN_HZ, RATE, GuitarNote
from ddsp_zoo.music.strings.recordings import (
    FOLDERS,
    OVERSAMPLING,
    RecordedGuitar,
    RecordedPluck,
    measure_f0,
    read_recordings,
    restiffened,
)
from ddsp_zoo.music.strings.stiffness import GUITAR_SETS, mean_stiffness, stiffness_likelihood

BENT = tuple(150.0 * np.clip(np.arange(150) / 80, 0, 1))


@pytest.fixture
def steel(note_folders) -> RecordedGuitar:
    return RecordedGuitar.random(np.random.default_rng(0), note_folders / FOLDERS["steel"])


def pluck(guitar: RecordedGuitar, seed: int = 0, **settings) -> tuple[np.ndarray, np.ndarray]:
    note = GuitarNote(
        **({"string": 3, "start_seconds": 0, "end_seconds": 0.8, "fret": 4, "velocity": 0.9} | settings)
    )
    return guitar.pluck(note, OPEN_HZ[note.string], np.random.default_rng(seed))


def test_recordings_are_measured_not_believed(steel):
    """The made-up notes are ten cents sharp of their names."""
    midi = sorted({round(69 + 12 * np.log2(r.hz / 440), 2) for r in steel.recordings})
    assert midi == pytest.approx([40.1, 51.1, 60.1, 69.1], abs=0.015)
    assert sorted({r.force for r in steel.recordings}) == [0.5, 1.0]


def test_the_pitch_of_a_glide_is_followed():
    time = np.arange(RATE) / RATE
    f0 = 196 * (1 + 0.02 * np.exp(-time / 0.15))
    phase = 2 * np.pi * np.cumsum(f0) / RATE
    sound = sum(np.exp(-2 * time) * np.sin(k * phase) / k for k in range(1, 6))
    found = measure_f0(sound, 200.0)
    cents = 1200 * np.log2(found / f0[::64][: len(found)])
    assert np.abs(cents[20:-20]).max() < 2.5


@pytest.mark.parametrize("string, fret", [(0, 0), (0, 2), (2, 1), (3, 4), (4, 1), (5, 5)])
@pytest.mark.parametrize("cents", [(), BENT])
def test_a_note_sounds_at_its_f0(steel, string, fret, cents):
    sound, f0 = pluck(steel, string=string, fret=fret, cents=cents)
    wanted = OPEN_HZ[string] * 2 ** (
        fret / 12 + (np.append(cents or 0.0, 150.0 if cents else 0.0)[-1]) / 1200
    )
    assert f0[-20] == pytest.approx(wanted, rel=0.0015)
    found = measure_f0(sound[: len(f0) * 64], float(np.median(f0)))
    assert np.median(np.abs(1200 * np.log2(found / f0[: len(found)]))[15:-15]) < 3


def test_the_silence_before_a_recording_is_cut(steel):
    sound, _ = pluck(steel)
    assert np.argmax(np.abs(sound) > 0.1 * np.abs(sound).max()) < 0.004 * RATE


def test_the_layer_follows_the_force():
    """Two recordings, three semitones too high: a soft one, negative throughout, and a hard one, positive."""
    soft, hard = (
        RecordedPluck(sign * np.ones(OVERSAMPLING * 2 * RATE), np.full(250, 233.1), force, -13.0)
        for sign, force in ((-1, 0.5), (1, 1.0))
    )
    guitar = RecordedGuitar((soft, hard), np.ones(1))
    shares = [
        np.mean([pluck(guitar, seed, fret=0, velocity=velocity)[0].mean() > 0 for seed in range(30)])
        for velocity in (0.4, 1.0)
    ]
    assert shares[0] < 0.4 < 0.8 < shares[1]


def test_softer_and_muted_notes(steel):
    hard, soft, muted = (
        pluck(steel, **s)[0] for s in ({"velocity": 1}, {"velocity": 0.2}, {"touch": "mute"})
    )
    assert np.std(soft) < 0.3 * np.std(hard) and np.std(muted[8000:9000]) < 0.2 * np.std(hard[8000:9000])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: shutil.rmtree(folder), "holds no recorded notes"),
        (lambda folder: (folder / "A2.wav").write_text("no audio"), "A2.wav cannot be read"),
        (
            lambda folder: sf.write(folder / "A2.wav", np.zeros(44100), 44100),
            "A2.wav is silent",
        ),
        (lambda folder: sf.write(folder / "A2.wav", np.ones(4410), 44100), "A2.wav is shorter .* or silent"),
    ],
)
def test_folders_that_are_of_no_use(note_folders, tmp_path, change, words):
    folder = tmp_path / "notes"
    shutil.copytree(note_folders / FOLDERS["nylon"], folder)
    change(folder)
    with pytest.raises(DdspZooError, match=words):
        read_recordings(folder)


@pytest.mark.skipif("GUITAR_NOTES_ROOT" not in os.environ, reason="GUITAR_NOTES_ROOT names no recorded notes")
@pytest.mark.parametrize("name", FOLDERS)
def test_real_notes_are_within_a_quarter_tone_of_their_names_and_settle(name):
    for recording in read_recordings(Path(os.environ["GUITAR_NOTES_ROOT"]) / FOLDERS[name]):
        midi = 69 + 12 * np.log2(recording.hz / 440)
        assert abs(midi - round(midi)) < 0.5
        assert np.ptp(1200 * np.log2(recording.f0_hz[50:200] / recording.hz)) < 40


def test_a_strung_guitar_is_as_stiff_as_its_strings(steel):
    """Which string a pitch is played on is heard; the pitch itself stays."""
    guitar = steel.strung(np.random.default_rng(0), ("acoustic",))
    assert np.log2(guitar.inharmonicity) == pytest.approx(GUITAR_SETS["acoustic"], abs=1.2)
    plain, strung = ([pluck(g, string=s, fret=f) for s, f in ((2, 7), (3, 2))] for g in (steel, guitar))
    for (a, a_hz), (b, b_hz) in zip(plain, strung, strict=True):
        assert (a_hz == b_hz).all() and np.std(b) == pytest.approx(np.std(a), rel=0.05)
    assert not np.allclose(strung[0][0], plain[0][0], atol=0.01)


@pytest.mark.parametrize(("f0_hz", "log2_b", "wanted"), [(196.0, -15.0, -12.5), (110.0, -12.5, -13.5)])
def test_partials_move_to_where_another_string_has_them(f0_hz: float, log2_b: float, wanted: float):
    sound = stiff_note(f0_hz, log2_b)
    moved = restiffened(sound, f0_hz, log2_b, wanted)
    assert mean_stiffness(stiffness_likelihood(moved, f0_hz, RATE)) == pytest.approx(wanted, abs=0.2)
    assert np.std(moved) == pytest.approx(np.std(sound), rel=0.02)
    assert np.argmax(np.abs(moved)) < 0.02 * RATE  # the decay is kept
