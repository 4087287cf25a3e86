"""Turns corpora on disk into batches: each is a DataModule on `StemDataModule`; `make` builds one from its name."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddsp_zoo.corpora.base import StemDataModule, Track
    from ddsp_zoo.corpora.registry import make

CORPORA = {  # by name, with the module that defines it
    "ChoralSingingDataset": "choral.corpus",
    "GuitarSet": "guitarset.corpus",
    "JoinedChoirs": "choral.joined",
    "MusicDelta": "music_delta",
    "NotesAndSolos": "notes_and_solos",
    "RenderedBand": "rendered.band",
    "RenderedChoir": "rendered.choir",
    "RenderedStrings": "rendered.strings",
    "ShardedStems": "sharded",
    "Slakh2100": "slakh.corpus",
    "SoloRecordings": "solo",
    "StemFolder": "folder",
    "StringResynthesisNotes": "rendered.prelim",
    "SyntheticNotes": "rendered.synthetic_notes",
}
_OTHERS = {"StemDataModule": "base", "Track": "base", "make": "registry"}
__all__ = ["StemDataModule", "Track", "make", *CORPORA]


def __getattr__(name: str) -> Any:
    """Imports a corpus when it is asked for."""
    if (home := (CORPORA | _OTHERS).get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
