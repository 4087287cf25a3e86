"""One function on many inputs."""

import time

import pytest

from ddsp_zoo.files.processes import run_all


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_results_come_in_the_order_of_the_jobs(workers: int) -> None:
    jobs = [(base, 2) for base in (5, 3, 4)]
    assert run_all(pow, jobs, workers, "squaring", "number") == [25, 9, 16]
    assert run_all(pow, [], workers, "squaring", "number") == []


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_an_error_of_a_job_is_raised(workers: int) -> None:
    with pytest.raises(ZeroDivisionError):
        run_all(divmod, [(1, 1), (1, 0)], workers, "dividing", "number")


@pytest.mark.slow
def test_after_an_error_what_waits_is_not_begun() -> None:
    begin = time.monotonic()
    with pytest.raises(ValueError):
        run_all(time.sleep, [(-1,), *[(3,)] * 20], 2, "waiting", "second")
    assert time.monotonic() - begin < 25  # two would take half a minute for all
