"""Evaluations and training runs as one page of Markdown, with its figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.owned import claim
from ddsp_zoo.measuring.metrics import SI_SDR, Metric
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.summary import summarise
from ddsp_zoo.reports import curves, tables
from ddsp_zoo.reports.comparison import (
    Measured,
    comparable,
    distinct_names,
    join,
    read,
    shared_metrics,
)
from ddsp_zoo.reports.figures import HUES, axis_label, box_plot

PAGE, CURVES = "report.md", "learning_curves"
SPREAD_OF = SI_SDR.name  # the metric whose median and standard deviation are given too


def report(folders: Sequence[str | Path], out_dir: str | Path, runs: Sequence[str | Path] = ()) -> list[Path]:
    """Writes ``report.md`` and the figures in it: a box plot a metric, and learning curves. Returns what was written.

    Models on the same data stand side by side, the baselines once. Other data, another split or other sources make
    a section of their own, whose figures end in ``_2``, ``_3`` and so on.

    Args:
        folders: what `ddsp_zoo.reports.evaluation.run` has written, one folder a model.
        out_dir: folder, made where missing; files of the same names are replaced.
        runs: folders of training runs, see `curves.read_run`.

    Raises:
        DdspZooError: nothing is given, or what is given cannot be read, compared or written.
    """
    if not folders and not runs:
        raise DdspZooError(
            "There is nothing to report: name folders that `ddsp-zoo evaluate` wrote, or --runs."
        )
    groups = comparable(read(folders))
    losses = dict(zip(distinct_names(runs), map(curves.read_run, runs)))
    out_dir = writable(out_dir)
    page, written = ["# Report"], [out_dir / PAGE]
    for number, group in enumerate(groups):
        paragraphs, figures = section(group, out_dir, f"_{number + 1}" if number else "")
        page, written = page + paragraphs, written + figures
    paragraphs, figures = learning(losses, out_dir)
    write_page(page + paragraphs, out_dir / PAGE)
    return written + figures


def writable(folder: str | Path) -> Path:
    """Returns a folder for a page, made where missing; `DdspZooError` where it cannot be one, or has another page."""
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DdspZooError(
            f"{folder} cannot be a folder ({error.strerror}): choose another --out."
        ) from error
    claim(folder, [PAGE])
    return folder


def write_page(paragraphs: Sequence[str], path: Path) -> None:
    """Writes a page of Markdown."""
    tables.write_bytes(("\n\n".join(paragraphs) + "\n").encode(), path)


def section(
    group: Sequence[Measured], out_dir: Path, ending: str = "", metrics: Sequence[Metric] = ()
) -> tuple[list[str], list[Path]]:
    """Returns paragraphs and figures of models on the same data: all metrics that they share, or those given."""
    protocol = group[0].protocol
    rows, colours = join(group)
    summary = summarise(rows)
    page, figures = _heading(group, summary), []
    for metric in metrics or shared_metrics(group):
        figures.append(out_dir / f"{metric.name}{ending}.png")
        box_plot(rows, metric, figures[-1], _title(protocol), protocol["sources"], colours)
        page += [f"### {axis_label(metric)}", f"![{metric.title}]({figures[-1].name})"]
        page.append(_table(summary, metric.name, protocol, tables.mean_and_interval))
        if metric.name == SPREAD_OF:
            page += ["Median, and in brackets the standard deviation over windows:"]
            page.append(_table(summary, metric.name, protocol, tables.median_and_deviation))
    return [*page, "### Systems", systems_of(group)], figures


def _title(protocol: Mapping[str, Any]) -> str:
    return f"{protocol['data']}, {protocol['split']}"


def _heading(group: Sequence[Measured], summary: Sequence[Row]) -> list[str]:
    """What was measured."""
    protocol, tracks = group[0].protocol, max(row["tracks"] for row in summary)
    spread = ", in brackets their 95 % interval over tracks" if tracks > 1 else ""
    counted = f"{tracks} tracks" if tracks > 1 else "one track"
    models = "\n".join(
        f"- {one.name}: `{one.folder}`, noise seeds: {len(one.protocol['seeds'])}" for one in group
    )
    return [
        f"## {_title(protocol)}: {', '.join(protocol['sources'])}",
        f"Means over {protocol['frame_seconds']:g}-s windows of {counted} at {protocol['sample_rate']} Hz{spread}; "
        "windows in which a source is silent are left out.",
        models,
    ]


def _table(summary: Sequence[Row], metric: str, protocol: Mapping[str, Any], show: Any) -> str:
    return tables.render_markdown(tables.by_source(summary, metric, protocol["sources"], show))


def systems_of(group: Sequence[Measured]) -> str:
    """Returns a list of what the names of systems mean."""
    texts = {name: text for one in group for name, text in one.protocol["systems"].items()}
    return "\n".join(f"- {name}: {text}" for name, text in texts.items())


def learning(losses: Mapping[str, Sequence[curves.Step]], out_dir: Path) -> tuple[list[str], list[Path]]:
    """Returns paragraphs and figures about training runs, as many in a figure as there are colours."""
    cells, names, figures = [["run", "steps", "least validation loss", "at step"]], list(losses), []
    for first in range(0, len(names), len(HUES)):
        figures.append(out_dir / f"{CURVES}{f'_{len(figures) + 1}' if figures else ''}.png")
        curves.learning_curves({name: losses[name] for name in names[first : first + len(HUES)]}, figures[-1])
    for name, rows in losses.items():
        least = curves.best(rows)
        found = [f"{least[1]:.3f}", f"{least[0] + 1}"] if least else ["-", "-"]
        cells.append([name, f"{int(rows[-1]['step']) + 1}", *found])
    pictures = [f"![Learning curves]({path.name})" for path in figures]
    return (["## Learning curves", *pictures, tables.render_markdown(cells)] if names else []), figures
