"""Kernels for banks of oscillators; their only array at sample rate is the sound itself.

Sample j of a frame has the phase start + (j + 1) * cycles + j * (j + 1) / 2 * bend in turns, where the bend
(goal - cycles) / hop leads to the next frame's frequency. A frame is cut in blocks; within one the phase is a
parabola around an anchor computed in float64 and reduced to half a turn, which leaves values small enough for
float32. The loops over the samples of a block have neither branches nor calls, so that they run in vector
registers.

Arrays: start (turns), cycles, goal (turns per sample) (B, N, K) float64, or (B, N, 1) for harmonics; amplitude
(B, N + 1, K); window (hop,), the weight of the next frame's amplitude; audio (B, N * hop). Audio and the
gradients (``*_grad``) are added to what their arrays hold.
"""

import numpy as np

from ddsp_zoo.dsp.compiled import kernel

BLOCK = 128

# sin(2 pi t) = t * (c0 + c1 t^2 + ...) for |t| <= 1/4: minimax fits (Remez) with errors 3e-9 and 2e-19.
SINE = {
    "float32": (6.2831851601, -41.341655037, 81.601004328, -76.549787127, 39.5367377),
    "float64": (
        6.28318530717958646,
        -41.3417022403997484,
        81.6052492760717235,
        -76.7058597526346927,
        42.0586939152843997,
        -15.0946413692384147,
        3.81992280693887364,
        -0.717685455149050571,
        0.10071499367923819,
    ),
}


def sine_polynomial(dtype: np.dtype) -> tuple[np.floating, ...]:
    """Returns the coefficients of sin(2 pi t) / t in t^2, as scalars of the dtype in which the kernels compute."""
    return tuple(dtype.type(value) for value in SINE[dtype.name])


@kernel
def cosine(turns, sine):
    """Returns cos(2 pi turns), as the sine of the distance to the nearer quarter turn, where the polynomial holds."""
    angle = type(turns)(0.25) - abs(turns - np.rint(turns))
    square = angle * angle
    value = sine[-1]
    for k in range(2, len(sine) + 1):
        value = value * square + sine[-k]
    return value * angle


@kernel
def half(hop):
    """Returns the place of a block's anchor: the middle, since the bend of a short frame may be large."""
    return min(BLOCK, hop) // 2


@kernel
def expand(start, cycles, goal, hop, middle, shift, constant, linear, square):
    """Writes the coefficients of the phase around sample ``middle`` of a frame, for K oscillators.

    ``shift`` turns are subtracted from the phase. Samples are counted in whole numbers, so whole turns may be
    removed from every coefficient.
    """
    for k in range(len(start)):
        bend = (goal[k] - cycles[k]) / hop
        turns = start[k] + (middle + 1) * cycles[k] + 0.5 * middle * (middle + 1) * bend - shift
        slope = cycles[k] + (middle + 0.5) * bend
        constant[k] = turns - np.rint(turns)
        linear[k] = slope - np.rint(slope)
        square[k] = 0.5 * bend - np.rint(0.5 * bend)


@kernel
def collect(constant, linear, square, hop, middle, start_grad, cycles_grad, goal_grad):
    """Computes the adjoint of `expand`: adds the gradients of the three coefficients to those of a frame's phase."""
    for k in range(len(constant)):
        bend_grad = 0.5 * middle * (middle + 1) * constant[k] + (middle + 0.5) * linear[k] + 0.5 * square[k]
        start_grad[k] += constant[k]
        cycles_grad[k] += (middle + 1) * constant[k] + linear[k] - bend_grad / hop
        goal_grad[k] += bend_grad / hop


@kernel
def sinusoids(start, cycles, goal, amplitude, window, sine, audio):
    """Adds K free oscillators to the audio; silent ones cost nothing."""
    rows, frames, count = start.shape
    hop = len(window)
    constant, linear, square = np.empty((3, count), amplitude.dtype)
    ramp = (np.arange(BLOCK) - half(hop)).astype(amplitude.dtype)
    for row in range(rows):
        for n in range(frames):
            for first in range(0, hop, BLOCK):
                weight = window[first : first + BLOCK]
                out = audio[row, n * hop + first : n * hop + first + len(weight)]
                middle = first + half(hop)
                expand(
                    start[row, n], cycles[row, n], goal[row, n], hop, middle, 0.25, constant, linear, square
                )
                for k in range(count):
                    left = amplitude[row, n, k]
                    rise = amplitude[row, n + 1, k] - left
                    if left == 0 and rise == 0:
                        continue
                    c0, c1, c2 = constant[k], linear[k], square[k]
                    for i in range(len(weight)):
                        turns = c0 + ramp[i] * (c1 + ramp[i] * c2)
                        out[i] += (left + rise * weight[i]) * cosine(turns, sine)


