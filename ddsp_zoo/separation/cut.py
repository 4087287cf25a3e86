"""Stems cut out of a mixture by what a stream of controls sounds like."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.separation.playing import Player
from ddsp_zoo.separation.result import Rendered
from ddsp_zoo.synths.control import Controls

CONTEXT_SECONDS = 0.75  # heard on both sides of what is cut, so that its ends are as in the whole
PIECE = 8  # contexts that are cut at once

Piece = tuple[np.ndarray, np.ndarray, Controls]


class Cutter:
    """Plays the controls of consecutive chunks, and cuts stems as soon as enough is known of what follows."""

    def __init__(self, model: Any, seed: int) -> None:
        self.model, self.hop = model, model.hop_samples
        self.context = math.ceil(CONTEXT_SECONDS * model.sample_rate / model.hop_samples)
        self.seed = seed
        self._play: Player | None = None
        self._notes: Any = None
        self._known: dict[str, Tensor] = {}  # mixture, audio and tonal (rows, [K,] T)
        self._controls: Controls = {}
        self._done = 0  # frames of these that were given out already and serve as context

    @torch.inference_mode()
    def __call__(self, mixture: Tensor, controls: Controls, last: bool) -> Callable[[], Piece] | None:
        """Takes the next frames: mixture (C, n * hop), controls {name: (S, n, k)}.

        Returns what cuts the frames that are finished, or None where too few are: stems (targets, C, m * hop), their
        synthesised audio (targets, m * hop) and controls {name: (targets, m, k)}. The cutting may be done later, and in
        another thread.
        """
        self._take(mixture, controls, last)
        known = self._known["audio" if self.model.synth else "mixture"].shape[-1] // self.hop
        stop = known - (0 if last else self.context)
        if stop - self._done < (1 if last else PIECE * self.context):
            return None
        cut = partial(_cut, self.model, self._known, self._controls, known, slice(self._done, stop))
        self._forget(stop)
        return cut

    def _take(self, mixture: Tensor, controls: Controls, last: bool) -> None:
        new = {"mixture": mixture}
        if self.model.synth:
            places, probed = range(_rows(controls)), self.model.expected_masks
            self._play = self._play or Player(self.model.synth, self.seed, places, probed)
            sound = self._play(controls, last)
            new |= {"audio": sound.audio, "tonal": sound.tonal}
            controls, self._notes = self.model.synth.timed(controls, self._notes)
        self._known = {name: _after(self._known.get(name), value, -1) for name, value in new.items()}
        self._controls = {
            name: _after(self._controls.get(name), value, 1) for name, value in controls.items()
        }

    def _forget(self, stop: int) -> None:
        """Keeps what is not done, and what is needed before it."""
        start = max(stop - self.context, 0)
        self._known = {name: value[..., start * self.hop :] for name, value in self._known.items()}
        self._controls = {name: value[:, start:] for name, value in self._controls.items()}
        self._done = stop - start


@torch.inference_mode()
def _cut(model: Any, sounds: dict[str, Tensor], controls: Controls, known: int, frames: slice) -> Piece:
    """Cuts some frames by all that is known: so many frames of sounds (..., T) and controls (S, N, k)."""
    batch = {name: value[None, ..., : known * model.hop_samples] for name, value in sounds.items()}
    controls = {name: value[None, :, :known] for name, value in controls.items()}
    if not model.synth:
        batch["audio"] = batch["tonal"] = model.cut_out(one_channel(batch["mixture"]), controls)
    rendered = Rendered(batch["audio"], controls, batch["tonal"])
    stems, heard = model.cut(batch["mixture"], rendered)
    inside = slice(frames.start * model.hop_samples, frames.stop * model.hop_samples)
    own = {name: value[0, model.rows, frames] for name, value in controls.items()}
    own |= {name: value[0, :, frames] for name, value in heard.items()}
    return stems[0, ..., inside].cpu().numpy(), batch["audio"][0, model.rows, inside].cpu().numpy(), own


def _rows(controls: Controls) -> int:
    return len(next(iter(controls.values())))


def _after(before: Tensor | None, new: Tensor, axis: int) -> Tensor:
    return new if before is None else torch.cat([before, new], dim=axis)
