"""Training from recipes: LightningCLI with the package's loggers, checkpoints and pictures."""

import re
import sys
from argparse import ArgumentError
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import lightning as L
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from ddsp_zoo import models, zoo
from ddsp_zoo.corpora.base import StemDataModule
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.shipped import here_or_shipped
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.settings.build import find_class, plain
from ddsp_zoo.settings.old import modern_command
from ddsp_zoo.training.checkpoints import KeepArtifact, KeepEarlier, RunCheckpoint, WholeCheckpoints
from ddsp_zoo.training.loggers import LogConfigCallback, make_loggers
from ddsp_zoo.training.media import LogMedia
from ddsp_zoo.training.separation import LogSeparation
from ddsp_zoo.zoo.checkpoint import read_checkpoint

CONFIG_FLAGS = ("--config", "-c")
UNLOGGED = "conditioned on metric"  # in what Lightning says of a name that nothing was logged by


class ZooCLI(LightningCLI):
    """Runs `fit`, `validate` and `test` on recipes; module level, so that it survives a spawned process."""

    def __init__(self, *given: Any, args: list[str], **settings: Any) -> None:
        self._options = args
        super().__init__(*given, args=args, **settings)

    def subcommands(self) -> dict[str, set[str]]:
        """Returns the command that is asked for, where there is one: the parsers of the others take time to build."""
        every = super().subcommands()
        return {
            command: skipped for command, skipped in every.items() if command in self._options[:1]
        } or every

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Adds flags beside Lightning's own."""
        parser.add_argument("--name", type=str, default="run", help="name of the run, also of its folder")
        parser.add_argument("--runs", type=str, default="runs", help="folder that holds the runs")
        parser.add_argument(
            "--media_every", type=int, default=5, help="epochs between logged audio and pictures"
        )
        parser.add_argument(
            "--measured_examples",
            type=int,
            default=4,
            help="validation excerpts whose SI-SDR and mel cepstral distance are logged by source; 0: none",
        )
        parser.add_argument(
            "--artifact", type=bool, default=False, help="keep the best checkpoint in W&B, as an artifact"
        )
        parser.add_argument(
            "--start_from",
            type=str | None,
            default=None,
            help="weights to start a new run from: a released name, a checkpoint folder or a .ckpt file",
        )

    def _parse_ckpt_path(self) -> None:
        """Refuses a checkpoint of another class than the recipe's; Lightning then takes over its model's settings."""
        config = self.config[self.config.subcommand]
        if config.ckpt_path is not None and (path := Path(config.ckpt_path)).is_file():
            held, _ = read_checkpoint(path)
            find_class(held["class_path"], Learner, (find_class(config.model.class_path, Learner),))
        asked = plain(config.model.as_dict()).get("init_args", {})
        super()._parse_ckpt_path()
        self._check_overruled(asked)

    def before_instantiate_classes(self) -> None:
        """Has checkpoints read as plain data: Lightning would unpickle those that lie on a server."""
        config = self.config[self.subcommand]
        if config.weights_only is None:
            config.weights_only = True

    def before_fit(self) -> None:
        """Takes over weights where some are named; --ckpt_path brings its own, whatever a recipe starts from."""
        config = self.config[self.subcommand]
        if (start := config.start_from) is None or config.ckpt_path is not None:
            return
        path = Path(start)
        kind = (*models.MODELS, type(self.model))
        source = zoo.load(start, checkpoint=path if path.exists() else None, kind=kind)
        zoo.copy_weights(source, self.model, start)

    before_validate = before_test = before_fit

    def parse_arguments(self, parser: LightningArgumentParser, args: list[str]) -> None:
        """Parses, without the base class's warning that a program should not pass arguments on."""
        try:
            self.config = parser.parse_args(args)
        except ArgumentError as error:
            raise DdspZooError(
                f"{_sentence(error.message)}: mend the recipe or the option (`ddsp-zoo {args[0]} --help` lists all)."
            ) from error

    def _check_overruled(self, asked: dict[str, Any]) -> None:
        """Raises `DdspZooError` where an option says something else of the model than the checkpoint, which decides."""
        model = plain(self.config[self.config.subcommand].model.as_dict())
        taken = model.get("init_args", {}) | (model.get("dict_kwargs") or {})
        for option in self._options:
            if match := re.match(r"--model\.(?:init_args\.)?([\w.]+)", option):
                wanted, got = (_at(match[1], settings) for settings in (asked, taken))
                if wanted != got:
                    raise DdspZooError(
                        f"The checkpoint brings the model's settings, and {match[1]} is {got} there, not {wanted}: "
                        f"leave {option.partition('=')[0]} out, or begin with its weights by --start_from instead."
                    )

    def instantiate_classes(self) -> None:
        """Makes model, data and trainer; what they say against their settings becomes one sentence."""
        try:
            super().instantiate_classes()
        except (ValueError, MisconfigurationException) as error:
            raise DdspZooError(f"{_sentence(str(error))}.") from error

    def instantiate_trainer(self, **options: Any) -> L.Trainer:
        """Makes the trainer of the recipe, with the package's callbacks, and its loggers where it names none."""
        config = self.config[self.subcommand]
        root = config.trainer.get("default_root_dir") or str(Path(config.runs) / config.name)
        options.setdefault("default_root_dir", root)
        if not config.trainer.get("fast_dev_run") and not config.trainer.get("barebones"):
            if config.trainer.get("logger") in (None, True):
                options.setdefault("logger", make_loggers(config.runs, config.name))
            given = self._get(self.config_init, "trainer").get("callbacks") or []
            given = given if isinstance(given, list) else [given]
            # Ours first: what averages weights puts the others back when a validation ends.
            options.setdefault("callbacks", [*self._callbacks(config), *_stopping_late(given)])
        options.setdefault("plugins", self._plugins())
        return super().instantiate_trainer(**options)

    def _run_subcommand(self, subcommand: str) -> None:
        """Trains, validates or tests; what is watched and never logged becomes one sentence."""
        try:
            super()._run_subcommand(subcommand)
        except (RuntimeError, MisconfigurationException) as error:
            if UNLOGGED not in str(error):
                raise
            raise DdspZooError(f"{_sentence(str(error))}: mend the name that is watched.") from error

    def _plugins(self) -> list[Any]:
        """Those of the recipe, and the package's way to write checkpoints where it names none."""
        given = self._get(self.config_init, "trainer").get("plugins") or []
        given = given if isinstance(given, list) else [given]
        own = any(isinstance(plugin, CheckpointIO) for plugin in given)
        return given if own else [*given, WholeCheckpoints()]

    @staticmethod
    def _callbacks(config: Any) -> list[Callback]:
        folder = Path(config.runs) / config.name / "checkpoints"
        callbacks: list[Callback] = []
        if config.trainer.get("logger") is not False:
            callbacks += [LearningRateMonitor("step"), LogMedia(every_n_epochs=config.media_every)]
            callbacks.append(LogSeparation(config.measured_examples))
        if config.trainer.get("enable_checkpointing") is not False:
            # Two, because save_last follows the best one and would leave a resumed run epochs behind.
            callbacks += [
                KeepEarlier(folder),
                *(
                    RunCheckpoint(folder, name, monitor=monitor, enable_version_counter=False)
                    for name, monitor in (("best", "validation/loss"), ("last", None))
                ),
            ]
            callbacks += [KeepArtifact(config.name)] if config.artifact else []
        return callbacks


