"""Protocol "strings": models of a guitar's six strings on the same files, with the tables and figures of the thesis."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.digests import digest_of_model, digest_of_tracks
from ddsp_zoo.measuring.protocol import SEEDS
from ddsp_zoo.measuring.survey import ExampleListener, SurveyListener
from ddsp_zoo.reports import comparison, curves, remembered, string_pages, survey_files, tables
from ddsp_zoo.reports import report as pages
from ddsp_zoo.reports.evaluation import run
from ddsp_zoo.reports.remembered import STAMP, is_made_from
from ddsp_zoo.reports.string_pages import METRICS, SOURCES

BASELINES, CURVE = "baselines", "curve.csv"
EXCERPT_SECONDS = 2.0  # of the test
VERSION = 2  # to be raised whenever a folder holds other things or numbers of the same files


def find_checkpoints(names: Sequence[str] = (), paths: Sequence[str | Path] = ()) -> dict[str, Path]:
    """Returns checkpoints by what to call them: released models by name, and folders or .ckpt files of one's own.

    With neither, all released models of six strings. Own ones are called by their folder, a .ckpt file of a training
    run by its run; "_2" and so on tell apart what would be called the same.
    """
    return remembered.find_checkpoints(names, paths, lambda sources: sources == SOURCES, [BASELINES])


def find_losses(
    checkpoints: Mapping[str, Path], runs: Sequence[str | Path] = ()
) -> dict[str, list[curves.Step]]:
    """Returns losses by name: of ``curve.csv`` in the folders of checkpoints, and of training runs, which go first."""
    found = {name: path / CURVE for name, path in checkpoints.items() if (path / CURVE).is_file()}
    losses = {name: curves.read_curve(path) for name, path in found.items()}
    return losses | dict(zip(comparison.distinct_names(runs), map(curves.read_run, runs)))


def report(
    models: Mapping[str, Any],
    datamodule: Any,
    out_dir: str | Path,
    losses: Mapping[str, list[curves.Step]] | None = None,
    limit_tracks: int | None = None,
    seeds: Sequence[int] = SEEDS,
    device: str = "cpu",
    progress: bool = True,
) -> list[Path]:
    """Measures models of strings on a test split and write ``report.md`` with all figures. Returns what was written.

    A model that hears short chunks (``chunk_seconds``) is measured on excerpts of two seconds like the others: windows
    of a second lie within an excerpt. What it hears at once stays as it is.

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
    for model in models.values():
        if getattr(model, "chunk", 0):
            model.segment_samples = round(EXCERPT_SECONDS * model.sample_rate)
    out_dir = pages.writable(out_dir)
    options = {"limit_tracks": limit_tracks, "seeds": list(seeds), "device": device, "progress": progress}
    folders = _measure_all(models, datamodule, out_dir, options)
    groups = comparison.comparable(comparison.read(folders))
    page, written = ["# Guitar strings"], [out_dir / pages.PAGE]
    for number, group in enumerate(groups):
        paragraphs, figures = pages.section(group, out_dir, f"_{number + 1}" if number else "", METRICS)
        page += string_pages.overview(group) + paragraphs + string_pages.styles(group)
        written += figures
    kept = {name: survey_files.read(out_dir / name) for name in models}
    surveys = {name: survey for name, (survey, _) in kept.items()}
    paragraphs, figures = pages.learning(losses or {}, out_dir)
    page += string_pages.levels(surveys) + paragraphs + string_pages.correlations(surveys)
    written += figures
    for name, (survey, example) in kept.items():
        paragraphs, figures = string_pages.pictures(name, example, survey, out_dir / name)
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
    common = {"version": VERSION, "tracks": options["limit_tracks"], "seeds": options["seeds"]}
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
            run(model, datamodule, folder, name=folder.name, parts=("baselines",), overwrite=True, **options)
            tables.write_json(stamp, folder / STAMP)
    return [*(out_dir / name for name in models), *folders]


def _measure(name: str, model: Any, datamodule: Any, folder: Path, options: dict[str, Any]) -> None:
    survey, example = SurveyListener(model), ExampleListener(model)
    try:
        listeners = (survey, example)
        run(
            model,
            datamodule,
            folder,
            name=name,
            parts=("model",),
            listeners=listeners,
            overwrite=True,
            **options,
        )
    except DdspZooError as error:
        raise DdspZooError(f"{name}: {error}") from error
    survey_files.save(survey.survey(), example.example(), folder)


def _grid(model: Any) -> tuple[Any, ...]:
    """All of a model that baselines depend on."""
    return tuple(
        getattr(model, name)
        for name in ("sample_rate", "hop_samples", "segment_samples", "mask_fft", "needs_pitch")
    )
