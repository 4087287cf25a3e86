"""The optimiser that all models are trained by."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn


def decaying_adam(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    decay_every: int = 0,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
) -> dict[str, Any] | torch.optim.Optimizer:
    """Returns Adam in the form that Lightning takes, with L2 as in the papers.

    Its learning rate is multiplied by 0.98 every ``decay_every`` steps; 0 keeps it constant. ``betas`` are the shares
    of the past in its running means of the gradient and of its square.
    """
    adam = torch.optim.Adam(parameters, lr=learning_rate, weight_decay=weight_decay, betas=tuple(betas))
    if not decay_every:
        return adam
    decay = torch.optim.lr_scheduler.StepLR(adam, decay_every, gamma=0.98)
    return {"optimizer": adam, "lr_scheduler": {"scheduler": decay, "interval": "step"}}
