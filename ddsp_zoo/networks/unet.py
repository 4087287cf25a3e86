"""The conditioned U-Net, the mask network that UMSS is measured against: from a spectrogram and one f0 to one mask.

Sources: Petermann et al. 2020 (choirs, f0 as condition); Meseguer-Brocal and Peeters 2019 (FiLM);
Schulze-Forster et al. 2022 (UMSS), whose baseline has these sizes.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

FIRST_BIN_HZ, PER_OCTAVE, PITCHES = 32.7, 60, 361
CHANNELS = (16, 32, 64, 128, 256, 512)
DROPPED = 3  # decoder layers with dropout
QUIETEST = 1e-8  # spectrograms are not lifted from below that


class PitchCondition(nn.Module):
    """Maps f0 to a scale and a shift of each bin and frame.

    The f0 becomes a blurred one-hot pitch, and three convolutions over time follow.
    """

    def __init__(self, bins: int, taps: int = 10) -> None:
        super().__init__()
        sizes = (PITCHES, 16, 64, 256)
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, taps) for a, b in zip(sizes, sizes[1:]))
        self.scale, self.shift = nn.Linear(sizes[-1], bins), nn.Linear(sizes[-1], bins)
        self.padding = ((taps - 1) // 2, taps // 2)  # as many frames out as in

    def forward(self, f0_hz: Tensor) -> tuple[Tensor, Tensor]:
        """Returns scale and shift, each (R, F, M), from f0_hz (R, M)."""
        hidden = blurred_one_hot(f0_hz)
        for convolution in self.convolutions:
            hidden = convolution(pad(hidden, self.padding))
        hidden = hidden.transpose(1, 2)
        return self.scale(hidden).transpose(1, 2), self.shift(hidden).transpose(1, 2)


def blurred_one_hot(f0_hz: Tensor) -> Tensor:
    """Encodes f0_hz (R, M) as 361 channels (R, 361, M) of 20 cents from 32.7 Hz; the first is for unvoiced frames.

    The pitch is blurred by a Gaussian with a deviation of one channel and a peak of one; above 2 kHz it stays
    in the last channel.
    """
    place = torch.round(PER_OCTAVE * torch.log2(f0_hz.clamp(min=1e-3) / FIRST_BIN_HZ)) + 1
    place = torch.where(f0_hz > 0, place, 0).clamp(0, PITCHES - 1).long()
    channels = torch.arange(PITCHES, device=f0_hz.device)[:, None]
    away = (channels - place[:, None]).to(f0_hz.dtype)
    return torch.where(away.abs() <= 4, torch.exp(-0.5 * away.square()), 0)


class ConditionedUNet(nn.Module):
    """Predicts the mask of one source: six strided convolutions down, six up with skips, conditioned by f0.

    The f0 scales and shifts the input. ``slope`` is the slope of the encoder's leaky rectifiers for negative
    values.
    """

    def __init__(self, bins: int = 513, slope: float = 0.2) -> None:
        super().__init__()
        self.condition = PitchCondition(bins)
        down = (1, *CHANNELS)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 5, 2, 2), nn.BatchNorm2d(b), nn.LeakyReLU(slope))
            for a, b in zip(down, down[1:])
        )
        up = [CHANNELS[-1], *(2 * width for width in reversed(CHANNELS[:-1]))]
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 5, 2, 2) for a, b in zip(up, reversed(down[:-1])))
        self.refine = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(b), nn.ReLU(), nn.Dropout2d(0.5 if layer < DROPPED else 0.0))
            for layer, b in enumerate(reversed(CHANNELS[:-1]))
        )

    def forward(self, magnitude: Tensor, f0_hz: Tensor) -> Tensor:
        """Returns the mask (R, F, M) in [0, 1] from magnitude (R, F, M) and the f0 (R, M) of the wanted source."""
        scale, shift = self.condition(f0_hz)
        level = magnitude.amax((1, 2), keepdim=True).clamp(min=QUIETEST)
        hidden = (magnitude / level * scale + shift)[:, None]
        passed = [hidden]
        for layer in self.down:
            passed.append(layer(passed[-1]))
        hidden = passed.pop()
        for layer, refine in zip(self.up, self.refine):
            hidden = refine(layer(hidden, output_size=passed[-1].shape[-2:]))
            hidden = torch.cat([hidden, passed.pop()], dim=1)
        return torch.sigmoid(self.up[-1](hidden, output_size=magnitude.shape[-2:]))[:, 0]
