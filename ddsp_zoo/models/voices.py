"""Fits a model of choirs to other voices than it was trained with: it hears one pitch per voice."""

import copy
from collections.abc import Sequence
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import MOST_VOICES, QUARTET, check_names, numbered, voices_from_the_top

AUTO = "auto"
LETTERS = {part[0].upper(): part for part in QUARTET}
HOW = f"a number from 1 to {MOST_VOICES}, letters of SATB such as SSAA, names with commas between, or {AUTO}"


def voice_names(voices: int | str | Sequence[str]) -> tuple[str, ...]:
    """Returns the names of voices, high to low: of 3, of "SSA" (soprano1, soprano2, alto), of "high,low", or of names.

    Raises `DdspZooError` for what names no voices, or more than eight.
    """
    text = voices.strip() if isinstance(voices, str) else voices
    if isinstance(text, str) and text.isdecimal():
        text = int(text)
    if isinstance(text, int) and 1 <= text <= MOST_VOICES:
        return voices_from_the_top(text)
    if isinstance(text, str) and text and set(text) <= set(LETTERS) and len(text) <= MOST_VOICES:
        return numbered([LETTERS[letter] for letter in sorted(text, key=list(LETTERS).index)])
    named = isinstance(text, str) and ("," in text or text in QUARTET)
    if named or (isinstance(text, Sequence) and not isinstance(text, str)):
        names = tuple(str(name).strip() for name in (text.split(",") if named else text))
        if 1 <= len(names) <= MOST_VOICES:
            check_names(names)
            return names
    raise DdspZooError(f"The voices {voices!r:.60} are none of a choir: give {HOW}.")


def with_voices(model: Any, voices: int | str | Sequence[str]) -> Any:
    """Returns the same model, its weights shared, for other voices.

    Args:
        model: a model of choirs.
        voices: what `voice_names` takes; or "auto": as many as each recording has.

    Raises:
        DdspZooError: for voices that are none, and for a model of something else than choirs.
    """
    if not getattr(model, "any_voices", False):
        raise DdspZooError(
            f"{getattr(model, 'name', '') or type(model).__name__} is no model of choirs, whose voices could be "
            "chosen: leave them out, or take umss_4v."
        )
    fitted = copy.copy(model)
    fitted.open_number = voices == AUTO
    if not fitted.open_number:
        # Named as the only ones too, so that a result tells which they were.
        fitted.sources = fitted.only = voice_names(voices)
        fitted._hparams = type(model.hparams)(model.hparams | {"sources": list(fitted.sources)})
    return fitted
