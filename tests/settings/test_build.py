"""One way from a config to an object: classes, groups of settings, and a sentence for everything that is wrong."""

from dataclasses import dataclass

import pytest

from ddsp_zoo.corpora import GuitarSet, StemDataModule, StemFolder
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models import Separator, Umss
from ddsp_zoo.settings.build import build, call, class_path_of, find_class, plain

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
        ({"class_path": FOLDER, "init_args": ["x"]}, "are names with values, not a list"),
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


def test_only_rooms_are_imported_for_a_checkpoint() -> None:
    with pytest.raises(DdspZooError, match="lies outside ddsp_zoo, and a checkpoint alone imports nothing"):
        find_class("antigravity.Separator", Learner, ("ddsp_zoo.models",))
    with pytest.raises(DdspZooError, match="is no Learner"):  # imported, but nothing that learns
        find_class("pathlib.Path", Learner, ("ddsp_zoo.models",))
    assert find_class("ddsp_zoo.models.Umss", Learner, ("ddsp_zoo.models",)) is Umss


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
