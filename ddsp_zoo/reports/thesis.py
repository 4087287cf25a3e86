"""Protocol "thesis": what Planton's thesis (2023) shows beside its evaluations, from filters and training runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ddsp_zoo import zoo
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.reports import comparison, curves
from ddsp_zoo.reports import report as pages
from ddsp_zoo.reports.curves import LOSS, Step
from ddsp_zoo.reports.tables import Table, render_markdown
from ddsp_zoo.reports.thesis_figures import CUTOFF, draw_cutoffs, draw_responses

RESPONSES, CUTOFFS = "filter_responses.png", "cutoff_frequencies.png"
# Training and validation of the epochs, as Table 6.1 and section 6.5 have them.
PUBLISHED_LOSSES = {
    "exB1": ((16.1, 16.3), (15.1, 15.2)),
    "exB2": ((38.2, 37.4), (36.6, 37.0)),
    "exB2_1": ((30.4, 31.7), (30.6, 31.1)),
    "exB3": ((16.3, 15.6), (14.7, 15.7)),
    "exB4": ((15.7, 15.5), (14.5, 15.1)),
    "exC1": ((16.1, 15.4), (15.0, 15.9)),
    "exC2": ((82.0, 84.3), (82.0, 84.3)),
}
HEADER = ["model", "of", "epochs", "training 1", "validation 1", "training 2", "validation 2", "at the end"]


def report(out_dir: str | Path, runs: Sequence[str | Path] = ()) -> list[Path]:
    """Writes ``report.md`` with Table 6.1 and figures 5.2, 5.6, 5.14 and 6.3 to 6.10. Returns what was written.

    Args:
        out_dir: folder, made where missing; files of the same names are replaced.
        runs: training runs, folders as in runs/NAME or CSV files of their numbers. Those that log f_c are drawn, of
            the others the losses of the first epochs are told, as they are of the released strings' ``curve.csv``.

    Raises:
        DdspZooError: a run cannot be read, or the folder not be written to.
    """
    read = dict(zip(comparison.distinct_names(runs), map(_read, runs)))
    read = {name.removesuffix(".csv"): rows for name, rows in read.items()}
    cutoffs = {name: rows for name, rows in read.items() if len(curves.series(rows, CUTOFF)[0])}
    losses = released_losses() | {(name, "a run"): rows for name, rows in read.items() if name not in cutoffs}
    out_dir = pages.writable(out_dir)
    page, written = ["# The thesis's figures and tables"], [out_dir / pages.PAGE, out_dir / RESPONSES]
    draw_responses(out_dir / RESPONSES)
    page += ["## Filters (figures 5.2, 5.6, 5.14)", f"![Filters]({RESPONSES})"]
    if cutoffs:
        written.append(out_dir / CUTOFFS)
        draw_cutoffs(cutoffs, written[-1])
        page += ["## f_c while it is learned (figures 6.3 to 6.10)", f"![f_c]({CUTOFFS})"]
        page.append(render_markdown(_cutoff_table(cutoffs)))
    page += ["## Mean losses of epochs (Table 6.1, section 6.5)", render_markdown(loss_table(losses))]
    pages.write_page(page, out_dir / pages.PAGE)
    return written


def _read(path: str | Path) -> list[Step]:
    return curves.read_curve(path) if Path(path).is_file() else curves.read_run(path)


def released_losses() -> dict[tuple[str, str], list[Step]]:
    """Returns the losses of released strings by name and form, those of the thesis's series B and C."""
    found = {}
    for name in PUBLISHED_LOSSES:
        try:
            plain = zoo.find(name)
        except DdspZooError:  # nothing is released here
            continue
        forms = {"as published": plain.parent / f"as_published/{name}", "plain": plain}
        for form, folder in forms.items():
            if (folder / "curve.csv").is_file():
                found[name, form] = curves.read_curve(folder / "curve.csv")
    return found


def epoch_losses(rows: Sequence[Step]) -> list[tuple[float, float]]:
    """Returns training and validation loss of each epoch: the mean of what was logged up to each validation."""
    epochs: list[tuple[float, float]] = []
    since: list[float] = []
    for row in rows:
        since += [row[f"train/{LOSS}"]] if f"train/{LOSS}" in row else []
        if f"validation/{LOSS}" in row:
            epochs.append((float(np.mean(since)) if since else float("nan"), row[f"validation/{LOSS}"]))
            since = []
    return epochs


def loss_table(losses: Mapping[tuple[str, str], Sequence[Step]]) -> Table:
    """Returns the table of the first two epochs and the last, the thesis's own numbers first."""
    found = {(name, "the thesis"): list(epochs) for name, epochs in PUBLISHED_LOSSES.items()}
    found |= {key: epoch_losses(rows) for key, rows in losses.items()}
    order = list(dict.fromkeys(name for name, _ in found))
    lines = [
        [name, form, str(len(epochs)), *_numbers(epochs)]
        for (name, form), epochs in sorted(found.items(), key=lambda item: order.index(item[0][0]))
    ]
    return [HEADER, *lines]


def _numbers(epochs: Sequence[tuple[float, float]]) -> list[str]:
    cells = [f"{value:.1f}" for epoch in epochs[:2] for value in epoch]
    last = [f"{epochs[-1][1]:.1f}"] if epochs else []
    return [*cells, *["-"] * (4 - len(cells)), *(last or ["-"])]


def _cutoff_table(runs: Mapping[str, Sequence[Step]]) -> Table:
    lines = []
    for name, rows in runs.items():
        steps, hz = curves.series(rows, CUTOFF)
        half = hz[len(hz) // 2 :]
        lines.append(
            [name, f"{int(steps[-1]) + 1}", f"{half.mean():.0f}", f"{half.min():.0f} to {half.max():.0f}"]
        )
    return [["run", "steps", "f_c, mean over the second half of validations, Hz", "range"], *lines]
