"""What everything that is trained shares: its optimiser, and checkpoints from which it can be built again."""

from typing import Any

import lightning as L
import torch

from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.settings.build import class_path_of, plain


class Learner(L.LightningModule):
    """A LightningModule whose checkpoints hold plain values and name its class, whoever runs the training.

    A subclass calls `save_hyperparameters` at the end of its constructor.

    Args:
        optimiser: how it learns.
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
