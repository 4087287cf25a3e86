"""Keeps stems on the device of the training and makes random mixtures of them there, so that nothing waits for a disk.

Stems are read anywhere and at any speed, from one track or from several, filtered, driven, made louder or softer,
turned upside down or left out; then the mixture may be dulled and its peaks pressed, with the stems following.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

FULL_SCALE = 32767
DOUBLED = (0.0, 0.0, 1.0, 1.0)  # bass, drums, guitar, rest: of which there may be two at a time


@dataclass(frozen=True)
class Mixing:
    """Says how far random mixtures go from the tracks as they are; shares are of excerpts or of stems.

    Args:
        swap: share of the excerpts whose stems come from different tracks.
        stretch: octaves that a stem is read faster or slower by, at most.
        gain_db: each stem is louder or softer by up to so much.
        turned: share of the stems that are turned upside down.
        absent: share of the stems that are left out.
        second: share of the excerpts in which another track's guitar, or rest, is added to the one that is there.
        lone: share of the excerpts in which a guitar comes from the recordings of guitars alone.
        filter_db: standard deviation of the response at each of the points of a random filter.
        driven: share of the pitched stems that are distorted.
        dulled: share of the mixtures without treble, as files of lower rates are.
        pressed: share of the mixtures whose peaks are pressed flat.
    """

    swap: float = 0.6
    stretch: float = 0.2
    gain_db: float = 8.0
    turned: float = 0.5
    absent: float = 0.1
    second: float = 0.25
    lone: float = 0.12
    filter_db: float = 3.0
    driven: float = 0.12
    dulled: float = 0.15
    pressed: float = 0.3


class StemPool:
    """Holds tracks of S stems and equal length as 16-bit integers on one device; new ones replace the oldest.

    ``lone`` (n, T) are recordings of the stem number ``lone_stem`` alone, which join in but are never replaced.
    """

    def __init__(
        self, capacity: int, stems: int, samples: int, sample_rate: int, device: torch.device,
        lone: np.ndarray | None = None, lone_stem: int = 0,
    ) -> None:  # fmt: skip
        extra = 0 if lone is None else len(lone)
        self.audio = torch.zeros(capacity + extra, stems, samples, dtype=torch.int16, device=device)
        self.capacity, self.added, self.extra, self.lone_stem = capacity, 0, extra, lone_stem
        self.sample_rate, self.device = sample_rate, device
        if lone is not None:
            self.audio[capacity:, lone_stem] = torch.from_numpy(lone).to(device)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, track: np.ndarray) -> None:
        """Adds a track (S, T) of 16-bit integers."""
        self.audio[self.added % self.capacity].copy_(torch.from_numpy(track))
        self.added += 1

    def draw(self, batch: int, samples: int, mixing: Mixing, generator: torch.Generator) -> Tensor:
        """Draws stems (batch, S, samples) that belong together or not."""
        count, shape = len(self), (batch, self.audio.shape[1])

        def uniform(*size: int) -> Tensor:
            return torch.rand(size, generator=generator, device=self.device)

        apart = uniform(batch, 1) < mixing.swap
        one = (uniform(batch, 1) * count).long()
        tracks = torch.where(apart, (uniform(*shape) * count).long(), one)
        if self.extra:
            lone = self.capacity + (uniform(batch) * self.extra).long()
            chosen = uniform(batch) < mixing.lone
            tracks[:, self.lone_stem] = torch.where(chosen, lone, tracks[:, self.lone_stem])
        speeds = torch.where(apart, uniform(*shape), uniform(batch, 1)) * 2 - 1
        place = torch.where(apart, uniform(*shape), uniform(batch, 1))
        return self._read(tracks, place, 2 ** (speeds * mixing.stretch), samples)

    def _read(self, tracks: Tensor, place: Tensor, speed: Tensor, samples: int) -> Tensor:
        """Tracks (B, S) from a place in 0..1 on, at a speed, by Catmull and Rom's cubic -> (B, S, samples)."""
        stems, length = self.audio.shape[1:]
        room = (length - 4 - samples * speed).clamp(min=0)
        at = (place * room)[..., None].double()
        at = at + speed[..., None].double() * torch.arange(samples, device=self.device)
        whole = at.floor()
        f = (at - whole).float()
        rows = tracks * stems + torch.arange(stems, device=self.device)
        index = rows[..., None] * length + whole.long().clamp(max=length - 4)
        flat = self.audio.view(-1)
        a, b, c, d = (flat[index + step].float() for step in range(4))
        return (
            b + 0.5 * f * (c - a + f * (2 * a - 5 * b + 4 * c - d + f * (3 * (b - c) + d - a)))
        ) / FULL_SCALE


