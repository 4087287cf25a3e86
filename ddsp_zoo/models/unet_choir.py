"""The mask network that UMSS is measured against: a U-Net that is told the f0 of the voice it shall cut out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.unet import ConditionedUNet
from ddsp_zoo.separation.masks import apply_masks, shares
from ddsp_zoo.sources import QUARTET
from ddsp_zoo.synths.control import Control, Controls, given_notes

AS_PUBLISHED_SLOPE = 1.0  # the authors write LeakyReLU(True), where the first argument is the slope


class UNetChoir(Separator):
    """Masks each voice by a conditioned U-Net; nothing is synthesised, "synthesised" is the masked mixture.

    The sources go through the network one by one, along the batch; the loss is the mean absolute difference of
    magnitudes, as published.

    Args:
        sources: the voices, from high to low.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts.
        as_published_slope: rectifiers of the encoder with slope 1, that is none, as in the authors' code.
        optimiser: how it learns.
        masks: exponent of the masks in which the voices share the mixture, and the window of the network.
    """

    needs_pitch = True
    any_voices = True
    synth = None

    def __init__(
        self,
        sources: tuple[str, ...] = QUARTET,
        sample_rate: int = 16000,
        segment_seconds: float = 4.0,
        as_published_slope: bool = False,
        optimiser: Optimiser = Optimiser(weight_decay=1e-5),
        masks: Masks = Masks(fft=1024),
    ) -> None:
        super().__init__(
            sources,
            sample_rate,
            hop_samples=256,
            segment_seconds=segment_seconds,
            supervised=True,
            optimiser=optimiser,
            masks=masks,
        )
        slope = AS_PUBLISHED_SLOPE if as_published_slope else 0.2
        self.network = ConditionedUNet(self.mask_fft // 2 + 1, slope)
        self.save_hyperparameters()

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts from (B, T) and f0 (B, S, N): -> masks (B, S, N + 1, F)."""
        magnitude = stft(audio, self.mask_fft, self.hop_samples).abs()
        magnitude = magnitude[:, None].expand(-1, len(self.sources), -1, -1).flatten(0, 1)
        f0_hz = torch.cat([f0_hz, f0_hz[..., -1:]], dim=-1).flatten(0, 1)
        masks = self.network(magnitude, f0_hz).unflatten(0, (-1, len(self.sources)))
        return masks.transpose(2, 3)

    def forward(
        self,
        audio: Tensor,
        f0_hz: Tensor | None = None,
        onset: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendered:
        """Cuts the sources out of a mixture: arguments, errors and shapes as in `Separator.forward`.

        The controls are the mask of each source (B, S, N + 1, F) and the pitch it was given.
        """
        self._check(audio, f0_hz, onset)
        controls = {"mask": self.raw_controls(audio, f0_hz, onset)}
        controls |= {"f0_hz": f0_hz[..., None], "onset": onset[..., None]}
        sources = self.cut_out(audio, controls)
        return Rendered(sources, controls, sources)

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Predicts as `Separator` does; the mask (B, S, N, F) lacks the frame at the end of the audio."""
        controls = self(audio, f0_hz, onset).controls
        return controls | {"mask": controls["mask"][:, :, :-1]}

    def cut_out(self, mixture: Tensor, controls: Controls) -> Tensor:
        """Returns what the masks alone let through of a mixture (B, T): (B, S, T)."""
        return apply_masks(mixture, self._masks(mixture, controls), self.mask_fft, self.hop_samples)

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        """Returns the stems for each exponent, in proportion to the masks, which then sum to one."""
        masks, window = self._masks(mixture, rendered.controls), (self.mask_fft, self.hop_samples)
        return [apply_masks(mixture, shares(masks**power), *window) for power in powers]

    def _masks(self, mixture: Tensor, controls: Controls) -> Tensor:
        """The masks as apply_masks takes them, (B, S, F, N + 1): the last frame is held where there are only N."""
        mask = controls["mask"].transpose(2, 3)
        missing = mixture.shape[-1] // self.hop_samples + 1 - mask.shape[-1]
        return torch.cat([mask, mask[..., -1:].expand(*mask.shape[:-1], missing)], dim=-1)

    def losses(self, rendered: Rendered, targets: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        """Returns the mean absolute difference of masked and true magnitudes."""
        window = (self.mask_fft, self.hop_samples)
        masked = rendered.controls["mask"].transpose(2, 3) * stft(mixture, *window).abs()[:, None]
        return {"magnitude": (masked - stft(targets, *window).abs()).abs().mean()}

    @property
    def declared(self) -> dict[str, Control]:
        """Returns the pitch; a mask is no control that could be edited or played."""
        return {control.name: control for control in given_notes(self.sample_rate)}
