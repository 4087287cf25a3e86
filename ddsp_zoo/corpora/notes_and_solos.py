"""Joins notes whose controls are known and real solos, for the second stage of inverse synthesis."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track
from ddsp_zoo.corpora.rendered.synthetic_notes import SyntheticNotes
from ddsp_zoo.corpora.solo import SoloRecordings
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.settings.build import call
from ddsp_zoo.settings.old import modern
from ddsp_zoo.sources import Split

KNOWN = "notes_known"


class NotesAndSolos(StemDataModule):
    """Trains on `SyntheticNotes` and `SoloRecordings` by turns; validates and tests on the recordings.

    Beside what these have, a training example tells by ``notes_known`` whether its controls are; those of a recording
    are zeros.

    Args:
        root: folder of the recordings.
        train: patterns of the names of recordings, as in `SoloRecordings`.
        test: of those that are tested on.
        validation: of those that are validated on.
        held_out: share at the end of training recordings, where no others are validated on.
        crepe_model: that finds the pitch of recordings: tiny, or full.
        notes: settings of `SyntheticNotes` other than its own defaults.
        excerpts: how recordings and notes are cut into batches.
        variation: how excerpts of recordings are changed at random.
    """

    def __init__(
        self,
        root: str,
        train: Sequence[str] = ("*",),
        test: Sequence[str] = (),
        validation: Sequence[str] = (),
        held_out: float = 0.15,
        crepe_model: Literal["tiny", "full"] = "tiny",
        notes: dict | None = None,
        excerpts: Excerpts = Excerpts(examples_per_epoch=400),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        self.solos = SoloRecordings(root, train, test, validation, held_out, crepe_model, excerpts, variation)
        self.notes = call(SyntheticNotes, {"excerpts": excerpts} | modern(notes or {}, SyntheticNotes))

    def feed(self, model: Any, split: Split | None = None) -> "NotesAndSolos":
        """Shapes the batches for a model, see `StemDataModule.feed`."""
        for part in (self.solos, self.notes):
            part.feed(model)
        return super().feed(model, split)

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Prepares the recordings of these splits."""
        self.solos.prepare(splits)

    def tracks(self, split: Split) -> list[Track]:
        """Returns the recordings of a split."""
        return self.solos.tracks(split)

    def setup(self, stage: str) -> None:
        """Finds the recordings of a stage, and puts notes between those of training."""
        super().setup(stage)
        if "train" in self.datasets:
            self.notes.setup(stage)
            self.datasets["train"] = ByTurns(self.notes.datasets["train"], self.datasets["train"])


class ByTurns(Dataset):
    """Takes examples of notes and of recordings by turns, in the form that the notes have."""

    def __init__(self, notes: Any, solos: Any) -> None:
        self.notes, self.solos = notes, solos
        self.random_excerpts = len(solos)

    @property
    def seed(self) -> int:
        """Returns the seed that both are drawn by."""
        return self.solos.seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self.notes.seed = self.solos.seed = seed

    def __len__(self) -> int:
        return len(self.solos)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        notes = self.notes[index]
        if index % 2 == 0:
            return notes | {KNOWN: torch.tensor(1.0)}
        unknown = {name: torch.zeros_like(value) for name, value in notes.items()}
        return unknown | self.solos[index] | {KNOWN: torch.tensor(0.0)}
