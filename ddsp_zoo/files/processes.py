"""Runs the same function on many inputs, with a progress bar, in one process or several."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_all(
    function: Callable[..., Result],
    jobs: Sequence[tuple[Any, ...]],
    workers: int,
    text: str,
    unit: str,
    done: Callable[[Result], Any] = lambda result: None,
    quiet: bool = False,
) -> list[Result]:
    """Calls ``function(*job)`` for each job and returns the results in the order of the jobs.

    ``text`` and ``unit`` are shown in the progress bar, which appears only where there is something to do, and not
    where it shall be ``quiet``.
    ``workers`` > 1 runs the jobs in that many processes; the function and its arguments then have to be picklable.
    ``done`` is called here with each result as soon as it is there.
    """
    if not jobs:
        return []
    from tqdm import tqdm

    results: list[Any] = [None] * len(jobs)
    with tqdm(total=len(jobs), desc=text, unit=unit, disable=quiet) as progress:
        if workers < 2:
            for place, job in enumerate(jobs):
                results[place] = function(*job)
                progress.update()
                done(results[place])
            return results
        # A forked process would inherit locked threads of torch.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            places = {pool.submit(function, *job): place for place, job in enumerate(jobs)}
            try:
                for future in as_completed(places):
                    results[places[future]] = future.result()
                    progress.update()
                    done(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # or all that wait would still be done
                raise
    return results
