"""Renders bars, bells, electric pianos and organs of a band."""

import numpy as np

from ddsp_zoo.music.band.instrument import Instrument
from ddsp_zoo.music.signals import (
    Audio,
    decay,
    decaying_partials,
    drive,
    fade,
    log_uniform,
    read_table,
)


class Bars(Instrument):
    """Renders struck bars and bells: a few partials, far apart."""

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.ratios = np.array(
            ((1, 4, 10), (1, 3, 9.2), (1, 2.76, 5.4), (1, 2.0, 3.01))[int(rng.integers(4))]
        )
        self.loud = np.array((1, rng.uniform(0.1, 0.6), rng.uniform(0.03, 0.3)))
        self.ring_seconds = log_uniform(rng, 0.4, 4)

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        samples = int((seconds + 0.3) * self.rate_hz)
        partial_hz = frequency_hz * self.ratios
        loud = self.loud * (velocity ** np.arange(3)) * (partial_hz < 0.47 * self.rate_hz)
        t60 = self.ring_seconds / self.ratios**0.7 * (262 / frequency_hz) ** 0.3
        audio = decaying_partials(partial_hz, loud, t60, np.zeros(3), samples, self.rate_hz)
        return fade(audio, 0.001, 0.3, self.rate_hz)


class ElectricPiano(Instrument):
    """Renders an electric piano by frequency modulation; harder strokes are brighter (Chowning 1973)."""

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.ratio = float(rng.choice((1, 1, 2, 3)))
        self.index = float(rng.uniform(0.5, 2.5))
        self.tine = float(rng.uniform(0, 0.15))
        self.ring_seconds = log_uniform(rng, 1.5, 5)
        self.tremolo = float(rng.uniform(0, 0.5)), float(rng.uniform(3, 7))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        samples = int((seconds + 0.1) * self.rate_hz)
        turn = 2 * np.pi * frequency_hz * np.arange(samples) / self.rate_hz
        # Carson's rule: side bands reach about (index + 1) * ratio * f0 above the carrier.
        room = 0.45 * self.rate_hz / frequency_hz / self.ratio - 1
        index = np.clip(self.index * velocity, 0, max(room - 1, 0)) * decay(1.0, samples, self.rate_hz)
        audio = np.sin(turn + index * np.sin(self.ratio * turn)) * decay(
            self.ring_seconds, samples, self.rate_hz
        )
        if 14 * frequency_hz < 0.45 * self.rate_hz:
            audio += self.tine * velocity * np.sin(14 * turn) * decay(0.3, samples, self.rate_hz)
        return fade(audio, 0.002, 0.1, self.rate_hz)

    def finish(self, audio: Audio) -> Audio:
        """Applies the tremolo."""
        depth, rate_hz = self.tremolo
        return audio * (
            1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * rate_hz * np.arange(len(audio)) / self.rate_hz))
        )


class Organ(Instrument):
    """Renders an organ: nine sine waves a key, and a rotating speaker or the steady tone of a pipe."""

    feet = np.array((1, 2, 3, 4, 6, 8, 10, 12, 16))  # harmonics of the sub-octave

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.bars = rng.integers(0, 9, 9) / 8 * np.array((0.6, 1, 0.6, 1, 0.5, 0.7, 0.4, 0.4, 0.5))
        self.bars[1] = max(self.bars[1], 0.5)
        self.rotor_hz = float(rng.choice((0.0, 0.8, 6.5)))
        self.amount = float(rng.choice((0.05, 1.0, 2.5)))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        samples = int((seconds + 0.04) * self.rate_hz)
        time = np.arange(samples) / self.rate_hz
        harmonics = np.zeros(16)
        harmonics[self.feet - 1] = self.bars * (self.feet * frequency_hz / 2 < 0.47 * self.rate_hz)
        wobble = 0.004 * np.sin(2 * np.pi * self.rotor_hz * time)
        audio = read_table(harmonics / np.sqrt(np.sum(harmonics**2) + 1e-9), frequency_hz / 2 * time + wobble)
        return fade(audio / max(velocity, 0.2) ** 0.8, 0.006, 0.03, self.rate_hz)  # keys hardly feel velocity

    def finish(self, audio: Audio) -> Audio:
        """Applies the amplifier and the rotating speaker."""
        time = np.arange(len(audio)) / self.rate_hz
        return drive(audio, self.amount) * (1 + 0.2 * np.sin(2 * np.pi * self.rotor_hz * time))
