"""Serial kernels of the string loop and of its adjoint.

One row is one string. It is computed in a line that begins ``reach`` samples before its audio, so that no index
is ever negative. Every hop is cut into pieces of constant whole delay L. A loop filter that recurs from sample
to sample (one-pole, DC blocker) takes a piece sample by sample. Without one, L samples are independent of each
other: pieces no longer than L are loops that vectorise, faster than any recursion.

Controls come as ramps (3, R, N) in the order of ``DELAY, GAIN, SMOOTHING``: value ``start`` at the first sample
of a hop, moving linearly towards ``goal``; inside a piece they come as pairs (value at its first sample, change
per sample).
"""

import numpy as np

from ddsp_zoo.dsp.compiled import QUIET, kernel

DELAY, GAIN, SMOOTHING = 0, 1, 2
U = np.uintp  # an unsigned index needs no test for wrap-around


@kernel
def whole_delay(start, slope, place, longest):
    """Returns the whole samples of a delay ``place`` samples after its start; from ``longest`` on, all is silence."""
    return int(min(max(start + slope * place, 1.0), longest))


@kernel
def cut(start, goal, hop, longest, parallel, places, delays):
    """Cuts one hop into pieces of constant whole delay and returns their number.

    It fills ``places`` with the start of each piece and then hop, and ``delays`` with the delay of each piece. A
    piece has one sample at least, whatever the rounding.
    """
    pieces, place, slope = 0, 0, (goal - start) / hop
    while place < hop:
        whole = whole_delay(start, slope, place, longest)
        stop = min(place + whole, hop) if parallel else hop
        if whole_delay(start, slope, stop - 1, longest) != whole:
            edge = whole + 1 if slope > 0 else whole
            stop = min(stop, max(int((edge - start) / slope), place) + 1)
            while stop > place + 1 and whole_delay(start, slope, stop - 1, longest) != whole:
                stop -= 1
        places[pieces], delays[pieces] = place, whole
        pieces, place = pieces + 1, stop
    places[pieces] = hop
    return pieces


@kernel
def ramps(start, goal, row, frame, place, whole, hop):
    """Returns fraction of the delay, gain and smoothing from a place in a frame on, as pairs."""
    number = start.dtype.type
    at, step = number(place), number(1) / number(hop)
    delay, gain, smoothing = start[DELAY, row, frame], start[GAIN, row, frame], start[SMOOTHING, row, frame]
    delay_slope = (goal[DELAY, row, frame] - delay) * step
    gain_slope = (goal[GAIN, row, frame] - gain) * step
    smoothing_slope = (goal[SMOOTHING, row, frame] - smoothing) * step
    return (
        (delay - number(whole) + delay_slope * at, delay_slope),
        (gain + gain_slope * at, gain_slope),
        (smoothing + smoothing_slope * at, smoothing_slope),
    )


@kernel
def along(ramp, step):
    """Returns a ramp's value ``step`` samples after its start."""
    return ramp[0] + ramp[1] * step


@kernel
def copy(source, target):
    """Copies one row: a plain loop is several times faster here than a slice assignment."""
    for i in range(len(source)):
        target[i] = source[i]


@kernel
def fill(line, reach, history, audio):
    """Writes the end of the history and then the audio into a line."""
    kept = min(reach, len(history))
    line[: reach - kept] = 0
    copy(history[len(history) - kept :], line[reach - kept : reach])
    copy(audio, line[reach:])


@kernel
def limit(y, clip):
    """Sets inaudible values to zero and, with ``clip``, clips values beyond [-1, 1]."""
    one, zero, quiet = y.dtype.type(1), y.dtype.type(0), y.dtype.type(QUIET)
    for i in range(len(y)):
        y[i] = zero if abs(y[i]) < quiet else y[i]
    if clip:
        for i in range(len(y)):
            y[i] = one if y[i] > one else (-one if y[i] < -one else y[i])


@kernel
def unlimit(y, grad, clip):
    """Applies the adjoint of `limit` in place: nothing passes where the sound was clipped."""
    one, zero, quiet = y.dtype.type(1), y.dtype.type(0), y.dtype.type(QUIET)
    for i in range(len(y)):
        grad[i] = zero if abs(grad[i]) < quiet or (clip and abs(y[i]) >= one) else grad[i]


