"""Metrics of how near an estimate comes to its reference: the functions, and the list that tables and figures read."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ddsp_zoo.dsp.mel import mel_filter_bank
from ddsp_zoo.dsp.precision import exact
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.learning.losses import multi_scale_spectral_distance

N_FFT, HOP = 512, 256  # of the spectral metrics in UMSS and the thesis
LIMIT_DB = 80.0  # the published UMSS evaluation adds 1e-8 to every ratio, which is -80 dB


class Window(NamedTuple):
    """Holds a stretch of sound, usually a second, in which estimates are compared with the truth.

    reference: the sources that are measured here (S, T).
    mixture: what the model heard (T,).
    sample_rate: in Hz.
    """

    reference: Tensor
    mixture: Tensor
    sample_rate: int


@dataclass(frozen=True)
class Metric:
    """Describes one metric: all that rows, summaries, tables and figures need to know of it.

    Args:
        name: of the column in rows, and of files.
        unit: "dB", whose values are limited to +-`LIMIT_DB`, or another one; "" for a plain number.
        higher_is_better: the direction in which estimates become better.
        function: estimates (K, S, T) and the `Window` that they belong to -> (K, S). None where rows were read from a
            file and nothing is computed.
        label: what people call it; by default the name.
        of_silence: it is taken where a source is silent and the mixture is not, instead of where the source sounds.
    """

    name: str
    unit: str
    higher_is_better: bool
    function: Callable[[Tensor, Window], Tensor] | None = None
    label: str = ""
    of_silence: bool = False

    @property
    def title(self) -> str:
        """Gives label and unit, for example "SI-SDR (dB)"."""
        return (self.label or self.name) + (f" ({self.unit})" if self.unit else "")

    def limited(self, values: Tensor) -> Tensor:
        """Returns values as they enter a mean: decibels within +-`LIMIT_DB`."""
        return values.clamp(-LIMIT_DB, LIMIT_DB) if self.unit == "dB" else values

    def described(self) -> dict[str, Any]:
        """Returns what is kept in files, from which `Metric` can be made again without its function."""
        return {key: getattr(self, key) for key in ("name", "unit", "higher_is_better", "label")}


def _energy(signal: Tensor, dims: tuple[int, ...] = (-1,)) -> Tensor:
    return signal.square().sum(dim=dims)


def _ratio_db(wanted: Tensor, unwanted: Tensor, reference: Tensor) -> Tensor:
    """10 log10(wanted / unwanted) of energies; zero energy as this module says."""
    ratio = 10 * torch.log10(wanted / unwanted)
    ratio = ratio.masked_fill(wanted == 0, -torch.inf)
    return ratio.masked_fill((reference == 0).expand_as(ratio), torch.nan)


def si_sdr(estimate: Tensor, reference: Tensor, zero_mean: bool = False) -> Tensor:
    """Returns the scale-invariant signal-to-distortion ratio in dB: (..., T) -> (...).

    The reference is scaled to its best match with the estimate; what remains is distortion. ``zero_mean``
    removes the mean of both first. Computed in float64. Source: thesis eq. 5.14 to 5.16; Le Roux et al. 2019.
    """
    estimate, reference = exact(estimate), exact(reference)
    if zero_mean:
        estimate, reference = (x - x.mean(dim=-1, keepdim=True) for x in (estimate, reference))
    scale = (estimate * reference).sum(dim=-1, keepdim=True) / _energy(reference)[..., None]
    target = scale * reference
    return _ratio_db(_energy(target), _energy(target - estimate), _energy(reference))


def snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Returns the signal-to-noise ratio of waveforms in dB: (..., T) -> (...).

    Of mono sources in windows of one second it is the SDR of museval, which forgives no filter (BSS Eval v4). Source:
    Stöter et al. 2018.
    """
    estimate, reference = exact(estimate), exact(reference)
    energy = _energy(reference)
    return _ratio_db(energy, _energy(estimate - reference), energy)


