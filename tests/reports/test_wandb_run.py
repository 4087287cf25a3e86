"""What is measured and reported arrives in W&B, as its own reader tells it."""

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import wandb
from evaluations import save_evaluation
from matplotlib.image import imsave
from tiny import RATE, music, save_tiny_ast
from wandb_runs import history, inspected, summary

from ddsp_zoo.cli import main
from ddsp_zoo.reports.tables import write_csv
from ddsp_zoo.reports.wandb_run import send, tables_of

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    for module in ("evaluation", "report"):
        monkeypatch.setattr(f"ddsp_zoo.reports.{module}.box_plot", draw_little)
    yield
    wandb.teardown()


def draw_little(rows: object, metric: object, path: Path, *_: object, **__: object) -> None:
    path.parent.mkdir(exist_ok=True)
    imsave(path, np.zeros((2, 2)))


def test_numbers_tables_pictures_and_weights_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "measured"
    write_csv([{"system": "masked", "mean": 1.5}, {"system": "irm", "mean": 3.25}], folder / "summary.csv")
    draw_little([], None, folder / "a" / "box.png")
    (folder / "weights.ckpt").write_bytes(b"numbers")
    results = [{"metric": "si_sdr_db", "system": "masked", "source": "bass", "mean": 1.5}]
    files, about = ("summary.csv", "a/box.png", "other.npz"), {"model": "mine"}
    send(folder, files, "my model", "bands", about, results, folder / "weights.ckpt")
    found, run = history(tmp_path), summary(tmp_path)
    assert found["si_sdr_db/masked/bass"] == 1.5
    assert run["config"]["model"] == "mine" and set(run["config"]["about"]) >= {"ddsp_zoo", "torch"}
    (table,) = (folder / "wandb").rglob("media/table/tables/summary_*.json")
    assert json.loads(table.read_text())["data"] == [["masked", 1.5], ["irm", 3.25]]
    assert len(list((folder / "wandb").rglob("media/images/figures/a/box_*.png"))) == 1
    assert "weights.ckpt" in inspected(tmp_path) and "my_model" in inspected(tmp_path)


@pytest.mark.slow
def test_an_evaluation_is_a_run_with_numbers_tables_figures_and_weights(tmp_path: Path) -> None:
    checkpoint = save_tiny_ast(tmp_path / "tiny")
    for folder in ("test/a", "validation/b", "train/c"):
        (tmp_path / "stems" / folder).mkdir(parents=True)
        for seed, name in enumerate(("bass", "drums")):
            sf.write(tmp_path / "stems" / folder / f"{name}.wav", 0.3 * music(9000, seed=seed)[0], RATE)
    command = ["evaluate", "--checkpoint", str(checkpoint), "--data", "StemFolder", "--root", "stems"]
    assert main([*command, "--seeds", "1", "--no-baselines", "--wandb", "bands", "--artifact"]) == 0
    results = json.loads(Path("evaluation/summary.json").read_text())["results"]
    found, run = history(tmp_path), summary(tmp_path)
    assert len(results) == sum(key.count("/") == 2 and "." not in key for key in found)
    for row in results:
        logged = found[f"{row['metric']}/{row['system']}/{row['source']}"]
        assert logged == pytest.approx(row["mean"], abs=1e-6) if row["count"] else logged in ("NaN", None)
    (table,) = (tmp_path / "evaluation/wandb").rglob("media/table/tables/summary_*.json")
    written = json.loads(table.read_text())
    means = [line[written["columns"].index("mean")] for line in written["data"]]
    assert np.allclose(means, [row["mean"] for row in results])
    assert len(list((tmp_path / "evaluation/wandb").rglob("media/images/figures/si_sdr_db_*.png"))) == 1
    assert run["config"]["sources"] == ["bass", "rest"] and run["config"]["data"] == "StemFolder"
    assert run["config"]["wandb"] == "bands" and set(run["config"]["about"]) >= {"ddsp_zoo", "torch"}
    assert "model.safetensors" in inspected(tmp_path)


def test_a_report_is_a_run_with_the_tables_of_its_page(tmp_path: Path) -> None:
    folder = save_evaluation(tmp_path / "good", "good", 9.0)
    assert main(["report", str(folder), "--out", "out", "--wandb"]) == 0
    (path,) = (tmp_path / "out/wandb").rglob("media/table/tables/report/SI-SDR*higher is better_2_*.json")
    table = json.loads(path.read_text())
    assert table["columns"] == ["system", "all", "high", "low"]
    assert [line[0] for line in table["data"]][-1] == "irm"


def test_tables_of_a_page_are_told_apart_by_headings() -> None:
    page = "# A\n\n| x | y |\n|---|---|\n| a | 1 |\n\nor\n\n| z |\n|---|\n| 2 |\n\n## B/C_d\n\n| v |\n|---|\n| 3 |\n"
    assert tables_of(page) == {
        "/A": [["x", "y"], ["a", "1"]],
        "/A_2": [["z"], ["2"]],
        "/B C d": [["v"], ["3"]],
    }


def test_without_wandb_a_sentence_says_so_before_anything_is_measured(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "wandb" else real(name, *rest)
    )
    for command in (["evaluate", "--model", "exB4", "--data", "RenderedStrings"], ["report", "good"]):
        assert main([*command, "--wandb"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "pip install wandb" in line and "leave --wandb out" in line
    assert list(tmp_path.iterdir()) == []
