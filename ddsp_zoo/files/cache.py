"""Finds the cache folder of the package, and names what lies in it."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def cache_root() -> Path:
    """Returns the cache folder of the package: ``DDSP_ZOO_CACHE``, else its place in the user's cache folder.

    The user's cache folder is that of the operating system (on Linux ``$XDG_CACHE_HOME``, else ``~/.cache``). A ``~``
    stands for the user's home.
    """
    if folder := os.environ.get("DDSP_ZOO_CACHE"):
        return Path(folder).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("ddsp_zoo", appauthor=False).expanduser()


def folder_or_cache(root: str | None, name: str) -> Path:
    """Returns the folder that the user has chosen, or else the one of that name in the cache."""
    return Path(root).expanduser() if root else cache_root() / name


def fingerprint(**settings: Any) -> str:
    """Returns a short name that follows from settings: equal settings give equal names."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
