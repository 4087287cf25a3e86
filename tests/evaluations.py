"""Evaluations made up for tests, as they lie in folders."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ddsp_zoo.reports import tables

# SI-SDR of the baselines, the same for all models
SHARED = {"mixture": -5.0, "comb_mask": 6.0, "irm": 12.0}


def save_evaluation(
    folder: Path,
    model: str,
    masked: float,
    baselines: Mapping[str, float] = SHARED,
    frames: int = 4,
    sources: tuple[str, ...] = ("high", "low"),
    seconds: float = 1.0,
    seed: int = 0,
) -> Path:
    """A folder as `ddsp-zoo evaluate` leaves it, with two tracks; "low" is 2 dB better than "high"."""
    offset = np.random.default_rng(seed).normal(0, 1, (2, frames))
    offset -= offset.mean()
    levels = dict(baselines) | {"synthesised": -8.0, "masked": masked, "masked_power": masked + 1}
    rows = [
        {
            "track": f"t{track}",
            "source": source,
            "frame": frame,
            "system": system,
            "si_sdr_db": level + 2 * rank + float(offset[track, frame]),
            "multi_scale_spectral": 20 - level,
        }
        for track in range(2)
        for frame in range(frames)
        for rank, source in enumerate(sources)
        for system, level in levels.items()
    ]
    protocol = {
        "model": model,
        "data": "Songs",
        "split": "test",
        "sources": list(sources),
        "sample_rate": 8000,
        "frame_seconds": seconds,
        "seeds": [0, 1],
        "systems": dict.fromkeys(levels, "what it is"),
    }
    tables.write_csv(rows, folder / "rows.csv")
    tables.write_json({"protocol": protocol, "results": []}, folder / "summary.json")
    return folder
