"""Downloads files over HTTP, going on where an earlier download stopped, and never waiting for ever.

A server is given time for each piece, however it spends it: with silence, with a header that never ends or with a byte
now and then. Nothing that it sends is unpacked, and no more is taken than was announced.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, TypeVar

T = TypeVar("T")
CHUNK_BYTES = 1 << 14
BUSY = (408, 425, 429, 500, 502, 503, 504)  # what a server answers that may do better a little later


@dataclass(frozen=True)
class Patience:
    """Says how long a server is waited for.

    Args:
        connect_seconds: until it is there.
        piece_seconds: for each piece of 16 kB, or all of the answer where that is shorter.
        pause_seconds: before the second try; it doubles from try to try.
        tries: in all, while the server is busy or the line breaks after something has come.
    """

    connect_seconds: float = 5.0
    piece_seconds: float = 30.0
    pause_seconds: float = 1.0
    tries: int = 5


class Ended(Exception):
    """Says in a few words why a transfer came to its end too early, and whether to try again.

    Args:
        words: why.
        again: another try may help.
        broken: the line broke; another try may help where something has come before.
    """

    def __init__(self, words: str, again: bool = False, broken: bool = False) -> None:
        super().__init__(words)
        self.again, self.broken = again, broken


def forbidden_by() -> str | None:
    """Returns the environment variable that forbids downloads, DDSP_ZOO_OFFLINE or HF_HUB_OFFLINE; else None."""
    for variable in ("DDSP_ZOO_OFFLINE", "HF_HUB_OFFLINE"):
        if os.environ.get(variable, "").strip().lower() in {"1", "true", "yes", "on"}:
            return variable
    return None


def receive(url: str, part: Path, size: int, patience: Patience = Patience()) -> str:
    """Appends to `part` what it lacks of `size` bytes; returns in a few words how the transfer ended.

    A broken connection is taken up again, until a try brings nothing new; a busy server is asked again after a pause.
    """

    def attempt() -> None:
        before = size_of(part)
        try:
            _append(url, part, size, patience)
            if size_of(part) < size:
                raise Ended("the server sent no more", broken=True)
        except Ended as error:
            error.again |= error.broken and size_of(part) > before
            raise

    try:
        _tried(attempt, patience)
    except Ended as error:
        return str(error)
    return "complete"


def read(url: str, most_bytes: int, patience: Patience = Patience()) -> bytes:
    """Returns what a server answers, up to a size; raises `Ended` where it does not, or answers more than that."""

    def attempt() -> bytes:
        content = b""
        for _, piece in _pieces(url, 0, patience):
            content += piece
            if len(content) > most_bytes:
                raise Ended(f"the answer is longer than {most_bytes} bytes")
        return content

    return _tried(attempt, patience)


def size_of(path: Path) -> int:
    """Returns the size of a file in bytes, 0 where there is none."""
    return path.stat().st_size if path.exists() else 0


def _tried(attempt: Callable[[], T], patience: Patience) -> T:
    for number in range(patience.tries - 1):
        try:
            return attempt()
        except Ended as error:
            if not error.again:
                raise
            if not error.broken:
                time.sleep(patience.pause_seconds * 2**number)
    return attempt()


def _append(url: str, part: Path, size: int, patience: Patience) -> None:
    from tqdm import tqdm

    with part.open("ab") as file:
        if file.tell() >= size:
            return
        bar = tqdm(desc=url, total=size, initial=file.tell(), unit="B", unit_scale=True, disable=None)
        with bar:
            for number, (goes_on, piece) in enumerate(_pieces(url, file.tell(), patience)):
                if number == 0 and not goes_on:  # ranges are ignored: start anew
                    file.seek(0)
                    file.truncate()
                bar.update(file.write(piece))
                if file.tell() > size:  # never fill the disk with what cannot be right
                    break


def _pieces(url: str, start: int, patience: Patience) -> Iterator[tuple[bool, bytes]]:
    """Yields pieces of a file from byte ``start`` on, each with whether the server does go on there.

    Another thread asks the server, so that no way of being slow can hold this one. Raises `Ended`.
    """
    import requests  # noqa: F401  # takes its time, which is not the server's

    items: Queue[Any] = Queue(maxsize=8)
    left = threading.Event()
    threading.Thread(target=_ask, args=(url, start, patience, items, left), daemon=True).start()
    try:
        goes_on, begun, count = False, time.monotonic(), 0
        while True:
            try:
                item = items.get(timeout=max(0, begun + patience.piece_seconds - time.monotonic()))
            except Empty:
                raise Ended(f"the server sent next to nothing in {patience.piece_seconds:g} s") from None
            if isinstance(item, Exception):
                raise item
            if item is None:
                return
            if isinstance(item, bool):
                goes_on, item = item, b""
            count += len(item)
            if count >= CHUNK_BYTES:
                begun, count = time.monotonic(), 0
            yield goes_on, item
    finally:
        left.set()


def _ask(url: str, start: int, patience: Patience, items: Queue[Any], left: threading.Event) -> None:
    """Puts into a queue whether the server goes on at byte ``start``, then bytes, then None, or the error instead."""
    import requests

    def put(item: Any) -> None:
        while not left.is_set():
            try:
                return items.put(item, timeout=0.1)
            except Full:
                pass

    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-"}
    timeout = patience.connect_seconds, patience.piece_seconds
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as answer:
            answer.raise_for_status()
            if (packed := answer.headers.get("Content-Encoding", "identity")) != "identity":
                raise Ended(f"the server packed it as {packed:.20}, which was not asked for")
            put(answer.status_code == requests.codes.partial_content)
            for piece in answer.iter_content(CHUNK_BYTES):
                if left.is_set():
                    return
                put(piece)
        put(None)
    except Ended as error:
        put(error)
    except requests.HTTPError as error:
        status = error.response.status_code
        put(Ended(f"status {status}", again=status in BUSY))
    except Exception as error:  # also of what lies below, such as of a redirection to what is no address
        put(Ended(type(error).__name__, broken=True))
