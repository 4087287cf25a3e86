"""Music separation by differentiable synthesis: pretrained models that hear a mixture and play its sources."""

from typing import TYPE_CHECKING, Any

from ddsp_zoo.version import __version__ as __version__

if TYPE_CHECKING:
    from ddsp_zoo.api.edit import Edit
    from ddsp_zoo.api.result import Separation, open
    from ddsp_zoo.api.stems import separate_from_stems
    from ddsp_zoo.api.transfer import transfer
    from ddsp_zoo.controls.notes import Note
    from ddsp_zoo.zoo import list_models, load
    from ddsp_zoo.zoo.separate import separate

__all__ = [
    "Edit",
    "Note",
    "Separation",
    "list_models",
    "load",
    "open",
    "separate",
    "separate_from_stems",
    "transfer",
]

_HOMES = {
    "load": "zoo",
    "list_models": "zoo",
    "separate": "zoo.separate",
    "Separation": "api.result",
    "open": "api.result",
    "Edit": "api.edit",
    "transfer": "api.transfer",
    "Note": "controls.notes",
    "separate_from_stems": "api.stems",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the package itself loads neither torch nor anything big."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
