"""One way from a config to an object: classes, groups of settings, and a sentence for everything that is wrong."""

import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from torch import nn

from ddsp_zoo import models
from ddsp_zoo.corpora import GuitarSet, StemDataModule, StemFolder
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models import MODELS, Separator, Umss
from ddsp_zoo.settings.arguments import call
from ddsp_zoo.settings.build import build, class_path_of, classes_in, find_class, plain

FOLDER = "ddsp_zoo.corpora.StemFolder"


def test_a_part_of_a_group_changes_the_defaults_of_its_class() -> None:
    config = {"class_path": "ddsp_zoo.models.Umss", "init_args": {"optimiser": {"decay_every": 3}}}
    model = build(config, Separator, masks={"power": 2})
    assert isinstance(model, Umss) and model.optimiser == Optimiser(1e-4, 1e-5, 3)
    assert (model.mask_power, model.mask_fft) == (2, 2048)


def test_more_goes_before_the_config_and_left_out_is_left_out() -> None:
    config = {"class_path": FOLDER, "init_args": {"root": "here", "nonsense": 1}}
    data = build(config, StemDataModule, without=("nonsense",), root="there")
    assert str(data.root) == "there"


def test_numbers_that_yaml_reads_as_text_are_numbers() -> None:
    assert call(Optimiser, {"learning_rate": "1e-4", "betas": [0.5, 0.9]}) == Optimiser(
        1e-4, betas=(0.5, 0.9)
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "A config names a class_path"),
        ([FOLDER], "A config names a class_path"),
        ({"init_args": {}}, "A config names a class_path"),
        ({"class_path": 3}, "A config names a class_path"),
        ({"class_path": "StemFolder"}, "'StemFolder' is no class path"),
        ({"class_path": FOLDER}, "StemFolder needs root: set it in the config"),
        ({"class_path": FOLDER, "init_args": ["x"]}, "are names with values, not .'x'"),
        ({"class_path": FOLDER, "init_args": {"rooot": "x"}}, "no setting 'rooot': did you mean 'root'"),
        ({"class_path": "ddsp_zoo.corpora.StemFolders"}, "no 'StemFolders' in .*mean 'StemFolder'"),
        ({"class_path": "ddsp_zoo.models.Umss"}, "'ddsp_zoo.models.Umss' is no StemDataModule"),
        ({"class_path": "ddsp_zoo.corpora.make"}, "is no StemDataModule"),
        ({"class_path": "os.system"}, "is no StemDataModule"),
        ({"class_path": "no_such_module.Data"}, "no_such_module.Data' cannot be imported"),
    ],
)
def test_a_config_that_cannot_be_built_is_told_in_a_sentence(config: object, message: str) -> None:
    with pytest.raises(DdspZooError, match=message) as told:
        build(config, StemDataModule)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"batch_sizes": 3}, "Excerpts has no setting 'batch_sizes': did you mean 'batch_size'"),
        ({"batch_size": "many"}, "Excerpts.batch_size is a whole number, not 'many'"),
        ({"batch_size": [3]}, "Excerpts.batch_size is a whole number"),
        ({"seed": {"class_path": "os.system"}}, "Excerpts.seed must be a plain value"),
        (3, "StemFolder.excerpts is a group of settings .batch_size, examples_per_epoch, .*, not 3"),
        ([1, 2], "StemFolder.excerpts is a group of settings"),
    ],
)
def test_a_group_that_does_not_fit_is_told_in_a_sentence(group: object, message: str) -> None:
    with pytest.raises(DdspZooError, match=message):
        build({"class_path": FOLDER, "init_args": {"root": "x", "excerpts": group}}, StemDataModule)


def test_a_file_chooses_among_the_classes_that_are_listed_and_has_nothing_imported() -> None:
    for stranger in ("antigravity.Separator", "pathlib.Path", "ddsp_zoo.models.AstDdsp", "Umss"):
        with pytest.raises(
            DdspZooError, match=f"'{stranger}' is not built, because a file may name Umss and"
        ):
            find_class(stranger, Learner, (Umss,))
    assert "antigravity" not in sys.modules
    with pytest.raises(DdspZooError, match="'pathlib.Path' is no Learner"):  # whatever the list says
        find_class("pathlib.Path", Learner, (Path,))
    for path in ("ddsp_zoo.models.Umss", "ddsp_zoo.models.umss.Umss"):
        assert find_class(path, Learner, (Umss,)) is Umss


def test_the_models_of_the_package_are_separators() -> None:
    assert all(issubclass(kind, Separator) and kind is not Separator for kind in MODELS)
    own = [kind for kind in classes_in(models, Separator) if kind.__module__.startswith("ddsp_zoo.")]
    assert set(own) == set(MODELS)


