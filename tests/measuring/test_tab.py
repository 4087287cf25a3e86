"""Scores of tablature: what counts as right, in frames and notes; whole corpora and takes; the command."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from guitar import STRINGS, pluck, steady

from ddsp_zoo import zoo
from ddsp_zoo.cli import main
from ddsp_zoo.corpora import StemFolder
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.jams import write_jams
from ddsp_zoo.export.played import Played
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.measuring.tab import (
    Notes,
    Take,
    evaluate_tab,
    read_rendered,
    read_takes,
    summarise_tab,
    tab_counts,
)
from ddsp_zoo.pitch.neck import STANDARD, Neck
from ddsp_zoo.pitch.string_tracker import StringTracker
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.reports.tab import learned_tracker
from ddsp_zoo.reports.tables import tab_table

FRAMES, HOP_SECONDS = 125, 0.016
WANTED: list[tuple[int, int, int, int]] = [(0, 3, 10, 60), (4, 5, 20, 80), (5, 2, 90, 120)]


def annotated(*notes: tuple[int, int, int, int]) -> Notes:
    """Notes (string, fret, first frame, frame after the last) as they are annotated."""
    out: Notes = [[] for _ in range(6)]
    for string, fret, start, stop in notes:
        out[string].append((start * HOP_SECONDS, stop * HOP_SECONDS, float(STANDARD[string] + fret)))
    return out


def found(*notes: tuple[int, int, int, int], semitones: float = 0.0) -> PitchTrack:
    f0, onset = np.zeros((2, 6, FRAMES))
    for string, fret, start, stop in notes:
        f0[string, start:stop] = 440 * 2 ** ((STANDARD[string] + fret + semitones - 69) / 12)
        onset[string, start] = 1
    return PitchTrack(f0, onset, HOP_SECONDS)


def scores(*notes: tuple[int, int, int, int], semitones: float = 0.0) -> dict:
    counts = tab_counts(annotated(*WANTED), found(*notes, semitones=semitones))
    (row,) = summarise_tab([{"track": "a", "system": "x"} | counts])
    return row


def test_all_right_is_all_right_also_out_of_tune_by_less_than_counts():
    for semitones in (0.0, 0.3, -0.4):
        row = scores(*WANTED, semitones=semitones)
        names = [f"{what}_{of}" for what in ("pitch", "tab", "note") for of in ("precision", "recall")]
        assert all(row[name] == 1 for name in names) and row["disambiguation"] == 1


def test_the_same_pitch_on_another_string_is_right_as_pitch_and_note_alone():
    row = scores(WANTED[0], (5, 0, 20, 80), WANTED[2])
    assert row["pitch_f_measure"] == row["note_f_measure"] == 1
    assert row["tab_precision"] == row["tab_recall"] == row["disambiguation"] == pytest.approx(80 / 140)


def test_a_note_that_is_late_early_or_wrong_does_not_count():
    assert scores((0, 3, 14, 60), *WANTED[1:])["note_f_measure"] == pytest.approx(2 / 3)
    assert scores((0, 3, 13, 60), *WANTED[1:])["note_f_measure"] == 1  # 48 ms
    assert scores((0, 4, 10, 60), *WANTED[1:])["note_recall"] == pytest.approx(2 / 3)


def test_what_is_missing_or_too_much():
    row = scores(WANTED[0])
    assert row["pitch_precision"] == 1 and row["pitch_recall"] == pytest.approx(50 / 140)
    row = scores(*WANTED, (2, 7, 10, 80))
    assert row["pitch_recall"] == 1 and row["pitch_precision"] == pytest.approx(140 / 210)
    nothing = scores()
    assert nothing["pitch_f_measure"] == nothing["note_f_measure"] == nothing["disambiguation"] == 0


def test_a_pitch_on_two_strings_counts_once():
    counts = tab_counts(annotated((4, 5, 0, 10), (5, 0, 0, 10)), found((5, 0, 0, 10)))
    assert (counts["pitch_annotated"], counts["pitch_agreed"]) == (10, 10)
    assert (counts["tab_annotated"], counts["tab_agreed"]) == (20, 10)


def test_notes_on_no_string_have_pitches_and_beginnings_but_no_frets():
    """Those of another system, which begin 32 ms late; a pitch that is held on twice counts once."""
    notes = [(start + 0.032, end, midi) for own in annotated(*WANTED) for start, end, midi in own]
    counts = tab_counts(annotated(*WANTED), [*notes, (0.5, 0.6, 43.2)])
    (row,) = summarise_tab([{"track": "a", "system": "x"} | counts])
    assert row["pitch_precision"] == 1 and row["pitch_recall"] == pytest.approx(134 / 140)
    assert row["note_recall"] == 1 and row["note_precision"] == pytest.approx(3 / 4)
    assert not {"tab_f_measure", "disambiguation"} & set(row)
    assert tab_table({"a": [row]})[1][5:7] == ["-", "-"]
    assert summarise_tab([{"track": "a", "system": "x"} | tab_counts([[]] * 6, [])])[0]["note_f_measure"] == 0


def test_counts_of_takes_add_up():
    takes = [Take("a", np.zeros(1), annotated(*WANTED)), Take("b", np.zeros(1), annotated((1, 1, 0, 60)))]
    rows = evaluate_tab(takes, {"x": lambda audio: found(*WANTED), "none": lambda audio: found()})
    assert [(row["track"], row["system"]) for row in rows] == [
        ("a", "x"),
        ("a", "none"),
        ("b", "x"),
        ("b", "none"),
    ]
    x, none = summarise_tab(rows)
    assert x["tracks"] == 2 and x["note_recall"] == pytest.approx(3 / 4) and none["tab_recall"] == 0


@pytest.fixture
def corpus(tmp_path: Path) -> StemFolder:
    """A test track of two seconds, six open strings of which the first is plucked twice and the last rests."""
    place = tmp_path / "corpus" / "test" / "song"
    place.mkdir(parents=True)
    f0 = steady(frames=FRAMES)
    onset = np.zeros_like(f0)
    onset[:, 4], onset[0, 60] = 1, 1
    f0[5], onset[5] = 0, 0
    for name, audio in zip(STRINGS, pluck(f0), strict=True):
        sf.write(place / f"{name}.wav", audio, 16000)
    write_f0_csv(place / "f0.csv", np.arange(FRAMES) * HOP_SECONDS, f0, STRINGS, onset)
    return StemFolder(str(tmp_path / "corpus"))


def test_a_corpus_has_its_notes_between_its_onsets(corpus: StemFolder):
    (take,) = read_rendered(corpus)
    assert take.name == "song" and take.audio.shape == (FRAMES * 256,)
    assert [len(notes) for notes in take.notes] == [2, 1, 1, 1, 1, 0]
    assert take.notes[0][0] == pytest.approx((0.064, 0.96, 40), abs=0.01)
    f0 = steady(frames=FRAMES)
    onset = np.zeros_like(f0)
    onset[:, 4], onset[0, 60] = 1, 1
    f0[5], onset[5] = 0, 0
    (row,) = summarise_tab(evaluate_tab([take], {"x": lambda audio: PitchTrack(f0, onset, HOP_SECONDS)}))
    assert row["note_f_measure"] == 1 and row["tab_f_measure"] > 0.99


def test_strings_with_other_tones_play_the_same(corpus: StemFolder):
    (plain,), (toned,), (again,) = (list(read_rendered(corpus, tone_db=db)) for db in (0.0, 12.0, 12.0))
    assert toned.notes == plain.notes and (toned.audio == again.audio).all()
    assert np.corrcoef(toned.audio, plain.audio)[0, 1] < 0.98
    assert np.square(toned.audio).sum() == pytest.approx(np.square(plain.audio).sum(), rel=0.1)


@pytest.fixture
def takes(tmp_path: Path) -> Path:
    """A recording by a microphone of open strings, and its annotation."""
    f0 = steady(frames=FRAMES)
    (tmp_path / "guitarset" / "audio" / "audio_mic").mkdir(parents=True)
    (tmp_path / "guitarset" / "annotation").mkdir()
    name = "00_BN1-129-Eb_comp"
    sf.write(tmp_path / f"guitarset/audio/audio_mic/{name}_mic.wav", pluck(f0).sum(0), 16000)
    played = Played(((),) * 6, f0, 62.5, Neck(), 0.0)
    write_jams(played, tmp_path / f"guitarset/annotation/{name}.jams")
    return tmp_path / "guitarset"


def test_takes_by_a_microphone(takes: Path, tmp_path: Path):
    (take,) = read_takes(takes)
    assert (
        take.name == "00_BN1-129-Eb_comp" and take.audio.shape == (FRAMES * 256,) and take.notes == [[]] * 6
    )
    with pytest.raises(DdspZooError, match="no .*audio_mic with .*_mic.wav: name the folder of GuitarSet"):
        list(read_takes(tmp_path))


def test_the_command_prints_a_table(
    corpus: StemFolder, takes: Path, tmp_path: Path, capsys: pytest.CaptureFixture
):
    torch.manual_seed(0)
    settings = {"width": 8, "context": 16}
    config = {"class_path": "ddsp_zoo.pitch.string_tracker.StringTracker", "init_args": settings}
    zoo.save_checkpoint(StringTracker(**settings), tmp_path / "tracker", config)
    words = ["--checkpoint", str(tmp_path / "tracker"), "--takes", str(takes)]
    assert main(["report", "tab", *words, "--data", "StemFolder", "--root", str(tmp_path / "corpus")]) == 0
    header, *lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header[:3] == ["data", "system", "pitch_precision"] and len(header) == 10
    assert [line[:2] for line in lines] == [["StemFolder", "tracker"], ["00_BN1-129-Eb_comp", "tracker"]]
    assert all(0 <= float(number) <= 1 for line in lines for number in line[2:])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name a model with --model"),
        (["--crepe"], "name data with --data, or recordings with --takes"),
        (["--tones", "-3"], "-3 is no number of decibels from 0 to 60"),
    ],
)
def test_the_command_needs_trackers_and_recordings(
    words: list[str], message: str, capsys: pytest.CaptureFixture
):
    assert main(["report", "tab", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_model_that_hears_no_pitch_is_refused():
    with pytest.raises(DdspZooError, match="exB0 does not find the pitch of guitar strings"):
        learned_tracker("exB0", None)
