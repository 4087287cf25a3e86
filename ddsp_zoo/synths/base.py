"""What every synthesiser offers: declared controls, `constrain`, `render`."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.synths.control import Controls, ControlSet


class Sound(NamedTuple):
    """Rendered audio (B, S, T), and the part of it that holds no filtered noise (B, S, T)."""

    audio: Tensor
    tonal: Tensor


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
    def render(self, controls: Controls, generator: torch.Generator | None = None) -> Sound:
        """Controls {name: (B, S, N, k)} -> audio (B, S, N * hop)."""

    def power_spectra(self, controls: Controls, tonal: Tensor, n_fft: int) -> Tensor:
        """Expected |STFT|^2 of the sources, hop as the controls': -> (B, S, F, N + 1).

        Expected: where a synthesiser plays filtered noise, its filter counts and not one draw of the noise,
        whose spectrum has random holes that would all go into a mask.
        """
        spectrum = stft(tonal, n_fft, self.hop)
        return spectrum.real.square() + spectrum.imag.square()
