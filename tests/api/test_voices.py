"""Choirs of other numbers of voices than the model was trained with."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny import tiny_ast
from tools_loaded import load_tool

import ddsp_zoo
from ddsp_zoo.api.ladder import separate, separate_files
from ddsp_zoo.cli import main
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import Umss
from ddsp_zoo.models.voices import voice_names, with_voices
from ddsp_zoo.pitch.multipitch import MultiPitch
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0

pytestmark = pytest.mark.usefixtures("undrawn")
RATE, HOP, FRAMES = 16000, 256, 40
HZ = (660.0, 495.0, 392.0, 311.0, 247.0, 185.0, 139.0, 98.0)


def sung(voices: int) -> np.ndarray:
    time = np.arange(FRAMES * HOP) / RATE
    tones = [[np.sin(2 * np.pi * h * hz * time) / h for h in range(1, 8)] for hz in HZ[:voices]]
    return (0.05 * np.sum(tones, (0, 1))).astype(np.float32)


def track(voices: int) -> PitchTrack:
    f0 = np.tile(np.array(HZ[:voices], np.float32)[:, None], (1, FRAMES))
    return PitchTrack(f0, onsets_from_f0(f0), HOP / RATE)


@pytest.fixture(scope="module")
def model() -> Umss:
    return Umss(segment_seconds=0.512, phase_locked=True, tracks_pitch=True).eval()


@pytest.mark.parametrize(
    "said, names",
    [
        (1, ["voice1"]),
        ("3", ["voice1", "voice2", "voice3"]),
        ("SSAA", ["soprano1", "soprano2", "alto1", "alto2"]),
        ("SATB", ["soprano", "alto", "tenor", "bass"]),
        ("BSA", ["soprano", "alto", "bass"]),
        ("soprano,alto, tenor,bass", ["soprano", "alto", "tenor", "bass"]),
        ("bass", ["bass"]),
        ("anna,bea", ["anna", "bea"]),
        (("high", "low"), ["high", "low"]),
    ],
)
def test_names(said: object, names: list[str]) -> None:
    assert list(voice_names(said)) == names


@pytest.mark.parametrize(
    "said", [0, 9, "0", "9", "XYZ", "", "ssaa", "SATBSATBS", ",", "a,a", (), "-1", "2.5", "a/b,c"]
)
def test_what_names_no_voices_is_said(said: object) -> None:
    with pytest.raises(DdspZooError) as caught:
        voice_names(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("voices", [1, 3, 8])
def test_any_number_of_voices_sums_to_the_mixture(model: Umss, voices: int) -> None:
    fitted = with_voices(model, voices)
    result = separate(fitted, sung(voices), RATE, pitch=track(voices))
    assert list(result.stems) == [f"voice{place + 1}" for place in range(voices)]
    total = sum(result.stems.values()) + result.residual
    np.testing.assert_allclose(total, result.mixture, rtol=0, atol=1e-5)
    assert (
        model.sources == ("soprano", "alto", "tenor", "bass") and model.hparams["sources"] != fitted.sources
    )
    assert all(a is b for a, b in zip(model.parameters(), fitted.parameters(), strict=True))


def test_the_same_voices_by_other_names_are_the_same(model: Umss) -> None:
    plain = separate(model, sung(4), RATE, pitch=track(4))
    named = separate(with_voices(model, "SSAA"), sung(4), RATE, pitch=track(4))
    for one, other in zip(plain.stems.values(), named.stems.values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_pitch_of_more_voices_than_are_tracked_must_be_given(model: Umss) -> None:
    with pytest.raises(DdspZooError, match="2 to 4 voices, not of 6: give the pitch"):
        separate(with_voices(model, 6), sung(6), RATE)
    able = Umss(segment_seconds=0.512, tracks_pitch=True, tracked_voices=8).eval()
    assert len(separate(with_voices(able, 6), sung(6), RATE).stems) == 6


def test_an_open_number_is_counted_or_told_by_the_pitch(
    model: Umss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = with_voices(model, "auto")
    monkeypatch.setattr(model.tracker, "count", lambda audio: 3)
    assert list(separate(fitted, sung(3), RATE).stems) == ["voice1", "voice2", "voice3"]
    assert len(separate(fitted, sung(3), RATE, pitch=track(5)).stems) == 5
    rows = "\n".join(f"{n * HOP / RATE:g},{HZ[0]},{HZ[1]}" for n in range(FRAMES))
    (tmp_path / "f0.csv").write_text(f"time_seconds,descant,melody\n{rows}\n")
    assert list(separate(fitted, sung(2), RATE, pitch=tmp_path / "f0.csv").stems) == ["descant", "melody"]
    with pytest.raises(DdspZooError, match="name these"):
        separate(fitted, sung(2), RATE, pitch=tmp_path)
    untracked = with_voices(Umss(segment_seconds=0.512), "auto")
    with pytest.raises(DdspZooError, match="no tracker that could count"):
        separate(untracked, sung(2), RATE)


def test_results_of_other_voices_are_not_taken_for_these(
    model: Umss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, voices in (("two", 2), ("three", 3)):
        sf.write(tmp_path / f"{name}.wav", sung(voices), RATE)
    monkeypatch.setattr(
        model.tracker, "count", lambda audio: 2 if np.abs(audio - sung(2)).max() < 1e-3 else 3
    )
    paths = [tmp_path / "two.wav", tmp_path / "three.wav"]
    folders = separate_files(with_voices(model, "auto"), paths, tmp_path / "out")
    stems = [sorted(path.stem for path in folder.glob("voice*.wav")) for folder in folders]
    assert stems == [["voice1", "voice2"], ["voice1", "voice2", "voice3"]]
    made = (
        json.loads(next(folders[0].glob("*.json")).read_text()) if list(folders[0].glob("*.json")) else None
    )
    assert made is None or "voice2" in json.dumps(made)
    separate_files(with_voices(model, "3"), paths[:1], tmp_path / "out", skip_existing=True)
    assert (tmp_path / "out/two/voice3.wav").exists()


def test_a_model_that_is_no_choir_is_told() -> None:
    with pytest.raises(DdspZooError, match="no model of choirs"):
        with_voices(tiny_ast(), 3)


@pytest.mark.parametrize("voices", ["0", "9", "XYZ"])
def test_the_program_refuses_in_a_sentence(
    voices: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sf.write("choir.wav", sung(2), RATE)
    assert main(["separate", "choir.wav", "--model", "umss_4v", "--voices", voices, "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "none of a choir: give a number from 1 to 8" in line and not Path("out").exists()


def test_the_program_refuses_a_model_that_is_no_choir(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sf.write("choir.wav", sung(2), RATE)
    assert main(["separate", "choir.wav", "--model", "exE8", "--voices", "SSA", "--quiet"]) == 2
    assert "exE8 is no model of choirs" in capsys.readouterr().err
    assert main(["separate", "choir.wav", "--model", "umss_4v", "--voices", "auto", "--stems", "alto"]) == 2
    assert "not with auto" in capsys.readouterr().err


def test_the_program_separates_two_voices_by_their_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sf.write("choir.wav", sung(2), RATE)
    assert main(["separate", "choir.wav", "--model", "umss_4v", "--voices", "SA", "--quiet"]) == 0
    assert {path.stem for path in Path("out/choir").glob("*.wav")} == {"soprano", "alto", "residual"}


def test_models_are_loaded_for_other_voices() -> None:
    assert ddsp_zoo.load("umss_4v", voices="SSAA").targets == ("soprano1", "soprano2", "alto1", "alto2")
    with pytest.raises(DdspZooError, match="none of a choir"):
        ddsp_zoo.load("umss_4v", voices=0)


def test_a_tracker_of_more_voices_becomes_a_part_of_a_model() -> None:
    names = tuple(f"voice{place}" for place in range(1, 9))
    tracker = MultiPitch(names, most_voices=8, heard_again=1)
    whole = load_tool("release").with_part(Umss(), "tracker", tracker)
    assert whole.tracker.most_voices == 8 and whole.tracker.heard_again == 1 and whole.tracker.counts
    for name, weight in tracker.state_dict().items():
        assert np.array_equal(weight, whole.tracker.state_dict()[name])
