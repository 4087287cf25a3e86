"""The manifest, and the repository that it is about."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from checkpoints import FILES, NOTHING, Tiny, refused, write_checkpoint
from ddsp_zoo.zoo import info, list_models, load, refresh_manifest
from ddsp_zoo.zoo.manifest import WEIGHTS, check_row, damaged

ROOT = Path(__file__).resolve().parents[2]


def test_refresh_manifest(zoo: Path) -> None:
    write_checkpoint(zoo / "bundle/tiny", seed=5)
    (zoo / "bundle/tiny/metrics.json").unlink()
    before = info("tiny")["files"]
    with refused("python -m ddsp_zoo.zoo"):
        load("tiny")
    subprocess.run([sys.executable, "-m", "ddsp_zoo.zoo", zoo / "bundle"], check=True, cwd=ROOT)
    after = info("tiny")["files"]
    assert after["model.safetensors"]["sha256"] != before["model.safetensors"]["sha256"]
    assert after["metrics.json"] == NOTHING and info("harp_16k")["files"]["card.md"] == NOTHING
    write_checkpoint(zoo / "bundle/unlisted")
    with refused("unlisted has no row"):
        refresh_manifest(zoo / "bundle")
    listing = zoo / "bundle/manifest.json"
    manifest = json.loads(listing.read_text(encoding="utf-8"))
    manifest["models"]["unlisted"] = {
        key: x for key, x in manifest["models"]["tiny"].items() if key != "files"
    }
    listing.write_text(json.dumps(manifest), encoding="utf-8")
    refresh_manifest(zoo / "bundle")
    assert sorted(info("unlisted")["files"]) == FILES


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"summary": " "}, "'tiny' in manifest.json has no summary: write a sentence"),
        ({"paper": None}, "has no paper"),
        ({"sample_rate": "16000"}, "has no sample_rate: write the model's, in Hz"),
        ({"sources": []}, "has no sources: list their names"),
        ({"sources": [1]}, "has no sources"),
        ({"licences": {"code": "free", "weights": "free"}}, "has no licence of training_data"),
        ({"licences": "free"}, "has no licence of code"),
        ({"stem_of": "nothing"}, "is stem_of 'nothing', which has no such sources"),
        ({"stem_of": "harp_16k"}, "which has no such sources"),  # all of them, not some
    ],
)
def test_a_row_that_is_not_whole_is_refused(zoo: Path, change: dict, message: str) -> None:
    listing = zoo / "bundle/manifest.json"
    manifest = json.loads(listing.read_text(encoding="utf-8"))
    manifest["models"]["tiny"] |= change
    listing.write_text(before := json.dumps(manifest), encoding="utf-8")
    with refused(message):
        refresh_manifest(zoo / "bundle")
    assert listing.read_text(encoding="utf-8") == before


def test_torch_hub_loads_from_a_clone(zoo: Path) -> None:
    model = torch.hub.load(str(ROOT), "tiny", source="local")
    assert isinstance(model, Tiny) and not model.training
    entry_points = [key for key, value in runpy.run_path(ROOT / "hubconf.py").items() if callable(value)]
    assert sorted(key for key in entry_points if not key.startswith("_")) == list_models()


def test_importing_the_hub_is_light() -> None:
    heavy = {"torch", "lightning", "requests", "yaml", "huggingface_hub", "tqdm"}
    code = f"import sys, ddsp_zoo.zoo; assert not {heavy!r} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_manifest_of_the_repository() -> None:
    manifest = json.loads((ROOT / "checkpoints/manifest.json").read_text(encoding="utf-8"))
    assert {"ast_ddsp_bass", "exB4"} <= set(manifest["models"])
    if manifest["hub"]["published"]:
        assert len(manifest["hub"]["revision"]) == 40, "a published revision is a commit, not a branch"
    for name, row in manifest["models"].items():
        check_row(name, row, manifest["models"])
        assert set(row["licences"]) == {"code", "weights", "training_data"}
        if "stem_of" in row:
            continue
        assert sorted(row["files"]) == FILES
        folder = ROOT / "checkpoints" / name
        if (folder / WEIGHTS).exists():  # what is shipped is licensed, and what the manifest means
            assert damaged(folder, row["files"]) == [], name
            assert all(row["licences"].values()), name
