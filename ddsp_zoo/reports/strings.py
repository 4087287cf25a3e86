"""Protocol "strings": models of a guitar's six strings on the same files, with all that the thesis draws of them."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring import remembered, tables
from ddsp_zoo.measuring.protocol import OF_THE_MODEL, SEEDS
from ddsp_zoo.measuring.remembered import STAMP, digest_of_model, digest_of_tracks, is_made_from
from ddsp_zoo.measuring.survey import LEVELS as LEVEL_KEYS
from ddsp_zoo.measuring.survey import Survey, example, level_errors, off_diagonal, survey
from ddsp_zoo.reports import comparison, curves
from ddsp_zoo.reports import report as pages
from ddsp_zoo.reports.comparison import Measured
from ddsp_zoo.reports.evaluation import run
from ddsp_zoo.reports.figures import axis_label
from ddsp_zoo.reports.string_figures import draw_controls, draw_matrices, draw_sources
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

SOURCES = tuple(GUITAR_STRINGS_HZ)
METRICS = ("si_sdr_db", "mel_cepstral_distance")  # those of the thesis
STYLE = re.compile(r"_(comp|solo)(?=_|$)")  # in names of tracks, as GuitarSet has them
BASELINES, CURVE = "baselines", "curve.csv"
LEVELS, CORRELATIONS = "levels.csv", "correlations.json"

Row = dict[str, Any]


def find_checkpoints(names: Sequence[str] = (), paths: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Checkpoints by what to call them: released models by name, and folders or .ckpt files of one's own.

    With neither, all released models of six strings. Own ones are called by their folder, a .ckpt file of a training
    run by its run; "_2" and so on tell apart what would be called the same.
    """
    return remembered.find_checkpoints(names, paths, lambda sources: sources == SOURCES, [BASELINES])


def find_losses(
    checkpoints: Mapping[str, Path], runs: Sequence[str | Path] = ()
) -> dict[str, list[curves.Row]]:
    """Losses by name: of ``curve.csv`` in the folders of checkpoints, and of training runs, which come before those."""
    found = {name: path / CURVE for name, path in checkpoints.items() if (path / CURVE).is_file()}
    losses = {name: curves.read_curve(path) for name, path in found.items()}
    return losses | dict(zip(comparison.distinct_names(runs), map(curves.read_run, runs)))


def report(
    models: Mapping[str, Any],
    datamodule: Any,
    out_dir: str | Path,
    losses: Mapping[str, list[curves.Row]] | None = None,
    limit_tracks: int | None = None,
    seeds: Sequence[int] = SEEDS,
    device: str = "cpu",
    progress: bool = True,
) -> list[Path]:
    """Measure models of strings on a test split and write ``report.md`` with all figures. Returns what was written.

    What is measured stays in a folder a model, the baselines in one of their own. A later call takes it from there
    where model, files, tracks and seeds are the same, and only draws; delete a folder to measure it anew.

    Args:
        models: by what to call them, each a `Separator` of the six strings.
        datamodule: a `StemDataModule`. Tracks named with ``_comp`` or ``_solo`` are also told apart by that.
        out_dir: folder, made where missing; files of the same names are replaced.
        losses: of training runs, by name, see `find_losses`.
        limit_tracks: stop after this many tracks.
        seeds: of the models' own noise and of the noise baseline.
        device: where models run.
        progress: show progress bars.

    Raises:
        DdspZooError: there is no model, one separates something else, or see `protocol.evaluate`.
    """
    _check(models)
    out_dir = pages.writable(out_dir)
    options = {"limit_tracks": limit_tracks, "seeds": list(seeds), "device": device, "progress": progress}
    folders = _measure_all(models, datamodule, out_dir, options)
    groups = comparison.comparable(comparison.read(folders))
    page, written = ["# Guitar strings"], [out_dir / pages.PAGE]
    for number, group in enumerate(groups):
        paragraphs, figures = pages.section(group, out_dir, f"_{number + 1}" if number else "", METRICS)
        page, written = page + _overview(group) + paragraphs + _styles(group), written + figures
    surveys = {name: _read_survey(out_dir / name) for name in models}
    paragraphs, figures = pages.learning(losses or {}, out_dir)
    page, written = page + _levels(surveys) + paragraphs + _correlations(surveys), written + figures
    for name, model in models.items():
        paragraphs, figures = _pictures(name, model, datamodule, out_dir / name, surveys[name], device)
        page, written = page + paragraphs, written + figures
    pages.write_page(page, out_dir / pages.PAGE)
    return written


