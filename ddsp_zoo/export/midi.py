"""Notes from pitch curves, and notes as a MIDI file."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ddsp_zoo.dsp.scale import hz_to_midi
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.drum_set import hits_in_frames, notes_of_hits
from ddsp_zoo.music.midi import DRUM_CHANNEL, PITCHED_CHANNELS, MidiNote, MidiTrack, write_midi_file
from ddsp_zoo.pitch.stretches import JUMP_SEMITONES, SHORTEST_SECONDS, stretches
from ddsp_zoo.sources import UNPITCHED
from ddsp_zoo.synths.control import Control

RANGE_DB = 50.0  # from velocity 127 down to 1

# First match of a part of the source's name; numbers of General Midi, counted from 0.
PROGRAMS = {
    "bass": 33,
    "guitar": 25,
    "string": 25,
    "piano": 0,
    "organ": 19,
    "violin": 40,
    "viola": 41,
    "cello": 42,
    "soprano": 52,
    "alto": 52,
    "tenor": 52,
    "voice": 52,
    "vocal": 52,
    "singer": 52,
    "trumpet": 56,
    "horn": 60,
    "saxophone": 65,
    "oboe": 68,
    "clarinet": 71,
    "flute": 73,
    "synth": 81,
}


def notes_from_f0(
    f0_hz: np.ndarray,
    rate_hz: float,
    loudness_db: np.ndarray | None = None,
    onset: np.ndarray | None = None,
    min_duration_s: float = SHORTEST_SECONDS,
    jump_semitones: float = JUMP_SEMITONES,
    range_db: float = RANGE_DB,
    full_db: float | None = None,
) -> list[MidiNote]:
    """Finds the notes of one pitch curve: its `stretches`, at least `min_duration_s` long.

    f0_hz, loudness_db, onset: (N,) at `rate_hz` frames a second; f0 of 0 or NaN is unvoiced. A note's key is its median
    pitch; its velocity goes by its loudest frame, from 127 at `full_db`, by default the loudest of all, to 1 at
    `range_db` below (80 without loudness).
    """
    f0_hz = np.asarray(f0_hz, dtype=np.float64).reshape(-1)
    voiced = np.isfinite(f0_hz) & (f0_hz > 0)
    pitch = hz_to_midi(np.where(voiced, f0_hz, 440.0))
    velocity = np.full(len(pitch), 80.0)
    if loudness_db is not None and voiced.any():
        level = _level(loudness_db)
        full_db = level[voiced].max() if full_db is None else full_db
        velocity = 127 + 126 * (level - full_db) / range_db
    notes = []
    for start, end in stretches(f0_hz, rate_hz, onset, min_duration_s, jump_semitones):
        key = int(np.clip(np.rint(np.median(pitch[start:end])), 0, 127))
        force = int(np.clip(np.rint(velocity[start:end].max()), 1, 127))
        notes.append(MidiNote(start / rate_hz, end / rate_hz, key, force))
    return notes


def notes_by_source(
    controls: Mapping[str, Mapping[str, np.ndarray]],
    control_rate_hz: float,
    declared: Mapping[str, Control],
    source: str | None = None,
    silence_db: float = -50.0,
    full_db: Mapping[str, float] | None = None,
) -> dict[str, list[MidiNote]]:
    """Returns the notes of one source, or of every source that has a pitch or whose hits were heard.

    Pitch and onsets are the controls of these roles; the first level that is declared tells how loud a note is.

    Args:
        controls: `{source: {name: (N,) or (N, k)}}`.
        control_rate_hz: frames a second.
        declared: what the controls are, by name.
        source: the one that is wanted, None for all.
        silence_db: a pitch that is only heard counts where the level is no more than this below the loudest.
        full_db: by source, the level of velocity 127, where it is not that of the loudest note.

    Raises:
        DdspZooError: an unknown source, and where there is no pitch.
    """
    if source is not None and source not in controls:
        raise DdspZooError(f"There is no source {source!r}: choose one of {', '.join(controls)}.")
    chosen = [source] if source is not None else list(controls)
    roles = {name: _by_role(controls[name], declared) for name in chosen}
    pitched = {name: of for name, of in roles.items() if "pitch" in of}
    hit = {name: of["hits"].name for name, of in roles.items() if "hits" in of and name in UNPITCHED}
    if not (pitched or hit):
        raise DdspZooError(f"MIDI needs pitch, and {', '.join(chosen)} has none: use a model that has it.")
    notes = {
        name: _notes(
            {role: controls[name][control.name] for role, control in of.items()},
            of,
            control_rate_hz,
            silence_db,
            (full_db or {}).get(name),
        )
        for name, of in pitched.items()
    }
    drums = {
        name: notes_of_hits(hits_in_frames(controls[name][own], control_rate_hz)) for name, own in hit.items()
    }
    found = notes | drums
    return {name: found[name] for name in chosen if name in found}


def _by_role(controls: Mapping[str, np.ndarray], declared: Mapping[str, Control]) -> dict[str, Control]:
    """The first control of each role that is there."""
    there = [control for name, control in declared.items() if name in controls]
    return {control.role: control for control in reversed(there)}


def _notes(
    values: Mapping[str, np.ndarray],
    declared: Mapping[str, Control],
    rate_hz: float,
    silence_db: float,
    full_db: float | None,
) -> list[MidiNote]:
    """The notes of one source, whose controls come by their role."""
    f0_hz = np.asarray(values["pitch"]).reshape(-1)
    loudness_db = energy_db(values["level"]) if "level" in values else None
    if loudness_db is not None and declared["pitch"].origin == "heard":
        level = _level(loudness_db)
        loudest = level.max(initial=-300) if full_db is None else full_db
        f0_hz = np.where(level > loudest + silence_db, f0_hz, 0)
    # Beginnings that were heard in the same pitch are all that there are.
    settled = "gate" in declared and declared["gate"].origin == "heard"
    jump = math.inf if settled else JUMP_SEMITONES
    return notes_from_f0(
        f0_hz, rate_hz, loudness_db, values.get("gate"), jump_semitones=jump, full_db=full_db
    )


def energy_db(amplitude: np.ndarray) -> np.ndarray:
    """Returns how loud frames (N, k) of a level are, (N,)."""
    amplitude = np.asarray(amplitude, dtype=np.float64)
    return 10 * np.log10(np.square(amplitude).reshape(len(amplitude), -1).sum(-1) + 1e-20)


def loudness_of(controls: Mapping[str, np.ndarray], declared: Mapping[str, Control]) -> np.ndarray:
    """Returns how loud the frames of a source are in dB (N,): its first level where it has a pitch, else -200."""
    roles = _by_role(controls, declared)
    if "pitch" not in roles or "level" not in roles:
        return np.full(len(next(iter(controls.values()))), -200.0)
    voiced = np.reshape(controls[roles["pitch"].name], -1) > 0
    return np.where(voiced, energy_db(controls[roles["level"].name]), -200.0)


def _level(loudness_db: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.asarray(loudness_db, np.float64).reshape(-1), nan=-300, neginf=-300, posinf=300)


def write_midi(notes: Mapping[str, Sequence[MidiNote]], path: str | Path) -> None:
    """Writes `{source: notes}` as a MIDI file of type 1: a tempo track (120 bpm), then a track per source.

    The instrument follows from the source's name; "drums" play on channel 10. Times are kept to a thousandth.
    Raises DdspZooError for a path that cannot be written to.
    """
    tracks = [_track(number, source, its_notes) for number, (source, its_notes) in enumerate(notes.items())]
    write_midi_file(tracks, path, with_tempo=True)


def channel_of(number: int, source: str) -> int:
    """Returns the channel that the source of this number, among those that play, has in a MIDI file."""
    return DRUM_CHANNEL if "drum" in source.lower() else PITCHED_CHANNELS[number % len(PITCHED_CHANNELS)]


def _track(number: int, source: str, notes: Sequence[MidiNote]) -> MidiTrack:
    lowered, channel = source.lower(), channel_of(number, source)
    pitched = channel != DRUM_CHANNEL
    program = next((program for part, program in PROGRAMS.items() if part in lowered and pitched), 0)
    return MidiTrack(source, notes, program, channel)
