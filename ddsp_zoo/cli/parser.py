"""The parser, data, models and device that all commands share."""

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.settings.build import classes_in, import_named

MOST = 1 << 31


class Parser(argparse.ArgumentParser):
    """Parses arguments and raises the package's errors: one sentence, without the usage around it.

    Every command takes --import, which imports the modules that the user names.
    """

    def __init__(self, name: str, **options: Any) -> None:
        super().__init__(name, **options)
        self.add_argument(
            "--import",
            dest="modules",
            metavar="MODULE",
            type=import_named,
            action="append",
            default=[],
            help="import a file of your own, so that --checkpoint may be of a model that is defined there",
        )

    def error(self, message: str) -> NoReturn:
        """Raises `DdspZooError` for everything that argparse cannot understand; argparse calls it."""
        raise DdspZooError(f"{message} (`{self.prog} --help` says what there is).")


def add_checkpoint(parser: Parser) -> None:
    """Adds the option for weights of one's own."""
    parser.add_argument(
        "--checkpoint", help="a checkpoint folder or .ckpt file instead of the released weights"
    )


def add_format(parser: Parser) -> None:
    """Adds the options for how audio is written, which `audio_format` reads."""
    from ddsp_zoo.export.audio_format import BITS, CLIPS, SUBTYPES

    parser.add_argument("--format", choices=tuple(SUBTYPES), default="wav", help="of audio (%(default)s)")
    parser.add_argument(
        "--bits", type=int, choices=BITS, help="of a sample (WAV: 32, floating-point; FLAC: 24)"
    )
    parser.add_argument(
        "--clip",
        choices=CLIPS,
        default="none",
        help="what exceeds full scale: none leaves it to the format (32-bit WAV keeps it, others cut it off), clamp "
        "cuts it off, rescale makes all files quieter by one factor (%(default)s)",
    )


def audio_format(options: argparse.Namespace) -> Any:
    """Returns how audio is written; `DdspZooError` for what there is not."""
    from ddsp_zoo.export.audio_format import AudioFormat

    return AudioFormat(options.format, options.bits, options.clip)


def add_data(parser: Parser, required: bool = True) -> None:
    """Adds the options that name a corpus, which `read_data` reads."""
    parser.add_argument(
        "--data",
        required=required,
        help="a corpus by name, a class path of your own (my_corpus.MyCorpus), or a recipe with a `data:` section",
    )
    parser.add_argument("--root", help="folder of the data")


def read_data(options: argparse.Namespace) -> Any:
    """Returns the corpus of --data, below --root where that is given."""
    from ddsp_zoo.corpora import make

    return make(options.data, **({"root": options.root} if options.root else {}))


def load(options: argparse.Namespace, name: str, checkpoint: str | Path | None) -> Any:
    """Returns a model by its name or from a checkpoint, which may be of a class in a module of --import."""
    from ddsp_zoo import zoo
    from ddsp_zoo.learning.learner import Learner
    from ddsp_zoo.models import MODELS

    own = [kind for module in options.modules for kind in classes_in(module, Learner)]
    return zoo.load(name, checkpoint=checkpoint, kind=(*MODELS, *own))


def load_all(options: argparse.Namespace, checkpoints: Mapping[str, Any]) -> dict[str, Any]:
    """Returns models by what they are called, from their checkpoints."""
    return {name: load(options, name, path) for name, path in checkpoints.items()}


def add_wandb(parser: Parser) -> None:
    """Adds the option to log what is measured to Weights & Biases, which `send_to_wandb` reads."""
    parser.add_argument(
        "--wandb",
        nargs="?",
        const="ddsp_zoo",
        metavar="PROJECT",
        help="log tables and figures to this project of W&B (%(const)s); offline where it cannot be reached",
    )


def check_wandb(options: argparse.Namespace) -> None:
    """Raises `DdspZooError` where --wandb is given and W&B is not installed."""
    if options.wandb:
        from ddsp_zoo.reports.wandb_run import check_installed

        check_installed()


def send_to_wandb(options: argparse.Namespace, files: Iterable[Any], name: str, **about: Any) -> None:
    """Logs files of --out where --wandb is given, see `ddsp_zoo.reports.wandb_run.send`."""
    if options.wandb:
        from ddsp_zoo.reports.wandb_run import send

        config = {key: value for key, value in vars(options).items() if key != "modules"}
        send(options.out, files, name, options.wandb, config | about.pop("config", {}), **about)


def count(text: str) -> int:
    """Returns a whole number of 1 or more; argparse says the rest."""
    if not text.isdecimal() or not 0 < int(text[:10]) < MOST:
        raise argparse.ArgumentTypeError(f"{text:.30} is no whole number of 1 or more")
    return int(text)


def decibels(text: str) -> float:
    """Returns a number of decibels from 0 to 60; argparse says the rest."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 60:
        raise argparse.ArgumentTypeError(f"{text:.30} is no number of decibels from 0 to 60")
    return number


def device(name: str) -> str:
    """Returns the name of a device that is there, of "auto" the fastest; raises `DdspZooError` for any other."""
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        float(torch.ones(1, device=name).sum())  # which those cannot that hold no values
    except (RuntimeError, AssertionError, ImportError, ValueError) as error:
        raise DdspZooError(f"The device {name!r} cannot be used here: try --device cpu.") from error
    return name
