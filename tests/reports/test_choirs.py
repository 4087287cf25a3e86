"""The protocol for choirs: every kind of music, pitch given and tracked, recordings as they are and disturbed."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.cli import main
from ddsp_zoo.corpora import RenderedChoir
from ddsp_zoo.corpora.choral.disturbed import DisturbedChoir
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.pitch import JITTER_CENTS, jittered
from ddsp_zoo.models import Umss
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.reports import choirs, evaluation

SECONDS, RATE = 1.0, 16000


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CHORAL_SINGING_ROOT", raising=False)


@pytest.fixture(scope="module")
def model() -> Umss:
    torch.manual_seed(0)
    return Umss(segment_seconds=0.512, tracks_pitch=True).eval()


def rows_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "summary.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def write(model: Umss, out: Path, **options: object) -> list[dict[str, str]]:
    choirs.report({"own": model}, out, tracks=1, seconds=SECONDS, progress=False, **options)
    return rows_in(out)


def test_report(model: Umss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = write(model, tmp_path / "out", voices=[4], conditions=["jitter"])
    assert {row["music"] for row in rows} == {"chorale", "polyphony", "homophony"}
    kinds = {(row["condition"], row["pitch"]) for row in rows}
    assert kinds == {("as they are", "given"), ("as they are", "mixture"), ("jitter", "jittered")}
    scored = [row for row in rows if row["f_measure"]]
    assert len(scored) == 3 and all(row["pitch"] == "mixture" and row["source"] == "all" for row in scored)
    given = [row for row in rows if row["pitch"] == "given" and row["system"] == "masked_power"]
    assert {row["source"] for row in given} == {"all", "soprano", "alto", "tenor", "bass"}
    page = (tmp_path / "out/report.md").read_text()
    assert "## 4 voices" in page and "| polyphony | as they are | mixture | own |" in page
    # A second call takes what was measured from the folder.
    monkeypatch.setattr(evaluation, "run", lambda *a, **k: pytest.fail("measured again"))
    assert write(model, tmp_path / "out", voices=[4], conditions=["jitter"]) == rows


def test_voices_that_the_tracker_does_not_follow_get_given_pitch_alone(model: Umss, tmp_path: Path) -> None:
    rows = write(model, tmp_path / "out", voices=[5])
    assert {row["pitch"] for row in rows} == {"given"}
    assert {row["source"] for row in rows} >= {"voice1", "voice5"}


def test_what_is_no_choir_or_no_condition_is_said(model: Umss, tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="1 to 8 voices, not 9"):
        write(model, tmp_path, voices=[9])
    with pytest.raises(DdspZooError, match="no condition 'rain': choose from reverb, noise, 8_khz, jitter"):
        write(model, tmp_path, conditions=["rain"])
    with pytest.raises(DdspZooError, match="The condition is 'rain'"):
        DisturbedChoir(RenderedChoir(), "rain")


def test_the_program_says_so_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "choirs", "--models", "exE8", "--out", str(tmp_path / "out")]) == 2
    assert "is no model of choirs" in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("condition", ["reverb", "noise", "8_khz"])
def test_disturbed_stems(condition: str) -> None:
    plain = RenderedChoir(train_tracks=0, validation_tracks=0, test_tracks=1, track_seconds=2.0)
    disturbed = DisturbedChoir(plain, condition)
    disturbed.prepare(("test",))
    (before,), (after,) = plain.tracks("test"), disturbed.tracks("test")
    assert before.name == after.name and before.pitch == after.pitch and after.seconds == before.seconds
    pair = [sf.read(track.stems["alto"][0])[0] for track in (before, after)]
    spectra = [np.abs(np.fft.rfft(audio)) ** 2 for audio in pair]
    high = np.fft.rfftfreq(len(pair[0]), 1 / RATE) > 4500
    error_db = 10 * np.log10(np.square(pair[1] - pair[0]).sum() / np.square(pair[0]).sum())
    if condition == "8_khz":
        assert spectra[1][high].sum() < 1e-3 * spectra[0][high].sum() and error_db < -5
    else:
        assert -25 < error_db < 0 and (
            condition == "reverb" or spectra[1][high].sum() > spectra[0][high].sum()
        )
    again = DisturbedChoir(plain, condition).tracks("test")[0]
    assert again.stems == after.stems


def test_jitter_keeps_rests_and_is_as_large_as_it_says() -> None:
    f0 = np.full((2, 4000), 220.0, np.float32)
    f0[1] = 0
    moved = jittered(PitchTrack(f0, np.zeros_like(f0), 0.016))
    cents = 1200 * np.log2(moved.f0_hz[0] / 220)
    assert abs(cents.std() - JITTER_CENTS) < 2 and abs(cents.mean()) < 2 and not moved.f0_hz[1].any()
