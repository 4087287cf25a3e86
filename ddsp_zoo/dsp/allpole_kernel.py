"""Numba kernels of the all-pole lattice: `LANES` rows advance together, one SIMD lane each.

The working memory of a tile is one flat array: `ROWS` rows of `LANES` values for each stage, and one more stage
on top for what enters and what leaves. It is one array with constant distances, so that the compiler sees that
no two rows overlap. It is aligned to 64 bytes, as torch's memory is; otherwise it runs at half the speed.
"""

import numpy as np

from ddsp_zoo.dsp.compiled import kernel

LANES = 32
ROWS = 10
# Rows of one stage: its angle's cosine and sine; the two shears that turn this pair by one sample; the wave that
# waits for the next sample; the wave that runs through within a sample; the gradients of these two waves; the
# gradient of the angle, plain and weighted by the place in the frame.
COS, SIN, SHEAR, LIFT, WAVE, AHEAD, WAVE_GRAD, AHEAD_GRAD, SUM, LATE_SUM = range(ROWS)
SIN_AT, SHEAR_AT, LIFT_AT, WAVE_AT, AHEAD_AT, WAVE_GRAD_AT, AHEAD_GRAD_AT, SUM_AT, LATE_SUM_AT = (
    np.uintp(row * LANES) for row in range(1, ROWS)
)
STAGE = np.uintp(ROWS * LANES)
SILENCE = 1e-18  # below it states are set to zero: denormals are slow, and this is 360 dB down


@kernel
def take_rows(rows: np.ndarray, first: int, start: int, block: np.ndarray) -> None:
    """Copies rows[first : first + LANES, start : start + hop], transposed, to block (hop, LANES).

    Missing rows become zero.
    """
    for lane in range(LANES):
        for j in range(block.shape[0]):
            block[j, lane] = 0
    for lane in range(min(LANES, rows.shape[0] - first)):
        for j in range(block.shape[0]):
            block[j, lane] = rows[first + lane, start + j]


@kernel
def put_rows(block: np.ndarray, rows: np.ndarray, first: int, start: int) -> None:
    """Copies a block back to the rows that `take_rows` has read."""
    for lane in range(min(LANES, rows.shape[0] - first)):
        for j in range(block.shape[0]):
            rows[first + lane, start + j] = block[j, lane]


@kernel
def put(values: np.ndarray, work: np.ndarray, row: int) -> None:
    """Sets one or more rows of every stage, from `row` on, to values (P, count, LANES)."""
    for m in range(values.shape[0]):
        for count in range(values.shape[1]):
            for i in range(LANES):
                work[m, row + count, i] = values[m, count, i]


@kernel
def take(work: np.ndarray, row: int, values: np.ndarray) -> None:
    """Reads the rows that `put` has set into values (P, count, LANES)."""
    for m in range(values.shape[0]):
        for count in range(values.shape[1]):
            for i in range(LANES):
                values[m, count, i] = work[m, row + count, i]


@kernel
def take_state(work: np.ndarray, row: int, values: np.ndarray) -> None:
    """Reads rows as `take` does and sets inaudibly small values to zero."""
    take(work, row, values)
    for m in range(values.shape[0]):
        for i in range(LANES):
            if abs(values[m, 0, i]) < SILENCE:
                values[m, 0, i] = 0


@kernel
def turn(work: np.ndarray, at: np.uintp) -> None:
    """Rotates a sample's two waves by the angle of a stage, then moves the angle on by one sample."""
    c, s, shear, lift = work[at], work[at + SIN_AT], work[at + SHEAR_AT], work[at + LIFT_AT]
    ahead, wave = work[at + STAGE + AHEAD_AT], work[at + WAVE_AT]
    work[at + AHEAD_AT] = c * ahead - s * wave
    work[at + STAGE + WAVE_AT] = s * ahead + c * wave
    c -= shear * s  # three shears turn (c, s) without ever changing its length
    s += lift * c
    work[at] = c - shear * s
    work[at + SIN_AT] = s


@kernel
def unturn(work: np.ndarray, at: np.uintp, late: float) -> None:
    """Undoes one rotation: computes its inputs from its outputs, and their gradients, then moves the angle back."""
    c, s, shear, lift = work[at], work[at + SIN_AT], work[at + SHEAR_AT], work[at + LIFT_AT]
    ahead, grad = work[at + AHEAD_AT], work[at + AHEAD_GRAD_AT]
    wave, wave_grad = work[at + STAGE + WAVE_AT], work[at + STAGE + WAVE_GRAD_AT]
    turned = wave_grad * ahead - grad * wave
    work[at + SUM_AT] += turned
    work[at + LATE_SUM_AT] += late * turned
    work[at + WAVE_AT] = c * wave - s * ahead
    work[at + WAVE_GRAD_AT] = c * wave_grad - s * grad
    work[at + STAGE + AHEAD_AT] = c * ahead + s * wave
    work[at + STAGE + AHEAD_GRAD_AT] = c * grad + s * wave_grad
    c += shear * s
    s -= lift * c
    work[at] = c + shear * s
    work[at + SIN_AT] = s


