"""Music separation by differentiable synthesis: pretrained models that hear a mixture and play its sources."""

from typing import TYPE_CHECKING, Any

from ddsp_zoo.version import __version__

if TYPE_CHECKING:
    from ddsp_zoo.api.result import Separation
    from ddsp_zoo.api.result import open_separation as open
    from ddsp_zoo.zoo import list_models, load
    from ddsp_zoo.zoo.separate import separate

__all__ = ["Separation", "__version__", "list_models", "load", "open", "separate"]

_HOMES = {
    "load": ("zoo", "load"),
    "list_models": ("zoo", "list_models"),
    "separate": ("zoo.separate", "separate"),
    "Separation": ("api.result", "Separation"),
    "open": ("api.result", "open_separation"),
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the package itself loads neither torch nor anything big."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module, attribute = _HOMES[name]
    return getattr(import_module(f"{__name__}.{module}"), attribute)
