"""Renders plucked and struck strings of a band: basses, guitars, pianos."""

import numpy as np

from ddsp_zoo.music.band.instrument import Instrument
from ddsp_zoo.music.signals import (
    Audio,
    band,
    decaying_partials,
    drive,
    fade,
    log_uniform,
    peak_filter,
)


class String(Instrument):
    """Renders a plucked or struck string: dying, slightly inharmonic partials, shaped by where it is plucked and heard.

    The amplitude of partial k is sin(pi k p) / k^s at pluck position p, seen by a pickup at q through
    sin(pi k q); s is 2 for a string's displacement, near 0 for its velocity and a hard pick (Fletcher and
    Rossing, The Physics of Musical Instruments, ch. 2). Higher partials die sooner.
    """

    pluck = (0.08, 0.3)
    pickup: tuple[float, float] | None = None
    slope = (0.2, 1.0)
    stiffness = (2e-5, 1.5e-4)
    t60 = (2.0, 5.0)
    damping_hz = (1500.0, 6000.0)
    bright_hz = (1500.0, 7000.0)
    release = 0.05
    noise = (0.0, 0.15)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.place = float(rng.uniform(*self.pluck))
        self.heard = float(rng.uniform(*self.pickup)) if self.pickup else None
        self.steepness = float(rng.uniform(*self.slope))
        self.bend = log_uniform(rng, *self.stiffness)
        self.ring_seconds = log_uniform(rng, *self.t60)
        self.damped_above_hz = log_uniform(rng, *self.damping_hz)
        self.bright_up_to_hz = log_uniform(rng, *self.bright_hz)
        self.scrape = float(rng.uniform(*self.noise))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        samples = int((seconds + self.release) * self.rate_hz)
        k = np.arange(1, int(min(0.47 * self.rate_hz, 6 * self.bright_up_to_hz) / frequency_hz) + 1)
        partial_hz = frequency_hz * k * np.sqrt(1 + self.bend * k**2)
        k, partial_hz = k[partial_hz < 0.47 * self.rate_hz], partial_hz[partial_hz < 0.47 * self.rate_hz]
        place = self.place + self.rng.uniform(-0.02, 0.02)
        loud = np.sin(np.pi * k * place) * np.exp(-partial_hz / (self.bright_up_to_hz * (0.4 + velocity)))
        loud /= k**self.steepness
        if self.heard:
            loud = loud * np.sin(np.pi * k * self.heard)
        t60 = self.ring_seconds * (110 / frequency_hz) ** 0.4 / (1 + partial_hz / self.damped_above_hz)
        phase = self.rng.normal(-np.pi / 2, 0.5, len(k))  # sines: a sum of cosines would start with a spike
        audio = decaying_partials(partial_hz, loud, t60, phase, samples, self.rate_hz)
        audio /= np.sqrt(np.sum(loud**2)) + 1e-9
        attack = min(samples, int(0.008 * self.rate_hz))
        audio[:attack] += (
            self.scrape * velocity * self.rng.standard_normal(attack) * np.linspace(1, 0, attack)
        )
        return fade(audio, 0.001, self.release, self.rate_hz)


class Bass(String):
    """Renders an electric or upright bass: finger, pick, fretless, slapped, or muted with the palm."""

    pluck, pickup, slope = (0.1, 0.3), (0.08, 0.25), (0.6, 1.1)
    bright_hz, damping_hz = (400.0, 2200.0), (500.0, 3000.0)
    t60, noise = (1.5, 6.0), (0.0, 0.1)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.amount = float(rng.choice((0.1, 0.5, 1.5)))
        self.tone_hz = log_uniform(rng, 1200, 6000)
        self.fretless = program == 35
        self.slapped = program in (36, 37)
        if program == 32 or rng.random() < 0.15:
            self.ring_seconds, self.bright_up_to_hz = log_uniform(rng, 0.4, 1.2), self.bright_up_to_hz * 0.6
        if program == 34 or self.slapped:
            self.place, self.bright_up_to_hz = 0.08, self.bright_up_to_hz * (3 if self.slapped else 1.8)
            self.scrape = float(rng.uniform(0.1, 0.4))

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        audio = super().note(frequency_hz, velocity, seconds)
        if self.fretless:
            audio = fade(self.vibrato(audio, 5.0, 12), 0.02, 0, self.rate_hz)
        return audio

    def finish(self, audio: Audio) -> Audio:
        """Applies the amplifier."""
        return band(drive(audio, self.amount * (2 if self.slapped else 1)), 30, self.tone_hz, self.rate_hz)


class Guitar(String):
    """Renders nylon and steel strings on a body, and electric guitars: clean, muted with the palm, distorted."""

    t60 = (1.5, 5.0)

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        super().__init__(rng, program, rate_hz)
        self.acoustic = program in (24, 25)
        self.driven = program in (29, 30)
        if not self.acoustic:
            self.heard = float(rng.uniform(0.06, 0.25))
        if program == 24:
            self.bright_up_to_hz *= 0.6
        if program == 28:
            self.ring_seconds = log_uniform(rng, 0.12, 0.4)
        if self.driven:
            self.ring_seconds *= 2
        self.amount = (
            log_uniform(rng, 2, 8) * (3 if program == 30 else 1) if self.driven else rng.uniform(0.05, 0.8)
        )
        self.cabinet_hz = log_uniform(rng, 3500, 6500)
        self.presence_db = float(rng.uniform(4, 12) if self.driven else rng.uniform(0, 6))
        self.body_hz = np.array((100, 200, 420)) * rng.uniform(0.85, 1.15, 3)
        self.vibrato_cents = float(rng.uniform(0, 25)) if self.driven or rng.random() < 0.2 else 0.0

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        audio = super().note(frequency_hz, velocity, seconds)
        return self.vibrato(audio, 5.2, self.vibrato_cents) if self.vibrato_cents and seconds > 0.3 else audio

    def finish(self, audio: Audio) -> Audio:
        """Applies the body, or the amplifier and its loudspeaker."""
        if self.acoustic:
            for centre_hz in self.body_hz:
                audio = peak_filter(audio, float(centre_hz), 5, 3, self.rate_hz)
            return band(audio, 70, None, self.rate_hz)
        audio = drive(band(audio, 110 if self.driven else 70, None, self.rate_hz), float(self.amount))
        audio = peak_filter(audio, 0.6 * self.cabinet_hz, self.presence_db, 0.8, self.rate_hz)
        return band(audio, 75, self.cabinet_hz, self.rate_hz, order=3 if self.driven else 1)


class Piano(String):
    """Renders struck strings without pedal: pianos, harpsichords, harps and other plucked strings."""

    pluck, slope, stiffness, t60 = (0.1, 0.14), (0.7, 1.2), (1e-4, 6e-4), (3.0, 9.0)
    damping_hz, bright_hz, release = (700.0, 2000.0), (1000.0, 3500.0), 0.12
