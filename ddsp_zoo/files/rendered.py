"""Rendered data on disk: named by its settings, written a track at a time, finished or absent."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tqdm import tqdm


def cache_root() -> Path:
    """The package's cache folder: ``DDSP_ZOO_CACHE``, else ``ddsp_zoo`` in the user's cache folder."""
    if folder := os.environ.get("DDSP_ZOO_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ddsp_zoo"


def rendered_root(name: str, root: str | None) -> Path:
    """Where a rendered corpus lives: the user's folder, or its own in the cache."""
    return Path(root) if root else cache_root() / name


def fingerprint(**settings: Any) -> str:
    """Short name for everything that determines the rendered audio."""
    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def render_folders(
    jobs: dict[Path, Any], render: Callable[[Path, Any], None], workers: int, text: str
) -> None:
    """Make the folders that do not exist yet, each by ``render(folder, settings)``.

    A folder appears under its name only when it is complete, so an interrupted run goes on where it stopped.
    ``workers`` > 1 renders in that many processes.
    """
    missing = {folder: settings for folder, settings in jobs.items() if not folder.exists()}
    if not missing:
        return
    with tqdm(total=len(missing), desc=text, unit="track") as progress:
        if workers < 2:
            for folder, settings in missing.items():
                make_folder(folder, settings, render)
                progress.update()
            return
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(make_folder, folder, job, render) for folder, job in missing.items()]
            for future in as_completed(futures):
                future.result()
                progress.update()


def make_folder(folder: Path, settings: Any, render: Callable[[Path, Any], None]) -> None:
    """Make one folder by ``render(folder, settings)``; it appears under its name when it is complete."""
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        render(partial, settings)
        partial.rename(folder)
    except OSError:
        if not folder.exists():  # else another process finished it first, with the same content
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
