"""Playing of controls: the same sound now and from a file, in one piece and in many."""

from collections.abc import Sequence

import numpy as np
import torch

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.separation.result import LOUDEST
from ddsp_zoo.synths.base import RenderState, Sound, Synth
from ddsp_zoo.synths.control import Controls

LARGEST_SEED = 1 << 63


class Player:
    """Plays a stream of controls piece by piece.

    Every source has noise of its own, which follows from the seed and its place among the model's sources, so that it
    sounds the same with and without the others.

    Args:
        synth: the synthesiser.
        seed: of the noise.
        places: of the sources that are played, among all of the model.
        probed: give as tonal what the expected spectra are taken from, see `Synth.probe`.
    """

    def __init__(self, synth: Synth, seed: int, places: Sequence[int], probed: bool = False) -> None:
        self._synth, self._state, self._probed, self._probe_state = synth, None, probed, None
        self._generators = [_generator(seed, place) for place in places]
        self._probe_generators = [_generator(seed, place, side) for side in (1, 2) for place in places]

    def __call__(self, controls: Controls, last: bool) -> Sound:
        """Plays the next frames {name: (S, n, k)}: audio and tonal (S, [K,] T), which may come some frames later.

        Raises `DdspZooError` where the sound is not finite.
        """
        state: RenderState | None = self._state
        batch = {name: value[None] for name, value in controls.items()}
        sound = self._synth.render(batch, self._generators, state, last)
        self._state = sound.state
        if not (sound.audio.abs() < LOUDEST).all():
            raise DdspZooError(
                f"{type(self._synth).__name__} diverged: what it plays is no longer finite. Take a model "
                "without ranges of its own or an earlier checkpoint, or undo the last edit."
            )
        probe = None
        if self._probed:
            probe = self._synth.probe(batch, self._probe_generators, self._probe_state, last)
        self._probe_state = probe and probe.state
        return Sound(sound.audio[0], (probe or sound).tonal[0])


def _generator(seed: int, *place: int) -> torch.Generator:
    """A source of noise that has nothing in common with those of other seeds and places."""
    if not (isinstance(seed, (int, np.integer)) and 0 <= seed < LARGEST_SEED):
        raise DdspZooError(f"The seed is a whole number from 0 to 2**63, not {seed!s:.30}: give another one.")
    mixed = np.random.SeedSequence([seed, *place]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))
