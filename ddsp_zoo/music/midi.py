"""Writes notes as MIDI files, and reads them back."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
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


def read_midi_tracks(path: str | Path) -> list[MidiTrack]:
    """Reads the tracks of a MIDI file: one for each channel in a track that plays notes, or that is named.

    All tempo changes are applied. What bends the pitch is not read, nor anything else but notes, names and programs. A
    note that never ends goes to the end of its track; one that begins again while it sounds ends there. Raises
    `DdspZooError` for what is no MIDI file, and for one whose tracks are pieces of their own (type 2) or whose times
    are those of film.
    """
    import mido

    try:
        file = mido.MidiFile(str(path), clip=True)
    except FileNotFoundError as error:
        raise DdspZooError(f"There is no file {path}.") from error
    except Exception as error:  # of a file from anywhere, the parser does not say all that it may raise
        raise DdspZooError(
            f"{path} is no MIDI file that can be read: export it again as type 0 or 1."
        ) from error
    if file.type == 2 or file.ticks_per_beat <= 0:
        raise DdspZooError(f"{path} is of a kind of MIDI that has no beats: export it again as type 0 or 1.")
    seconds = _Clock([message for track in file.tracks for message in _timed(track)], file.ticks_per_beat)
    return [found for track in file.tracks for found in _tracks(_timed(track), seconds)]


def _timed(track: Sequence[Any]) -> list[tuple[int, Any]]:
    """Messages with the tick that they stand at."""
    now, out = 0, []
    for message in track:
        now += message.time
        out.append((now, message))
    return out


class _Clock:
    """Tells the second of a tick, by the tempo changes in any track."""

    def __init__(self, messages: list[tuple[int, Any]], ticks_per_beat: int) -> None:
        changes = sorted(
            (tick, message.tempo)
            for tick, message in messages
            if message.type == "set_tempo" and message.tempo
        )
        self.ticks_per_beat, self.marks = ticks_per_beat, [(0, 0.0, 60_000_000 // BEATS_PER_MINUTE)]
        for tick, tempo in changes:
            self.marks.append((tick, self(tick), tempo))

    def __call__(self, tick: int) -> float:
        begin, second, tempo = self.marks[bisect_right(self.marks, tick, key=lambda mark: mark[0]) - 1]
        return second + (tick - begin) * tempo / (self.ticks_per_beat * 1e6)


def _tracks(messages: list[tuple[int, Any]], seconds: _Clock) -> list[MidiTrack]:
    """The channels of one track, each as a track of its own."""
    name, programs = "", {}
    notes: dict[int, list[MidiNote]] = {}
    sounding: dict[tuple[int, int], tuple[float, int]] = {}

    def end(channel: int, key: int, tick: int) -> None:
        start, velocity = sounding.pop((channel, key), (0.0, 0))
        if velocity and seconds(tick) > start:
            notes.setdefault(channel, []).append(MidiNote(start, seconds(tick), key, velocity))

    for tick, message in messages:
        if message.type == "track_name":
            name = name or message.name.strip()
        elif message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type in ("note_on", "note_off"):
            end(message.channel, message.note, tick)
            if message.type == "note_on" and message.velocity:
                sounding[message.channel, message.note] = (seconds(tick), message.velocity)
    for channel, key in list(sounding):
        end(channel, key, messages[-1][0])
    name = name if len(notes) < 2 else ""  # of several instruments in one track it is nobody's
    found = [
        MidiTrack(name, sorted(own, key=lambda note: note.start_seconds), programs.get(channel, 0), channel)
        for channel, own in sorted(notes.items())
    ]
    return found or ([MidiTrack(name, [], 0, next(iter(programs), 0))] if name else [])
