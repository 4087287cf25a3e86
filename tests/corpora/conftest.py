"""Recorded guitar notes, annotated performances, and a server to download from."""

import threading
from collections.abc import Callable, Iterator

import pytest
from recordings import jams, note_folders  # noqa: F401
from zenodo import Zenodo

from ddsp_zoo.corpora import download


@pytest.fixture
def serve_zenodo(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, dict[str, bytes]], Zenodo]]:
    """Starts a `Zenodo` with a record of files, which downloads then go to."""
    servers: list[Zenodo] = []

    def start(record: int, files: dict[str, bytes]) -> Zenodo:
        servers.append(server := Zenodo(record, files))
        monkeypatch.setattr(download, "ZENODO", server.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
