"""Every recipe is run, not believed: two steps each on data that is rendered on the spot."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from ddsp_zoo.data import make
from ddsp_zoo.training import run_trainer

FOLDER = Path(__file__).resolve().parents[1] / "recipes"
MODELS = sorted(FOLDER.glob("*.yaml"))
DATA = sorted(FOLDER.glob("data/*.yaml"))
EVERY = sorted(FOLDER.rglob("*.yaml"))


def name_of(path: Path) -> str:
    return str(path.relative_to(FOLDER))


@pytest.mark.parametrize("recipe", MODELS, ids=name_of)
def test_recipe_trains_two_steps(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    run_trainer([
        "fit", "--config", str(recipe), "--config", str(FOLDER / "smoke" / recipe.name), "--runs", str(tmp_path),
        "--trainer.accelerator", "cpu",
    ])  # fmt: skip
    checkpoints = tmp_path / yaml.safe_load(recipe.read_text())["name"] / "checkpoints"
    last = torch.load(checkpoints / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2 and (checkpoints / "best.ckpt").exists()
    assert all(value.isfinite().all() for value in last["state_dict"].values())


@pytest.mark.parametrize("data", DATA, ids=name_of)
def test_data_recipe_fits_its_corpus_and_the_parser(data: Path, capsys: pytest.CaptureFixture) -> None:
    section = yaml.safe_load(data.read_text())["data"]
    corpus = make(str(data))
    assert type(corpus).__name__ == section["class_path"].rsplit(".", 1)[1]
    assert corpus.batch_size == section["init_args"]["batch_size"]
    with pytest.raises(SystemExit) as end:
        run_trainer(["fit", "--config", str(FOLDER / "exB4.yaml"), "--config", str(data), "--print_config"])
    assert end.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)["data"]
    assert printed["class_path"] == section["class_path"]
    assert section["init_args"].items() <= printed["init_args"].items()


@pytest.mark.parametrize("recipe", EVERY, ids=name_of)
def test_recipe_is_short_and_every_value_is_explained(recipe: Path) -> None:
    lines = recipe.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 40 and max(map(len, lines)) <= 120 and lines[0].startswith("# ")
    unexplained = [
        line for above, line in zip(lines, lines[1:], strict=False)
        if re.match(r"\s*\w+: *[^ #]", line) and "class_path:" not in line
        and "#" not in line and not above.strip().startswith("#")
    ]  # fmt: skip
    assert unexplained == []


def test_every_recipe_has_a_smoke_overlay_and_a_name_of_its_own() -> None:
    assert len(MODELS) > 1
    assert {path.name for path in FOLDER.glob("smoke/*.yaml")} == {path.name for path in MODELS}
    assert [yaml.safe_load(path.read_text())["name"] for path in MODELS] == [path.stem for path in MODELS]
