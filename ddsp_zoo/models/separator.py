"""The base of every model: mixture -> features -> network -> controls -> synthesiser -> sources."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.learning.losses import error_db
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.pitch.multipitch import MultiPitch
from ddsp_zoo.pitch.string_tracker import StringTracker
from ddsp_zoo.separation.masks import apply_masks, single_mask, spectral_shares
from ddsp_zoo.separation.result import LOUDEST, Rendered
from ddsp_zoo.sources import REST, check_names
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, Controls

QUIETEST_PEAK = 1e-4  # -80 dB: quieter examples are not lifted any further


class Separator(Learner):
    """Turns a mixture into synthesised sources; works with a Trainer and without.

    A subclass sets ``synth`` and ``loss``, writes `raw_controls` and saves its hyper-parameters, from which a
    checkpoint is built again; everything else is shared. ``sources`` are named in the order of the axis S; one
    called "rest" stands for all that the others do not cover.

    Args:
        sources: names of the sources.
        sample_rate: rate of all audio in Hz.
        hop_samples: distance of control frames in samples.
        segment_seconds: length of the excerpts that the model is trained on and separates by.
        supervised: compare each source with its target, or only the sum of all with the mixture.
        optimiser: how it learns.
        masks: exponent and window of the soft masks.
    """

    needs_pitch = False
    name, weights_sha256 = "", ""  # what it was loaded as
    any_voices = False  # whether its sources are the voices of a choir, of which there may be any number
    open_number = False  # whether there are as many of them as the recording has
    only: tuple[str, ...] = ()  # the sources that are asked for, where not all of them are
    heard: tuple[Control, ...] = ()  # what `hear` finds
    error_weight = 0.0  # of the masked sources' error in dB, where supervised
    synth: Synth | None  # None for a model that only cuts stems out
    loss: nn.Module

    def __init__(
        self,
        sources: tuple[str, ...],
        sample_rate: int,
        hop_samples: int,
        segment_seconds: float,
        supervised: bool,
        optimiser: Optimiser = Optimiser(),
        masks: Masks = Masks(),
    ) -> None:
        super().__init__(optimiser)
        self.sources = tuple(sources)
        check_names(self.sources)
        self.sample_rate, self.hop_samples = sample_rate, hop_samples
        self.segment_samples = round(segment_seconds * sample_rate)
        if self.segment_samples % hop_samples:
            raise DdspZooError(
                f"A segment of {segment_seconds} s is {self.segment_samples} samples, which is not a whole number "
                f"of control frames of {hop_samples} samples: change segment_seconds or hop_samples."
            )
        self.supervised = supervised
        self.mask_power, self.mask_fft = masks.power, masks.fft or 8 * hop_samples
        self.expected_masks = masks.expected
        # Finds the pitches in the mixture where none are given.
        self.tracker: MultiPitch | StringTracker | None = None

    @abstractmethod
    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts from audio (B, T) of peak 1 and pitch (B, S, N): -> raw controls (B, S, N, channels)."""

    def forward(
        self,
        audio: Tensor,
        f0_hz: Tensor | None = None,
        onset: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendered:
        """Synthesises the sources of a mixture.

        audio (B, T), and for models with ``needs_pitch`` f0_hz (Hz, 0 = unvoiced) and onset (B, S, N), with
        N = T / hop_samples. The network hears the mixture at peak 1; the result has the mixture's level again,
        controls included. Raises `DdspZooError` where pitch is needed and missing, or of another length, and where the
        result is not finite.
        """
        return self._play(self.predict_controls(audio, f0_hz, onset), generator, self.expected_masks)

    def _play(self, controls: Controls, generator: torch.Generator | None, probed: bool) -> Rendered:
        """Synthesises controls, and once more for the masks where the synthesiser asks for that."""
        with torch.autocast(self.device.type, enabled=False):
            sound = self.synth.render(controls, generator)
            self.check_finite(sound.audio)
            probe = self.synth.probe(controls, generator) if probed else None
            return Rendered(sound.audio, controls, (probe or sound).tonal)

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Predicts what `forward` has the synthesiser play: {name: (B, S, N, k)}."""
        self._check(audio, f0_hz, onset)
        level = self.level_of(audio)
        raw = self.raw_controls(audio / level[:, None], f0_hz, onset)
        self.check_finite(raw)
        with torch.autocast(audio.device.type, enabled=False):  # frequencies and feedback need full precision
            controls = self.synth.scale(self.synth.constrain(raw.float()), level)
        if f0_hz is not None:
            controls |= {"f0_hz": f0_hz[..., None], "onset": onset[..., None]}
        return controls

    def level_of(self, mixture: Tensor) -> Tensor:
        """Returns the peak of each mixture (B, ..., T), which it is divided by to be heard: -> (B, ...)."""
        return mixture.detach().abs().amax(-1).clamp(min=QUIETEST_PEAK)

    def hearing(self, mixture: Tensor) -> Tensor:
        """Returns what the network hears of a mixture (B, C, T): one channel (B, T)."""
        return one_channel(mixture)

    def masked(self, mixture: Tensor, rendered: Rendered, power: float | None = None) -> Tensor:
        """Cuts stems out of the mixture: (B, T) or (B, C, T) -> (B, S, [C,] T).

        Soft masks from the expected spectra of the synthesised sources, with exponent ``power`` or the model's; a
        model of a single source compares it with the mixture instead, and what is left is the residual.
        """
        return self.masked_each(mixture, rendered, (self.mask_power if power is None else power,))[0]

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        """Returns `masked` for each of several exponents; what does not depend on them is computed once.

        This is what a subclass overrides that cuts its stems out in another way.
        """
        window = {"n_fft": self.mask_fft, "hop": self.hop_samples}
        return [apply_masks(mixture, mask, **window) for mask in self.masks(mixture, rendered, powers)]

    def masks(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> Iterator[Tensor]:
        """Yields the masks (B, S, F, N) that `masked_each` cuts by."""
        window = {"n_fft": self.mask_fft, "hop": self.hop_samples}
        if len(self.sources) == 1:
            mono = one_channel(mixture) if mixture.ndim == 3 else mixture
            return (single_mask(rendered.sources, mono, power, **window) for power in powers)
        spectra = self.synth.power_spectra(rendered.controls, rendered.tonal, self.mask_fft)
        return (spectral_shares(spectra, power) for power in powers)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of a batch; the noise follows from the step, so that a resumed run repeats it."""
        return self._step(batch, "train", self.generator_of_step())

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of a batch; the noise of the synthesiser is the same at every validation."""
        return self._step(batch, "validation", torch.Generator().manual_seed(batch_index))

    def test_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of a batch."""
        return self._step(batch, "test", torch.Generator().manual_seed(batch_index))

    def terms(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the named terms of the loss of a batch, whose mixtures are brought to peak 1 first.

        A batch may say which of its sources are ``known`` (B, S), for a model that learns from such batches too.
        """
        level = self.level_of(batch["mixture"])[:, None]
        mixture, targets = batch["mixture"] / level, batch["sources"] / level[:, None]
        known = {"known": batch["known"]} if "known" in batch else {}
        return self.losses(self._rendered(mixture, batch, generator), targets, mixture, **known)

    def _step(self, batch: dict[str, Tensor], stage: str, generator: torch.Generator) -> Tensor:
        loss = self.logged_loss(self.terms(batch, generator), stage, len(batch["mixture"]))
        self.check_finite(loss)
        return loss

    def _rendered(self, mixture: Tensor, batch: dict[str, Tensor], generator: torch.Generator) -> Rendered:
        """What the losses are taken of."""
        return self(mixture, batch.get("f0_hz"), batch.get("onset"), generator)

    def losses(self, rendered: Rendered, targets: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        """Returns named terms whose sum is minimised: the synthesised sources' loss, and the masked ones' error."""
        if not self.supervised:
            return {"spectral": self.loss(rendered.sources.sum(1), mixture)}
        parts = {"spectral": self.loss(rendered.sources, targets)}
        if self.error_weight:
            parts["masked"] = self.error_weight * error_db(self.masked(mixture, rendered), targets, mixture)
        return parts

    def adapt_weights(self, weights: dict[str, Tensor], sources: tuple[str, ...]) -> dict[str, Tensor]:
        """Returns weights of a model of the same class and other ``sources``, adapted to this one where possible."""
        return weights

    @property
    def targets(self) -> tuple[str, ...]:
        """Returns the sources that are given out: all but the rest, or ``only`` some."""
        return tuple(name for name in self.sources if name != REST and name in (self.only or self.sources))

    @property
    def declared(self) -> dict[str, Control]:
        """Returns every control that is given out beside the audio, by name."""
        return {control.name: control for control in (*self.synth.controls, *self.heard)}

    @property
    def rows(self) -> list[int]:
        """Returns the places of the targets among the sources."""
        return [self.sources.index(name) for name in self.targets]

    def stems(self, mixture: Tensor, rendered: Rendered) -> Tensor:
        """Returns `masked` of the targets alone: (B, C, T) -> (B, targets, C, T)."""
        return self.masked(mixture, rendered)[:, self.rows]

    def cut(self, mixture: Tensor, rendered: Rendered) -> tuple[Tensor, Controls]:
        """Returns `stems` (B, targets, C, T), and what is heard in them, see `hear`."""
        stems = self.stems(mixture, rendered)
        return stems, self.hear(one_channel(stems)) if self.heard else {}

    def hear(self, stems: Tensor) -> Controls:
        """Returns what can be read off mono stems (B, targets, T), {name: (B, targets, N, k)}."""
        return {}

    def separate(self, audio: Any, sample_rate: int | None = None, **options: Any) -> Any:
        """Separates an array or a file: see `ddsp_zoo.api.ladder.separate`, which this calls."""
        from ddsp_zoo.api.ladder import separate

        return separate(self, audio, sample_rate, **options)

    def check_finite(self, values: Tensor) -> None:
        """Raises `DdspZooError` where values have diverged."""
        if not (values.abs() < LOUDEST).all():
            raise DdspZooError(
                f"{type(self).__name__} diverged: its controls, its sound or its loss are no longer finite. Where "
                "model.ranges is given, leave it out; else lower the learning rate, or take an earlier checkpoint."
            )

    def _check(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> None:
        if audio.ndim != 2 or audio.shape[-1] % self.hop_samples or not audio.shape[-1]:
            raise DdspZooError(
                f"The model takes audio (batch, samples) in whole frames of {self.hop_samples} samples, "
                f"got shape {tuple(audio.shape)}; `separate` takes any length."
            )
        if not self.needs_pitch:
            return
        if f0_hz is None or onset is None:
            raise DdspZooError(f"{type(self).__name__} needs the pitch of each source: pass f0_hz and onset.")
        expected = (len(audio), len(self.sources), audio.shape[-1] // self.hop_samples)
        if f0_hz.shape != expected or onset.shape != expected:
            raise DdspZooError(
                f"f0_hz and onset must have shape (batch, sources, frames) = {expected}, "
                f"got {tuple(f0_hz.shape)} and {tuple(onset.shape)}."
            )
        if not (f0_hz.isfinite() & (f0_hz >= 0)).all():
            raise DdspZooError("f0_hz must be finite: give Hz, and 0 where a source rests.")
