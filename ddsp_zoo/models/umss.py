"""UMSS: singers of one choir, each as vocal folds, breath and vocal tract (Schulze-Forster et al. 2022)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from ddsp_zoo.dsp.harmonic_ls import fit_windows, harmonic_least_squares
from ddsp_zoo.learning.losses import MultiScaleSpectralLoss
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.gru import GRU
from ddsp_zoo.networks.mixture_encoder import MixtureEncoder, SourceDecoder
from ddsp_zoo.pitch.multipitch import MultiPitch
from ddsp_zoo.separation.masks import by_channel, shared_rest
from ddsp_zoo.sources import QUARTET
from ddsp_zoo.synths.source_filter import SourceFilter


class Umss(Separator):
    """Separates voices, one per source, told apart by their f0 alone; 5 573 961 parameters for any number of voices.

    Args:
        sources: names of the voices, high to low.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts.
        supervised: compare each voice with its target; else only their sum with the mixture.
        masked_weight: weight of the masked voices' error in dB, where supervised; 0 as in the papers.
        phase_locked: cut voices out of the mixture by harmonic least squares and masks, instead of masks alone.
        filtering: "samplewise" carries the vocal tract's state on; "framewise" as the authors' code.
        optimiser: how it learns.
        masks: exponent and window of the masks.
        tracks_pitch: hold a `MultiPitch` as ``tracker``, trained apart, that finds the pitches where none are given.
        tracked_voices: its ``most_voices``.
        heard_again: its ``heard_again``.
    """

    needs_pitch = True
    any_voices = True

    def __init__(
        self,
        sources: tuple[str, ...] = QUARTET,
        sample_rate: int = 16000,
        segment_seconds: float = 4.0,
        supervised: bool = False,
        masked_weight: float = 0.0,
        phase_locked: bool = False,
        filtering: Literal["samplewise", "framewise"] = "samplewise",
        optimiser: Optimiser = Optimiser(learning_rate=1e-4, weight_decay=1e-5),
        masks: Masks = Masks(),
        tracks_pitch: bool = False,
        tracked_voices: int | None = None,
        heard_again: int = 0,
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
        self.synth = SourceFilter(sample_rate, self.hop_samples, filtering=filtering)
        bands = self.synth.controls.controls[-1].channels
        self.encoder = MixtureEncoder(hop=self.hop_samples)
        self.decoder = SourceDecoder(self.synth.controls.channels - bands)
        self.breath = GRU(512, bands)
        self.loss, self.error_weight = MultiScaleSpectralLoss(), masked_weight
        self.phase_locked = phase_locked
        if tracks_pitch:
            about = {"most_voices": tracked_voices, "heard_again": heard_again}
            self.tracker = MultiPitch(QUARTET, sample_rate, self.hop_samples, **about)
            self.tracker.requires_grad_(False)
        self.save_hyperparameters()

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts from (B, T) and f0 (B, S, N): -> (B, S, N, 63); the breath has one colour for the whole excerpt."""
        hidden = self.decoder.refine(
            self.decoder.hidden(self.decoder.from_mixture(self.encoder(audio)), f0_hz)
        )
        _, last = self.breath(hidden.flatten(0, 1))
        colour = last[0].view(*hidden.shape[:2], 1, -1).expand(-1, -1, hidden.shape[2], -1)
        return torch.cat([self.decoder.head(hidden), colour], dim=-1)

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        """Returns the stems for each exponent, see `Separator.masked_each`; they sum to the mixture.

        With ``phase_locked`` two ways are gone, and their mean is given, because their errors differ. In both the
        harmonics are fitted to each channel, and what they leave over is shared by masks. One takes levels and masks
        from the network; the other, with a shorter window, from the fit itself.
        """
        if not self.phase_locked:
            return super().masked_each(mixture, rendered, powers)
        f0_hz = rendered.controls["f0_hz"][..., 0]
        short, long = fit_windows(self.sample_rate)
        pitch, prior = (f0_hz, self.sample_rate, self.hop_samples), self.expected_partials(rendered)
        learned = by_channel(mixture, lambda x: harmonic_least_squares(x, *pitch, **prior, windows=(long,)))
        found = by_channel(mixture, lambda x: harmonic_least_squares(x, *pitch, windows=(short,)))
        left = super().masked_each(mixture - learned.sum(1), rendered, powers)
        return [
            (learned + own + shared_rest(mixture, found, power, self.mask_fft, self.hop_samples)) / 2
            for power, own in zip(powers, left)
        ]

    def expected_partials(self, rendered: Rendered) -> dict[str, Tensor]:
        """Returns what the network says of each harmonic and of the breath: the prior and the noise of the fit."""
        controls = rendered.controls
        breath = self.synth.breath_magnitudes(controls).square().sum(1) / 3  # uniform noise has variance 1/3
        return {"prior": self.synth.partial_variance(controls), "noise": breath}
