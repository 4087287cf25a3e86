"""Choirs and whatever users bring along: odd pitch curves, odd audio, odd tables. Sound or one sentence, never NaN."""

import codecs
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import yaml

from ddsp_zoo import zoo
from ddsp_zoo.api.ladder import separate
from ddsp_zoo.api.result import Separation
from ddsp_zoo.cli import main
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import Umss
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0
from ddsp_zoo.zoo.manifest import CONFIG, WEIGHTS

RATE, HOP, FRAMES = 16000, 256, 48
HOP_SECONDS, SAMPLES = HOP / RATE, HOP * FRAMES
pytestmark = pytest.mark.usefixtures("undrawn")
VOICES = ("soprano", "alto", "tenor", "bass")
HZ = np.array([440.0, 330.0, 220.0, 110.0])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The released quartet with segments of half a second in place of four, which its weights do not mind."""
    released, folder = zoo.find("umss_4v"), tmp_path_factory.mktemp("umss") / "short"
    folder.mkdir()
    config = yaml.safe_load((released / CONFIG).read_text())
    config["init_args"]["segment_seconds"] = 0.512
    (folder / CONFIG).write_text(yaml.safe_dump(config))
    (folder / WEIGHTS).write_bytes((released / WEIGHTS).read_bytes())
    return folder


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Umss:
    return zoo.load("umss_4v", checkpoint=checkpoint)


def sing(f0_hz: np.ndarray, rate: int = RATE) -> np.ndarray:
    """Voices (S, T) that follow curves f0_hz (S, N): seven harmonics, softer where nobody sings."""
    samples = round(f0_hz.shape[1] * HOP_SECONDS * rate)
    at = np.arange(samples) / rate / HOP_SECONDS
    curves = np.stack([np.interp(at, np.arange(len(row)), row) for row in f0_hz])
    phase = 2 * np.pi * np.cumsum(curves, -1) / rate
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 8))).astype(np.float32)


def steady(*f0_hz: float, frames: int = FRAMES) -> np.ndarray:
    return np.repeat(np.array(f0_hz or HZ, dtype=np.float32)[:, None], frames, axis=1)


def track(f0_hz: np.ndarray, hop_seconds: float = HOP_SECONDS) -> PitchTrack:
    return PitchTrack(f0_hz, onsets_from_f0(f0_hz), hop_seconds)


def table(f0_hz: np.ndarray, hop_seconds: float = HOP_SECONDS, start: float = 0.0) -> str:
    """An f0 CSV of curves (4, N)."""
    rows = [[start + n * hop_seconds, *column] for n, column in enumerate(f0_hz.T)]
    return "\n".join(
        [",".join(("time_seconds", *VOICES)), *(",".join(f"{x:g}" for x in row) for row in rows)]
    )


def mostly_slow(cases: Iterable[str], *quick: str) -> list:
    """All cases for a parametrised test; those without ``quick`` are run by `make test-slow`."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in cases]


def assert_sound(result: Separation) -> None:
    """Everything is finite, stems and residual sum to the mixture, and no stem explodes."""
    parts = [*result.stems.values(), *result.synthesised.values(), result.residual]
    parts += [value for named in result.controls.values() for value in named.values()]
    assert all(np.isfinite(part).all() for part in parts)
    peak = np.abs(result.mixture).max()
    rebuilt = sum(result.stems.values()) + result.residual
    np.testing.assert_allclose(rebuilt, result.mixture, rtol=0, atol=1e-6 * peak)
    assert max(np.abs(stem).max() for stem in result.stems.values()) <= 2 * peak


# Pitch curves

SLIDE = np.linspace(0, 1, FRAMES)
CURVES = {
    "voices cross": np.stack([440 - 220 * SLIDE, 220 + 220 * SLIDE, 165 + 0 * SLIDE, 110 + 0 * SLIDE]),
    "two in unison": steady(330, 330, 220, 110),
    "all in unison": steady(220, 220, 220, 220),
    "nearly in unison": steady(220.001, 220, 219.999, 220.0005),
    "low to high": steady(*HZ[::-1]),
    "one rests": steady(440, 330, 0, 110),
    "only one sings": steady(0, 330, 0, 0),
    "nobody sings": steady(0, 0, 0, 0),
    "every other frame": steady() * (np.arange(FRAMES) % 2),
    "a single frame": steady() * (np.arange(FRAMES) == 20),
    "leaps": np.random.default_rng(0).uniform(20, 2000, (4, FRAMES)),
    "ends of the scale": steady(8000, 7999, 21, 20),
    "no frame": steady(frames=0),
    "shorter than the audio": steady(frames=20),
    "longer than the audio": steady(frames=200),
}