class Anything:
    def __init__(
        self,
        whole: int = 1,
        number: float | None = 1.0,
        text: str = "",
        flag: bool = False,
        names: tuple[str, ...] = (),
        pair: tuple[float, float] = (0.9, 0.999),
        word: Literal["up", "down"] = "up",
        several: Collection[str] | None = None,
        settings: dict | None = None,
        group: Optimiser | None = None,
        layer: nn.Module | None = None,
        place: bool | str = False,
        unknown=None,
    ) -> None:
        self.given = {name: value for name, value in locals().items() if name != "self"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("whole", 3),
        ("number", None),
        ("number", 2),
        ("names", ("a", "b")),
        ("pair", (1, 2.5)),
        ("word", "down"),
        ("several", ["x"]),
        ("several", frozenset("x")),
        ("settings", {"a": [1, {"b": 2}]}),
        ("group", None),
        ("layer", nn.Identity()),  # from Python; a file holds no such thing
        ("place", "here"),
        ("place", True),
        ("unknown", ["whatever"]),
    ],
)
def test_what_an_annotation_allows_goes_through_unchanged(name: str, value: object) -> None:
    given = call(Anything, {name: value}).given[name]
    assert given == value and type(given) is type(value)


def test_texts_that_are_numbers_and_lists_that_are_tuples_are_made_so() -> None:
    given = call(Anything, {"whole": "3", "pair": ["1e-4", 2], "names": ["a"], "place": "1"}).given
    assert (given["whole"], given["pair"], given["names"], given["place"]) == (3, (1e-4, 2), ("a",), "1")


CLASS = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "it"]}}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("whole", None, "Anything.whole is a whole number, not None"),
        ("whole", 2.5, "Anything.whole is a whole number, not 2.5"),
        ("whole", True, "Anything.whole is a whole number"),
        ("number", "many", "Anything.number is a number, not 'many'"),
        ("number", [1], "Anything.number is a number"),
        ("text", 3, "Anything.text is a text, not 3"),
        ("flag", "yes", "Anything.flag is true or false, not 'yes'"),
        ("names", "abc", "Anything.names is a list, not 'abc'"),
        ("names", ["a", 3], r"Anything.names\[1\] is a text, not 3"),
        ("names", {"a": 1}, "Anything.names is a list"),
        ("pair", [1], "Anything.pair is a list of 2"),
        ("word", "left", "Anything.word is one of up, down, not 'left'"),
        ("word", ["up"], "Anything.word is one of up, down"),
        ("settings", [1], "Anything.settings is names with values"),
        ("group", 3, "Anything.group is a group of settings .learning_rate"),
        ("layer", "x", "Anything.layer is a Module, not 'x'"),
        ("whole", CLASS, "Anything.whole must be a plain value: the class 'subprocess.Popen' is not built"),
        ("names", [CLASS], r"Anything.names\[0\] must be a plain value: the class 'subprocess.Popen'"),
        ("layer", CLASS, "Anything.layer must be a plain value: the class 'subprocess.Popen'"),
        ("settings", {"x": CLASS}, "Anything.settings.x must be a plain value: the class 'subprocess.Popen'"),
        ("group", CLASS, "Optimiser has no setting"),
        ("unknown", CLASS, "Anything.unknown must be a plain value: the class 'subprocess.Popen'"),
    ],
)
def test_what_no_annotation_allows_is_told_and_nothing_is_built(
    name: str, value: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a file had a program started"))
    with pytest.raises(DdspZooError, match=message):
        call(Anything, {name: value})


def test_values_without_end_are_told_in_a_few_words() -> None:
    laughs = ["x"]
    for _ in range(60):
        laughs = [laughs] * 10
    for config in (laughs, {"class_path": laughs}, {"class_path": FOLDER, "init_args": {"root": laughs}}):
        with pytest.raises(DdspZooError) as told:
            build(config, StemDataModule)
        assert len(str(told.value)) < 200


@pytest.mark.parametrize("error", [RuntimeError, MemoryError, KeyError, ZeroDivisionError, OverflowError])
def test_what_a_constructor_says_of_its_settings_is_one_sentence(error: type[Exception]) -> None:
    def constructor(self: object, width: int) -> None:
        raise error("too wide\nby far")

    with pytest.raises(DdspZooError, match="The settings do not fit Wide: .?too wide") as told:
        call(type("Wide", (), {"__init__": constructor}), {"width": 3})
    assert "\n" not in str(told.value)


def test_a_class_is_called_by_its_package() -> None:
    assert class_path_of(Umss) == "ddsp_zoo.models.Umss"
    assert class_path_of(Optimiser) == "ddsp_zoo.learning.optimiser.Optimiser"
    assert find_class(class_path_of(GuitarSet), StemDataModule) is GuitarSet
    assert class_path_of(StemFolder) == FOLDER


def test_plain_values_are_what_files_hold() -> None:
    @dataclass(frozen=True)
    class Outer:
        inner: Optimiser = Optimiser()
        names: tuple[str, ...] = ("a", "b")

    inner = {"learning_rate": 1e-3, "weight_decay": 0.0, "decay_every": 0, "betas": [0.9, 0.999]}
    assert plain({"x": Outer(), "y": None}) == {"x": {"inner": inner, "names": ["a", "b"]}, "y": None}
