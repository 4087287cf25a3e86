"""Music separation by differentiable synthesis: pretrained models that hear a mixture and play its sources."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddsp_zoo.separation.stream import Separation, separate
    from ddsp_zoo.zoo import list_models, load

__version__ = "0.1.0"
__all__ = ["Separation", "list_models", "load", "separate"]

_HOMES = {
    "load": "zoo",
    "list_models": "zoo",
    "separate": "separation.stream",
    "Separation": "separation.stream",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the package itself loads neither torch nor anything big."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
