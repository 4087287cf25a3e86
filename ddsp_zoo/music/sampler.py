"""Plays recorded notes: keeps them in banks and reads them at other speeds.

Where the rate of the rendered audio is low, banks are kept at twice that rate, so that the errors of interpolation lie
above the band that remains.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from ddsp_zoo.dsp import compiled
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.signals import Audio

Entry = TypeVar("Entry")
FULL_SCALE = 32767
HIGHEST_DOUBLED_RATE_HZ = 24000
GUARD = 4  # samples beside each recording that interpolation may touch
FIELDS = ("midi", "velocity", "reference", "variant", "first", "length", "loop", "gain")


@dataclass(frozen=True)
class RecordedNote:
    """Holds one recorded note before it is put in a bank.

    ``velocity`` (0..1) is what it was played with, ``reference`` the velocity at which it sounds as loud as recorded;
    ``midi`` may lie between semitones; recordings of one ``variant`` belong together (one of several snares, say);
    ``loop`` is the sample to which it goes back from its end, -1 for one that ends.
    """

    midi: float
    velocity: float
    audio: Audio
    reference: float = 1.0
    variant: int = 0
    loop: int = -1


@dataclass(frozen=True)
class Bank:
    """Holds N recordings: (N,) numbers each, and their samples one after another (K,), as 16-bit integers."""

    midi: NDArray
    velocity: NDArray
    reference: NDArray
    variant: NDArray
    first: NDArray
    length: NDArray
    loop: NDArray
    gain: NDArray
    samples: NDArray[np.int16]

    @classmethod
    def read(cls, folder: Path) -> "Bank":
        """Opens a bank; the samples stay on disk until they are played, and processes share them."""
        numbers = json.loads((folder / "notes.json").read_text())
        samples = np.load(folder / "samples.npy", mmap_mode="r")
        return cls(**{name: np.asarray(numbers[name]) for name in FIELDS}, samples=samples)


def for_program(table: tuple[tuple[int, Entry], ...], program: int) -> Entry:
    """Looks up a General MIDI program in a table whose entries hold from a program on, up to the next entry."""
    return max((entry for entry in table if entry[0] <= program), key=lambda entry: entry[0])[1]


def play_rate(rate_hz: int) -> int:
    """Returns the rate of the recordings of a bank that is played at ``rate_hz``."""
    return rate_hz * (2 if rate_hz <= HIGHEST_DOUBLED_RATE_HZ else 1)


def write_bank(folder: Path, recordings: Sequence[RecordedNote]) -> None:
    """Writes recordings as a bank: each at full scale, with the gain that makes it as loud as it was."""
    numbers: dict[str, list[float]] = {name: [] for name in FIELDS}
    pieces, place = [], 0
    for recording in recordings:
        peak = max(float(np.abs(recording.audio).max()), 1e-9)
        whole = np.round(recording.audio * (FULL_SCALE / peak)).astype(np.int16)
        pieces.append(np.pad(whole, GUARD))
        for name in ("midi", "velocity", "reference", "variant", "loop"):
            numbers[name].append(getattr(recording, name))
        numbers["first"].append(place + GUARD)
        numbers["length"].append(len(whole))
        numbers["gain"].append(peak / FULL_SCALE)
        place += len(pieces[-1])
    np.save(folder / "samples.npy", np.concatenate(pieces))
    (folder / "notes.json").write_text(json.dumps(numbers))


@dataclass(frozen=True)
class Events:
    """Holds N notes to play, (N,) each: which recording, when (s), at which speed, how loud, and how it ends.

    A note is held for ``hold_seconds``; its level falls by 60 dB in ``damp_seconds`` while held and in
    ``release_seconds`` afterwards.
    """

    recording: NDArray
    start_seconds: NDArray
    speed: NDArray
    gain: NDArray
    hold_seconds: NDArray
    damp_seconds: NDArray
    release_seconds: NDArray


def play(bank: Bank, events: Events, seconds: float, rate_hz: int) -> Audio:
    """Plays notes of a bank -> (seconds * rate,).

    Raises `DdspZooError` where numba is missing, because nothing else is fast enough.
    """
    if not compiled.AVAILABLE:
        raise DdspZooError("Recorded sounds are played by numba: install numba, or render with engine 'own'.")
    from ddsp_zoo.music.sampler_kernel import add_notes

    rate = play_rate(rate_hz)
    audio, which = np.zeros(round(seconds * rate)), events.recording
    add_notes(
        audio,
        bank.samples,
        bank.first[which],
        bank.length[which],
        bank.loop[which],
        np.maximum(np.round(events.start_seconds * rate).astype(np.int64), 0),
        events.speed,
        events.gain * bank.gain[which],
        np.round(events.hold_seconds * rate).astype(np.int64),
        10 ** (-3 / (events.damp_seconds * rate)),
        10 ** (-3 / (events.release_seconds * rate)),
    )
    return signal.resample_poly(audio, 1, rate // rate_hz) if rate > rate_hz else audio
