"""Renders synthesisers of a band, and the bowed and blown instruments that they imitate."""

import numpy as np

from ddsp_zoo.music.band.instrument import Instrument
from ddsp_zoo.music.signals import (
    TABLE_LENGTH,
    Audio,
    band,
    decay,
    fade,
    log_uniform,
    read_table,
)


class Synth(Instrument):
    """Renders saw, square and triangle waves through a low-pass filter whose envelope opens and closes.

    The moving filter is a crossfade between two band-limited tables, one per end of the envelope.
    """

    voices: tuple[int, ...] = (1,)
    attack, release = (0.003, 0.02), 0.08
    cutoff_hz, opening = (800.0, 6000.0), (1.0, 8.0)
    closing_seconds = (0.1, 1.5)
    vibrato_cents = (0.0, 0.0)
    breath = (0.0, 0.0)
    dying = (4.0, 20.0)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.odd_only = float(rng.choice((0.0, 0.0, 1.0, 0.7)))
        self.slope = float(rng.choice((0.7, 1.0, 1.0, 1.5)))
        self.unison = int(rng.choice(self.voices))
        self.detune_cents = float(rng.uniform(3, 18))
        self.rise_seconds = log_uniform(rng, *self.attack)
        self.closed_hz = log_uniform(rng, *self.cutoff_hz)
        self.open_hz = self.closed_hz * log_uniform(rng, *self.opening)
        self.close_seconds = log_uniform(rng, *self.closing_seconds)
        self.resonance = float(rng.uniform(0, 1.5))
        self.swing_cents = float(rng.uniform(*self.vibrato_cents))
        self.swing_hz = float(rng.uniform(4.5, 6.5))
        self.air = float(rng.uniform(*self.breath))
        self.ring_seconds = log_uniform(rng, *self.dying)

    def spectrum(self, frequency_hz: float, cutoff_hz: float) -> Audio:
        """Returns the harmonics of the wave behind a resonant low-pass of 24 dB an octave."""
        k = np.arange(1, int(min(0.47 * self.rate_hz / frequency_hz, TABLE_LENGTH // 4)) + 1)
        wave = np.where(k % 2 == 0, 1 - self.odd_only, 1.0) / k**self.slope
        ratio = k * frequency_hz / cutoff_hz
        bump = 1 + self.resonance * np.exp(-np.square(np.log2(ratio) / 0.4))
        return wave * bump / np.sqrt(1 + ratio**8)

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        samples = int((seconds + self.release) * self.rate_hz)
        time = np.arange(samples) / self.rate_hz
        swing = (
            self.swing_cents / 1731 * np.clip(time * 3 - 0.5, 0, 1) * np.sin(2 * np.pi * self.swing_hz * time)
        )
        turns = frequency_hz * np.cumsum(1 + swing) / self.rate_hz
        opening = np.exp(-time / self.close_seconds) * (0.3 + 0.7 * velocity)
        ends = [
            self.spectrum(frequency_hz, hz) for hz in (max(self.closed_hz, 1.2 * frequency_hz), self.open_hz)
        ]
        audio = np.zeros(samples)
        for cents in np.linspace(-1, 1, self.unison) * self.detune_cents if self.unison > 1 else (0.0,):
            phase = turns * 2 ** (cents / 1200) + self.rng.random()
            closed, opened = (read_table(end, phase) for end in ends)
            audio += closed + opening * (opened - closed)
        audio /= np.sqrt(self.unison * np.sum(ends[0] ** 2) + 1e-9)  # no harmonics: a note beyond the rate
        if self.air:
            breath = band(
                self.rng.standard_normal(samples), frequency_hz, 6 * frequency_hz, self.rate_hz, order=1
            )
            audio += self.air * breath
        audio *= decay(self.ring_seconds, samples, self.rate_hz)
        return fade(audio, min(self.rise_seconds, seconds), self.release, self.rate_hz)


class SynthBass(Synth):
    """Renders an analogue bass: one or two voices, short or held."""

    voices, release, cutoff_hz, opening = (1, 1, 2), 0.03, (120.0, 600.0), (1.5, 12.0)
    closing_seconds, dying = (0.05, 0.6), (1.5, 20.0)


class Pad(Synth):
    """Renders slow chords of many voices: strings, choirs, pads."""

    voices, attack, release = (2, 3), (0.05, 0.4), 0.3
    cutoff_hz, opening, dying = (900.0, 6000.0), (1.0, 2.0), (20.0, 60.0)


class Bowed(Synth):
    """Renders a single bowed string: a saw wave with vibrato."""

    attack, cutoff_hz, opening = (0.03, 0.12), (2500.0, 8000.0), (1.0, 1.5)
    vibrato_cents, breath, dying = (8.0, 30.0), (0.0, 0.05), (20.0, 60.0)


class Brass(Synth):
    """Renders brass: the brightness follows the attack."""

    voices, attack, cutoff_hz, opening = (1, 2, 3), (0.02, 0.06), (1200.0, 3500.0), (1.5, 4.0)
    vibrato_cents, dying = (0.0, 12.0), (10.0, 60.0)


class Wind(Synth):
    """Renders reeds and flutes: few harmonics, breath, vibrato."""

    attack, cutoff_hz, opening = (0.02, 0.08), (900.0, 5000.0), (1.0, 1.5)
    vibrato_cents, breath, dying = (5.0, 25.0), (0.02, 0.15), (20.0, 60.0)


class Lead(Synth):
    """Renders the lead voice of a synthesiser."""

    voices, cutoff_hz, vibrato_cents, dying = (1, 2), (1200.0, 7000.0), (0.0, 25.0), (3.0, 40.0)
