"""The command line: `ddsp-zoo` and `lightning` are the same program.

`fit`, `validate` and `test` are LightningCLI's; the others are ours, in one module a group. This module
parses and calls; everything it does can be done from Python too.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module

from ddsp_zoo.cli.ending import tell, warnings_in_a_line
from ddsp_zoo.cli.signals import ended_in_order
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.settings.inference import expect_only_inference

TRAINER_COMMANDS = ("fit", "validate", "test")
COMMANDS = {  # by name, with the function that runs it
    "separate": "separate.separate",
    "render": "render.render",
    "transfer": "render.transfer",
    "app": "app.app",
    "list": "models.list_models",
    "info": "models.info",
    "evaluate": "evaluate.evaluate",
    "report": "report.report",
}
SEPARATING = ("separate", "render", "transfer")  # commands that train nothing, and need no Lightning
USAGE = """usage: ddsp-zoo COMMAND ...

  separate IN...   separate audio files with a pretrained model
  render FOLDER    play a separation again, with edits
  transfer A:X B:Y play source X of A with the sound of source Y of B, or of a model
  app              all of this on a page in the browser
  list             the models there are
  info NAME        what a model is, was trained on and reaches
  evaluate         measure a model against baselines on a data set
  report FOLDER... set evaluated models, or training runs, side by side
  fit | validate | test   train and run recipes (`ddsp-zoo fit --help`)

`ddsp-zoo COMMAND --help` says more. Every command takes --import MODULE, for models, corpora and whatever else is
defined in a file of your own. With DDSP_ZOO_TRACEBACK=1 in the environment an error shows where it comes from.
`lightning` is another name of this program."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the program; returns the exit status. Every error ends in one sentence, see `ddsp_zoo.cli.ending`."""
    if arguments is None:  # the process is ours
        arguments = sys.argv[1:]
        if arguments and arguments[0] in SEPARATING and not any(word.startswith("--import") for word in arguments):
            expect_only_inference()
    try:
        with working_folder_known(), ended_in_order(), warnings_in_a_line():
            status = _run(arguments)
            if sys.stdout is not None:
                sys.stdout.flush()  # while it can still be told that this fails
            return status
    except (Exception, KeyboardInterrupt) as error:
        return tell(error)


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

        run_trainer(_without_imports(arguments))
        return 0
    if command not in COMMANDS:
        raise DdspZooError(f"There is no command {command!r}: `ddsp-zoo --help` lists them.")
    module, _, function = COMMANDS[command].partition(".")
    return getattr(import_module(f"{__name__}.{module}"), function)(rest)


@contextlib.contextmanager
def working_folder_known() -> Iterator[None]:
    """Lets a user's own modules be imported from where the program is started, after everything installed."""
    here = os.getcwd()
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _without_imports(arguments: list[str]) -> list[str]:
    """Imports what --import names; returns the other arguments."""
    from ddsp_zoo.settings.build import import_named

    left, words = [], iter(arguments)
    for word in words:
        flag, equals, module = word.partition("=")
        if flag != "--import":
            left.append(word)
        elif name := module if equals else next(words, None):
            import_named(name)
        else:
            raise DdspZooError("--import needs the name of a module.")
    return left
