"""Guitar strings as Karplus-Strong loops whose controls a network predicts (thesis, chapter 5)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from ddsp_zoo.dsp.string import LoopFilter
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.losses import MultiScaleSpectralLoss
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.mixture_encoder import MixtureEncoder, SourceDecoder
from ddsp_zoo.networks.string_listener import StringListener, pool_notes
from ddsp_zoo.pitch.string_tracker import StringTracker
from ddsp_zoo.sources import GUITAR_STRINGS_HZ
from ddsp_zoo.synths.base import RenderState, detached
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.synths.karplus_strong import Clip, Excitation, KarplusStrong


class KarplusStrongStrings(Separator):
    """Separates strings as experiments A to D of the thesis do: one network, and a string model from the recipe.

    By default experiment B4: excitation gain, loop damping and excitation dynamics of each string, every 16 ms.

    Args:
        sources: the strings, low to high.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts.
        predicts: the controls that the network predicts; the synthesiser fixes the others.
        loop_filter: "one_pole" as in series A, "one_zero" as in series B to D.
        excitation: "burst" at each onset, or never-ending "noise" (experiment C2).
        hold_pitch: keep the pitch of an onset up to the next (experiment C1).
        clip: limit the string inside the loop (experiment B2.1), or its "feedback" alone (C2), see `KarplusStrong`.
        oversampling: rate of the string loop over the sample rate (2: 32 kHz, as in A2 and from series B on).
        listens: hear each string at its own partials and judge every note as a whole (`StringListener`), in place of
            the thesis's network.
        quirks: what the authors' code does otherwise, by name (see `ddsp_zoo.synths.string_controls.QUIRKS`).
        high_pass_hz: cutoff of a DC blocker in the loop; 0: none.
        chunk_seconds: hear, and be levelled to, so much at a time as the authors' code does, see `predict_controls`.
        ranges: ranges of controls as in the authors' code, by name.
        constants: values of what is not predicted, by name.
        burst_seed: of the one burst of the quirk "one_burst". As in the authors' code it is no part of a checkpoint:
            what is loaded plucks with that of seed 0.
        supervised: compare each string with its target; the thesis compares only the sum with the mixture.
        optimiser: how it learns.
        masks: exponent and window of the masks.
        tracks_pitch: hold a `StringTracker` as ``tracker``, trained apart, that finds the pitches where none are given.
    """

    needs_pitch = True

    def __init__(
        self,
        sources: tuple[str, ...] = tuple(GUITAR_STRINGS_HZ),
        sample_rate: int = 16000,
        segment_seconds: float = 2.0,
        predicts: tuple[str, ...] = ("excitation_gain", "damping", "dynamics"),
        loop_filter: LoopFilter = "one_zero",
        excitation: Excitation = "burst",
        hold_pitch: bool = False,
        clip: Clip = False,
        oversampling: int = 2,
        listens: bool = False,
        quirks: tuple[str, ...] = (),
        high_pass_hz: float = 0.0,
        chunk_seconds: float = 0.0,
        ranges: dict[str, tuple[float, float]] | None = None,
        constants: dict[str, float] | None = None,
        burst_seed: int = 0,
        supervised: bool = False,
        optimiser: Optimiser = Optimiser(learning_rate=1e-4, weight_decay=1e-5),
        masks: Masks = Masks(),
        tracks_pitch: bool = False,
    ) -> None:
        super().__init__(
            sources,
            sample_rate,
            hop_samples=256,
            segment_seconds=segment_seconds,
            supervised=supervised,
            optimiser=optimiser,
            masks=masks,
        )
        self.synth = KarplusStrong(
            sample_rate,
            self.hop_samples,
            predicts,
            loop_filter,
            excitation,
            hold_pitch,
            clip,
            oversampling,
            quirks,
            high_pass_hz,
            chunk_seconds,
            ranges,
            constants,
            burst_seed,
        )
        heads, self.quirks = self.synth.controls.channels, self.synth.quirks
        if listens:
            self.listener = StringListener(len(self.sources), heads, sample_rate, self.hop_samples)
        elif heads:
            self.encoder = MixtureEncoder(hop=self.hop_samples)
            self.decoder = SourceDecoder(heads)
        self.chunk = self.synth.group * self.hop_samples if self.synth.chunked else 0
        self._carried: RenderState | None = None  # of the quirk "carried_state"
        self._together = False  # whether the mixtures of a batch are levelled together
        self.loss, self.listens = MultiScaleSpectralLoss(), listens
        if tracks_pitch:
            self.tracker = StringTracker(self.sources, sample_rate, self.hop_samples).requires_grad_(False)
        self.save_hyperparameters(ignore="burst_seed")

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Predicts as `Separator` does; with ``chunk_seconds`` the mixture's level is taken a chunk at a time.

        What still rings is levelled with the new chunk.
        """
        if not self.chunk:
            return super().predict_controls(audio, f0_hz, onset)
        self._check(audio, f0_hz, onset)
        peaks = self.level_of(self._chunks(audio))
        level = peaks.repeat_interleave(self.chunk, dim=-1)[:, : audio.shape[-1]]
        controls = super().predict_controls(audio / level, f0_hz, onset)
        of_frames = level[:, None, :: self.hop_samples, None]
        return controls | {"output_level": controls["output_level"] * of_frames}

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts raw controls: audio (B, T) and f0 (B, S, N) -> (B, S, N, channels)."""
        if not self.synth.controls.channels:
            return f0_hz.new_zeros(*f0_hz.shape, 0)
        if self.listens:
            return pool_notes(self.listener(audio, f0_hz, onset).float(), onset)
        if not self.chunk:
            return self.decoder(self.encoder(audio), f0_hz)
        frames, pitch = f0_hz.shape[-1], self._chunks(f0_hz, self.hop_samples)  # (B, S, chunks, frames)
        raw = self.decoder(
            self.encoder(self._chunks(audio).flatten(0, 1)), pitch.transpose(1, 2).flatten(0, 1)
        )
        return raw.unflatten(0, (len(audio), -1)).transpose(1, 2).flatten(2, 3)[:, :, :frames]

    def _rendered(self, mixture: Tensor, batch: dict[str, Tensor], generator: torch.Generator) -> Rendered:
        """Renders for the losses, which read no masks; "carried_state" goes on where the batch before ended."""
        controls = self.predict_controls(mixture, batch.get("f0_hz"), batch.get("onset"))
        if "carried_state" not in self.quirks:
            return self._play(controls, generator, probed=False)
        if not self.chunk or self.segment_samples % self.chunk:
            raise DdspZooError(
                "Strings ring on from example to example only where these are whole chunks: give model.chunk_seconds, "
                "and model.segment_seconds of as much or a multiple of it; or leave carried_state out of model.quirks."
            )
        rows = len(mixture) * len(self.sources)
        fits = self._carried is not None and len(self._carried.sound.pitch) == rows
        with torch.autocast(self.device.type, enabled=False):
            sound = self.synth.render(controls, generator, self._carried if fits else None, last=False)
        self.check_finite(sound.audio)
        self._carried = detached(sound.state)
        return Rendered(sound.audio, controls, sound.tonal)

    def level_of(self, mixture: Tensor) -> Tensor:
        """Returns the peaks of mixtures (B, ..., T): -> (B, ...); those that are learned from may share the largest."""
        level = super().level_of(mixture)
        return level.amax(0, keepdim=True).expand_as(level) if self._together else level

    def terms(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Returns what `Separator.terms` does; with the quirk "shared_level" the batch has one peak."""
        self._together = "shared_level" in self.quirks
        try:
            return super().terms(batch, generator)
        finally:
            self._together = False

    def configure_optimizers(self) -> Any:
        """Returns Adam. Raises `DdspZooError` where nothing is predicted (experiment B0)."""
        if self.synth.controls.channels:
            return super().configure_optimizers()
        raise DdspZooError(
            "This model predicts nothing, so there is nothing to train: use it as it is, with `ddsp-zoo validate` in "
            "place of `fit`, or `ddsp-zoo evaluate`."
        )

    def _chunks(self, x: Tensor, per_frame: int = 1) -> Tensor:
        """Cuts the last axis in chunks, the last one padded: (..., T) -> (..., chunks, T')."""
        size = self.chunk // per_frame
        return pad(x, (0, -x.shape[-1] % size)).unflatten(-1, (-1, size))
