"""The transform of the package: any length there and back, and what it does not take."""

import math

import pytest
import torch

from ddsp_zoo.dsp.stft import istft, stft
from ddsp_zoo.errors import DdspZooError


@pytest.mark.parametrize("samples", [1, 7, 64, 100])
def test_any_length_comes_back(samples):
    audio = torch.randn(2, samples, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(istft(stft(audio, 16, 4), 16, 4, samples), audio, atol=1e-12, rtol=0)


@pytest.mark.parametrize("shape", [(0,), (0, 9), (2, 0)])
def test_empty_audio_is_refused(shape):
    with pytest.raises(DdspZooError, match="not empty"):
        stft(torch.zeros(shape), 16, 4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.complex64])
def test_other_types_are_refused(dtype):
    with pytest.raises(DdspZooError, match="float32 or float64"):
        stft(torch.zeros(9, dtype=dtype), 16, 4)


def test_other_windows_are_refused():
    for window in (torch.ones(15), torch.ones(16).double()):
        with pytest.raises(DdspZooError, match="window|float64"):
            stft(torch.zeros(9), 16, 4, window)


def test_nan_stays_near():
    audio = torch.zeros(64)
    audio[32] = math.nan
    heard = stft(audio, 16, 4).isfinite().all(0)
    assert heard[:6].all() and not heard[8] and heard[11:].all()


@pytest.mark.parametrize(
    ("spec", "hop", "length"),
    [
        (torch.zeros(9, 4), 4, 4),
        (torch.zeros(8, 4, dtype=torch.complex64), 4, 4),
        (torch.zeros(9, 0, dtype=torch.complex64), 4, 4),
        (torch.zeros(9, 4, dtype=torch.complex64), 9, 4),
        (torch.zeros(9, 4, dtype=torch.complex64), 4, 13),
        (torch.zeros(9, 4, dtype=torch.complex64), 4, 0),
    ],
)
def test_what_has_no_inverse_is_refused(spec, hop, length):
    with pytest.raises(DdspZooError, match="inverse transform"):
        istft(spec, 16, hop, length)
