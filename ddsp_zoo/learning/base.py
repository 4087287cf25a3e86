"""Chooses what learners are built on: Lightning's module, or PyTorch's alone in a process that only separates.

`import lightning` takes seconds, since it brings torchmetrics, transformers and the compiler of PyTorch along. The
commands that train nothing set DDSP_ZOO_INFERENCE=1 and do without; anybody's script may do the same.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ddsp_zoo.settings.inference import only_inference


class InferenceModule(nn.Module):
    """Stands in for `LightningModule` where no trainer will ever see the model."""

    _trainer = None

    @property
    def device(self) -> torch.device:
        """Returns where the weights are; the CPU for a model without."""
        held = next(self.parameters(), None)
        held = next(self.buffers(), None) if held is None else held
        return torch.device("cpu") if held is None else held.device

    def save_hyperparameters(self, *names: Any, **options: Any) -> None:
        """Keeps nothing: settings are kept for checkpoints, and only what was trained is written into one."""


if TYPE_CHECKING or not only_inference():
    from lightning import LightningModule as Module
else:
    Module = InferenceModule

__all__ = ["InferenceModule", "Module"]
