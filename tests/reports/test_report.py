"""Models and training runs side by side: what stands where, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluations import SHARED, save_evaluation

from ddsp_zoo.cli import main
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.summary import summarise
from ddsp_zoo.reports import comparison, curves, figures
from ddsp_zoo.reports.report import report

NAMES = ("si_sdr_db", "multi_scale_spectral")
Capture = pytest.CaptureFixture[str]


def table(page: str, heading: str) -> dict[str, list[str]]:
    """The lines of the first table after a heading, by the system."""
    lines = page.partition(f"\n{heading}")[2].partition("\n|")[2].partition("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name: values for name, *values in cells}


def picture(path: Path) -> set[tuple[int, ...]]:
    """The colours of a PNG."""
    from matplotlib.image import imread

    return set(map(tuple, (imread(path)[..., :3] * 255).round().astype(int).reshape(-1, 3).tolist()))


def rgb(code: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(code[1:]))


def refusal(capsys: Capture, *arguments: object) -> str:
    capsys.readouterr()
    assert main(["report", *map(str, arguments)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("ddsp-zoo: ")


# Models


def test_models_stand_side_by_side_in_their_colours_and_baselines_once(tmp_path: Path) -> None:
    folders = [save_evaluation(tmp_path / x, x, level) for x, level in (("good", 9.0), ("bad", 7.0))]
    written = report(folders, tmp_path / "out")
    assert written == [tmp_path / "out" / name for name in ("report.md", *(f"{name}.png" for name in NAMES))]
    page = written[0].read_text(encoding="utf-8")
    found = table(page, "### SI-SDR (dB), higher is better")
    assert list(found) == [
        "system",
        "---",
        "mixture",
        "comb_mask",
        "good: synthesised",
        "good: masked",
        "good: masked_power",
        "bad: synthesised",
        "bad: masked",
        "bad: masked_power",
        "irm",
    ]
    assert found["system"] == ["all", "high", "low"]
    assert [cell.split(" [")[0] for cell in found["good: masked"]] == ["10.00", "9.00", "11.00"]
    assert [cell.split(" [")[0] for cell in found["irm"]] == ["13.00", "12.00", "14.00"]
    assert all(cell.endswith("]") for cell in found["irm"])
    spread = table(page, "Median, ")["bad: masked"][1]
    assert spread.startswith(f"{7 + median_offset():.2f} (") and spread.endswith(")")
    assert "![SI-SDR (dB)](si_sdr_db.png)" in page and "windows of 2 tracks" in page
    drawn = picture(tmp_path / "out" / "si_sdr_db.png")
    outputs = [rgb(shade) for hue in figures.HUES for shade in figures.tints(hue)]
    assert set(outputs[1:3] + outputs[4:6]) <= drawn and not drawn & set(outputs[6:])


def median_offset() -> float:
    offset = np.random.default_rng(0).normal(0, 1, (2, 4))
    return float(np.median(offset - offset.mean()))


def test_tints_end_in_the_colour_itself() -> None:
    assert figures.tints("#0072b2")[2] == "#0072b2"
    assert figures.tints("#000000") == ["#bfbfbf", "#666666", "#000000"]


def test_a_baseline_that_differs_comes_again(tmp_path: Path) -> None:
    first = save_evaluation(tmp_path / "given", "umss", 9.0)
    second = save_evaluation(tmp_path / "estimated", "umss", 7.0, SHARED | {"comb_mask": 4.0, "noise": -40.0})
    third = save_evaluation(tmp_path / "again", "umss", 7.0, SHARED | {"comb_mask": 4.0, "noise": -45.0})
    rows, colours = comparison.join(comparison.read([first, second, third]))
    baselines = [name for name in colours if ":" not in name]
    assert baselines == ["noise", "mixture", "comb_mask", "comb_mask (estimated)", "irm"]
    means = {
        row["system"]: row["mean"]
        for row in summarise(rows)
        if row["source"] == "high" and row["metric"] == "si_sdr_db"
    }
    assert means["comb_mask"] == pytest.approx(6) and means["comb_mask (estimated)"] == pytest.approx(4)


def test_models_are_named_as_shortly_as_they_differ() -> None:
    assert comparison.distinct_names(["a/x", "b/y"], ["umss", "unet"]) == ["umss", "unet"]
    assert comparison.distinct_names(["a/x", "b/y"], ["umss", "umss"]) == ["x", "y"]
    assert comparison.distinct_names(["a/x", "b/x"], ["umss", "umss"]) == ["a/x", "b/x"]
    with pytest.raises(DdspZooError, match="twice"):
        comparison.distinct_names(["a/x", "a/./x"], ["umss", "unet"])


def test_other_sources_make_another_section(tmp_path: Path, undrawn: None) -> None:
    choir = save_evaluation(tmp_path / "four", "four", 9.0, sources=("a", "b", "c"))
    duet = save_evaluation(tmp_path / "two", "two", 12.0)
    written = report([choir, duet], tmp_path / "out")
    assert [path.name for path in written] == [
        "report.md",
        *(f"{name}.png" for name in NAMES),
        *(f"{name}_2.png" for name in NAMES),
    ]
    page = written[0].read_text(encoding="utf-8")
    first, second = page.split("## Songs, test: high, low\n")
    assert "four: masked" in first and "two: masked" not in first and "(si_sdr_db_2.png)" in second
    assert table(second, "### SI-SDR (dB)")["two: masked"][0].startswith("13.00")


@pytest.mark.parametrize(
    "change", [{"frames": 3}, {"seconds": 0.5}, {"seed": 1}, {"baselines": SHARED | {"mixture": -4.0}}]
)
def test_other_windows_of_the_same_data_are_refused(
    change: dict[str, Any], tmp_path: Path, capsys: Capture
) -> None:
    save_evaluation(tmp_path / "one", "one", 9.0)
    save_evaluation(tmp_path / "two", "two", 9.0, **change)
    line = refusal(capsys, tmp_path / "one", tmp_path / "two", "--out", tmp_path / "out")
    assert "different windows of Songs" in line and str(tmp_path / "two") in line
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_no_evaluation(tmp_path: Path, capsys: Capture) -> None:
    whole = save_evaluation(tmp_path / "whole", "whole", 9.0)
    out = tmp_path / "out"
    assert "missing holds no evaluation (summary.json" in refusal(capsys, tmp_path / "missing", "--out", out)
    assert "twice" in refusal(capsys, whole, f"{whole}/", "--out", out)
    assert "nothing to report" in refusal(capsys, "--out", out)
    header = (whole / "rows.csv").read_text().splitlines()[0]
    for damage in ("", header, f"{header}\nt0,high,zero,mixture,1,2", "a,b\n1,2", f"{header}\nt0"):
        (whole / "rows.csv").write_text(damage)
        assert "whole is damaged" in refusal(capsys, whole, "--out", out)
    (whole / "summary.json").write_text(json.dumps({"protocol": {"model": "whole"}}))
    assert "whole is damaged" in refusal(capsys, whole, "--out", out)
    assert not out.exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, capsys: Capture) -> None:
    folder = save_evaluation(tmp_path / "whole", "whole", 9.0)
    (tmp_path / "file").write_text("mine")
    assert "another --out" in refusal(capsys, folder, "--out", tmp_path / "file" / "out")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_page_of_ones_own_is_never_replaced(tmp_path: Path, capsys: Capture) -> None:
    folder = save_evaluation(tmp_path / "whole", "whole", 9.0)
    (tmp_path / "report.md").write_text("mine")
    assert "report.md would be replaced" in refusal(capsys, folder, "--out", tmp_path)
    assert (tmp_path / "report.md").read_text() == "mine"
    for _ in range(2):
        report([folder], tmp_path / "out")


# Training runs


def save_piece(run: Path, version: int, steps: range, value: float, steps_an_epoch: int = 20) -> None:
    """What one start of a run logs: training losses at each of ``steps``, validation at the ends of epochs."""
    lines = ["epoch,lr-Adam,step,train/loss,train/spectral,validation/loss,validation/spectral"]
    for step in steps:
        epoch = step // steps_an_epoch
        lines += [f",0.001,{step},,,,", f"{epoch},,{step},{value},{value},,"]
        if (step + 1) % steps_an_epoch == 0:
            lines.append(f"{epoch},,{step},,,{value + epoch},{value + epoch}")
    (run / f"version_{version}").mkdir(parents=True)
    (run / f"version_{version}" / "metrics.csv").write_text("\n".join(lines) + "\n")


def test_pieces_of_a_run_are_joined_in_the_order_of_steps(tmp_path: Path) -> None:
    run = tmp_path / "run"
    save_piece(run, 2, range(9, 60, 10), 5.0)
    save_piece(run, 9, range(49, 80, 10), 3.0)  # resumed from step 40: 49 and 59 come again
    save_piece(run, 10, range(89, 100, 10), 2.0)
    (run / "version_11").mkdir()
    steps, values = curves.series(curves.read_run(run), "train/loss")
    assert steps.tolist() == list(range(9, 100, 10))
    assert values.tolist() == [5.0] * 4 + [3.0] * 4 + [2.0] * 2
    steps, values = curves.series(curves.read_run(run), "validation/loss")
    assert steps.tolist() == [19, 39, 59, 79, 99] and values.tolist() == [5.0, 6.0, 5.0, 6.0, 6.0]


def test_a_run_begun_anew_replaces_the_old_one(tmp_path: Path) -> None:
    save_piece(tmp_path, 0, range(9, 60, 10), 5.0)
    save_piece(tmp_path, 1, range(9, 30, 10), 4.0)
    rows = curves.read_run(tmp_path)
    assert curves.series(rows, "train/loss")[1].tolist() == [4.0] * 3
    assert curves.read_run(tmp_path / "version_1") == rows


def test_epochs_are_averaged_and_what_is_not_finite_left_out() -> None:
    rows = [{"step": step, "epoch": step // 2, "train/loss": float(step)} for step in range(5)]
    rows[4]["train/loss"] = float("nan")
    steps, means = curves.epoch_means(rows, "train/loss")
    assert steps.tolist() == [1, 3] and means.tolist() == [0.5, 2.5]


def test_the_least_validation_loss_is_found() -> None:
    rows = [
        {"step": float(step), "validation/loss": value} for step, value in ((9, 3.0), (19, 1.5), (29, 2.0))
    ]
    assert curves.best(rows) == (19, 1.5) and curves.best([{"step": 9.0, "train/loss": 1.0}]) is None


def test_a_single_term_is_the_loss() -> None:
    one = [{"step": 1.0, "train/loss": 1.0, "train/spectral": 1.0, "lr-Adam": 0.1}]
    two = [{"step": 1.0, "validation/masked": 1.0}]
    assert curves.terms([one]) == ["loss"] and curves.terms([one, two]) == ["loss", "masked", "spectral"]


def test_runs_alone_make_a_report(tmp_path: Path, capsys: Capture) -> None:
    save_piece(tmp_path / "a", 0, range(9, 60, 10), 50.0)
    save_piece(tmp_path / "b", 0, range(9, 40, 10), 3.0)
    arguments = ["report", "--runs", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "report.md, learning_curves.png" in capsys.readouterr().out
    drawn = picture(tmp_path / "out" / "learning_curves.png")
    assert (
        rgb(figures.HUES[0]) in drawn and rgb(figures.HUES[1]) in drawn and rgb(figures.HUES[2]) not in drawn
    )
    found = table((tmp_path / "out" / "report.md").read_text(), "## Learning curves")
    assert found["a"] == ["60", "50.000", "20"] and found["b"] == ["40", "3.000", "20"]


def test_runs_that_cannot_be_read(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    assert "missing is no training run" in refusal(capsys, "--runs", tmp_path / "missing", "--out", out)
    save_piece(tmp_path / "new", 0, range(0), 0.0)
    assert "no loss yet" in refusal(capsys, "--runs", tmp_path / "new", "--out", out)
    (tmp_path / "new/version_0/metrics.csv").write_text("step,train/loss\n1,many\n")
    assert "is damaged" in refusal(capsys, "--runs", tmp_path / "new", "--out", out)
    assert not out.exists()


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_curves_have_a_panel_a_term_and_no_empty_ones(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = []
    monkeypatch.setattr(curves, "save", lambda figure, path: figures.append(figure))
    terms = ["loss", *"abcd"][:count]
    rows = [{"step": step, "epoch": 0} | {f"train/{term}": 1.0 + step for term in terms} for step in range(3)]
    curves.learning_curves({"run": rows}, tmp_path / "curves.png")
    assert sum(axes.axison for axes in figures[0].axes) == count
