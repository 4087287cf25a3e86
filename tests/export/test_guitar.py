"""What a guitarist takes away: tablature, MIDI with a channel a string, JAMS."""

import json
from pathlib import Path
from types import SimpleNamespace

import mido
import numpy as np
import pytest
from guitar import RATE, STRINGS, build, pluck, steady, track
from tiny import tiny_ast

import ddsp_zoo
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.folder import guitar_files
from ddsp_zoo.export.guitar_pro import write_guitar_pro
from ddsp_zoo.export.jams import write_jams
from ddsp_zoo.export.played import Played, read_played
from ddsp_zoo.export.plots import plot_separation
from ddsp_zoo.export.string_midi import write_string_midi
from ddsp_zoo.export.tab import WIDTH, tab_text, write_tab
from ddsp_zoo.music.strings.jams import read_contours, read_notes
from ddsp_zoo.pitch.neck import STANDARD, Neck
from ddsp_zoo.synths.control import given_notes

FRAMES, RATE_HZ = 500, 62.5
DECLARED = {control.name: control for control in given_notes(RATE)}


def given(
    *notes: tuple[int, float, int, int], neck: Neck | None = None, cents: float = 0.0, bend: float = 0.0
) -> dict[str, dict[str, np.ndarray]]:
    """Controls of notes (string, fret, first frame, frame after the last), which ``bend`` in their second half."""
    f0, onset = np.zeros((2, 6, FRAMES))
    opened = (neck or Neck()).opened
    for string, fret, start, stop in notes:
        curve = np.full(stop - start, opened[string] + fret + cents / 100)
        curve[len(curve) // 2 :] += bend
        f0[string, start:stop] = 440 * 2 ** ((curve - 69) / 12)
        onset[string, start] = 1
    return {name: {"f0_hz": f0[row], "onset": onset[row, :, None]} for row, name in enumerate(STRINGS)}


def played(*notes: tuple[int, float, int, int], neck: Neck | None = None, **options: float) -> Played:
    """The notes of `given` as they are read."""
    return read_played(given(*notes, neck=neck, **options), DECLARED, RATE_HZ, neck)


CHORD = [(0, 3, 50, 150), (1, 2, 51, 150), (2, 0, 52, 150), (3, 0, 52, 150), (4, 0, 53, 150), (5, 3, 53, 150)]


def test_notes_have_their_frets_and_times():
    found = played(*CHORD, (5, 12, 200, 260))
    assert [[note.fret for note in string] for string in found.strings] == [[3], [2], [0], [0], [0], [3, 12]]
    last = found.strings[5][1]
    assert (last.start_seconds, last.end_seconds) == (3.2, 4.16) and last.midi == pytest.approx(76)
    assert found.seconds == 8.0


@pytest.mark.parametrize("cents", [-45, -20, 30, 45])
def test_a_guitar_beside_concert_pitch_has_the_same_frets(cents: float):
    found = played(*CHORD, cents=cents)
    assert [string[0].fret for string in found.strings] == [3, 2, 0, 0, 0, 3]
    assert found.deviation == pytest.approx(cents / 100, abs=1e-3)


def test_frets_are_counted_from_the_capo_and_in_the_tuning():
    neck = Neck.parse("DADGAD", 3)
    assert [string[0].fret for string in played(*CHORD, neck=neck).strings] == [3, 2, 0, 0, 0, 3]


def test_a_pitch_below_the_open_string_is_the_open_string():
    assert played((2, -3, 50, 100), (0, 0, 50, 100), (1, 0, 50, 100)).strings[2][0].fret == 0


def test_tablature():
    """Notes within 50 ms stand above each other, a second is eight dashes or less, numbers of two digits fit."""
    assert tab_text(played(*CHORD, (5, 12, 100, 160), (0, 10, 158, 200))).splitlines() == [
        "Tuning E2 A2 D3 G3 B3 E4, +0 cents from 440 Hz",
        "",
        "0.8 s",
        "E |-3------12----------|",
        "B |-0------------------|",
        "G |-0------------------|",
        "D |-0------------------|",
        "A |-2------------------|",
        "E |-3---------------10-|",
    ]


def test_long_tablature_is_broken_into_lines_of_equal_width():
    text = tab_text(played(*[(n % 6, n % 13, 10 * n, 10 * n + 9) for n in range(49)]))
    blocks = text.split("\n\n")[1:]
    assert len(blocks) == 2
    for block in blocks:
        lines = block.strip("\n").split("\n")[1:]
        assert len(lines) == 6 and len({len(line) for line in lines}) == 1 and len(lines[0]) <= WIDTH + 5
    numbers = [
        int(n) for n in text.split("\n", 1)[1].replace("-", " ").replace("|", " ").split() if n.isdigit()
    ]
    assert sorted(numbers) == sorted(n % 13 for n in range(49))


def test_tablature_names_tuning_capo_and_concert_pitch():
    text = tab_text(played(*CHORD, neck=Neck.parse("DADGAD", 3), cents=-20))
    assert text.startswith("Tuning D2 A2 D3 G3 A3 D4, capo on fret 3, -20 cents from 440 Hz\n")
    assert [line[:2] for line in text.splitlines()[3:]] == ["D ", "A ", "G ", "D ", "A ", "D "]


def test_midi_has_a_channel_a_string_and_bends(tmp_path: Path):
    write_string_midi(played(*CHORD, bend=0.5), tmp_path / "notes.mid")
    _, *tracks = mido.MidiFile(tmp_path / "notes.mid").tracks
    assert len(tracks) == 6
    for string, messages in enumerate(tracks):
        own = [m for m in messages if not m.is_meta]
        assert {m.channel for m in own} == {string}
        begun = [m for m in own if m.type == "note_on" and m.velocity]
        assert [m.note for m in begun] == [STANDARD[string] + (3, 2, 0, 0, 0, 3)[string]]
        bent = [m.pitch for m in own if m.type == "pitchwheel"]
        assert len(bent) == 2 and bent[1] - bent[0] == pytest.approx(2048, abs=2)
        first = next(n for n, m in enumerate(own) if m.type == "pitchwheel")
        assert own[first + 1].type == "note_on" and own[first + 1].time == 0  # bent before it sounds


def test_bends_stay_in_range_and_are_few(tmp_path: Path):
    write_string_midi(played((0, 3, 50, 150), bend=0.02), tmp_path / "still.mid")
    write_string_midi(
        played((0, 3, 50, 150), (1, 3, 50, 90), (2, 3, 50, 90), bend=-0.6), tmp_path / "bent.mid"
    )
    (still,) = [m.pitch for m in mido.MidiFile(tmp_path / "still.mid") if m.type == "pitchwheel"]
    assert abs(still) < 200
    assert all(
        -8192 <= m.pitch <= 8191 for m in mido.MidiFile(tmp_path / "bent.mid") if m.type == "pitchwheel"
    )


def test_jams_are_read_as_those_of_guitarset(tmp_path: Path):
    write_jams(played(*CHORD), tmp_path / "notes.jams")
    notes, contours = read_notes(tmp_path / "notes.jams"), read_contours(tmp_path / "notes.jams")
    for string, fret in enumerate((3, 2, 0, 0, 0, 3)):
        ((start, duration, midi),) = notes[string]
        assert midi == pytest.approx(STANDARD[string] + fret) and start == pytest.approx(
            CHORD[string][2] / 62.5
        )
        assert start + duration == pytest.approx(150 / 62.5)
        times, hz = contours[string]
        assert times[0] == pytest.approx(start) and len(times) == 150 - CHORD[string][2]
        assert hz == pytest.approx(440 * 2 ** ((midi - 69) / 12))
    content = json.loads((tmp_path / "notes.jams").read_text())
    assert content["file_metadata"]["duration"] == 8.0 and len(content["annotations"]) == 12


def test_guitar_pro_files_hold_the_notes(tmp_path: Path):
    guitarpro = pytest.importorskip("guitarpro")
    neck = Neck.parse("DADGAD", 3)
    write_guitar_pro(played(*CHORD, (5, 12, 200, 260), (1, 7, 300, 301), neck=neck), tmp_path / "notes.gp5")
    (track,) = guitarpro.parse(str(tmp_path / "notes.gp5")).tracks
    assert [string.value for string in track.strings] == [62, 57, 55, 50, 45, 38] and track.offset == 3
    seconds, notes = 0.0, []
    for measure in track.measures:
        beats = measure.voices[0].beats
        assert sum(4 / beat.duration.value for beat in beats) == 4
        for beat in beats:
            notes += [(seconds, note.string, note.value) for note in beat.notes]
            seconds += 2.0 / beat.duration.value
    chord = [note for note in notes if note[0] < 1]
    assert [note[0] for note in chord] == pytest.approx([0.8125] * 6, abs=0.07)
    assert sorted(note[1:] for note in chord) == [(1, 3), (2, 0), (3, 0), (4, 0), (5, 2), (6, 3)]
    assert [note[1:] for note in notes if note[0] > 1] == [(1, 12)]  # the last is too short to be one


def test_guitar_pro_files_need_their_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DdspZooError, match="pip install pyguitarpro"):
        write_guitar_pro(played(*CHORD), tmp_path / "notes.gp5")
    assert not (tmp_path / "notes.gp5").exists() and "notes.gp5" not in guitar_files()


