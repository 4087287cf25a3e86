"""What is played: one note a string at a time, within the neck; performances as annotated."""

import json

import numpy as np
import pytest

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.strings.jams import read_contours, read_notes
from ddsp_zoo.music.strings.playing import GuitarNote, compose, one_note_a_string, performance

EMPTY = {"note_midi": [], "pitch_contour": {"time": [], "duration": [], "value": []}}


@pytest.mark.parametrize(("style", "highest"), [("comp", 15), ("solo", 15), ("free", 18)])
@pytest.mark.parametrize("seed", range(8))
def test_a_string_plays_one_note_at_a_time(seed, style, highest):
    played = compose(np.random.default_rng(seed), 20.0, style)
    assert played and all(0 <= note.fret <= highest and 0 < note.velocity <= 1 for note in played)
    assert all(0 < note.start_seconds < note.end_seconds <= 20 for note in played)
    for string in range(6):
        line = [note for note in played if note.string == string]
        assert all(a.end_seconds <= b.start_seconds for a, b in zip(line, line[1:], strict=False))


def test_chords_sound_together_and_lines_do_not():
    def together(style: str) -> float:
        """Mean number of strings that sound while any does."""
        counts = []
        for seed in range(6):
            notes = compose(np.random.default_rng(seed), 20.0, style)
            times = np.arange(0, 20, 0.05)
            sounding = sum((times >= n.start_seconds) & (times < n.end_seconds) for n in notes)
            counts.append(sounding[sounding > 0].mean())
        return float(np.mean(counts))

    assert together("comp") > 2.5 > 1.6 > together("solo")


def test_free_chords_lie_under_one_hand():
    for seed in range(5):
        notes = compose(np.random.default_rng(seed), 20.0, "free")
        for time in np.arange(0.5, 19.5, 0.5):
            pressed = [n.fret for n in notes if n.fret and n.start_seconds <= time < n.start_seconds + 0.05]
            assert (
                not pressed or max(pressed) - min(pressed) <= 6
            )  # four frets, and three for a hammered note


@pytest.mark.parametrize("styles", [("comp", "solo"), ("free",)])
def test_all_touches_and_moving_pitch_occur(styles):
    notes = [
        n for seed in range(10) for style in styles for n in compose(np.random.default_rng(seed), 20.0, style)
    ]
    assert {note.touch for note in notes} == {"pluck", "mute", "hammer"}
    widest = max(max(note.cents) - min(note.cents) for note in notes if note.cents)
    assert 90 < widest <= 800 and sum(bool(note.cents) for note in notes) > 20


def test_a_note_ends_where_the_next_on_its_string_begins():
    notes = [
        GuitarNote(2, 0.0, 1.0, 3, 0.5),
        GuitarNote(2, 0.5, 0.9, 5, 0.5),
        GuitarNote(3, 0.2, 0.7, 1, 0.5),
        GuitarNote(2, 0.52, 2, 7, 1),
    ]
    kept = one_note_a_string(notes)
    assert [(n.string, n.start_seconds, n.end_seconds) for n in kept] == [
        (2, 0.0, 0.5),
        (2, 0.52, 2),
        (3, 0.2, 0.7),
    ]


def test_the_pitch_of_a_note_follows_its_cents():
    note = GuitarNote(0, 0.0, 1.0, 12, 0.5, cents=(0.0, 50.0, 1200.0))
    assert note.pitch_hz(100.0, 5) == pytest.approx([200, 200 * 2 ** (50 / 1200), 400, 400, 400])


def test_a_performance_has_the_annotated_notes(jams):
    path = jams / "annotation/00_A_comp.jams"
    notes = performance(path, np.random.default_rng(0))
    assert [(n.string, n.start_seconds) for n in notes] == [
        (s, start) for s, line in enumerate(read_notes(path)) for start, _, _ in line
    ]
    assert [n.fret for n in notes] == pytest.approx([2, 4.2] * 6, abs=0.01)
    assert all(np.abs(note.cents).max() < 1 for note in notes)


def test_annotations_by_string(jams):
    path = jams / "annotation/00_A_solo.jams"
    notes = read_notes(path)
    assert [line[0] for line in notes[:2]] == [(0.1, 0.4, 45.0), (pytest.approx(0.15), 0.4, 50.0)]
    times, hz = read_contours(path)[5]
    assert (np.diff(times) > 0).all() and hz[0] == pytest.approx(440.0) and hz[-1] == 0


def test_a_tracker_astray_while_a_string_is_damped_is_not_followed(jams, tmp_path):
    annotation = json.loads((jams / "annotation/00_A_comp.jams").read_text())
    for entry in annotation["annotations"]:
        if entry["namespace"] == "pitch_contour":
            for time, value in zip(entry["data"]["time"], entry["data"]["value"], strict=True):
                start = 0.1 + 0.05 * int(entry["annotation_metadata"]["data_source"])
                value["frequency"] *= 1.1 if start + 0.32 < time < start + 0.41 else 1.02
    (tmp_path / "x_comp.jams").write_text(json.dumps(annotation))
    first = performance(tmp_path / "x_comp.jams", np.random.default_rng(0))[0]
    assert first.cents == pytest.approx([1200 * np.log2(1.02)] * len(first.cents), abs=0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: "no JSON", "is not a GuitarSet annotation"),
        (lambda a: json.dumps({"tracks": []}), "is not a GuitarSet annotation"),
        (lambda a: json.dumps({"annotations": a["annotations"][:-2]}), "annotates 5 strings instead of 6"),
        (lambda a: json.dumps(a).replace('"time": 0.1,', '"time": -1,'), "below 0 or not finite"),
        (
            lambda a: json.dumps(
                {"annotations": [x | {"data": EMPTY[x["namespace"]]} for x in a["annotations"]]}
            ),
            "has no notes to play",
        ),
        (lambda a: json.dumps(a).replace('"value": 42', '"value": "do"'), "is not a GuitarSet annotation"),
    ],
)
def test_what_is_no_annotation_is_refused(jams, tmp_path, change, words):
    annotation = json.loads((jams / "annotation/00_A_comp.jams").read_text())
    (tmp_path / "x.jams").write_text(change(annotation))
    with pytest.raises(DdspZooError, match=words):
        performance(tmp_path / "x.jams", np.random.default_rng(0))


def test_an_absent_annotation_is_named(tmp_path):
    with pytest.raises(DdspZooError, match="absent.jams is not a GuitarSet annotation"):
        read_notes(tmp_path / "absent.jams")