@kernel
def sinusoids_backward(
    start,
    cycles,
    goal,
    amplitude,
    window,
    sine,
    audio_grad,
    start_grad,
    cycles_grad,
    goal_grad,
    amplitude_grad,
):
    """Adds to the gradients: two weighted sums for an amplitude, three moments per block for a phase."""
    rows, frames, count = start.shape
    hop = len(window)
    constant, linear, square = np.empty((3, count), amplitude.dtype)
    ramp = (np.arange(BLOCK) - half(hop)).astype(amplitude.dtype)
    zero, quarter = amplitude.dtype.type(0), amplitude.dtype.type(0.25)
    full = amplitude.dtype.type(2 * np.pi)
    for row in range(rows):
        for n in range(frames):
            for first in range(0, hop, BLOCK):
                middle = first + half(hop)
                weight = window[first : first + BLOCK]
                grad = audio_grad[row, n * hop + first : n * hop + first + len(weight)]
                expand(
                    start[row, n], cycles[row, n], goal[row, n], hop, middle, 0.25, constant, linear, square
                )
                for k in range(count):
                    left = amplitude[row, n, k]
                    rise = amplitude[row, n + 1, k] - left
                    c0, c1, c2 = constant[k], linear[k], square[k]
                    both, right, m0, m1, m2 = zero, zero, zero, zero, zero
                    for i in range(len(weight)):
                        turns = c0 + ramp[i] * (c1 + ramp[i] * c2)
                        tone = grad[i] * cosine(turns, sine)
                        both += tone
                        right += tone * weight[i]
                        slope = grad[i] * (left + rise * weight[i]) * cosine(turns + quarter, sine)
                        m0 += slope
                        m1 += slope * ramp[i]
                        m2 += slope * (ramp[i] * ramp[i])
                    amplitude_grad[row, n, k] += both - right
                    amplitude_grad[row, n + 1, k] += right
                    constant[k], linear[k], square[k] = full * m0, full * m1, full * m2
                slopes = start_grad[row, n], cycles_grad[row, n], goal_grad[row, n]
                collect(constant, linear, square, hop, middle, *slopes)


@kernel
def fundamental(start, cycles, goal, ramp, sine, sin1, cos1, sin2, cos2):
    """Writes sine and cosine of one oscillator over one frame, and of twice its phase."""
    constant, linear, square = np.empty((3, 1), sin1.dtype)
    quarter = sin1.dtype.type(0.25)
    for first in range(0, len(sin1), BLOCK):
        expand(start, cycles, goal, len(sin1), first + half(len(sin1)), 0.0, constant, linear, square)
        c0, c1, c2 = constant[0], linear[0], square[0]
        sin_out, cos_out = sin1[first : first + BLOCK], cos1[first : first + BLOCK]
        for i in range(len(sin_out)):
            turns = c0 + ramp[i] * (c1 + ramp[i] * c2)
            cos_out[i] = cosine(turns, sine)
            sin_out[i] = cosine(turns - quarter, sine)
    for i in range(len(sin1)):
        sin2[i] = (sin1[i] + sin1[i]) * cos1[i]
        cos2[i] = (cos1[i] + sin1[i]) * (cos1[i] - sin1[i])


@kernel
def audible_partials(cycles, goal, count):
    """Counts the partials that reach below the Nyquist frequency within the frame (or one more)."""
    lowest = min(cycles, goal)
    return count if lowest * count < 0.5 else min(count, int(0.5 / lowest) + 1)


@kernel
def fade(amplitude, following, count, left, rise):
    """Writes the amplitudes at a frame's start and their rise to the next; a zero at the end completes the pairs."""
    for h in range(count):
        left[h], rise[h] = amplitude[h], following[h] - amplitude[h]
    left[count], rise[count] = 0, 0


