"""The networks of the DDSP autoencoder: what is heard of a solo, and the way from there to raw controls."""

import math

import torch
from torch import Tensor, nn

from ddsp_zoo.dsp.mel import mel_filter_bank
from ddsp_zoo.dsp.precision import exact
from ddsp_zoo.dsp.scale import hz_to_unit
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.networks.gru import GRU
from ddsp_zoo.networks.mixture_encoder import mlp

RANGE_DB = 80.0  # of loudness that is told apart
WINDOW = 2048  # of loudness, in samples
MFCC, MELS, MFCC_WINDOW = 30, 128, 1024


def a_weights(hz: Tensor) -> Tensor:
    """Returns the power gain of the ear at frequencies in Hz, 1 at 1 kHz and 0 at 0 Hz (IEC 61672, A)."""
    square = exact(hz).square()
    gain = 12194.0**2 * square**2
    gain = gain / ((square + 20.6**2) * (square + 12194.0**2))
    gain = gain / ((square + 107.7**2) * (square + 737.9**2)).sqrt()
    return (gain * 10 ** (2.0 / 20)).square()


def loudness_db(audio: Tensor, sample_rate: int, hop: int) -> Tensor:
    """Returns how loud audio (B, T) is to the ear around each frame, in dB from -80 up: (B, T / hop).

    It is the A-weighted power of Hann windows of 2048 samples; a sine of 1 kHz and amplitude 1 has -3 dB. Source: Engel
    et al. 2020, after Hantrakul et al. 2019.
    """
    power = stft(audio, WINDOW, hop)[..., : audio.shape[-1] // hop].abs().square()
    hz = torch.linspace(0, sample_rate / 2, WINDOW // 2 + 1, device=audio.device)
    gain = a_weights(hz).to(power) * (16 / (3 * WINDOW**2))
    return 10 * (gain @ power).clamp(min=10 ** (-RANGE_DB / 10)).log10()


class TimbreEncoder(nn.Module):
    """Encodes what neither pitch nor loudness tell: 30 MFCC, normalised, a GRU, and a few numbers a frame, z."""

    def __init__(self, sample_rate: int, hop: int, width: int, size: int) -> None:
        super().__init__()
        self.hop = hop
        nyquist_hz = sample_rate / 2
        filters = mel_filter_bank(20.0, nyquist_hz, MELS, MFCC_WINDOW // 2 + 1, nyquist_hz).float()
        order, place = torch.arange(MFCC)[:, None], torch.arange(MELS) + 0.5
        self.register_buffer("filters", filters, persistent=False)
        self.register_buffer("cosines", torch.cos(math.pi / MELS * order * place), persistent=False)
        self.norm, self.gru, self.project = nn.LayerNorm(MFCC), GRU(MFCC, width), nn.Linear(width, size)

    def forward(self, audio: Tensor) -> Tensor:
        """Returns z (B, N, size) of audio (B, T), N = T / hop."""
        power = stft(audio, MFCC_WINDOW, self.hop)[..., : audio.shape[-1] // self.hop].abs().square()
        log_mel = (self.filters @ power + 1e-6).log()
        hidden, _ = self.gru(self.norm((self.cosines @ log_mel).transpose(1, 2) / MELS))
        return self.project(hidden)


class SoloDecoder(nn.Module):
    """Decodes pitch, loudness and timbre to raw controls (thesis figure 4.3).

    Each input has a stack of layers of its own; a GRU reads them together, and a last stack its output beside them.

    Args:
        channels: raw controls a frame.
        timbre: numbers of z a frame, 0 for none.
        width: of the GRU and of all layers.
        layers: of each stack; 0 leaves the stacks out.
    """

    def __init__(self, channels: int, timbre: int, width: int, layers: int) -> None:
        super().__init__()
        sizes = (1, 1, timbre) if timbre else (1, 1)
        self.stacks = nn.ModuleList(mlp(size, width, layers) for size in sizes)
        inputs = len(sizes) * width if layers else sum(sizes)
        self.gru = GRU(inputs, width)
        self.refine = mlp(width + inputs, width, layers)
        self.head = nn.Linear(width if layers else width + inputs, channels)

    def forward(self, f0_hz: Tensor, loudness: Tensor, timbre: Tensor | None = None) -> Tensor:
        """Returns raw controls (B, N, channels) from f0_hz and loudness in dB (B, N), and z (B, N, Z)."""
        heard = [hz_to_unit(f0_hz)[..., None], loudness[..., None] / RANGE_DB + 1]
        heard += [] if timbre is None else [timbre]
        inputs = torch.cat([stack(one) for stack, one in zip(self.stacks, heard, strict=True)], dim=-1)
        hidden, _ = self.gru(inputs)
        return self.head(self.refine(torch.cat([hidden, inputs], dim=-1)))
