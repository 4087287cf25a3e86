"""The two encoders of inverse audio synthesis: from audio to sinusoids and noise, from these to one note a frame."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ddsp_zoo.dsp.mel import mel_filter_bank
from ddsp_zoo.dsp.scale import hz_to_unit
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.networks.conv_blocks import ConvBlock, Down
from ddsp_zoo.networks.gru import GRU
from ddsp_zoo.networks.mixture_encoder import mlp

MELS, WINDOW = 229, 2048
FLOOR = 1e-5  # of mel power and of amplitudes, where logarithms are taken
HIDDEN = 256  # between the maps of the sinusoidal encoder and its head


class SinusoidalEncoder(nn.Module):
    """Encodes the log-mel spectrogram as raw controls of sinusoids and noise.

    A residual network of convolutions keeps the frames and halves the bands from one width to the next.

    Args:
        sample_rate: of the audio in Hz.
        hop: samples a frame.
        channels: raw controls a frame.
        widths: numbers of maps.
        blocks: residual blocks of each width.
    """

    def __init__(
        self, sample_rate: int, hop: int, channels: int, widths: Sequence[int], blocks: int = 1
    ) -> None:
        super().__init__()
        self.hop = hop
        nyquist_hz = sample_rate / 2
        filters = mel_filter_bank(0.0, nyquist_hz, MELS, WINDOW // 2 + 1, nyquist_hz).float()
        self.register_buffer("filters", filters, persistent=False)
        layers: list[nn.Module] = [nn.Conv2d(1, widths[0], (3, 6), (1, 2), (1, 2))]
        bands = MELS // 2
        for before, width in zip(widths, widths[1:]):
            layers += [Down(before, width, (1, 2)), *(ConvBlock(width) for _ in range(blocks - 1))]
            bands //= 2
        self.maps = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(bands * widths[-1], HIDDEN), nn.GELU())
        self.head = nn.Linear(HIDDEN, channels)

    def forward(self, audio: Tensor) -> Tensor:
        """Returns raw controls (B, N, channels) of audio (B, T), N = T / hop."""
        magnitude = stft(audio, WINDOW, self.hop)[..., : audio.shape[-1] // self.hop].abs()
        log_mel = (self.filters @ magnitude + FLOOR).log().transpose(1, 2)
        maps = self.maps(log_mel[:, None] / 5)
        return self.head(self.hidden(maps.transpose(1, 2).flatten(2)))


class HarmonicEncoder(nn.Module):
    """Encodes sinusoids and noise as raw controls of one note a frame; no gradient flows to what it hears."""

    def __init__(self, sinusoids: int, noise_bands: int, channels: int, width: int) -> None:
        super().__init__()
        self.inward = mlp(2 * sinusoids + noise_bands, 256, 2)
        self.gru = GRU(256, width)
        self.outward = mlp(width, 256, 2)
        self.head = nn.Linear(256, channels)

    def forward(self, frequency_hz: Tensor, amplitude: Tensor, noise_magnitude: Tensor) -> Tensor:
        """Returns raw controls (B, N, channels) from sinusoids (B, N, K) and noise (B, N, F)."""
        levels = [(x.detach() + FLOOR).log() / 5 + 1 for x in (amplitude, noise_magnitude)]
        heard = torch.cat([hz_to_unit(frequency_hz.detach()), *levels], dim=-1)
        return self.head(self.outward(self.gru(self.inward(heard))[0]))
