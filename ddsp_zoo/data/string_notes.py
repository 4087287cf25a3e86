"""One plucked note as a sum of decaying, slightly inharmonic partials."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

BODY_MODES = 6


@dataclass(frozen=True)
class Guitar:
    """What stays the same through a piece: strings, hand and body.

    ``inharmonicity`` and ``t60_seconds`` have one value a string, low to high; ``body`` lists (frequency in Hz,
    bandwidth in Hz, gain) of the modes of the corpus.
    """

    inharmonicity: np.ndarray
    t60_seconds: np.ndarray
    brightness: float
    loss: float
    pluck_position: float
    pickup_position: float
    pick_noise: float
    vibrato_cents: float
    body: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Guitar":
        """A guitar between nylon and steel, played anywhere between fingertip and plectrum."""
        body = np.stack(
            [
                rng.uniform(90, 900, BODY_MODES),
                rng.uniform(15, 80, BODY_MODES),
                rng.uniform(0, 0.25, BODY_MODES),
            ],
            axis=1,
        )
        return cls(
            inharmonicity=np.geomspace(1.5e-4, 3e-5, 6) * rng.uniform(0.3, 1.5),
            t60_seconds=np.geomspace(7.0, 3.5, 6) * rng.uniform(0.4, 1.2),
            brightness=rng.uniform(0.5, 1.6),
            loss=rng.uniform(0.15, 1.2),
            pluck_position=rng.uniform(0.08, 0.35),
            pickup_position=rng.uniform(0.05, 0.25),
            pick_noise=rng.uniform(0.0, 0.06),
            vibrato_cents=rng.uniform(0, 6),
            body=body,
        )


@dataclass(frozen=True)
class Pluck:
    """A note: pitch, string (0 = low E), how long the finger stays, how hard (0-1)."""

    f0_hz: float
    string: int
    held_seconds: float
    velocity: float


def pluck(note: Pluck, guitar: Guitar, rate: int, rng: np.random.Generator, tail: float = 0.15) -> np.ndarray:
    """Sound of a note (T,): its held time and a short release.

    Partial k lies at k f0 sqrt(1 + B k^2); its level follows from pluck and pickup position, sin(k pi p) / k,
    and the force; its decay time falls with frequency. Two polarisations, slightly detuned and decaying at
    different rates, give the two-stage decay and slow beating of a real string.
    """
    time = np.arange(round((note.held_seconds + tail) * rate)) / rate
    k = np.arange(1, int(0.46 * rate / note.f0_hz) + 1)
    b = guitar.inharmonicity[note.string]
    frequency = note.f0_hz * k * np.sqrt((1 + b * k**2) / (1 + b))
    k, frequency = k[frequency < 0.47 * rate], frequency[frequency < 0.47 * rate]
    position = np.clip(guitar.pluck_position + rng.normal(0, 0.01), 0.05, 0.45)
    level = np.abs(np.sin(np.pi * k * position) * np.sin(np.pi * k * guitar.pickup_position)) / k
    level = level * np.exp(-(frequency / 1000) * (1.4 - note.velocity) / guitar.brightness / 2)
    decay = 6.9 / guitar.t60_seconds[note.string] + guitar.loss * (frequency / 1000) ** 1.5 + 0.2
    bend = guitar.vibrato_cents * np.sin(2 * np.pi * 5 * time) / 1731 + 0.0015 * note.velocity * np.exp(
        -12 * time
    )
    phase = 2 * np.pi * np.cumsum(1 + bend) / rate
    sound = np.zeros_like(time)
    for speed, share, detune in ((1.0, 0.7, 0.0), (rng.uniform(1.5, 4), 0.3, rng.normal(0, 4e-4))):
        amplitude = share * level * np.exp(-np.outer(time, decay * speed))
        start = rng.uniform(0, 2 * np.pi, len(k)) * 0.1
        sound += (amplitude * np.sin(np.outer(phase, frequency * (1 + detune)) + start)).sum(1)
    sound += _pick_noise(time, guitar.pick_noise * note.velocity, rng)
    release = np.clip((note.held_seconds - time) / 0.03, -4, 0)
    return (_resonate(sound, guitar.body, rate) * np.exp(release * 1.5) * note.velocity).astype(np.float32)


def _pick_noise(time: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    return level * rng.standard_normal(len(time)) * np.exp(-time / 0.004)


def _resonate(sound: np.ndarray, body: np.ndarray, rate: int) -> np.ndarray:
    """Add the modes of the body, two-pole resonators of unit peak gain, to the string."""
    out = sound.copy()
    for hz, bandwidth, gain in body:
        radius = np.exp(-np.pi * bandwidth / rate)
        denominator = [1, -2 * radius * np.cos(2 * np.pi * hz / rate), radius**2]
        out += gain * lfilter([(1 - radius**2) / 2, 0, -(1 - radius**2) / 2], denominator, sound)
    return out
