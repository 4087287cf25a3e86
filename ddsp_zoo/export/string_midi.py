"""Writes what was played as MIDI: a channel for each string, with pitch bend."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ddsp_zoo.dsp.scale import hz_to_midi
from ddsp_zoo.export.midi import channel_of, notes_by_source
from ddsp_zoo.export.played import Played, is_guitar
from ddsp_zoo.music.midi import MidiNote, MidiTrack, write_midi_file
from ddsp_zoo.pitch.neck import Neck, pitch_name
from ddsp_zoo.separation.result import Maker, Named

STEEL_GUITAR = 25  # of General Midi, counted from 0
LEAST_BEND = 0.03  # semitones that the pitch has to move before it is written again


def write_string_midi(played: Played, path: str | Path) -> None:
    """Writes a track and a channel for each string, low to high; whole or not at all.

    The key of a note is that of its fret; the pitch bend says how far the string is from it, 2 semitones at most.
    """
    tracks = [_track(played, string) for string in range(len(played.strings))]
    write_midi_file(tracks, path, with_tempo=True)


def track_of(source: str, controls: Mapping[str, Named], maker: Maker) -> tuple[int, tuple[str, ...]]:
    """Returns the channel on which the MIDI file of a separation plays a source, and the names of its track there."""
    if is_guitar(controls):
        string = list(controls).index(source)
        return string, (source, pitch_name((maker.neck or Neck()).opened[string]))
    notes = notes_by_source(controls, maker.rate_hz, maker.declared, full_db=maker.full_db)
    playing = [name for name, own in notes.items() if own]
    return channel_of(playing.index(source) if source in playing else len(playing), source), (source,)


def _track(played: Played, string: int) -> MidiTrack:
    opened, notes, bends = played.neck.opened[string], [], []
    midi = hz_to_midi(played.f0_hz[string])
    for note in played.strings[string]:
        key = min(opened + note.fret, 127)
        notes.append(MidiNote(note.start_seconds, note.end_seconds, key, note.velocity))
        first, last = (round(t * played.rate_hz) for t in (note.start_seconds, note.end_seconds))
        bends += _bends(midi[first:last] - key, first, played.rate_hz)
    return MidiTrack(pitch_name(opened), notes, STEEL_GUITAR, string, tuple(bends))


def _bends(semitones: np.ndarray, first: int, rate_hz: float) -> list[tuple[float, float]]:
    """Times and bends of a note: one where it begins, and one wherever the pitch has moved."""
    out: list[tuple[float, float]] = []
    for frame, bend in enumerate(np.clip(semitones, -2, 2).tolist(), start=first):
        if not out or abs(bend - out[-1][1]) >= LEAST_BEND:
            out.append((frame / rate_hz, bend))
    return out
