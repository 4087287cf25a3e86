"""The input of AST-DDSP: pictures of the mixture on one grid of mel bands and control frames."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ddsp_zoo.dsp.mel import LOWEST_MEL_HZ, hz_to_mel, mel_grid, mel_triangles
from ddsp_zoo.dsp.scale import exp_sigmoid_inverse
from ddsp_zoo.dsp.stft import stft

PLACE_WIDTH = 0.4  # in bands, of the bell over the places around the frequency that is heard
FAINT = 1e-7  # power below which a band counts as empty, at peak 1: -70 dB


class Bands(NamedTuple):
    """Holds the mel bands of audio, two tensors (..., N, K).

    power: the power in each band; a sine of amplitude 1 has 1/4.
    offset: the mean frequency of that power, measured from the centre of the band in distances of bands, in [-1, 1].
    """

    power: Tensor
    offset: Tensor


class BandAnalysis(nn.Module):
    """Measures power and mean frequency of mel bands, one frame every ``hop`` samples.

    The mean is over the reassigned frequencies of the bins (Auger and Flandrin 1995), so that a single partial
    is located to a fraction of a bin.
    """

    def __init__(self, sample_rate: int, n_fft: int, hop: int, bands: int) -> None:
        super().__init__()
        self.n_fft, self.hop = n_fft, hop
        bins = n_fft // 2 + 1
        centres, self.distance = mel_grid(LOWEST_MEL_HZ, sample_rate / 2, bands)
        weights = mel_triangles(LOWEST_MEL_HZ, sample_rate / 2, bands, bins, sample_rate / 2)
        window = torch.hann_window(n_fft)
        frequency = torch.linspace(0, sample_rate / 2, bins)
        self.register_buffer("centres", centres, persistent=False)
        # Of a sine of amplitude A the bins' |X|^2 sum to A^2 / 4 * n_fft * sum(window^2).
        self.scale = float(1 / (n_fft * window.square().sum()))
        self.register_buffer("weights", weights.T * self.scale, persistent=False)
        self.register_buffer("frequency_hz", frequency, persistent=False)
        self.sample_rate = sample_rate

    def forward(self, audio: Tensor) -> Bands:
        """Returns the `Bands` of audio (..., T) in N = T / hop frames; the first is centred at the first sample."""
        return self._bands(*self._reassigned(audio))

    def _reassigned(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Returns power (..., N, F), and that power times by how many Hz each bin lies above what it hears."""
        spectrum, slope = self.spectrum(audio), self.spectrum(audio, self._slope_of_window(audio))
        density = spectrum.real.square() + spectrum.imag.square()
        return density, (slope * spectrum.conj()).imag * (self.sample_rate / (2 * torch.pi))

    def _bands(self, density: Tensor, turned: Tensor) -> Bands:
        power = density @ self.weights
        moment = (density * self.frequency_hz - turned) @ self.weights
        mean_hz = (moment / power.clamp(min=1e-12)).clamp(min=0)
        offset = (hz_to_mel(mean_hz) - self.centres) / self.distance
        return Bands(power, offset.clamp(-1, 1))

    def power(self, audio: Tensor) -> Tensor:
        """Returns only the power (..., N, K) of the bands of audio (..., T), at half the cost."""
        spectrum = self.spectrum(audio)
        return (spectrum.real.square() + spectrum.imag.square()) @ self.weights

    def with_spread(self, audio: Tensor) -> tuple[Bands, Tensor]:
        """Returns the `Bands`, and how far the power of each (..., N, K) lies from its mean: the variance in Hz^2.

        It is that of the reassigned frequencies, 0 for a single partial and almost constant for noise.
        """
        density, turned = self._reassigned(audio)
        hz = (self.frequency_hz - turned / density.clamp(min=1e-12)).clamp(0, self.sample_rate / 2)
        bands = self._bands(density, turned)
        power = bands.power.clamp(min=1e-12)
        mean = (density * hz) @ self.weights / power
        variance = (density * hz.square()) @ self.weights / power - mean.square()
        return bands, variance.clamp(min=0)

    def raw_controls(
        self, bands: Bands, bins: int, sine: Tensor | float, noise: Tensor | float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Returns what `BandedSinusoids` sounds like as these bands: raw places, sinusoids and noise (..., channels).

        The places are a bell over the ``bins`` of a band around the frequency that is heard; the sinusoids have the
        share ``sine`` of the power of the bands, the noise the share ``noise``.
        """
        places = torch.linspace(-1, 1, bins, device=bands.offset.device)
        heard = -0.5 * ((places - bands.offset[..., None]) / PLACE_WIDTH).square().flatten(-2)
        widths = self.weights.sum(0)  # that many bins a band, in units of a sine's power
        level = (4 * bands.power * sine).sqrt()
        response = (3 * bands.power * noise / (widths * 3 / 8 * self.n_fft)).sqrt()
        return heard, exp_sigmoid_inverse(level, 1.0), exp_sigmoid_inverse(response, 2.0)

    def spectrum(self, audio: Tensor, window: Tensor | None = None) -> Tensor:
        """Returns the complex spectra (..., N, F) of audio (..., T) by a window, Hann's by default."""
        frames = audio.shape[-1] // self.hop
        return stft(audio, self.n_fft, self.hop, window)[..., :frames].transpose(-1, -2)

    def _slope_of_window(self, audio: Tensor) -> Tensor:
        """Returns the derivative of the Hann window per sample, (n_fft,)."""
        time = torch.arange(self.n_fft, device=audio.device, dtype=audio.dtype)
        return torch.pi / self.n_fft * torch.sin(2 * torch.pi * time / self.n_fft)


class BandPictures(nn.Module):
    """Computes pictures of audio: log power by a long and by other windows, and the offsets of the long one.

    The logarithms are standardised over the example. The long window separates neighbouring partials, a shorter one
    shows when something begins, a still longer one separates low notes. ``others`` are the lengths of the other
    windows, as multiples of the long one.
    """

    def __init__(
        self, sample_rate: int, n_fft: int, hop: int, bands: int, others: tuple[float, ...] = (0.25,)
    ) -> None:
        super().__init__()
        self.channels = 2 + len(others)
        self.long = BandAnalysis(sample_rate, n_fft, hop, bands)
        sizes = [2 * round(n_fft * share / 2) for share in others]
        self.others = nn.ModuleList(BandAnalysis(sample_rate, size, hop, bands) for size in sizes)

    def forward(self, audio: Tensor) -> tuple[Tensor, Bands]:
        """Returns the pictures (B, C, N, K) of audio (B, T), and the `Bands` of the long window."""
        bands = self.long(audio)
        powers = [bands.power, *(analysis.power(audio) for analysis in self.others)]
        logs = torch.stack(powers, dim=1).clamp(min=FAINT).log()
        variance, mean = torch.var_mean(logs, dim=(2, 3), keepdim=True, correction=0)
        logs = (logs - mean) / torch.sqrt(variance + 1e-4)
        loud = bands.power.clamp(max=1) > FAINT
        return torch.cat([logs, torch.where(loud, bands.offset, 0)[:, None]], dim=1), bands
