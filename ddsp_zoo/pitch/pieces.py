"""Recordings heard piece by piece, so that memory does not grow with their length."""

from collections.abc import Iterator


def overlapping(count: int, chunk: int, margin: int) -> Iterator[tuple[slice, slice, slice]]:
    """Cuts ``count`` frames into chunks, each heard with a margin of frames on either side.

    Yields the frames of a piece with its margins, those that count, and where these are in the piece.
    """
    for first in range(0, count, chunk):
        start, stop = max(first - margin, 0), min(first + chunk + margin, count)
        last = min(first + chunk, count)
        yield slice(start, stop), slice(first, last), slice(first - start, last - start)
