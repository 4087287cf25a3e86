"""The manifest: which models are released, with the sizes and checksums of their files."""

import difflib
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.files.shipped import shipped

Files = dict[str, dict[str, Any]]  # file name -> {"sha256": hex digits, "size": bytes}

WEIGHTS, CONFIG, CARD, METRICS = "model.safetensors", "config.yaml", "card.md", "metrics.json"
MANIFEST = "manifest.json"
TEXTS, LICENCES = ("summary", "paper"), ("code", "weights", "training_data")  # that a row must give


def list_models() -> list[str]:
    """Returns the names that `load` knows, sorted."""
    return sorted(read_manifest()["models"])


def bundle() -> Path:
    """Returns the folder of manifest.json: in the package when installed as a wheel, else of the clone."""
    return shipped(f"checkpoints/{MANIFEST}").parent


def read_manifest() -> dict[str, Any]:
    """Returns the manifest: `hub` says where files are published, `models` has a row for every name.

    A row may be `stem_of` another model: its name stands for that one, heard through its own sources alone.
    """
    path = bundle() / MANIFEST
    if not path.exists():
        raise DdspZooError(f"{path} is missing: install ddsp_zoo again.")
    return json.loads(path.read_text(encoding="utf-8"))


def row(name: str) -> dict[str, Any]:
    """Returns the manifest's row of a model; raises `DdspZooError` with a guess for an unknown name."""
    check_name(name)
    models = read_manifest()["models"]
    if name in models:
        return models[name]
    folded = {known.lower(): known for known in models}
    near = [repr(folded[match]) for match in difflib.get_close_matches(name.lower(), folded, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise DdspZooError(f"There is no model '{name}': {hint}ddsp_zoo.list_models() lists all names.")


def check_name(name: str) -> None:
    """Raises `DdspZooError` for what is no name of a model but would lead to another folder."""
    if not isinstance(name, str) or not re.fullmatch(r"[^\W_][\w.-]*", name):
        raise DdspZooError(
            f"{str(name)[:100]!r} cannot be the name of a model: ddsp_zoo.list_models() lists all names, and a folder "
            "or file of your own is given as `checkpoint=`."
        )


def check_row(name: str, row: dict[str, Any], models: dict[str, Any]) -> None:
    """Raises `DdspZooError` for a row of the manifest that does not say what it has to, in a sentence that says how.

    Args:
        name: of the model.
        row: what the manifest says of it.
        models: all rows, by name; a row that is ``stem_of`` another must be so of one of them.
    """
    place, whole = f"The row of {name!r} in {MANIFEST}", row.get("stem_of")
    check_name(name)
    for field in TEXTS:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise DdspZooError(f"{place} has no {field}: write a sentence.")
    rate, sources = row.get("sample_rate"), row.get("sources")
    if not isinstance(rate, int) or rate <= 0:
        raise DdspZooError(f"{place} has no sample_rate: write the model's, in Hz.")
    if not isinstance(sources, list) or not sources or not all(isinstance(x, str) and x for x in sources):
        raise DdspZooError(f"{place} has no sources: list their names.")
    licences = row.get("licences")
    for what in LICENCES:
        if not isinstance(licences, dict) or not licences.get(what):
            raise DdspZooError(f"{place} has no licence of {what}: write it under licences.")
    if whole is not None and not set(sources) < set(models.get(whole, {}).get("sources", ())):
        raise DdspZooError(f"{place} is stem_of {whole!r}, which has no such sources: name a model that has.")


def write_manifest(checkpoints_dir: str | Path, manifest: dict[str, Any]) -> None:
    """Writes a manifest into a folder of checkpoints, whole or not at all."""
    with replaced_when_done(Path(checkpoints_dir) / MANIFEST) as draft:
        draft.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def refresh_manifest(checkpoints_dir: str | Path) -> None:
    """Writes sha256 and size of the files in `checkpoints_dir` into its manifest.json.

    A new row need not name its files. A row without a folder stays as it is; a folder without a row is an error, and so
    is a row that `check_row` refuses.
    """
    path = Path(checkpoints_dir) / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for folder in sorted(weights.parent for weights in path.parent.glob(f"*/{WEIGHTS}")):
        if folder.name not in manifest["models"]:
            raise DdspZooError(f"{folder} has no row in {path}: add one and try again.")
        model = manifest["models"][folder.name]
        files = model.get("files") or (WEIGHTS, CONFIG, CARD, METRICS)
        model["files"] = {file: fingerprint(folder / file) for file in files}
    for name, own in manifest["models"].items():
        check_row(name, own, manifest["models"])
    write_manifest(checkpoints_dir, manifest)


def fingerprint(path: Path) -> dict[str, Any]:
    """Returns sha256 and size in bytes of a file; both None where there is none."""
    if not path.is_file():
        return {"sha256": None, "size": None}
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size}


def damaged(folder: Path, files: Files) -> list[str]:
    """Returns those of `files` that are missing in `folder` or differ from their fingerprints."""
    return [f for f in files if not (folder / f).is_file() or fingerprint(folder / f) != files[f]]
