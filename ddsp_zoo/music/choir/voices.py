"""Renders singers: a pulsing glottis with breath, a moving vocal tract of eight formants, consonants, vibrato.

Everything a singer does is first drawn as curves over a grid of 4 ms (f0, loudness, formants, noise), then rendered
sample by sample. The f0 curve is the pitch that sounds: jitter moves the pulses around it but never away from it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import signal
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

from ddsp_zoo.dsp.allpole import allpole
from ddsp_zoo.dsp.lsf import coefficients_to_reflection
from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.music.choir.scores import SungNote
from ddsp_zoo.music.signals import log_uniform, peak_filter, tilt

RATE = 16000
GRID = 64  # samples between two points of a control curve
GRID_SECONDS = GRID / RATE
# First three formants of sustained vowels in Hz, rounded averages of men and women. Source: Peterson & Barney 1952.
VOWEL_HZ = {
    "men": {
        "a": (730, 1090, 2440),
        "e": (500, 1840, 2480),
        "i": (290, 2250, 3000),
        "o": (520, 840, 2410),
        "u": (310, 870, 2240),
    },
    "women": {
        "a": (840, 1220, 2800),
        "e": (570, 2200, 2950),
        "i": (330, 2650, 3300),
        "o": (560, 920, 2710),
        "u": (370, 950, 2670),
    },
}
CONSONANT_HZ = {"nasal": (260, 1150, 2400), "liquid": (370, 1250, 2600)}
BANDWIDTH_HZ = {
    "men": np.array((70, 90, 140, 200, 220, 220, 240, 280), float),
    "women": np.array((75, 110, 170, 260, 380, 480, 600, 750), float),
}
# Frication bands in Hz, and for each consonant the ranges from which their levels are drawn (relative to a vowel).
BANDS_HZ = ((700, 2200), (2200, 4500), (4500, 7500))
FORMANTS = 8


@dataclass(frozen=True)
class Singer:
    """Holds what stays the same about one voice."""

    kind: str
    tract: float  # all formants relative to the average
    cluster: float  # how far the third to fifth formant draw together into the singer's formant, 0 to 1
    vowels: float  # how much the own vowels differ, standard deviation of log frequency
    open_quotient: float
    skew: float  # exponent of the glottal flow: larger closes more abruptly
    tilt_hz: float  # corner of the spectral tilt when singing loudly
    breath: float  # aspiration relative to the pulses
    vibrato_hz: float
    vibrato_cents: float
    jitter: float  # in periods
    shimmer: float
    offset_cents: float
    scoop_cents: float
    glide_seconds: float
    clarity: float  # how strongly consonants are made
    seed: int

    @classmethod
    def random(cls, rng: np.random.Generator, part: str) -> "Singer":
        """Draws a voice of a part."""
        high = {"soprano": 1.02, "alto": 0.97, "tenor": 1.03, "bass": 0.97}[part]
        kind = "women" if part in ("soprano", "alto") else "men"
        return cls(
            kind=kind,
            tract=high * float(np.exp(rng.normal(0, 0.04))),
            cluster=rng.uniform(0, 0.8 if kind == "men" else 0.4),
            vowels=rng.uniform(0.03, 0.08),
            open_quotient=rng.uniform(0.5, 0.72) + (0.06 if kind == "women" else 0),
            skew=rng.uniform(1.8, 3.2),
            tilt_hz=log_uniform(rng, 600, 2200) if kind == "women" else log_uniform(rng, 1300, 5000),
            breath=log_uniform(rng, 0.004, 0.04) * (1 if kind == "women" else 2),
            vibrato_hz=rng.uniform(4.8, 6.4),
            vibrato_cents=log_uniform(rng, 10, 75) * (1.2 if part == "soprano" else 1),
            jitter=log_uniform(rng, 0.001, 0.005),
            shimmer=rng.uniform(0.01, 0.05),
            offset_cents=rng.normal(0, 8),
            scoop_cents=rng.uniform(20, 150),
            glide_seconds=log_uniform(rng, 0.012, 0.045),
            clarity=rng.uniform(0.3, 1.2),
            seed=int(rng.integers(1 << 31)),
        )


@dataclass(frozen=True)
class Curves:
    """Holds a performance on the control grid of M points; levels are linear, frequencies in Hz."""

    f0_hz: NDArray
    voicing: NDArray
    effort: NDArray  # 0 soft to 1 loud
    breath: NDArray
    formant_hz: NDArray  # (M, 8)
    bandwidth_hz: NDArray  # (M, 8)
    frication: NDArray  # (M, 3)


def sing(
    lines: list[tuple[SungNote, ...]], singers: list[Singer], seconds: float, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Sings one part a singer, dry: audio (S, T) at 16 kHz, f0_hz (S, M) and onset (S, M) every 4 ms.

    f0 is 0 where the vocal folds rest; an onset is where a note begins.
    """
    count = round(seconds / GRID_SECONDS)
    curves = [_perform(notes, singer, count, rng) for notes, singer in zip(lines, singers, strict=True)]
    audio = _tract(
        np.stack([_source(c, s, rng) for c, s in zip(curves, singers, strict=True)]), curves, singers
    )
    audio += np.stack([_frication(c, rng) for c in curves])
    onset, voiced = np.zeros((2, len(lines), count), np.float32)
    for row, (notes, curve) in enumerate(zip(lines, curves, strict=True)):
        loudest = maximum_filter1d(curve.voicing, 2 * _at(0.4) + 1)
        voiced[row] = curve.voicing > np.maximum(0.06 * loudest, 1e-3)
        for note in notes:
            onset[row, min(_at(note.start_seconds), count - 1)] = 1
    return audio, np.stack([c.f0_hz for c in curves]).astype(np.float32) * voiced, onset * voiced


