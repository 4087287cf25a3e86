"""`import torchaudio` beside a torch that its extension was not built for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ddsp_zoo._compat import import_torchaudio

REPORT = """
import sys
from ddsp_zoo._compat import import_torchaudio
module = import_torchaudio()
print(module.__file__, module.functional.answer, sys.modules["torchaudio._extension"].__dict__.get("marker"))
assert module is import_torchaudio() is sys.modules["torchaudio"]
"""
ROOT = Path(__file__).parents[1]


def write_torchaudio(folder: Path, extension: str) -> None:
    """A package as torchaudio is built: functions in Python, and an extension that it loads first."""
    package = folder / "torchaudio"
    for name, text in {
        "": "from torchaudio._extension import _IS_TORCHAUDIO_EXT_AVAILABLE, fail_if_no_align\n"
        "from torchaudio import functional\n",
        "_extension": f"{extension}\n_IS_TORCHAUDIO_EXT_AVAILABLE = True\nmarker = 'own'\n"
        "def fail_if_no_align(function): return function\n",
        "functional": "import torchaudio._extension as e\nanswer = e.fail_if_no_align(lambda: 42)()\n",
    }.items():
        (package / name).mkdir(parents=True, exist_ok=True)
        (package / name / "__init__.py").write_text(text)


def run(folder: Path, code: str = REPORT) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_a_torchaudio_that_works_is_left_as_it_is(tmp_path):
    write_torchaudio(tmp_path, "")
    done = run(tmp_path)
    assert done.stdout.split() == [str(tmp_path / "torchaudio" / "__init__.py"), "42", "own"], done.stderr


@pytest.mark.parametrize("error", ["OSError('libcudart')", "ImportError('symbol')", "RuntimeError('CUDA')"])
def test_a_torchaudio_whose_extension_fails_is_cured(tmp_path, error):
    write_torchaudio(tmp_path, f"raise {error}")
    assert run(tmp_path, "import torchaudio").returncode != 0
    done = run(tmp_path)
    assert done.stdout.split() == [str(tmp_path / "torchaudio" / "__init__.py"), "42", "None"], done.stderr


def test_a_torchaudio_that_is_broken_elsewhere_stays_broken(tmp_path):
    write_torchaudio(tmp_path, "")
    (tmp_path / "torchaudio" / "functional" / "__init__.py").write_text("raise OSError('disk')")
    done = run(tmp_path)
    assert done.returncode != 0 and "OSError: disk" in done.stderr


def test_a_missing_torchaudio_is_not_invented(tmp_path):
    code = "import sys; sys.modules['torchaudio'] = None\n" + REPORT
    done = run(tmp_path, code)
    assert done.returncode != 0 and "ModuleNotFoundError" in done.stderr


def test_the_installed_torchaudio_does_what_the_package_needs():
    functional = import_torchaudio().functional
    assert functional.melscale_fbanks(65, 20.0, 4000.0, 10, 8000).shape == (65, 10)
