"""Make a checkpoint folder from a training run: `python tools/release.py NAME RUN.ckpt DATA [--root DIR]`.

Writes model.safetensors (half precision), config.yaml and metrics.json (measured on the test split, with the weights
as they are on disk) into checkpoints/NAME and its tables into the last section of card.md; the rest of the card is
written by hand. Then sizes and checksums go into the manifest. Without DATA nothing is measured: models that are
measured together (`ddsp-zoo report strings`) get their tables afterwards, by `python tools/release.py NAME --measured
FOLDER`. A recipe in place of RUN.ckpt releases a model without weights.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import yaml

from ddsp_zoo import zoo
from ddsp_zoo.corpora import make
from ddsp_zoo.models import Separator
from ddsp_zoo.pitch.drum_transcriber import DrumTranscriber
from ddsp_zoo.pitch.multipitch import MultiPitch
from ddsp_zoo.pitch.string_tracker import StringTracker
from ddsp_zoo.reports import evaluation
from ddsp_zoo.reports.tables import by_metric, by_source, pitch_table, render_markdown
from ddsp_zoo.settings.build import build
from ddsp_zoo.zoo.checkpoint import config_of

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
HEADING = "## Measured"
# What may become a part of a model that was trained apart: its setting, and classes that can.
PARTS = {
    "tracker": ("tracks_pitch", (MultiPitch, StringTracker)),
    "transcriber": ("transcribes_drums", (DrumTranscriber,)),
}


def main() -> None:
    """Saves, evaluates, writes the metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("run", nargs="?", help=".ckpt file of the training run")
    parser.add_argument("data", nargs="?", help="a data module by name, or a recipe")
    parser.add_argument("--measured", help="folder of an evaluation that has been made")
    parser.add_argument("--root", help="folder of the data")
    for part in PARTS:
        parser.add_argument(f"--{part}", help=f".ckpt file of a {part} that becomes a part of the model")
    parser.add_argument("--tables", default="evaluation", help="folder for tables and plots")
    options = parser.parse_args()
    folder = CHECKPOINTS / options.name
    if options.run:
        save(options.name, options.run, {part: getattr(options, part) for part in PARTS})
    if options.data:
        write(folder, measure(options.name, options.data, options.root, Path(options.tables)))
    if options.measured:
        write(folder, json.loads((Path(options.measured) / "summary.json").read_text(encoding="utf-8")))
    zoo.refresh_manifest(CHECKPOINTS)


def save(name: str, run: str, parts: dict[str, str | None]) -> None:
    """Writes weights and settings into the folder of a model, with those of its `PARTS`."""
    if run.endswith(".yaml"):
        section = yaml.safe_load(Path(run).read_text(encoding="utf-8"))["model"]
        model = build(section, Separator)
    else:
        model = zoo.load(name, checkpoint=run)
    for part, checkpoint in parts.items():
        if checkpoint:
            model = with_part(model, part, zoo.load(name, checkpoint=checkpoint, kind=PARTS[part][1]))
    zoo.save_checkpoint(model, CHECKPOINTS / name)


def measure(name: str, data: str, root: str | None, tables: Path) -> dict[str, Any]:
    """Measures what a model reaches on the test split, with the weights as they are on disk."""
    corpus = make(data, **({"root": root} if root else {}))
    released = zoo.load(name, checkpoint=CHECKPOINTS / name)
    summary = evaluation.run(released, corpus, tables / name, name=name)
    if released.tracker is not None:
        where = tables / f"{name}_mixture"
        summary["tracked"] = evaluation.run(released, corpus, where, name=name, pitch="mixture")
    return summary


def write(folder: Path, summary: dict[str, Any]) -> None:
    """Writes metrics.json, and the tables in the card."""
    (folder / "metrics.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _write_table(folder / "card.md", summary)


def with_part(model: Any, part: str, own: Any) -> Any:
    """Returns the same model with one of its `PARTS` in it."""
    whole = build(config_of(model), Separator, **{PARTS[part][0]: True})
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
    main()
