"""Checkpoints of training runs: each is written whole or not at all, and none is lost to a later run."""

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.settings.build import class_path_of
from ddsp_zoo.training.loggers import log_checkpoint


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside the one that it replaces, which is still there after an error such as a full disk.

    Raises `DdspZooError` where it cannot be written.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Writes one file; to a server as Lightning does."""
        if "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with replaced_when_done(path) as draft, draft.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())


class RunCheckpoint(ModelCheckpoint):
    """Remembers the best score of a run also where its folder has been moved."""

    @property
    def state_key(self) -> str:
        """Returns what its state is called in checkpoints, the same as its base's, which older ones were written by."""
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes over what was reached, if the best checkpoint lies where this run keeps its own."""
        before = str(state.get("dirpath"))
        if before != self.dirpath and all(
            self._here(path, before).is_file() for path in state["best_k_models"]
        ):
            paths = ("best_model_path", "kth_best_model_path", "last_model_path")
            state = state | {name: str(self._here(state[name], before)) for name in paths if state[name]}
            scores = {str(self._here(path, before)): score for path, score in state["best_k_models"].items()}
            state |= {"best_k_models": scores, "dirpath": self.dirpath}
        super().load_state_dict(state)

    def _here(self, path: str, before: str) -> Path:
        return Path(self.dirpath) / os.path.relpath(path, before)


class KeepArtifact(Callback):
    """Keeps the best checkpoint of a run in W&B once it has ended, see `log_checkpoint`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks for the checkpoint with the least validation loss, or the last one where nothing was validated."""
        runs = [logger.experiment for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        best, last = (callback.best_model_path for callback in _kept_by(trainer))
        if not runs or not trainer.is_global_zero or not (best or last):
            return
        about = {"class_path": class_path_of(type(pl_module)), "step": trainer.global_step}
        about |= {name: float(value) for name, value in trainer.callback_metrics.items()}
        for run in runs:
            log_checkpoint(run, best or last, self.name, about)


def _kept_by(trainer: Trainer) -> list[RunCheckpoint]:
    """The package's own callbacks, that of the best checkpoint first."""
    own = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, RunCheckpoint)]
    return sorted(own, key=lambda callback: callback.monitor is None)


class KeepEarlier(Callback):
    """Moves the checkpoints of an earlier run of the same name aside before a new one begins: to ``<folder>_1``, ….

    A run that goes on from one of them adds to them instead.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks for checkpoints, on one of the processes."""
        from_here = trainer.ckpt_path and Path(trainer.ckpt_path).resolve().parent == self.folder.resolve()
        if trainer.is_global_zero and not from_here and any(self.folder.glob("*")):
            number = 1
            while (aside := self.folder.with_name(f"{self.folder.name}_{number}")).exists():
                number += 1
            self.folder.rename(aside)
