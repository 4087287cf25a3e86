"""Compare two models window by window: `python tools/paired.py report/exE7 report/exB4 [--tracks take] [--several]`.

The folders are those that `ddsp-zoo report strings` or `ddsp-zoo evaluate` leaves; `report/baselines` takes part
with its comb mask, or another --baseline. Prints both means of SI-SDR in dB, and their difference
with its 95 % interval over tracks, or of one track over its windows.
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

DRAWS = 4000
ALONE_DB = 30.0  # where the mixture itself comes so close to a string, no other sounds


def main() -> None:
    """Reads, picks the windows, compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("--system", default="masked_power", help="of models (%(default)s)")
    parser.add_argument("--baseline", default="comb_mask_power", help="where there is no model (%(default)s)")
    parser.add_argument("--tracks", default="", help="only those with this in their names")
    parser.add_argument(
        "--several", action="store_true", help="leave out windows in which one source sounds alone"
    )
    options = parser.parse_args()
    first, second = (read(folder, options) for folder in (options.first, options.second))
    shared = sorted(first.keys() & second.keys())
    units = defaultdict(list)  # what is drawn as a whole
    several = len({track for track, _, _ in shared}) > 1
    for track, source, window in shared:
        units[track if several else window].append((first[track, source, window], second[track, source, window]))
    pairs = [np.array(values) for values in units.values()]
    rng = np.random.default_rng(0)
    draws = [difference([pairs[i] for i in rng.integers(len(pairs), size=len(pairs))]) for _ in range(DRAWS)]
    low, high = np.percentile(draws, (2.5, 97.5))
    means = np.concatenate(pairs).mean(0)
    print(f"{means[0]:.2f}  {means[1]:.2f}  difference {difference(pairs):.2f} [{low:.2f}, {high:.2f}]")


def read(folder: Path, options: argparse.Namespace) -> dict[tuple[str, ...], float]:
    """Returns SI-SDR of the windows asked for, by track, source and frame."""
    with (folder / "rows.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if options.tracks in row["track"]]
    by_system: dict[str, dict[tuple[str, ...], float]] = defaultdict(dict)
    for row in rows:
        by_system[row["system"]][row["track"], row["source"], row["frame"]] = float(row["si_sdr_db"])
    chosen = by_system.get(options.system) or by_system[options.baseline]
    mixture = by_system["mixture"]
    return {k: v for k, v in chosen.items() if not options.several or mixture[k] < ALONE_DB}


def difference(pairs: list[np.ndarray]) -> float:
    """Returns first less second, mean over all windows."""
    first, second = np.concatenate(pairs).mean(0)
    return float(first - second)


if __name__ == "__main__":
    main()
