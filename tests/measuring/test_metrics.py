"""Metrics: known answers, agreement with other packages, silence."""

import math

import pytest
import torch

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.dsp.mel import mel_filter_bank
from ddsp_zoo.measuring import metrics

DECIBEL_METRICS = [metrics.si_sdr, metrics.sdr, metrics.spectral_snr, metrics.spectral_si_snr]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """An estimate with an offset, noise and echoes, and its reference (3, 8000)."""
    reference = noise(3, 8000)
    return 0.02 + 0.7 * reference + 0.3 * reference.roll(5, -1) + 0.5 * noise(3, 8000, seed=1), reference


def test_si_sdr_of_orthogonal_noise_is_the_ratio_of_energies() -> None:
    reference = noise(4000)
    error = noise(4000, seed=1)
    error -= (error @ reference) / (reference @ reference) * reference
    error *= reference.norm() / error.norm() * 10 ** (-13 / 20)
    assert metrics.si_sdr(reference + error, reference).item() == pytest.approx(13, abs=1e-9)


@pytest.mark.parametrize("zero_mean", [False, True])
def test_si_sdr_equals_torchmetrics(pair: tuple[torch.Tensor, torch.Tensor], zero_mean: bool) -> None:
    from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

    expected = scale_invariant_signal_distortion_ratio(*pair, zero_mean=zero_mean)
    torch.testing.assert_close(metrics.si_sdr(*pair, zero_mean=zero_mean), expected, atol=1e-8, rtol=0)


def test_si_sdr_equals_fast_bss_eval(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    fast_bss_eval = pytest.importorskip("fast_bss_eval")
    estimate, reference = (x[:, None] for x in pair)
    expected = fast_bss_eval.si_sdr(reference, estimate, clamp_db=100)[:, 0]
    torch.testing.assert_close(metrics.si_sdr(*pair), expected, atol=1e-6, rtol=0)


def test_sdr_equals_mir_eval(pair: tuple[torch.Tensor, torch.Tensor]) -> None:
    estimate, reference = pair
    expected = metrics.bss_eval(estimate, reference)[0]
    torch.testing.assert_close(metrics.sdr(estimate, reference), expected, atol=1e-6, rtol=0)
    both = metrics.sdr(torch.stack([noise(3, 8000, seed=2), estimate]), reference)
    torch.testing.assert_close(both[1], expected, atol=1e-6, rtol=0)


def test_bss_eval_tells_interference_from_noise() -> None:
    sources = noise(2, 8000)
    leaking = torch.stack([sources[0] + 0.5 * sources[1], sources[1] + 0.5 * noise(8000, seed=1)])
    sdr, sir, sar = metrics.bss_eval(leaking, sources)
    # 512 taps a source fit an eighth of any noise of this length as well, hence the tolerance.
    assert sdr.tolist() == pytest.approx([6, 6], abs=1.2)
    assert sir[0].item() == pytest.approx(6, abs=1.2) and sir[1] > 12
    assert sar[0] > 60 and sar[1].item() == pytest.approx(6, abs=1.2)


def test_bss_eval_leaves_silent_sources_out() -> None:
    sources = noise(3, 2000)
    sources[1] = 0
    estimates = sources + 0.1 * noise(3, 2000, seed=1)
    sdr, sir, sar = metrics.bss_eval(estimates, sources)
    assert [x.isnan().tolist() for x in (sdr, sir, sar)] == 3 * [[False, True, False]]
    assert metrics.bss_eval(estimates, torch.zeros_like(sources))[0].isnan().all()


@pytest.mark.parametrize("metric", [metrics.si_sdr, metrics.sdr, metrics.spectral_si_snr])
@pytest.mark.parametrize("gain", [1e-3, 40.0])
def test_scale_invariant_metrics_ignore_gain(metric, gain: float, pair) -> None:
    estimate, reference = pair
    torch.testing.assert_close(metric(gain * estimate, reference), metric(estimate, reference))


def test_spectral_snr_is_blind_to_sign_and_sees_gain() -> None:
    audio = noise(2, 4000)
    assert (metrics.spectral_snr(-audio, audio) == torch.inf).all()
    halved = metrics.spectral_snr(0.5 * audio, audio)
    torch.testing.assert_close(halved, torch.full_like(halved, 20 * math.log10(2)))
    assert (metrics.spectral_si_snr(-0.5 * audio, audio) > 200).all()


@pytest.mark.parametrize("metric", DECIBEL_METRICS)
def test_silence_is_told_apart(metric) -> None:
    audio = noise(2, 2000)
    silent = torch.zeros_like(audio)
    assert metric(audio, silent).isnan().all()
    assert metric(silent, silent).isnan().all()
    assert (metric(audio, audio) > 100).all()
    if metric is not metrics.spectral_snr:  # its scale is fixed: silence is wrong by the whole signal
        assert (metric(silent, audio) == -torch.inf).all()
    else:
        torch.testing.assert_close(metric(silent, audio), torch.zeros(2, dtype=torch.float64))


@pytest.mark.parametrize("sample_rate", [8000, 16000])
@pytest.mark.filterwarnings("ignore:At least one mel filterbank has all zero values")
def test_mfcc_equals_torchaudio(sample_rate: int) -> None:
    audio = noise(2, 8192)
    audio[:, :512] = audio[:, -512:] = 0  # torchaudio mirrors the ends, which then makes no difference
    transform = import_torchaudio().transforms.MFCC(
        sample_rate, n_mfcc=13, log_mels=True, melkwargs={"n_fft": 512, "hop_length": 256}
    )
    torch.testing.assert_close(
        metrics.mfcc(audio, sample_rate), transform.double()(audio), atol=1e-4, rtol=0, check_dtype=False
    )


def test_mel_cepstral_distance_of_a_gain_is_in_c0_alone() -> None:
    audio = noise(2, 16000)
    audio *= 100  # so loud that the 1e-6 under the logarithm plays no part
    distance = metrics.mel_cepstral_distance(2 * audio, audio, 16000)
    filters = mel_filter_bank(0.0, 8000.0, 128, 257, 8000.0)
    heard = (filters.sum(dim=1) > 0).double()  # filters narrower than a bin may hold none
    step = math.log(4) * heard
    order = torch.arange(13)[:, None] * (torch.arange(128) + 0.5) * math.pi / 128
    dct = torch.cos(order).double() * math.sqrt(2 / 128)
    dct[0] /= math.sqrt(2)
    torch.testing.assert_close(distance, (dct @ step).norm().expand(2), atol=1e-4, rtol=0)


def test_distances_are_zero_at_the_reference_and_finite_on_silence() -> None:
    audio, silent = noise(2, 4000), torch.zeros(2, 4000)
    for reference in (audio, silent):
        assert (metrics.mel_cepstral_distance(reference, reference, 16000) == 0).all()
        assert metrics.mel_cepstral_distance(audio + 0.01, reference, 16000).isfinite().all()


def test_all_metrics_share_their_reference_among_systems() -> None:
    estimates, reference = noise(3, 2, 2000), noise(2, 2000, seed=1)
    window = metrics.Window(reference, noise(2000, seed=2), 8000)
    for metric in (*metrics.METRICS, *metrics.BAND_METRICS):
        together = metric.function(estimates, window)
        assert together.shape == (3, 2)
        for system in range(3):
            torch.testing.assert_close(together[system], metric.function(estimates[system], window))
