"""Serial kernels of the string with a limited feedback and of its adjoint; one row is one string.

A line holds what came before and then the audio, so that no index is ever negative. ``mode`` says what is limited to
[-1, 1]: 0 nothing, 1 the feedback after its gain, 2 before it.
"""

from ddsp_zoo.dsp.compiled import QUIET, kernel


@kernel
def forward(excitation, whole, eta, gain, smoothing, history, tail, dc_pole, mode, line, high, fed, end):
    """Fills ``line`` (R, H + T), the high-pass's output and the feedback (R, T + 1), and the end of ``tail`` (R, 4)."""
    number = excitation.dtype.type
    rows, count = excitation.shape
    kept, one, zero, quiet = history.shape[1], number(1), number(0), number(QUIET)
    for row in range(rows):
        for i in range(kept):
            line[row, i] = history[row, i]
        read, high[row, 0], fed[row, 0] = tail[row, 0], tail[row, 1], tail[row, 2]
        for n in range(count):
            at = kept + n - whole[row, n]
            last, near = read, line[row, at]
            read = near + eta[row, n] * (line[row, at - 1] - near)
            h = dc_pole * (high[row, n] + read - last) if dc_pole > zero else read
            h = zero if abs(h) < quiet else h
            g = gain[row, n]
            c = g * (min(max(h, -one), one) if mode == 2 else h)
            c = min(max(c, -one), one) if mode == 1 else c
            s = smoothing[row, n]
            line[row, kept + n] = excitation[row, n] + (one - s) * c + s * fed[row, n]
            high[row, n + 1], fed[row, n + 1] = h, c
        end[row, 0], end[row, 1], end[row, 2] = read, high[row, count], fed[row, count]


@kernel
def backward(
    adjoint,
    grad_end,
    line,
    high,
    fed,
    whole,
    eta,
    gain,
    smoothing,
    kept,
    dc_pole,
    mode,
    by_eta,
    by_gain,
    by_smoothing,
    grad_tail,
):
    """Turns the gradient of the line, in place, into that of history and excitation; fills those of the others."""
    number = line.dtype.type
    rows, count = whole.shape
    one, zero, quiet = number(1), number(0), number(QUIET)
    for row in range(rows):
        of_read, of_high, of_fed = grad_end[row, 0], grad_end[row, 1], grad_end[row, 2]
        for n in range(count - 1, -1, -1):
            grad = adjoint[row, kept + n]
            grad = zero if abs(grad) < quiet else grad
            c, h, g, s = fed[row, n + 1], high[row, n + 1], gain[row, n], smoothing[row, n]
            by_smoothing[row, n] = grad * (fed[row, n] - c)
            by_fed, of_fed = (one - s) * grad + of_fed, s * grad
            inside = abs(h if mode == 2 else c) < one or mode == 0
            if mode == 1 and not inside:
                by_fed = zero
            by_gain[row, n] = by_fed * (min(max(h, -one), one) if mode == 2 else h)
            by_high = g * by_fed if inside else zero
            if dc_pole > zero:
                by_high = dc_pole * (by_high + of_high)
                by_read, of_high, of_read = by_high + of_read, by_high, -by_high
            else:
                by_read, of_high, of_read = by_high + of_high + of_read, zero, zero
            by_read = zero if abs(by_read) < quiet else by_read
            at = kept + n - whole[row, n]
            by_eta[row, n] = by_read * (line[row, at - 1] - line[row, at])
            adjoint[row, at] += (one - eta[row, n]) * by_read
            adjoint[row, at - 1] += eta[row, n] * by_read
        grad_tail[row, 0], grad_tail[row, 1], grad_tail[row, 2] = of_read, of_high, of_fed
