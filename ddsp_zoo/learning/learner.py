"""What everything that is trained shares: its optimiser, and checkpoints from which it can be built again."""

from typing import Any

import lightning as L

from ddsp_zoo.settings.build import plain


class Learner(L.LightningModule):
    """A LightningModule whose checkpoints hold plain values and name its class, whoever runs the training.

    A subclass calls `save_hyperparameters` at the end of its constructor.
    """

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the settings as plain values, because no checkpoint is read that holds others."""
        settings = plain(checkpoint.get("hyper_parameters", {}))
        settings.setdefault("_class_path", f"{type(self).__module__}.{type(self).__qualname__}")
        checkpoint["hyper_parameters"] = settings
