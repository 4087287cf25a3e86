"""Scores of onsets against mir_eval, the table, whole tracks, and onsets given back to a data module."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny import save_tiny_ast

from ddsp_zoo.cli import main
from ddsp_zoo.corpora import StemFolder
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.measuring.onsets import (
    evaluate_onsets,
    onset_counts,
    read_evidence,
    summarise_onsets,
    use_onsets,
)
from ddsp_zoo.pitch.onsets import DETECTORS
from ddsp_zoo.reports.onsets import learned_detector
from ddsp_zoo.reports.tables import onset_table

RATE, HOP = 16000, 256
DUO = ("low", "high")
PLUCKED = ([0.2, 0.6], [0.4])  # the second of the first string follows without a gap


@pytest.fixture
def folder(tmp_path: Path) -> StemFolder:
    """A test track of a second: two strings that ring from pluck to pluck."""
    place, time = tmp_path / "test" / "song", np.arange(RATE) / RATE
    place.mkdir(parents=True)
    f0, onset = np.zeros((2, 2, 250))
    for row, (name, plucked) in enumerate(zip(DUO, PLUCKED, strict=True)):
        hz, audio = 110.0 * (1 + 1.5 * row), np.zeros(RATE)
        for start in plucked:
            since = np.clip(time - start, 0, None)
            tone = sum(np.sin(6.2832 * h * hz * since) / h for h in range(1, 10)) * np.exp(-5 * since)
            audio = np.where(time < start, audio, 0.2 * tone)
            onset[row, round(start * 250)] = 1
        f0[row, round(plucked[0] * 250) :] = hz
        sf.write(place / f"{name}.wav", audio, RATE)
    write_f0_csv(place / "f0.csv", np.arange(250) / 250, f0, DUO, onset)
    return StemFolder(str(tmp_path))


@pytest.mark.parametrize("seed", range(5))
def test_the_counts_are_mir_evals(seed: int):
    from mir_eval.onset import f_measure

    rng = np.random.default_rng(seed)
    annotated = np.sort(rng.uniform(0, 5, 30))
    found = np.sort(np.concatenate([annotated[::2] + rng.normal(0, 0.04, 15), rng.uniform(0, 5, 10)]))
    counts = {"system": "x", "pitch": "given"} | onset_counts(annotated, found)
    (row,) = summarise_onsets([counts])
    assert (row["f_measure"], row["precision"], row["recall"]) == pytest.approx(f_measure(annotated, found))


def test_an_onset_is_found_once_and_so_far_away():
    counts = onset_counts(np.array([1.0, 2.0]), np.array([0.99, 1.01, 2.03, 2.2]))
    assert (counts["annotated"], counts["found"], counts["agreed"]) == (2, 4, 2)
    assert abs(counts["late_ms"]) in (pytest.approx(20), pytest.approx(40))
    assert counts["off_ms"] == pytest.approx(40)


@pytest.mark.parametrize(("annotated", "found"), [([], []), ([1.0], []), ([], [1.0])])
def test_nothing_agrees_with_nothing(annotated: list[float], found: list[float]):
    (row,) = summarise_onsets([{"system": "x", "pitch": "given"} | onset_counts(annotated, found)])
    assert row["f_measure"] == 0 and all(
        np.isfinite(row[name]) for name in ("precision", "late_ms", "off_ms")
    )


def test_whole_tracks(folder: StemFolder):
    rows = evaluate_onsets(folder, DETECTORS, pitches=["given"], sources=DUO)
    scores = {row["system"]: row for row in summarise_onsets(rows)}
    assert list(scores) == ["gate", "gate_as_published", "flux", "annotated", "flux of stems"]
    assert len(rows) == 2 * len(scores)
    assert scores["gate"]["recall"] == pytest.approx(2 / 3) and scores["gate"]["precision"] == 1
    assert scores["annotated"]["f_measure"] == 1 and scores["annotated"]["off_ms"] < 0.5
    assert scores["flux of stems"]["f_measure"] == 1 and scores["flux of stems"]["off_ms"] < 4
    assert scores["gate_as_published"]["late_ms"] < scores["gate"]["late_ms"] - 10
    cells = onset_table(summarise_onsets(rows))
    assert cells[0] == ["system", "pitch", "precision", "recall", "f_measure", "late_ms", "off_ms"]
    assert cells[1][:4] == ["gate", "given", "1.000", "0.667"]


def test_crepe_hears_the_strings_alone(folder: StemFolder, monkeypatch: pytest.MonkeyPatch):
    heard = []

    def listen(audio: np.ndarray, hop: int) -> np.ndarray:
        heard.append(audio)
        return 200.0 * (np.arange(-(-len(audio) // hop)) == 25)

    monkeypatch.setattr("ddsp_zoo.pitch.crepe.track_f0", listen)
    rows = evaluate_onsets(folder, {"gate": DETECTORS["gate"]}, pitches=["crepe"], sources=DUO)
    assert [(row["system"], row["pitch"], row["found"]) for row in rows] == [("gate", "crepe", 1)] * 2
    ((_, evidence),) = read_evidence(folder, "test", DUO)
    assert np.array_equal(np.stack(heard), evidence.stems)
    assert [row["agreed"] for row in rows] == [0, 1]  # the only one is at 0.4 s


def test_a_data_module_gives_out_what_a_detector_finds(folder: StemFolder):
    use_onsets(folder, DETECTORS["gate"], splits=["test"], sources=DUO)
    pitch = folder.pitches["song"]
    assert [np.flatnonzero(row).tolist() for row in pitch.onset] == [[12], [25]]  # 0.2 s is between frames
    assert pitch.hop_seconds == 0.016 and (pitch.f0_hz[0, 12:] == 110).all()


def test_tracks_that_cannot_be_measured(folder: StemFolder):
    with pytest.raises(DdspZooError, match="lacks an f0.csv, or one of the stems E2, A2"):
        evaluate_onsets(folder, DETECTORS)
    with pytest.raises(DdspZooError, match="There is no folder"):
        evaluate_onsets(folder, DETECTORS, "train", sources=DUO)


def test_errors_end_in_a_sentence(capsys: pytest.CaptureFixture):
    assert main(["report", "onsets", "--data", "nowhere.yaml"]) == 2
    assert (
        main(["report", "onsets", "--data", "StemFolder", "--root", ".", "--checkpoint", "nowhere.ckpt"]) == 2
    )
    assert main(["report", "onsets", "--pitch", "guessed"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(line.startswith("ddsp-zoo: ") for line in lines)
    assert (
        "nowhere.yaml" in lines[0] and "nowhere.ckpt is no checkpoint" in lines[1] and "guessed" in lines[2]
    )


def test_a_checkpoint_that_is_no_onset_head(tmp_path: Path):
    with pytest.raises(DdspZooError, match="nowhere.ckpt is no checkpoint"):
        learned_detector("nowhere.ckpt")
    with pytest.raises(DdspZooError, match="AstDdsp. is not built, because a file may name OnsetHead"):
        learned_detector(save_tiny_ast(tmp_path))
