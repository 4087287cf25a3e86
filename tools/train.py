"""Train a released model anew, as its card says: `python tools/train.py NAME [--runs FOLDER] [options of fit]`.

`recipes/stages/NAME.yaml` says how: the stages, one after another, each a run of `ddsp-zoo fit` that begins with the
weights of the one before it, and those of what becomes a part of the model, a tracker of pitch or a transcriber of
drums. Further options go to every stage, or where a program of tools/ trains to that alone, for example
`--trainer.accelerator gpu`. In the end the command that makes a checkpoint folder is printed.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from ddsp_zoo import zoo
from ddsp_zoo.errors import DdspZooError

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "recipes"
PARTS = ("stages", "tracker", "transcriber")
Runner = Callable[[list[str]], Any]


@dataclass(frozen=True)
class Stage:
    """Says what is trained at once.

    Args:
        recipes: names of recipes, of which the later ones say more.
        options: settings that are said otherwise, by their names on the command line.
        start_from: a released model to begin with; None: the stage before, if there is one.
        program: of tools/ that trains, in place of `ddsp-zoo fit`.
    """

    recipes: Sequence[str]
    options: dict[str, Any] = field(default_factory=dict)
    start_from: str | None = None
    program: str | None = None

    def command(self, name: str, runs: Path, before: Path | None) -> list[str]:
        """Returns the arguments of a run of this name that begins with a checkpoint or with its own start."""
        start = self.start_from or before
        options = [word for key, value in self.options.items() for word in (f"--{key}", _written(value))]
        files = [str(RECIPES / f"{recipe}.yaml") for recipe in self.recipes]
        if self.program:
            started = ["--start", str(start)] if start else []
            return [f"tools/{self.program}.py", *files, "--out", str(runs / name), *options, *started]
        configs = [word for file in files for word in ("--config", file)]
        started = ["--start_from", str(start)] if start else []
        return ["fit", *configs, *options, "--name", name, "--runs", str(runs), *started]


def read(name: str, part: str = "stages") -> list[Stage]:
    """Returns the stages of a model or of a part of it; `DdspZooError` where nobody has written them down."""
    path = RECIPES / f"stages/{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in path.parent.glob("*.yaml")))
        raise DdspZooError(f"How {name} was trained is not written down; of these it is: {known}.")
    stages: list[Stage] = []
    for entry in yaml.safe_load(path.read_text(encoding="utf-8")).get(part) or ():
        if "of" not in entry:
            stages.append(Stage(**entry))
            continue
        more = entry.get("options", {})
        taken = read(entry["of"], part)[: entry.get("first")]
        stages += [replace(stage, options=stage.options | more) for stage in taken]
    return stages


def train(name: str, runs: Path, more: Sequence[str], run: Runner) -> dict[str, Path]:
    """Runs all stages; returns the checkpoints of "stages" and of other `PARTS`, where there are some."""
    found: dict[str, Path] = {}
    stages = {part: read(name, part) for part in PARTS}
    programs = any(stage.program for own in stages.values() for stage in own)
    for part, own in stages.items():
        last = None
        for number, stage in enumerate(own, start=1):
            called = f"{name}_{part}_{number}"
            run([*stage.command(called, runs, last), *(more if stage.program or not programs else ())])
            folder = runs / called
            last = folder if stage.program else folder / "checkpoints/last.ckpt"
            found[part] = folder if stage.program else folder / "checkpoints/best.ckpt"
    return found


def release_command(name: str, found: dict[str, Path]) -> str:
    """Returns the command that makes the checkpoint folder of what was trained."""
    content = yaml.safe_load((RECIPES / f"stages/{name}.yaml").read_text(encoding="utf-8"))
    weights = found.get("stages") or f"checkpoints/{content['weights']}"
    parts = "".join(f" --{part} {found[part]}" for part in PARTS[1:] if part in found)
    return f"python tools/release.py {name} {weights}{parts}"


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _run(arguments: list[str]) -> None:
    """A process of its own for each run, so that none leaves anything behind for the next."""
    program = [] if arguments[0].endswith(".py") else ["-m", "ddsp_zoo.cli"]
    subprocess.run([sys.executable, *program, *arguments], check=True, cwd=ROOT)


def main(argv: list[str] | None = None, run: Runner = _run) -> None:
    """Trains and says what to do with the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", help="of a released model")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that holds the runs")
    options, more = parser.parse_known_args(argv)
    name = zoo.info(options.name).get("stem_of", options.name)
    found = train(name, options.runs.resolve(), more, run)
    if not found:
        raise DdspZooError(f"{name} has nothing to train: see recipes/stages/{name}.yaml.")
    print(release_command(name, found))


if __name__ == "__main__":
    try:
        main()
    except DdspZooError as error:
        sys.exit(str(error))
