"""Loads models with their weights from checkpoints."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.settings.build import build
from ddsp_zoo.zoo.checkpoint import read_checkpoint
from ddsp_zoo.zoo.finding import find, stems_of_another
from ddsp_zoo.zoo.manifest import WEIGHTS, fingerprint

if TYPE_CHECKING:
    from torch import nn

    from ddsp_zoo.learning.learner import Learner
    from ddsp_zoo.models.separator import Separator


def load(
    name: str,
    *,
    checkpoint: str | Path | None = None,
    kind: type[Learner] | Collection[type[Learner]] | None = None,
    voices: int | str | Sequence[str] | None = None,
) -> Separator | Any:
    """Returns model `name` with its trained weights, in eval mode, on the CPU, in float32.

    A checkpoint says which model it is of, and can only choose among those of this package, or of ``kind``: it never
    has anything else imported or built.

    Args:
        name: one of `list_models`.
        checkpoint: a folder or a `.ckpt` file of one's own instead; then `name` is not looked up.
        kind: the class that the checkpoint must be of, such as one of your own, or several that it may be of; by
            default any of `ddsp_zoo.models.MODELS`.
        voices: of a model of choirs: how many there are, or what they are called, see `models.voices.with_voices`; by
            default those that it was trained with.

    Raises:
        DdspZooError: where the checkpoint cannot be found, verified, read or built.
    """
    from ddsp_zoo import models
    from ddsp_zoo.learning.learner import Learner
    from ddsp_zoo.models.voices import with_voices

    path = find(name) if checkpoint is None else Path(checkpoint).expanduser()
    config, weights = read_checkpoint(path)
    if not isinstance(config, dict) or "class_path" not in config:
        raise DdspZooError(f"The config in {path} describes no model: it needs class_path and init_args.")
    known = (kind,) if isinstance(kind, type) else kind or models.MODELS
    # `pretrained` says where training started; all weights are in the file.
    model = build(config, Learner, known, without=("pretrained",))
    try:
        model.load_state_dict(weights, strict=True)  # copies into the model's own float32
    except (RuntimeError, TypeError, AttributeError) as error:
        first = str(error).splitlines()[:2][-1].strip()[:200]
        raise DdspZooError(
            f"The weights in {path} do not fit {config['class_path']} as configured ({first}): "
            "take weights and config from the same training, and the version of ddsp_zoo that wrote them."
        ) from error
    if checkpoint is None:
        model.name = name
        model.only = stems_of_another(name)
    model.weights_sha256 = fingerprint(path / WEIGHTS if path.is_dir() else path)["sha256"]
    return model.eval() if voices is None else with_voices(model.eval(), voices)


def copy_weights(source: nn.Module, target: nn.Module, name: str) -> None:
    """Gives `target` its weights from `source`, called `name`, which may have more parts than it.

    Where a part of the source, such as its tracker, is of the target's class, that is taken. Where both are of one
    class, but with other sources or shapes, the class may adapt them. `DdspZooError` where they do not fit.
    """
    source = next((part for part in source.children() if type(part) is type(target)), source)
    theirs = source.state_dict()
    if type(source) is type(target) and hasattr(target, "adapt_weights") and _differ(source, target):
        theirs = target.adapt_weights(theirs, source.sources)
    try:
        target.load_state_dict({key: theirs[key] for key in target.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise DdspZooError(
            f"The weights of {name} do not fit the {type(target).__name__} of this recipe: start from a model "
            "of the same class and sizes."
        ) from error


def _differ(source: nn.Module, target: nn.Module) -> bool:
    """Tells whether two models have other sources or weights of other shapes."""
    shapes = (
        [(name, value.shape) for name, value in model.state_dict().items()] for model in (source, target)
    )
    return source.sources != target.sources or next(shapes) != next(shapes)
