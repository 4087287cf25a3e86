"""The base class of everything that is trained: its checkpoints hold what is needed to build it again."""

from typing import Any

import lightning as L
import torch

from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.settings.build import class_path_of, plain


class Learner(L.LightningModule):
    """Writes checkpoints that hold plain values and name their class, whoever runs the training.

    A subclass calls `save_hyperparameters` at the end of its constructor.
    """

    def __init__(self, optimiser: Optimiser = Optimiser()) -> None:
        super().__init__()
        self.optimiser = optimiser

    def configure_optimizers(self) -> dict[str, Any] | torch.optim.Optimizer:
        """Returns Adam with a falling learning rate, see `Optimiser`."""
        return self.optimiser.build(self.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the settings as plain values, because no checkpoint is read that holds others."""
        settings = plain(checkpoint.get("hyper_parameters", {}))
        settings.setdefault("_class_path", class_path_of(type(self)))
        checkpoint["hyper_parameters"] = settings