def _at(seconds: float) -> int:
    return max(round(seconds / GRID_SECONDS), 0)


def _smooth(values: NDArray, seconds: float) -> NDArray:
    """Smooths along the grid by a Gaussian whose standard deviation is given in seconds."""
    return gaussian_filter1d(values, seconds / GRID_SECONDS, axis=0, mode="nearest")


def _drift(rng: np.random.Generator, count: int, seconds: float) -> NDArray:
    """Draws a slow random curve (count,) of unit variance that changes within about ``seconds``."""
    step = max(_at(seconds), 1)
    points = rng.standard_normal(count // step + 3)
    place = np.arange(count) / step
    return np.interp(place, np.arange(len(points)), points) * 1.2


# ---- from notes to curves


def _perform(notes: tuple[SungNote, ...], singer: Singer, count: int, rng: np.random.Generator) -> Curves:
    if not notes:
        still, tract = np.zeros((3, count)), np.tile(_vowel(singer, "a"), (count, 1))
        return Curves(
            still[0] + 100,
            *still,
            tract,
            tract * 0 + BANDWIDTH_HZ[singer.kind],
            np.zeros((count, len(BANDS_HZ))),
        )
    voicing, effort, breath = _loudness(notes, singer, count, rng)
    formants, bandwidths, frication, closed = _articulate(notes, singer, count, rng)
    voicing = voicing * closed
    f0 = _melody(notes, singer, count, rng)
    # A mouth opens further rather than letting the fundamental pass the first formant.
    formants[:, 0] = np.maximum(formants[:, 0], 1.03 * f0)
    formants[:, 1] = np.maximum(formants[:, 1], formants[:, 0] * 1.25)
    bandwidths[:, 0] = np.maximum(bandwidths[:, 0], 0.12 * formants[:, 0])
    return Curves(f0, voicing, effort, breath, formants, bandwidths, frication)


def _melody(notes: tuple[SungNote, ...], singer: Singer, count: int, rng: np.random.Generator) -> NDArray:
    """Draws f0 (M,) in Hz, rests included: glides between notes, scoops into phrases, vibrato, drift and flutter."""
    midi, glide = np.full(count, float(notes[0].midi)), np.full(count, 0.5)
    bend, vibrato = np.zeros(count), np.zeros(count)
    for place, note in enumerate(notes):
        first, last = _at(note.start_seconds), _at(note.end_seconds)
        midi[first:] = note.midi + rng.normal(0, 0.07)
        glide[first:] = rng.random()
        rested = place == 0 or note.start_seconds - notes[place - 1].end_seconds > 0.1
        time = np.arange(last - first) * GRID_SECONDS
        if rng.random() < (0.6 if rested else 0.15):
            bend[first:last] -= (
                singer.scoop_cents * rng.uniform(0.3, 1) * np.exp(-time / rng.uniform(0.03, 0.12))
            )
        if rested and place:  # the pitch of the next note is taken in the rest
            middle = _at((notes[place - 1].end_seconds + note.start_seconds) / 2)
            midi[middle:first] = midi[first]
        late, full = rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.6)
        vibrato[first:last] = np.clip((time - late) / full, 0, 1) * rng.uniform(0.5, 1.3)
    slow, fast = _smooth(midi, singer.glide_seconds * 1.8), _smooth(midi, singer.glide_seconds * 0.6)
    weight = _smooth(glide, 0.1)
    rate = singer.vibrato_hz * (1 + 0.06 * _drift(rng, count, 0.7))
    turn = 2 * np.pi * (np.cumsum(rate) * GRID_SECONDS + rng.random())
    depth = (
        singer.vibrato_cents * np.clip(1 + 0.35 * _drift(rng, count, 1.2), 0.1, 2) * _smooth(vibrato, 0.05)
    )
    flutter = 4 * _drift(rng, count, 0.1) + 6 * _drift(rng, count, 0.5)
    cents = singer.offset_cents + bend + depth * np.sin(turn) + _smooth(flutter, 0.015)
    return midi_to_hz(slow * weight + fast * (1 - weight) + cents / 100)


