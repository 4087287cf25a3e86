"""Models of strings that hear the pitch themselves: in the recording, in any tuning, unless it is given."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from guitar import HZ, ONSET, RATE, STRINGS, assert_sound, build, make_batch, pluck, steady
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

    def find(audio: np.ndarray, strings: int, neck: Neck | None = None) -> PitchTrack:
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


def test_pitch_that_is_found_is_learned_from_on_the_strings_that_play_it(
    model: Separator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tracker hears open strings; the truth has the second string's pitch on the first, and the last rests."""
    learner, batch, seen = build("exE7", tracks_pitch=True, found_share=0.5), make_batch(), []
    monkeypatch.setattr(learner, "tracker", model.tracker)
    batch["f0_hz"][0, 0], batch["f0_hz"][0, 1] = HZ[1] * (batch["f0_hz"][0, 0] > 0), 0
    found = learner.with_found_pitch(batch)
    assert found["f0_hz"][0, 0, 8:].numpy() == pytest.approx(HZ[1])
    assert found["f0_hz"][0, 1, 8:].numpy() == pytest.approx(
        HZ[0]
    )  # what nobody plays goes where there is room
    assert found["onset"][0, :, ONSET].all() and torch.equal(found["sources"], batch["sources"])
    monkeypatch.setattr(learner, "with_found_pitch", lambda batch: seen.append(1) or batch)
    monkeypatch.setattr(learner, "_step", lambda batch, stage, generator: stage)
    monkeypatch.setattr(type(learner), "global_step", property(lambda self: len(steps)))
    steps: list[str] = []
    for _ in range(40):
        steps.append(learner.training_step(batch, 0))
    assert 10 < len(seen) < 30
    assert learner.validation_step(batch, 0) == "validation" and len(seen) > 10


def test_pitch_cannot_be_found_without_a_tracker() -> None:
    with pytest.raises(DdspZooError, match="set model.tracks_pitch to true"):
        build("exE7", found_share=0.5)


def harmonics(*hertz: float, seconds: float = 0.7, rate: int = RATE, decay: float = 2.0) -> np.ndarray:
    """Tones (T,) of twelve harmonics that die away."""
    time = np.arange(round(seconds * rate)) / rate
    number = np.arange(1, 13)[:, None]
    tones = [(np.sin(2 * np.pi * number * hz * time) / number).sum(0) for hz in hertz]
    return (0.1 * np.sum(tones, 0) * np.exp(-decay * time)).astype(np.float32)


def sung(seconds: float = 0.7) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(220 * 2 ** (time + 0.04 * np.sin(34 * time))) / RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 15))).astype(np.float32)


DRUMS = np.random.default_rng(0).normal(0, 0.2, 11200) * np.exp(-((np.arange(11200) % 2800) / 400))
STRANGE = {  # recording, its rate, and the neck that is told
    "piano": (harmonics(32.7, 65.4, 262, 330, 1047, 2093), RATE, None),
    "voice": (sung(), RATE, None),
    "silence": (np.zeros(11200, np.float32), RATE, None),
    "full band": (harmonics(55, 220, 277, 330) + sung() + DRUMS, RATE, None),
    "low F# of eight strings": (harmonics(46.25, 61.7), RATE, None),
    "capo on fret 7": (harmonics(*HZ * 2 ** (7 / 12)), RATE, Neck(capo=7)),
    "8 kHz": (harmonics(*HZ, rate=8000), 8000, None),
}


@pytest.fixture(scope="module")
def released() -> Separator:
    return zoo.load("exE8")


@pytest.mark.parametrize("name", STRANGE)
def test_the_released_model_takes_what_is_no_usual_guitar(name: str, released: Separator) -> None:
    """Stems are sound, and every pitch is one that a finger finds on its string."""
    audio, rate, neck = STRANGE[name]
    result = separate(released, audio, rate, neck=neck)
    assert_sound(result)
    f0 = np.stack([result.controls[string]["f0_hz"] for string in STRINGS])
    frets = 12 * np.log2(np.maximum(f0, 1) / HZ[:, None]) - (neck or Neck()).capo
    assert (frets[f0 > 0] > -1.5).all() and (frets[f0 > 0] < 25.5 - (neck or Neck()).capo).all()
    assert f0.any() == (name != "silence")


def test_strings_that_are_too_low_or_too_many_are_refused_in_a_sentence() -> None:
    with pytest.raises(DdspZooError, match="An open string cannot be F#1: those from A#1 to A5 are known"):
        Neck.parse("F#1,A2,D3,G3,B3,E4")
    with pytest.raises(DdspZooError, match="is no tuning of six strings"):
        Neck.parse("F#1,B1,E2,A2,D3,G3,B3,E4")


def test_what_is_empty_or_not_finite_is_refused_as_with_a_given_pitch() -> None:
    model = build("exB4", tracks_pitch=True)
    for audio in (np.zeros(0), np.full(5000, np.nan)):
        with pytest.raises(DdspZooError):
            separate(model, audio, 16000)
