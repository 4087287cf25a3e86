"""MIDI back to controls: a file that was written here and changed elsewhere."""

from collections.abc import Callable
from pathlib import Path

import mido
import numpy as np
import pytest
from edits import HOP, RATE, numbers, same, song_of, string

from ddsp_zoo.api.edit import Edit
from ddsp_zoo.api.result import Separation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.midi import notes_by_source, write_midi
from ddsp_zoo.music.midi import MidiNote, MidiTrack, read_midi_tracks, write_midi_file
from ddsp_zoo.sources import GUITAR_STRINGS_HZ
from ddsp_zoo.synths.modal_string import ModalString

FRAME = HOP / RATE
Notes = list[MidiNote]


def own_notes(edit: Edit) -> Notes:
    return notes_by_source({"own": edit.controls}, RATE / HOP, edit.maker.declared)["own"]


def in_frames(notes: Notes) -> list[tuple[int, int, int, int]]:
    return sorted(
        (round(n.start_seconds / FRAME), round(n.end_seconds / FRAME), n.key, n.velocity) for n in notes
    )


def moved(note: MidiNote, start: int = 0, end: int = 0, key: int = 0, velocity: int = 0) -> MidiNote:
    """A note some frames later, semitones higher and steps louder."""
    return MidiNote(
        note.start_seconds + start * FRAME,
        note.end_seconds + end * FRAME,
        note.key + key,
        note.velocity + velocity,
    )


CHANGES: dict[str, Callable[[Notes], Notes]] = {
    "nothing": lambda n: n,
    "an octave higher": lambda n: [moved(note, key=12) for note in n],
    "softer": lambda n: [moved(n[0], velocity=-60), moved(n[1], velocity=-5), moved(n[2], velocity=-20)],
    "one deleted": lambda n: [n[0], n[2]],
    "later": lambda n: [moved(note, 3, 3) for note in n],
    "shorter": lambda n: [moved(note, 0, -15) for note in n],
    "longer": lambda n: [n[0], moved(n[1], 0, 9, -2), moved(n[2], 0, 7)],
    "one added": lambda n: [*n, MidiNote(142 * FRAME, 149 * FRAME, 59, 40)],
    "equal ones side by side": lambda n: [n[0], moved(n[1], -5, -5, -3), n[2]],
    "one struck twice": lambda n: [
        moved(n[0], 0, -15),
        MidiNote(25 * FRAME, 40 * FRAME, n[0].key, n[0].velocity),
        *n[1:],
    ],
    "another in one's place": lambda n: [n[0], MidiNote(50 * FRAME, 60 * FRAME, 60, 127), n[2]],
}


@pytest.mark.parametrize("change", CHANGES)
def test_notes_of_a_file_are_played_to_the_frame_and_velocity(
    edit: Edit, change: str, tmp_path: Path
) -> None:
    wanted = CHANGES[change](own_notes(edit))
    write_midi({edit.source: wanted}, tmp_path / "edited.mid")
    played = edit.midi(tmp_path / "edited.mid")
    assert [tuple(note) for note in numbers(played.notes)] == in_frames(wanted)
    played.to_midi(tmp_path / "again.mid")
    (one,), (other,) = (read_midi_tracks(tmp_path / name) for name in ("edited.mid", "again.mid"))
    assert in_frames(list(other.notes)) == in_frames(list(one.notes))
    if change == "nothing":
        assert same(played.controls, edit.controls)


def test_notes_keep_the_controls_of_those_they_were(songs: dict[str, Separation], tmp_path: Path) -> None:
    edit = songs["A2"].edit("A2")
    first, second, third = own_notes(edit)
    earlier = [moved(third, -20, -20), moved(second, -10, -10), moved(first, -8, -8)]
    write_midi({"A2": earlier}, tmp_path / "edited.mid")
    played = edit.midi(tmp_path / "edited.mid")
    for begin, was in ((2, 10), (35, 45), (60, 80)):
        assert played.controls["cutoff_hz"][begin] == edit.controls["cutoff_hz"][was]
    new = [first, moved(second, 0, -15), MidiNote(60 * FRAME, 70 * FRAME, 52, 100), third]
    write_midi({"A2": new}, tmp_path / "edited.mid")
    played = edit.midi(tmp_path / "edited.mid")
    assert played.controls["cutoff_hz"][65] == edit.controls["cutoff_hz"][80]  # nearest in time and pitch


def test_a_file_that_is_played_at_another_tempo_keeps_its_notes(edit: Edit, tmp_path: Path) -> None:
    """Exported at 100 beats a minute: all notes begin at other seconds."""
    write_midi({edit.source: own_notes(edit)}, tmp_path / "edited.mid")
    file = mido.MidiFile(tmp_path / "edited.mid")
    for message in file.tracks[0]:
        if message.type == "set_tempo":
            message.tempo = mido.bpm2tempo(100)
    file.save(tmp_path / "slower.mid")
    with pytest.raises(DdspZooError, match="stretch the source first"):
        edit.midi(tmp_path / "slower.mid")
    slower = edit.stretch(1.2).midi(tmp_path / "slower.mid")
    for one, other in zip(edit.notes, slower.notes, strict=True):
        assert other.start_seconds == pytest.approx(1.2 * one.start_seconds, abs=FRAME)
        assert (other.pitch, other.velocity) == (one.pitch, one.velocity)


