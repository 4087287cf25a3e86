"""Models and music small enough for tests."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo import zoo
from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.models import AstDdsp, Rendered
from ddsp_zoo.synths.control import Control, Controls, given_notes

RATE, HOP = 8000, 128
SMALL = {
    "sources": ["bass", "rest"],
    "segment_seconds": 0.512,
    "bands": 16,
    "widths": [4, 4, 8, 8],
    "width": 24,
    "depth": 1,
    "heads": 1,
}


def tiny_ast(**settings: object) -> AstDdsp:
    """An untrained network of some twenty thousand weights, the same each time; segments of 32 frames."""
    torch.manual_seed(0)
    return AstDdsp(**(SMALL | settings)).eval()


def save_tiny_ast(folder: Path, **settings: object) -> Path:
    """A checkpoint folder of `tiny_ast`."""
    config = {"class_path": "ddsp_zoo.models.AstDdsp", "init_args": SMALL | settings}
    zoo.save_checkpoint(tiny_ast(**settings), folder, config)
    return folder


def music(frames: int, channels: int = 1, rate: int = RATE, seed: int = 0) -> np.ndarray:
    """Some notes and a little noise (channels, frames), peak below 1, different in each channel."""
    random = np.random.default_rng(seed)
    time = np.arange(frames) / rate
    notes = random.uniform(60, 900, (channels, 4, 1))
    audio = 0.15 * np.sin(2 * np.pi * notes * time).sum(1) + 0.05 * random.standard_normal((channels, frames))
    return audio.astype(np.float32)


class Mirror:
    """Stands in for a model: its only stem is the mixture, and it remembers what it was given.

    The control ``clock`` counts frames within a segment; ``loudest`` is the loudest sample of each frame.
    """

    sample_rate, hop_samples, segment_samples = RATE, HOP, 32 * HOP
    device = torch.device("cpu")
    tracker = synth = None

    def __init__(self, sources: tuple[str, ...] = ("all",), needs_pitch: bool = False) -> None:
        self.sources, self.needs_pitch = sources, needs_pitch
        self.targets = tuple(name for name in sources if name != "rest")
        self.rows = list(range(len(self.targets)))
        own = Control("loudest", "1", "loudest sample", role="level"), Control("clock", "1", "frame", high=32)
        self.declared = {control.name: control for control in (*own, *given_notes(RATE))}
        self.segments: list[Tensor] = []
        self.pitch: list[tuple[Tensor, Tensor]] = []

    def eval(self) -> "Mirror":
        return self

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        self.segments += list(audio)
        loudest = self.cut_out(audio, {}).abs().unflatten(-1, (-1, HOP)).amax(-1, keepdim=True)
        controls = {"loudest": loudest, "clock": torch.arange(loudest.shape[2])[:, None] + 0 * loudest}
        if f0_hz is not None:
            self.pitch += list(zip(f0_hz, onset, strict=True))
            controls |= {"f0_hz": f0_hz[..., None], "onset": onset[..., None]}
        return controls

    def hearing(self, mixture: Tensor) -> Tensor:
        return one_channel(mixture)

    def cut_out(self, mixture: Tensor, controls: Controls) -> Tensor:
        return mixture[:, None].expand(-1, len(self.sources), -1)

    def cut(self, mixture: Tensor, rendered: Rendered) -> tuple[Tensor, Controls]:
        return mixture[:, None].expand(-1, len(self.targets), *mixture.shape[1:]), {}
