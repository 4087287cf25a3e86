"""Zenodo on this machine: a record of files that can be downloaded in parts."""

import hashlib
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Zenodo(ThreadingHTTPServer):
    """Answers as Zenodo does: a record in JSON, its files with ranges."""

    def __init__(self, record: int, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url, self.path, self.files = (
            f"http://127.0.0.1:{self.server_port}",
            f"/api/records/{record}",
            files,
        )
        self.sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
        self.asked: list[tuple[str, str]] = []  # file and range
        self.says: bytes | None = None  # in place of the record
        self.cuts: list[int] = []  # for the next answers: bytes after which the line breaks

    @property
    def ranges(self) -> list[str]:
        """What was asked of the files."""
        return [span for _, span in self.asked]

    def entry(self, name: str) -> dict[str, Any]:
        """What the record says of a file."""
        size, checksum = len(self.files[name]), f"md5:{self.sums[name]}"
        link = f"{self.url}{self.path}/files/{name}/content"
        return {"key": name, "size": size, "checksum": checksum, "links": {"self": link}}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        server, parts = self.server, self.path.split("/")
        if self.path == server.path:
            files = [server.entry(name) for name in server.files]
            return self.answer(200, server.says or json.dumps({"files": files}).encode())
        if parts[-1] != "content" or parts[-2] not in server.files:
            return self.send_error(404)
        server.asked.append((parts[-2], self.headers["Range"]))
        data = server.files[parts[-2]][int(self.headers["Range"][6:-1]) :]
        return self.answer(206, data, server.cuts.pop(0) if server.cuts else None)

    def answer(self, status: int, data: bytes, cut: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:cut])

    def log_message(self, *arguments: object) -> None:
        pass