def sdr(estimate: Tensor, reference: Tensor, taps: int = 512) -> Tensor:
    """Returns BSS Eval's signal-to-distortion ratio in dB: (..., T) -> (...).

    Whatever a filter of ``taps`` samples can make of the reference counts as wanted. It is the SDR of
    ``bss_eval`` in less time, above all where many estimates (K, ..., T) of a reference (..., T) share the
    costly part. Source: Vincent et al. 2006.
    """
    references = reference.detach().cpu().double().reshape(-1, reference.shape[-1])
    estimates = estimate.detach().cpu().double().reshape(-1, *references.shape)
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
    """Returns SDR, SIR and SAR in dB by ``mir_eval.separation.bss_eval_sources``: (S, T) -> three of (S).

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
    return stft(exact(audio), N_FFT, HOP).abs()


def spectral_snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Returns the signal-to-noise ratio of magnitude spectrograms (512 / 256) in dB: (..., T) -> (...).

    Phases do not count.
    Source: Schulze-Forster et al. 2022 (UMSS).
    """
    estimate, reference = _magnitudes(estimate), _magnitudes(reference)
    energy = _energy(reference, (-2, -1))
    return _ratio_db(energy, _energy(estimate - reference, (-2, -1)), energy)


def spectral_si_snr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Returns `spectral_snr` with the reference scaled to its best match with the estimate: (..., T) -> (...)."""
    return si_sdr(_magnitudes(estimate).flatten(-2), _magnitudes(reference).flatten(-2))


def mfcc(audio: Tensor, sample_rate: int, coefficients: int = 13, mels: int = 128) -> Tensor:
    """Returns mel-frequency cepstral coefficients from c0 on: (..., T) -> (..., coefficients, N), float64.

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
    """Returns the mean over frames of the Euclidean distance of 13 MFCC, c0 among them: (..., T) -> (...); 0 is best.

    c0 holds the level, so a wrong gain counts. Source: thesis eq. 5.17 and 5.18, after Kubichek 1993.
    """
    difference = mfcc(estimate, sample_rate) - mfcc(reference, sample_rate)
    return torch.linalg.vector_norm(difference, dim=-2).mean(dim=-1)


def _improvement(estimate: Tensor, window: Window) -> Tensor:
    """SI-SDR less that of the mixture, both limited."""
    nothing_done = si_sdr(window.mixture.expand_as(window.reference), window.reference)
    return SI_SDR.limited(si_sdr(estimate, window.reference)) - SI_SDR.limited(nothing_done)


def _level_in_silence(estimate: Tensor, window: Window) -> Tensor:
    """Level of the estimate in dB of the mixture."""
    return 10 * torch.log10(_energy(exact(estimate)) / _energy(exact(window.mixture)))


def _of_reference(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Window], Tensor]:
    """Returns a function of estimates and references as one of estimates and their window."""
    return lambda estimate, window: function(estimate, window.reference)


SI_SDR = Metric("si_sdr_db", "dB", True, _of_reference(si_sdr), "SI-SDR")
SDR = Metric("sdr_db", "dB", True, _of_reference(sdr), "SDR")
SDR_V4 = Metric("sdr_v4_db", "dB", True, _of_reference(snr), "SDR, BSS Eval v4")
SPECTRAL_SNR = Metric("spectral_snr_db", "dB", True, _of_reference(spectral_snr), "spectral SNR")
SPECTRAL_SI_SNR = Metric("spectral_si_snr_db", "dB", True, _of_reference(spectral_si_snr), "spectral SI-SNR")
MEL_CEPSTRAL_DISTANCE = Metric(
    "mel_cepstral_distance",
    "",
    False,
    lambda estimate, window: mel_cepstral_distance(estimate, window.reference, window.sample_rate),
    "mel cepstral distance",
)
MULTI_SCALE_SPECTRAL = Metric(
    "multi_scale_spectral",
    "",
    False,
    _of_reference(multi_scale_spectral_distance),
    "multi-scale spectral distance",
)
IMPROVEMENT = Metric("si_sdr_improvement_db", "dB", True, _improvement, "SI-SDR improvement")
LEVEL_IN_SILENCE = Metric(
    "silence_leak_db", "dB", False, _level_in_silence, "level in silence, of the mixture", of_silence=True
)

METRICS = (  # of `ddsp-zoo evaluate`
    SI_SDR,
    SDR,
    SPECTRAL_SNR,
    SPECTRAL_SI_SNR,
    MEL_CEPSTRAL_DISTANCE,
    MULTI_SCALE_SPECTRAL,
)
BAND_METRICS = (  # of `ddsp-zoo report bands`
    SI_SDR,
    SDR,
    SDR_V4,
    SPECTRAL_SI_SNR,
    MEL_CEPSTRAL_DISTANCE,
    MULTI_SCALE_SPECTRAL,
    IMPROVEMENT,
    LEVEL_IN_SILENCE,
)
