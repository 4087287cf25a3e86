"""Which losses find a frequency: `python benchmarks/frequency.py`.

Free sinusoids are moved by Adam itself, without a network, from a start to a random chord of as many true ones, and the
mean distance that is left is printed in cents, and the share of the chords that are less than half a semitone off. All
have one loudness, so that only the frequencies are looked for. About a minute on one core.

- spectral: the multi-scale spectral distance, which the models are trained by.
- transport: `parameter_losses.transport_distance`, from the audio alone.
- both: transport first, spectral for the last 30 % of the steps.
- consistency, lines: `parameter_losses.consistency` and `line_transport`, which know the true frequencies but not which
  is whose.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from ddsp_zoo.dsp.oscillator import sinusoidal_bank
from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.learning.losses import multi_scale_spectral_distance
from ddsp_zoo.learning.parameter_losses import consistency, line_transport, transport_distance

RATE, HOP, FRAMES = 8000, 256, 12
LOW, HIGH = 30.0, 100.0  # MIDI note numbers: 46 Hz to 2.6 kHz
CHORDS, STEPS = 16, 200
FFT_SIZES = (2048, 512, 128)
FIRST_STEP, LAST_STEP = 2.0, 0.01  # semitones that Adam moves at most, at the beginning and at the end
LOWEST, HIGHEST = 16.0, 107.0  # 21 Hz, and just below 4 kHz: where a sinusoid can be heard
CLOSEST = 2.0  # semitones between the notes of a chord

Loss = Callable[[Tensor, float], Tensor]  # of chords (R, K), when so much of the steps is done


def play(midi: Tensor) -> Tensor:
    """Chords (R, K) -> audio (R, T)."""
    frequency = midi_to_hz(midi)[:, None].expand(-1, FRAMES, -1)
    return sinusoidal_bank(frequency, torch.full_like(frequency, 1 / midi.shape[-1]), RATE, HOP)[0]


def losses_for(true: Tensor) -> dict[str, Loss]:
    """How far chords are from the true ones (R, K), by name."""
    target, level = play(true), torch.full_like(true, 1 / true.shape[-1])

    def spectral(midi: Tensor, done: float) -> Tensor:
        return multi_scale_spectral_distance(play(midi), target, FFT_SIZES)

    def transport(midi: Tensor, done: float) -> Tensor:
        return transport_distance(play(midi), target, RATE)

    def both(midi: Tensor, done: float) -> Tensor:
        return (transport if done < 0.7 else spectral)(midi, done)

    def dense(midi: Tensor, done: float) -> Tensor:
        return consistency(midi_to_hz(midi), level, midi_to_hz(true), level)

    def lines(midi: Tensor, done: float) -> Tensor:
        return line_transport(midi_to_hz(midi), level, midi_to_hz(true), level)

    return {"spectral": spectral, "transport": transport, "both": both, "consistency": dense, "lines": lines}


def draw(count: int, generator: torch.Generator) -> Tensor:
    """Random chords (CHORDS, count), no two notes close to each other."""
    room = HIGH - LOW - CLOSEST * (count - 1)
    places = torch.rand(CHORDS, count, generator=generator).sort(-1).values
    return LOW + room * places + CLOSEST * torch.arange(count)


def cents_off(midi: Tensor, true: Tensor) -> Tensor:
    """Mean distance of each chord (R,) under the best pairing, which in one dimension is that of the order."""
    return 100 * (midi.sort(-1).values - true.sort(-1).values).abs().mean(-1)


def find(loss: Loss, start: Tensor) -> Tensor:
    """Where Adam ends (R, K)."""
    midi = start.clone().requires_grad_()
    adam = torch.optim.Adam([midi], FIRST_STEP)
    decay = torch.optim.lr_scheduler.ExponentialLR(adam, (LAST_STEP / FIRST_STEP) ** (1 / STEPS))
    for step in range(STEPS):
        adam.zero_grad()
        loss(midi.clamp(LOWEST, HIGHEST), step / STEPS).sum().backward()
        adam.step()
        decay.step()
    return midi.detach().clamp(LOWEST, HIGHEST)


def main() -> None:
    """The table."""
    torch.set_num_threads(1)
    for count in (1, 2, 4, 8):
        generator = torch.Generator().manual_seed(count)
        true = draw(count, generator)
        grid = LOW + (HIGH - LOW) * (torch.arange(count) + 0.5) / count
        for name, start in (("grid", grid.expand(CHORDS, -1)), ("random", draw(count, generator))):
            first = cents_off(start, true).mean()
            line = f"{count} sinusoids, {name + ':':8} at first {first:5.0f}"
            for loss_name, loss in losses_for(true).items():
                off = cents_off(find(loss, start), true)
                line += f" | {loss_name} {off.mean():5.0f}, {(off < 50).float().mean():4.0%} found"
            print(line, flush=True)


if __name__ == "__main__":
    main()
