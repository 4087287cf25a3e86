"""Settings of earlier versions: checkpoints, recipes and options are read as today's."""

from pathlib import Path

import pytest
import yaml
from released import one_of_a_kind

from ddsp_zoo.corpora import RenderedBand, RenderedChoir, make
from ddsp_zoo.models import AstDdsp, KarplusStrongStrings, Umss, UNetChoir
from ddsp_zoo.pitch.onset_head import OnsetHead
from ddsp_zoo.settings.build import plain
from ddsp_zoo.settings.old import modern, modern_command, modern_path
from ddsp_zoo.training.cli import run_trainer
from ddsp_zoo.zoo import find, load
from ddsp_zoo.zoo.checkpoint import config_of

OLD_RECIPE = """
model:
  class_path: ddsp_zoo.models.Umss
  init_args: {sources: [high, low], learning_rate: 3.0e-4, decay_every: 5, mask_power: 2.0}
data:
  class_path: ddsp_zoo.data.RenderedChoir
  init_args: {voices: 2, train_tracks: 3, gain_db: 6.0, batch_size: 4, seed: 7}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("ddsp_zoo.data.GuitarSet", "ddsp_zoo.corpora.GuitarSet"),
        ("ddsp_zoo.data.rendered_band.RenderedBand", "ddsp_zoo.corpora.RenderedBand"),
        (
            "ddsp_zoo.data.string_resynthesis.StringResynthesisNotes",
            "ddsp_zoo.corpora.StringResynthesisNotes",
        ),
        ("ddsp_zoo.models.Umss", "ddsp_zoo.models.Umss"),
        ("my.ddsp_zoo.data.Umss", "my.ddsp_zoo.data.Umss"),
    ],
)
def test_corpora_have_moved(old: str, new: str) -> None:
    assert modern_path(old) == new


def test_arguments_go_into_their_groups_where_the_class_has_them() -> None:
    flat = {"bands": 16, "learning_rate": 1e-3, "mask_power": 2.0, "mask_fft": None, "weight_decay": 0.0}
    assert modern(flat, AstDdsp) == {
        "bands": 16,
        "optimiser": {"learning_rate": 1e-3, "weight_decay": 0.0},
        "masks": {"power": 2.0, "fft": None},
    }
    assert modern({"faults": ["range"]}, KarplusStrongStrings) == {"quirks": ["range"]}
    assert modern({"gain_db": 3.0, "learning_rate": 1.0}, OnsetHead) == {
        "gain_db": 3.0,
        "optimiser": {"learning_rate": 1.0},
    }
    sounds = {
        "soundfonts": ["a"],
        "test_soundfonts": ["b"],
        "test_drum_kits": None,
        "workers": 2,
        "swap": 0.5,
    }
    assert modern(sounds, RenderedBand) == {
        "sounds": {"soundfonts": ["a"]},
        "test_sounds": {"soundfonts": ["b"], "drum_kits": None},
        "excerpts": {"workers": 2},
        "variation": {"swap": 0.5},
    }


def test_what_is_written_today_stays() -> None:
    today = {"optimiser": {"learning_rate": 1.0}, "sources": ["high"], "masks": {"power": 1.0}}
    assert modern(today, Umss) == today
    mixed = modern({"learning_rate": 2.0, "decay_every": 3, "optimiser": {"learning_rate": 1.0}}, Umss)
    assert mixed == {"optimiser": {"learning_rate": 1.0, "decay_every": 3}}


def flat(settings: dict) -> dict:
    """Settings without groups, as they once were; faults are called quirks now."""
    settings = {("quirks" if key == "faults" else key): value for key, value in settings.items()}
    masks = {f"mask_{key}": value for key, value in settings.pop("masks", {}).items()}
    return settings | settings.pop("optimiser", {}) | masks


@pytest.mark.parametrize("name", one_of_a_kind())
def test_released_configs_are_read_to_the_last_value(name: str) -> None:
    said = flat(yaml.safe_load((find(name) / "config.yaml").read_text())["init_args"])
    model = load(name)
    made = flat(plain(config_of(model)["init_args"]))
    assert {key: made[key] for key in said} == said
    assert model.mask_fft == said.get("mask_fft", 1024 if isinstance(model, UNetChoir) else None) or (
        model.mask_fft == 8 * model.hop_samples
    )


def test_recipes_and_options_of_earlier_versions_train(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, overlay = tmp_path / "old.yaml", tmp_path / "overlay.yaml"
    recipe.write_text(OLD_RECIPE)
    overlay.write_text("data: {init_args: {batch_size: 2}}\n")
    options = ["--model.weight_decay", "0.5", "--data.init_args.apart=0.25", "--data.examples_per_epoch=9"]
    with pytest.raises(SystemExit) as end:
        run_trainer(["fit", "--config", str(recipe), f"--config={overlay}", *options, "--print_config"])
    out, err = capsys.readouterr()
    assert end.value.code == 0 and err.count("earlier version") == 1
    printed = yaml.safe_load(out)
    model, data = printed["model"]["init_args"], printed["data"]["init_args"]
    assert printed["data"]["class_path"] == "ddsp_zoo.corpora.RenderedChoir"
    optimiser = {"learning_rate": 3e-4, "weight_decay": 0.5, "decay_every": 5, "betas": [0.9, 0.999]}
    assert model["optimiser"] == optimiser and model["masks"] == {"power": 2.0, "fft": None, "expected": True}
    assert (data["excerpts"]["batch_size"], data["excerpts"]["seed"]) == (2, 7)
    assert data["excerpts"]["examples_per_epoch"] == 9
    assert (data["variation"]["gain_db"], data["variation"]["apart"], data["train_tracks"]) == (6.0, 0.25, 3)


@pytest.mark.parametrize(
    "flags", [["--data", "ddsp_zoo.data.StemFolder"], ["--data=ddsp_zoo.data.StemFolder"]]
)
def test_a_moved_corpus_on_the_command_line(flags: list[str]) -> None:
    today = modern_command(["fit", *flags, "--data.root", "there", "--data.batch_size", "3"])
    text = " ".join(today).replace("=", " ")
    assert text == "fit --data ddsp_zoo.corpora.StemFolder --data.root there --data.excerpts.batch_size 3"


def test_todays_command_is_left_alone(tmp_path: Path) -> None:
    recipe = tmp_path / "today.yaml"
    recipe.write_text(
        "model: {class_path: ddsp_zoo.models.Umss, init_args: {optimiser: {learning_rate: 1.0}}}\n"
    )
    command = [
        "fit",
        "--config",
        str(recipe),
        "--model.optimiser.learning_rate",
        "1e-4",
        "--config",
        "none.yaml",
    ]
    assert modern_command(command) == command


def test_a_class_that_knows_an_argument_by_its_old_name_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_flat_model.py").write_text("class Own:\n    def __init__(self, learning_rate=1): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    command = ["fit", "--model", "own_flat_model.Own", "--model.learning_rate", "2"]
    assert modern_command(command) == command


def test_an_old_data_recipe_is_made_into_a_corpus(tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(OLD_RECIPE)
    data = make(str(tmp_path / "old.yaml"), root=str(tmp_path))
    assert isinstance(data, RenderedChoir) and data.counts["train"] == 3
    assert (data.excerpts.batch_size, data.excerpts.seed, data.variation.gain_db) == (4, 7, 6.0)
