"""How near an estimate comes to its reference.

Every function takes an estimate and a reference (..., T) and returns one number a signal (...). Decibel
metrics are NaN where the reference is silent, since nothing can be said there, and +inf for a perfect
estimate; the scale-invariant ones and SDR are -inf for a silent estimate, which has nothing of the reference.
"""

import math

import torch
from torch import Tensor

from ddsp_zoo.dsp.mel import mel_filter_bank
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.learning.losses import multi_scale_spectral_distance

N_FFT, HOP = 512, 256  # of the spectral metrics in UMSS and the thesis


def _energy(signal: Tensor, dims: tuple[int, ...] = (-1,)) -> Tensor:
    return signal.square().sum(dim=dims)


def _ratio_db(wanted: Tensor, unwanted: Tensor, reference: Tensor) -> Tensor:
    """10 log10(wanted / unwanted) of energies, with the conventions of this module at zero energy."""
    ratio = 10 * torch.log10(wanted / unwanted)
    ratio = ratio.masked_fill(wanted == 0, -torch.inf)
    return ratio.masked_fill((reference == 0).expand_as(ratio), torch.nan)


def si_sdr(estimate: Tensor, reference: Tensor, zero_mean: bool = False) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB: (..., T) -> (...).

    The reference is scaled to its best match with the estimate; what remains is distortion. ``zero_mean``
    removes the mean of both first. Computed in float64. Source: thesis eq. 5.14 to 5.16; Le Roux et al. 2019.
    """
    estimate, reference = estimate.double(), reference.double()
    if zero_mean:
        estimate, reference = (x - x.mean(dim=-1, keepdim=True) for x in (estimate, reference))
    scale = (estimate * reference).sum(dim=-1, keepdim=True) / _energy(reference)[..., None]
    target = scale * reference
    return _ratio_db(_energy(target), _energy(target - estimate), _energy(reference))


def snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Signal-to-noise ratio of waveforms in dB, blind to nothing: (..., T) -> (...).

    Of mono sources in frames of one second it is the SDR of museval, which forgives no filter (BSS Eval v4). Source:
    Stöter et al. 2018.
    """
    estimate, reference = estimate.double(), reference.double()
    energy = _energy(reference)
    return _ratio_db(energy, _energy(estimate - reference), energy)


def sdr(estimate: Tensor, reference: Tensor, taps: int = 512) -> Tensor:
    """BSS Eval's signal-to-distortion ratio in dB: (..., T) -> (...).

    Whatever a filter of ``taps`` samples can make of the reference counts as wanted. It is the SDR of
    ``bss_eval`` in less time, above all where many estimates (K, ..., T) of a reference (..., T) share the
    costly part. Source: Vincent et al. 2006.
    """
    references = reference.detach().double().reshape(-1, reference.shape[-1]).cpu()
    estimates = estimate.detach().double().reshape(-1, *references.shape).cpu()
    rows = [_filtered_ratio_db(estimates[:, row], true, taps) for row, true in enumerate(references)]
    return torch.stack(rows, dim=1).reshape(estimate.shape[:-1])


def _filtered_ratio_db(estimates: Tensor, reference: Tensor, taps: int) -> Tensor:
    """SDR of estimates (K, T) against one reference (T) -> (K)."""
    size = 1 << (reference.shape[-1] + taps - 1).bit_length()
    spectrum = torch.fft.rfft(reference, n=size)
    auto = torch.fft.irfft(spectrum.abs() ** 2, n=size)[:taps]
    cross = torch.fft.irfft(spectrum.conj() * torch.fft.rfft(estimates, n=size), n=size)[:, :taps]
    if not reference.any():
        return torch.full((len(estimates),), torch.nan, dtype=torch.float64)
    # The best filter h solves R h = c with the Toeplitz matrix R; the filtered reference has energy h . c.
    lag = torch.arange(taps)
    filters = torch.linalg.solve(auto[(lag[:, None] - lag).abs()], cross.T).T
    wanted = (filters * cross).sum(dim=-1).clamp(min=0)
    return _ratio_db(wanted, (_energy(estimates) - wanted).clamp(min=0), auto[0])


