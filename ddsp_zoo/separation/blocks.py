"""Audio block by block: resampled, cut into overlapping segments, and kept until it is wanted."""

from collections import deque
from collections.abc import Iterable, Iterator
from threading import Lock

import numpy as np
import soxr


class Resampler:
    """Resamples blocks of one recording: (rows, n) -> (rows, m)."""

    def __init__(self, rate_in: int, rate_out: int, rows: int) -> None:
        same = rate_in == rate_out
        self._stream = None if same else soxr.ResampleStream(rate_in, rate_out, rows, dtype="float32")

    def __call__(self, block: np.ndarray, last: bool) -> np.ndarray:
        """Returns what is finished by now; with ``last`` all that is left."""
        if self._stream is None:
            return block
        block = np.ascontiguousarray(block.T, dtype=np.float32)
        return self._stream.resample_chunk(block, last=last).reshape(-1, block.shape[1]).T


class Queue:
    """Takes blocks (C, n) in, and gives any number of samples out, in order; threads may share it."""

    def __init__(self) -> None:
        self._blocks: deque[np.ndarray] = deque()
        self._lock = Lock()

    def put(self, block: np.ndarray) -> None:
        """Adds a block at the end."""
        with self._lock:
            self._blocks.append(block)

    def take(self, count: int) -> np.ndarray:
        """Removes the first samples."""
        with self._lock:
            joined = np.concatenate(list(self._blocks), axis=1)
            self._blocks = deque([joined[:, count:]])
        return joined[:, :count]


def remembered(blocks: Iterable[np.ndarray], queue: Queue) -> Iterator[np.ndarray]:
    """Yields the same blocks, and keeps them in a queue."""
    for block in blocks:
        queue.put(block)
        yield block


def resampled(
    blocks: Iterable[np.ndarray], rate_in: int, rate_out: int, at_least: int
) -> Iterator[np.ndarray]:
    """Yields blocks at another rate, with silence at the end of what is shorter than so many samples."""
    resample, samples = None, 0
    for block in blocks:
        if resample is None:
            resample = Resampler(rate_in, rate_out, len(block))
        part = resample(block, False)
        samples += part.shape[1]
        yield part
    part = resample(block[:, :0], True)
    yield np.pad(part, ((0, 0), (0, max(at_least - samples - part.shape[1], 0))))


def segments(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Yields overlapping segments (C, length), the last one padded with zeros, and whether it is the last."""
    held: np.ndarray | None = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] > length:
            yield held[:, :length], False
            held = held[:, hop:]
    yield np.pad(held, ((0, 0), (0, length - held.shape[1]))), True
