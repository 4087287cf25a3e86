"""Renders tracks into folders, each of which is complete or absent."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddsp_zoo.files.atomic import folder_when_done
from ddsp_zoo.files.processes import run_all


def render_folders(
    jobs: dict[Path, Any], render: Callable[[Path, Any], None], workers: int, text: str
) -> None:
    """Makes the folders that do not exist yet, each by ``render(folder, settings)``.

    A folder appears under its name only when it is complete, so an interrupted run goes on where it stopped.
    ``workers`` > 1 renders in that many processes; ``text`` is shown in the progress bar.
    """
    missing = [(folder, settings, render) for folder, settings in jobs.items() if not folder.exists()]
    run_all(_render_folder, missing, workers, text, "track")


def _render_folder(folder: Path, settings: Any, render: Callable[[Path, Any], None]) -> None:
    with folder_when_done(folder) as draft:
        render(draft, settings)
