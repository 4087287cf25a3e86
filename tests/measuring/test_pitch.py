"""Scores of pitch tracks by cases whose scores are known."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.cli import main
from ddsp_zoo.corpora import StemDataModule, Track
from ddsp_zoo.corpora.base import Excerpts, folder_tracks
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.measuring.metrics import SI_SDR
from ddsp_zoo.measuring.pitch import PITCHES, pitch_scores
from ddsp_zoo.models import Umss
from ddsp_zoo.reports import evaluation
from ddsp_zoo.reports.tables import pitch_table

NAMES = ("high", "low")
TRUTH = np.array([[440.0] * 8 + [0.0] * 2, [220.0] * 10])


def scores(found: np.ndarray) -> dict[str, dict]:
    return {row["source"]: row for row in pitch_scores(TRUTH, found, NAMES)}


def test_a_perfect_track():
    row = scores(TRUTH.copy())
    for name in NAMES:
        assert (
            row[name]["raw_pitch"] == row[name]["voicing_recall"] == 1
            and row[name]["voicing_false_alarm"] == 0
        )
    assert row["all"]["precision"] == row["all"]["recall"] == row["all"]["f_measure"] == pytest.approx(1)


def test_voices_exchanged_are_right_together_only():
    row = scores(TRUTH[::-1].copy())
    assert row["high"]["raw_pitch"] == row["low"]["raw_pitch"] == 0
    assert row["high"]["raw_chroma"] == 1  # they are an octave apart
    assert row["high"]["voicing_false_alarm"] == 1
    assert row["all"]["f_measure"] == pytest.approx(1)


@pytest.mark.parametrize(("cents", "right"), [(45, 1.0), (55, 0.0), (-45, 1.0), (-55, 0.0)])
def test_half_a_semitone_is_the_border(cents: float, right: float):
    row = scores(TRUTH * 2 ** (cents / 1200))
    assert row["low"]["raw_pitch"] == right and row["all"]["recall"] == right


def test_silence_finds_nothing():
    row = scores(np.zeros_like(TRUTH))
    assert row["low"]["voicing_recall"] == 0 and row["all"]["recall"] == 0 and row["all"]["f_measure"] == 0


def test_half_of_the_pitches_missed():
    found = TRUTH.copy()
    found[1] = 0
    row = scores(found)["all"]
    assert row["precision"] == pytest.approx(1) and row["recall"] == pytest.approx(8 / 18)


class Corpus(StemDataModule):
    """One track of two tones, 1.6 s, whose f0 file is right."""

    def __init__(self, root: Path) -> None:
        super().__init__(Excerpts(1))
        self.root = root

    def tracks(self, split: str) -> list[Track]:
        return folder_tracks(self.root)


def write_track(folder: Path) -> None:
    folder.mkdir(parents=True)
    time = np.arange(25600) / 16000
    for name, hertz in (("high", 500), ("low", 220)):
        sf.write(folder / f"{name}.wav", 0.3 * np.sin(2 * np.pi * hertz * time), 16000)
    write_f0_csv(folder / "f0.csv", np.arange(100) * 0.016, np.repeat([[500.0], [220.0]], 100, 1), NAMES)


def comb_db(summary: dict) -> float:
    wanted = ("comb_mask_power", "si_sdr_db", "all")
    return next(
        row["mean"] for row in summary["results"] if (row["system"], row["metric"], row["source"]) == wanted
    )


def test_tracked_pitches_take_the_place_of_the_given_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
):
    write_track(tmp_path / "data" / "duet")
    model = Umss(sources=NAMES, segment_seconds=0.512, tracks_pitch=True)
    found = np.repeat([[220.0], [500.0]], 100, 1).astype(np.float32)
    monkeypatch.setattr(model.tracker, "track", lambda audio, voices: found[:, : len(audio) // 256])
    options = {"seeds": (0,), "metrics": (SI_SDR,), "progress": False}
    summary = evaluation.run(model, Corpus(tmp_path / "data"), tmp_path / "out", pitch="mixture", **options)
    by_source = {row["source"]: row for row in summary["pitch"]}
    assert by_source["high"]["raw_pitch"] == by_source["low"]["raw_pitch"] == 0
    assert by_source["high"]["voicing_recall"] == 1 and by_source["all"]["recall"] == pytest.approx(1)
    header, *lines = pitch_table(summary["pitch"])
    assert header[:2] == ["source", "raw_pitch"] and [line[0] for line in lines] == ["high", "low", "all"]
    assert summary["protocol"]["pitch"] == "mixture" and (tmp_path / "out" / "pitch.csv").stat().st_size > 100
    given = evaluation.run(model, Corpus(tmp_path / "data"), tmp_path / "given", **options)
    assert comb_db(given) > 15 > -15 > comb_db(summary)  # baselines hear the same exchanged pitches
    assert "pitch" not in given
    apart = {}
    for pitch in ("found_on_true_strings", "next_string"):
        options |= {"pitch": pitch, "parts": ("baselines",)}
        apart[pitch] = evaluation.run(model, Corpus(tmp_path / "data"), tmp_path / pitch, **options)
    assert comb_db(apart["found_on_true_strings"]) == pytest.approx(comb_db(given))
    assert comb_db(apart["next_string"]) == pytest.approx(comb_db(summary))  # of two strings
    assert [("pitch" in found) for found in apart.values()] == [True, False]


def test_the_command_names_every_kind_of_pitch(capsys: pytest.CaptureFixture):
    assert main(["evaluate", "--model", "exE8", "--data", "x", "--pitch", "none"]) == 2
    told = capsys.readouterr().err
    assert all(f"{name}" in told for name in PITCHES)


def test_a_model_without_a_tracker(tmp_path: Path):
    write_track(tmp_path / "data" / "duet")
    with pytest.raises(DdspZooError, match="no tracker"):
        evaluation.run(Umss(sources=NAMES), Corpus(tmp_path / "data"), tmp_path / "out", pitch="mixture")
    with pytest.raises(DdspZooError, match="pitch is 'none': choose given, mixture, found_on_true_strings"):
        evaluation.run(Umss(sources=NAMES), Corpus(tmp_path / "data"), tmp_path / "out", pitch="none")
