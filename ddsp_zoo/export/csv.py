"""Controls as columns of numbers, for programs that read tables."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import write_csv


def write_controls_csv(
    controls: Mapping[str, Mapping[str, np.ndarray]], control_rate_hz: float, path: str | Path
) -> None:
    """Writes the controls with one value a frame, {source: {name: (N,) or (N, 1)}}: `time_seconds,<source>.<name>,...`.

    Raises DdspZooError where there are none, and where the frames are not equally many.
    """
    columns = {
        f"{source}.{name}": np.reshape(value, -1)
        for source, named in controls.items()
        for name, value in named.items()
        if np.size(value) == len(value)
    }
    frames = {len(value) for value in columns.values()}
    if not columns:
        raise DdspZooError("No control has a single value a frame: save the separation to have them all.")
    if len(frames) != 1:
        raise DdspZooError(
            f"The controls differ in length ({sorted(frames)} frames): pass those of one separation."
        )
    time = np.arange(frames.pop()) / control_rate_hz
    write_csv(path, ["time_seconds", *columns], [time, *columns.values()])
