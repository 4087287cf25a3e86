"""Ends the program in order when it is told to: it clears away what it has begun, as after an error."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = ("SIGTERM", "SIGHUP")  # of a machine that shuts down, and of a terminal that is closed


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Turns these signals into `SystemExit` while the block lasts, unless they are ignored or somebody handles them."""
    there = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    in_main = threading.current_thread() is threading.main_thread()  # elsewhere handlers cannot be set
    taken = [number for number in there if in_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would cut the clearing short
    raise SystemExit(128 + number)