def _check(models: Mapping[str, Any]) -> None:
    if not models:
        raise DdspZooError("There is no model to report on: name some with --models or --checkpoints.")
    for name, model in models.items():
        if tuple(model.sources) != SOURCES:
            raise DdspZooError(
                f"{name} separates {', '.join(model.sources)}, and the protocol is for the strings "
                f"{', '.join(SOURCES)}: leave it out."
            )


# Measuring ------------------------------------------------------------------------------------------


def _measure_all(
    models: Mapping[str, Any], datamodule: Any, out_dir: Path, options: dict[str, Any]
) -> list[Path]:
    """Evaluate what is not evaluated yet: every model, and the baselines once for each grid of frames."""
    grids: dict[tuple[Any, ...], Any] = {}
    common = {"tracks": options["limit_tracks"], "seeds": options["seeds"]}
    for name, model in models.items():
        datamodule.feed(model, "test").prepare_data()
        common["files"] = common.get("files") or digest_of_tracks(
            datamodule.tracks("test")[: options["limit_tracks"]]
        )
        grids.setdefault(_grid(model), model)
        stamp = common | {"model": digest_of_model(model)}
        if not is_made_from(out_dir / name, stamp):
            _measure(name, model, datamodule, out_dir / name, options)
            tables.write_json(stamp, out_dir / name / STAMP)
    folders = [
        out_dir / (f"{BASELINES}_{number + 1}" if number else BASELINES) for number in range(len(grids))
    ]
    for folder, (grid, model) in zip(folders, grids.items()):
        stamp = common | {"grid": list(grid)}
        if not is_made_from(folder, stamp):
            run(model, datamodule, folder, name=folder.name, parts=("baselines",), **options)
            tables.write_json(stamp, folder / STAMP)
    return [*(out_dir / name for name in models), *folders]


def _measure(name: str, model: Any, datamodule: Any, folder: Path, options: dict[str, Any]) -> None:
    try:
        run(model, datamodule, folder, name=name, parts=("model",), **options)
    except DdspZooError as error:
        raise DdspZooError(f"{name}: {error}") from error
    _save_survey(model, datamodule, folder, options)


def _grid(model: Any) -> tuple[Any, ...]:
    """All of a model that baselines depend on."""
    return tuple(
        getattr(model, name)
        for name in ("sample_rate", "hop_samples", "segment_samples", "mask_fft", "needs_pitch")
    )


def _save_survey(model: Any, datamodule: Any, folder: Path, options: dict[str, Any]) -> None:
    chosen = {name: options[name] for name in ("limit_tracks", "device", "progress")}
    found = survey(model, datamodule, **chosen)
    tables.write_csv(found.levels, folder / LEVELS)
    matrices = {"sources": found.between_sources, "controls": found.between_controls}
    plain = {
        kind: {name: matrix.tolist() for name, matrix in group.items()} for kind, group in matrices.items()
    }
    tables.write_json(plain, folder / CORRELATIONS)


