"""Spectral losses. All are safe on silence: finite value, finite gradient."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

from ddsp_zoo.dsp.operators import operator
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
    """Returns the distance (...) of two signals (..., T) over several spectral resolutions, one number a signal.

    It is the sum over FFT sizes of the mean absolute difference of magnitudes plus ``log_weight`` times that of
    natural log magnitudes. Under the logarithm, magnitudes below ``floor`` count as ``floor``.
    Source: thesis eq. 4.3 to 4.5, after Engel et al. 2020 (DDSP).
    """
    prediction, target = torch.broadcast_tensors(prediction, target)
    hops = [max(1, round(n_fft * (1 - overlap))) for n_fft in fft_sizes]
    rows = [audio.reshape(-1, audio.shape[-1]) for audio in (prediction, target)]
    differentiate = prediction.requires_grad and torch.is_grad_enabled()
    distance, _ = spectral_distance(*rows, list(fft_sizes), hops, log_weight, floor, differentiate)
    return distance.reshape(prediction.shape[:-1])


@operator("ddsp_zoo::spectral_distance")
def spectral_distance(
    prediction: Tensor,
    target: Tensor,
    fft_sizes: Sequence[int],
    hops: Sequence[int],
    log_weight: float,
    floor: float,
    differentiate: bool,
) -> tuple[Tensor, Tensor]:
    """Returns `multi_scale_spectral_distance` of rows (R, T) -> (R,), and its gradient by the prediction (R, T).

    The gradient is computed together with the value, so that no spectrogram is kept for the backward pass, and on a
    CPU each row stays in the cache. Without ``differentiate`` it is empty.
    """
    distance = prediction.new_zeros(len(prediction))
    slope = torch.zeros_like(prediction) if differentiate else prediction.new_empty(0)
    rows_at_once = 1 if prediction.device.type == "cpu" else max(1, len(prediction))
    for first in range(0, len(prediction), rows_at_once):
        rows = slice(first, first + rows_at_once)
        for n_fft, hop in zip(fft_sizes, hops):
            spectrogram, true = (stft(audio[rows], n_fft, hop) for audio in (prediction, target))
            predicted, true = _magnitude(spectrogram), _magnitude(true)
            distance[rows] += _spectrogram_distance(predicted, true, log_weight, floor)
            if differentiate:
                spectrogram *= _spectrogram_slope(predicted, true, log_weight, floor)
                slope[rows] += _stft_adjoint(spectrogram, n_fft, hop, slope.shape[1])
    return distance, slope


def _magnitude(spectrogram: Tensor) -> Tensor:
    """|X|; below 1e-19 in float32 it is 0. More than twice as fast as ``abs``."""
    real, imaginary = spectrogram.real, spectrogram.imag
    return torch.addcmul(real * real, imaginary, imaginary).sqrt_()


def _spectrogram_distance(predicted: Tensor, true: Tensor, log_weight: float, floor: float) -> Tensor:
    """Mean absolute difference of magnitudes, plain and logarithmic: (R, F, N) -> (R,)."""
    log_ratio = (predicted.clamp(min=floor) / true.clamp(min=floor)).log_().abs_()
    return ((predicted - true).abs_() + log_weight * log_ratio).mean((-2, -1))


def _spectrogram_slope(predicted: Tensor, true: Tensor, log_weight: float, floor: float) -> Tensor:
    """Real k (R, F, N) such that k X is the gradient of `_spectrogram_distance` by X = predicted, 0 at X = 0."""
    inverse = predicted.clamp(min=1e-18).reciprocal_()
    slope = torch.where(predicted >= floor, inverse, 0).mul_(log_weight).add_(1).mul_(inverse)
    return slope.mul_((predicted - true).sign_()).div_(predicted[0].numel())


def _stft_adjoint(spectrogram: Tensor, n_fft: int, hop: int, samples: int) -> Tensor:
    """The transpose of `stft`, as a gradient flows: (R, F, N) -> (R, samples). Overwrites its input."""
    spectrogram[:, 1 : (n_fft + 1) // 2] *= 0.5  # irfft counts these bins twice, for their mirror images
    frames = torch.fft.irfft(spectrogram.transpose(1, 2), n_fft, norm="forward")
    frames *= torch.hann_window(n_fft, dtype=frames.dtype, device=frames.device)
    count, parts = frames.shape[1], -(-n_fft // hop)
    audio = frames.new_zeros(len(frames), count + parts, hop)
    for index, part in enumerate(frames.split(hop, dim=2)):
        audio[:, index : index + count, : part.shape[2]] += part
    return audio.flatten(1)[:, n_fft // 2 : n_fft // 2 + samples]


@spectral_distance.register_fake
def _(
    prediction: Tensor,
    target: Tensor,
    fft_sizes: Sequence[int],
    hops: Sequence[int],
    log_weight: float,
    floor: float,
    differentiate: bool,
) -> tuple[Tensor, Tensor]:
    slope = torch.empty_like(prediction) if differentiate else prediction.new_empty(0)
    return prediction.new_empty(len(prediction)), slope


def _keep_slope(ctx: FunctionCtx, inputs: tuple, output: tuple[Tensor, Tensor]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(output[1], *inputs[:2])
    ctx.settings = inputs[2:-1]


def _scale_slope(ctx: FunctionCtx, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    slope, prediction, target = ctx.saved_tensors
    by_prediction = by_target = None
    if grad is not None and ctx.needs_input_grad[0]:
        by_prediction = grad[:, None] * slope
    if grad is not None and ctx.needs_input_grad[1]:  # rare, so taken here; the distance is symmetric
        by_target = grad[:, None] * spectral_distance(target, prediction, *ctx.settings, True)[1]
    return by_prediction, by_target, None, None, None, None, None


spectral_distance.register_autograd(_scale_slope, setup_context=_keep_slope)


class MultiScaleSpectralLoss(nn.Module):
    """Computes the mean of ``multi_scale_spectral_distance`` over signals (..., T).

    It is the loss of UMSS and of the strings.

    ``fft_sizes`` are in samples, ``overlap`` is a fraction of the FFT size; ``log_weight`` and ``floor`` belong
    to the log term.
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
        """Returns the scalar loss of two tensors of the same shape (..., T)."""
        return multi_scale_spectral_distance(
            prediction, target, self.fft_sizes, self.overlap, self.log_weight, self.floor
        ).mean()


