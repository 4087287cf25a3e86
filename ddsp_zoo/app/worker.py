"""Work in a process of its own, which can be ended at any moment."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

from ddsp_zoo.errors import DdspZooError

WAIT_SECONDS = 0.25  # between two looks at whether anybody still wants the work
END_SECONDS = 3.0  # that a process is given to end
Told = tuple[float, float] | None  # how much is done, and of how much; None where that is not known


class Worker:
    """Runs jobs, one at a time, in a process that stays for the next one.

    What a process needs to load, it loads once. It ends with this one, and when its job is given up.
    """

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Returns the number of the process, None where there is none."""
        return self._process.pid if self._process and self._process.is_alive() else None

    def run(self, function: Callable[..., Any], *arguments: Any) -> Iterator[Told]:
        """Yields how far ``function(tell, *arguments)`` has come, a few times a second, and returns its result.

        The function and its arguments have to be picklable; it calls ``tell(done, total)``. When this generator is
        closed before its end, the process is ended, and with it the work.

        Raises:
            DdspZooError: what the function raises, in its words.
        """
        self._start()
        pipe, answered = self._pipe, False
        try:
            pipe.send((function, arguments))
            while True:
                kind, content = pipe.recv() if pipe.poll(WAIT_SECONDS) else ("told", None)
                if kind != "told":
                    answered = True
                    break
                yield content
        except (EOFError, OSError) as error:
            if self._process is None:
                raise DdspZooError("Stopped, and nothing was kept of it.") from error
            raise DdspZooError(
                "The work has ended without a word, as it does where the memory is full: take a shorter recording."
            ) from error
        finally:
            if not answered:
                self.stop()
        if kind == "error":
            raise DdspZooError(content)
        return content

    def stop(self) -> None:
        """Ends the process at once, whatever it is doing; a job that runs there raises `DdspZooError`."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        process.join(END_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()

    def _start(self) -> None:
        if self.pid is not None:
            return
        self.stop()
        context = multiprocessing.get_context(
            "spawn"
        )  # a forked process would inherit locked threads of torch
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()


def _serve(pipe: Connection) -> None:
    """Does one job after the other, until nobody is there any more to want one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: the other process ends this one
    with contextlib.suppress(EOFError, OSError):
        while True:
            function, arguments = pipe.recv()
            pipe.send(_answer(function, arguments, lambda done, total: pipe.send(("told", (done, total)))))


def _answer(
    function: Callable[..., Any], arguments: tuple[Any, ...], tell: Callable[..., None]
) -> tuple[str, Any]:
    try:
        return "result", function(tell, *arguments)
    except DdspZooError as error:
        return "error", str(error)
    except MemoryError:
        return "error", "The memory does not suffice: take a shorter recording."
    except BrokenPipeError:  # nobody listens
        raise
    except Exception as error:
        first = next(iter(str(error).splitlines()), "")[:200]
        return "error", f"{type(error).__name__}: {first} (unexpected)."
