"""Scores of tablature: pitches, strings and notes that a tracker finds in recordings of guitars."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ddsp_zoo.corpora.base import StemDataModule, Track
from ddsp_zoo.dsp.scale import hz_to_midi, midi_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.played import Played, read_played
from ddsp_zoo.files.audio import read_mono
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.music.effects import retoned
from ddsp_zoo.music.strings.jams import read_notes
from ddsp_zoo.pitch.neck import STANDARD
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import GUITAR_STRINGS_HZ, Split
from ddsp_zoo.synths.control import given_notes

RATE, HOP = 16000, 256  # of the trackers
FINE_SECONDS = 0.004  # grid on which a corpus's pitch is read
NEAR_SECONDS, NEAR_CENTS = 0.05, 50.0  # what counts as the same note
MICROPHONE = Path("audio", "audio_mic")
WHAT = ("pitch", "tab", "note")
COUNTS = tuple(f"{what}_{of}" for what in WHAT for of in ("annotated", "found", "agreed"))

Notes = list[list[tuple[float, float, float]]]  # of each string: start and end in seconds, MIDI pitch
HeardNote = tuple[float, float, float]  # start and end in seconds, MIDI pitch
Heard = PitchTrack | list[HeardNote]  # of each string, or notes on whatever string
Tracker = Callable[[np.ndarray], Heard]


@dataclass(frozen=True)
class Take:
    """Holds a recording (T,) at 16 kHz of a guitar in standard tuning, and what is annotated of it."""

    name: str
    audio: np.ndarray
    notes: Notes


def read_takes(root: str | Path) -> Iterator[Take]:
    """Yields GuitarSet's recordings by a microphone, as far as they are there.

    Raises `DdspZooError` where there are none.
    """
    paths = sorted(Path(root, MICROPHONE).glob("*_mic.wav"))
    if not paths:
        raise DdspZooError(
            f"There is no {Path(root, MICROPHONE)} with *_mic.wav: name the folder of GuitarSet."
        )
    for path in paths:
        name = path.stem.removesuffix("_mic")
        strings = read_notes(Path(root, "annotation", f"{name}.jams"))
        notes = [[(start, start + length, midi) for start, length, midi in own] for own in strings]
        yield Take(name, read_mono(path, RATE), notes)


def read_rendered(
    datamodule: StemDataModule, split: Split = "test", limit_tracks: int | None = None, tone_db: float = 0.0
) -> Iterator[Take]:
    """Yields the tracks of a corpus of guitar strings, with the notes between its onsets.

    With ``tone_db`` each string of each track has another tone, always the same (see `effects.retoned`): what is then
    no longer found was told by the sound of one guitar.
    """
    datamodule.prepare((split,))
    for number, track in enumerate(datamodule.tracks(split)[:limit_tracks]):
        if track.pitch is None or not set(GUITAR_STRINGS_HZ) <= set(track.sources):
            raise DdspZooError(
                f"Track {track.name} lacks an f0.csv, or one of the strings {', '.join(GUITAR_STRINGS_HZ)}."
            )
        strings = [sum(read_mono(path, RATE) for path in track.stems[name]) for name in GUITAR_STRINGS_HZ]
        if tone_db:
            draws = [np.random.default_rng([number, row]) for row in range(len(strings))]
            strings = [retoned(audio, rng, tone_db, RATE) for audio, rng in zip(strings, draws, strict=True)]
        yield Take(track.name, sum(strings), _notes_of(track))


def _notes_of(track: Track) -> Notes:
    pitch = track.read_pitch(tuple(GUITAR_STRINGS_HZ), FINE_SECONDS)
    strings = []
    for f0, onset in zip(pitch.f0_hz, pitch.onset, strict=True):
        begun = np.flatnonzero(onset)
        notes = []
        for start, limit in pairwise([*begun, len(f0)]):
            silent = np.flatnonzero(f0[start:limit] == 0)
            stop = start + silent[0] if silent.size else limit
            midi = float(np.median(hz_to_midi(f0[start:stop])))
            notes.append((start * FINE_SECONDS, stop * FINE_SECONDS, midi))
        strings.append(notes)
    return strings


def evaluate_tab(takes: Iterable[Take], trackers: dict[str, Tracker]) -> list[Row]:
    """Measures trackers: one row for each take and system, with the counts that `summarise_tab` adds up."""
    return [
        {"track": take.name, "system": name} | tab_counts(take.notes, track(take.audio))
        for take in takes
        for name, track in trackers.items()
    ]


def tab_counts(annotated: Notes, found: Heard) -> Row:
    """Counts what is annotated, found, and agrees: pitches and (string, fret) of each frame, and notes.

    A pitch is a semitone here; one that two strings play counts once. A note agrees where it begins within 50 ms and
    lies within 50 cents, on whatever string. Notes that are found on no string have no frets to count. Sources: Wiggins
    and Kim 2019 (TabCNN) for frames; mir_eval for notes.
    """
    if not isinstance(found, PitchTrack):
        truth = _annotated_frets(annotated, _frames(annotated, found), HOP / RATE)
        heard = _sounding_pitches(found, truth.shape[1])
        return _pitch_counts(_pitches(truth), heard) | _note_counts(annotated, found)
    played = _played(found)
    truth = _annotated_frets(annotated, found.f0_hz.shape[1], found.hop_seconds)
    heard = _found_frets(played)
    frets = {
        "tab_annotated": int((truth >= 0).sum()),
        "tab_found": int((heard >= 0).sum()),
        "tab_agreed": int(((truth == heard) & (truth >= 0)).sum()),
    }
    notes = [(note.start_seconds, note.end_seconds, note.midi) for own in played.strings for note in own]
    return _pitch_counts(_pitches(truth), _pitches(heard)) | frets | _note_counts(annotated, notes)


def _pitch_counts(truth: list[set[int]], heard: list[set[int]]) -> Row:
    agreed = sum(len(a & b) for a, b in zip(truth, heard, strict=True))
    found = {"pitch_annotated": sum(map(len, truth)), "pitch_found": sum(map(len, heard))}
    return found | {"pitch_agreed": agreed}


def _frames(annotated: Notes, found: list[HeardNote]) -> int:
    """How many frames there are until all notes have ended."""
    ends = [end for own in (*annotated, found) for _, end, _ in own]
    return round(max(ends, default=0) * RATE / HOP) + 1


def _sounding_pitches(notes: list[HeardNote], frames: int) -> list[set[int]]:
    """The pitches that sound in each frame."""
    sounding: list[set[int]] = [set() for _ in range(frames)]
    for start, end, midi in notes:
        for frame in range(*(round(time * RATE / HOP) for time in (start, end))):
            sounding[frame].add(round(midi))
    return sounding


def _played(found: PitchTrack) -> Played:
    declared = {control.name: control for control in given_notes(RATE)}
    controls = {
        name: {"f0_hz": f0, "onset": onset[:, None]}
        for name, f0, onset in zip(GUITAR_STRINGS_HZ, found.f0_hz, found.onset, strict=True)
    }
    return read_played(controls, declared, 1 / found.hop_seconds)


def _annotated_frets(notes: Notes, frames: int, hop_seconds: float) -> np.ndarray:
    """The fret of each string in each frame (6, N), -1 where it rests."""
    frets = np.full((len(STANDARD), frames), -1)
    for row, (own, opened) in enumerate(zip(notes, STANDARD, strict=True)):
        for start, end, midi in own:
            first, last = (round(time / hop_seconds) for time in (start, end))
            frets[row, first:last] = max(round(midi) - opened, 0)
    return frets


def _found_frets(played: Played) -> np.ndarray:
    midi = np.rint(hz_to_midi(played.f0_hz) - played.deviation).astype(int)
    return np.where(played.f0_hz > 0, np.maximum(midi - np.array(STANDARD)[:, None], 0), -1)


def _pitches(frets: np.ndarray) -> list[set[int]]:
    """The pitches of each frame, from frets (6, N)."""
    return [
        {opened + int(fret) for opened, fret in zip(STANDARD, column, strict=True) if fret >= 0}
        for column in frets.T
    ]


def _note_counts(annotated: Notes, found: list[HeardNote]) -> Row:
    from mir_eval.transcription import match_notes

    truth = [note for own in annotated for note in own]
    pairs = []
    if truth and found:
        (a_times, a_hz), (f_times, f_hz) = (
            (np.array([note[:2] for note in notes]), midi_to_hz(np.array([note[2] for note in notes])))
            for notes in (truth, found)
        )
        near = {"onset_tolerance": NEAR_SECONDS, "pitch_tolerance": NEAR_CENTS, "offset_ratio": None}
        pairs = match_notes(a_times, a_hz, f_times, f_hz, **near)
    return {"note_annotated": len(truth), "note_found": len(found), "note_agreed": len(pairs)}


def summarise_tab(rows: list[Row]) -> list[Row]:
    """Returns a row for each system: precision, recall and f_measure of pitches, strings with frets, and notes.

    ``disambiguation`` is the share of right pitches that are on the right string too. A system that tells no strings
    has neither frets nor that.
    """
    out = []
    for system in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == system]
        total = {name: sum(row[name] for row in own) for name in COUNTS if name in own[0]}
        row: Row = {"system": system, "tracks": len(own)}
        for what in (what for what in WHAT if f"{what}_found" in total):
            annotated, found, agreed = (total[f"{what}_{of}"] for of in ("annotated", "found", "agreed"))
            row |= {
                f"{what}_precision": agreed / max(found, 1),
                f"{what}_recall": agreed / max(annotated, 1),
                f"{what}_f_measure": 2 * agreed / max(found + annotated, 1),
            }
        if "tab_found" in total:
            row["disambiguation"] = min(total["tab_agreed"] / max(total["pitch_agreed"], 1), 1.0)
        out.append(row)
    return out