@pytest.mark.parametrize(
    "curve", mostly_slow(CURVES, "voices cross", "all in unison", "one rests", "leaps", "no frame")
)
def test_any_curves_make_finite_stems_that_sum_to_the_mixture(model: Umss, curve: str) -> None:
    assert_sound(separate(model, sing(steady()).sum(0), RATE, pitch=track(CURVES[curve])))


def test_a_stem_follows_its_curve_through_a_crossing(model: Umss) -> None:
    curves = CURVES["voices cross"]
    voices = sing(curves)
    result = separate(model, voices.sum(0), RATE, pitch=track(curves))
    for name, voice in zip(VOICES[:2], voices, strict=False):
        stem = result.stems[name][0]
        assert np.corrcoef(stem, voice)[0, 1] > 0.9
        assert np.corrcoef(stem[-4000:], voice[-4000:])[0, 1] > 0.9  # where it has been crossed


def test_voices_in_unison_share_evenly(model: Umss) -> None:
    curves = CURVES["two in unison"]
    result = separate(model, sing(curves).sum(0), RATE, pitch=track(curves))
    np.testing.assert_allclose(result.stems["soprano"], result.stems["alto"], rtol=0, atol=1e-3)
    assert np.abs(result.stems["soprano"]).max() > 0.05


def test_who_rests_gets_next_to_nothing(model: Umss) -> None:
    curves = CURVES["one rests"]
    result = separate(model, sing(curves).sum(0), RATE, pitch=track(curves))
    levels = {name: np.square(stem).mean() for name, stem in result.stems.items()}
    assert levels.pop("tenor") < 1e-3 * min(levels.values())


def test_beyond_the_last_line_nobody_sings(model: Umss, tmp_path: Path) -> None:
    audio = sing(steady()).sum(0)
    (tmp_path / "short.csv").write_text(table(steady(frames=20)))
    (tmp_path / "long.csv").write_text(table(steady(frames=200)))
    short, long = (separate(model, audio, RATE, pitch=tmp_path / f"{name}.csv") for name in ("short", "long"))
    assert_sound(short)
    for name, hz in zip(VOICES, HZ, strict=True):
        f0_hz = short.controls[name]["f0_hz"]
        assert f0_hz.shape == (FRAMES,) and (f0_hz[:20] == hz).all() and not f0_hz[22:].any()
        assert (long.controls[name]["f0_hz"] == hz).all()
    exact = separate(model, audio, RATE, pitch=track(steady()))
    for name in VOICES:
        np.testing.assert_array_equal(long.stems[name], exact.stems[name])


@pytest.mark.parametrize("hop_seconds", [0.0029, 0.01, 0.1])
def test_a_table_of_another_hop_gives_the_same_stems(model: Umss, tmp_path: Path, hop_seconds: float) -> None:
    audio = sing(steady()).sum(0)
    lines = steady(frames=round(SAMPLES / RATE / hop_seconds) + 1)
    (tmp_path / "f0.csv").write_text(table(lines, hop_seconds))
    one = separate(model, audio, RATE, pitch=tmp_path / "f0.csv")
    other = separate(model, audio, RATE, pitch=track(steady()))
    for name in VOICES:
        np.testing.assert_array_equal(one.stems[name], other.stems[name])


def test_tracks_of_any_numbers_are_taken(model: Umss) -> None:
    audio, plain = sing(steady()).sum(0), track(steady())
    expected = separate(model, audio, RATE, pitch=plain).stems["bass"]
    for f0_hz in (steady().astype(np.float64), steady().astype(int), steady().tolist()):
        result = separate(model, audio, RATE, pitch=PitchTrack(f0_hz, plain.onset.tolist(), HOP_SECONDS))
        np.testing.assert_array_equal(result.stems["bass"], expected)


