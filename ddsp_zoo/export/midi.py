"""Notes from pitch curves, and notes as a MIDI file."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done

TICKS_PER_BEAT = 480
TICKS_PER_SECOND = 960  # at 120 beats a minute
DRUM_CHANNEL = 9  # "channel 10" of the MIDI standard, which counts from 1
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


@dataclass(frozen=True)
class Note:
    """One note: from `start_s` to `end_s` in seconds, key 0...127 (69 is A4), velocity 1...127."""

    start_s: float
    end_s: float
    midi: int
    velocity: int


def notes_from_f0(
    f0_hz: np.ndarray,
    rate_hz: float,
    loudness_db: np.ndarray | None = None,
    onset: np.ndarray | None = None,
    min_duration_s: float = 0.06,
    jump_semitones: float = 0.7,
    range_db: float = 50.0,
) -> list[Note]:
    """Notes of one pitch curve: every voiced stretch, cut at onsets and where the pitch moves on to stay.

    f0_hz, loudness_db, onset: (N,) at `rate_hz` frames a second; f0 of 0 or NaN is unvoiced. A pitch has
    moved on when it (smoothed over .15 s, so vibrato and single wrong frames do not count) stays more than
    `jump_semitones` from the median of the last half second, to the same side, for `min_duration_s`. A note's
    key is its median pitch; its velocity goes by its loudest frame, from 127 at the loudest of all to 1 at
    `range_db` below (80 without loudness). Notes shorter than `min_duration_s` are left out.
    """
    f0_hz = np.asarray(f0_hz, dtype=np.float64).reshape(-1)
    voiced = np.isfinite(f0_hz) & (f0_hz > 0)
    pitch = 69 + 12 * np.log2(np.where(voiced, f0_hz, 440.0) / 440.0)
    velocity = np.full(len(pitch), 80.0)
    if loudness_db is not None and voiced.any():
        level = _level(loudness_db)
        velocity = 127 + 126 * (level - level[voiced].max()) / range_db
    shortest = max(1, round(min_duration_s * rate_hz))
    notes = []
    begins = _rising(onset, len(pitch))
    for start, end in _stretches(pitch, voiced, begins, shortest, jump_semitones, rate_hz):
        if end - start >= shortest:
            key = int(np.clip(np.rint(np.median(pitch[start:end])), 0, 127))
            force = int(np.clip(np.rint(velocity[start:end].max()), 1, 127))
            notes.append(Note(start / rate_hz, end / rate_hz, key, force))
    return notes


def _rising(onset: np.ndarray | None, frames: int) -> np.ndarray:
    """(N,) bool: where an onset curve crosses one half upwards."""
    if onset is None:
        return np.zeros(frames, dtype=bool)
    high = np.asarray(onset).reshape(-1) > 0.5
    return high & ~np.concatenate(([False], high[:-1]))


def _stretches(
    pitch: np.ndarray, voiced: np.ndarray, onset: np.ndarray, persist: int, jump: float, rate_hz: float
) -> Iterator[tuple[int, int]]:
    """First frame and frame after the last of every stretch of one pitch."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], voiced.astype(np.int8), [0]))))
    memory, half = max(persist, round(0.5 * rate_hz)), round(0.075 * rate_hz)
    for first, last in edges.reshape(-1, 2).tolist():
        cuts = [first, *(first + 1 + np.flatnonzero(onset[first + 1 : last])).tolist(), last]
        for start, end in itertools.pairwise(cuts):
            jumps = _jumps(_smooth(pitch[start:end], half), persist, jump, memory)
            yield from itertools.pairwise([start, *(start + frame for frame in jumps), end])


def _smooth(pitch: np.ndarray, half: int) -> np.ndarray:
    """Running median over about a period of vibrato, which keeps steps where they are."""
    padded = np.pad(pitch, half, mode="symmetric")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=-1)