def test_a_guitar_has_a_channel_for_each_string(tmp_path: Path) -> None:
    synth = ModalString(RATE, HOP, ("release",), partials=4)
    rows = {
        name: string(tuple((10 + n, 60, 40 + 5 * n) for _ in "1")) for n, name in enumerate(GUITAR_STRINGS_HZ)
    }
    song = song_of(synth, rows, channels=1)
    song.to_midi(tmp_path / "notes.mid")
    tracks = read_midi_tracks(tmp_path / "notes.mid")
    assert [track.channel for track in tracks] == list(range(6))
    higher = [
        MidiTrack(t.name, [moved(note, key=3 * (t.name == "G3")) for note in t.notes], t.program, t.channel)
        for t in tracks
    ]
    write_midi_file(higher, tmp_path / "edited.mid")
    unnamed = [MidiTrack("", t.notes, t.program, t.channel) for t in higher]
    write_midi_file(unnamed, tmp_path / "unnamed.mid")
    joined = mido.MidiFile(tmp_path / "edited.mid")
    joined.tracks[:], joined.type = [mido.merge_tracks(joined.tracks)], 0
    joined.save(tmp_path / "joined.mid")
    for name in ("edited.mid", "unnamed.mid", "joined.mid"):
        for source in song.controls:
            edit = song.edit(source).midi(tmp_path / name)
            assert edit.is_changed == (source == "G3")
        assert song.edit("G3").midi(tmp_path / name).notes[0].pitch == 58


def test_a_melody_of_another_song_is_refused(edit: Edit, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    other = [
        MidiNote(t + 0.01 * random.random(), t + 0.12, int(random.integers(57, 80)), 100)
        for t in np.arange(0, 2.3, 0.21)
    ]
    write_midi({edit.source: other}, tmp_path / "other.mid")
    with pytest.raises(DdspZooError, match="other.mid is of another song: of its 11 notes") as error:
        edit.midi(tmp_path / "other.mid")
    assert "\n" not in str(error.value)


def test_a_file_with_far_too_many_notes_is_refused_at_once(
    songs: dict[str, Separation], tmp_path: Path
) -> None:
    write_midi(
        {"bass": [MidiNote(t, t + 0.015, 60, 9) for t in np.arange(0, 2.3, 0.032)]}, tmp_path / "many.mid"
    )
    with pytest.raises(DdspZooError, match="is of another song: it has 72 notes for bass, which plays 3"):
        songs["bass"].edit("bass").midi(tmp_path / "many.mid")


def test_files_without_the_notes_of_a_source_are_refused(
    songs: dict[str, Separation], tmp_path: Path
) -> None:
    edit = songs["tenor"].edit("tenor")
    notes = own_notes(edit)

    def refused(words: str, name: str = "some.mid") -> None:
        with pytest.raises(DdspZooError, match=words) as error:
            edit.midi(tmp_path / name)
        assert "\n" not in str(error.value)

    refused("There is no file .*some.mid")
    for content in (
        b"",
        b"RIFF not MIDI",
        b"MThd\x00\x00\x00\x06\x00\x01\x00\x01\x01\xe0MTrk\x00\x00\x00\xff\x00",
    ):
        (tmp_path / "some.mid").write_bytes(content)
        refused("some.mid is no MIDI file that can be read")
    (tmp_path / "folder").mkdir()
    refused("is no MIDI file", "folder")
    write_midi({}, tmp_path / "some.mid")
    refused("some.mid holds no notes")
    write_midi({"bass": notes}, tmp_path / "some.mid")
    refused("has no track 'tenor', only bass")
    write_midi({"alto": notes, "oboe": notes}, tmp_path / "some.mid")
    refused("has no track 'tenor', only alto, oboe")
    write_midi({"alto": notes, "tenor": []}, tmp_path / "some.mid")
    refused("No note of tenor is left")
    write_midi({"tenor": [*notes, MidiNote(0.2, 0.5, 60, 90)]}, tmp_path / "some.mid")
    refused("Two notes overlap on tenor")
    file = mido.MidiFile(tmp_path / "some.mid")
    file.type = 2
    file.save(tmp_path / "some.mid")
    refused("kind of MIDI that has no beats")


def test_a_track_of_any_name_is_taken_where_it_is_the_only_one(
    songs: dict[str, Separation], tmp_path: Path
) -> None:
    edit = songs["tenor"].edit("tenor")
    write_midi({"Track 1": own_notes(edit)[:2]}, tmp_path / "some.mid")
    assert len(edit.midi(tmp_path / "some.mid").notes) == 2
