"""Make a checkpoint folder from a training run: `python tools/release.py NAME RUN.ckpt DATA [--root DIR]`.

Writes model.safetensors (half precision), config.yaml and metrics.json (measured on the test split, with the weights
as they are on disk) into checkpoints/NAME and its tables into the last section of card.md; the rest of the card is
written by hand. Then sizes and checksums go into the manifest.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ddsp_zoo import evaluation, hub
from ddsp_zoo.data import make
from ddsp_zoo.evaluation.pitch import pitch_table
from ddsp_zoo.evaluation.tables import by_metric, by_source, render_markdown

CHECKPOINTS = Path(__file__).parent.parent / "checkpoints"
HEADING = "## Measured"


def main() -> None:
    """Save, evaluate, write the metrics."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("run", help=".ckpt file of the training run")
    parser.add_argument("data", help="a data module by name, or a recipe")
    parser.add_argument("--root", help="folder of the data")
    parser.add_argument("--tracker", help=".ckpt file of a `MultiPitch` that becomes a part of the model")
    parser.add_argument("--tables", default="evaluation", help="folder for tables and plots")
    options = parser.parse_args()
    folder = CHECKPOINTS / options.name
    model = hub.load(options.name, checkpoint=options.run)
    if options.tracker:
        model = with_tracker(model, hub.load(options.name, checkpoint=options.tracker))
    class_path = f"ddsp_zoo.models.{type(model).__name__}"
    hub.save_checkpoint(model, folder, {"class_path": class_path, "init_args": dict(model.hparams)})
    data = make(options.data, **({"root": options.root} if options.root else {}))
    tables = Path(options.tables) / options.name
    released = hub.load(options.name, checkpoint=folder)
    summary = evaluation.run(released, data, tables, name=options.name)
    if released.tracker is not None:
        tables = tables.with_name(f"{options.name}_mixture")
        summary["tracked"] = evaluation.run(released, data, tables, name=options.name, pitch="mixture")
    (folder / "metrics.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    _write_table(folder / "card.md", summary)
    hub.refresh_manifest(CHECKPOINTS)


def with_tracker(model: Any, tracker: Any) -> Any:
    """The same model with a tracker in it."""
    whole = type(model)(**dict(model.hparams) | {"tracks_pitch": True})
    weights = model.state_dict() | {f"tracker.{key}": value for key, value in tracker.state_dict().items()}
    whole.load_state_dict(weights)
    return whole


def measured(summary: dict[str, Any]) -> str:
    """The last section of a card: what was measured, and how."""
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
        f"Mean over {protocol['frame_seconds']:g}-s frames of {tracks} of "
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
