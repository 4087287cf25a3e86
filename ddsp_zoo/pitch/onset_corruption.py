"""Disturbed training data for detectors: f0 with the errors of trackers, and mixtures as microphones record them."""

import torch
from torch import Tensor

EXACT = 0.25  # share of examples that stay as they are
LATEST = 2  # frames by which a whole track may be early or late
LONGEST_RING = 60  # frames that a track may go on after a note
LOST_RATE, LOST_FRAMES = 0.03, 8  # how often, in a frame, a tracker loses a note, and for how long at most
WRONG_RATE, WRONG_FRAMES = 0.006, 6  # how often it takes another octave
GHOST_RATE, GHOST_FRAMES = 0.004, 10  # how often it hears a note in a rest
DETUNE_CENTS = 8.0
CLEAN = 0.3  # share of mixtures that stay as they are
DRIVEN = 0.2  # share of mixtures that an amplifier distorts
ROOM_SECONDS, TAP_SECONDS = 0.5, 0.1  # lengths of the longest echo and of the longest knock
TAPS_PER_SECOND = 1.5


def corrupted(f0_hz: Tensor, generator: torch.Generator) -> Tensor:
    """Returns f0_hz (B, S, N) with errors, so that voiced runs tell little about notes.

    A share of examples stays exact. In the others, notes ring on into the rests behind them, which joins notes
    of equal pitch; they come early or late, break off for moments, jump to octaves and fifths, and are slightly
    out of tune; and there are notes where nothing is played.
    """
    noise = _Noise(f0_hz, generator)
    late = noise.integers(-LATEST, LATEST + 1, 1)
    frame = torch.arange(f0_hz.shape[-1], device=f0_hz.device)
    f0 = f0_hz.gather(-1, (frame - late).clamp(0, f0_hz.shape[-1] - 1))
    ring = noise.integers(0, LONGEST_RING, 1) * (noise.uniform(1) < 0.5) + noise.integers(0, 6, 1)
    f0 = _rung_on(f0, ring)
    f0 = f0 * 2 ** (DETUNE_CENTS / 1200 * (noise.normal(1) + noise.normal(f0.shape[-1]) / 3))
    ratio = torch.tensor([0.5, 2.0, 3.0], device=f0.device)[noise.integers(0, 3, f0.shape[-1] // 16 + 1)]
    ratio = ratio.repeat_interleave(16, -1)[..., : f0.shape[-1]]
    f0 = torch.where(noise.runs(WRONG_RATE, WRONG_FRAMES), f0 * ratio, f0)
    ghost = noise.runs(GHOST_RATE, GHOST_FRAMES) & (f0 == 0)
    f0 = torch.where(ghost, 82 * 2 ** (3 * noise.uniform(1)), f0)
    f0 = f0.masked_fill(noise.runs(LOST_RATE, LOST_FRAMES) & (noise.uniform(1) < 0.6), 0)
    exact = torch.rand(len(f0_hz), 1, 1, generator=generator).to(f0_hz.device) < EXACT
    return torch.where(exact, f0_hz, f0)


def remixed(
    batch: dict[str, Tensor], apart: float, gain_db: float, generator: torch.Generator
) -> dict[str, Tensor]:
    """Returns mixture, f0_hz and onset of a batch whose strings are louder and softer by up to ``gain_db``.

    In a share ``apart`` of batches the strings of an excerpt come from different excerpts.
    """
    sources = batch["sources"]
    size, rows = sources.shape[:2]
    order = torch.arange(size)[:, None].expand(-1, rows)
    if torch.rand((), generator=generator) < apart:
        order = torch.rand(size, rows, generator=generator).argsort(0)
    picked = order.to(sources.device), torch.arange(rows, device=sources.device)
    gain = 10 ** (gain_db / 20 * (2 * torch.rand(size, rows, 1, generator=generator) - 1))
    mixture = (sources[picked] * gain.to(sources.device)).sum(1)
    return {"mixture": mixture} | {name: batch[name][picked] for name in ("f0_hz", "onset")}


def muddied(mixture: Tensor, sample_rate: int, generator: torch.Generator, knocks: bool = True) -> Tensor:
    """Returns a mixture (B, T) as it sounds in a room, with hiss and, where wanted, with knocks on the wood.

    None of these knocks is an onset. A share of examples stays clean.
    """
    size, count = mixture.shape
    rms = mixture.square().mean(-1, keepdim=True).sqrt()

    def uniform(low: float, high: float, columns: int = 1) -> Tensor:
        draw = torch.rand(size, columns, generator=generator)
        return (low + (high - low) * draw).to(mixture.device)

    def fading(seconds: float) -> Tensor:
        time = torch.arange(round(seconds * sample_rate), device=mixture.device) / sample_rate
        noise = torch.randn(size, len(time), generator=generator).to(mixture.device)
        noise = noise * torch.exp(-6.9 * time / (seconds * uniform(0.2, 1.0)))
        return noise / noise.square().sum(-1, keepdim=True).sqrt()

    room = fading(ROOM_SECONDS) * 10 ** (uniform(-30, -6) / 20)
    room[:, 0] += 1
    taps = (uniform(0, 1, count) < TAPS_PER_SECOND / sample_rate) * 10 ** (uniform(-20, 15, count) / 20)
    knock = fading(TAP_SECONDS) * rms * 4
    hiss = torch.randn(size, count, generator=generator).to(mixture.device)
    muddy = convolve(mixture, room) + hiss * rms * 10 ** (uniform(-80, -35) / 20)
    muddy = muddy + convolve(taps, knock) if knocks else muddy
    return torch.where(uniform(0, 1) < CLEAN, mixture, muddy)


def amplified(mixture: Tensor, generator: torch.Generator) -> Tensor:
    """Returns a mixture (B, T) as pickups and amplifiers give it: with another tone, and some overdriven.

    A share of examples stays as it is.
    """
    size = len(mixture)

    def uniform(low: float, high: float) -> Tensor:
        return (low + (high - low) * torch.rand(size, 1, generator=generator)).to(mixture.device)

    spectrum = torch.fft.rfft(mixture)
    octave = torch.linspace(0, 1, spectrum.shape[-1], device=mixture.device).clamp(min=1e-3).log2() + 5
    gain_db = uniform(-4, 4) * octave.clamp(min=-3) - uniform(0, 20) * (octave - 3).clamp(min=0) ** 2 / 4
    toned = torch.fft.irfft(spectrum * 10 ** (gain_db / 20), mixture.shape[-1])
    hot = toned / toned.square().mean(-1, keepdim=True).sqrt().clamp(min=1e-8) * 10 ** uniform(-1, 1)
    bias = uniform(0, 0.5)
    driven = (torch.tanh(hot + bias) - torch.tanh(bias)) * mixture.square().mean(-1, keepdim=True).sqrt()
    kind = uniform(0, 1)
    return torch.where(kind < DRIVEN, driven, torch.where(kind < DRIVEN + CLEAN, mixture, toned))


def convolve(audio: Tensor, response: Tensor) -> Tensor:
    """Filters each row of audio (B, T) by its response (B, K) and keeps its length."""
    size = audio.shape[-1] + response.shape[-1]
    spectrum = torch.fft.rfft(audio, size) * torch.fft.rfft(response, size)
    return torch.fft.irfft(spectrum, size)[..., : audio.shape[-1]]


def _rung_on(f0_hz: Tensor, frames: Tensor) -> Tensor:
    """Fills rests with the pitch before them, for at most ``frames`` (B, S, 1) frames."""
    frame = torch.arange(f0_hz.shape[-1], device=f0_hz.device).expand(f0_hz.shape)
    last = torch.where(f0_hz > 0, frame, -1).cummax(-1).values
    held = f0_hz.gather(-1, last.clamp(min=0))
    return torch.where((last >= 0) & (frame - last <= frames), held, f0_hz)


class _Noise:
    """Draws random numbers (B, S, count) for tracks like ``f0_hz``, on the CPU so that every device gets the same."""

    def __init__(self, f0_hz: Tensor, generator: torch.Generator) -> None:
        self.shape, self.device, self.generator = f0_hz.shape, f0_hz.device, generator

    def uniform(self, count: int) -> Tensor:
        """Draws numbers from 0 to 1."""
        return torch.rand(*self.shape[:2], count, generator=self.generator).to(self.device)

    def normal(self, count: int) -> Tensor:
        """Draws normal numbers of variance 1."""
        return torch.randn(*self.shape[:2], count, generator=self.generator).to(self.device)

    def integers(self, low: int, high: int, count: int) -> Tensor:
        """Draws integers from low to high - 1."""
        return torch.randint(low, high, (*self.shape[:2], count), generator=self.generator).to(self.device)

    def runs(self, rate: float, longest: int) -> Tensor:
        """Draws runs of True of 1 to ``longest`` frames, which begin in a frame with probability ``rate``."""
        count = self.shape[-1]
        left = (self.uniform(count) < rate) * self.integers(1, longest + 1, count)
        out = left > 0
        for step in range(1, min(longest, count)):
            out[..., step:] |= left[..., : count - step] > step
        return out