@kernel
def play_parallel(line, at, whole, count, eta, gain, zero, steps):
    """Adds what returns through a one-zero filter (1 - s) + s z^-1 to ``count`` samples from ``at`` on."""
    now, before, earliest = U(at - whole), U(at - whole - 1), U(at - whole - 2)
    for j in range(count):
        i = U(j)
        fraction, smoothing = along(eta, steps[i]), along(zero, steps[i])
        near = line[now + i] + fraction * (line[before + i] - line[now + i])
        far = line[before + i] + fraction * (line[earliest + i] - line[before + i])
        line[U(at) + i] += along(gain, steps[i]) * (near + smoothing * (far - near))


@kernel
def unplay_parallel(adjoint, at, whole, count, eta, gain, zero, steps):
    """Applies the adjoint of `play_parallel`: each of the three taps sends its part back."""
    now, before, earliest, here = U(at - whole), U(at - whole - 1), U(at - whole - 2), U(at)
    one = adjoint.dtype.type(1)
    for j in range(count):
        i = U(j)
        fraction, smoothing = along(eta, steps[i]), along(zero, steps[i])
        back = along(gain, steps[i]) * adjoint[here + i]
        adjoint[now + i] += back * (one - smoothing) * (one - fraction)
    for j in range(count):
        i = U(j)
        fraction, smoothing = along(eta, steps[i]), along(zero, steps[i])
        back = along(gain, steps[i]) * adjoint[here + i]
        adjoint[before + i] += back * (smoothing * (one - fraction) + (one - smoothing) * fraction)
    for j in range(count):
        i = U(j)
        fraction, smoothing = along(eta, steps[i]), along(zero, steps[i])
        back = along(gain, steps[i]) * adjoint[here + i]
        adjoint[earliest + i] += back * smoothing * fraction


@kernel
def measure_zero(line, at, whole, count, eta, gain, zero, steps, sent):
    """Returns the gradients of eta, gain and zero of a one-zero filter, each (sum, sum weighted by the step)."""
    now, before, earliest = U(at - whole), U(at - whole - 1), U(at - whole - 2)
    by_eta = by_eta_step = by_gain = by_gain_step = by_zero = by_zero_step = line.dtype.type(0)
    for j in range(count):
        i = U(j)
        step, grad = steps[i], sent[i]
        fraction, smoothing, g = along(eta, step), along(zero, step), along(gain, step)
        near_slope, far_slope = line[before + i] - line[now + i], line[earliest + i] - line[before + i]
        near, far = line[now + i] + fraction * near_slope, line[before + i] + fraction * far_slope
        of_eta = g * grad * (near_slope + smoothing * (far_slope - near_slope))
        of_gain = grad * (near + smoothing * (far - near))
        of_zero = g * grad * (far - near)
        by_eta, by_eta_step = by_eta + of_eta, by_eta_step + of_eta * step
        by_gain, by_gain_step = by_gain + of_gain, by_gain_step + of_gain * step
        by_zero, by_zero_step = by_zero + of_zero, by_zero_step + of_zero * step
    return (by_eta, by_eta_step), (by_gain, by_gain_step), (by_zero, by_zero_step)


@kernel
def play_serial(line, at, whole, count, eta, gain, smoothing, steps, one_pole, dc_pole, clip, tail, filtered):
    """Plays like `play_parallel`, but with a one-pole filter or a DC blocker, and returns the new tail.

    ``tail`` is (v, h), the last outputs of the filter and of the blocker; ``filtered`` keeps every v, one place
    late.
    """
    now, before, earliest, here = U(at - whole), U(at - whole - 1), U(at - whole - 2), U(at)
    one, zero, quiet = line.dtype.type(1), line.dtype.type(0), line.dtype.type(QUIET)
    v, h = zero if abs(tail[0]) < quiet else tail[0], zero if abs(tail[1]) < quiet else tail[1]
    for j in range(count):
        i = U(j)
        fraction, s = along(eta, steps[i]), along(smoothing, steps[i])
        g, last = along(gain, steps[i]), v
        near = line[now + i] + fraction * (line[before + i] - line[now + i])
        if one_pole:
            v = (g * near - s * (g * near)) + s * v  # in this form only one multiply-add waits for the last v
        else:
            far = line[before + i] + fraction * (line[earliest + i] - line[before + i])
            v = g * (near + s * (far - near))
        if dc_pole > 0:
            h = dc_pole * (h + v - last)
        filtered[U(1) + i] = v
        y = line[here + i] + (h if dc_pole > 0 else v)
        y = zero if abs(y) < quiet else y
        if clip:
            y = one if y > one else (-one if y < -one else y)
        line[here + i] = y
    return v, h


