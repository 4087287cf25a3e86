"""The command line: `ddsp-zoo` and `lightning` are the same program.

`fit`, `validate`, `test` and `predict` are LightningCLI's; `separate`, `list`, `info`, `evaluate` and `report` are
ours. This module parses and calls; everything it does can be done from Python too.
"""

import sys

from ddsp_zoo.errors import DdspZooError

TRAINER_COMMANDS = ("fit", "validate", "test", "predict")
USAGE = """usage: ddsp-zoo COMMAND ...

  separate IN...   separate audio files with a pretrained model
  list             the models there are
  info NAME        what a model is, was trained on and reaches
  evaluate         measure a model against baselines on a data set
  report FOLDER... set evaluated models, or training runs, side by side
  fit | validate | test | predict   train and run recipes (`ddsp-zoo fit --help`)

`ddsp-zoo COMMAND --help` says more. `lightning` is another name of this program."""


def main(arguments: list[str] | None = None) -> int:
    """Run the program; returns the exit status. Errors that a user can mend end in one sentence."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(arguments)
    except DdspZooError as error:
        print(f"ddsp-zoo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("ddsp-zoo: stopped", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    command, rest = arguments[0], arguments[1:]
    if command == "--version":
        from ddsp_zoo import __version__

        print(__version__)
        return 0
    if command in TRAINER_COMMANDS:
        from ddsp_zoo.training.cli import run_trainer

        run_trainer(arguments)
        return 0
    from ddsp_zoo.cli import commands

    if command not in commands.COMMANDS:
        raise DdspZooError(f"There is no command {command!r}: `ddsp-zoo --help` lists them.")
    return commands.COMMANDS[command](rest)
