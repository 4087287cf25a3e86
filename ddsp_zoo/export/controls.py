"""Controls as files that other programs read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.files.f0_csv import write_csv

Controls = Mapping[str, Mapping[str, np.ndarray]]


def write_controls(controls: Controls, control_rate_hz: float, path: str | Path) -> None:
    """Write `{source: {name: (N,) or (N, k)}}` to one file, by its ending.

    `.npz` holds everything: an array `source/name` each, `control_rate_hz`, and `time_seconds` (N,).
    `.csv` holds what fits in columns, the controls with one value per frame:
    `time_seconds,<source>.<name>,...`.
    Raises DdspZooError for another ending, for nothing to write, and where the frames are not equally many.
    """
    path = Path(path)
    arrays = {(s, name): np.asarray(value) for s, named in controls.items() for name, value in named.items()}
    frames = {len(value) for value in arrays.values()}
    if len(frames) != 1:
        problem = f"differ in length ({sorted(frames)} frames)" if frames else "are empty"
        raise DdspZooError(f"The controls {problem}: pass those of one separation.")
    time = np.arange(frames.pop()) / control_rate_hz
    if path.suffix == ".npz":
        _write_npz(arrays, control_rate_hz, time, path)
    elif path.suffix == ".csv":
        _write_columns(arrays, time, path)
    else:
        raise DdspZooError(
            f"Controls are written to .npz or .csv files, not to {path.name!r}: change its ending."
        )


def _write_npz(
    arrays: dict[tuple[str, str], np.ndarray], rate_hz: float, time: np.ndarray, path: Path
) -> None:
    named = {f"{source}/{name}": value for (source, name), value in arrays.items()}
    with replaced_when_done(path) as temporary:
        np.savez_compressed(temporary, control_rate_hz=np.float64(rate_hz), time_seconds=time, **named)


def _write_columns(arrays: dict[tuple[str, str], np.ndarray], time: np.ndarray, path: Path) -> None:
    columns = {
        f"{source}.{name}": value for (source, name), value in arrays.items() if value.size == len(time)
    }
    if not columns:
        raise DdspZooError(
            f"No control has a single value per frame: write {path.stem}.npz instead of {path.name}."
        )
    write_csv(path, ["time_seconds", *columns], [time, *(value.reshape(-1) for value in columns.values())])
