"""Corpora: one DataModule a file, all on `StemDataModule`; `registry` knows them by name."""

from ddsp_zoo.corpora.base import StemDataModule, Track
from ddsp_zoo.corpora.registry import (
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
)

__all__ = [
    "ChoralSingingDataset",
    "GuitarSet",
    "JoinedChoirs",
    "MusicDelta",
    "RenderedBand",
    "RenderedChoir",
    "RenderedStrings",
    "Slakh2100",
    "StemDataModule",
    "StemFolder",
    "Track",
    "make",
]