def error_db(estimate: Tensor, target: Tensor, mixture: Tensor, floor: float = 1e-3) -> Tensor:
    """Returns the level of the error in dB of the target, by which masks are judged: (B, S, T) -> scalar.

    The negative signal-to-distortion ratio, held at ``floor`` times the energy of the mixture (B, T), -30 dB, so
    that neither a perfect nor a silent target outweighs the others. Source: Wisdom et al. 2020, eq. 4.
    """
    energies = (x.square().sum(-1, keepdim=True) for x in (estimate - target, target, mixture[:, None]))
    return _ratio_db(*energies, floor)[0]


def _ratio_db(error: Tensor, target: Tensor, mixture: Tensor, floor: float | Tensor) -> Tensor:
    """Returns the mean error (G,) in dB of energies (..., G)."""
    smallest = floor * mixture + 1e-8
    ratio_db = 10 * ((error + smallest).log10() - (target + smallest).log10())
    return ratio_db.flatten(0, -2).mean(0)


def mask_error_db(
    masks: Tensor,
    target: Tensor,
    mixture: Tensor,
    n_fft: int,
    hop: int,
    floor: float = 1e-3,
    silent_floor: float = 0.05,
    stretch_frames: int = 0,
    emphasis: Tensor | None = None,
) -> Tensor:
    """Returns `error_db` of a mixture (B, T) under masks (B, S, F, N) for targets (B, S, T), computed on spectrograms.

    |M X - S|^2 = M^2 |X|^2 - 2 M Re(X S*) + |S|^2 needs only real products and no way back to audio, which
    halves the cost. The error is held at ``silent_floor`` for a target that is below ``floor``, and for one
    beside which all others together are below it. Where an instrument may be silent, each decibel of silence
    would otherwise count as much as one of separation, and a network in doubt would mute it.

    With ``stretch_frames`` the mean is over stretches of that many frames, where a shorter last one does not count;
    without it, over whole excerpts. With weights of the bins' power, ``emphasis`` (F, G), there is an error for each
    column: (G,) instead of one number.
    """
    heard, true = (stft(audio, n_fft, hop)[..., : masks.shape[-1]] for audio in (mixture[:, None], target))
    weights = torch.ones(masks.shape[2], 1).to(mixture) if emphasis is None else emphasis
    error_db = cells_error_db(masks, *products(heard, true), weights, floor, silent_floor, stretch_frames)
    return error_db[0] if emphasis is None else error_db


