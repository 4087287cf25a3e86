"""Stems that another program has cut out: given back as they are, with controls, notes and synthesised sound."""

from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile as sf

import ddsp_zoo
from ddsp_zoo.api import stems as module
from ddsp_zoo.cli import main
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import Excerpt

pytestmark = pytest.mark.usefixtures("undrawn")

RATE, SECONDS = 8000, 3.0


def write(path: Path, audio: np.ndarray, rate: int = RATE) -> None:
    path.parent.mkdir(exist_ok=True)
    sf.write(path, audio.T, rate, subtype="FLOAT")


def bass(rate: int = RATE) -> np.ndarray:
    """A note of 110 Hz with five partials, from 0.5 to 2 s."""
    time = np.arange(round(SECONDS * rate)) / rate
    tone = sum(np.sin(2 * np.pi * 110 * h * time) / h for h in range(1, 6))
    return 0.2 * tone * ((time > 0.5) & (time < 2))


def drums() -> np.ndarray:
    return 0.1 * np.random.default_rng(0).standard_normal(round(SECONDS * RATE))


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """A stereo song of a bass on the left, drums in the middle and a hum that nobody has cut out."""
    parts = {"bass": np.stack([bass(), 0 * bass()]), "drums": np.stack([drums(), drums()])}
    for name, audio in parts.items():
        write(tmp_path / "stems" / f"{name}.wav", audio.astype(np.float32))
    hum = 0.01 * np.sin(2 * np.pi * 50 * np.arange(len(drums())) / RATE)
    write(tmp_path / "song.wav", (sum(parts.values()) + hum).astype(np.float32))
    return tmp_path / "song.wav"


def test_stems_stay_and_get_controls_notes_and_sound(song: Path, tmp_path: Path) -> None:
    assert main(["separate", str(song), "--from-stems", str(tmp_path / "stems"), "--out", str(tmp_path)]) == 0
    result = ddsp_zoo.open(tmp_path / "song")
    assert list(result.stems) == ["bass", "drums"]
    for name, stem in result.stems.items():
        assert np.array_equal(stem, sf.read(tmp_path / "stems" / f"{name}.wav", dtype="float32")[0].T)
        assert np.allclose(result.render(name), result.synthesised[name], atol=1e-6)
    mixture = sf.read(song, dtype="float32")[0].T
    assert np.allclose(result.mixture, mixture, atol=1e-6) and 0.005 < np.abs(result.residual).max() < 0.02
    power = {name: np.square(result.synthesised[name]).mean() for name in result.stems}
    assert power["drums"] == pytest.approx(0.1**2, rel=0.1)
    assert power["bass"] == pytest.approx(np.square(bass()).mean() / 2, rel=0.1)  # on one of two sides
    tones = {name: np.square(result.controls[name]["amplitude"]).sum() for name in result.stems}
    noise = {name: np.square(result.controls[name]["noise_magnitude"]).sum() for name in result.stems}
    assert tones["bass"] / noise["bass"] > 20 * tones["drums"] / noise["drums"]
    played = [event for event in mido.MidiFile(tmp_path / "song" / "notes.mid") if event.type == "note_on"]
    assert {event.note for event in played if event.velocity} == {45}
    assert not result.controls["drums"]["f0_hz"].any()


def test_other_rates_channels_and_lengths_are_those_of_the_song(song: Path, tmp_path: Path) -> None:
    write(tmp_path / "stems" / "bass.wav", bass(16000)[None, : round(2.95 * 16000)].astype(np.float32), 16000)
    folder = ddsp_zoo.separate_from_stems(song, tmp_path / "stems", tmp_path / "out", audio_format="flac")
    stem = ddsp_zoo.open(folder).stems["bass"]
    assert stem.shape == (2, SECONDS * RATE) and np.array_equal(*stem)
    assert np.abs(stem[0, 5000:15000] - bass()[5000:15000]).max() < 1e-3
    write(song, sf.read(song)[0].mean(1)[None])
    ddsp_zoo.separate_from_stems(song, tmp_path / "stems", tmp_path / "mono")
    assert ddsp_zoo.open(tmp_path / "mono").stems["drums"].shape == (1, SECONDS * RATE)


def test_an_excerpt_of_song_and_stems(song: Path, tmp_path: Path) -> None:
    folder = ddsp_zoo.separate_from_stems(song, tmp_path / "stems", tmp_path / "out", excerpt=Excerpt(1, 0.5))
    result = ddsp_zoo.open(folder)
    part = slice(RATE, RATE + RATE // 2)
    np.testing.assert_allclose(result.stems["drums"][0], drums()[part], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.mixture, sf.read(song)[0].T[:, part], rtol=0, atol=1e-6)


@pytest.mark.parametrize("block", [1000, 12000])
def test_blocks_leave_no_trace(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    whole = ddsp_zoo.separate_from_stems(song, tmp_path / "stems", tmp_path / "whole")
    monkeypatch.setattr(module, "BLOCK", block)
    parts = ddsp_zoo.separate_from_stems(song, tmp_path / "stems", tmp_path / "parts")
    for name, stem in ddsp_zoo.open(whole).synthesised.items():
        assert np.allclose(stem, ddsp_zoo.open(parts).synthesised[name], atol=1e-5)


def test_what_is_left_of_a_song_is_no_stem(song: Path, tmp_path: Path) -> None:
    """So a result of this package can be read, and a folder with the song in it."""
    for name in ("residual", "mixture", "song"):
        write(tmp_path / "stems" / f"{name}.wav", drums()[None])
    (tmp_path / "stems" / "notes.txt").write_text("no audio")
    folder = ddsp_zoo.separate_from_stems(song, tmp_path / "stems", tmp_path / "out")
    assert list(ddsp_zoo.open(folder).stems) == ["bass", "drums"]


def test_stems_that_cannot_be_used(song: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write(tmp_path / "short" / "bass.wav", bass()[None, :16000])
    for name in ("bass.wav", "bass.aiff"):
        write(tmp_path / "twice" / name, bass()[None])
    for folder, said in (
        ("nowhere", "There is no folder .*nowhere"),
        ("twice", "bass.aiff and .*bass.wav are stems of one name"),
        ("empty", "empty holds no stems: put bass.wav"),
        ("short", r"bass.wav is 1.0 s shorter than .*song.wav"),
    ):
        with pytest.raises(DdspZooError, match=said):
            ddsp_zoo.separate_from_stems(song, tmp_path / folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "exE7"], "uses no model: leave --model out"),
        (["--pitch", "crepe"], "leave --pitch out"),
        (["--stems", "bass"], "leave --stems out"),
        (["--two-stems", "bass"], "leave --two-stems out"),
        (["--skip-existing"], "leave --skip-existing out"),
        (["more.wav"], "takes one song"),
    ],
)
def test_options_that_say_nothing_to_stems(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture, options: list[str], said: str
) -> None:
    command = [
        "separate",
        str(song),
        *options,
        "--from-stems",
        str(tmp_path / "stems"),
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 2
    assert said in capsys.readouterr().err
