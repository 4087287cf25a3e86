"""Renders guitar notes as sums of decaying, slightly inharmonic partials in two polarisations."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import oaconvolve

from ddsp_zoo.music.signals import log_uniform
from ddsp_zoo.music.strings.playing import GRID_SECONDS, RATE, GuitarNote

TAIL_SECONDS = 0.2  # longest release
BLOCK = 512  # samples after which inaudible partials are dropped
BODY_MODES = 40
BODY_SECONDS = 0.15
# Low to high string, for steel and for nylon: inharmonicity of the open string, and how much faster partials decay
# per kHz (1/s). The lower strings are wound; of steel the upper two are plain wire and ring brightly.
INHARMONICITY = ((1.4e-4, 1.0e-4, 8e-5, 7e-5, 6e-5, 3e-5), (6e-5, 5e-5, 8e-5, 1.2e-4, 1.0e-4, 5e-5))
LOSS = ((3.0, 3.0, 2.4, 2.0, 0.9, 0.8), (2.8, 2.8, 2.6, 2.6, 2.8, 2.6))


@dataclass(frozen=True)
class Guitar:
    """Holds what stays the same through a piece, strings, hand and body, and renders notes with it.

    ``inharmonicity`` (of the open strings) and ``loss`` (1/s per kHz) have one value a string, low to high;
    ``sustain`` is the decay rate of low partials (1/s) and ``coupling`` how much faster the polarisation decays that
    moves the bridge; ``tilt`` the power of 1/k that partials fall with, ``cutoff_hz`` where the softness of finger or
    plectrum sets in, ``low_hz`` below what the top radiates little; ``pluck_position`` the distance from the bridge
    as part of the open string, ``pickup_position`` likewise (0: at the bridge, no comb); ``pick_noise`` a level,
    ``stretch`` by what part the hardest plucks start sharp, ``body`` an impulse response.
    """

    inharmonicity: np.ndarray
    loss: np.ndarray
    sustain: float
    tilt: float
    cutoff_hz: float
    low_hz: float
    pluck_position: float
    pickup_position: float
    pick_noise: float
    coupling: float
    stretch: float
    body: np.ndarray

    @classmethod
    def random(cls, rng: np.random.Generator, material: tuple[float, float] = (0.0, 1.0)) -> "Guitar":
        """Draws a guitar with strings from steel (0) to nylon (1), played with anything from fingertip to plectrum."""
        m = rng.uniform(*material)
        wobble = np.exp(rng.normal(0, 0.25, (2, 6)))
        return cls(
            inharmonicity=_between(INHARMONICITY, m) * wobble[0],
            loss=_between(LOSS, m) * wobble[1] * log_uniform(rng, 0.3, 1.1),
            sustain=log_uniform(rng, 0.35, 1.3) * (1 + 0.3 * m),
            tilt=0.5 + 0.8 * m + rng.uniform(-0.3, 0.4),
            cutoff_hz=log_uniform(rng, 1000, 8000) * (1 - 0.4 * m),
            low_hz=log_uniform(rng, 20, 250),
            pluck_position=rng.uniform(0.06, 0.3),
            pickup_position=rng.choice([0.0, rng.uniform(0.03, 0.2)]),
            pick_noise=log_uniform(rng, 0.004, 0.08) * (1 - 0.6 * m),
            coupling=rng.uniform(1.3, 4.0),
            stretch=log_uniform(rng, 0.0005, 0.015),
            body=_body(rng),
        )

    def pluck(
        self, note: GuitarNote, open_hz: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Renders a note: sound (T,), its release included, and f0 (M,) in Hz every 4 ms, as long as it is held.

        Partial k lies at k f0 sqrt((1 + B k^2) / (1 + B)), so that f0 is exactly that of the first. Two
        polarisations, slightly detuned and decaying at different rates, give the two-stage decay and the slow
        beating of a real string. A hammered note has no attack of the pick, a muted one hardly rings.
        """
        time = np.arange(round((note.held_seconds + TAIL_SECONDS) * RATE)) / RATE
        grid = np.arange(int(time[-1] / GRID_SECONDS) + 2) * GRID_SECONDS
        sharp = self.stretch * note.velocity**2 * (note.touch != "hammer") * np.exp(-grid / 0.1)
        f0 = note.pitch_hz(open_hz, len(grid)) * (1 + sharp)
        phase = np.cumsum(np.interp(time, grid, f0)) / RATE
        sound = _sum_partials(phase, *self._partials(note, float(f0.max()), rng))
        sound *= 1 - np.exp(-time / rng.uniform(2e-4, 1.2e-3))
        sound *= note.velocity**1.3 / np.sqrt(np.mean(np.square(sound[: round(0.1 * RATE)])) + 1e-12)
        if note.touch != "hammer":
            sound += self._noise(time, 0.0, 0.003, rng) * note.velocity**2
        sound *= release(time, note.held_seconds, rng.uniform(0.008, 0.03))
        sound += self._noise(time, note.held_seconds, 0.01, rng) * 0.1
        return sound.astype(np.float32), f0[: round(note.held_seconds / GRID_SECONDS)]

    def resonate(self, strings: np.ndarray) -> np.ndarray:
        """Filters the strings (6, T) by the body."""
        return oaconvolve(strings, self.body[None], axes=1)[:, : strings.shape[1]]

    def _partials(
        self, note: GuitarNote, highest_hz: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns, for the partials of both polarisations, frequency over f0, level, decay (1/s) and phase (cycles)."""
        shorter = 2 ** (note.fret / 12)
        b = self.inharmonicity[note.string] * shorter**2
        k = np.arange(1, int(0.48 * RATE / highest_hz) + 1)
        ratio = k * np.sqrt((1 + b * k**2) / (1 + b))
        k, ratio = k[ratio * highest_hz < 0.48 * RATE], ratio[ratio * highest_hz < 0.48 * RATE]
        khz = ratio * highest_hz / 1000
        position = np.clip(self.pluck_position * shorter + rng.normal(0, 0.015), 0.03, 0.5)
        level = np.sin(np.pi * k * position) * np.exp(rng.normal(0, 0.12, len(k))) / k**self.tilt
        if self.pickup_position:
            level = level * np.sin(np.pi * k * min(self.pickup_position * shorter, 0.5))
        soft = {"hammer": 0.5, "mute": 0.6}.get(note.touch, 1.0)
        softness = 1000 * khz / (self.cutoff_hz * soft * (0.3 + 1.2 * note.velocity))
        level = level / (1 + softness**2) / (1 + (self.low_hz / (1000 * khz)) ** 2)
        decay = self.sustain * shorter**0.4 + self.loss[note.string] * khz**1.1
        decay = decay * np.exp(rng.normal(0, 0.1, len(k)))
        if note.touch == "mute":
            decay = decay * 1.5 + rng.uniform(12, 35) + 12 * khz
        angle, detune = rng.uniform(0.2, 1.2), rng.normal(0, 3e-4, len(k)) * (k > 1)
        return (
            np.concatenate([ratio, ratio * (1 + detune)]),
            np.concatenate([np.cos(angle) * level, 0.6 * np.sin(angle) * level]),
            np.concatenate([decay + self.sustain * (self.coupling - 1), decay]),
            rng.normal(0, 0.03, 2 * len(k)),
        )

    def _noise(self, time: np.ndarray, start: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
        """Returns a burst of noise, for the moment when a pick or a finger leaves the string."""
        burst = np.exp(-np.clip(time - start, 0, None) / seconds) * (time >= start)
        return 6 * self.pick_noise * rng.standard_normal(len(time)) * burst


def _between(ends: tuple[tuple[float, ...], tuple[float, ...]], share: float) -> np.ndarray:
    return np.array(ends[0]) ** (1 - share) * np.array(ends[1]) ** share


def _sum_partials(
    phase: np.ndarray, ratio: np.ndarray, level: np.ndarray, decay: np.ndarray, shift: np.ndarray
) -> np.ndarray:
    """Sums level exp(-decay t) sin(2 pi (ratio phase + shift)) in blocks, without what is below -75 dB."""
    out = np.zeros(len(phase))
    within = np.arange(BLOCK) / RATE
    fall = np.exp(-np.outer(decay, within)).astype(np.float32)
    floor = np.abs(level).max() * 10 ** (-75 / 20)
    for start in range(0, len(phase), BLOCK):
        now = level * np.exp(-decay * start / RATE)
        (audible,) = np.nonzero(np.abs(now) > floor)
        if not len(audible):
            break
        cycles = np.outer(ratio[audible], phase[start : start + BLOCK]) + shift[audible, None]
        cycles -= np.rint(cycles)
        waves = np.sin(cycles.astype(np.float32) * np.float32(2 * np.pi))
        waves *= fall[audible, : waves.shape[1]]
        out[start : start + BLOCK] = now[audible].astype(np.float32) @ waves
    return out


def release(time: np.ndarray, held_seconds: float, seconds: float) -> np.ndarray:
    """Returns 1 while the note is held, then an exponential fall that ends in silence after `TAIL_SECONDS`."""
    after = np.clip(time - held_seconds, 0, None)
    return np.exp(-after / seconds) * np.clip((TAIL_SECONDS - after) / 0.02, 0, 1)


def _body(rng: np.random.Generator) -> np.ndarray:
    """Draws the impulse response of a guitar body: the string itself, the air and top resonances, many weaker modes."""
    hz = np.concatenate(
        [
            [rng.uniform(85, 115), rng.uniform(160, 230)],
            np.exp(rng.uniform(np.log(250), np.log(6000), BODY_MODES)),
        ]
    )
    width = np.maximum(hz / log_uniform(rng, 12, 40), 10)
    gain = rng.uniform(0.2, 1.5) * rng.uniform(0.2, 1, len(hz)) * rng.choice([-1, 1], len(hz))
    time = np.arange(round(BODY_SECONDS * RATE)) / RATE
    modes = np.exp(-np.pi * np.outer(width, time)) * np.sin(2 * np.pi * np.outer(hz, time))
    response = (gain * 2 * np.pi * width / RATE) @ modes
    response *= np.clip((BODY_SECONDS - time) / 0.05, 0, 1)
    response[0] += 1
    return response
