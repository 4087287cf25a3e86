"""Figures of the thesis that need no evaluation: what is drawn, and the table of losses."""

import csv
import math
from pathlib import Path

import pytest
import torch

from ddsp_zoo.cli import main
from ddsp_zoo.reports import thesis
from ddsp_zoo.reports.thesis_figures import (
    CUTOFF,
    damping_response,
    high_pass_response,
    low_pass_response,
)


def save_curve(path: Path, cutoffs: tuple[float, ...] = ()) -> Path:
    """Two epochs of two training steps and a validation each."""
    rows = [{"epoch": step // 2, "step": step, "train/loss": 10.0 - step} for step in range(4)]
    for epoch in (1, 0):
        row = {"epoch": epoch, "step": 2 * epoch + 1, "validation/loss": 20.0 - epoch}
        rows.insert(2 * epoch + 2, row | ({CUTOFF: cutoffs[epoch]} if cutoffs else {}))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "step", "train/loss", "validation/loss", CUTOFF])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_filters_have_the_gain_of_their_equations() -> None:
    z = torch.exp(1j * torch.linspace(0, torch.pi, 16385, dtype=torch.float64))
    for cutoff_hz in (20.0, 1000.0, 7000.0):
        angle = 2 * math.pi * cutoff_hz / 16000
        low, high = angle / (angle + 1), 1 / (angle + 1)
        expected = (low / (1 - (1 - low) / z)).abs()  # eq. 5.2
        assert torch.allclose(low_pass_response(cutoff_hz), expected, atol=1e-6)
        expected = ((high - high / z) / (1 - high / z)).abs()  # eq. 5.5
        assert torch.allclose(high_pass_response(cutoff_hz), expected, atol=1e-3)
    for b in (0.1, 0.5, 0.9):
        assert torch.allclose(damping_response(b), ((1 - b) + b / z).abs(), atol=2e-4)  # eq. 5.11


def test_losses_of_epochs_stand_beside_the_published_ones(tmp_path: Path) -> None:
    rows = thesis.curves.read_curve(save_curve(tmp_path / "mine.csv"))
    assert thesis.epoch_losses(rows) == [(9.5, 20.0), (7.5, 19.0)]
    table = thesis.loss_table({("exB1", "plain"): rows, ("mine", "a run"): rows[:4]})
    assert table[1] == ["exB1", "the thesis", "2", "16.1", "16.3", "15.1", "15.2", "15.2"]
    assert table[2] == ["exB1", "plain", "2", "9.5", "20.0", "7.5", "19.0", "19.0"]
    assert table[-1] == ["mine", "a run", "1", "9.5", "20.0", "-", "-", "20.0"]


def test_every_strings_losses_are_read_from_its_checkpoint() -> None:
    names = {name for name, form in thesis.released_losses() if form == "plain"}
    assert names == set(thesis.PUBLISHED_LOSSES)


def test_one_command_draws_and_writes_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = {}
    monkeypatch.setattr(thesis, "draw_cutoffs", lambda runs, path: drawn.update(runs))
    monkeypatch.setattr(thesis, "draw_responses", lambda path: drawn.update(filters=path))
    run = save_curve(tmp_path / "prelim_6/version_0/metrics.csv", (5000.0, 6100.0)).parents[1]
    other = save_curve(tmp_path / "other.csv")
    assert main(["report", "thesis", "--out", str(tmp_path / "out"), "--runs", str(run), str(other)]) == 0
    page = (tmp_path / "out/report.md").read_text()
    assert "| prelim_6 | 4 | 6100 | 6100 to 6100 |" in page and "| other | a run | 2 | 9.5 |" in page
    assert set(drawn) == {"prelim_6", "filters"}
    assert "report.md, filter_responses.png, cutoff_frequencies.png" in capsys.readouterr().out
    assert main(["report", "thesis", "--runs", str(tmp_path / "none")]) == 2


@pytest.mark.slow
def test_pictures_are_drawn(tmp_path: Path) -> None:
    run = save_curve(tmp_path / "prelim_6.csv", (5000.0, 6100.0))
    for path in thesis.report(tmp_path / "out", [run]):
        assert path.stat().st_size > 1000