def products(heard: Tensor, true: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Returns |X|^2, |S|^2 and Re(X S*) of complex spectrograms X and S."""
    heard_power, true_power = (x.real.square() + x.imag.square() for x in (heard, true))
    return heard_power, true_power, heard.real * true.real + heard.imag * true.imag


def cells_error_db(
    masks: Tensor,
    heard_power: Tensor,
    true_power: Tensor,
    alike: Tensor,
    emphasis: Tensor,
    floor: float = 1e-3,
    silent_floor: float = 0.05,
    stretch_frames: int = 0,
) -> Tensor:
    """Returns `mask_error_db` (G,) from what the cells of any grid hold, for example bands in place of bins.

    masks (B, S, F, N), `products` (B, 1 or S, F, N), and as ``emphasis`` the weights of the cells' power (F, G).
    """
    others = heard_power - 2 * alike + true_power
    cells = (masks.square() * heard_power - 2 * masks * alike + true_power, true_power, heard_power, others)
    error, energy, whole, others = (_summed(x, emphasis, stretch_frames).clamp(min=0) for x in cells)
    contested = torch.minimum(energy, others) > floor * whole
    return _ratio_db(error, energy, whole, torch.where(contested, floor, silent_floor))


def _summed(cells: Tensor, weights: Tensor, stretch_frames: int) -> Tensor:
    """Returns sums (B, S, stretches, G) of cells (B, S, F, N), with weights (F, G) and over stretches of frames."""
    frames = torch.einsum("bsfn,fg->bsng", cells, weights)
    if not stretch_frames:
        return frames.sum(2, keepdim=True)
    count = max(frames.shape[2] // stretch_frames, 1)
    return frames[:, :, : count * stretch_frames].unflatten(2, (count, -1)).sum(3)


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
        """Returns a scalar from two magnitude spectrograms."""
        quiet = self.quiet_magnitude * true.numel() ** 0.5
        return torch.linalg.vector_norm(true - predicted) / torch.linalg.vector_norm(true).clamp(min=quiet)


class MultiResolutionStftLoss(nn.Module):
    """Computes ``auraloss.freq.MultiResolutionSTFTLoss``, the loss of AST-DDSP, made safe on silence.

    On audible targets it gives auraloss's own number. Source: Yamamoto et al. 2020; Steinmetz and Reiss 2020.

    ``fft_sizes`` are in samples, ``overlap`` is a fraction of the FFT size; the weights are those of spectral
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
        """Returns the scalar loss of two tensors of the same shape (..., T)."""
        return self._loss[0](self._as_channels(prediction), self._as_channels(target))

    def _as_channels(self, audio: Tensor) -> Tensor:
        """Returns audio (..., T) as contiguous (signals, 1, T'), long enough for the largest FFT size."""
        rows = audio.reshape(-1, 1, audio.shape[-1])
        return nn.functional.pad(rows, (0, max(0, self.shortest - audio.shape[-1]))).contiguous()
