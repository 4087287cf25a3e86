"""A model, checkpoints of it and a real HTTP server on the loopback that has them: what tests of the zoo share."""

from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.zoo import save_checkpoint
from ddsp_zoo.zoo.manifest import WEIGHTS

ROOT = Path(__file__).resolve().parents[2]
FILES = ["card.md", "config.yaml", "metrics.json", "model.safetensors"]
NOTHING = {"sha256": None, "size": None}
REVISION = "0123456789abcdef0123456789abcdef01234567"
CLASS = "ddsp_zoo.models._tiny.Tiny"
CONFIG = {"class_path": CLASS, "init_args": {"width": 128}}
Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Inner:
    """A group of settings."""

    width: int = 3
    biased: bool = True


class Tiny(Learner):
    """A model small enough for a test; its weights fill three pieces of a download."""

    def __init__(self, width: int = 128, inner: Inner | None = None, pretrained: str = "") -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        assert not pretrained, "a checkpoint needs no other weights"
        self.layer = nn.Linear(width, width)
        self.inner = nn.Linear(inner.width, inner.width, inner.biased) if inner else None


def forbidden() -> None:
    raise AssertionError("a checkpoint ran a function")


class HubServer(ThreadingHTTPServer):
    """Answers as the hub does: `resolve` addresses, weights by redirection, ranges."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files = root / "us/zoo/resolve" / REVISION / "tiny"
        self.asked: list[tuple[str, str]] = []  # (file, range)
        self.cuts: list[int] = []  # for the next answers with weights: bytes after which the line breaks
        self.knows_ranges = True
        self.gate = lambda: None  # waited for before weights are sent

    def weights_asked(self) -> list[str]:
        return [byte_range for file, byte_range in self.asked if file == WEIGHTS]


class HubHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server, moved = self.server, self.path.startswith("/cdn/")
        path = server.files / Path(self.path).name
        if not self.path.endswith(f"/us/zoo/resolve/{REVISION}/tiny/{path.name}") or not path.is_file():
            return self.send_error(404)
        if path.name == WEIGHTS and not moved:
            return self.begin(302, 0, Location=f"/cdn{self.path}")
        server.asked.append((path.name, self.headers["Range"]))
        asked_from = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        data = path.read_bytes()[asked_from if server.knows_ranges else 0 :]
        self.begin(206 if server.knows_ranges else 200, len(data))
        if path.name == WEIGHTS:
            server.gate()
            data = data[: server.cuts.pop(0)] if server.cuts else data
        self.wfile.write(data)

    def begin(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(length)} | headers).items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def write_checkpoint(folder: Path, seed: int = 0) -> Tensor:
    """A checkpoint of `Tiny`; returns the weights as a model loaded from it has them."""
    torch.manual_seed(seed)
    model = Tiny()
    save_checkpoint(model, folder, CONFIG)
    (folder / "card.md").write_text("# Tiny\n")
    (folder / "metrics.json").write_text('{"si_sdr_db": 3.0}\n')
    return model.layer.weight.half().float()


def refused(message: str) -> object:
    return pytest.raises(DdspZooError, match=message)


def files_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def flip_a_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
