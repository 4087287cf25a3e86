"""Measuring a model against baselines and the best possible masks, on any data module."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.owned import made_from, own_files_when_done
from ddsp_zoo.measuring.metrics import LIMIT_DB, METRICS, Metric
from ddsp_zoo.measuring.pitch import change_pitches, summarise_pitch
from ddsp_zoo.measuring.protocol import SEEDS, evaluate
from ddsp_zoo.measuring.rows import WINDOW, Row
from ddsp_zoo.measuring.summary import summarise
from ddsp_zoo.measuring.systems import SYSTEMS
from ddsp_zoo.measuring.windows import SILENCE_DB
from ddsp_zoo.reports.figures import box_plot
from ddsp_zoo.reports.tables import write_csv, write_json
from ddsp_zoo.sources import REST

FILES = ("rows.csv", "summary.csv", "summary.json", "pitch.csv")


def run(
    model: Any,
    datamodule: Any,
    out_dir: str | Path,
    split: str = "test",
    name: str | None = None,
    pitch: str = "given",
    metrics: Sequence[Metric] = METRICS,
    overwrite: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Evaluates a model and leaves everything worth keeping in a folder.

    Writes ``rows.csv`` (every window), ``summary.csv``, ``summary.json`` (with the protocol) and one box plot
    ``<metric>.png`` a metric. Returns the content of ``summary.json``: ``protocol`` and ``results``, the rows
    of `measuring.summary.summarise`. Where pitches are tracked, ``pitch.csv`` and the key ``pitch`` say how rightly.

    Args:
        model: a model, or the name of one that `ddsp_zoo.load` knows.
        datamodule: the data, see `protocol.evaluate`.
        out_dir: folder, made where missing. An earlier evaluation of the same is replaced, other files stay.
        split: "test" or "validation".
        name: what the model is called in tables and figures; None: the name it is loaded by, or its class.
        pitch: "given" by the data, or found by the model's own tracker in the "mixture", or another of
            `measuring.pitch.PITCHES`; baselines get the same.
        metrics: what to take, the package's or your own.
        overwrite: also replace the evaluation of another model, data set, split or kind of pitch.
        options: of `protocol.evaluate`.

    Raises:
        DdspZooError: before anything is measured, where something in the folder would be lost; see also
            `protocol.evaluate`.
    """
    name = name or (model if isinstance(model, str) else type(model).__name__)
    if isinstance(model, str):
        from ddsp_zoo import zoo

        model = zoo.load(model)
    about = {"model": name, "weights_sha256": getattr(model, "weights_sha256", "")}
    about |= {"data": type(datamodule).__name__, "split": split, "pitch": pitch}
    if not overwrite:
        _refuse_another(Path(out_dir), about)
    names = [*FILES, *(f"{metric.name}.png" for metric in metrics)]
    with own_files_when_done(out_dir, names, about) as draft:
        return _measure(model, datamodule, draft, metrics, about, options)


def _refuse_another(folder: Path, about: dict[str, Any]) -> None:
    """Raises `DdspZooError` where a folder holds another evaluation."""
    there = made_from(folder)
    if any(there.get(key, value) != value for key, value in about.items()):
        raise DdspZooError(
            f"{folder} holds what was measured of {there.get('model')} on {there.get('data')}, {there.get('split')}, "
            f"pitch {there.get('pitch')}, or of other weights: choose another folder, or replace it with `overwrite=`."
        )


def _measure(
    model: Any,
    datamodule: Any,
    folder: Path,
    metrics: Sequence[Metric],
    about: dict[str, Any],
    options: dict[str, Any],
) -> dict[str, Any]:
    """The content of the summary, once all files are written."""
    name, split, pitch = about["model"], about["split"], about["pitch"]
    limit = options.get("limit_tracks")
    tracked = change_pitches(model, datamodule, pitch, split, limit) if pitch != "given" else []
    rows = evaluate(model, datamodule, split, metrics=metrics, **options)
    protocol = _protocol(name, model, datamodule, split, rows, options) | {
        "pitch": pitch,
        "metrics": [metric.described() for metric in metrics],
    }
    summary = {"protocol": protocol, "results": summarise(rows)}
    if tracked:
        summary["pitch"] = summarise_pitch(tracked)
        write_csv(tracked, folder / "pitch.csv")
    _write(summary, rows, metrics, folder)
    return summary


def _write(summary: dict[str, Any], rows: Sequence[Row], metrics: Sequence[Metric], out_dir: Path) -> None:
    """Figures first: where there is a summary, everything is."""
    protocol = summary["protocol"]
    title = f"{protocol['model']} on {protocol['data']}, {protocol['split']}"
    for metric in metrics:
        box_plot(rows, metric, out_dir / f"{metric.name}.png", title, protocol["sources"])
    write_csv(rows, out_dir / "rows.csv")
    write_csv(summary["results"], out_dir / "summary.csv")
    write_json(summary, out_dir / "summary.json")


def _protocol(
    name: str, model: Any, datamodule: Any, split: str, rows: Sequence[Row], options: dict[str, Any]
) -> dict[str, Any]:
    """What must be known to compare the numbers with others; windows are called frames in files."""
    return {
        "model": name,
        "data": type(datamodule).__name__,
        "split": split,
        "sources": list(model.sources),
        "sample_rate": model.sample_rate,
        "frame_seconds": options.get("window_seconds", 1.0),
        "seeds": list(options.get("seeds", SEEDS)),
        "mask_fft": model.mask_fft,
        "mask_hop": model.hop_samples,
        "silence_db": -SILENCE_DB,
        "contested": REST in model.sources,
        "limit_db": LIMIT_DB,
        "tracks": len({row["track"] for row in rows}),
        "frames": len({(row["track"], row[WINDOW]) for row in rows}),
        "systems": {row["system"]: SYSTEMS[row["system"]] for row in rows},
    }
