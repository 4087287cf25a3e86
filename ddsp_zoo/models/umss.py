"""UMSS: singers of one choir, each as vocal folds, breath and vocal tract (Schulze-Forster et al. 2022)."""

from typing import Literal

import torch
from torch import Tensor

from ddsp_zoo.dsp.harmonic_ls import harmonic_least_squares
from ddsp_zoo.losses import MultiScaleSpectralLoss, error_db
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.networks.gru import GRU
from ddsp_zoo.networks.mixture_encoder import MixtureEncoder, SourceDecoder
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.synths.source_filter import SourceFilter

QUARTET = ("soprano", "alto", "tenor", "bass")


class Umss(Separator):
    """One voice per source, told apart by their f0 alone; 5 573 961 parameters for any number of voices.

    Args:
        sources: names of the voices, high to low.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts.
        supervised: compare each voice with its target; else only their sum with the mixture.
        masked_weight: weight of the masked voices' error in dB, where supervised; 0 as in the papers.
        phase_locked: cut voices out of the mixture by harmonic least squares and masks, instead of masks alone.
        filtering: "samplewise" carries the vocal tract's state on; "framewise" as the authors' code.
        learning_rate: of Adam.
        weight_decay: of Adam.
        decay_every: steps between multiplications of the learning rate by 0.98; 0 keeps it constant.
        mask_power: exponent of the soft masks, 1 as in the papers.
        mask_fft: window of the masks' STFT in samples.
    """

    needs_pitch = True

    def __init__(
        self, sources: tuple[str, ...] = QUARTET, sample_rate: int = 16000, segment_seconds: float = 4.0,
        supervised: bool = False, masked_weight: float = 0.0, phase_locked: bool = False,
        filtering: Literal["samplewise", "framewise"] = "samplewise",
        learning_rate: float = 1e-4, weight_decay: float = 1e-5, decay_every: int = 0,
        mask_power: float = 1.0, mask_fft: int = 2048,
    ) -> None:  # fmt: skip
        super().__init__(
            sources, sample_rate, 256, segment_seconds, supervised, learning_rate, weight_decay, decay_every,
            mask_power, mask_fft,
        )  # fmt: skip
        self.synth = SourceFilter(sample_rate, self.hop_samples, filtering=filtering)
        bands = self.synth.controls.controls[-1].channels
        self.encoder = MixtureEncoder(hop=self.hop_samples)
        self.decoder = SourceDecoder(self.synth.controls.channels - bands)
        self.breath = GRU(512, bands)
        self.loss, self.masked_weight = MultiScaleSpectralLoss(), masked_weight
        self.phase_locked = phase_locked
        self.save_hyperparameters()

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """(B, T) and f0 (B, S, N) -> (B, S, N, 63); the colour of the breath is one for the whole excerpt."""
        hidden = self.decoder.refine(
            self.decoder.hidden(self.decoder.from_mixture(self.encoder(audio)), f0_hz)
        )
        _, last = self.breath(hidden.flatten(0, 1))
        colour = last[0].view(*hidden.shape[:2], 1, -1).expand(-1, -1, hidden.shape[2], -1)
        return torch.cat([self.decoder.head(hidden), colour], dim=-1)

    def losses(self, rendered: Rendered, targets: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        """The papers' loss of the synthesised voices, and the error of the masked ones."""
        parts = super().losses(rendered, targets, mixture)
        if self.supervised and self.masked_weight:
            parts["masked"] = self.masked_weight * error_db(self.masked(mixture, rendered), targets, mixture)
        return parts

    def masked(self, mixture: Tensor, rendered: Rendered, power: float | None = None) -> Tensor:
        """Stems cut out of the mixture (B, T) or (B, C, T), which they sum to: -> (B, S, [C,] T).

        With ``phase_locked`` the harmonics are fitted to each channel and only what they leave over is masked.
        """
        if not self.phase_locked:
            return super().masked(mixture, rendered, power)
        channels = mixture.unbind(1) if mixture.ndim == 3 else [mixture]
        voices = torch.stack([self.fitted_harmonics(channel, rendered) for channel in channels], dim=2)
        voices = voices if mixture.ndim == 3 else voices[:, :, 0]
        return voices + super().masked(mixture - voices.sum(1), rendered, power)

    def given_controls(self, rendered: Rendered, stems: Tensor) -> Controls:
        """The controls, with the line spectral frequencies in Hz, (B, S, N, 20)."""
        lsf_hz = rendered.controls["lsf"] * self.sample_rate / (2 * torch.pi)
        return {"lsf_hz": lsf_hz} | {name: x for name, x in rendered.controls.items() if name != "lsf"}

    def fitted_harmonics(self, mixture: Tensor, rendered: Rendered) -> Tensor:
        """The voices' harmonics with the levels of the network and the phases of the mixture (B, T): -> (B, S, T).

        Harmonic least squares, f0 moved to where the partials really lie; its prior is what the network says of each
        harmonic and of the breath.
        """
        synth, controls = self.synth, rendered.controls
        noise = synth.breath_magnitudes(controls).square().sum(1) / 3  # uniform noise has variance 1/3
        prior = synth.partial_variance(controls)
        f0_hz = controls["f0_hz"][..., 0]
        return harmonic_least_squares(mixture, f0_hz, self.sample_rate, self.hop_samples, prior, noise)
