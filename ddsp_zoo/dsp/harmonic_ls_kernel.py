"""Kernels that correlate a signal with chirped partials, sum chirped partials to a signal, and solve banded systems.

The first two are each other's transpose. In frame n, t samples from its centre, partial k of a source has the
phase multiple[k] * (cycles * t + bend * t^2 / 2) in turns. The loops over t have neither branches nor calls, so
that they run in vector registers.

Arrays: cycles, bend (B, S, N); multiple (B, S, N, K), rising in k, of which those with multiple * cycles >= 1/2
are left out; weight (L,), L even, over the samples of a frame; audio (B, T) or (B, S, T) with T = (N - 1) * hop
+ L, so that frame n covers the samples from n * hop on; amplitudes, as a real and an imaginary part (B, S, N,
K).
"""

import numpy as np

from ddsp_zoo.dsp.compiled import kernel
from ddsp_zoo.dsp.oscillator_kernel import cosine

TOLERANCE, EASE, ATTEMPTS = 0.01, 0.7, 11


@kernel
def place(cycles, bend, turns):
    """Writes the phase of the fundamental over one frame, in turns, to ``turns`` (L,); it is 0 in the middle."""
    half = len(turns) // 2
    for j in range(len(turns)):
        t = np.float64(j) - half
        turns[j] = t * (cycles + 0.5 * bend * t)


@kernel
def correlate(signal, turns, multiple, sine):
    """Returns real and imaginary part of the sum of signal * exp(-2 pi i multiple * turns)."""
    real, imaginary = type(multiple)(0), type(multiple)(0)
    for j in range(len(turns)):
        angle = multiple * turns[j]
        real += signal[j] * cosine(angle, sine)
        imaginary -= signal[j] * cosine(angle - type(multiple)(0.25), sine)
    return real, imaginary


@kernel
def sound(real, imaginary, turns, multiple, sine, signal):
    """Adds the real part of amplitude * exp(2 pi i multiple * turns) to the signal."""
    for j in range(len(turns)):
        angle = multiple * turns[j]
        signal[j] += real * cosine(angle, sine) - imaginary * cosine(angle - type(multiple)(0.25), sine)


@kernel
def project(audio, cycles, bend, multiple, weight, hop, sine, real, imaginary):
    """Writes the weighted correlation of audio (B, S or 1, T) with each partial to ``real`` and ``imaginary``."""
    batch, sources, frames, partials = multiple.shape
    length = len(weight)
    turns, signal = np.empty_like(weight), np.empty_like(weight)
    for b in range(batch):
        for s in range(sources):
            row = audio[b, min(s, audio.shape[1] - 1)]
            for n in range(frames):
                pitch = cycles[b, s, n]
                if pitch == 0:
                    continue
                place(pitch, bend[b, s, n], turns)
                for j in range(length):
                    signal[j] = weight[j] * row[n * hop + j]
                for k in range(partials):
                    if multiple[b, s, n, k] * pitch >= 0.5:
                        break
                    real[b, s, n, k], imaginary[b, s, n, k] = correlate(
                        signal, turns, multiple[b, s, n, k], sine
                    )


@kernel
def render(real, imaginary, cycles, bend, multiple, weight, hop, sine, audio):
    """Adds every partial, weighted, to audio (B, S, T)."""
    batch, sources, frames, partials = multiple.shape
    length = len(weight)
    turns, signal = np.empty_like(weight), np.empty_like(weight)
    for b in range(batch):
        for s in range(sources):
            for n in range(frames):
                pitch = cycles[b, s, n]
                if pitch == 0:
                    continue
                place(pitch, bend[b, s, n], turns)
                signal[:] = 0
                for k in range(partials):
                    if multiple[b, s, n, k] * pitch >= 0.5:
                        break
                    sound(real[b, s, n, k], imaginary[b, s, n, k], turns, multiple[b, s, n, k], sine, signal)
                for j in range(length):
                    audio[b, s, n * hop + j] += weight[j] * signal[j]


@kernel
def eliminate(a, load, y):
    """Factors one system and reduces its right side; returns false where a pivot falls below its load."""
    size, width = a.shape
    for j in range(size):
        if not a[j, 0].real >= -TOLERANCE * load[j]:
            return False
        pivot = a[j, 0].real + load[j]
        a[j, 0] = pivot
        reach = min(width, size - j)
        for m in range(1, reach):
            scaled = a[j, m].conjugate() / pivot
            for d in range(m, reach):
                a[j + m, d - m] -= a[j, d] * scaled
            y[j + m] -= a[j, m] / pivot * y[j]
    return True


@kernel
def solve(band, load, right, answer):
    """Writes the solutions (R, P) of Hermitian systems with a loaded diagonal to ``answer``.

    band (R, P, W + 1) holds the element (j + d, j) of each matrix at [j, d]; load (R, P) is added at [j, 0].
    The band is cut out of a positive semidefinite matrix, in which no pivot falls below its load. Where the cut
    has broken that, everything off the diagonal is scaled by `EASE` until it holds again, and is left out at
    the last attempt.
    """
    rows, size, width = band.shape
    a = np.empty_like(band[0])
    for r in range(rows):
        y = answer[r]
        share = 1.0
        for attempt in range(ATTEMPTS):
            for j in range(size):
                y[j] = right[r, j]
                a[j, 0] = band[r, j, 0]
                for d in range(1, width):
                    a[j, d] = share * band[r, j, d]
            if eliminate(a, load[r], y):
                break
            share = share * EASE if attempt < ATTEMPTS - 2 else 0.0
        for j in range(size - 1, -1, -1):
            value = y[j]
            for d in range(1, min(width, size - j)):
                value -= a[j, d].conjugate() * y[j + d]
            y[j] = value / a[j, 0].real
