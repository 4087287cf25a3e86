"""Separating by the name of a model."""

from typing import Any

from ddsp_zoo.api import ladder
from ddsp_zoo.api.result import Separation
from ddsp_zoo.zoo.loading import load


def separate(model: Any, audio: Any, sample_rate: int | None = None, **options: Any) -> Separation:
    """Separates a recording by a model, or by the name of one that `load` knows; see `api.ladder.separate`."""
    return ladder.separate(load(model) if isinstance(model, str) else model, audio, sample_rate, **options)
