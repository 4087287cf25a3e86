"""Separating by the name of a model."""

from typing import Any

from ddsp_zoo.api import ladder
from ddsp_zoo.api.result import Separation
from ddsp_zoo.models.voices import with_voices
from ddsp_zoo.zoo.loading import load


def separate(
    model: Any, audio: Any, sample_rate: int | None = None, voices: Any = None, **options: Any
) -> Separation:
    """Separates a recording by a model, or by the name of one that `load` knows; see `api.ladder.separate`.

    ``voices`` is for models of choirs: how many there are, or what they are called, see `models.voices.with_voices`.
    """
    known = load(model) if isinstance(model, str) else model
    fitted = known if voices is None else with_voices(known, voices)
    return ladder.separate(fitted, audio, sample_rate, **options)
