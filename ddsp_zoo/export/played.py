"""Reads off the controls of six strings what a guitarist played: notes with their frets."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ddsp_zoo.dsp.scale import hz_to_midi
from ddsp_zoo.export.midi import notes_by_source
from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.separation.result import Named
from ddsp_zoo.sources import GUITAR_STRINGS_HZ
from ddsp_zoo.synths.control import Control


@dataclass(frozen=True)
class FrettedNote:
    """Holds a note: times in seconds, fret (0 the open string or the capo), MIDI velocity, and median MIDI pitch."""

    start_seconds: float
    end_seconds: float
    fret: int
    velocity: int
    midi: float


@dataclass(frozen=True)
class Played:
    """Holds what was played on six strings, low to high.

    strings: the notes of each string, by start.
    f0_hz: the pitch of each string (6, N), 0 where it rests.
    rate_hz: frames a second.
    neck: tuning and capo.
    deviation: by how many semitones the guitar lies above concert pitch, -0.5 to 0.5.
    """

    strings: tuple[tuple[FrettedNote, ...], ...]
    f0_hz: np.ndarray
    rate_hz: float
    neck: Neck
    deviation: float

    @property
    def seconds(self) -> float:
        """Returns the length of the recording."""
        return self.f0_hz.shape[1] / self.rate_hz


def is_guitar(sources: object) -> bool:
    """Returns whether sources are the strings of a guitar, with which the files for guitarists can be written."""
    return tuple(sources) == tuple(GUITAR_STRINGS_HZ)


def read_played(
    controls: Mapping[str, Named],
    declared: Mapping[str, Control],
    rate_hz: float,
    neck: Neck | None = None,
    full_db: Mapping[str, float] | None = None,
) -> Played:
    """Finds the notes in the controls of six strings, {string: {control: (N,) or (N, k)}}.

    Pitches are rounded to the frets of a guitar that may lie beside concert pitch; a pitch below the open string counts
    as that. Velocity 127 is ``full_db``, see `notes_by_source`. Raises `DdspZooError` where the controls have no pitch.
    """
    neck = neck or Neck()
    notes = notes_by_source(controls, rate_hz, declared, full_db=full_db)
    (pitch,) = [name for name, control in declared.items() if control.role == "pitch"][:1]
    f0_hz = np.stack([np.nan_to_num(np.reshape(own[pitch], -1)) for own in controls.values()])
    midi, deviation = hz_to_midi(f0_hz), _deviation(f0_hz)
    strings = []
    for string, (row, opened) in enumerate(zip(midi, neck.opened, strict=True)):
        own = []
        for note in notes[list(controls)[string]]:
            sounding = row[round(note.start_seconds * rate_hz) : round(note.end_seconds * rate_hz)]
            height = float(np.median(sounding))
            fret = max(round(height - deviation) - opened, 0)
            own.append(FrettedNote(note.start_seconds, note.end_seconds, fret, note.velocity, height))
        strings.append(tuple(own))
    return Played(tuple(strings), f0_hz, rate_hz, neck, deviation)


def _deviation(f0_hz: np.ndarray) -> float:
    """By how many semitones pitches lie above those of 440 Hz, as a circular mean; 0 where nothing sounds."""
    turn = np.exp(2j * np.pi * hz_to_midi(f0_hz[f0_hz > 0])).sum()
    return float(np.angle(turn) / (2 * np.pi)) if abs(turn) > 0 else 0.0
