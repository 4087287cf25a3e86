"""Names of sources and splits that more than one part of the package knows."""

from typing import Literal

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")

REST = "rest"  # all that the other sources of a model do not cover; modelled for the masks, never given out

BAND = ("bass", "drums", "guitar", "other")  # what models of bands may separate beside the rest

QUARTET = ("soprano", "alto", "tenor", "bass")  # of a choir, high to low

GUITAR_STRINGS_HZ = {"E2": 82.41, "A2": 110.0, "D3": 146.83, "G3": 196.0, "B3": 246.94, "E4": 329.63}

UNPITCHED = ("drums",)  # sources that have no melody to read off
