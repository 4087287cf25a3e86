"""The data of a separation, and what made it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, Controls

Named = dict[str, np.ndarray]


LOUDEST = 1e12  # what is above has diverged, even before its square overflows


class Rendered(NamedTuple):
    """Holds what a model makes of a mixture.

    sources: synthesised audio (B, S, T).
    controls: what they are synthesised from, {name: (B, S, N, k)}.
    tonal: the sources without their filtered noise (B, S, T), or what `Synth.probe` gave (B, S, K, T).
    """

    sources: Tensor
    controls: Controls
    tonal: Tensor


@dataclass(frozen=True)
class Maker:
    """Holds what made the controls of a separation, and what plays them.

    model: name of the model, or of its class where it was not loaded by name.
    weights_sha256: of the file with its weights, empty where there is none.
    version: of this package.
    sources: all sources of the model in order; a source's place decides its noise.
    sample_rate: of the model and its synthesiser in Hz.
    hop_samples: samples of a frame of controls.
    seed: of the synthesiser's noise.
    declared: every control that is given out, by name.
    synth: the synthesiser, None for a model that only cuts stems out of the mixture.
    neck: tuning and capo of a guitar, None where nobody named them.
    full_db: by source, the level of velocity 127, where an edit keeps it though the loudest note has changed.
    """

    model: str
    weights_sha256: str
    version: str
    sources: tuple[str, ...]
    sample_rate: int
    hop_samples: int
    seed: int
    declared: dict[str, Control]
    synth: Synth | None
    neck: Neck | None = None
    full_db: dict[str, float] | None = None

    @property
    def rate_hz(self) -> float:
        """Returns the number of control frames a second."""
        return self.sample_rate / self.hop_samples


@dataclass
class Separated:
    """Holds what a model made of a recording, or of a piece of one, at the recording's own rate.

    mixture: (channels, T).
    stems: masked sources, {name: (channels, T)}; they keep the mixture's phase and level.
    synthesised: the same sources as the synthesiser plays them, {name: (1, T)}.
    residual: the mixture less all stems (channels, T), so that stems and residual sum to the mixture.
    controls: {name: {control: (N, k)}} every 1 / control_rate_hz seconds; ``f0_hz`` is (N,).
    maker: what made it.
    recording_sha256: of the file or the samples that were separated, empty where unknown.
    is_edit: whether a source is no longer what was heard in the recording; the mixture is then that of the edits.
    """

    mixture: np.ndarray
    stems: Named
    synthesised: Named
    residual: np.ndarray
    controls: dict[str, Named]
    sample_rate: int
    maker: Maker
    recording_sha256: str = ""
    is_edit: bool = False

    @property
    def control_rate_hz(self) -> float:
        """Returns the number of control frames a second."""
        return self.maker.rate_hz

    @property
    def samples(self) -> int:
        """Returns the length of the recording."""
        return self.mixture.shape[-1]

    @classmethod
    def join(cls, pieces: "list[Separated]") -> "Separated":
        """Returns consecutive pieces of one recording as one."""
        first = pieces[0]

        def along(part: str) -> Named:
            return {s: np.concatenate([getattr(p, part)[s] for p in pieces], -1) for s in first.stems}

        return cls(
            mixture=np.concatenate([p.mixture for p in pieces], -1),
            stems=along("stems"),
            synthesised=along("synthesised"),
            residual=np.concatenate([p.residual for p in pieces], -1),
            controls={
                s: {name: np.concatenate([p.controls[s][name] for p in pieces]) for name in named}
                for s, named in first.controls.items()
            },
            sample_rate=first.sample_rate,
            maker=first.maker,
            recording_sha256=first.recording_sha256,
            is_edit=first.is_edit,
        )
