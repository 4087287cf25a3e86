"""The pitch that a user has for a recording, in any form: a table, one recording of each source, or none."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import WHOLE, Excerpt, read_channels
from ddsp_zoo.files.digest import sha256_of
from ddsp_zoo.files.f0_csv import read_f0_csv
from ddsp_zoo.pitch.assignment import assign_to_strings
from ddsp_zoo.pitch.crepe import RATE, track_f0
from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

CREPE = "crepe"
COARSEST_SECONDS = 0.9  # lines farther apart are numbered by frames or milliseconds


def find_pitch(
    pitch: PitchTrack | str | Path | None,
    model: Any,
    audio: Any,
    sample_rate: int,
    seconds: float,
    neck: Neck | None = None,
    excerpt: Excerpt = WHOLE,
) -> PitchTrack:
    """Returns the pitch track of a recording on a model's frames.

    Args:
        pitch: a track on these frames, or an f0 CSV (columns ``time_seconds,<source>,…``), or a folder with one
            recording of each source (``<source>.wav``, tracked by CREPE), or "crepe" to track the recording itself as
            a single melody, or None to leave it to the model's own tracker, which hears the mixture.
        model: the model whose sources and frames are meant.
        audio: the recording: an array (T,) or (channels, T) at ``sample_rate``, or a file.
        sample_rate: of an array, in Hz.
        seconds: length of the recording, or of the excerpt.
        neck: tuning and capo of a guitar, where they are not the usual ones.
        excerpt: the part of a file that is meant; files with the pitch are of the whole recording.

    Raises:
        DdspZooError: no pitch given to a model without a tracker, something missing or unreadable, values that are no
            pitch, or a given pitch that is voiced nowhere.
    """
    if isinstance(pitch, PitchTrack):
        pitch.check(model)
        return pitch
    if not isinstance(pitch, str | Path | None):
        raise DdspZooError(
            f"The pitch cannot be a {type(pitch).__name__}: give a PitchTrack or the name of a file."
        )
    names = ", ".join(model.sources)
    if pitch is None and model.tracker is None:
        raise DdspZooError(
            f"This model needs the pitch of each source ({names}): pass `pitch=` with an f0 CSV "
            f"(columns time_seconds,{names.replace(' ', '')}), a folder with one recording of each source, "
            'or "crepe" if the recording is a single melody.'
        )
    hop = model.hop_samples / model.sample_rate
    count, crepe_hop = int(np.ceil(seconds / hop)), round(hop * RATE)
    if pitch is None:
        mono = mono_of(audio, sample_rate, model.sample_rate, excerpt)
        found = model.tracker.find(mono, len(model.sources), neck)
        track = PitchTrack(found.f0_hz[:, :count], found.onset[:, :count], hop)
    elif str(pitch) == CREPE:
        track = _from_f0(_melody(model, audio, sample_rate, crepe_hop, neck, excerpt), hop)
    elif Path(pitch).is_dir():
        f0 = [_track_file(Path(pitch), name, crepe_hop, count, excerpt) for name in model.sources]
        track = _from_f0(np.stack(f0), hop)
    else:
        track = _read_table(pitch, model.sources, hop, count, excerpt.start_seconds)
    track.check(model)
    if pitch is not None and not track.f0_hz.any():
        raise DdspZooError(
            f"Nothing in the pitch given by {pitch} is voiced: there is nothing to separate by."
        )
    return track


def check_neck(neck: Neck | None, model: Any) -> None:
    """Raises `DdspZooError` where a tuning or capo is given for a model of something else than guitar strings."""
    if neck is not None and tuple(model.sources) != tuple(GUITAR_STRINGS_HZ):
        raise DdspZooError(
            f"Tuning and capo are for models of guitar strings, and this one separates {', '.join(model.sources)}: "
            "leave them out."
        )


def digest_of_pitch(pitch: PitchTrack | str | Path | None) -> str:
    """Returns a text that differs for different pitches, as `find_pitch` takes them; the content of files counts."""
    if isinstance(pitch, PitchTrack):
        return hashlib.sha256(pitch.f0_hz.tobytes() + pitch.onset.tobytes()).hexdigest()
    if pitch is None or str(pitch) == CREPE:
        return str(pitch or "")
    known = isinstance(pitch, str | Path) and Path(pitch).exists()  # what is wrong is told when it is read
    return sha256_of(pitch) if known else ""


def _read_table(
    path: str | Path, sources: tuple[str, ...], hop_seconds: float, count: int, start_seconds: float
) -> PitchTrack:
    """An f0 CSV on ``count`` frames, the first of them at the start."""
    time, f0, onset = read_f0_csv(path, sources)
    if len(time) > 1 and (spacing := np.median(np.diff(time))) > COARSEST_SECONDS:
        raise DdspZooError(
            f"The lines of {path} are {spacing:g} s apart: give time_seconds in seconds, at least every "
            f"{COARSEST_SECONDS:g} s."
        )
    return PitchTrack.from_times(time - start_seconds, f0, onset, hop_seconds, count)


def _from_f0(f0_hz: np.ndarray, hop_seconds: float) -> PitchTrack:
    return PitchTrack(f0_hz, onsets_from_f0(f0_hz), hop_seconds)


def _melody(
    model: Any, audio: Any, sample_rate: int, hop: int, neck: Neck | None, excerpt: Excerpt
) -> np.ndarray:
    """f0 (S, N) of a single melody: of the only source, or laid on the strings of a guitar."""
    of_strings = tuple(model.sources) == tuple(GUITAR_STRINGS_HZ)
    if not of_strings and len(model.sources) > 1:
        raise DdspZooError(
            '"crepe" follows one melody: of a model of one source, or laid on the six strings of a guitar.'
        )
    f0_hz = track_f0(mono_of(audio, sample_rate, RATE, excerpt), hop)
    return assign_to_strings(f0_hz, neck or Neck()) if of_strings else f0_hz[None]


def mono_of(audio: Any, sample_rate: int, wanted_rate: int, excerpt: Excerpt) -> np.ndarray:
    """Returns a recording, as `find_pitch` takes it, or an excerpt of a file, in one channel at a rate: (T,)."""
    if isinstance(audio, (str, Path)):
        length = -1 if excerpt.seconds is None else excerpt.seconds
        channels = read_channels(audio, wanted_rate, excerpt.start_seconds, length)
    else:
        rows = np.atleast_2d(np.asarray(audio, dtype=np.float32))
        channels = soxr.resample(rows.T, sample_rate, wanted_rate).T
    return one_channel(torch.from_numpy(np.ascontiguousarray(channels))).numpy()


def _track_file(folder: Path, name: str, hop: int, count: int, excerpt: Excerpt) -> np.ndarray:
    """f0 (count,) of one source's own recording."""
    for suffix in (".wav", ".flac"):
        if (path := folder / f"{name}{suffix}").exists():
            f0 = track_f0(mono_of(path, RATE, RATE, excerpt), hop)[:count]
            return np.pad(f0, (0, count - len(f0)))
    raise DdspZooError(f"{folder} has no {name}.wav or {name}.flac: put one recording of each source there.")
