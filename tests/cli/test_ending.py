"""However the program ends, it says so in one sentence."""

import errno
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from ddsp_zoo.cli import main, models
from ddsp_zoo.cli.ending import TRACEBACK, tell, warnings_in_a_line
from ddsp_zoo.errors import DdspZooError

ROOT = Path(__file__).resolve().parents[2]
LIST = [sys.executable, "-m", "ddsp_zoo.cli", "list"]


class OutOfMemoryError(RuntimeError):
    """As torch has one."""


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (DdspZooError("Pass `pitch=` too."), 2, "Pass --pitch too."),
        (KeyboardInterrupt(), 130, "stopped"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), 2, "/a/b cannot .* .Permission denied"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "A file cannot .* .No space left on device"),
        (OSError("odd"), 2, "A file cannot be read or written .odd"),
        (MemoryError(), 2, "memory does not suffice"),
        (
            OutOfMemoryError("CUDA out of memory.\nTried much."),
            2,
            "does not suffice .CUDA out of memory.: give",
        ),
        (KeyError("x"), 1, "KeyError in .*test_ending.py, line .*: 'x' .unexpected: DDSP_ZOO_TRACEBACK=1"),
        (RuntimeError("one\ntwo"), 1, "RuntimeError in .*: one .unexpected"),
    ],
)
def test_every_error_is_one_line_and_a_status(
    error: BaseException,
    status: int,
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(TRACEBACK, raising=False)

    def fails(arguments: list[str]) -> int:
        raise error

    monkeypatch.setattr(models, "list_models", fails)
    assert main(["list"]) == status
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and line.startswith("ddsp-zoo: ")
    assert re.search(words, line)


def test_where_it_came_from_is_shown_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRACEBACK, "1")
    assert tell(KeyError("x")) == 1
    assert capsys.readouterr().err.splitlines()[0].startswith("KeyError")


def test_a_reader_that_has_left_is_no_error() -> None:
    with subprocess.Popen(LIST, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_full_disk_behind_the_standard_output_is_told() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(LIST, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    told = (
        "A file cannot be read or written (No space left on device): choose another place, or mend this one."
    )
    assert done.stderr == f"ddsp-zoo: {told}\n"


def test_warnings_of_the_package_are_lines_and_others_stay() -> None:
    before = warnings.formatwarning("a", UserWarning, "/x/numpy/y.py", 3)
    with warnings_in_a_line():
        assert warnings.formatwarning("a", UserWarning, "/x/ddsp_zoo/dsp/y.py", 3) == "ddsp-zoo: a\n"
        assert warnings.formatwarning("a", UserWarning, "/x/numpy/y.py", 3) == before
    assert warnings.formatwarning("a", UserWarning, "/x/ddsp_zoo/dsp/y.py", 3) != "ddsp-zoo: a\n"
