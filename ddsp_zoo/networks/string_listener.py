"""A network that listens to each string at its own partials."""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, pad

from ddsp_zoo.dsp.frames import seconds_since
from ddsp_zoo.dsp.scale import hz_to_unit
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.networks.gru import GRU

QUIETEST = 1e-4  # amplitudes count as at least this
WINDOWS = (2048, 512)  # a long one tells close partials apart, a short one hears the pluck
FORGOTTEN_SECONDS = 4.0  # since the onset; longer is not told apart
SLOWER = 2  # frames that the GRUs take as one


class BothWays(nn.Module):
    """Runs one GRU from past to future and one from future to past, and joins their outputs."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.onward, self.reversed = GRU(inputs, width), GRU(inputs, width)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the outputs (B, N, 2 * width) of both GRUs for x (B, N, inputs)."""
        return torch.cat([self.onward(x)[0], self.reversed(x.flip(1))[0].flip(1)], dim=-1)


class StringListener(nn.Module):
    """Corrects the raw controls of strings from mixture, f0, onsets and what is believed of the strings so far.

    Each frame of a string is described by: the mixture's level at the string's partials; how much of that level
    the strings explain as they are believed to be; the string's own share of it; pitch; time since the onset;
    and which string it is. Two bidirectional GRUs read this, so that a pluck is judged by what comes after it.
    Between the two, every string receives the mean over all strings.

    Args:
        strings: number of strings.
        channels: raw controls of a string and frame.
        sample_rate: in Hz.
        hop: samples a frame.
        partials: how many partials of each string are listened to.
        width: size of the GRUs in each direction.
    """

    def __init__(
        self, strings: int, channels: int, sample_rate: int, hop: int, partials: int = 24, width: int = 128
    ) -> None:
        super().__init__()
        self.sample_rate, self.hop, self.partials = sample_rate, hop, partials
        inputs = (len(WINDOWS) + 2) * partials + 4 + strings
        self.describe = nn.Sequential(
            nn.Linear(inputs, 2 * width),
            nn.LayerNorm(2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.LayerNorm(width),
            nn.GELU(),
        )
        self.first, self.second = BothWays(width, width), BothWays(2 * width, width)
        self.others = nn.Linear(2 * width, 2 * width)
        self.head = nn.Sequential(nn.LayerNorm(2 * width), nn.Linear(2 * width, width), nn.GELU())
        self.out, self.direct = nn.Linear(width, channels), nn.Linear(inputs, channels)
        for layer in (self.out, self.direct):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        self.register_load_state_dict_pre_hook(_take_over_fewer_controls)

    def forward(self, audio: Tensor, f0_hz: Tensor, onset: Tensor, believed: Tensor | None = None) -> Tensor:
        """Returns what to add to the raw controls, (B, S, N, channels), from audio (B, T), f0_hz and onset (B, S, N).

        ``believed`` holds the amplitudes (B, S, N, K) of the strings' partials; without it they fall by 6 dB
        per octave.
        """
        features = self.features(audio, f0_hz, onset, believed)
        own = self.describe(features)
        slow = pad(own.flatten(0, 1).transpose(1, 2), (0, -own.shape[2] % SLOWER), mode="replicate")
        heard = self.first(avg_pool1d(slow, SLOWER).transpose(1, 2)).unflatten(0, own.shape[:2])
        both = heard + self.others(heard.mean(1, keepdim=True))
        heard = heard + self.second(both.flatten(0, 1)).unflatten(0, own.shape[:2])
        out = self.out(self.head(heard)).repeat_interleave(SLOWER, dim=2)[:, :, : own.shape[2]]
        return out + self.direct(features)

    def features(self, audio: Tensor, f0_hz: Tensor, onset: Tensor, believed: Tensor | None = None) -> Tensor:
        """Returns the description of each string in each frame, (B, S, N, features)."""
        number = torch.arange(1, self.partials + 1, device=audio.device)
        frequency = f0_hz[..., None] * number
        if believed is None:
            believed = (0.1 / number).expand_as(frequency)
        audible = (frequency > 0) & (frequency < self.sample_rate / 2)
        believed = believed[..., : self.partials].clamp(min=QUIETEST) * audible
        levels = [self._level(audio, frequency, window) for window in WINDOWS]
        explained = self._explained(f0_hz, frequency, believed).clamp(min=QUIETEST)
        share = (believed.clamp(min=QUIETEST) / explained).log()
        spectral = [*levels, levels[0] - explained.log() / 2, share]
        since = seconds_since(onset, self.hop / self.sample_rate)
        since = (1 + 20 * since).log() / math.log(1 + 20 * FORGOTTEN_SECONDS)
        known = torch.stack([hz_to_unit(f0_hz), (f0_hz > 0).to(audio.dtype), onset, since], dim=-1)
        which = torch.eye(f0_hz.shape[1], device=audio.device)[None, :, None].expand(*f0_hz.shape, -1)
        return torch.cat([*(part * audible for part in spectral), known, which], dim=-1)

    def _level(self, audio: Tensor, frequency: Tensor, window: int) -> Tensor:
        """Half the log of the mixture's amplitude at frequencies (B, S, N, K) in Hz."""
        spectrum = stft(audio, window, self.hop).abs()[..., : frequency.shape[2]] * (4 / window)
        level = spectrum.clamp(min=QUIETEST).log() / 2
        place = (frequency * window / self.sample_rate).clamp(max=window // 2 - 1e-3)
        left = place.floor()
        level = level.transpose(1, 2)[:, None].expand(-1, frequency.shape[1], -1, -1)
        below, above = (level.gather(-1, left.long() + step) for step in (0, 1))
        return torch.lerp(below, above, place - left)

    def _explained(self, f0_hz: Tensor, frequency: Tensor, believed: Tensor) -> Tensor:
        """Returns the amplitude of all strings together at the partials of each (B, S, N, K), as far as believed.

        Of each string only the partial nearest in frequency counts, less the better the long window separates
        it.
        """
        width = 1.5 * self.sample_rate / WINDOWS[0]
        power = torch.zeros_like(frequency)
        for pitch, amplitude in zip(f0_hz.split(1, 1), believed.split(1, 1), strict=True):
            nearest = (frequency / pitch[..., None].clamp(min=1)).round().clamp(1, self.partials)
            amplitude = amplitude.expand_as(frequency).gather(-1, nearest.long() - 1)
            off = (frequency - pitch[..., None] * nearest) / width
            power = power + (amplitude * torch.exp(-0.5 * off.square()) * (pitch > 0)[..., None]).square()
        return (power + QUIETEST**2).sqrt()


def _take_over_fewer_controls(
    listener: StringListener, weights: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Weights of a listener of fewer controls serve one of more, whose last ones then begin at their defaults."""
    for layer in ("out", "direct"):
        for part in ("weight", "bias"):
            name, own = f"{prefix}{layer}.{part}", getattr(getattr(listener, layer), part)
            if name in weights and len(weights[name]) < len(own):
                missing = own.new_zeros(len(own) - len(weights[name]), *own.shape[1:])
                weights[name] = torch.cat([weights[name], missing.to(weights[name].dtype)])


def pool_notes(values: Tensor, onset: Tensor) -> Tensor:
    """Averages values over the frames of each note: values (..., N, C) and onset (..., N) give (..., N, C).

    Every frame of a note holds the mean. A note lasts from its onset to the next one; the frames before the
    first onset count as one more note.
    """
    begins = (onset > 0).long()
    note = (begins.cumsum(-1) - begins[..., :1])[..., None].expand_as(values)
    total = torch.zeros_like(values).scatter_add(-2, note, values)
    count = torch.zeros_like(values).scatter_add(-2, note, torch.ones_like(values))
    return (total / count.clamp(min=1)).gather(-2, note)
