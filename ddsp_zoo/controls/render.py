"""Plays controls again: the sound that a separation gave as synthesised, or what an edit makes of it."""

from collections.abc import Mapping

import numpy as np
import torch

from ddsp_zoo.controls.check import check
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.separation.blocks import Resampler
from ddsp_zoo.separation.playing import Player
from ddsp_zoo.separation.result import Maker

FRAMES = 1024  # that are played at a time, so that memory does not grow with the length


def render(
    controls: Mapping[str, np.ndarray],
    source: str,
    maker: Maker,
    sample_rate: int,
    samples: int,
    seed: int | None = None,
) -> np.ndarray:
    """Plays the controls of one source: -> (1, samples) at the sample rate of the recording.

    Args:
        controls: {name: (N, k)} as in `Separated.controls`; what was heard in the stem is not needed.
        source: its name, one of the maker's.
        maker: what made the controls.
        sample_rate: of the recording, in Hz.
        samples: length of the recording.
        seed: of the noise; by default the one of the separation, with which unchanged controls give its synthesised
            source again.

    Raises:
        DdspZooError: a model that plays nothing, an unknown source, controls that are missing or out of range.
    """
    rows = rows_of(controls, source, maker)
    audio = _played(rows, maker, maker.sources.index(source), seed, sample_rate)[:, :samples]
    return np.pad(audio, ((0, 0), (0, samples - audio.shape[1])))


def rows_of(controls: Mapping[str, np.ndarray], source: str, maker: Maker) -> dict[str, torch.Tensor]:
    """Returns what a synthesiser plays of the controls of a source, {name: (1, N, k)}; errors as for `render`."""
    if maker.synth is None:
        raise DdspZooError(
            f"{maker.model} has no synthesiser, it only cuts sources out of a mixture: take its stems instead."
        )
    if source not in maker.sources:
        raise DdspZooError(f"There is no source {source!r}: choose one of {', '.join(maker.sources)}.")
    wanted = {name: control for name, control in maker.declared.items() if control.origin != "heard"}
    check({name: controls[name] for name in wanted if name in controls}, wanted, source, maker.rate_hz)
    return {
        name: torch.as_tensor(np.array(controls[name], dtype=np.float32)).reshape(1, -1, control.size)
        for name, control in wanted.items()
    }


@torch.inference_mode()
def _played(
    rows: dict[str, torch.Tensor], maker: Maker, place: int, seed: int | None, sample_rate: int
) -> np.ndarray:
    play = Player(maker.synth, maker.seed if seed is None else seed, [place])
    resample = Resampler(maker.sample_rate, sample_rate, 1)
    count, parts = next(iter(rows.values())).shape[1], []
    for start in range(0, max(count, 1), FRAMES):
        last = start + FRAMES >= count
        sound = play({name: value[:, start : start + FRAMES] for name, value in rows.items()}, last)
        parts.append(resample(sound.audio.numpy(), last))
    return np.concatenate(parts, axis=1)
