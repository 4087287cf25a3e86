"""Measuring a model against baselines and the best possible masks, on any data module."""

from pathlib import Path
from typing import Any, Literal

from ddsp_zoo.measuring.pitch import summarise_pitch, track_pitches
from ddsp_zoo.measuring.protocol import LIMIT_DB, SEEDS, SILENCE_DB, SYSTEMS, evaluate
from ddsp_zoo.measuring.tables import metric_names, summarise, write_csv, write_json
from ddsp_zoo.sources import REST


def run(
    model: Any,
    datamodule: Any,
    out_dir: str | Path,
    split: str = "test",
    name: str | None = None,
    pitch: Literal["given", "mixture"] = "given",
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a model and leave everything worth keeping in a folder.

    Writes ``rows.csv`` (every frame), ``summary.csv``, ``summary.json`` (with the protocol) and one box plot
    ``<metric>.png`` a metric. Returns the content of ``summary.json``: ``protocol`` and ``results``, the rows
    of `tables.summarise`. Where pitches are tracked, ``pitch.csv`` and the key ``pitch`` say how rightly.

    Args:
        model: a model, or the name of one that `ddsp_zoo.load` knows.
        datamodule: the data, see `protocol.evaluate`.
        out_dir: folder, made where missing; files of the same names are replaced.
        split: "test" or "validation".
        name: what the model is called in tables and figures; None: the name it is loaded by, or its class.
        pitch: "given" by the data, or found by the model's own tracker in the "mixture"; baselines get the same.
        options: of `protocol.evaluate`.
    """
    from ddsp_zoo.reports.figures import box_plot

    name = name or (model if isinstance(model, str) else type(model).__name__)
    if isinstance(model, str):
        from ddsp_zoo.zoo import load

        model = load(model)
    tracked = (
        track_pitches(model, datamodule, split, options.get("limit_tracks")) if pitch == "mixture" else []
    )
    rows = evaluate(model, datamodule, split, **options)
    protocol = _protocol(name, model, datamodule, split, rows, options) | {"pitch": pitch}
    summary = {"protocol": protocol, "results": summarise(rows)}
    out_dir, title = Path(out_dir), f"{name} on {protocol['data']}, {split}"
    if tracked:
        summary["pitch"] = summarise_pitch(tracked)
        write_csv(tracked, out_dir / "pitch.csv")
    for metric in metric_names(rows):
        box_plot(rows, metric, out_dir / f"{metric}.png", title, protocol["sources"])
    write_csv(rows, out_dir / "rows.csv")
    write_csv(summary["results"], out_dir / "summary.csv")
    write_json(summary, out_dir / "summary.json")
    return summary


def _protocol(
    name: str, model: Any, datamodule: Any, split: str, rows: list[dict[str, Any]], options: dict[str, Any]
) -> dict[str, Any]:
    """What must be known to compare the numbers with others."""
    return {
        "model": name,
        "data": type(datamodule).__name__,
        "split": split,
        "sources": list(model.sources),
        "sample_rate": model.sample_rate,
        "frame_seconds": options.get("frame_seconds", 1.0),
        "seeds": list(options.get("seeds", SEEDS)),
        "mask_fft": model.mask_fft,
        "mask_hop": model.hop_samples,
        "silence_db": -SILENCE_DB,
        "contested": REST in model.sources,
        "limit_db": LIMIT_DB,
        "tracks": len({row["track"] for row in rows}),
        "frames": len({(row["track"], row["frame"]) for row in rows}),
        "systems": {row["system"]: SYSTEMS[row["system"]] for row in rows},
    }
