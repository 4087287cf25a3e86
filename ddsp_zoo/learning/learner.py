"""The base class of everything that is trained: its checkpoints hold what is needed to build it again."""

import os
from typing import Any

import torch
from torch import Tensor

from ddsp_zoo.learning.base import Module
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.learning.resuming import reopen_epoch
from ddsp_zoo.settings.build import class_path_of, plain

SEED = "seed"  # of a run, in its checkpoints


class Learner(Module):
    """Writes checkpoints that hold plain values and name their class, whoever runs the training.

    All that is drawn in training follows from the seed, the step and the process, so that a resumed run repeats it. A
    subclass calls `save_hyperparameters` at the end of its constructor.
    """

    _seed: int | None = None  # of the run that goes on

    def __init__(self, optimiser: Optimiser = Optimiser()) -> None:
        super().__init__()
        self.optimiser = optimiser

    @property
    def seed(self) -> int:
        """Returns the seed of the run: that of `seed_everything`, 0 without, and of a resumed run its first one."""
        return int(os.environ.get("PL_GLOBAL_SEED", 0)) if self._seed is None else self._seed

    def generator_of_step(self) -> torch.Generator:
        """Returns the random numbers of a training step on the CPU."""
        return torch.Generator().manual_seed(self._seed_of_step())

    def on_train_batch_start(self, batch: Any, batch_index: int) -> None:
        """Begins the random numbers of the step, which dropout draws from."""
        torch.manual_seed(self._seed_of_step())

    def logged_loss(
        self, parts: dict[str, Tensor], stage: str, examples: int, beside: dict[str, Tensor] | None = None
    ) -> Tensor:
        """Returns the sum of the parts of a loss, and logs it, each of them and what is named beside, under a stage."""
        loss = torch.stack(list(parts.values())).sum()
        named = {
            f"{stage}/{name}": value for name, value in (parts | {"loss": loss} | (beside or {})).items()
        }
        self.log_dict(named, prog_bar=True, batch_size=examples, sync_dist=stage != "train")
        return loss

    def _seed_of_step(self) -> int:
        processes = 1 if self._trainer is None else self.trainer.world_size
        return (self.seed << 32) + self.global_step * processes + self.global_rank

    def configure_optimizers(self) -> dict[str, Any] | torch.optim.Optimizer:
        """Returns Adam with a falling learning rate, see `Optimiser`."""
        return self.optimiser.build(self.parameters())

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the settings as plain values, because no checkpoint is read that holds others, and the seed."""
        settings = plain(checkpoint.get("hyper_parameters", {}))
        settings.setdefault("_class_path", class_path_of(type(self)))
        checkpoint["hyper_parameters"] = settings
        checkpoint[SEED] = self.seed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on with the seed of a run, where it was stopped."""
        if self._trainer is not None and self.trainer.state.fn == "fit":
            reopen_epoch(checkpoint)
            self._seed = checkpoint.get(SEED)