def _stopping_late(callbacks: list[Callback]) -> list[Callback]:
    """Has those that stop a run early look after validations: at the end of an epoch there may have been none yet."""
    for callback in callbacks:
        if isinstance(callback, EarlyStopping) and callback._check_on_train_epoch_end is None:
            callback._check_on_train_epoch_end = False
    return callbacks


def _at(place: str, settings: Any) -> Any:
    """Returns the value at a place such as `optimiser.learning_rate`; None where there is none."""
    for name in place.split("."):
        settings = settings.get(name) if isinstance(settings, dict) else None
    return settings


def run_trainer(arguments: list[str]) -> None:
    """Runs LightningCLI; recipes and options that do not fit raise `DdspZooError`.

    Those of earlier versions are read as today's, and those that come with the package are found from everywhere.
    """
    arguments = _with_shipped(arguments)
    check_files(arguments)
    if (today := modern_command(arguments)) != arguments:
        print(
            "ddsp-zoo: settings of an earlier version are read as today's (docs/own_data.md).",
            file=sys.stderr,
        )
    ZooCLI(
        Learner,
        StemDataModule,
        subclass_mode_model=True,
        subclass_mode_data=True,
        args=today,
        save_config_callback=LogConfigCallback,
        save_config_kwargs={"overwrite": True},
        trainer_defaults={"log_every_n_steps": 10},
        seed_everything_default=0,
        parser_kwargs={"prog": "ddsp-zoo", "exit_on_error": False},
    )


def _with_shipped(arguments: list[str]) -> list[str]:
    """Returns the arguments with the recipes of the package by their place, where there are none such here."""
    out = []
    for before, word in zip(["", *arguments], arguments, strict=False):
        flag, _, value = word.rpartition("=")
        named = before in CONFIG_FLAGS if not flag else flag in CONFIG_FLAGS
        recipe = named and value.endswith((".yaml", ".yml"))
        out.append(f"{flag}{'=' * bool(flag)}{here_or_shipped(value)}" if recipe else word)
    return out


def check_files(arguments: list[str]) -> None:
    """Raises `DdspZooError` for a recipe or checkpoint that is missing or incomplete, before the parser reads it.

    Also where weights to begin with and a run to go on with are both asked for.
    """
    words = [part for argument in arguments for part in argument.split("=", 1)]
    if {"--start_from", "--ckpt_path"} <= set(words):
        raise DdspZooError(
            "--start_from begins a new run and --ckpt_path goes on with one: give one of them."
        )
    for flag, value in zip(words, words[1:], strict=False):
        path = Path(value)
        if flag in CONFIG_FLAGS and path.suffix in (".yaml", ".yml") and not path.is_file():
            raise DdspZooError(f"There is no recipe {value}.")
        if flag == "--ckpt_path" and path.suffix == ".ckpt":
            if not path.is_file():
                raise DdspZooError(f"There is no checkpoint {value}.")
            if not is_zipfile(path):
                raise DdspZooError(f"The checkpoint {value} is damaged or not whole: take another one.")


def _sentence(report: str) -> str:
    """Returns in one line what jsonargparse reports in several, and without its lists of types."""
    noise = ("Does not validate", "Subtypes:", "Errors:", "Given value", "- Expected a <class 'NoneType'>")
    lines = [line.strip() for line in report.splitlines()]
    kept = [line.removeprefix("- ") for line in lines if line and not line.startswith(noise)]
    given = [line for line in lines if re.match(r"Given value: [^{]*$", line) and "(" not in line]
    text = ", ".join([" ".join(kept), *(line.replace("Given value:", "not") for line in given)])
    return re.sub(r'Parser key "([^"]+)"', r"\1", text).rstrip(".:!")
