"""Work is done elsewhere, tells how far it is, and ends when nobody wants it any more."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ddsp_zoo.app.worker import Worker
from ddsp_zoo.errors import DdspZooError

DEADLINE_SECONDS = 60.0  # of a busy machine


def count(tell: Callable[..., None], number: int) -> int:
    """Tells each step."""
    for step in range(number):
        tell(step + 1, number)
    return os.getpid()


def never_end(tell: Callable[..., None], path: Path) -> None:
    """Writes how long it lives, for ever."""
    while True:
        path.write_text(str(time.monotonic()))
        time.sleep(0.02)


def fail(tell: Callable[..., None], kind: str) -> None:
    """Fails in several ways."""
    if kind == "ours":
        raise DdspZooError("Do this instead.")
    if kind == "other":
        raise ValueError("that was wrong")
    os._exit(3)


@pytest.fixture
def worker() -> Iterator[Worker]:
    own = Worker()
    yield own
    own.stop()


def result(work: Iterator[Any]) -> tuple[list[Any], Any]:
    """What it told, and what came of it."""
    told = []
    while True:
        try:
            told.append(next(work))
        except StopIteration as end:
            return [own for own in told if own], end.value


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_jobs_are_done_in_one_other_process_which_survives_errors(worker: Worker) -> None:
    told, pid = result(worker.run(count, 3))
    assert told == [(1, 3), (2, 3), (3, 3)] and pid == worker.pid != os.getpid()
    with pytest.raises(DdspZooError, match="^Do this instead.$"):
        result(worker.run(fail, "ours"))
    with pytest.raises(DdspZooError, match="^ValueError: that was wrong .unexpected.*$"):
        result(worker.run(fail, "other"))
    assert result(worker.run(count, 1)) == ([(1, 1)], pid)
    with pytest.raises(DdspZooError, match="ended without a word"):
        result(worker.run(fail, "killed"))
    assert worker.pid is None


@pytest.mark.parametrize("how", ["given up", "stopped"])
def test_work_ends_when_nobody_wants_it(how: str, worker: Worker, tmp_path: Path) -> None:
    work, alive = worker.run(never_end, tmp_path / "alive"), tmp_path / "alive"
    next(work)
    wait_for(alive.exists)
    pid = worker.pid
    if how == "given up":
        work.close()
    else:
        worker.stop()
        with pytest.raises(DdspZooError, match="^Stopped"):
            result(work)
    assert worker.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
