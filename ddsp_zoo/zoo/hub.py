"""Names to models: manifest, look-up of checkpoint folders, verified downloads, checkpoint format.

A checkpoint is a folder of plain data: `model.safetensors` (float16), `config.yaml` (`class_path` and
`init_args`), `card.md` and `metrics.json`. `load(name)` looks for it in this order:

1. the path given as `checkpoint`: a folder, or a `.ckpt` file that `ddsp-zoo fit` wrote;
2. `$DDSP_ZOO_CHECKPOINTS/<name>/`;
3. the `checkpoints/` folder of the repository, or of the installed package;
4. the cache: `$DDSP_ZOO_CACHE`, else `ddsp_zoo` in the user's cache folder (`~/.cache` on Linux);
5. the hub (`$DDSP_ZOO_HUB`, else the manifest's endpoint) at the manifest's revision,
   unless `DDSP_ZOO_OFFLINE=1` or `HF_HUB_OFFLINE=1`.

Files of 3 to 5 must match the sha256 in the manifest each time they are used; 1 and 2 are the user's own.

Downloads are plain HTTP requests to the hub's `resolve` addresses, not calls of its client library: as size
and sha256 are known beforehand, a later call or process can go on with a partial file, and an unreachable
server is reported at once, where the client retries for 23 s and starts each call anew.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.files.cache import cache_root
from ddsp_zoo.files.download import forbidden_by, receive, size_of
from ddsp_zoo.settings.old import modern

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ddsp_zoo.models.separator import Separator

    Files = dict[str, dict[str, Any]]  # file name -> {"sha256": hex digits, "size": bytes}

WEIGHTS, CONFIG, CARD, METRICS = "model.safetensors", "config.yaml", "card.md", "metrics.json"
MANIFEST = "manifest.json"


def load(name: str, *, checkpoint: str | Path | None = None) -> Separator:
    """Model `name` with its trained weights, in eval mode, on the CPU, in float32.

    `checkpoint` names a folder or a `.ckpt` file of one's own instead; then `name` is not looked up. Raises
    `DdspZooError` where the checkpoint cannot be found, verified, read or built.
    """
    path = find(name) if checkpoint is None else Path(checkpoint).expanduser()
    if path.is_dir():
        config, weights = _read_folder(path)
    elif path.is_file() and path.suffix == ".ckpt":
        config, weights = _read_lightning(path)
    else:
        raise DdspZooError(f"{path} is no checkpoint: give a folder with {WEIGHTS}, or a .ckpt file.")
    return _build(config, weights, path).eval()


def list_models() -> list[str]:
    """Names that `load` knows, sorted."""
    return sorted(_manifest()["models"])


def info(name: str) -> dict[str, Any]:
    """What is known about a model, without loading or downloading anything.

    Returns the manifest's row (summary, sources, sample_rate in Hz, licences, paper, files) and `name`,
    `card` (text), `metrics` (dict); the last two are None while the checkpoint is not on this machine.
    """
    row = _row(name)
    places = [place / name for place in (_own_root(), _bundle()) if place] + [_cache_folder(name)]
    folder = next((place for place in places if (place / WEIGHTS).exists()), places[-1])
    card, metrics = folder / CARD, folder / METRICS
    return {
        **row,
        "name": name,
        "card": card.read_text(encoding="utf-8") if card.exists() else None,
        "metrics": json.loads(metrics.read_text(encoding="utf-8")) if metrics.exists() else None,
    }


# The manifest ---------------------------------------------------------------------------------------


def refresh_manifest(checkpoints_dir: str | Path) -> None:
    """Write sha256 and size of the files in `checkpoints_dir` into its manifest.json.

    A new row need not name its files. A row without a folder stays as it is; a folder without a row is an error.
    """
    path = Path(checkpoints_dir) / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for folder in sorted(weights.parent for weights in path.parent.glob(f"*/{WEIGHTS}")):
        if folder.name not in manifest["models"]:
            raise DdspZooError(f"{folder} has no row in {path}: add one and try again.")
        row = manifest["models"][folder.name]
        files = row.get("files") or (WEIGHTS, "config.yaml", "card.md", "metrics.json")
        row["files"] = {file: _fingerprint(folder / file) for file in files}
    with replaced_when_done(path) as draft:
        draft.write_bytes((json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())


def _bundle() -> Path:
    """Folder of manifest.json: in the package when installed as a wheel, else `checkpoints/` of the clone."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "checkpoints"
    return inside if (inside / MANIFEST).exists() else package.parent / "checkpoints"


def _manifest() -> dict[str, Any]:
    path = _bundle() / MANIFEST
    if not path.exists():
        raise DdspZooError(f"{path} is missing: install ddsp_zoo again.")
    return json.loads(path.read_text(encoding="utf-8"))