@kernel
def unplay_serial(
    line, adjoint, at, whole, count, eta, gain, smoothing, steps, one_pole, dc_pole, clip, carries, sent
):
    """Applies the adjoint of `play_serial` and returns the new carries.

    It spreads the adjoint over earlier samples and fills ``sent`` with that of v. The carries are what later
    samples send to v through the one-pole filter, and to v and h through the blocker.
    """
    now, before, earliest, here = U(at - whole), U(at - whole - 1), U(at - whole - 2), U(at)
    one, zero, quiet = line.dtype.type(1), line.dtype.type(0), line.dtype.type(QUIET)
    (by_pole, by_change, by_output), pending = carries, zero
    if dc_pole == 0:
        by_pole, by_change = by_pole + by_change, zero
    for j in range(count - 1, -1, -1):
        i = U(j)
        grad = adjoint[here + i]
        grad = zero if abs(grad) < quiet else grad
        if clip and abs(line[here + i]) >= one:
            grad = zero
            adjoint[here + i] = zero
        fraction, s = along(eta, steps[i]), along(smoothing, steps[i])
        if dc_pole > 0:
            by_output = dc_pole * (grad + by_output)
            grad = by_output + by_change
            by_change = -by_output
        if one_pole:
            grad = grad + by_pole
            by_pole = s * grad
        sent[i] = grad
        back = along(gain, steps[i]) * (grad - by_pole)
        if one_pole:
            adjoint[now + i] += (back - fraction * back) + pending
            pending = fraction * back
        else:
            adjoint[now + i] += (one - s) * (one - fraction) * back
            adjoint[before + i] += (s * (one - fraction) + (one - s) * fraction) * back
            adjoint[earliest + i] += s * fraction * back
    adjoint[before] += pending
    return by_pole, by_change, by_output


@kernel
def measure_pole(line, at, whole, count, eta, gain, smoothing, steps, filtered, sent):
    """Returns the gradients of eta, gain and smoothing of a one-pole filter, each (sum, sum weighted by the step)."""
    now, before = U(at - whole), U(at - whole - 1)
    by_eta = by_eta_step = by_gain = by_gain_step = by_smoothing = by_smoothing_step = line.dtype.type(0)
    for j in range(count):
        i = U(j)
        step = steps[i]
        fraction, s, g = along(eta, step), along(smoothing, step), along(gain, step)
        near_slope = line[before + i] - line[now + i]
        near, passed = line[now + i] + fraction * near_slope, sent[i] - s * sent[i]
        of_eta, of_gain = passed * g * near_slope, passed * near
        of_smoothing = sent[i] * (filtered[i] - g * near)
        by_eta, by_eta_step = by_eta + of_eta, by_eta_step + of_eta * step
        by_gain, by_gain_step = by_gain + of_gain, by_gain_step + of_gain * step
        by_smoothing, by_smoothing_step = by_smoothing + of_smoothing, by_smoothing_step + of_smoothing * step
    return (by_eta, by_eta_step), (by_gain, by_gain_step), (by_smoothing, by_smoothing_step)


