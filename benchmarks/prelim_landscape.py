"""Where the two losses of the preliminary experiment have their minimum: `python benchmarks/prelim_landscape.py [PNG]`.

Plays notes over a grid of cutoff frequencies, compares them with notes of 6000 Hz, and prints where the distance is
smallest for the same noise on both sides, the same noise at another level, one fixed noise against many, and many
against many; PNG takes a figure of it. About two minutes on one core.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from ddsp_zoo.learning.losses import multi_scale_spectral_distance
from ddsp_zoo.models.prelim import heard_decay
from ddsp_zoo.synths.one_parameter_string import OneParameterString

RATE, HOP, FRAMES, F0_HZ, TRUE_HZ = 16000, 256, 63, 440.0, 6000.0
DRAWS = 12
GRID_HZ = torch.cat([torch.arange(500.0, 4000, 500), torch.arange(4000.0, 8001, 100)])


def play(cutoff_hz: float, seed: int, quirks: tuple[str, ...]) -> Tensor:
    """Notes of different noise (DRAWS, T)."""
    pitch = torch.full((DRAWS, 1, FRAMES, 1), F0_HZ)
    onset = torch.zeros_like(pitch)
    onset[:, :, 0] = 1
    controls = {"cutoff_hz": torch.full_like(pitch, cutoff_hz), "f0_hz": pitch, "onset": onset}
    generator = torch.Generator().manual_seed(seed)
    return OneParameterString(RATE, HOP, quirks=quirks).render(controls, generator).audio[:, 0]


def at_peak_one(notes: Tensor) -> Tensor:
    """Each note divided by its peak."""
    return notes / notes.abs().amax(-1, keepdim=True)


def decay_distance(cutoff_hz: float, notes: Tensor, quirks: tuple[str, ...]) -> Tensor:
    """What `StringResynthesis` minimises, of each note."""
    f0_hz = torch.full((len(notes),), F0_HZ)
    heard, weight = heard_decay(notes, f0_hz, RATE, HOP)
    string = OneParameterString(RATE, HOP, quirks=quirks)
    played = string.decay_rates(torch.full_like(f0_hz, cutoff_hz), f0_hz)
    return (weight * (played / heard.clamp(min=1e-6)).log().abs()).sum(1) / weight.sum(1)


def landscapes(quirks: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    """Pairs of a name and distances (grid, pairs of notes)."""
    true = play(TRUE_HZ, 0, quirks)
    same = [play(float(hz), 0, quirks) for hz in GRID_HZ]
    other = [play(float(hz), 1, quirks) for hz in GRID_HZ]
    distance = multi_scale_spectral_distance
    yield "same noise, same level", torch.stack([distance(x, true) for x in same])
    yield "same noise, notes at peak 1", torch.stack([distance(x, at_peak_one(true)) for x in same])
    pairs = torch.stack([torch.stack([distance(x.roll(k, 0), true) for k in range(DRAWS)]) for x in other])
    yield "one noise against another", pairs.flatten(1)
    yield "one fixed noise against many", pairs.mean(1)
    yield "many against many", pairs.mean((1, 2))[:, None]
    yield "decay rates, any noise", torch.stack([decay_distance(float(hz), true, quirks) for hz in GRID_HZ])


def draw(results: dict[str, dict[str, Tensor]], path: Path) -> None:
    """The mean landscape of each case with the range of its pairs, one column a string."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 12), layout="constrained")
    rows = len(next(iter(results.values())))
    for column, (string, cases) in enumerate(results.items()):
        for row, (name, values) in enumerate(cases.items()):
            axes = figure.add_subplot(rows, len(results), row * len(results) + column + 1)
            axes.fill_between(GRID_HZ, values.amin(1), values.amax(1), alpha=0.2, linewidth=0)
            axes.plot(GRID_HZ, values.mean(1))
            axes.axvline(TRUE_HZ, color="green", linestyle="--", linewidth=1)
            axes.set(title=f"{string}: {name}", xlim=(3000, 8000), ylabel="distance")
            axes.set_ylim(0, 1.1 * float(values[GRID_HZ >= 3000].max()))
        axes.set_xlabel("cutoff frequency / Hz")
    figure.savefig(path, dpi=80)


def main() -> None:
    results: dict[str, dict[str, Tensor]] = {}
    for string, quirks in (("in tune", ()), ("out of tune, as published", ("tuning",))):
        results[string] = dict(landscapes(quirks))
        for name, values in results[string].items():
            low, middle, high = GRID_HZ[values.argmin(0)].quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
            best = float(GRID_HZ[values.mean(1).argmin()])
            print(
                f"{string}, {name}: smallest at {low:.0f} / {middle:.0f} / {high:.0f} Hz (10 %, median, 90 % of "
                f"{values.shape[1]}), of the mean at {best:.0f} Hz",
                flush=True,
            )
    if len(sys.argv) > 1:
        draw(results, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