def _read_survey(folder: Path) -> Survey:
    try:
        with (folder / LEVELS).open(newline="", encoding="utf-8") as file:
            levels = [row | {key: float(row[key]) for key in LEVEL_KEYS} for row in csv.DictReader(file)]
        plain = json.loads((folder / CORRELATIONS).read_text(encoding="utf-8"))
        groups = [
            {name: np.array(matrix, dtype=float) for name, matrix in plain[kind].items()}
            for kind in ("sources", "controls")
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DdspZooError(f"{folder} is damaged: delete it to have it measured anew.") from error
    return Survey(levels, *groups)


# The page -------------------------------------------------------------------------------------------


def _overview(group: Sequence[Measured]) -> list[str]:
    """One line a model: SI-SDR of its outputs, and how much of the way from f0 alone to the ideal mask it goes."""
    means = {one.name: _means(one.rows, "si_sdr_db") for one in group}
    distances = {one.name: _means(one.rows, "mel_cepstral_distance") for one in group}
    shared = {system: mean for systems in means.values() for system, mean in systems.items()}
    low, high = (shared.get(name) for name in ("comb_mask_power", "irm_power"))
    cells = [["model", *OF_THE_MODEL, "of the way", "MCD of masked_power"]]
    for name, systems in means.items():
        if OF_THE_MODEL[0] in systems:
            share = _share(systems["masked_power"], low, high)
            sdr = [f"{systems[system]:.2f}" for system in OF_THE_MODEL]
            cells.append([name, *sdr, share, f"{distances[name]['masked_power']:.2f}"])
    bounds = f" ({low:.2f} dB) to the ideal ratio mask ({high:.2f} dB)" if None not in (low, high) else ""
    return [
        'Mean SI-SDR in dB over all strings; MCD is the mel cepstral distance. "Of the way" is how far masked_power '
        f"goes from the comb mask{bounds}, both in power 2.",
        tables.render_markdown(cells),
    ]


def _means(rows: Sequence[Row], metric: str) -> dict[str, float]:
    """The mean of each system over all frames of all strings."""
    systems = dict.fromkeys(row["system"] for row in rows)
    return {x: float(np.nanmean([row[metric] for row in rows if row["system"] == x])) for x in systems}


def _share(value: float, low: float | None, high: float | None) -> str:
    return (
        "-" if low is None or high is None or high <= low else f"{100 * (value - low) / (high - low):.0f} %"
    )


def _styles(group: Sequence[Measured]) -> list[str]:
    """Both metrics by playing style; nothing where the names of tracks tell none."""
    styled = [
        {"track": row["track"], "source": found[1], "frame": row["frame"], "system": row["system"]}
        | {metric: row[metric] for metric in METRICS}
        for row in comparison.join(group)[0]
        if (found := STYLE.search(row["track"]))
    ]
    if not styled:
        return []
    summary, page = tables.summarise(styled), ["### By playing style"]
    for metric in METRICS:
        cells = tables.by_source(summary, metric, show=tables.mean_and_interval)
        page += [f"{axis_label(metric)}:", tables.render_markdown(cells)]
    return page


def _levels(surveys: Mapping[str, Survey]) -> list[str]:
    """How loud what is synthesised is, a line a model."""
    cells = [["model", *SOURCES, "mean", "a frame's error"]]
    for name, found in surveys.items():
        overall, error = level_errors(found.levels, SOURCES)
        numbers = [overall.get(source) for source in SOURCES] + [np.mean(list(overall.values()))]
        cells.append([name, *("-" if x is None else f"{x:+.1f}" for x in numbers), f"{error:.1f}"])
    return [
        "## Level of what is synthesised",
        "In dB over the target: of each string in all frames in which it sounds, the mean over strings, and the median "
        "over frames of the difference without its sign. A model follows the level where the last is small.",
        tables.render_markdown(cells),
    ]


def _correlations(surveys: Mapping[str, Survey]) -> list[str]:
    """How alike a control moves on different strings, a line a control."""
    cells = [["model", "control", "mean", "least", "greatest"]]
    for name, found in surveys.items():
        for control, matrix in found.between_sources.items():
            values = off_diagonal(matrix)
            numbers = (values.mean(), values.min(), values.max()) if len(values) else ()
            cells.append([name, control, *(f"{x:.2f}" for x in numbers or ())] + ["-"] * (3 - len(numbers)))
    if len(cells) == 1:
        return []
    return [
        "## Controls of different strings",
        "Correlation coefficient of one control between two strings, over all pairs of strings; each is the mean over "
        "excerpts. Near 1, strings are not controlled by themselves. A dash: the control does not move.",
        tables.render_markdown(cells),
    ]


def _pictures(
    name: str, model: Any, datamodule: Any, folder: Path, found: Survey, device: str
) -> tuple[list[str], list[Path]]:
    """Paragraphs and figures of one model: waveforms, controls, correlations."""
    shown = example(model, datamodule, device=device)
    title = f"{name}: start of {shown.track}"
    figures = [folder / "sources.png"]
    draw_sources(shown, figures[0], title)
    figures += draw_controls(shown, folder, title)
    for kind, matrices in (("strings", found.between_sources), ("controls", found.between_controls)):
        labels = SOURCES if kind == "strings" else list(found.between_sources)
        if matrices and len(labels) > 1:
            figures.append(folder / f"between_{kind}.png")
            draw_matrices(matrices, labels, figures[-1], f"{name}: correlation between {kind}")
    pictures = [f"![{path.stem} of {name}]({name}/{path.name})" for path in figures]
    return [f"## {name}", *pictures], figures
