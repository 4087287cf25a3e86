"""Chooses what learners are built on: Lightning's module, or PyTorch's alone in a process that only separates.

`import lightning` takes seconds, since it brings torchmetrics, transformers and the compiler of PyTorch along. The
commands that train nothing set DDSP_ZOO_INFERENCE=1 and do without; anybody's script may do the same.
"""

import inspect
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

    @property
    def hparams(self) -> dict[str, Any]:
        """Returns the settings that `save_hyperparameters` kept."""
        return self._hparams

    def save_hyperparameters(self, ignore: str = "") -> None:
        """Keeps the arguments of the constructors that are under way, but for the one to ignore."""
        self._hparams, frame = {}, inspect.currentframe().f_back
        while frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is self:
            names, _, rest, values = inspect.getargvalues(frame)
            given = {name: values[name] for name in names if name != "self"} | values.get(rest, {})
            self._hparams |= {name: value for name, value in given.items() if name != ignore}
            frame = frame.f_back


if TYPE_CHECKING or not only_inference():
    from lightning import LightningModule as Module
else:
    Module = InferenceModule

__all__ = ["InferenceModule", "Module"]
