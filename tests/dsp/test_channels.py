"""What is heard of several channels: nothing is lost, whatever their signs, and what agrees stays as it is."""

import pytest
import torch

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.dsp.stft import stft


def tone(hz: float, samples: int = 8000, rate: int = 8000) -> torch.Tensor:
    return torch.sin(2 * torch.pi * hz / rate * torch.arange(samples))


def test_channels_that_agree_give_themselves() -> None:
    one = torch.randn(3, 5000, generator=torch.Generator().manual_seed(0))
    assert torch.equal(one_channel(one[:, None]), one)
    assert torch.equal(one_channel(one[:, None].expand(-1, 2, -1)), one)


def test_a_channel_turned_upside_down_changes_nothing_but_the_sign() -> None:
    one = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0))
    heard = one_channel(torch.stack([one, -one], dim=1))
    torch.testing.assert_close(heard, one, rtol=0, atol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_instrument_turned_on_one_side_is_as_loud_as_ever(sign: int) -> None:
    bass, guitar = tone(100), 0.2 * tone(1000)
    heard = one_channel(torch.stack([bass + guitar, bass + sign * guitar]))
    level, expected = (stft(audio, 2048, 512)[:, 3:-3].abs() for audio in (heard, bass + guitar))
    torch.testing.assert_close(level, expected, rtol=0, atol=2e-3 * expected.max().item())


@pytest.mark.parametrize("channels", [2, 6])
def test_the_power_is_the_mean_of_the_channels(channels: int) -> None:
    audio = torch.randn(channels, 20000, generator=torch.Generator().manual_seed(0))
    heard, each = one_channel(audio), audio.square().mean()
    assert heard.shape == (20000,)
    assert (
        abs(10 * (heard.square().mean() / each).log10()) < 1
    )  # bins that disagree cannot all be kept exactly
    spectrum = stft(one_channel(torch.stack([tone(500), 0 * tone(500)])), 2048, 512).abs()
    assert spectrum[128, 8] / stft(tone(500), 2048, 512).abs()[128, 8] == pytest.approx(0.5**0.5, rel=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_silence_and_short_audio(samples: int) -> None:
    assert torch.equal(one_channel(torch.zeros(2, 2, samples)), torch.zeros(2, samples))
    assert one_channel(torch.randn(2, 2, samples)).isfinite().all()