@kernel
def harmonics(start, cycles, goal, amplitude, window, sine, audio):
    """Adds K harmonics of one oscillator, in pairs: (s, c) turns on by the fundamental, and by its double."""
    rows, frames, _ = start.shape
    count, hop = amplitude.shape[2], len(window)
    ramp = (np.arange(BLOCK) - half(hop)).astype(amplitude.dtype)
    sin1, cos1, sin2, cos2, s, c = np.empty((6, hop), amplitude.dtype)
    left, rise = np.empty((2, count + 1), amplitude.dtype)
    for row in range(rows):
        for n in range(frames):
            top = audible_partials(cycles[row, n, 0], goal[row, n, 0], count)
            fade(amplitude[row, n], amplitude[row, n + 1], top, left, rise)
            fundamental(start[row, n], cycles[row, n], goal[row, n], ramp, sine, sin1, cos1, sin2, cos2)
            for i in range(hop):  # slices would take numba seconds to compile
                s[i], c[i] = sin1[i], cos1[i]
            out = audio[row, n * hop : (n + 1) * hop]
            for h in range(0, top, 2):
                left1, rise1, left2, rise2 = left[h], rise[h], left[h + 1], rise[h + 1]
                for i in range(hop):
                    s1, c1 = s[i], c[i]
                    s2 = s1 * cos1[i] + c1 * sin1[i]
                    out[i] += (left1 + rise1 * window[i]) * s1 + (left2 + rise2 * window[i]) * s2
                    s[i] = s1 * cos2[i] + c1 * sin2[i]
                    c[i] = c1 * cos2[i] - s1 * sin2[i]


@kernel
def harmonics_backward(
    start,
    cycles,
    goal,
    amplitude,
    window,
    sine,
    audio_grad,
    start_grad,
    cycles_grad,
    goal_grad,
    amplitude_grad,
):
    """Adds to the gradients: two weighted sums for an amplitude; all partials share one slope of the phase."""
    rows, frames, _ = start.shape
    count, hop = amplitude.shape[2], len(window)
    ramp = (np.arange(BLOCK) - half(hop)).astype(amplitude.dtype)
    sin1, cos1, sin2, cos2, s, c, slope = np.empty((7, hop), amplitude.dtype)
    left, rise, both, right = np.empty((4, count + 1), amplitude.dtype)
    number = np.arange(1, count + 2).astype(amplitude.dtype)
    zero = amplitude.dtype.type(0)
    for row in range(rows):
        for n in range(frames):
            top = audible_partials(cycles[row, n, 0], goal[row, n, 0], count)
            fade(amplitude[row, n], amplitude[row, n + 1], top, left, rise)
            fundamental(start[row, n], cycles[row, n], goal[row, n], ramp, sine, sin1, cos1, sin2, cos2)
            for i in range(hop):
                s[i], c[i], slope[i] = sin1[i], cos1[i], zero
            grad = audio_grad[row, n * hop : (n + 1) * hop]
            for h in range(0, top, 2):
                left1, rise1 = number[h] * left[h], number[h] * rise[h]
                left2, rise2 = number[h + 1] * left[h + 1], number[h + 1] * rise[h + 1]
                both1, right1, both2, right2 = zero, zero, zero, zero
                for i in range(hop):
                    s1, c1 = s[i], c[i]
                    s2, c2 = s1 * cos1[i] + c1 * sin1[i], c1 * cos1[i] - s1 * sin1[i]
                    slope[i] += (left1 + rise1 * window[i]) * c1 + (left2 + rise2 * window[i]) * c2
                    tone1, tone2 = grad[i] * s1, grad[i] * s2
                    both1 += tone1
                    both2 += tone2
                    right1 += tone1 * window[i]
                    right2 += tone2 * window[i]
                    s[i] = s1 * cos2[i] + c1 * sin2[i]
                    c[i] = c1 * cos2[i] - s1 * sin2[i]
                both[h], right[h], both[h + 1], right[h + 1] = both1, right1, both2, right2
            for h in range(top):
                amplitude_grad[row, n, h] += both[h] - right[h]
                amplitude_grad[row, n + 1, h] += right[h]
            phase_backward(grad, slope, ramp, start_grad[row, n], cycles_grad[row, n], goal_grad[row, n])


@kernel
def phase_backward(grad, slope, ramp, start_grad, cycles_grad, goal_grad):
    """Adds to the gradients of a frame's three coefficients.

    ``slope`` is the slope of the frame's samples by the phase of its one oscillator.
    """
    constant, linear, square = np.empty((3, 1), slope.dtype)
    full, zero = slope.dtype.type(2 * np.pi), slope.dtype.type(0)
    for first in range(0, len(slope), BLOCK):
        m0, m1, m2 = zero, zero, zero
        for i in range(min(BLOCK, len(slope) - first)):
            tilt = full * grad[first + i] * slope[first + i]
            m0 += tilt
            m1 += tilt * ramp[i]
            m2 += tilt * (ramp[i] * ramp[i])
        constant[0], linear[0], square[0] = m0, m1, m2
        middle = first + half(len(slope))
        collect(constant, linear, square, len(slope), middle, start_grad, cycles_grad, goal_grad)
