"""The echo of a room: noise that dies away, in bands, with the level and the decay of each."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.mel import mel_triangles
from ddsp_zoo.synths.control import Control

BANDS = 8
LOUDEST_ECHO = 0.1  # of one sample, beside the direct sound
SHORTEST, LONGEST = 0.05, 3.0  # seconds to fall by 60 dB
SEED = 0  # of the noise, which is the same in every room


def room_controls() -> tuple[Control, Control]:
    """Returns the controls of a room: level and reverberation time of each band, low to high.

    They are constants of a model: a room does not change while it sounds, and is that of the first frame.
    """
    return (
        Control(
            "echo_level",
            "1",
            "how loud each band of the echo begins, beside the direct sound",
            high=LOUDEST_ECHO,
            size=BANDS,
            curve="amplitude",
            offset=-2.0,
            join="switch",
            origin="constant",
        ),
        Control(
            "echo_t60_seconds",
            "s",
            "how long each band of the echo takes to fall by 60 dB",
            SHORTEST,
            LONGEST,
            size=BANDS,
            curve="log",
            role="time",
            join="switch",
            origin="constant",
        ),
    )


def echo(level: Tensor, t60_seconds: Tensor, sample_rate: int, taps: int) -> Tensor:
    """Returns the impulse response (R, taps) of rooms, from level and t60_seconds (R, bands).

    The first tap, where the direct sound is, is zero. Source: Engel et al. 2020, whose taps are all learned; noise that
    dies away needs fewer numbers, and they can be read.
    """
    noise = torch.randn(taps, generator=torch.Generator().manual_seed(SEED)).to(level)
    filters = mel_triangles(0.0, sample_rate / 2, BANDS, taps // 2 + 1, sample_rate / 2).to(level)
    bands = torch.fft.irfft(filters * torch.fft.rfft(noise), taps)
    seconds = torch.arange(taps, device=level.device, dtype=level.dtype) / sample_rate
    decay = torch.exp(-6.9078 * seconds / t60_seconds[..., None])
    response = (level[..., None] * bands * decay).sum(1)
    return torch.cat([torch.zeros_like(response[:, :1]), response[:, 1:]], dim=1)


def in_room(audio: Tensor, response: Tensor, tail: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Returns audio (R, T) with its echo, and the echo (R, taps - 1) that is still to come.

    ``tail`` is what this gave back for the sound before.
    """
    count, taps = audio.shape[-1], response.shape[-1]
    size = 1 << (count + taps - 2).bit_length()
    wet = torch.fft.irfft(torch.fft.rfft(audio, size) * torch.fft.rfft(response, size), size)
    wet = wet[:, : count + taps - 1]
    if tail is not None:
        wet = torch.cat([wet[:, : taps - 1] + tail, wet[:, taps - 1 :]], dim=1)
    return audio + wet[:, :count], wet[:, count:].clone()
