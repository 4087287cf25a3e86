"""The trackers whose tablature is compared."""

from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.tab import HOP, RATE, Tracker
from ddsp_zoo.pitch.assignment import assign_to_strings
from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.pitch.string_tracker import StringTracker
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0
from ddsp_zoo.sources import GUITAR_STRINGS_HZ


def learned_tracker(name: str, checkpoint: str | Path | None) -> Tracker:
    """Returns the tracker of a `StringTracker`'s checkpoint, or of a model of strings that has one.

    Raises `DdspZooError` where there is none.
    """
    from ddsp_zoo import zoo
    from ddsp_zoo.models import MODELS

    loaded: Any = zoo.load(name, checkpoint=checkpoint, kind=(StringTracker, *MODELS))
    tracker = loaded if isinstance(loaded, StringTracker) else loaded.tracker
    if not isinstance(tracker, StringTracker):
        raise DdspZooError(
            f"{name} does not find the pitch of guitar strings: name a model or checkpoint that does."
        )
    return lambda audio: tracker.find(audio, len(GUITAR_STRINGS_HZ))


def melody_tracker(audio: np.ndarray) -> PitchTrack:
    """Returns what CREPE hears in audio (T,) at 16 kHz, a single melody, laid on the strings."""
    from ddsp_zoo.pitch.crepe import track_f0

    f0_hz = assign_to_strings(track_f0(audio, HOP), Neck())
    return PitchTrack(f0_hz, onsets_from_f0(f0_hz), HOP / RATE)