@pytest.mark.parametrize(
    "pitch, words",
    [
        (track(steady(440, 330, 220)), "each of soprano, alto, tenor, bass .*0 where one rests"),
        (track(steady(880, *HZ)), "each of soprano, alto, tenor, bass"),
        (track(HZ), "each of soprano"),
        (track(steady(), 0.01), "every 0.01 s and the model one every 0.016 s"),
        (
            track(steady(440, 330, 220, np.nan)),
            "pitch of bass at 0.000 s is nan Hz: give 20 to 8000 Hz, and 0",
        ),
        (track(steady(440, np.inf, 220, 110)), "pitch of alto at 0.000 s is inf Hz"),
        (track(steady(440, 330, -220, 110)), "pitch of tenor at 0.000 s is -220 Hz"),
        (track(steady(1e6, 330, 220, 110)), "pitch of soprano at 0.000 s is 1e"),
        (track(steady() * np.where(np.arange(FRAMES) == 10, 1e-5, 1)), "soprano at 0.160 s is 0.0044 Hz"),
        (PitchTrack(steady(), steady() * np.nan, HOP_SECONDS), "An onset is 1"),
        (steady(), "cannot be a ndarray"),
        ("crepe", "one melody"),
    ],
)
def test_tracks_that_are_no_pitch_are_told(model: Umss, pitch: object, words: str) -> None:
    with pytest.raises(DdspZooError, match=words) as caught:
        separate(model, sing(steady()).sum(0), RATE, pitch=pitch)
    assert "\n" not in str(caught.value)


# Audio

VOICED = sing(steady()).sum(0)
AUDIO = {
    "silence": 0 * VOICED,
    "clipped": np.clip(20 * VOICED, -1, 1),
    "square": np.sign(VOICED),
    "faint": 1e-7 * VOICED,
    "integers as floats": 32768 * VOICED,
    "a constant": 0 * VOICED + 1,
    "one click": np.eye(1, SAMPLES, 5000, dtype=np.float32)[0],
    "100 samples": VOICED[:100],
    "one sample": VOICED[1:2],
    "opposite channels": np.stack([VOICED, -VOICED]),
    "one channel silent": np.stack([VOICED, 0 * VOICED]),
}


@pytest.mark.parametrize("kind", mostly_slow(AUDIO, "silence", "clipped", "one sample", "opposite channels"))
def test_any_audio_makes_finite_stems_that_sum_to_the_mixture(model: Umss, kind: str) -> None:
    result = separate(model, AUDIO[kind], RATE, pitch=track(steady()))
    assert_sound(result)
    assert result.mixture.shape == np.atleast_2d(AUDIO[kind]).shape
    assert np.abs(result.stems["alto"]).max() > 0 or kind == "silence"


def test_stereo_at_44_kilohertz(model: Umss, tmp_path: Path) -> None:
    curves = steady(452, 331, 214, 117)
    voices = sing(curves, 44100)
    pan = np.array([[0.9, 0.6, 0.4, 0.1], [0.1, 0.4, 0.6, 0.9]])
    sf.write(tmp_path / "choir.wav", (pan @ voices).T, 44100, subtype="FLOAT")
    (tmp_path / "f0.csv").write_text(table(curves))
    result = separate(model, tmp_path / "choir.wav", pitch=tmp_path / "f0.csv")
    assert_sound(result)
    assert result.sample_rate == 44100 and result.stems["bass"].shape == (2, voices.shape[1])
    for name, left_right in zip(VOICES, pan.T, strict=True):  # every voice stays where it stood
        levels = np.sqrt(np.square(result.stems[name]).mean(1))
        assert (levels[0] > levels[1]) == (left_right[0] > left_right[1])


# Tables


