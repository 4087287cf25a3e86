"""From a checkpoint to a model and back: what is built, and what is refused."""

import sys
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from checkpoints import CLASS, CONFIG, FILES, Patch, Tiny, forbidden, refused, write_checkpoint
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.settings.build import build, import_named
from ddsp_zoo.zoo import copy_weights, load, save_checkpoint

MY_MODULE = """
from ddsp_zoo.learning.learner import Learner
from torch import nn


class Mine(Learner):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
"""


def test_bundled_checkpoint_comes_back_in_float32_and_eval_mode(zoo: Path) -> None:
    model = load("tiny")
    assert not model.training and model.layer.weight.dtype == torch.float32
    assert torch.equal(model.layer.weight, write_checkpoint(zoo / "the same again"))
    assert not (zoo / "cache").exists()


def test_half_precision_on_disk_except_where_it_would_overflow(zoo: Path) -> None:
    from safetensors.torch import load_file

    model = Tiny()
    nn.init.constant_(model.layer.bias, 1e6)
    save_checkpoint(model, zoo / "own", CONFIG)
    assert load_file(zoo / "own/model.safetensors")["layer.weight"].dtype == torch.float16
    assert torch.equal(load("tiny", checkpoint=zoo / "own").layer.bias, model.layer.bias)


def test_save_leaves_the_old_checkpoint_where_the_config_is_not_plain(zoo: Path) -> None:
    before = {file: (zoo / "bundle/tiny" / file).read_bytes() for file in FILES}
    with refused("plain values"):
        save_checkpoint(Tiny(), zoo / "bundle/tiny", CONFIG | {"init_args": {"width": nn.Identity()}})
    assert {path.name: path.read_bytes() for path in (zoo / "bundle/tiny").iterdir()} == before


def test_groups_of_settings_are_built_from_what_they_change(zoo: Path) -> None:
    config = {"class_path": CLASS, "init_args": {"width": 5, "inner": {"biased": False}}}
    model = build(config, Learner)
    assert model.inner.in_features == 3 and model.inner.bias is None and model.layer.in_features == 5
    save_checkpoint(model, zoo / "own")  # from its settings alone
    assert load("tiny", checkpoint=zoo / "own").inner.bias is None


def test_weights_are_copied_between_modules_that_name_no_sources() -> None:
    source, target = Tiny(), Tiny()
    copy_weights(source, target, "tiny")
    assert torch.equal(target.layer.weight, source.layer.weight)
    with refused("weights of small do not fit the Tiny of this recipe"):
        copy_weights(Tiny(width=3), target, "small")


@pytest.mark.parametrize("name", ["adapts", "does not"])
def test_a_class_may_adapt_weights_of_other_sources(name: str, monkeypatch: Patch) -> None:
    source, target = Tiny(), Tiny()
    source.sources, target.sources = ("low",), ("high", "low")
    if name == "adapts":
        monkeypatch.setattr(
            Tiny,
            "adapt_weights",
            lambda self, weights, sources: weights | {"layer.bias": 0 * weights["layer.bias"]},
            raising=False,
        )
    copy_weights(source, target, "tiny")
    assert torch.equal(target.layer.weight, source.layer.weight)
    assert target.layer.bias.any().item() is (name != "adapts")
    copy_weights(source, source, "itself")
    assert source.layer.bias.any()  # nothing to adapt


@pytest.mark.parametrize(
    "class_path",
    [
        "os.system",
        "subprocess.Popen",
        "torch.nn.Linear",
        "ddsp_zoology.Tiny",
        "ddsp_zoo",
        "Tiny",
        None,
        "ddsp_zoo.models._tiny.Linear",
        "ddsp_zoo.models._tiny.Inner",
        "ddsp_zoo.models._tiny.forbidden",
        "ddsp_zoo.models._tiny.Missing",
        "ddsp_zoo.models.nowhere.Tiny",
        "ddsp_zoo.zoo.manifest.Path",
        "ddsp_zoo.models.separator.nn.Module",
        "this.Zen",
    ],
)
def test_only_models_are_built(zoo: Path, class_path: str) -> None:
    config = {"class_path": class_path, "init_args": {}}
    write_checkpoint(zoo / "own")
    (zoo / "own/config.yaml").write_text(yaml.safe_dump(config))
    with refused("is not built, because a file may name|A config names a class_path"):
        load("tiny", checkpoint=zoo / "own")
    assert "this" not in sys.modules, "a foreign module was run"


def test_no_class_is_built_inside_the_settings(zoo: Path) -> None:
    for inner in ({"class_path": "torch.nn.Linear"}, {"class_path": CLASS}, 3):
        with refused("inner.*group of settings|has no setting 'class_path'"):
            build({"class_path": CLASS, "init_args": {"inner": inner}}, Learner)
    with refused("Tiny.width must be a plain value: the class 'torch.nn.Linear' is not built"):
        build({"class_path": CLASS, "init_args": {"width": {"class_path": "torch.nn.Linear"}}}, Learner)


