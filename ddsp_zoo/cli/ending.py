"""Ends the program: whatever goes wrong is told in one sentence, here and nowhere else."""

import contextlib
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator

from ddsp_zoo.errors import DdspZooError

TRACEBACK = "DDSP_ZOO_TRACEBACK"
CANNOT, UNEXPECTED, STOPPED, UNHEARD = 2, 1, 130, 141  # exit status; 128 + 13 where nobody reads any further


def tell(error: BaseException) -> int:
    """Writes why the program ends to the standard error; returns the exit status."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    words, status = _sentence(error)
    if words:
        with contextlib.suppress(OSError):  # nobody reads that either
            print(f"ddsp-zoo: {words}", file=sys.stderr, flush=True)
    _give_up_what_cannot_be_written()
    return status


@contextlib.contextmanager
def warnings_in_a_line() -> Iterator[None]:
    """Has the warnings of this package written as one line each, while the block lasts."""
    before = warnings.formatwarning

    def line(message: Warning | str, category: type[Warning], filename: str, *rest: object) -> str:
        own = f"{os.sep}ddsp_zoo{os.sep}" in filename
        return f"ddsp-zoo: {message}\n" if own else before(message, category, filename, *rest)

    warnings.formatwarning = line
    try:
        yield
    finally:
        warnings.formatwarning = before


def _sentence(error: BaseException) -> tuple[str, int]:
    if isinstance(error, DdspZooError):
        return _as_options(str(error)), CANNOT
    if isinstance(error, BrokenPipeError):
        return "", UNHEARD
    if isinstance(error, KeyboardInterrupt):
        return "stopped", STOPPED
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return f"The memory does not suffice ({_first_line(error)}): give it less at a time.", CANNOT
    if isinstance(error, OSError):
        place = f"{error.filename} " if error.filename else "A file "
        reason = error.strerror or _first_line(error)
        return f"{place}cannot be read or written ({reason}): choose another place, or mend this one.", CANNOT
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" in {frame.filename}, line {frame.lineno}" for frame in where)
    return (
        f"{type(error).__name__}{place}: {_first_line(error)} (unexpected: {TRACEBACK}=1 shows how it came to that).",
        UNEXPECTED,
    )


def _give_up_what_cannot_be_written() -> None:
    """Sends it to nowhere, so that the interpreter does not try again when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or no file
            stream.flush()
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(nowhere, stream.fileno())


def _as_options(message: str) -> str:
    """Turns arguments of Python, `name=` in a sentence, into options of the command line."""
    return re.sub(r"`(\w+)=`", lambda match: "--" + match[1].replace("_", "-"), message)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:200].rstrip(".:")
