"""Release a model: make its checkpoint folder and its row in the manifest from a training run.

`python tools/release.py NAME RUN.ckpt DATA [--root DIR]`; a new model also needs --summary, --paper, --weights-licence
and --training-data, from which its row and the head of its card are written. --into names another folder of
checkpoints, and --import the module of a class that is not in the package.

Writes model.safetensors (half precision), config.yaml and metrics.json (measured on the test split, with the weights
as they are on disk) into checkpoints/NAME and its tables into the last section of card.md; the rest of the card is
to be written by hand. Then sizes and checksums go into the manifest. Without DATA nothing is measured: models that are
measured together (`ddsp-zoo report strings`) get their tables afterwards, by `python tools/release.py NAME --measured
FOLDER`. A recipe in place of RUN.ckpt releases a model without weights.
"""

import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any

import yaml

from ddsp_zoo import zoo
from ddsp_zoo.cli import working_folder_known
from ddsp_zoo.cli.ending import tell
from ddsp_zoo.cli.parser import Parser, load
from ddsp_zoo.corpora import make
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.models import Separator
from ddsp_zoo.pitch.drum_transcriber import DrumTranscriber
from ddsp_zoo.pitch.multipitch import MultiPitch
from ddsp_zoo.pitch.string_tracker import StringTracker
from ddsp_zoo.reports import evaluation
from ddsp_zoo.reports.tables import by_metric, by_source, pitch_table, render_markdown
from ddsp_zoo.settings.build import build
from ddsp_zoo.zoo.checkpoint import config_of
from ddsp_zoo.zoo.manifest import CARD, MANIFEST, METRICS, check_name, check_row, write_manifest

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
HEADING = "## Measured"
# What may become a part of a model that was trained apart: its setting, and classes that can.
PARTS = {
    "tracker": ("tracks_pitch", (MultiPitch, StringTracker)),
    "transcriber": ("transcribes_drums", (DrumTranscriber,)),
}
ROW = {  # what a new model's row is made of, beside what the model says itself
    "summary": "what it separates, in a sentence",
    "paper": "where it comes from",
    "weights_licence": "under which its weights are given away",
    "training_data": "what it was trained on, with the licences of that",
}


def main(arguments: list[str] | None = None) -> int:
    """Saves, evaluates, writes card, metrics and row; returns the exit status."""
    try:
        with working_folder_known():
            release(arguments)
    except DdspZooError as error:
        return tell(error)
    return 0


def release(arguments: list[str] | None = None) -> None:
    """Does what the program is asked for; raises `DdspZooError`."""
    parser = Parser("release", description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("run", nargs="?", help=".ckpt file of the training run")
    parser.add_argument("data", nargs="?", help="a data module by name, or a recipe")
    parser.add_argument("--measured", help="folder of an evaluation that has been made")
    parser.add_argument("--root", help="folder of the data")
    for part in PARTS:
        parser.add_argument(f"--{part}", help=f".ckpt file of a {part} that becomes a part of the model")
    parser.add_argument("--tables", default="evaluation", help="folder for tables and plots")
    parser.add_argument("--into", type=Path, default=CHECKPOINTS, help="folder of checkpoints (%(default)s)")
    for field, text in ROW.items():
        parser.add_argument(f"--{field.replace('_', '-')}", help=f"of a new model: {text}")
    options = parser.parse_args(arguments)
    check_name(options.name)
    folder = options.into / options.name
    if options.run:
        model = trained(options)
        write_row(options, model)  # which says what is missing before anything is written
        zoo.save_checkpoint(model, folder)
    if options.data:
        write(folder, measure(options))
    if options.measured:
        write(folder, json.loads((Path(options.measured) / "summary.json").read_text(encoding="utf-8")))
    zoo.refresh_manifest(options.into)


def trained(options: Namespace) -> Any:
    """Returns the model of a run, or of a recipe, with those of its `PARTS` that are given."""
    if options.run.endswith(".yaml"):
        section = yaml.safe_load(Path(options.run).read_text(encoding="utf-8"))["model"]
        model = build(section, Separator)
    else:
        model = load(options, options.name, options.run)
    for part, (_, kinds) in PARTS.items():
        if checkpoint := getattr(options, part):
            model = with_part(model, part, zoo.load(options.name, checkpoint=checkpoint, kind=kinds))
    return model


def write_row(options: Namespace, model: Any) -> None:
    """Writes the row of a model into the manifest, and the head of its card where there is none.

    What is not given stays as it is in the row of a model that has one. Raises `DdspZooError` for a row that would
    not be whole, and then writes nothing.
    """
    path = options.into / MANIFEST
    manifest = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"models": {}}
    told = {field: getattr(options, field) for field in ROW if getattr(options, field) is not None}
    row = {"summary": "", "paper": ""} | manifest["models"].get(options.name, {})
    row |= {"sample_rate": model.sample_rate, "sources": list(model.sources)}
    row |= {field: told[field] for field in ("summary", "paper") if field in told}
    licences = {"code": "Apache-2.0"} | row.get("licences", {})
    licences |= {"weights": told["weights_licence"]} if "weights_licence" in told else {}
    licences |= {"training_data": told["training_data"]} if "training_data" in told else {}
    row["licences"] = licences
    check_row(options.name, row, manifest["models"])
    manifest["models"][options.name] = row
    card = options.into / options.name / CARD
    if not card.exists():
        with replaced_when_done(card) as draft:
            draft.write_text(_head(options.name, row), encoding="utf-8")
    write_manifest(options.into, manifest)


