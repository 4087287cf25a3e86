"""Basic Pitch as a rival: the notes that its network hears in a recording of any instrument.

The network is run as the package gives it, by onnxruntime; how notes are read off it follows the package's defaults.
Source: Bittner et al. 2022, A Lightweight Instrument-Agnostic Model for Polyphonic Note Transcription (ICASSP).
"""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import soxr

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.tab import RATE, HeardNote, Tracker

PLACE = Path("saved_models", "icassp_2022", "nmp.onnx")  # in the package
NETWORK_RATE, HOP, WINDOW = 22050, 256, 43844  # Hz; samples of a frame and of what the network takes at once
EDGE = 15  # frames that do not count at either end of a window
LOWEST, PITCHES = 21, 88  # MIDI pitch of the first row, and how many there are
PLUCKED, SOUNDING = 0.5, 0.3  # what an onset and a frame have to reach
GAP, SHORTEST = 11, 11  # frames that end a note, and that it has to be longer than
LAGS = 2  # frames over which a rise is an onset too


def basic_pitch_tracker() -> Tracker:
    """Returns a function from audio (T,) at 16 kHz to the notes that are heard in it.

    Raises `DdspZooError` where basic-pitch or onnxruntime is missing.
    """
    spec = find_spec("basic_pitch")
    model = Path(spec.origin).parent / PLACE if spec and spec.origin else None
    try:
        import onnxruntime
    except ImportError:
        onnxruntime = None
    if model is None or not model.exists() or onnxruntime is None:
        raise DdspZooError(
            'Basic Pitch is not installed: `pip install --no-deps basic-pitch` and `pip install "ddsp-zoo[benchmark]"`.'
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def run(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        names = ["StatefulPartitionedCall:1", "StatefulPartitionedCall:2"]
        return tuple(session.run(names, {"serving_default_input_2:0": windows}))

    def track(audio: np.ndarray) -> list[HeardNote]:
        sounding, plucked = _posteriors(audio, run)
        return read_notes(sounding, plucked)

    return track


def _posteriors(
    audio: np.ndarray, run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """How likely each pitch sounds and begins, each (N, 88), from overlapping windows."""
    heard = soxr.resample(np.asarray(audio, np.float32), RATE, NETWORK_RATE)
    count, step = -(-len(heard) // HOP), WINDOW - 2 * EDGE * HOP
    heard = np.pad(heard, (EDGE * HOP, WINDOW))
    out = np.zeros((2, count, PITCHES))
    for start in range(0, count * HOP, step):
        parts = run(heard[None, start : start + WINDOW, None])
        for whole, part in zip(out, parts, strict=True):
            kept = part[0, EDGE:-EDGE]
            first = round(start / HOP)
            whole[first : first + len(kept)] = kept[: max(count - first, 0)]
    return out[0], out[1]


def read_notes(sounding: np.ndarray, plucked: np.ndarray) -> list[HeardNote]:
    """Reads notes (start and end in seconds, MIDI pitch) off two posteriors (N, 88).

    A note begins at a peak of the onsets, or of a rise of what sounds, and lasts until that is low for 11 frames. What
    then still sounds without an onset is followed to both sides from its loudest frame on. Semitones beside a note
    belong to it.
    """
    left, found = sounding.copy(), []
    plucked = np.maximum(plucked, _rises(sounding, plucked.max(initial=0)))
    peaks = np.zeros(plucked.shape, dtype=bool)
    middle = plucked[1:-1]
    peaks[1:-1] = (middle > plucked[:-2]) & (middle > plucked[2:]) & (middle >= PLUCKED)
    for start, row in np.argwhere(peaks)[::-1]:  # from the last one back, so that no note swallows the next
        stop = start + 1 + _lasts(left[start + 1 :, row])
        if stop - start > SHORTEST:
            found.append((start, stop, row))
            _clear(left, start, stop, row)
    while left.max(initial=0) > SOUNDING:
        middle, row = np.unravel_index(left.argmax(), left.shape)
        stop = middle + 1 + _lasts(left[middle + 1 :, row])
        start = middle - _lasts(left[:middle, row][::-1])
        _clear(left, start, stop, row)
        if stop - start > SHORTEST:
            found.append((start, stop, row))
    seconds = HOP / NETWORK_RATE
    return [
        (float(start) * seconds, float(stop) * seconds, float(LOWEST + row))
        for start, stop, row in sorted(found)
    ]


def _lasts(level: np.ndarray) -> int:
    """Frames until a level (N,) is low for `GAP` frames."""
    quiet = 0
    for frame, value in enumerate(level):
        quiet = quiet + 1 if value < SOUNDING else 0
        if quiet == GAP:
            return frame + 1 - GAP
    return len(level) - quiet


def _clear(left: np.ndarray, start: int, stop: int, row: int) -> None:
    """Takes a note and what it leaks to its neighbours away."""
    left[start:stop, max(row - 1, 0) : row + 2] = 0


def _rises(sounding: np.ndarray, most: float) -> np.ndarray:
    """How much each pitch rises within a frame and within two, the less of both, scaled to reach ``most``."""
    before = [np.pad(sounding, ((lag, 0), (0, 0)))[: len(sounding)] for lag in range(1, LAGS + 1)]
    rise = np.min([sounding - earlier for earlier in before], axis=0, initial=np.inf).clip(min=0)
    rise[:LAGS] = 0
    return rise * (most / max(rise.max(initial=0), 1e-9))