def _row(name: str) -> dict[str, Any]:
    models = _manifest()["models"]
    if name in models:
        return models[name]
    folded = {known.lower(): known for known in models}
    near = [repr(folded[match]) for match in difflib.get_close_matches(name.lower(), folded, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise DdspZooError(f"There is no model '{name}': {hint}ddsp_zoo.list_models() lists all names.")


def _fingerprint(path: Path) -> dict[str, Any]:
    """sha256 and size in bytes of a file; both None where there is none."""
    if not path.is_file():
        return {"sha256": None, "size": None}
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": size_of(path)}


def _damaged(folder: Path, files: Files) -> list[str]:
    """Those of `files` that are missing in `folder` or differ from their fingerprints."""
    return [f for f in files if not (folder / f).is_file() or _fingerprint(folder / f) != files[f]]


# From a name to a folder ----------------------------------------------------------------------------


def find(name: str) -> Path:
    """Folder with the verified checkpoint of `name`; downloads it where it is not on this machine yet.

    Raises `DdspZooError` for an unknown name, damaged files, a failed or impossible download.
    """
    own = _own_root()
    if own and (own / name).is_dir():
        return own / name
    files, bundled = _row(name)["files"], _bundle() / name
    if not (bundled / WEIGHTS).exists():
        return _cached(name, files)
    if damaged := _damaged(bundled, files):
        raise DdspZooError(
            f"{bundled / damaged[0]} does not match the manifest's sha256: restore it with `git checkout -- "
            f"checkpoints/{name}` or install ddsp_zoo again; if you changed it, run `python -m ddsp_zoo.zoo.hub`."
        )
    return bundled


def _own_root() -> Path | None:
    """The folder that DDSP_ZOO_CHECKPOINTS names, if any."""
    root = os.environ.get("DDSP_ZOO_CHECKPOINTS")
    if root and not Path(root).expanduser().is_dir():
        raise DdspZooError(f"DDSP_ZOO_CHECKPOINTS names {root}, which is no folder: correct it or unset it.")
    return Path(root).expanduser() if root else None


def _cache_folder(name: str) -> Path:
    return cache_root() / name / (_manifest()["hub"]["revision"] or "main")


def _cached(name: str, files: Files) -> Path:
    """Folder of `name` in the cache, after downloading what is missing there or damaged."""
    folder = _cache_folder(name)
    if not _damaged(folder, files):
        return folder
    address = _address(name, files)
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder.parent / "partial"
        with FileLock(folder.parent / "lock"):
            # Looked at again: another process may have brought the files while this one waited.
            for file in _damaged(folder, files):
                _fetch(f"{address}/{file}", partial / files[file]["sha256"], folder / file, files[file])
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise DdspZooError(
            f"The cache {folder} cannot be written ({error}): name another folder in DDSP_ZOO_CACHE."
        ) from error
    return folder


def _address(name: str, files: Files) -> str:
    """Where the hub keeps the files of `name`; an error where it must not or cannot be asked."""
    hub, endpoint = _manifest()["hub"], os.environ.get("DDSP_ZOO_HUB")
    obstacle = None if endpoint or hub["published"] else "its weights are not published yet"
    if not obstacle and any(file["sha256"] is None for file in files.values()):
        obstacle = "the manifest has no sha256 to verify a download with"
    if variable := forbidden_by():
        obstacle = f"{variable} forbids downloads"
    if obstacle:
        raise DdspZooError(
            f"'{name}' is not on this machine and {obstacle}: put its {WEIGHTS} and {CONFIG} in "
            f"{_bundle() / name} and set DDSP_ZOO_CHECKPOINTS={_bundle()}, or do so with another folder."
        )
    endpoint = (endpoint or hub["endpoint"]).rstrip("/")
    return f"{endpoint}/{hub['repository']}/resolve/{hub['revision'] or 'main'}/{name}"


def _fetch(url: str, part: Path, target: Path, expected: dict[str, Any]) -> None:
    """Bring `url` to `part`, going on where an earlier try stopped, and move it to `target` once verified."""
    part.parent.mkdir(parents=True, exist_ok=True)
    problem = receive(url, part, expected["size"])
    if size_of(part) < expected["size"]:
        raise DdspZooError(
            f"The download of {url} stopped at {size_of(part)} of {expected['size']} bytes ({problem}): "
            "try again, or name a folder that holds the checkpoint in DDSP_ZOO_CHECKPOINTS."
        )
    if _fingerprint(part) != expected:
        part.unlink()
        raise DdspZooError(
            f"{url} holds something else than the manifest's sha256 promises, so it was thrown away: "
            "try again, and report it if it stays so."
        )
    os.replace(part, target)


# From a folder to a model, and back -----------------------------------------------------------------


def save_checkpoint(model: nn.Module, folder: str | Path, config: dict[str, Any]) -> None:
    """Write `model.safetensors` (floats as float16) and `config.yaml` in `folder`, both atomically.

    `config` is `{"class_path": "ddsp_zoo.…", "init_args": {plain values}}`, enough to build the model again.
    A tensor with values that float16 cannot hold keeps its own type.
    """
    import yaml
    from safetensors.torch import save

    def compact(tensor: Tensor) -> Tensor:
        half = tensor.half() if tensor.is_floating_point() else tensor
        fits = bool((half.isfinite() == tensor.isfinite()).all())
        # Cloned, because the format refuses tensors that share their memory.
        return (half if fits else tensor).detach().cpu().contiguous().clone()

    _own_class(config["class_path"])
    try:
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise DdspZooError(f"The config may hold plain values only: {error}.") from error
    Path(folder).mkdir(parents=True, exist_ok=True)
    weights = {key: compact(tensor) for key, tensor in model.state_dict().items()}
    with replaced_when_done(Path(folder) / WEIGHTS) as draft:
        draft.write_bytes(save(weights, metadata={"format": "pt"}))
    with replaced_when_done(Path(folder) / CONFIG) as draft:
        draft.write_bytes(text.encode())


def instantiate(config: Any) -> Any:
    """Build what `{class_path, init_args}` describes, nested ones first; other values are left as they are.

    Only classes defined in this package are built, so a config can run nothing else.
    """
    if isinstance(config, list):
        return [instantiate(value) for value in config]
    if not isinstance(config, dict):
        return config
    if "class_path" not in config:
        return {key: instantiate(value) for key, value in config.items()}
    own_class, arguments = _own_class(config["class_path"]), instantiate(config.get("init_args") or {})
    try:
        return own_class(**arguments)
    except (TypeError, ValueError) as error:
        raise DdspZooError(f"The config does not fit {config['class_path']}: {error}.") from error


def _own_class(class_path: str) -> type:
    """The class that `class_path` names, which must be defined in this package."""
    refusal = DdspZooError(f"'{class_path}' is no class of ddsp_zoo: a checkpoint may name no other.")
    module, _, attribute = str(class_path).rpartition(".")
    if not f"{module}.".startswith("ddsp_zoo."):
        raise refusal
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        raise DdspZooError(f"'{class_path}' cannot be imported ({error}): update ddsp_zoo.") from error
    # Asked of the class itself: a module of ours also holds classes that it imported from elsewhere.
    if not isinstance(found, type) or not f"{found.__module__}.".startswith("ddsp_zoo."):
        raise refusal
    return found


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and state dict of a checkpoint folder."""
    import yaml
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
        return config, load_file(folder / WEIGHTS)
    except FileNotFoundError as error:
        raise DdspZooError(f"{folder} is no checkpoint: it needs both {WEIGHTS} and {CONFIG}.") from error
    except (SafetensorError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DdspZooError(f"A file in {folder} is damaged ({error}): copy or save it again.") from error


def _read_lightning(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and state dict of a `.ckpt` file, read as plain data (no pickled object is built)."""
    import pickle

    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights, settings = content["state_dict"], dict(content.get("hyper_parameters", {}))
    except (RuntimeError, OSError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise DdspZooError(f"{path} is damaged or holds more than plain data: save it again.") from error
    settings.pop("_instantiator", None)
    class_path = settings.pop("_class_path", None) or settings.pop("class_path", None)
    if class_path is None:
        raise DdspZooError(
            f"{path} does not say which model it holds: train by `ddsp-zoo fit` with a class_path, or "
            "write a folder with ddsp_zoo.zoo.hub.save_checkpoint."
        )
    return {"class_path": class_path, "init_args": settings.pop("init_args", settings)}, weights


def _build(config: Any, weights: dict[str, Tensor], path: Path) -> Any:
    """The model that `config` describes, with all of `weights` and nothing else in it."""
    if not isinstance(config, dict) or "class_path" not in config:
        raise DdspZooError(f"The config in {path} describes no model: it needs class_path and init_args.")
    arguments = dict(config.get("init_args") or {})
    arguments.pop("pretrained", None)  # says where training started; all weights are in the file
    model = instantiate(modern({"class_path": config["class_path"], "init_args": arguments}))
    try:
        model.load_state_dict(weights, strict=True)  # copies into the model's own float32
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()[:200]
        raise DdspZooError(
            f"The weights in {path} do not fit {config['class_path']} as configured ({first}): "
            "take weights and config from the same training, and the version of ddsp_zoo that wrote them."
        ) from error
    return model


def copy_weights(source: nn.Module, target: nn.Module, name: str) -> None:
    """Give `target` its weights from `source`, called `name`, which may have more parts than it.

    Where both are of one class and name other sources, the class may adapt them. `DdspZooError` where they do not fit.
    """
    theirs = source.state_dict()
    if type(source) is type(target) and hasattr(target, "adapt_weights") and source.sources != target.sources:
        theirs = target.adapt_weights(theirs, source.sources)
    try:
        target.load_state_dict({key: theirs[key] for key in target.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise DdspZooError(
            f"The weights of {name} do not fit the {type(target).__name__} of this recipe: start from a model "
            "of the same class and sizes."
        ) from error


if __name__ == "__main__":
    refresh_manifest(sys.argv[1] if len(sys.argv) > 1 else _bundle())