def _head(name: str, row: dict[str, Any]) -> str:
    """The part of a card that follows from its row; what nobody but a person knows is left to be written."""
    licences = row["licences"]
    return (
        f"# {name}\n\n{row['summary']} ({row['paper']})\n\n## Trained on\n\n{licences['training_data']}\n\n"
        f"## Licence\n\nCode {licences['code']}, weights {licences['weights']}.\n\n"
    )


def measure(options: Namespace) -> dict[str, Any]:
    """Measures what a model reaches on the test split, with the weights as they are on disk."""
    name, tables = options.name, Path(options.tables)
    corpus = make(options.data, **({"root": options.root} if options.root else {}))
    released = load(options, name, options.into / name)
    summary = evaluation.run(released, corpus, tables / name, name=name)
    if released.tracker is not None:
        where = tables / f"{name}_mixture"
        summary["tracked"] = evaluation.run(released, corpus, where, name=name, pitch="mixture")
    return summary


def write(folder: Path, summary: dict[str, Any]) -> None:
    """Writes metrics.json, and the tables in the card."""
    (folder / METRICS).write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _write_table(folder / CARD, summary)


def with_part(model: Any, part: str, own: Any) -> Any:
    """Returns the same model with one of its `PARTS` in it."""
    settings = {PARTS[part][0]: True}
    if getattr(own, "counts", False):
        settings |= {"tracked_voices": own.most_voices, "heard_again": own.heard_again}
    whole = build(config_of(model), Separator, **settings)
    weights = model.state_dict() | {f"{part}.{key}": value for key, value in own.state_dict().items()}
    whole.load_state_dict(weights)
    return whole


def measured(summary: dict[str, Any]) -> str:
    """Returns the last section of a card: what was measured, and how."""
    text = f"{HEADING}\n\n{_tables(summary)}"
    if tracked := summary.get("tracked"):
        text += (
            f"\n### With the pitch found in the mixture\n\n{_tables(tracked)}\nThe pitch itself:\n\n"
            f"{render_markdown(pitch_table(tracked['pitch']))}\n"
        )
    return text


def _tables(summary: dict[str, Any]) -> str:
    protocol = summary["protocol"]
    tracks = (
        f"{protocol['tracks']} {protocol['split']} tracks"
        if protocol["tracks"] > 1
        else f"one {protocol['split']} track"
    )
    spread = ", in brackets the 95 % interval over tracks" if protocol["tracks"] > 1 else ""
    seeds = f", noise with {len(protocol['seeds'])} seeds" if len(protocol["seeds"]) > 1 else ""
    return (
        f"Mean over {protocol['frame_seconds']:g}-s windows of {tracks} of "
        f"{protocol['data']}{seeds}{spread}; sources together, the rest left "
        f"out. `metrics.json` has every source.\n\n{render_markdown(by_metric(summary['results']))}\n\n"
        "The mean SI-SDR (dB) of each source:\n\n"
        f"{render_markdown(by_source(summary['results'], order=protocol['sources']))}\n"
    )


def _write_table(card: Path, summary: dict[str, Any]) -> None:
    written = card.read_text(encoding="utf-8").partition(HEADING)[0]
    card.write_text(written + measured(summary), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
