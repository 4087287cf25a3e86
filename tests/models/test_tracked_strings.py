"""Models of strings that hear the pitch themselves: in the recording, in any tuning, unless it is given."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from guitar import HZ, RATE, STRINGS, assert_sound, build, pluck, steady
from tiny import tiny_ast

import ddsp_zoo
from ddsp_zoo import zoo
from ddsp_zoo.api.ladder import separate, separate_files
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import Separator
from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0

GUITAR = pluck(steady()).sum(0)
DADGAD = Neck.parse("DADGAD", 2)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Separator:
    """Its tracker hears every string at its open pitch, an octave lower in another tuning."""
    whole = build("exB4", tracks_pitch=True)
    whole.asked = []

    def find(audio: np.ndarray, strings: int, neck: Neck | None) -> PitchTrack:
        whole.asked.append((len(audio), strings, neck))
        f0 = steady(*(HZ / (2 if neck else 1)), frames=-(-len(audio) // 256))
        return PitchTrack(f0, onsets_from_f0(f0), 0.016)

    monkeypatch.setattr(whole.tracker, "find", find)
    return whole


def test_no_pitch_need_be_given(model: Separator) -> None:
    result = separate(model, GUITAR, RATE)
    assert model.asked == [(len(GUITAR), 6, None)] and result.maker.neck is None
    assert all(result.controls[name]["f0_hz"][-1] == pytest.approx(hz) for name, hz in zip(STRINGS, HZ))
    stems = sum(result.stems.values())
    assert np.isfinite(stems).all() and np.allclose(stems + result.residual, GUITAR, atol=1e-5)


def test_a_given_pitch_is_taken_instead(model: Separator) -> None:
    f0 = steady(*(HZ * 1.5))
    result = separate(model, GUITAR, RATE, PitchTrack(f0, onsets_from_f0(f0), 0.016))
    assert not model.asked and result.controls["E2"]["f0_hz"][-1] == pytest.approx(HZ[0] * 1.5)


def test_tuning_and_capo_are_told_to_the_tracker_and_remembered(
    model: Separator, tmp_path: Path, undrawn: None
) -> None:
    result = separate(model, GUITAR, RATE, neck=DADGAD)
    assert model.asked[0][2] == DADGAD and result.maker.neck == DADGAD
    assert result.controls["E2"]["f0_hz"][-1] == pytest.approx(HZ[0] / 2)
    assert ddsp_zoo.open(result.save(tmp_path / "out")).maker.neck == DADGAD
    plain = separate(model, GUITAR, RATE).save(tmp_path / "plain")
    assert ddsp_zoo.open(plain).maker.neck is None


def test_another_tuning_is_another_result(model: Separator, tmp_path: Path, undrawn: None) -> None:
    sf.write(tmp_path / "guitar.wav", GUITAR, RATE, "FLOAT")
    options = {"skip_existing": True, "progress": False}
    for neck, heard in ((None, 1), (None, 1), (DADGAD, 2), (DADGAD, 2), (None, 3)):
        separate_files(model, [tmp_path / "guitar.wav"], tmp_path / "out", neck=neck, **options)
        assert len(model.asked) == heard


def test_what_is_no_guitar_has_no_tuning() -> None:
    with pytest.raises(DdspZooError, match="Tuning and capo are for models of guitar strings.*bass, rest"):
        separate(tiny_ast(), np.zeros(9000, np.float32), 8000, neck=DADGAD)


@pytest.mark.parametrize("name", ["exB4", "exE7"])
def test_the_tracker_is_a_part_of_the_checkpoint_that_is_not_trained_along(name: str, tmp_path: Path) -> None:
    whole, plain = build(name, tracks_pitch=True), build(name)
    assert not any(p.requires_grad for p in whole.tracker.parameters()) and plain.tracker is None
    zoo.copy_weights(whole, plain, "whole")
    zoo.save_checkpoint(whole, tmp_path / name)
    loaded = zoo.load(name, checkpoint=tmp_path / name)
    theirs = whole.tracker.state_dict()
    assert all(
        torch.allclose(v, theirs[n], rtol=1e-3, atol=1e-3) for n, v in loaded.tracker.state_dict().items()
    )
    result = separate(loaded, GUITAR, RATE)
    assert np.isfinite(sum(result.stems.values())).all()


@pytest.mark.parametrize(
    ("audio", "rate"),
    [
        (np.zeros(9000), 16000),
        (np.random.default_rng(0).normal(0, 0.1, (2, 9000)), 44100),
        (0.5 * np.sin(np.arange(9000) * 0.03), 8000),
        (np.eye(1, 9000)[0], 48000),
        (np.full(9000, 0.9), 16000),
        (np.ones(1), 16000),
    ],
    ids=["silence", "noise", "low note at 8 kHz", "click", "constant", "one sample"],
)
def test_whatever_is_heard_gives_finite_stems_that_sum_to_it(audio: np.ndarray, rate: int) -> None:
    assert_sound(separate(build("exB4", tracks_pitch=True), audio, rate))


def test_what_is_empty_or_not_finite_is_refused_as_with_a_given_pitch() -> None:
    model = build("exB4", tracks_pitch=True)
    for audio in (np.zeros(0), np.full(5000, np.nan)):
        with pytest.raises(DdspZooError):
            separate(model, audio, 16000)
