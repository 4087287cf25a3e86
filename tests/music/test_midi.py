"""Notes as MIDI files."""

from pathlib import Path

import mido
import pytest

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.midi import DRUM_CHANNEL, MidiNote, MidiTrack, write_midi_file

BASS = [MidiNote(0.75, 1.5, 40, 50), MidiNote(0.25, 0.75, 40, 100)]
TRACKS = [
    MidiTrack("Bass ♯", BASS, 33, 0),
    MidiTrack("drums", [MidiNote(0.5, 0.5, 36, 127)], 0, DRUM_CHANNEL),
]


@pytest.mark.parametrize("with_tempo", [False, True])
def test_the_file_plays_the_notes_at_their_times(tmp_path: Path, with_tempo: bool) -> None:
    write_midi_file(TRACKS, tmp_path / "new" / "song.mid", with_tempo)
    file, now, played = mido.MidiFile(tmp_path / "new" / "song.mid", charset="utf-8"), 0.0, []
    assert [track.name for track in file.tracks] == [""] * with_tempo + ["Bass ♯", "drums"]
    programs = [(m.channel, m.program) for m in file if m.type == "program_change"]
    assert programs == [(0, 33), (DRUM_CHANNEL, 0)]
    for message in file:  # mido gives seconds here, by the tempo of the file
        now += message.time
        if message.type == "note_on":
            played.append((round(now, 3), message.channel, message.note, message.velocity))
    assert [event for event in played if event[1] == 0] == [
        (0.25, 0, 40, 100),
        (0.75, 0, 40, 0),
        (0.75, 0, 40, 50),
        (1.5, 0, 40, 0),
    ]
    assert [event for event in played if event[1] == DRUM_CHANNEL] == [(0.5, 9, 36, 127), (0.501, 9, 36, 0)]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DdspZooError, match="Cannot write .*song.mid"):
        write_midi_file(TRACKS, tmp_path / "file" / "song.mid")