@pytest.mark.parametrize("write", [write_tab, write_jams, write_string_midi])
def test_nothing_played_is_a_file_without_notes(write, tmp_path: Path):
    write(played(), tmp_path / "file")
    assert (tmp_path / "file").stat().st_size > 20


def test_a_separation_of_strings_has_them_all(tmp_path: Path, undrawn: None):
    guitar = pluck(steady()).sum(0)
    folder = build("exB4").separate(guitar, RATE, pitch=track(steady())).save(tmp_path / "out")
    assert "|-0-" in (folder / "tab.txt").read_text()
    assert [len(notes) for notes in read_notes(folder / "notes.jams")] == [1] * 6
    assert len(mido.MidiFile(folder / "notes.mid").tracks) == 7
    files = json.loads((folder / "ddsp_zoo.json").read_text())["files"]
    assert {"tab.txt", "notes.jams", "notes.mid"} <= set(files)
    opened = ddsp_zoo.open(folder)
    opened.to_midi(tmp_path / "again.mid")
    opened.to_tab(tmp_path / "again.txt")
    for again, there in (("again.mid", "notes.mid"), ("again.txt", "tab.txt")):
        assert (tmp_path / again).read_bytes() == (folder / there).read_bytes()


def test_bands_have_no_tablature(tmp_path: Path):
    band = tiny_ast().separate(np.zeros(5000, np.float32), 8000)
    with pytest.raises(DdspZooError, match="no tablature of bass"):
        band.to_tab(tmp_path / "tab.txt")


def test_the_picture_has_the_frets_over_the_strings():
    audio = 0.1 * np.ones((1, round(FRAMES / RATE_HZ * RATE)), np.float32)
    close = [(5, fret, 200 + 5 * fret, 205 + 5 * fret) for fret in range(12)]  # 12 notes in a second
    song = SimpleNamespace(
        mixture=audio,
        stems=dict.fromkeys(STRINGS, audio),
        sample_rate=RATE,
        control_rate_hz=RATE_HZ,
        controls=given(*CHORD, *close),
        maker=SimpleNamespace(declared=DECLARED, neck=None),
    )
    panels = {axes.texts[0].get_text(): axes.texts[1:] for axes in plot_separation(song).axes if axes.texts}
    assert [[text.get_text() for text in panels[name]] for name in STRINGS[:5]] == [
        ["3"],
        ["2"],
        ["0"],
        ["0"],
        ["0"],
    ]
    assert panels["E2"][0].get_position() == pytest.approx((0.8, 98 / 1.12), abs=0.5)
    assert 4 < len(panels["E4"]) < 1 + len(close)