def _jumps(pitch: np.ndarray, persist: int, jump: float, memory: int) -> Iterator[int]:
    """Frames where a new pitch begins; in plain lists, as numpy is slow on a few numbers."""
    curve = pitch.tolist()
    start, away, side = 0, 0, 0  # begin of the note; for how many frames the pitch is off, and to which side
    for frame in range(1, len(curve)):
        settled = sorted(curve[max(start, frame - away - memory) : frame - away])
        offset = curve[frame] - settled[len(settled) // 2]
        now = (offset > jump) - (offset < -jump)
        away = away + 1 if now and now == side else abs(now)
        side = now
        if away >= persist:
            start, away, side = frame + 1 - away, 0, 0
            yield start


def notes_by_source(
    controls: Mapping[str, Mapping[str, np.ndarray]],
    control_rate_hz: float,
    source: str | None = None,
    silence_db: float = -50.0,
) -> dict[str, list[Note]]:
    """Notes of one source, or of every source that has `f0_hz`, from `{source: {name: (N,) or (N, k)}}`.

    Onsets are taken from `onset`, loudness from `loudness_db`, `amplitude` or `excitation_gain`, where there
    are. Frames quieter than `silence_db` below the loudest are silent, except under `excitation_gain`: a
    string rings on after its pluck. Raises DdspZooError for an unknown source and where there is no `f0_hz`.
    """
    if source is not None and source not in controls:
        raise DdspZooError(f"There is no source {source!r}: choose one of {', '.join(controls)}.")
    chosen = [source] if source is not None else list(controls)
    pitched = {name: controls[name] for name in chosen if "f0_hz" in controls[name]}
    if not pitched:
        raise DdspZooError(
            f"MIDI needs pitch, and {', '.join(chosen)} has no f0_hz: use a model that has it."
        )
    return {name: _notes(its_controls, control_rate_hz, silence_db) for name, its_controls in pitched.items()}


def _notes(controls: Mapping[str, np.ndarray], rate_hz: float, silence_db: float) -> list[Note]:
    f0_hz, loudness_db = np.asarray(controls["f0_hz"]).reshape(-1), None
    for name in ("excitation_gain", "amplitude"):
        if name in controls:
            loudness_db = _energy_db(controls[name])
    loudness_db = controls.get("loudness_db", loudness_db)
    if loudness_db is not None and not {"loudness_db", "amplitude"}.isdisjoint(controls):
        level = _level(loudness_db)
        f0_hz = np.where(level > level.max(initial=-300) + silence_db, f0_hz, 0)
    return notes_from_f0(f0_hz, rate_hz, loudness_db, controls.get("onset"))


def _energy_db(amplitude: np.ndarray) -> np.ndarray:
    amplitude = np.asarray(amplitude, dtype=np.float64)
    return 10 * np.log10(np.square(amplitude).reshape(len(amplitude), -1).sum(-1) + 1e-20)


def _level(loudness_db: np.ndarray) -> np.ndarray:
    return np.nan_to_num(np.asarray(loudness_db, np.float64).reshape(-1), nan=-300, neginf=-300, posinf=300)


def write_midi(notes: Mapping[str, Sequence[Note]], path: str | Path) -> None:
    """Write `{source: notes}` as a MIDI file of type 1: a tempo track (120 bpm), then a track per source.

    The instrument follows from the source's name; "drums" play on channel 10. Times are kept to a thousandth.
    """
    import mido

    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT, charset="utf-8")
    file.tracks.append(mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(120), time=0)]))
    channels = [channel for channel in range(16) if channel != DRUM_CHANNEL]
    for number, (source, its_notes) in enumerate(notes.items()):
        channel = DRUM_CHANNEL if "drum" in source.lower() else channels[number % len(channels)]
        file.tracks.append(mido.MidiTrack(_messages(source, its_notes, channel)))
    with replaced_when_done(path) as temporary:
        file.save(temporary)


def _messages(source: str, notes: Sequence[Note], channel: int) -> list:
    """The messages of one track, each timed from the one before; notes end before others begin at a tick."""
    import mido

    lowered = source.lower()
    program = next((number for part, number in PROGRAMS.items() if part in lowered), 0)
    events = []
    for note in notes:
        start, end = round(note.start_s * TICKS_PER_SECOND), round(note.end_s * TICKS_PER_SECOND)
        events.append((start, 1, note.midi, note.velocity))
        events.append((max(end, start + 1), 0, note.midi, 0))
    messages = [mido.MetaMessage("track_name", name=source, time=0)]
    messages.append(
        mido.Message("program_change", channel=channel, program=0 if channel == DRUM_CHANNEL else program)
    )
    now = 0
    for tick, is_on, key, velocity in sorted(events):
        kind = "note_on" if is_on else "note_off"
        messages.append(mido.Message(kind, channel=channel, note=key, velocity=velocity, time=tick - now))
        now = tick
    return messages
