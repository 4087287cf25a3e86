"""The optimiser that everything is trained by."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

DECAY = 0.98  # of the learning rate at each step of its fall


@dataclass(frozen=True)
class Optimiser:
    """Builds Adam with a learning rate that falls in steps.

    Args:
        learning_rate: how far a step goes.
        weight_decay: how much of the weights is taken off in each step (L2, as in the papers).
        decay_every: steps between multiplications of the learning rate by 0.98; 0 keeps it constant.
        betas: shares of the past in the running means of the gradient and of its square.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    decay_every: int = 0
    betas: tuple[float, float] = (0.9, 0.999)

    def build(self, parameters: Iterable[nn.Parameter]) -> dict[str, Any] | torch.optim.Optimizer:
        """Returns the optimiser of these parameters in the form that Lightning takes."""
        adam = torch.optim.Adam(
            parameters, lr=self.learning_rate, weight_decay=self.weight_decay, betas=tuple(self.betas)
        )
        if not self.decay_every:
            return adam
        decay = torch.optim.lr_scheduler.StepLR(adam, self.decay_every, gamma=DECAY)
        return {"optimizer": adam, "lr_scheduler": {"scheduler": decay, "interval": "step"}}