def _loudness(
    notes: tuple[SungNote, ...], singer: Singer, count: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray]:
    """Draws the level of the pulses, effort from 0 to 1, and the level of the breath, each (M,)."""
    gate, level, air = np.zeros(count), np.zeros(count), np.zeros(count)
    middle = np.median([note.midi for note in notes])
    for place, note in enumerate(notes):
        first, last = _at(note.start_seconds), _at(note.end_seconds)
        gate[first:last] = 1
        arch = np.sin(np.pi * (np.arange(last - first) + 1) / (last - first + 1))
        loud = rng.normal(-3, 2) + 0.35 * np.clip(note.midi - middle, -9, 9) + rng.uniform(0, 4) * arch
        if place + 1 == len(notes) or notes[place + 1].start_seconds - note.end_seconds > 0.1:  # dying away
            loud = loud - rng.uniform(2, 14) * np.linspace(0, 1, last - first) ** 2
        level[first:last] = loud
        rested = place == 0 or note.start_seconds - notes[place - 1].end_seconds > 0.18
        if rested and rng.random() < 0.6:  # a breath before the phrase
            start = max(first - _at(rng.uniform(0.2, 0.45)), 0)
            air[start : max(first - _at(0.06), start)] = log_uniform(rng, 0.002, 0.02)
    level = (
        _smooth(level, 0.04) + 2.5 * _drift(rng, count, 2.0) + 0.5 * _smooth(_drift(rng, count, 0.15), 0.02)
    )
    gate = _smooth(gate, rng.uniform(0.012, 0.03)) ** rng.uniform(1, 2)
    effort = np.clip(0.6 + level / 14, 0, 1)
    shimmer = 1 + singer.shimmer * rng.standard_normal(count)
    voicing = gate * 10 ** (level / 20) * shimmer
    return voicing, effort, _smooth(air, 0.03) + singer.breath * gate * 10 ** (0.6 * level / 20)