@kernel
def forward(
    excitation, start, goal, history, tail, reach, hop, one_pole, dc_pole, clip, audio, filtered, end
):
    """Fills audio (R, T) and ``end`` (R, 2), shaped like ``tail``.

    With a filter that recurs it also fills ``filtered`` (R, T + 1), the filter's output.
    """
    rows, count = excitation.shape
    line, steps = np.empty(reach + count, audio.dtype), np.arange(hop).astype(audio.dtype)
    places, delays = np.empty(hop + 1, np.int64), np.empty(hop, np.int64)
    parallel, off = not one_pole and dc_pole == 0, audio.dtype.type(0)
    plain = one_pole and dc_pole == 0 and not clip
    for row in range(rows):
        fill(line, reach, history[row], excitation[row])
        last = tail[row, 0], tail[row, 1]
        if not parallel:
            filtered[row, 0] = tail[row, 0]
        for frame in range(count // hop):
            delay = start[DELAY, row, frame], goal[DELAY, row, frame]
            pieces = cut(*delay, hop, reach - 2, parallel, places, delays)
            for piece in range(pieces):
                place, whole = places[piece], delays[piece]
                at, size = reach + frame * hop + place, places[piece + 1] - place
                eta, gain, smoothing = ramps(start, goal, row, frame, place, whole, hop)
                if parallel:
                    play_parallel(line, at, whole, size, eta, gain, smoothing, steps)
                    limit(line[at : at + size], clip)
                    continue
                v = filtered[row, at - reach :]
                if plain:  # constants, so that the options of the other case are compiled away
                    last = play_serial(
                        line, at, whole, size, eta, gain, smoothing, steps, True, off, False, last, v
                    )
                else:
                    last = play_serial(
                        line, at, whole, size, eta, gain, smoothing, steps, one_pole, dc_pole, clip, last, v
                    )
        copy(line[reach:], audio[row])
        end[row, 0], end[row, 1] = last


@kernel
def backward(
    grad_audio,
    grad_end,
    audio,
    filtered,
    start,
    goal,
    history,
    reach,
    hop,
    one_pole,
    dc_pole,
    clip,
    grad_start,
    grad_goal,
    grad_excitation,
    grad_history,
    grad_tail,
):
    """Fills the gradients of all that `forward` was given."""
    number = audio.dtype.type
    rows, count = audio.shape
    line, adjoint = np.empty(reach + count, audio.dtype), np.empty(reach + count, audio.dtype)
    steps = np.arange(hop).astype(audio.dtype)
    places, delays = np.empty(hop + 1, np.int64), np.empty(hop, np.int64)
    buffer, kept, step = np.empty(hop, audio.dtype), min(reach, history.shape[1]), number(1) / number(hop)
    parallel, off = not one_pole and dc_pole == 0, number(0)
    plain = one_pole and dc_pole == 0 and not clip
    for row in range(rows):
        fill(line, reach, history[row], audio[row])
        fill(adjoint, reach, history[row, :0], grad_audio[row])
        carries = (number(0), grad_end[row, 0], grad_end[row, 1])
        for frame in range(count // hop - 1, -1, -1):
            delay = start[DELAY, row, frame], goal[DELAY, row, frame]
            pieces = cut(*delay, hop, reach - 2, parallel, places, delays)
            for piece in range(pieces - 1, -1, -1):
                place, whole = places[piece], delays[piece]
                at, size = reach + frame * hop + place, places[piece + 1] - place
                eta, gain, smoothing = ramps(start, goal, row, frame, place, whole, hop)
                if parallel:
                    sent = adjoint[at : at + size]
                    unlimit(line[at : at + size], sent, clip)
                    unplay_parallel(adjoint, at, whole, size, eta, gain, smoothing, steps)
                elif plain:
                    sent = buffer[:size]
                    carries = unplay_serial(
                        line,
                        adjoint,
                        at,
                        whole,
                        size,
                        eta,
                        gain,
                        smoothing,
                        steps,
                        True,
                        off,
                        False,
                        carries,
                        sent,
                    )
                else:
                    sent = buffer[:size]
                    carries = unplay_serial(
                        line,
                        adjoint,
                        at,
                        whole,
                        size,
                        eta,
                        gain,
                        smoothing,
                        steps,
                        one_pole,
                        dc_pole,
                        clip,
                        carries,
                        sent,
                    )
                if one_pole:
                    v = filtered[row, at - reach :]
                    gradients = measure_pole(line, at, whole, size, eta, gain, smoothing, steps, v, sent)
                else:
                    gradients = measure_zero(line, at, whole, size, eta, gain, smoothing, steps, sent)
                for control in range(3):
                    total, moment = gradients[control]
                    late = (number(place) * total + moment) * step
                    grad_start[control, row, frame] += total - late
                    grad_goal[control, row, frame] += late
        copy(adjoint[reach:], grad_excitation[row])
        grad_history[row] = 0
        copy(adjoint[reach - kept : reach], grad_history[row, history.shape[1] - kept :])
        grad_tail[row, 0], grad_tail[row, 1] = carries[0] + carries[1], carries[2]
