"""Guitars and whatever users bring along: odd pitch, odd onsets, odd audio. Sound or one sentence, never NaN."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from guitar import (
    FRAMES,
    HOP,
    HZ,
    ONSET,
    RATE,
    RICHEST,
    STRINGS,
    assert_sound,
    build,
    make_batch,
    pluck,
    run,
    steady,
    track,
)

from ddsp_zoo.api.ladder import separate
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import Separator

MORE = [pytest.param(name, marks=pytest.mark.slow) for name in ("exA1", "exC2", "exE2")]


@pytest.fixture(scope="module", params=["exB4", RICHEST, "as_published/exB4", *MORE])
def model(request: pytest.FixtureRequest) -> Separator:
    return build(request.param)


def marks(*frames: int) -> np.ndarray:
    onset = np.zeros((6, FRAMES), dtype=np.float32)
    onset[:, list(frames)] = 1
    return onset


CURVES: dict[str, tuple[np.ndarray, np.ndarray | None]] = {
    "one string never sounds": (steady(82.4, 0, 146.8, 196, 246.9, 329.6), None),
    "one string alone": (steady(0, 0, 146.8, 0, 0, 0), None),
    "no string sounds": (steady(0, 0, 0, 0, 0, 0), None),
    "above every loop's range": (steady(8000, 7000, 5000, 4001, 2500, 2001), None),
    "below it": (steady(20, 21, 25, 30, 35, 40), None),
    "all in unison": (steady(*[196.0] * 6), None),
    "every other frame": (steady() * (np.arange(FRAMES) % 2), None),
    "a single frame": (steady() * (np.arange(FRAMES) == 20), None),
    "leaps": (np.random.default_rng(0).uniform(20, 8000, (6, FRAMES)), None),
    "a note over a note": (steady(), marks(ONSET, 12, 13, 14)),
    "an onset on every frame": (steady() + 0 * marks(), marks(*range(FRAMES))),
    "no onset at all": (steady(), marks()),
    "onsets on rests": (steady() * (np.arange(FRAMES) < 12), marks(ONSET, 20)),
    "an onset on the last frame": (steady(), marks(ONSET, FRAMES - 1)),
    "shorter than the audio": (steady(frames=10), None),
    "longer than the audio": (steady(frames=80), None),
    "no frame": (steady(frames=0), None),
}


@pytest.mark.parametrize("curve", CURVES)
def test_any_curves_and_onsets_make_finite_stems_that_sum_to_the_mixture(
    model: Separator, curve: str
) -> None:
    f0, onset = CURVES[curve]
    result = separate(model, pluck(steady()).sum(0), RATE, pitch=track(f0, onset))
    assert_sound(result)
    assert result.stems.keys() == set(STRINGS)


def test_a_string_that_never_sounds_is_silent(model: Separator) -> None:
    f0 = steady(82.4, 0, 146.8, 196, 246.9, 329.6)
    result = separate(model, pluck(f0).sum(0), RATE, pitch=track(f0))
    levels = {name: np.square(stem).sum() for name, stem in result.synthesised.items()}
    assert levels.pop("A2") < 1e-9 and min(levels.values()) >= 0 and max(levels.values()) > 1e-6


def test_an_onset_on_every_frame_is_as_many_plucks(model: Separator) -> None:
    batch = make_batch()
    batch["f0_hz"] = batch["f0_hz"].clamp(min=82.4)
    batch["onset"][:] = 1
    out = run(model, batch)
    assert out.sources.isfinite().all() and out.sources.any()


@pytest.mark.parametrize("onset", [0.0, 1.0])
def test_a_single_frame(model: Separator, onset: float) -> None:
    f0 = torch.from_numpy(HZ)[None, :, None]
    mixture = make_batch()["mixture"][:, 5 * HOP : 6 * HOP]
    out = run(model, {"mixture": mixture, "f0_hz": f0, "onset": torch.full_like(f0, onset)})
    assert out.sources.shape == (1, 6, HOP) and out.sources.isfinite().all()


def test_silence_stays_silent_and_finite(model: Separator) -> None:
    result = separate(model, np.zeros((2, 9000), dtype=np.float32), RATE, pitch=track(steady()))
    assert_sound(result)
    assert max(np.abs(x).max() for x in result.stems.values()) == 0
    assert max(np.abs(x).max() for x in result.synthesised.values()) < 1e-3


@pytest.mark.parametrize("bad", [math.nan, math.inf, -100.0])
def test_a_pitch_that_is_none_is_a_rest_or_refused_in_a_sentence(model: Separator, bad: float) -> None:
    batch = make_batch()
    batch["f0_hz"][0, 2, 8:12] = bad
    try:
        assert run(model, batch).sources.isfinite().all()
    except DdspZooError as error:
        assert str(error).endswith(".")
    for wrong in (bad, 8001.0, 3.0):
        f0 = steady()
        f0[2, 8] = wrong
        with pytest.raises(DdspZooError, match="The pitch of D3 at 0.128 s is .*: give 20 to 8000 Hz"):
            separate(model, pluck(steady()).sum(0), RATE, pitch=track(f0, marks()))


@pytest.mark.parametrize("strings", [1, 5, 7])
def test_another_number_of_strings_is_refused_with_their_names(model: Separator, strings: int) -> None:
    f0 = np.full((strings, FRAMES), 200, dtype=np.float32)
    with pytest.raises(DdspZooError, match=rf"a row for each of E2, A2, D3.*got \({strings}, 32\)"):
        separate(model, np.zeros(FRAMES * HOP, dtype=np.float32), RATE, pitch=track(f0))
    batch = make_batch()
    short = batch | {name: torch.from_numpy(f0)[None] for name in ("f0_hz", "onset")}
    with pytest.raises(
        DdspZooError, match=rf"\(batch, sources, frames\) = \(1, 6, 32\), got \(1, {strings}, 32\)"
    ):
        run(model, short)


def test_no_pitch_is_asked_for_by_name(model: Separator) -> None:
    with pytest.raises(
        DdspZooError, match="needs the pitch of each source.*E2, A2, D3, G3, B3, E4.*`pitch=`"
    ):
        separate(model, np.zeros(9000, dtype=np.float32), RATE)


def table(f0_hz: np.ndarray, names: tuple[str, ...] = STRINGS) -> str:
    rows = [[n * HOP / RATE, *column] for n, column in enumerate(f0_hz.T)]
    return "\n".join([",".join(("time_seconds", *names)), *(",".join(f"{x:g}" for x in row) for row in rows)])


@pytest.fixture
def stereo_file(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    """A 44.1-kHz stereo recording of the open strings and a table of their pitches."""

    def write(pitches: str) -> tuple[Path, Path]:
        guitar = pluck(steady(), 44100).sum(0)
        sf.write(tmp_path / "guitar.wav", np.stack([guitar, 0.5 * guitar], axis=1), 44100, "FLOAT")
        (tmp_path / "f0.csv").write_text(pitches)
        return tmp_path / "guitar.wav", tmp_path / "f0.csv"

    return write


def test_a_stereo_file_at_44100_hz_with_a_table_of_pitches(model: Separator, stereo_file: Callable) -> None:
    audio, pitch = stereo_file(table(steady()))
    result = separate(model, audio, pitch=pitch)
    assert_sound(result)
    assert result.sample_rate == 44100 and result.stems["E2"].shape == result.mixture.shape == (2, 22579)
    np.testing.assert_allclose(result.stems["G3"][1], 0.5 * result.stems["G3"][0], rtol=0, atol=1e-5)
    f0 = result.controls["G3"]["f0_hz"]
    assert f0.shape == (FRAMES,) and f0[ONSET:].tolist() == pytest.approx([196.0] * (FRAMES - ONSET))


def test_a_table_without_one_of_the_strings_is_refused(stereo_file: Callable) -> None:
    audio, pitch = stereo_file(table(steady()[:5], STRINGS[:5]))
    with pytest.raises(DdspZooError, match="E4"):
        separate(build("exB4"), audio, pitch=pitch)
