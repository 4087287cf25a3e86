"""Kernels where compiled code can be kept, and where it cannot."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
from ddsp_zoo.dsp.compiled import kernel


@kernel
def twice(x):
    return 2 * x


@kernel
def thrice(x):
    return 3 * x


print(twice(2.0), thrice(2.0))
"""


@pytest.mark.parametrize("writable", [True, False])
def test_a_kernel_is_kept_where_that_can_be_and_works_where_it_cannot(tmp_path: Path, writable: bool) -> None:
    """No permissions are used, which bind no root: files lie where folders would be made."""
    (tmp_path / "kernels.py").write_text(MODULE)
    (tmp_path / "file").touch()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "HOME": str(tmp_path / "file"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    environment |= {
        "XDG_CACHE_HOME": str(tmp_path / "file/cache"),
        "NUMBA_CACHE_DIR": str(tmp_path / "file/kept"),
    }
    if not writable:
        (tmp_path / "__pycache__").touch()
    command = [sys.executable, "kernels.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["4.0", "6.0"]
    assert done.stderr.count("compiled code cannot be kept here") == (0 if writable else 1)
    assert bool(list(tmp_path.rglob("*.nbi"))) is writable
