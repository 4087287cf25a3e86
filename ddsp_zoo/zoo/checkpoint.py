"""The format of checkpoints: a folder of plain data, or a `.ckpt` file that `ddsp-zoo fit` wrote.

No class is ever unpickled: weights are tensors, and the config names a class that `ddsp_zoo.settings.build` checks.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.settings.arguments import refuse_classes
from ddsp_zoo.settings.build import class_path_of, plain
from ddsp_zoo.zoo.manifest import CONFIG, WEIGHTS

LONGEST_CONFIG = 1 << 20  # characters; a longer one is cut, and so no YAML

if TYPE_CHECKING:
    from torch import Tensor, nn

    Checkpoint = tuple[dict[str, Any], dict[str, Tensor]]  # config and state dict


def save_checkpoint(model: nn.Module, folder: str | Path, config: dict[str, Any] | None = None) -> None:
    """Writes `model.safetensors` (floats as float16) and `config.yaml` in `folder`, each whole or not at all.

    A tensor with values that float16 cannot hold keeps its own type.

    Args:
        model: the model.
        folder: made where it is missing.
        config: `{"class_path": "ddsp_zoo.…", "init_args": {plain values}}`, enough to build the model again; by
            default what the model was made from.

    Raises:
        DdspZooError: for a config of other than plain values, and a folder that cannot be written.
    """
    import yaml
    from safetensors.torch import save

    try:
        text = yaml.safe_dump(plain(config or config_of(model)), sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise DdspZooError(f"The config may hold plain values only: {error}.") from error
    weights = {key: _compact(tensor) for key, tensor in model.state_dict().items()}
    with replaced_when_done(Path(folder) / WEIGHTS) as draft:
        draft.write_bytes(save(weights, metadata={"format": "pt"}))
    with replaced_when_done(Path(folder) / CONFIG) as draft:
        draft.write_text(text, encoding="utf-8")


def config_of(model: nn.Module) -> dict[str, Any]:
    """Returns `{class_path, init_args}` of a model that saved its hyper-parameters."""
    arguments = {name: plain(value) for name, value in model.hparams.items() if not name.startswith("_")}
    return {"class_path": class_path_of(type(model)), "init_args": arguments}


def read_checkpoint(path: Path) -> Checkpoint:
    """Returns config and state dict of a checkpoint folder or a `.ckpt` file; `DdspZooError` where it is neither."""
    if not path.is_dir() and not (path.is_file() and path.suffix == ".ckpt"):
        raise DdspZooError(f"{path} is no checkpoint: give a folder with {WEIGHTS}, or a .ckpt file.")
    config, weights = _read_folder(path) if path.is_dir() else _read_lightning(path)
    if isinstance(config, dict):
        refuse_classes(config.get("init_args"))
    return config, weights


def _compact(tensor: Tensor) -> Tensor:
    half = tensor.half() if tensor.is_floating_point() else tensor
    fits = bool((half.isfinite() == tensor.isfinite()).all())
    # Cloned, because the format refuses tensors that share their memory.
    return (half if fits else tensor).detach().cpu().contiguous().clone()


def _read_folder(folder: Path) -> Checkpoint:
    import yaml
    from safetensors.torch import load_file

    if not ((folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()):
        raise DdspZooError(f"{folder} is no checkpoint: it needs both {WEIGHTS} and {CONFIG}.")
    try:
        with (folder / CONFIG).open(encoding="utf-8") as file:
            config = yaml.safe_load(file.read(LONGEST_CONFIG))
        return config, load_file(folder / WEIGHTS)
    except Exception as error:  # of a file from anywhere, no parser says all that it may raise
        raise DdspZooError(
            f"A file in {folder} is damaged or cannot be read ({_first_line(error)}): copy or save it again."
        ) from error


def _read_lightning(path: Path) -> Checkpoint:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        weights, settings = dict(content["state_dict"]), dict(content.get("hyper_parameters", {}))
    except Exception as error:  # of a file from anywhere, no parser says all that it may raise
        raise DdspZooError(f"{path} is damaged or holds more than plain data: save it again.") from error
    settings.pop("_instantiator", None)
    class_path = settings.pop("_class_path", None) or settings.pop("class_path", None)
    if class_path is None:
        raise DdspZooError(
            f"{path} does not say which model it holds: train by `ddsp-zoo fit` with a class_path, or "
            "write a folder with ddsp_zoo.zoo.save_checkpoint."
        )
    return {"class_path": class_path, "init_args": settings.pop("init_args", settings)}, weights


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
