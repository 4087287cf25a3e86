"""Spectral losses. All are safe on silence: finite value, finite gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ddsp_zoo.dsp.stft import stft

FFT_SIZES = (2048, 1024, 512, 256, 128, 64)


def multi_scale_spectral_distance(
    prediction: Tensor,
    target: Tensor,
    fft_sizes: Sequence[int] = FFT_SIZES,
    overlap: float = 0.75,
    log_weight: float = 1.0,
    floor: float = 1e-5,
) -> Tensor:
    """Distance of two signals over several spectral resolutions, one number a signal: (..., T) -> (...).

    The sum over FFT sizes of the mean absolute difference of magnitudes plus ``log_weight`` times that of
    natural log magnitudes. Magnitudes below ``floor`` count as ``floor`` under the logarithm.
    Source: thesis eq. 4.3 to 4.5, after Engel et al. 2020 (DDSP).
    """
    distance = prediction.new_zeros(())
    for n_fft in fft_sizes:
        hop = max(1, round(n_fft * (1 - overlap)))
        predicted, true = (stft(audio, n_fft, hop).abs() for audio in (prediction, target))
        distance = distance + (predicted - true).abs().mean(dim=(-2, -1))
        log_ratio = predicted.clamp(min=floor).log() - true.clamp(min=floor).log()
        distance = distance + log_weight * log_ratio.abs().mean(dim=(-2, -1))
    return distance


class MultiScaleSpectralLoss(nn.Module):
    """Mean of ``multi_scale_spectral_distance`` over signals (..., T); the loss of UMSS and of the strings.

    ``fft_sizes`` in samples, ``overlap`` as a fraction of the frame; ``log_weight`` and ``floor`` are of the
    log term.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = FFT_SIZES,
        overlap: float = 0.75,
        log_weight: float = 1.0,
        floor: float = 1e-5,
    ) -> None:
        super().__init__()
        self.fft_sizes = tuple(fft_sizes)
        self.overlap, self.log_weight, self.floor = overlap, log_weight, floor

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of two tensors of the same shape (..., T)."""
        return multi_scale_spectral_distance(
            prediction, target, self.fft_sizes, self.overlap, self.log_weight, self.floor
        ).mean()


class _SafeSpectralConvergence(nn.Module):
    """Spectral convergence ‖Y − X‖ / ‖Y‖ whose denominator stays above that of faint noise.

    auraloss divides by the norm of the target, so one silent target outweighs every other term (10^4 and
    more). Here ‖Y‖ counts at least as much as white noise of root mean square ``quiet_rms`` would have.
    """

    def __init__(self, n_fft: int, quiet_rms: float) -> None:
        super().__init__()
        hann_power = 3 / 8 * n_fft  # sum of the squared window: mean power of a bin for noise of unit power
        self.quiet_magnitude = quiet_rms * hann_power**0.5

    def forward(self, predicted: Tensor, true: Tensor) -> Tensor:
        """Scalar from two magnitude spectrograms."""
        quiet = self.quiet_magnitude * true.numel() ** 0.5
        return torch.linalg.vector_norm(true - predicted) / torch.linalg.vector_norm(true).clamp(min=quiet)


class MultiResolutionStftLoss(nn.Module):
    """``auraloss.freq.MultiResolutionSTFTLoss``, the loss of AST-DDSP, made safe on silence.

    On audible targets it gives auraloss's own number. Source: Yamamoto et al. 2020; Steinmetz and Reiss 2020.

    ``fft_sizes`` in samples, ``overlap`` as a fraction of the frame; the weights are those of spectral
    convergence, log magnitude and linear magnitude. ``a_weighting`` filters both signals like the ear at
    ``sample_rate`` Hz. Below ``quiet_rms`` a target counts as silent in the convergence term.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] = (4096, *FFT_SIZES),
        overlap: float = 0.75,
        convergence_weight: float = 1.0,
        log_weight: float = 1.0,
        linear_weight: float = 0.0,
        a_weighting: bool = False,
        sample_rate: int | None = None,
        quiet_rms: float = 1e-3,
    ) -> None:
        super().__init__()
        from auraloss.freq import MultiResolutionSTFTLoss

        sizes = list(fft_sizes)
        self.shortest = max(sizes) // 2 + 1  # a mirrored edge needs this many samples
        loss = MultiResolutionSTFTLoss(
            fft_sizes=sizes,
            hop_sizes=[max(1, round(size * (1 - overlap))) for size in sizes],
            win_lengths=sizes,
            w_sc=convergence_weight,
            w_log_mag=log_weight,
            w_lin_mag=linear_weight,
            perceptual_weighting=a_weighting,
            sample_rate=sample_rate,
        )
        for size, scale in zip(sizes, loss.stft_losses):
            scale.spectralconv = _SafeSpectralConvergence(size, quiet_rms)
        # In a tuple, so that its fixed filters stay out of a model's weights; it follows its input's device.
        self._loss = (loss,)

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of two tensors of the same shape (..., T)."""
        return self._loss[0](self._as_channels(prediction), self._as_channels(target))

    def _as_channels(self, audio: Tensor) -> Tensor:
        """(..., T) -> contiguous (signals, 1, T'), long enough for the largest frame."""
        rows = audio.reshape(-1, 1, audio.shape[-1])
        return nn.functional.pad(rows, (0, max(0, self.shortest - audio.shape[-1]))).contiguous()