def _articulate(
    notes: tuple[SungNote, ...], singer: Singer, count: int, rng: np.random.Generator
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Draws formants and bandwidths (M, 8), frication (M, 3), and how far the voice passes (M,)."""
    formants, frication = (
        np.tile(_vowel(singer, notes[0].vowel), (count, 1)),
        np.zeros((count, len(BANDS_HZ))),
    )
    wide, passing = np.ones(count), np.ones(count)
    for note in notes:
        first, last = _at(note.start_seconds), _at(note.end_seconds)
        target = _vowel(singer, note.vowel) * np.exp(rng.normal(0, 0.025, FORMANTS))
        formants[first:] = target
        if rng.random() < 0.15:  # a diphthong
            turn = first + int(rng.uniform(0.5, 0.8) * (last - first))
            formants[turn:] = _vowel(singer, str(rng.choice(list(VOWEL_HZ["men"]))))
        if note.attack and note.consonant:
            span = slice(max(first - _at(rng.uniform(0.04, 0.11)), 0), first + _at(rng.uniform(0, 0.03)))
            _consonant(note.consonant, span, target, singer, rng, formants, frication, wide, passing)
    drift = np.stack([_drift(rng, count, 0.25) for _ in range(4)], 1) * 0.015
    formants = np.exp(_smooth(np.log(formants), rng.uniform(0.012, 0.03)))
    formants[:, :4] *= np.exp(_smooth(drift, 0.03))
    return (
        formants,
        BANDWIDTH_HZ[singer.kind] * singer.tract * _smooth(wide, 0.012)[:, None],
        _smooth(frication, 0.004),
        _smooth(passing, 0.008),
    )


def _vowel(singer: Singer, vowel: str) -> NDArray:
    """Returns the eight formants of one singer's vowel."""
    rng = np.random.default_rng([singer.seed, "aeiou".index(vowel)])
    own = np.exp(rng.normal(0, singer.vowels, 3))
    low = np.array(VOWEL_HZ[singer.kind][vowel]) * own * singer.tract
    top = np.array((3400, 4200, 5200, 6200, 7200) if singer.kind == "men" else (4000, 4800, 5600, 6400, 7100))
    formants = np.concatenate([low, top * min(singer.tract, 1.05)])
    centre = 2850.0 * singer.tract
    formants[2:5] += 0.6 * singer.cluster * (np.array((centre - 250, centre, centre + 350)) - formants[2:5])
    formants = np.maximum.accumulate(formants * np.linspace(1, 1.001, FORMANTS))
    return np.minimum(formants, 0.46 * RATE)


def _consonant(
    consonant: str,
    span: slice,
    target: NDArray,
    singer: Singer,
    rng: np.random.Generator,
    formants: NDArray,
    frication: NDArray,
    wide: NDArray,
    passing: NDArray,
) -> None:
    """Writes one consonant into the curves, in place."""
    if consonant in CONSONANT_HZ:
        place = np.exp(rng.normal(0, 0.12))
        formants[span, :3] = np.array(CONSONANT_HZ[consonant]) * singer.tract * (1, place, place)
        wide[span] = rng.uniform(1.5, 2.5)
        passing[span] = 1 - min(singer.clarity, 1) * (0.6 if consonant == "nasal" else 0.45) * rng.uniform(
            0.5, 1
        )
        return
    passing[span] = 0
    colour = rng.dirichlet((0.5, 0.8, 1.2)) * singer.clarity * log_uniform(rng, 0.03, 0.3)
    if consonant == "stop":
        burst = span.stop - _at(rng.uniform(0.012, 0.04))
        frication[burst : span.stop] = 1.3 * colour
        formants[span, 1] = 0.5 * target[1] + 0.5 * rng.uniform(900, 2000)
    else:
        frication[span] = colour


# ---- from curves to sound


def _source(curves: Curves, singer: Singer, rng: np.random.Generator) -> NDArray:
    """Renders what enters the vocal tract (T,): pulses, and breath that is strongest while the glottis is open."""
    pulses, openness = _glottis(curves, singer, rng)
    noise = rng.standard_normal(len(pulses) + 1)
    bright = noise[1:] - 0.8 * noise[:-1]  # the tilt is that of the pulses, not of the noise
    return pulses + bright * (0.25 + openness) * _up(curves.breath, GRID)


def _frication(curves: Curves, rng: np.random.Generator) -> NDArray:
    """Renders the noise of consonants (T,), which is made near the lips and so not filtered by the tract."""
    audio = np.zeros(len(curves.f0_hz) * GRID)
    for gain, band in zip(curves.frication.T, BANDS_HZ, strict=True):
        if gain.any():
            noise = signal.sosfilt(
                signal.butter(2, band, "bandpass", fs=RATE, output="sos"), rng.standard_normal(len(audio))
            )
            audio += noise * _up(gain, GRID) * 0.6
    return audio


def _up(values: NDArray, hop: int) -> NDArray:
    """Interpolates linearly (M,) -> (M * hop,); the last value is held."""
    step = np.diff(values, append=values[-1:]) / hop
    return (values[:, None] + step[:, None] * np.arange(hop)).reshape(-1)


def _glottis(curves: Curves, singer: Singer, rng: np.random.Generator) -> tuple[NDArray, NDArray]:
    """Renders pulses (T,), the derivative of the flow through the glottis, and how open it is, from 0 to 1 (T,).

    Within the open part x = 0...1 of a period the flow is x^p (1 - x): it rises slowly and stops at once, and this stop
    excites the vocal tract. p = 2 is the pulse of Klatt & Klatt 1990. Rendered at twice the rate against aliasing.
    """
    hop = 2 * GRID
    wobble = singer.jitter * rng.standard_normal(len(curves.f0_hz) * 4)
    turns = np.cumsum(_up(curves.f0_hz, hop)) / (2 * RATE) + _up(wobble, hop // 4)
    quotient = np.clip(singer.open_quotient + 0.22 * (0.6 - curves.effort), 0.35, 0.92)
    x = (turns - np.floor(turns)) / _up(quotient, hop)
    p = singer.skew
    x = np.where(x < 1, x, 0)  # closed is like the moment before it opens
    rising = np.power(x, p - 1)
    slope = rising * (p - (p + 1) * x) * _up(curves.voicing, hop)
    flow = (rising * x * (1 - x))[::2] * ((p + 1) ** (p + 1) / p**p)
    return signal.resample_poly(slope, 1, 2), flow


def _tract(source: NDArray, curves: list[Curves], singers: list[Singer]) -> NDArray:
    """Filters sources (S, T) by the formants and spectral tilts of their singers: audio (S, T)."""
    polynomials = np.stack([_polynomial(c, s) for c, s in zip(curves, singers, strict=True)])
    # Each formant passes low frequencies as they are, so that vowels are about equally loud.
    driven = source * np.stack([_up(row.sum(0), GRID) for row in polynomials])
    reflection = coefficients_to_reflection(torch.from_numpy(polynomials[:, 1:]).mT.contiguous())
    audio, _ = allpole(torch.from_numpy(driven).float(), reflection, GRID)
    return audio.numpy().astype(float)


def _polynomial(curves: Curves, singer: Singer) -> NDArray:
    """Returns 1, a_1 ... a_17 (18, M) of the filter 1 / A(z) at every point of the grid."""
    higher = np.maximum(curves.f0_hz / 300, 1)  # towards the head voice, whose pulses are rounder
    corner = singer.tilt_hz * np.exp(1.4 * (curves.effort - 0.7)) / higher
    pole = np.exp(-2 * np.pi * np.minimum(corner, 7000) / RATE)
    polynomial = np.stack([np.ones_like(pole), -pole])
    for hertz, width in zip(curves.formant_hz.T, curves.bandwidth_hz.T, strict=True):
        radius = np.exp(-np.pi * width / RATE)
        longer = np.concatenate([polynomial, np.zeros((2, len(pole)))])
        longer[1:-1] -= 2 * radius * np.cos(2 * np.pi * hertz / RATE) * polynomial
        longer[2:] += radius**2 * polynomial
        polynomial = longer
    return polynomial


def microphone(audio: NDArray, singer: Singer, rng: np.random.Generator) -> NDArray:
    """Applies a dip above the larynx that is the singer's own, and the small colouring of a microphone."""
    own = np.random.default_rng(singer.seed)
    centre, depth = own.uniform(4300, 5000) * min(singer.tract, 1.03), own.uniform(10, 24)
    audio = peak_filter(audio, centre, -depth, own.uniform(1.5, 3), RATE)
    audio = tilt(audio, rng.uniform(-2.5, 2.5), RATE)
    audio = peak_filter(audio, log_uniform(rng, 150, 5000), rng.uniform(-4, 4), rng.uniform(0.5, 1.5), RATE)
    high_pass = signal.butter(1, rng.uniform(20, 70), "high", fs=RATE, output="sos")
    return signal.sosfilt(high_pass, audio)
