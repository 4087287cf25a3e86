"""Checkpoints are published as one commit that the manifest names, or nothing is."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from tools_loaded import load_tool

from checkpoints import FILES, REVISION, Patch, refused
from ddsp_zoo.zoo.manifest import MANIFEST, fingerprint

SENT = [f"tiny/{file}" for file in FILES]


@dataclass
class Stored:
    """What the hub's client says of a file, or of a commit."""

    path: str = ""
    size: int = 0
    lfs: Any = None
    oid: str = REVISION
    sha256: str = ""


@dataclass
class Hub:
    """Stands in for the hub's client: keeps what it is sent."""

    endpoint = "https://hub.test"
    refuses: bool = False
    loses: str = ""
    sent: list[str] = field(default_factory=list)

    def create_repo(self, repo_id: str, exist_ok: bool) -> None:
        if self.refuses:
            raise PermissionError("403 Forbidden\nmore")

    def upload_folder(
        self, repo_id: str, folder_path: Path, allow_patterns: list[str], commit_message: str
    ) -> Stored:
        self.folder, self.sent = folder_path, list(allow_patterns)
        return Stored()

    def get_paths_info(self, repo_id: str, paths: list[str], revision: str) -> list[Stored]:
        assert revision == REVISION
        return [self._stored(path) for path in paths if path != self.loses]

    def _stored(self, path: str) -> Stored:
        about = fingerprint(self.folder / path)
        large = path.endswith(".safetensors")
        return Stored(path, about["size"], Stored(sha256=about["sha256"]) if large else None)


@pytest.fixture
def hub(zoo: Path, monkeypatch: Patch) -> Hub:
    """The zoo's own model alone, and a hub."""
    path = zoo / "bundle" / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["models"]["harp_16k"]  # which has no files yet
    manifest["models"]["part"] = {"stem_of": "tiny", "sources": ["a"]}
    path.write_text(json.dumps(manifest))
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: hub)
    return hub


def test_what_is_published_is_pinned_in_the_manifest(zoo: Path, hub: Hub) -> None:
    assert load_tool("publish").publish(zoo / "bundle", "me/models") == REVISION
    written = json.loads((zoo / "bundle" / MANIFEST).read_text())["hub"]
    expected = {"endpoint": hub.endpoint, "repository": "me/models", "revision": REVISION, "published": True}
    assert written == expected and hub.sent == SENT


@pytest.mark.parametrize("fault", ["refuses", "loses", "damaged"])
def test_nothing_is_published_by_halves(zoo: Path, hub: Hub, fault: str) -> None:
    said = {
        "refuses": r"did not take us/zoo \(403 Forbidden\).*hf auth login",
        "loses": "does not hold tiny/card.md as it was sent",
        "damaged": "config.yaml is missing or not what the manifest says",
    }
    hub.refuses, hub.loses = fault == "refuses", "tiny/card.md" if fault == "loses" else ""
    if fault == "damaged":
        (zoo / "bundle/tiny/config.yaml").write_text("other")
    before = (zoo / "bundle" / MANIFEST).read_text()
    with refused(said[fault]):
        load_tool("publish").publish(zoo / "bundle")
    assert (zoo / "bundle" / MANIFEST).read_text() == before and (not hub.sent or fault == "loses")
