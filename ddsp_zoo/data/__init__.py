"""Corpora: one DataModule a file, all on `StemDataModule`; `registry` knows them by name."""

from ddsp_zoo.data.base import StemDataModule, Track
from ddsp_zoo.data.registry import (
    ChoralSingingDataset,
    GuitarSet,
    JoinedChoirs,
    MusicDelta,
    RenderedBand,
    RenderedChoir,
    RenderedStrings,
    Slakh2100,
    StemFolder,
    make,
)  # fmt: skip

__all__ = [
    "ChoralSingingDataset", "GuitarSet", "JoinedChoirs", "MusicDelta", "RenderedBand", "RenderedChoir",
    "RenderedStrings", "Slakh2100", "StemDataModule", "StemFolder", "Track", "make",
]  # fmt: skip
