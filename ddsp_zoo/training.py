"""Training from recipes: LightningCLI with the package's loggers, checkpoints and pictures."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from ddsp_zoo.data.base import StemDataModule
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models.separator import Separator
from ddsp_zoo.tracking.loggers import LogConfigCallback, make_loggers
from ddsp_zoo.tracking.media import LogMedia


class ZooCLI(LightningCLI):
    """`fit`, `validate`, `test` and `predict` on recipes; module level, so that it survives a spawned process."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Two flags beside Lightning's own."""
        parser.add_argument("--name", type=str, default="run", help="name of the run, also of its folder")
        parser.add_argument("--runs", type=str, default="runs", help="folder that holds the runs")
        parser.add_argument(
            "--media_every", type=int, default=5, help="epochs between logged audio and pictures"
        )

    def instantiate_trainer(self, **options: Any) -> L.Trainer:
        """The trainer of the recipe, with the package's loggers and callbacks where it names none."""
        config = self.config[self.subcommand]
        fast = bool(config.trainer.get("fast_dev_run"))
        if config.trainer.get("logger") in (None, True) and not fast:
            options.setdefault("logger", make_loggers(config.runs, config.name))
        trainer = super().instantiate_trainer(**options)
        if not fast and config.trainer.get("enable_checkpointing") is not False:
            trainer.callbacks += self._callbacks(config)
            trainer.callbacks.sort(key=lambda callback: isinstance(callback, ModelCheckpoint))
        return trainer

    @staticmethod
    def _callbacks(config: Any) -> list[Callback]:
        folder = Path(config.runs) / config.name / "checkpoints"
        return [
            LearningRateMonitor("step"),
            LogMedia(every_n_epochs=config.media_every),
            ModelCheckpoint(
                folder, "best", monitor="validation/loss", save_last=True, enable_version_counter=False
            ),
        ]


def run_trainer(arguments: list[str]) -> None:
    """Run LightningCLI; an unknown key or a missing file in a recipe ends in its own message and status 2."""
    check_recipes_exist(arguments)
    ZooCLI(
        Separator, StemDataModule, subclass_mode_model=True, subclass_mode_data=True, args=arguments,
        save_config_callback=LogConfigCallback, save_config_kwargs={"overwrite": True},
        trainer_defaults={"log_every_n_steps": 10}, seed_everything_default=0,
    )  # fmt: skip


def check_recipes_exist(arguments: list[str]) -> None:
    """Name a recipe file that is not there before the parser buries it in usage text."""
    for flag, value in zip(arguments, arguments[1:], strict=False):
        if flag in ("--config", "-c") and value.endswith((".yaml", ".yml")) and not Path(value).is_file():
            raise DdspZooError(f"There is no recipe {value}.")
