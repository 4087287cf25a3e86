"""The mask network that UMSS is measured against: a U-Net that is told the f0 of the voice it shall cut out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import istft, stft
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.unet import ConditionedUNet
from ddsp_zoo.separation.masks import apply_masks, shares
from ddsp_zoo.sources import QUARTET
from ddsp_zoo.synths.control import Controls

AS_PUBLISHED_SLOPE = 1.0  # the authors write LeakyReLU(True), where the first argument is the slope


class UNetChoir(Separator):
    """One mask per voice from a conditioned U-Net; nothing is synthesised, so "synthesised" is the masked mixture.

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
        """(B, T) and f0 (B, S, N) -> masks (B, S, N + 1, F)."""
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
        """Cut the sources out of a mixture: arguments, errors and shapes as in `Separator.forward`.

        The controls are the mask of each source (B, S, N + 1, F) and the pitch it was given.
        """
        self._check(audio, f0_hz, onset)
        window = (self.mask_fft, self.hop_samples)
        mask = self.raw_controls(audio, f0_hz, onset)
        sources = istft(stft(audio, *window)[:, None] * mask.transpose(2, 3), *window, audio.shape[-1])
        controls = {"mask": mask, "f0_hz": f0_hz[..., None], "onset": onset[..., None]}
        return Rendered(sources, controls, sources)

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        """Returns the stems for each exponent, in proportion to the masks, which then sum to one."""
        mask, window = rendered.controls["mask"].transpose(2, 3), (self.mask_fft, self.hop_samples)
        return [apply_masks(mixture, shares(mask**power), *window) for power in powers]

    def losses(self, rendered: Rendered, targets: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        """Mean absolute difference of masked and true magnitudes."""
        window = (self.mask_fft, self.hop_samples)
        masked = rendered.controls["mask"].transpose(2, 3) * stft(mixture, *window).abs()[:, None]
        return {"magnitude": (masked - stft(targets, *window).abs()).abs().mean()}

    def given_controls(self, rendered: Rendered, stems: Tensor) -> Controls:
        """The pitch; a mask is no control that could be edited or played."""
        return {name: rendered.controls[name] for name in ("f0_hz", "onset")}
