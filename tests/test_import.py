"""`import ddsp_zoo` is quick, and brings nothing heavy along."""

import subprocess
import sys

import pytest

import ddsp_zoo

HEAVY = ("torch", "transformers", "wandb", "lightning", "matplotlib", "torchaudio", "scipy")
REPORT = f"""
import sys, time
start = time.perf_counter()
import ddsp_zoo
seconds = time.perf_counter() - start
print(seconds, *(name for name in {HEAVY} if name in sys.modules))
"""


def report() -> list[str]:
    return subprocess.check_output([sys.executable, "-c", REPORT], text=True).split()


def test_import_is_light_and_takes_under_half_a_second():
    runs = [report() for _ in range(3)]
    assert [heavy for _, *heavy in runs] == [[], [], []]
    assert min(float(seconds) for seconds, *_ in runs) < 0.5


@pytest.mark.parametrize("name", ddsp_zoo.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ddsp_zoo, name).__name__ == name


def test_other_names_are_not():
    with pytest.raises(AttributeError, match="'ddsp_zoo' has no attribute 'nothing'"):
        ddsp_zoo.nothing  # noqa: B018
    with pytest.raises(ImportError):
        from ddsp_zoo import nothing  # noqa: F401


def test_the_version_is_a_version():
    assert len([int(part) for part in ddsp_zoo.__version__.split(".")]) == 3
