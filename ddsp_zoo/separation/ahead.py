"""Two things done at once: what comes next is made while what is there is used."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yields items in their order; a thread of its own makes the next one meanwhile, and no more than that.

    Who leaves early waits for the item that is being made, so that nothing is read any more when files are closed.
    """
    end: Any = object()
    pool = ThreadPoolExecutor(1)
    maker = pool.submit(threading.get_ident).result()
    try:
        coming = pool.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, items, end)
            yield item
    finally:  # in the thread itself, where that is what finds a generator that nobody holds
        pool.shutdown(wait=threading.get_ident() != maker)
