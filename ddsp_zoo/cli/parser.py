"""The parser, data, models and device that all commands share."""

import argparse
from collections.abc import Mapping
from typing import Any, NoReturn

from ddsp_zoo.errors import DdspZooError


class Parser(argparse.ArgumentParser):
    """Parses arguments and raises the package's errors: one sentence, without the usage around it."""

    def error(self, message: str) -> NoReturn:
        """Raises `DdspZooError` for everything that argparse cannot understand; argparse calls it."""
        raise DdspZooError(f"{message} (`{self.prog} --help` says what there is).")


def add_checkpoint(parser: Parser) -> None:
    """Adds the option for weights of one's own."""
    parser.add_argument(
        "--checkpoint", help="a checkpoint folder or .ckpt file instead of the released weights"
    )


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


def load_all(checkpoints: Mapping[str, Any]) -> dict[str, Any]:
    """Returns models by what they are called, from their checkpoints."""
    from ddsp_zoo import zoo

    return {name: zoo.load(name, checkpoint=path) for name, path in checkpoints.items()}


def device(name: str) -> str:
    """Returns the name of a device that is there; raises `DdspZooError` for any other."""
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise DdspZooError(f"The device {name!r} cannot be used here: try --device cpu.") from error
    return name
