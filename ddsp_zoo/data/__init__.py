"""Corpora: one DataModule a file, all on `StemDataModule`; `registry` knows them by name."""

from ddsp_zoo.data.base import StemDataModule, Track
from ddsp_zoo.data.registry import GuitarSet, RenderedBand, RenderedStrings, StemFolder, make

__all__ = ["GuitarSet", "RenderedBand", "RenderedStrings", "StemDataModule", "StemFolder", "Track", "make"]
