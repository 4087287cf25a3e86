"""Serial kernels of a time-varying one-pole low-pass and of its adjoint.

A recursion has to wait for its own last result, so four rows run side by side and use each other's waiting
time; where rows are missing the last one is computed again. The poles come as ramps (R, N): ``start`` at the
first sample of a hop, moving linearly towards ``goal``.
"""

import numpy as np

from ddsp_zoo.dsp.compiled import QUIET, kernel

BLOCK = 64  # samples between two looks at the state
U = np.uintp  # an unsigned index needs no test for wrap-around


@kernel
def settle(value, quiet):
    """Returns the value, or zero where it is inaudible and would soon be denormal and slow."""
    return value - value if abs(value) < quiet else value


@kernel
def forward(x, start, goal, state, hop, y):
    """Fills y (R, T) with y[n] = (1 - r[n]) x[n] + r[n] y[n - 1], from y[-1] = state (R,)."""
    rows, count = x.shape
    number = x.dtype.type
    weights, quiet = np.arange(hop).astype(x.dtype) / number(hop), number(QUIET)
    for row in range(0, rows, 4):
        a, b, c, d = row, min(row + 1, rows - 1), min(row + 2, rows - 1), min(row + 3, rows - 1)
        xa, xb, xc, xd, ya, yb, yc, yd = x[a], x[b], x[c], x[d], y[a], y[b], y[c], y[d]
        va, vb, vc, vd = state[a], state[b], state[c], state[d]
        for frame in range(count // hop):
            ra, rb, rc, rd = start[a, frame], start[b, frame], start[c, frame], start[d, frame]
            sa, sb, sc, sd = (
                goal[a, frame] - ra,
                goal[b, frame] - rb,
                goal[c, frame] - rc,
                goal[d, frame] - rd,
            )
            for place in range(0, hop, BLOCK):
                va, vb, vc, vd = settle(va, quiet), settle(vb, quiet), settle(vc, quiet), settle(vd, quiet)
                for j in range(place, min(place + BLOCK, hop)):
                    n, w = U(frame * hop + j), weights[U(j)]
                    pa, pb, pc, pd = ra + sa * w, rb + sb * w, rc + sc * w, rd + sd * w
                    va = (xa[n] - pa * xa[n]) + pa * va
                    vb = (xb[n] - pb * xb[n]) + pb * vb
                    vc = (xc[n] - pc * xc[n]) + pc * vc
                    vd = (xd[n] - pd * xd[n]) + pd * vd
                    ya[n], yb[n], yc[n], yd[n] = va, vb, vc, vd


@kernel
def accumulate(grad, start, goal, hop, adjoint, carry):
    """Fills the adjoint (R, T) of y: g[n] + r[n + 1] adjoint[n + 1]; ``carry`` (R,) receives what reaches the state."""
    rows, count = grad.shape
    number = grad.dtype.type
    weights, quiet = np.arange(hop).astype(grad.dtype) / number(hop), number(QUIET)
    for row in range(0, rows, 4):
        a, b, c, d = row, min(row + 1, rows - 1), min(row + 2, rows - 1), min(row + 3, rows - 1)
        ga, gb, gc, gd = grad[a], grad[b], grad[c], grad[d]
        ya, yb, yc, yd = adjoint[a], adjoint[b], adjoint[c], adjoint[d]
        va, vb, vc, vd = number(0), number(0), number(0), number(0)
        for frame in range(count // hop - 1, -1, -1):
            ra, rb, rc, rd = start[a, frame], start[b, frame], start[c, frame], start[d, frame]
            sa, sb, sc, sd = (
                goal[a, frame] - ra,
                goal[b, frame] - rb,
                goal[c, frame] - rc,
                goal[d, frame] - rd,
            )
            for place in range(hop - 1, -1, -BLOCK):
                va, vb, vc, vd = settle(va, quiet), settle(vb, quiet), settle(vc, quiet), settle(vd, quiet)
                for j in range(place, max(place - BLOCK, -1), -1):
                    n, w = U(frame * hop + j), weights[U(j)]
                    va, vb, vc, vd = ga[n] + va, gb[n] + vb, gc[n] + vc, gd[n] + vd
                    ya[n], yb[n], yc[n], yd[n] = va, vb, vc, vd
                    va, vb, vc, vd = (
                        (ra + sa * w) * va,
                        (rb + sb * w) * vb,
                        (rc + sc * w) * vc,
                        (rd + sd * w) * vd,
                    )
        carry[a], carry[b], carry[c], carry[d] = va, vb, vc, vd


@kernel
def differentiate(adjoint, x, y, start, goal, state, hop, grad_x, grad_start, grad_goal):
    """Writes the gradients of x and of the ramps, given the adjoint of y."""
    rows, count = x.shape
    number = x.dtype.type
    weights = np.arange(hop).astype(x.dtype) / number(hop)
    for row in range(rows):
        sent, given, made, out = adjoint[row], x[row], y[row], grad_x[row]
        for frame in range(count // hop):
            pole, slope, first = start[row, frame], goal[row, frame] - start[row, frame], U(frame * hop)
            before = made[first - U(1)] if frame > 0 else state[row]
            total, late = sent[first] * (before - given[first]), number(0)
            for j in range(1, hop):
                n = first + U(j)
                by_pole = sent[n] * (made[n - U(1)] - given[n])
                total, late = total + by_pole, late + by_pole * weights[U(j)]
            for j in range(hop):
                n = first + U(j)
                out[n] = sent[n] - (pole + slope * weights[U(j)]) * sent[n]
            grad_start[row, frame], grad_goal[row, frame] = total - late, late
