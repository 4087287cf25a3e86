"""Names of sources and splits that more than one part of the package knows."""

from collections.abc import Sequence
from typing import Literal

from ddsp_zoo.errors import DdspZooError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

REST = "rest"  # all that the other sources of a model do not cover; modelled for the masks, never given out

BAND = ("bass", "drums", "guitar", "other")  # what models of bands may separate beside the rest

QUARTET = ("soprano", "alto", "tenor", "bass")  # of a choir, high to low

MOST_VOICES = 8  # of a choir

GUITAR_STRINGS_HZ = {"E2": 82.41, "A2": 110.0, "D3": 146.83, "G3": 196.0, "B3": 246.94, "E4": 329.63}

UNPITCHED = ("drums",)  # sources that have no melody to read off

RESIDUAL = "residual"  # what no stem covers: it lies beside them, so no source can be called that


def voices_from_the_top(count: int) -> tuple[str, ...]:
    """Returns names for so many voices of a choir that are known by nothing but their order: voice1, voice2, …."""
    return tuple(f"voice{place + 1}" for place in range(count))


def numbered(parts: Sequence[str]) -> tuple[str, ...]:
    """Returns a name for each voice of a choir: that of its part, with a number where several sing the same part."""
    parts = list(parts)
    return tuple(
        f"{part}{parts[: place + 1].count(part)}" if parts.count(part) > 1 else part
        for place, part in enumerate(parts)
    )


def check_names(sources: Sequence[str]) -> None:
    """Raises `DdspZooError` unless each source has a name of its own that can be the name of a file in a folder."""
    for name in sources:
        if not name.isprintable() or not name.strip(" ") or name[0] == "." or set(name) & set("/\\"):
            raise DdspZooError(
                f"A source cannot be called {name!r:.60}: its files are, so give it a plain name."
            )
        if name == RESIDUAL or list(sources).count(name) > 1:
            raise DdspZooError(f"Two files would be called {name!r:.60}: give each source a name of its own.")
