"""A zoo of one model, in a folder or on a server."""

import json
import shutil
import sys
import threading
import types
from pathlib import Path

import pytest
from torch import nn

from checkpoints import FILES, NOTHING, REVISION, HubServer, Inner, Patch, Tiny, forbidden, write_checkpoint
from ddsp_zoo import models
from ddsp_zoo.zoo import manifest as manifest_module
from ddsp_zoo.zoo import refresh_manifest


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A folder with a bundle (manifest and checkpoint of `tiny`) and an empty cache."""
    module = types.ModuleType("ddsp_zoo.models._tiny")
    module.Tiny, module.Inner, module.Linear, module.forbidden = Tiny, Inner, nn.Linear, forbidden
    for kind in (Tiny, Inner):
        monkeypatch.setattr(kind, "__module__", module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(models, "MODELS", (*models.MODELS, Tiny))
    for variable in ("DDSP_ZOO_CHECKPOINTS", "DDSP_ZOO_HUB", "DDSP_ZOO_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(manifest_module, "bundle", lambda: tmp_path / "bundle")
    write_checkpoint(tmp_path / "bundle/tiny")
    licences = {"code": "free", "weights": "free", "training_data": "none"}
    row = {
        "summary": "Tiny.",
        "paper": "None.",
        "sample_rate": 16000,
        "sources": ["a", "b"],
        "licences": licences,
    }
    row["files"] = {file: NOTHING for file in FILES}
    where = {"repository": "us/zoo", "revision": REVISION, "published": False}
    manifest = {"hub": where, "models": {"tiny": row, "harp_16k": row}}
    (tmp_path / "bundle/manifest.json").write_text(json.dumps(manifest))
    refresh_manifest(tmp_path / "bundle")
    return tmp_path


@pytest.fixture
def server(zoo: Path, monkeypatch: Patch) -> HubServer:
    """The checkpoint is no longer in the bundle but on a server."""
    with HubServer(zoo / "www") as running:
        running.files.parent.mkdir(parents=True)
        shutil.move(zoo / "bundle/tiny", running.files)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("DDSP_ZOO_HUB", running.url)
        yield running
        running.shutdown()
        thread.join()
