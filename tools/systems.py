"""Write docs/systems.md, all systems, baselines, metrics and figures of the two documents: `python tools/systems.py`.

What there is stands in docs/systems.yaml. Numbers are read from checkpoints/*/metrics.json and curve.csv and from
docs/results; where there is none yet, the page says so. With --check nothing is written, and a page that is not up to
date ends in an error.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ddsp_zoo.reports import curves
from ddsp_zoo.reports.tables import Table, render_markdown
from ddsp_zoo.reports.thesis import epoch_losses
from ddsp_zoo.reports.thesis_figures import CUTOFF

ROOT = Path(__file__).resolve().parent.parent
PAGE, DATA = ROOT / "docs/systems.md", ROOT / "docs/systems.yaml"
INTRO = """# Every system, and where it stands

Made by `python tools/systems.py` from `docs/systems.yaml` and from what lies in `checkpoints/`. P is Gabrielli's
paper, T Planton's thesis. "Ours" is a mean, in brackets its 95 % interval over tracks, and the corpus it was measured
on; the last column begins with ours less the published number, where both are numbers. Commands train, or draw; those
by which the numbers were measured are in [reproducing the numbers](reproduce.md), and each `metrics.json` has the
protocol."""
HEADER = ["what", "where", "recipe", "checkpoint", "command", "ours", "published", "difference, and why"]
UNTRAINED, UNMEASURED = "not trained", "none: see its card"


def page() -> str:
    """Returns the page as it should be."""
    sections = yaml.safe_load(DATA.read_text(encoding="utf-8"))["sections"]
    parts = [INTRO]
    for section in sections:
        lines = [_line(row) for given in section["rows"] for row in _expanded(given)]
        parts += [f"## {section['title']}", section["text"], render_markdown(_filled([HEADER, *lines]))]
    return "\n\n".join(parts) + "\n"


def _expanded(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows that one with `each` stands for."""
    for name, published in row.get("each", {None: None}).items():
        yield {key: _put(value, name, published) for key, value in row.items() if key != "each"}


def _put(value: Any, name: Any, published: Any) -> Any:
    if isinstance(value, dict):
        return {key: _put(inner, name, published) for key, inner in value.items()}
    if not isinstance(value, str) or name is None:
        return value
    return value.replace("{x}", str(name)).replace("{published}", str(published) or "-")


def _line(row: dict[str, Any]) -> list[str]:
    mean, ours = _ours(row) if "ours" in row else (None, "-")
    published = str(row.get("published", "-"))
    difference = f"{mean - float(published):+.1f}; " if mean is not None and _is_number(published) else ""
    command = row.get("command", "-")
    return [
        row["what"],
        row.get("place", "-"),
        _link(f"recipes/{row['recipe']}.yaml", row["recipe"]) if "recipe" in row else "-",
        _link(f"checkpoints/{row['checkpoint']}/card.md", row["checkpoint"]) if "checkpoint" in row else "-",
        command if command.startswith("`") else f"`{command}`",
        ours,
        published,
        difference + row["why"],
    ]


def _ours(row: dict[str, Any]) -> tuple[float | None, str]:
    """Our number, and how it is written; the number alone is None where there is nothing to compare."""
    where = row["ours"]
    if "cutoff" in where:
        return None, _cutoff(ROOT / where["cutoff"])
    folder = ROOT / "checkpoints" / row["checkpoint"]
    if not folder.is_dir():
        return None, UNTRAINED
    if "loss" in where:
        return None, _losses(folder / "curve.csv", where["loss"])
    if not (folder / "metrics.json").is_file():
        return None, UNMEASURED
    content = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    content = content["tracked"] if where.get("pitch") == "mixture" else content
    return _result(content, where)


def _result(content: dict[str, Any], where: dict[str, str]) -> tuple[float, str]:
    """A mean of an evaluation."""
    wanted = {"source": "all", "metric": "si_sdr_db"} | {k: v for k, v in where.items() if k != "pitch"}
    found = [row for row in content["results"] if wanted.items() <= row.items()]
    if not found:  # a model of one source has no "all"
        found = [
            row for row in content["results"] if (wanted | {"source": row["source"]}).items() <= row.items()
        ]
    (row, *_) = found
    low, high = row["low"], row["high"]
    spread = f" [{low:.1f}, {high:.1f}]" if low is not None and low == low else ""
    return row["mean"], f"{row['mean']:.1f} dB{spread}, {content['protocol']['data']}"


def _losses(curve: Path, epoch: int | str) -> str:
    if not curve.is_file():
        return UNMEASURED
    rows = curves.read_curve(curve)
    if epoch == "least":
        least = curves.best(rows)
        return f"{least[1]:.2f} at step {least[0] + 1}" if least else UNMEASURED
    epochs = epoch_losses(rows)
    return (
        " / ".join(f"{loss:.1f}" for loss in epochs[epoch - 1]) if len(epochs) >= epoch else "one epoch only"
    )


def _cutoff(curve: Path) -> str:
    if not curve.is_file():
        return "not run"
    _, hz = curves.series(curves.read_curve(curve), CUTOFF)
    half = hz[len(hz) // 2 :]
    return f"{half.mean():.0f} Hz ({half.min():.0f} to {half.max():.0f})"


def _link(path: str, name: str) -> str:
    return f"[{name}](../{path})" if (ROOT / path).exists() else "-"


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


def _filled(table: Table) -> Table:
    """Lines whose cells cannot end a column."""
    return [[(cell or "-").replace("|", "\\|") for cell in line] for line in table]


def main(argv: list[str] | None = None) -> None:
    """Writes or checks the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    options = parser.parse_args(argv)
    if not options.check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        sys.exit("docs/systems.md is not up to date: run python tools/systems.py.")


if __name__ == "__main__":
    main()
