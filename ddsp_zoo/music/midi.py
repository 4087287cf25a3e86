"""Writes notes as MIDI files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ddsp_zoo.files.atomic import replaced_when_done

DRUM_CHANNEL = 9  # "channel 10" of the MIDI standard, which counts from 1
PITCHED_CHANNELS = tuple(channel for channel in range(16) if channel != DRUM_CHANNEL)
TICKS_PER_BEAT = 480
BEATS_PER_MINUTE = 120  # what a MIDI file has where it names no tempo
BEND_SEMITONES = 2  # that the pitch wheel reaches where a file names no other range
TICKS_PER_SECOND = TICKS_PER_BEAT * BEATS_PER_MINUTE // 60


@dataclass(frozen=True)
class MidiNote:
    """Holds one note of a MIDI file: start and end in seconds, key 0...127 (69 is A4), velocity 1...127."""

    start_seconds: float
    end_seconds: float
    key: int
    velocity: int


@dataclass(frozen=True)
class MidiTrack:
    """Holds one track: its name, its notes, and the General MIDI program (0...127) and channel that play them.

    ``bends``: seconds, and by how many semitones (at most 2 up or down) the channel's pitch is bent from then on.
    """

    name: str
    notes: Sequence[MidiNote]
    program: int
    channel: int
    bends: Sequence[tuple[float, float]] = ()


def write_midi_file(tracks: Sequence[MidiTrack], path: str | Path, with_tempo: bool = False) -> None:
    """Writes a MIDI file of type 1 at 120 beats a minute, a track each; times are kept to a thousandth of a second.

    ``with_tempo`` puts a track before the others that says the tempo, for programs that show bars. Raises
    DdspZooError for a path that cannot be written to.
    """
    import mido

    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    if with_tempo:
        tempo = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BEATS_PER_MINUTE), time=0)
        file.tracks.append(mido.MidiTrack([tempo]))
    file.tracks += [mido.MidiTrack(_messages(track)) for track in tracks]
    with replaced_when_done(path) as draft:
        file.save(str(draft))


def _messages(track: MidiTrack) -> list:
    """Returns the messages of one track, each timed from the one before.

    At a tick, notes end before the pitch is bent and others begin. A note ends by a velocity of 0, which the standard
    allows in place of a message of another kind.
    """
    import mido

    events = [
        (
            round(seconds * TICKS_PER_SECOND),
            1,
            max(min(round(semitones / BEND_SEMITONES * 8192), 8191), -8192),
            0,
        )
        for seconds, semitones in track.bends
    ]
    for note in track.notes:
        start = round(note.start_seconds * TICKS_PER_SECOND)
        end = max(round(note.end_seconds * TICKS_PER_SECOND), start + 1)
        events += [(start, 2, note.key, note.velocity), (end, 0, note.key, 0)]
    messages = [
        mido.MetaMessage("track_name", name=track.name, time=0),
        mido.Message("program_change", channel=track.channel, program=track.program, time=0),
    ]
    now = 0
    for tick, kind, value, velocity in sorted(events):
        about = {"channel": track.channel, "time": tick - now}
        if kind == 1:
            messages.append(mido.Message("pitchwheel", pitch=value, **about))
        else:
            messages.append(mido.Message("note_on", note=value, velocity=velocity, **about))
        now = tick
    return messages
