"""Finds what comes with the package beside its code: checkpoints, recipes and examples."""

from pathlib import Path


def shipped(name: str) -> Path:
    """Returns where a file or folder of that name is: in the package when installed as a wheel, else in the clone."""
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.exists() else package.parent / name


def here_or_shipped(path: str | Path) -> Path:
    """Returns a path as it is where there is something, else of a relative one what comes with the package, if any."""
    path = Path(path)
    other = shipped(str(path))
    return other if not path.exists() and not path.is_absolute() and other.exists() else path
