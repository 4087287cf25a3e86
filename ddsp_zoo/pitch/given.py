"""The pitch that a user has for a recording, in the forms in which users have it."""

from pathlib import Path
from typing import Any

import numpy as np
import soxr

from ddsp_zoo.audio import read_mono
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.controls import read_f0_csv
from ddsp_zoo.pitch.assignment import assign_to_strings
from ddsp_zoo.pitch.crepe import RATE, track_f0
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

CREPE = "crepe"


def find_pitch(
    pitch: str | Path | None, model: Any, audio: Any, sample_rate: int, seconds: float
) -> PitchTrack:
    """The pitch track of a recording on a model's frames.

    Args:
        pitch: an f0 CSV (columns ``time_seconds,<source>,…``), or a folder with one recording of each source
            (``<source>.wav``, tracked by CREPE), or "crepe" to track the recording itself as a single melody.
        model: whose sources and frames are meant.
        audio: the recording: an array (T,) or (channels, T) at ``sample_rate``, or a file.
        sample_rate: of an array, in Hz.
        seconds: length of the recording.

    Raises:
        DdspZooError: no pitch given, something missing or unreadable, or nothing voiced in it.
    """
    names = ", ".join(model.sources)
    if pitch is None:
        raise DdspZooError(
            f"This model needs the pitch of each source ({names}): pass --pitch with an f0 CSV "
            f"(columns time_seconds,{names.replace(' ', '')}), a folder with one recording of each source, "
            'or "crepe" if the recording is a single melody.'
        )
    hop = model.hop_samples / model.sample_rate
    count, crepe_hop = int(np.ceil(seconds / hop)), round(hop * RATE)
    if str(pitch) == CREPE:
        track = _from_f0(_melody(model, audio, sample_rate, crepe_hop), hop)
    elif Path(pitch).is_dir():
        f0 = [_track_file(Path(pitch), name, crepe_hop, count) for name in model.sources]
        track = _from_f0(np.stack(f0), hop)
    else:
        time, f0, onset = read_f0_csv(pitch, model.sources)
        track = PitchTrack.from_times(time, f0, onset, hop, count)
    if not track.f0_hz.any():
        raise DdspZooError(
            f"Nothing in the pitch given by {pitch} is voiced: there is nothing to separate by."
        )
    return track


def _from_f0(f0_hz: np.ndarray, hop_seconds: float) -> PitchTrack:
    return PitchTrack(f0_hz, onsets_from_f0(f0_hz), hop_seconds)


def _melody(model: Any, audio: Any, sample_rate: int, hop: int) -> np.ndarray:
    """f0 (S, N) of a single melody laid on the strings of a guitar."""
    if tuple(model.sources) != tuple(GUITAR_STRINGS_HZ):
        raise DdspZooError('"crepe" follows one melody and can only lay it on the six strings of a guitar.')
    if isinstance(audio, (str, Path)):
        mono = read_mono(audio, RATE)
    else:
        mono = np.atleast_2d(np.asarray(audio, dtype=np.float32)).mean(0)
        mono = soxr.resample(mono, sample_rate, RATE)
    return assign_to_strings(track_f0(mono, hop))


def _track_file(folder: Path, name: str, hop: int, count: int) -> np.ndarray:
    """f0 (count,) of one source's own recording."""
    for suffix in (".wav", ".flac"):
        if (path := folder / f"{name}{suffix}").exists():
            f0 = track_f0(read_mono(path, RATE), hop)[:count]
            return np.pad(f0, (0, count - len(f0)))
    raise DdspZooError(f"{folder} has no {name}.wav or {name}.flac: put one recording of each source there.")