def bss_eval(estimates: Tensor, references: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """SDR, SIR and SAR in dB by ``mir_eval.separation.bss_eval_sources``: (S, T) -> three of (S).

    NaN for a source whose reference or estimate is silent; the others are measured without it.
    """
    import warnings

    from mir_eval.separation import bss_eval_sources

    scores = torch.full((3, len(references)), torch.nan, dtype=torch.float64)
    heard = references.any(dim=-1) & estimates.any(dim=-1)
    if heard.any():
        pair = [x[heard].detach().cpu().double().numpy() for x in (references, estimates)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # mir_eval 0.8 announces that the function will go
            scores[:, heard.cpu()] = torch.stack(
                [torch.from_numpy(x) for x in bss_eval_sources(*pair, compute_permutation=False)[:3]]
            )
    return scores[0], scores[1], scores[2]


def _magnitudes(audio: Tensor) -> Tensor:
    return stft(audio.double(), N_FFT, HOP).abs()


def spectral_snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Signal-to-noise ratio of magnitude spectrograms (512 / 256) in dB, blind to phase: (..., T) -> (...).

    Source: Schulze-Forster et al. 2022 (UMSS).
    """
    estimate, reference = _magnitudes(estimate), _magnitudes(reference)
    energy = _energy(reference, (-2, -1))
    return _ratio_db(energy, _energy(estimate - reference, (-2, -1)), energy)


def spectral_si_snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """``spectral_snr`` with the reference scaled to its best match with the estimate: (..., T) -> (...)."""
    return si_sdr(_magnitudes(estimate).flatten(-2), _magnitudes(reference).flatten(-2))


def mfcc(audio: Tensor, sample_rate: int, coefficients: int = 13, mels: int = 128) -> Tensor:
    """Mel-frequency cepstral coefficients from c0 on: (..., T) -> (..., coefficients, N), float64.

    Orthonormal DCT-II of the natural log of mel power in 512 / 256 frames. 1e-6 is added to the power, as
    ``torchaudio.transforms.MFCC(log_mels=True)`` does, so that silence has a finite value.
    """
    nyquist_hz = sample_rate / 2
    filters = mel_filter_bank(0.0, nyquist_hz, mels, N_FFT // 2 + 1, nyquist_hz).to(audio.device)
    log_mel = torch.log(filters @ _magnitudes(audio).square() + 1e-6)
    order = torch.arange(coefficients, dtype=torch.float64, device=audio.device)[:, None]
    position = torch.arange(mels, dtype=torch.float64, device=audio.device) + 0.5
    dct = torch.cos(torch.pi / mels * order * position) * math.sqrt(2 / mels)
    dct[0] /= math.sqrt(2)
    return dct @ log_mel


def mel_cepstral_distance(estimate: Tensor, reference: Tensor, sample_rate: int) -> Tensor:
    """Mean over frames of the Euclidean distance of 13 MFCC, c0 among them: (..., T) -> (...); 0 is best.

    c0 holds the level, so this is not blind to gain. Source: thesis eq. 5.17 and 5.18, after Kubichek 1993.
    """
    difference = mfcc(estimate, sample_rate) - mfcc(reference, sample_rate)
    return torch.linalg.vector_norm(difference, dim=-2).mean(dim=-1)


def all_metrics(estimate: Tensor, reference: Tensor, sample_rate: int) -> dict[str, Tensor]:
    """Every metric of one estimate, by the name it has in tables; shapes as in ``sdr``."""
    return {
        "si_sdr_db": si_sdr(estimate, reference),
        "sdr_db": sdr(estimate, reference),
        "spectral_snr_db": spectral_snr(estimate, reference),
        "spectral_si_snr_db": spectral_si_snr(estimate, reference),
        "mel_cepstral_distance": mel_cepstral_distance(estimate, reference, sample_rate),
        "multi_scale_spectral": multi_scale_spectral_distance(estimate, reference),
    }
