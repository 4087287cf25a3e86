"""Checkpoints and saved separations that somebody else made: whatever they name, nothing of it is run."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tiny import SMALL, music, save_tiny_ast, tiny_ast

import ddsp_zoo
from ddsp_zoo.api.ladder import separate
from ddsp_zoo.cli import main
from ddsp_zoo.errors import DdspZooError

MODEL = "ddsp_zoo.models.AstDdsp"
EVIL = """
from pathlib import Path

from ddsp_zoo.models import AstDdsp
from ddsp_zoo.synths.banded import BandedSinusoids

Path("touched").touch()


class Model(AstDdsp):
    def __init__(self, **settings):
        Path("touched").touch()
        super().__init__(**settings)


class Synth(BandedSinusoids):
    def __init__(self, **settings):
        Path("touched").touch()
        super().__init__(**settings)
"""


class Pickled:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch touched",)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder where a module and a pickle lie, each of which leaves a file `touched` when it is run."""
    (tmp_path / "evil.py").write_text(EVIL)
    torch.save({"state_dict": {}, "more": Pickled()}, tmp_path / "pickled.ckpt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    yield tmp_path
    sys.modules.pop("evil", None)
    assert not (tmp_path / "touched").exists(), "foreign code was run"


def test_the_attacks_would_leave_their_mark(place: Path) -> None:
    import evil  # noqa: F401

    (place / "touched").unlink()
    torch.load("pickled.ckpt", weights_only=False)
    (place / "touched").unlink()


TRAIN = {"args": ["fit", "--ckpt_path=pickled.ckpt", "--weights_only=false"], "model_class": MODEL}
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "touched"]}}
ATTACKS = {
    "trains": {"class_path": "ddsp_zoo.training.cli.ZooCLI", "init_args": TRAIN},
    "runs a function": {"class_path": "os.system", "init_args": {"command": "touch touched"}},
    "runs a command of ours": {"class_path": "ddsp_zoo.cli.main", "init_args": {"arguments": ["list"]}},
    "starts a program": POPEN,
    "imports a module": {"class_path": "evil.Model", "init_args": SMALL},
    "names a base class": {"class_path": "ddsp_zoo.models.Separator", "init_args": SMALL},
    "nested in a group": {"class_path": MODEL, "init_args": SMALL | {"optimiser": POPEN}},
    "nested in a value": {"class_path": MODEL, "init_args": SMALL | {"width": POPEN}},
    "nested in a list": {"class_path": MODEL, "init_args": SMALL | {"sources": [POPEN, "rest"]}},
    "nested deeper": {"class_path": MODEL, "init_args": SMALL | {"masks": {"power": POPEN}}},
    "in an old name": {"class_path": "ddsp_zoo.data.evil.Model", "init_args": SMALL | {"faults": POPEN}},
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_config_has_nothing_built_but_models(attack: str) -> None:
    save_tiny_ast(Path("folder"))
    Path("folder/config.yaml").write_text(yaml.safe_dump(ATTACKS[attack]))
    with pytest.raises(DdspZooError, match="not built|no setting 'class_path'"):
        ddsp_zoo.load("x", checkpoint="folder")


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_training_file_has_nothing_built_but_models(attack: str) -> None:
    config = ATTACKS[attack]
    settings = {"_class_path": config["class_path"], **config["init_args"]}
    torch.save({"state_dict": tiny_ast().state_dict(), "hyper_parameters": settings}, "file.ckpt")
    with pytest.raises(DdspZooError, match="not built|no setting 'class_path'"):
        ddsp_zoo.load("x", checkpoint="file.ckpt")


def test_a_class_that_happens_to_be_imported_is_not_named_by_the_user(place: Path) -> None:
    import evil

    (place / "touched").unlink()
    save_tiny_ast(Path("folder"))
    Path("folder/config.yaml").write_text(yaml.safe_dump({"class_path": "evil.Model", "init_args": SMALL}))
    with pytest.raises(DdspZooError, match="'evil.Model' is not built"):
        ddsp_zoo.load("x", checkpoint="folder")
    assert not (place / "touched").exists()
    ddsp_zoo.load("x", checkpoint="folder", kind=evil.Model)  # now it is
    (place / "touched").unlink()


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("fit", {"_class_path": "evil.Model"}),
        ("validate", {"_class_path": "evil.Model"}),
        ("fit", {"class_path": "evil.Model", "init_args": SMALL}),
        ("fit", {"_class_path": MODEL, "optimiser": {"class_path": "evil.Model"}}),
        ("fit", {"_class_path": MODEL, "sources": [{"class_path": "evil.Model"}]}),
    ],
)
def test_training_takes_no_class_from_the_file_that_it_goes_on_with(command: str, named: dict) -> None:
    settings = SMALL | named
    torch.save({"state_dict": tiny_ast().state_dict(), "hyper_parameters": settings}, "file.ckpt")
    recipe = {
        "model": {"class_path": MODEL, "init_args": SMALL},
        "data": {"class_path": "ddsp_zoo.corpora.StemFolder", "init_args": {"root": "data"}},
    }
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert main([command, "--config", "recipe.yaml", "--ckpt_path", "file.ckpt"]) == 2
    assert main([command, "--config", "recipe.yaml", "--ckpt_path", "pickled.ckpt"]) == 2


def test_sources_are_files_in_the_folder_of_results_and_nowhere_else(place: Path) -> None:
    save_tiny_ast(Path("folder"))
    for name in ("../../touched", "/tmp/touched", ".profile", "a\\b", "a\0b", "", " ", "residual", "rest"):
        config = {"class_path": MODEL, "init_args": SMALL | {"sources": [name, "rest"]}}
        Path("folder/config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(DdspZooError, match="A source cannot be called|Two files would be called"):
            ddsp_zoo.load("x", checkpoint="folder")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A separation that was saved."""
    folder = tmp_path_factory.mktemp("saved") / "song"
    return separate(tiny_ast(), music(9000), 8000).save(folder)


def edit(saved: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a saved separation that says something else of itself."""
    with np.load(saved / "controls.npz") as file:
        arrays = dict(file)
    arrays["about"] = np.array(json.dumps(json.loads(str(arrays["about"])) | changes))
    folder.mkdir()
    np.savez(folder / "controls.npz", **arrays)
    return folder


@pytest.mark.parametrize("class_path", ["os.system", "subprocess.Popen", "evil.Synth", "ddsp_zoo.cli.main"])
def test_saved_controls_have_nothing_built_but_synthesisers(
    saved: Path, place: Path, class_path: str
) -> None:
    folder = edit(
        saved, place / "song", synth={"class_path": class_path, "init_args": {"args": "touch touched"}}
    )
    with pytest.raises(DdspZooError, match=f"{class_path}' is not built"):
        ddsp_zoo.open(folder)


def test_saved_controls_are_not_unpickled(saved: Path, place: Path) -> None:
    (place / "song").mkdir()
    np.savez(place / "song/controls.npz", about=np.array([Pickled()], dtype=object))
    with pytest.raises(DdspZooError, match="is damaged"):
        ddsp_zoo.open(place / "song")


def test_saved_sources_are_files_in_their_folder(saved: Path, place: Path) -> None:
    folder = edit(saved, place / "song", sources=["../touched", "rest"])
    with pytest.raises(DdspZooError, match="A source cannot be called '../touched'"):
        ddsp_zoo.open(folder)
