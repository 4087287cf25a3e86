"""Servers that are slow, busy, wrong or malicious: each is given up in time, with a few words that say why."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ddsp_zoo.files.download import Ended, Patience, read, receive

SIZE = 100_000
CONTENT = bytes(range(250)) * (SIZE // 250)
HASTY = Patience(connect_seconds=1, piece_seconds=0.4)
QUICK = Patience(pause_seconds=0.01)
BOMB = gzip.compress(bytes(50_000_000), compresslevel=1)
Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers each request by the next of its `answers`, the last one again and again."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/file"
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, float]] = []  # ranges, and when
        self.over = threading.Event()

    def handle_error(self, *arguments: object) -> None:
        """Says nothing of clients that have left."""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        answers = self.server.answers
        self.server.asked.append((self.headers["Range"], time.monotonic()))
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def begin(self, status: int, **headers: object) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield running
        running.over.set()
        running.shutdown()


def right(handler: Handler) -> None:
    start = int(handler.headers["Range"][6:-1])
    handler.begin(206, Content_Length=SIZE - start)
    handler.wfile.write(CONTENT[start:])


def drip(handler: Handler, chunked: bool = False) -> None:
    """Sends a byte now and then, faster than any time-out between two of them."""
    handler.begin(206, **({"Transfer_Encoding": "chunked"} if chunked else {"Content_Length": SIZE}))
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"1\r\nx\r\n" if chunked else b"x")


def drip_header(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 206 Partial Content\r\nX-Long: ")
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"x")


def silent(handler: Handler) -> None:
    handler.server.over.wait(10)


def bomb(handler: Handler) -> None:
    handler.begin(206, Content_Length=len(BOMB), Content_Encoding="gzip")
    handler.wfile.write(BOMB)


def endless(handler: Handler) -> None:
    handler.begin(200)
    while not handler.server.over.is_set():
        handler.wfile.write(bytes(1 << 16))


def status(code: int) -> Answer:
    return lambda handler: handler.begin(code, Content_Length=0)


def moved(place: str) -> Answer:
    return lambda handler: handler.begin(302, Location=place, Content_Length=0)


def test_a_server_that_does_right(server: Server, tmp_path: Path) -> None:
    server.answers = [right]
    assert receive(server.url, tmp_path / "part", SIZE, QUICK) == "complete"
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert receive(server.url, tmp_path / "part", SIZE, QUICK) == "complete" and len(server.asked) == 1


@pytest.mark.parametrize("slow", [drip, partial(drip, chunked=True), drip_header, silent])
def test_a_server_that_holds_on_is_given_up_in_time(server: Server, tmp_path: Path, slow: Answer) -> None:
    server.answers, started = [slow], time.monotonic()
    told = receive(server.url, tmp_path / "part", SIZE, HASTY)
    assert told in ("the server sent next to nothing in 0.4 s", "ReadTimeout")
    with pytest.raises(Ended):
        read(server.url, SIZE, HASTY)
    assert time.monotonic() - started < 4
    while (
        len(server.asked) < 2 and time.monotonic() - started < 10
    ):  # a busy machine has yet to look at the second
        time.sleep(0.05)
    assert len(server.asked) == 2


def test_what_came_slowly_is_kept_and_gone_on_from(server: Server, tmp_path: Path) -> None:
    def half(handler: Handler) -> None:
        handler.begin(206, Content_Length=SIZE)
        handler.wfile.write(CONTENT[: SIZE // 2])
        handler.server.over.wait(10)

    server.answers = [half, right]
    receive(server.url, tmp_path / "part", SIZE, HASTY)
    assert receive(server.url, tmp_path / "part", SIZE, QUICK) == "complete"
    assert (tmp_path / "part").read_bytes() == CONTENT and server.asked[-1][0] != "bytes=0-"


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_after_longer_and_longer_pauses(
    server: Server, tmp_path: Path, code: int
) -> None:
    server.answers = [status(code), status(code), right]
    assert receive(server.url, tmp_path / "part", SIZE, Patience(pause_seconds=0.1)) == "complete"
    first, second, third = (when for _, when in server.asked)
    assert second - first >= 0.1 and third - second >= 0.2
    server.answers = [status(code), right]
    assert read(server.url, SIZE, QUICK) == CONTENT


@pytest.mark.parametrize(("code", "tries"), [(503, 5), (500, 5), (404, 1), (401, 1)])
def test_a_server_that_stays_so_is_told(server: Server, tmp_path: Path, code: int, tries: int) -> None:
    server.answers = [status(code)]
    assert receive(server.url, tmp_path / "part", SIZE, QUICK) == f"status {code}"
    assert len(server.asked) == tries
    with pytest.raises(Ended, match=f"status {code}"):
        read(server.url, SIZE, QUICK)


def test_nothing_is_unpacked_and_nothing_endless_is_taken(server: Server, tmp_path: Path) -> None:
    server.answers = [bomb]
    assert "packed it as gzip" in receive(server.url, tmp_path / "part", SIZE, QUICK)
    with pytest.raises(Ended, match="packed it as gzip"):
        read(server.url, SIZE, QUICK)
    assert (tmp_path / "part").stat().st_size == 0
    server.answers = [endless]
    receive(server.url, tmp_path / "part", SIZE, QUICK)
    assert SIZE < (tmp_path / "part").stat().st_size <= SIZE + (1 << 14)
    with pytest.raises(Ended, match="longer than 100000 bytes"):
        read(server.url, SIZE, QUICK)


@pytest.mark.parametrize(
    "place",
    [
        "http://",
        "http://[::1",
        "http://a:port/",
        "file:///etc/passwd",
        f"http://{'x' * 70}.org",
        "http://\x7f%/",
        "//",
    ],
)
def test_a_redirection_to_what_is_no_address(server: Server, tmp_path: Path, place: str) -> None:
    server.answers = [moved(place)]
    told = receive(server.url, tmp_path / "part", SIZE, QUICK)
    assert told and "\n" not in told and not (tmp_path / "part").stat().st_size


def test_redirections_without_end(server: Server, tmp_path: Path) -> None:
    server.answers = [moved(server.url)]
    assert receive(server.url, tmp_path / "part", SIZE, QUICK) == "TooManyRedirects"