def mixtures(
    pool: StemPool, batch: int, samples: int, mixing: Mixing, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draws mixtures (batch, samples) and their stems (batch, S, samples)."""
    stems = pool.draw(batch, samples, mixing, generator)

    def uniform(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=stems.device)

    shape = stems.shape[:2]
    seconds = (uniform(*shape) < mixing.second) * torch.tensor(DOUBLED, device=stems.device)
    stems = stems + pool.draw(batch, samples, mixing, generator) * seconds[..., None]
    gain_db = (uniform(*shape) * 2 - 1) * mixing.gain_db
    sign = torch.where(uniform(*shape) < mixing.turned, -1.0, 1.0)
    there = uniform(*shape) >= mixing.absent
    there[:, 0] |= ~there.any(1)
    response = _responses(stems, pool.sample_rate, mixing, generator)
    spectrum = torch.fft.rfft(stems) * response
    stems = torch.fft.irfft(spectrum, n=samples)
    stems = _driven(stems, uniform(*shape), uniform(*shape), mixing)
    stems = stems * (sign * there * 10 ** (gain_db / 20))[..., None]
    mixture = stems.sum(1)
    peak = mixture.abs().amax(-1).clamp(min=1e-4)
    hot = 2 ** (uniform(batch) * 2) * (uniform(batch) < mixing.pressed) / peak
    pressed = hot[:, None] * mixture
    press = torch.where(pressed.abs() > 1e-3, pressed.tanh() / pressed, 1.0)
    return mixture * press, stems * press[:, None]


def _responses(stems: Tensor, sample_rate: int, mixing: Mixing, generator: torch.Generator) -> Tensor:
    """Random filters (B, S, F): smooth over the logarithm of frequency, and a common end of the treble for some."""
    batch, count, samples = stems.shape
    device = stems.device
    hz = torch.linspace(0, sample_rate / 2, samples // 2 + 1, device=device)
    octave = (hz / 40).clamp(min=1).log2()
    points = 11
    curve = torch.randn(batch, count, points, generator=generator, device=device) * mixing.filter_db
    left = octave.floor().long().clamp(max=points - 2)
    part = octave - left
    part = part * part * (3 - 2 * part)
    response_db = curve[..., left] * (1 - part) + curve[..., left + 1] * part
    lot = torch.rand(batch, generator=generator, device=device)
    ends = torch.tensor((4000.0, 8000.0, 11025.0, 16000.0), device=device)
    end = ends[(lot / max(mixing.dulled, 1e-6) * 4).long().clamp(max=3)] * 0.97
    end = torch.where(lot < mixing.dulled, end, sample_rate)
    passed = ((end[:, None] - hz) / 200).clamp(0, 1)
    return 10 ** (response_db / 20) * passed[:, None]


def _driven(stems: Tensor, lot: Tensor, drive: Tensor, mixing: Mixing) -> Tensor:
    """Some pitched stems distorted, at the loudness that they had; the second one, drums, half as often."""
    share = torch.full_like(lot, mixing.driven)
    share[:, 1] /= 2
    rms = stems.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-5)
    hot = stems / rms * (2 ** (drive * 5 - 2))[..., None]
    bent = hot.tanh()
    bent = bent * rms / bent.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-5)
    return torch.where((lot < share)[..., None], bent, stems)
