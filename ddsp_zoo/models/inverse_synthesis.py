"""Inverse audio synthesis: the controls of a melody, learned from notes with known controls (Engel et al. 2020b)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddsp_zoo.dsp.scale import hz_to_unit
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.losses import MultiScaleSpectralLoss
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.learning.parameter_losses import consistency, line_spectrum, noise_distance, note_distances
from ddsp_zoo.models.ddsp_autoencoder import SoloModel
from ddsp_zoo.models.separator import QUIETEST_PEAK
from ddsp_zoo.networks.inverse import HarmonicEncoder, SinusoidalEncoder
from ddsp_zoo.synths.control import Control, Controls
from ddsp_zoo.synths.harmonic import HarmonicPlusNoise
from ddsp_zoo.synths.sinusoids import SinusoidsPlusNoise

RESTS_BELOW = 0.01  # of the loudest frame's amplitude: what is softer has no pitch
EVERY = 4  # frames, of which one has its sinusoids compared: its neighbours are like it
NEAR_BINS = 2  # to either side of the likeliest frequency, that a pitch is the mean of


@dataclass(frozen=True)
class TermWeights:
    """Weighs the terms of the loss; all but the first are of notes whose controls are known.

    Args:
        spectral: distance of what each synthesiser plays to the recording.
        consistency: of the sinusoids and the true partials, each way, and of their levels.
        amplitude: of the note.
        distribution: of its harmonics.
        f0: distance in semitones.
        bins: how likely the two bins beside the true pitch are, as in a classification; the source has no such term.
        noise: of the noise filter.
    """

    spectral: float = 1.0
    consistency: float = 0.1
    amplitude: float = 10.0
    distribution: float = 100.0
    f0: float = 1.0
    bins: float = 1.0
    noise: float = 100.0


class InverseSynthesis(SoloModel):
    """Finds pitch, harmonics and noise of a melody that is played alone.

    A sinusoidal encoder finds sinusoids and noise; a harmonic encoder, from which no gradient flows back, finds the
    note that they belong to. The note is what is given out; the sinusoids can be had by `analyse`.

    Args:
        sources: name of the one source.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts; 4 as published.
        sinusoids: free sinusoids; 100 as published.
        sinusoid_bins: frequencies that each of theirs is the expectation of; 64 as published.
        harmonics: of the note; 100 as published.
        noise_bands: points of the noise filter.
        pitch_bins: frequencies that the pitch is the expectation of.
        widths: maps of the convolutions, none for layers that read each frame alone; the published ResNet-38 is many
            times as large.
        blocks: residual blocks of each width.
        width: of the recurrent layer; 512 as published.
        weights: of the terms of the loss, by default those of the second stage.
        optimiser: how it learns.
    """

    def __init__(
        self,
        sources: tuple[str, ...] = ("melody",),
        sample_rate: int = 16000,
        segment_seconds: float = 4.0,
        sinusoids: int = 100,
        sinusoid_bins: int = 64,
        harmonics: int = 100,
        noise_bands: int = 65,
        pitch_bins: int = 128,
        widths: Sequence[int] = (),
        blocks: int = 1,
        width: int = 256,
        weights: TermWeights = TermWeights(),
        optimiser: Optimiser = Optimiser(learning_rate=3e-4),
    ) -> None:
        super().__init__(
            sources,
            sample_rate,
            hop_samples=512,
            segment_seconds=segment_seconds,
            supervised=True,
            optimiser=optimiser,
        )
        self._check_alone()
        if pitch_bins < 2:
            raise DdspZooError(f"A pitch is found among two pitch_bins or more, not {pitch_bins}.")
        grid = sample_rate, self.hop_samples
        self.sinusoids = SinusoidsPlusNoise(*grid, sinusoids, noise_bands, sinusoid_bins)
        self.synth = HarmonicPlusNoise(*grid, harmonics, noise_bands, pitch_bins=pitch_bins)
        self.noise_bands, self.weights = noise_bands, weights
        channels = self.sinusoids.controls.channels
        start = self.sinusoids.constrain(torch.zeros(1, 1, 1, channels))["frequency_hz"].flatten()
        place = self.sinusoids.controls.controls[0].channels
        self.sinusoidal = SinusoidalEncoder(*grid, channels, start, place, widths, blocks)
        self.harmonic = HarmonicEncoder(
            sample_rate / 2,
            sinusoids,
            noise_bands,
            self.synth.controls.channels - noise_bands,
            self._pitch,
            width,
        )
        self.loss = MultiScaleSpectralLoss()
        self.save_hyperparameters()

    def analyse(self, audio: Tensor) -> tuple[Controls, Tensor]:
        """Returns controls of the sinusoids, {name: (B, 1, N, k)}, and raw controls of the note (B, 1, N, channels).

        The note has the noise of the sinusoids.
        """
        raw = self.sinusoidal(audio)[:, None].float()
        found = self.sinusoids.constrain(raw)
        heard = (found[name][:, 0] for name in ("frequency_hz", "amplitude", "noise_magnitude"))
        note = self.harmonic(*heard)[:, None]
        level, pitch = note.split([note.shape[-1] - self._pitch.channels, self._pitch.channels], dim=-1)
        noise = raw[..., -self.noise_bands :] + self.sinusoids.controls.controls[-1].offset
        noise = noise - next(c.offset for c in self.synth.controls if c.name == "noise_magnitude")
        return found, torch.cat([level, noise, pitch], dim=-1)

    @property
    def _pitch(self) -> Control:
        return self.synth.controls.controls[-1]

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts from (B, T): -> (B, 1, N, channels)."""
        return self.near_peak(self.analyse(audio)[1])

    def near_peak(self, raw: Tensor) -> Tensor:
        """Returns raw controls (..., channels) whose pitch lies among the likeliest bins, not between rivals."""
        bins = raw[..., -self._pitch.channels :]
        far = (torch.arange(bins.shape[-1], device=raw.device) - bins.argmax(-1, keepdim=True)).abs()
        bins = torch.where(far <= NEAR_BINS, bins, bins.amin(-1, keepdim=True) - 100)
        return torch.cat([raw[..., : -bins.shape[-1]], bins], dim=-1)

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Predicts as `Separator` does; what is 40 dB softer than the loudest frame has no pitch."""
        controls = super().predict_controls(audio, f0_hz, onset)
        amplitude = controls["amplitude"]
        heard = amplitude > RESTS_BELOW * amplitude.amax(2, keepdim=True)
        return controls | {"f0_hz": torch.where(heard, controls["f0_hz"], 0)}

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Limits the gradient of each encoder by itself, since that of the one is far larger than the other's."""
        if gradient_clip_val:
            for encoder in (self.sinusoidal, self.harmonic):
                torch.nn.utils.clip_grad_norm_(encoder.parameters(), gradient_clip_val)

    def terms(self, batch: dict[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
        """Returns the named terms of the loss of a batch, whose mixtures are brought to peak 1 first.

        Where a batch has the controls of its notes (see `SyntheticNotes`), these are compared; ``notes_known`` (B,)
        tells in which examples, all of them by default.
        """
        level = batch["mixture"].abs().amax(-1).clamp(min=QUIETEST_PEAK)
        mixture = batch["mixture"] / level[:, None]
        sinusoids, raw = self.analyse(mixture)
        note = self.synth.constrain(raw.float())
        terms = self._spectral(sinusoids, note, mixture, generator) if self.weights.spectral else {}
        known = batch.get("notes_known", torch.ones_like(level)) > 0
        if "note_f0_hz" in batch and known.any():
            true = {k: batch[k][known] for k in batch if k.startswith("note_") or k == "noise_magnitude"}
            bins = raw[known][:, 0, :, -self._pitch.channels :]
            found = [{k: v[known][:, 0] for k, v in named.items()} for named in (sinusoids, note)]
            terms |= self._of_notes(*found, bins, true, level[known])
        weighed = {name: getattr(self.weights, name.split("_")[0]) for name in terms}
        return {name: weighed[name] * value for name, value in terms.items() if weighed[name]}

    def _spectral(
        self, sinusoids: Controls, note: Controls, mixture: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        with torch.autocast(mixture.device.type, enabled=False):
            sounds = [
                synth.render(controls, generator).audio
                for synth, controls in ((self.sinusoids, sinusoids), (self.synth, note))
            ]
        names = ("spectral_sinusoids", "spectral_note")
        return {name: self.loss(audio, mixture[:, None]) for name, audio in zip(names, sounds)}

    def _of_notes(
        self, sinusoids: Controls, note: Controls, bins: Tensor, true: dict[str, Tensor], level: Tensor
    ) -> dict[str, Tensor]:
        """Distances of what was found (B, N, k) to the notes of `SyntheticNotes`, which are scaled as the audio is."""
        level = level[:, None]
        f0_hz, amplitude = true["note_f0_hz"][:, 0, 0], true["note_amplitude"][:, 0, 0] / level
        distribution, noise = true["note_distribution"][:, 0, 0], true["noise_magnitude"][:, 0]
        harmonics = note["harmonic_distribution"].shape[-1]
        self._check_notes(true, harmonics)
        lines = line_spectrum(f0_hz, amplitude, distribution, self.sample_rate)
        found = note["f0_hz"][..., 0], note["amplitude"][..., 0], self.synth.distribution(note)
        voiced = (f0_hz > 0).float()
        partials = [sinusoids[name][:, ::EVERY] for name in ("frequency_hz", "amplitude")]
        return note_distances(*found, f0_hz, amplitude, distribution) | {
            "consistency": consistency(*partials, *(line[:, ::EVERY] for line in lines)).mean(),
            "noise": noise_distance(sinusoids["noise_magnitude"], noise / level[..., None]),
            "bins": (voiced * self._surprise(bins, f0_hz)).sum() / voiced.sum().clamp(min=1),
        }

    def _surprise(self, bins: Tensor, f0_hz: Tensor) -> Tensor:
        """How little the two bins beside the true pitch were expected: logits (B, N, bins), f0 (B, N) -> (B, N)."""
        steps = torch.arange(bins.shape[-1], device=bins.device)
        share = (1 - (steps - self._place(f0_hz, len(steps))[..., None]).abs()).clamp(min=0)
        return -(share * bins.log_softmax(-1)).sum(-1)

    def _place(self, f0_hz: Tensor, bins: int) -> Tensor:
        """Where a pitch lies among the bins."""
        low, high = self._pitch.low, self._pitch.high
        return hz_to_unit(f0_hz.clamp(low, high), low, high) * (bins - 1)

    def _check_notes(self, true: dict[str, Tensor], harmonics: int) -> None:
        shape, bands = true["note_distribution"].shape, true["noise_magnitude"].shape[-1]
        if shape[2] != 1 or (shape[-1], bands) != (harmonics, self.noise_bands):
            raise DdspZooError(
                f"The notes have {shape[2]} voice(s), {shape[-1]} harmonics and {bands} noise bands: set data.voices "
                f"to 1, data.harmonics to {harmonics} and data.noise_bands to {self.noise_bands}, as in the model."
            )