def test_a_class_of_ones_own_loads_where_the_user_names_it(zoo: Path, monkeypatch: Patch) -> None:
    (zoo / "my_module.py").write_text(MY_MODULE)
    monkeypatch.syspath_prepend(zoo)
    write_checkpoint(zoo / "own")
    (zoo / "own/config.yaml").write_text("class_path: my_module.Mine\ninit_args: {width: 128}")
    with refused("'my_module.Mine' is not built"):
        load("own", checkpoint=zoo / "own")
    assert "my_module" not in sys.modules
    my_module = import_named("my_module")
    with refused("'my_module.Mine' is not built"):  # imported, but not named
        load("own", checkpoint=zoo / "own")
    for kind in (my_module.Mine, (Tiny, my_module.Mine)):
        assert type(load("own", checkpoint=zoo / "own", kind=kind)) is my_module.Mine
    with refused("'my_module.Mine' is not built, because a file may name Tiny and nothing else"):
        load("own", checkpoint=zoo / "own", kind=Tiny)
    del sys.modules["my_module"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (f"class_path: {CLASS}\ninit_args: {{width: 64}}", "do not fit .*size mismatch"),
        (f"class_path: {CLASS}\ninit_args: {{inner: {{width: 2}}}}", "do not fit .*Missing key"),
        (
            f"class_path: {CLASS}\ninit_args: {{depth: 64}}",
            "Tiny has no setting 'depth': did you mean 'width'",
        ),
        (f"class_path: {CLASS}\ninit_args: [128]", "init_args .* are names with values, not .128"),
        (f"class_path: {CLASS}\ninit_args: {{width: many}}", "Tiny.width is a whole number, not 'many'"),
        ("init_args: {width: 128}", "describes no model"),
        ("just text", "describes no model"),
        ("{", "damaged"),
        ("a: !!python/object/apply:os.getcwd []", "damaged"),
        ("[" * 5000, "damaged"),
        (f"class_path: {CLASS}\ninit_args: {{width: {'9' * 5000}}}", "damaged"),
        ("when: 2001-99-99", "damaged"),
        (f"class_path: {CLASS}\ninit_args: text", "init_args of Tiny are names with values, not 'text'"),
        (f"class_path: {CLASS}\ninit_args: 0", "init_args of Tiny are names with values, not 0"),
        (f"class_path: {CLASS}\ninit_args: {{3: 4}}", "init_args of Tiny are names with values, not {3: 4}"),
        (f"class_path: {CLASS}\ninit_args: {{width: -3}}", "settings do not fit Tiny"),
    ],
)
def test_config_that_does_not_fit(zoo: Path, config: str, message: str) -> None:
    write_checkpoint(zoo / "own")
    (zoo / "own/config.yaml").write_text(config)
    with refused(message):
        load("tiny", checkpoint=zoo / "own")


def test_weights_load_without_the_model_that_training_started_from(zoo: Path) -> None:
    save_checkpoint(Tiny(), zoo / "own", CONFIG | {"init_args": {"pretrained": "far/away"}})
    assert load("tiny", checkpoint=zoo / "own").layer.in_features == 128


@pytest.mark.filterwarnings("ignore")  # of other packages about each other
def test_file_written_by_the_training_command(zoo: Path, monkeypatch: Patch) -> None:
    from lightning.pytorch.cli import LightningCLI

    arguments = f"--model={CLASS} --model.width=6 --model.inner.width=4"
    monkeypatch.setattr(sys, "argv", ["ddsp-zoo", *arguments.split(), "--trainer.logger=false"])
    cli = LightningCLI(Learner, subclass_mode_model=True, run=False)
    cli.trainer.strategy.connect(cli.model)
    cli.trainer.save_checkpoint(zoo / "last.ckpt")
    loaded = load("anything", checkpoint=zoo / "last.ckpt")
    assert torch.equal(loaded.inner.weight, cli.model.inner.weight)
    assert torch.equal(loaded.layer.weight, cli.model.layer.weight) and not loaded.training


def test_training_file_without_class_with_objects_or_cut_short(zoo: Path) -> None:
    path, weights = zoo / "a.ckpt", Tiny().state_dict()
    torch.save({"state_dict": weights, "hyper_parameters": {"width": 128}}, path)
    with refused("does not say which model"):
        load("tiny", checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    with refused("damaged"):
        load("tiny", checkpoint=path)
    torch.save({"state_dict": weights, "hyper_parameters": {"_class_path": forbidden}}, path)
    with refused("more than plain data"):
        load("tiny", checkpoint=path)
    for content in (
        [],
        {"state_dict": 3},
        {"state_dict": weights, "hyper_parameters": "text"},
        {"x": weights},
    ):
        torch.save(content, path)
        with refused("is damaged or holds more"):
            load("tiny", checkpoint=path)
    for wrong in ({3: weights["layer.bias"]}, {"layer.bias": "text", "layer.weight": 3}):
        torch.save({"state_dict": wrong, "hyper_parameters": {"_class_path": CLASS}}, path)
        with refused("The weights in .* do not fit"):
            load("tiny", checkpoint=path)