@kernel
def forward_frame(
    work: np.ndarray, gain: np.ndarray, ramp: np.ndarray, block: np.ndarray, fallen: np.ndarray
) -> None:
    """Filters block (hop, LANES) in place and writes what leaves the top of the lattice to fallen (hop, LANES)."""
    order = work.size // (ROWS * LANES) - 1
    top = np.uintp(order) * STAGE
    for j in range(block.shape[0]):
        for lane in range(LANES):
            i = np.uintp(lane)
            work[top + AHEAD_AT + i] = block[j, i] * (gain[0, i] + ramp[j] * gain[1, i])
        for m in range(order - 1, -1, -1):
            for lane in range(LANES):
                turn(work, np.uintp(m) * STAGE + np.uintp(lane))
        for lane in range(LANES):
            i = np.uintp(lane)
            work[WAVE_AT + i] = work[AHEAD_AT + i]
            block[j, i] = work[AHEAD_AT + i]
            fallen[j, i] = work[top + WAVE_AT + i]


@kernel
def backward_frame(
    work: np.ndarray,
    gain: np.ndarray,
    grad_gain: np.ndarray,
    ramp: np.ndarray,
    block: np.ndarray,
    fallen: np.ndarray,
) -> None:
    """Turns the gradient of the audio, block (hop, LANES), into the gradient of the excitation, in place.

    gain (2, LANES) is start and rise; grad_gain (2, LANES) receives the gradient's sum, plain and weighted by
    the ramp. Lanes without a row divide zero by zero there; nobody reads them.
    """
    order = work.size // (ROWS * LANES) - 1
    top = np.uintp(order) * STAGE
    for j in range(block.shape[0] - 1, -1, -1):
        for lane in range(LANES):
            i = np.uintp(lane)
            work[AHEAD_AT + i] = work[WAVE_AT + i]
            work[AHEAD_GRAD_AT + i] = work[WAVE_GRAD_AT + i] + block[j, i]
            work[top + WAVE_AT + i] = fallen[j, i]
            work[top + WAVE_GRAD_AT + i] = 0
        for m in range(order):
            for lane in range(LANES):
                unturn(work, np.uintp(m) * STAGE + np.uintp(lane), ramp[j])
        for lane in range(LANES):
            i = np.uintp(lane)
            level = gain[0, i] + ramp[j] * gain[1, i]
            grad = work[top + AHEAD_GRAD_AT + i]
            block[j, i] = grad * level
            pull = grad * work[top + AHEAD_AT + i] / level  # the excitation itself is the input over the gain
            grad_gain[0, i] += pull
            grad_gain[1, i] += ramp[j] * pull


@kernel
def forward(
    excitation: np.ndarray,
    turns: np.ndarray,
    gains: np.ndarray,
    ramp: np.ndarray,
    work: np.ndarray,
    block: np.ndarray,
    audio: np.ndarray,
    fallen: np.ndarray,
    states: np.ndarray,
) -> None:
    """Filters all rows, in K tiles of M frames.

    It reads excitation (R, M*hop), turns (K, M, P, 4, LANES), gains (K, M, 2, LANES) as start and rise within
    the frame, ramp = j / hop, and the first of the states. It writes audio (R, M*hop), fallen (K, M, hop,
    LANES) and the other states of (K, M + 1, P, 1, LANES). work (P + 1, ROWS, LANES) and block (hop, LANES) are
    free memory.
    """
    hop = ramp.size
    for tile in range(turns.shape[0]):
        for n in range(turns.shape[1]):
            put(turns[tile, n], work, COS)
            put(states[tile, n], work, WAVE)
            take_rows(excitation, tile * LANES, n * hop, block)
            forward_frame(work.ravel(), gains[tile, n], ramp, block, fallen[tile, n])
            put_rows(block, audio, tile * LANES, n * hop)
            take_state(work, WAVE, states[tile, n + 1])


@kernel
def backward(
    grad_audio: np.ndarray,
    turns: np.ndarray,
    gains: np.ndarray,
    ramp: np.ndarray,
    work: np.ndarray,
    block: np.ndarray,
    fallen: np.ndarray,
    states: np.ndarray,
    grad_excitation: np.ndarray,
    grad_angles: np.ndarray,
    grad_gains: np.ndarray,
    grad_state: np.ndarray,
) -> None:
    """Computes the adjoint of `forward`, with turns at each frame's last sample.

    grad_state (K, P, 1, LANES) holds the gradient of the final state and is replaced by the gradient of the
    first one. grad_angles (K, M, P, 2, LANES) and grad_gains (K, M, 2, LANES), zero at the start, receive the
    sums over each frame, plain and weighted by the ramp.
    """
    hop = ramp.size
    for tile in range(turns.shape[0]):
        for n in range(turns.shape[1] - 1, -1, -1):
            put(turns[tile, n], work, COS)
            put(states[tile, n + 1], work, WAVE)
            put(grad_state[tile], work, WAVE_GRAD)
            put(grad_angles[tile, n], work, SUM)
            take_rows(grad_audio, tile * LANES, n * hop, block)
            backward_frame(work.ravel(), gains[tile, n], grad_gains[tile, n], ramp, block, fallen[tile, n])
            put_rows(block, grad_excitation, tile * LANES, n * hop)
            take(work, SUM, grad_angles[tile, n])
            take_state(work, WAVE_GRAD, grad_state[tile])