@pytest.mark.parametrize("dress", ["Windows", "more columns", "other order"])
def test_tables_in_other_dress_are_read(model: Umss, tmp_path: Path, dress: str) -> None:
    path, plain = tmp_path / "f0.csv", table(steady())
    if dress == "Windows":
        path.write_bytes(codecs.BOM_UTF8 + (plain.replace("\n", "\r\n") + "\r\n\r\n").encode())
    elif dress == "more columns":
        head, *rows = plain.split("\n")
        path.write_text("\n".join([f"{head}, remark ,descant", *(f"{row},breathes,880" for row in rows)]))
    else:
        path.write_text("\n".join(",".join(reversed(line.split(","))) for line in plain.split("\n")))
    result = separate(model, VOICED[:4096], RATE, pitch=path)
    assert [result.controls[name]["f0_hz"].tolist() for name in VOICES] == [[hz] * 16 for hz in HZ]


def changed(old: str, new: str) -> str:
    text = table(steady())
    assert old in text
    return text.replace(old, new)


REFUSED = {
    "fewer voices": (changed(",bass", ""), "no column 'bass' .*a source that rests has a column of 0"),
    "semicolons": (
        changed(",", ";"),
        "found: time_seconds;soprano.*must hold time_seconds,soprano,alto,tenor,bass",
    ),
    "decimal commas": (changed("0.016,440", "0,016,440"), "line 3: 6 cells under 5 columns"),
    "no header": (table(steady()).split("\n", 1)[1], "no column 'time_seconds'"),
    "header alone": ("time_seconds,soprano,alto,tenor,bass\r\n", "has no line of numbers"),
    "nothing": ("", "no column 'time_seconds' .found: none"),
    "below zero": (
        changed("0.016,440", "0.016,-440"),
        "line 3: soprano is '-440'; put a number of 0 or more",
    ),
    "NaN": (changed("0.032,440", "0.032,nan"), "line 4: soprano is 'nan'"),
    "infinite": (changed("0.032,440", "0.032,inf"), "line 4: soprano is 'inf'"),
    "empty cell": (changed("0.032,440", "0.032,"), "line 4: soprano is ''"),
    "units": (changed("0.032,440", "0.032,440 Hz"), "line 4: soprano is '440 Hz'"),
    "kilohertz": (table(steady() / 1000), "pitch of soprano at 0.000 s is 0.44 Hz: give 20 to 8000 Hz"),
    "far too high": (table(steady() * 100), "pitch of soprano at 0.000 s is 44000 Hz"),
    "far too low": (table(steady(440, 330, 220, 0.001)), "pitch of bass at 0.000 s is 0.001 Hz"),
    "milliseconds": (table(steady(), 16), "are 16 s apart: give time_seconds in seconds"),
    "frame numbers": (table(steady(), 1), "are 1 s apart: give time_seconds in seconds"),
    "backwards": (table(steady(), -0.016, 1), "line 3: time_seconds does not increase"),
    "all rest": (table(steady(0, 0, 0, 0)), "Nothing in the pitch given by f0.csv is voiced"),
    "another place": (table(steady(), start=100), "Nothing in the pitch given by f0.csv is voiced"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_tables_that_cannot_be_used_are_refused_in_a_sentence(
    model: Umss, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text, words = REFUSED[kind]
    Path("f0.csv").write_bytes(text.encode())
    with pytest.raises(DdspZooError, match=words) as caught:
        separate(model, VOICED, RATE, pitch="f0.csv")
    assert "f0.csv" in str(caught.value) or "pitch of" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_the_program_says_it_and_leaves_nothing_behind(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    sf.write("choir.wav", VOICED, RATE)
    arguments = ["separate", "choir.wav", "--checkpoint", str(checkpoint), "--pitch", "f0.csv", "--quiet"]
    Path("f0.csv").write_bytes(table(steady()).encode("utf-16"))
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ddsp-zoo: f0.csv is no text") and "UTF-8" in line
    Path("f0.csv").write_text(table(steady(440, 330, 220, 0.001)))
    assert main(arguments) == 2
    assert "pitch of bass" in capsys.readouterr().err and not Path("out").exists()
    Path("f0.csv").write_text(table(CURVES["one rests"]))
    assert main(arguments) == 0
    parts = [sf.read(f"out/choir/{name}.wav")[0] for name in (*VOICES, "residual")]
    np.testing.assert_allclose(sum(parts), sf.read("choir.wav")[0], rtol=0, atol=1e-6)
