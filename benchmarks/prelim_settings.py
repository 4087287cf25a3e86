"""The preliminary experiment's settings, trained one after another: `python benchmarks/prelim_settings.py OUT`.

Trains the solved recipe at the excitations and learning rate of each published model, and the published recipe of the
same number, and prints what cutoff frequency the notes of the validation split are given: the mean and the range over
the second half of the epochs. OUT keeps each curve, so an interrupted run goes on where it stopped. Another argument
says which recipes: "solved" or "published", and then the numbers. About ten minutes on one core.
"""

import csv
import sys
from pathlib import Path

import yaml

from ddsp_zoo.training.cli import run_trainer

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
NUMBERS = (1, 9, 8, 4, 6, 5, 7, 10)
TRUE_HZ = 6000.0


def arguments(form: str, number: int) -> list[str]:
    """The command line of a setting."""
    published = RECIPES / f"as_published/prelim_{number}.yaml"
    if form == "published":
        return ["--config", str(published)]
    recipe = yaml.safe_load(published.read_text(encoding="utf-8"))
    model, data = (recipe[part]["init_args"] for part in ("model", "data"))
    return [
        "--config",
        str(RECIPES / "prelim.yaml"),
        "--model.optimiser.learning_rate",
        str(model["optimiser"]["learning_rate"]),
        "--model.excitation",
        model["excitation"],
        "--data.excitation",
        data["excitation"],
    ]


def curve(out: Path, form: str, number: int) -> list[tuple[int, float]]:
    """Steps and validation's cutoff frequency in Hz, one pair an epoch; trained unless they are there."""
    name = f"{form}_{number}"
    done = out / f"{name}.csv"
    if not done.exists():
        run_trainer(
            [
                "fit",
                *arguments(form, number),
                "--name",
                name,
                "--runs",
                str(out),
                "--media_every",
                "1000000",
                "--trainer.enable_checkpointing",
                "false",
                "--trainer.enable_progress_bar",
                "false",
                "--trainer.enable_model_summary",
                "false",
                "--trainer.accelerator",
                "cpu",
            ]
        )
        max((out / name).rglob("metrics.csv")).replace(done)
    with open(done, encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["validation/cutoff_hz"]]
    return [(int(row["step"]) + 1, float(row["validation/cutoff_hz"])) for row in rows]


def main() -> None:
    out, *asked = sys.argv[1:]
    forms = asked[:1] or ["solved", "published"]
    for form in forms:
        for number in map(int, asked[1:] or NUMBERS):
            points = curve(Path(out), form, number)
            last = [hz for _, hz in points[len(points) // 2 :]]
            mean = sum(last) / len(last)
            print(
                f"{form} {number}: {mean:.0f} Hz ({min(last):.0f} to {max(last):.0f}), off by "
                f"{100 * (mean / TRUE_HZ - 1):+.2f} %, last {points[-1][1]:.0f} Hz after {points[-1][0]} steps",
                flush=True,
            )


if __name__ == "__main__":
    main()
