"""Finds out how many voices there are in a recording of a choir."""

from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import WHOLE, Excerpt
from ddsp_zoo.files.f0_csv import sources_in
from ddsp_zoo.models.voices import with_voices
from ddsp_zoo.pitch.given import CREPE, mono_of
from ddsp_zoo.pitch.track import PitchTrack


def for_recording(
    model: Any, audio: Any, sample_rate: int | None, pitch: Any, excerpt: Excerpt = WHOLE
) -> Any:
    """Returns a model fitted to the voices of a recording, where their number is open; else the model as it is.

    Given pitch says how many there are, and a table what they are called; else the model's tracker counts them. The
    arguments are those of `find_pitch`. Raises `DdspZooError` where nothing tells the number.
    """
    if not getattr(model, "open_number", False):
        return model
    if isinstance(pitch, PitchTrack):
        return with_voices(model, len(pitch.f0_hz))
    if pitch is not None and str(pitch) == CREPE:
        return with_voices(model, 1)
    if pitch is not None and Path(pitch).is_dir():
        raise DdspZooError(f"The files in {pitch} may be more than voices: name these, with commas between.")
    if pitch is not None:
        return with_voices(model, sources_in(pitch))
    if model.tracker is None:
        raise DdspZooError(
            "This model has no tracker that could count voices: say how many there are, or give pitch."
        )
    mono = mono_of(audio, sample_rate or model.sample_rate, model.sample_rate, excerpt)
    return with_voices(model, model.tracker.count(mono))
