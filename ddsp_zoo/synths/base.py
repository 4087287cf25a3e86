"""What every synthesiser offers: declared controls, `constrain`, `render`."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from ddsp_zoo.synths.control import Controls, ControlSet


class Synth(ABC):
    """A differentiable synthesiser without weights.

    Frames come every ``hop`` samples at ``sample_rate``; N frames render N * hop samples.
    """

    controls: ControlSet
    level_controls: tuple[str, ...]  # the controls that scale with the level of the signal

    def __init__(self, sample_rate: int, hop: int) -> None:
        self.sample_rate, self.hop = sample_rate, hop

    def constrain(self, raw: Tensor) -> Controls:
        """Raw network outputs (B, S, N, channels) -> controls in range, {name: (B, S, N, k)}."""
        return self.controls.constrain(raw)

    def scale(self, controls: Controls, level: Tensor) -> Controls:
        """The same sound ``level`` (B,) times as loud: every synthesiser is linear in its level controls."""
        level = level[:, None, None, None]
        return {k: v * level if k in self.level_controls else v for k, v in controls.items()}

    @abstractmethod
    def render(self, controls: Controls, generator: torch.Generator | None = None) -> Tensor:
        """Controls {name: (B, S, N, k)} -> audio (B, S, N * hop)."""
