"""The two encoders of inverse audio synthesis: from audio to sinusoids and noise, from these to one note a frame."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ddsp_zoo.dsp.mel import hz_to_mel, mel_filter_bank, mel_grid
from ddsp_zoo.dsp.scale import LOG_10, hz_to_unit
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.networks.conv_blocks import ConvBlock, Down
from ddsp_zoo.networks.gru import GRU
from ddsp_zoo.networks.mixture_encoder import mlp
from ddsp_zoo.synths.control import Control

MELS, WINDOW = 229, 2048
FLOOR = 1e-5  # of magnitudes, where logarithms are taken
SOFTEST = 1e-7  # amplitude that is told from none
HARMONICS, FADING = 10, 0.84  # that a candidate is judged by, each that much less than the one below
HIDDEN = 512  # between the maps of the sinusoidal encoder and its head


class SinusoidalEncoder(nn.Module):
    """Encodes the log-mel spectrogram as raw controls of sinusoids and noise.

    A residual network of convolutions keeps the frames and halves the bands from one width to the next; layers read
    each frame of it. The amplitudes begin with what the spectrogram shows where their sinusoids begin, so that the
    encoder need not learn to copy it.

    Args:
        sample_rate: of the audio in Hz.
        hop: samples a frame.
        channels: raw controls a frame.
        frequency_hz: where each sinusoid begins (K,).
        first: place of the amplitude of the first sinusoid among the raw controls.
        widths: numbers of maps; none leaves the convolutions out.
        blocks: residual blocks of each width.
    """

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        channels: int,
        frequency_hz: Tensor,
        first: int,
        widths: Sequence[int],
        blocks: int = 1,
    ) -> None:
        super().__init__()
        self.hop, self.first = hop, first
        nyquist_hz = sample_rate / 2
        filters = mel_filter_bank(0.0, nyquist_hz, MELS, WINDOW // 2 + 1, nyquist_hz).float()
        self.register_buffer("filters", filters, persistent=False)
        centres, _ = mel_grid(0.0, nyquist_hz, MELS)
        nearest = (hz_to_mel(frequency_hz)[:, None] - centres).abs().argmin(-1)
        self.register_buffer("nearest", nearest, persistent=False)
        layers, bands = _convolutions(widths, blocks)
        self.maps = nn.Sequential(*layers)
        self.hidden = mlp(bands, HIDDEN, 3)
        self.head = nn.Linear(HIDDEN, channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, audio: Tensor) -> Tensor:
        """Returns raw controls (B, N, channels) of audio (B, T), N = T / hop."""
        magnitude = stft(audio, WINDOW, self.hop)[..., : audio.shape[-1] // self.hop].abs()
        log_mel = (self.filters @ magnitude + FLOOR).log().transpose(1, 2)
        maps = self.maps(log_mel[:, None] / 5 + 1)
        raw = self.head(self.hidden(maps.transpose(1, 2).flatten(2)))
        shown = (
            log_mel[..., self.nearest] - math.log(WINDOW / 4)
        ) / LOG_10  # `exp_sigmoid` makes it an amplitude
        return raw + pad(shown, (self.first, raw.shape[-1] - self.first - shown.shape[-1]))


def _convolutions(widths: Sequence[int], blocks: int) -> tuple[list[nn.Module], int]:
    """The layers, and how many numbers a frame they leave of the bands."""
    if not widths:
        return [], MELS
    layers: list[nn.Module] = [nn.Conv2d(1, widths[0], (3, 6), (1, 2), (1, 2))]
    bands = MELS // 2
    for before, width in zip(widths, widths[1:]):
        layers += [Down(before, width, (1, 2)), *(ConvBlock(width) for _ in range(blocks - 1))]
        bands //= 2
    return layers, bands * widths[-1]


class HarmonicEncoder(nn.Module):
    """Encodes sinusoids and noise as raw controls of one note a frame; no gradient flows to what it hears.

    The pitch begins with how well the harmonics of each candidate meet the sinusoids, which the layers correct.

    Args:
        nyquist_hz: highest frequency of a sinusoid.
        sinusoids: their number.
        noise_bands: of the noise filter.
        channels: raw controls a frame, the bins of the pitch at their end.
        pitch: the control that they are of.
        width: of the recurrent layer.
    """

    def __init__(
        self,
        nyquist_hz: float,
        sinusoids: int,
        noise_bands: int,
        channels: int,
        pitch: Control,
        width: int,
    ) -> None:
        super().__init__()
        self.nyquist_hz, self.low_hz = nyquist_hz, pitch.low
        self.per_octave = (pitch.bins - 1) / math.log2(pitch.high / pitch.low)
        self.register_buffer("sieve", self._sieve(pitch.bins), persistent=False)
        self.trust = nn.Parameter(torch.tensor(10.0))
        self.inward = mlp(2 * sinusoids + noise_bands, 256, 2)
        self.gru = GRU(256, width)
        self.outward = mlp(width, 256, 2)
        self.head = nn.Linear(256, channels)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, frequency_hz: Tensor, amplitude: Tensor, noise_magnitude: Tensor) -> Tensor:
        """Returns raw controls (B, N, channels) from sinusoids (B, N, K) and noise (B, N, F)."""
        levels = [(x.detach() + SOFTEST).log() / 4 + 2 for x in (amplitude, noise_magnitude)]
        count = frequency_hz.shape[-1]
        places = torch.linspace(0, 1, count, device=amplitude.device)  # where they begin
        away = count * (hz_to_unit(frequency_hz.detach(), high_hz=self.nyquist_hz) - places)
        heard = torch.cat([away, *levels], dim=-1)
        raw = self.head(self.outward(self.gru(self.inward(heard))[0]))
        salience = self.salience(frequency_hz.detach(), amplitude.detach())
        return raw + self.trust * pad(salience, (raw.shape[-1] - salience.shape[-1], 0))

    def salience(self, frequency_hz: Tensor, amplitude: Tensor) -> Tensor:
        """Returns how well each candidate fits sinusoids (B, N, K), up to 1 in each frame: -> (B, N, bins).

        Source: subharmonic summation, Hermes 1988.
        """
        place = self.per_octave * (frequency_hz / self.low_hz).clamp(min=1e-3).log2()
        place = place.clamp(-1, len(self.sieve) - 2) + 1  # all that is too low goes to the first one
        level = amplitude.sqrt()
        lines = level.new_zeros(*level.shape[:2], len(self.sieve) + 1)
        lines.scatter_add_(2, place.long(), level * (1 - place.frac()))
        lines.scatter_add_(2, place.long() + 1, level * place.frac())
        found = lines[..., 1:] @ self.sieve
        return found / found.amax(-1, keepdim=True).clamp(min=SOFTEST)

    def _sieve(self, bins: int) -> Tensor:
        """What lines at each place, a bin apart, have to say for each candidate: (places, bins)."""
        places = math.ceil(self.per_octave * math.log2(self.nyquist_hz / self.low_hz)) + 1
        harmonic = torch.arange(1, HARMONICS + 1)
        at = torch.arange(bins)[:, None] + self.per_octave * torch.log2(harmonic)  # (bins, H)
        near = (1 - (torch.arange(places)[:, None, None] - at).abs()).clamp(min=0)
        return (near * FADING ** (harmonic - 1)).sum(-1)
