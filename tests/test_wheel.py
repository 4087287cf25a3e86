"""The wheel works by itself: small enough for an index, with recipes, cards and three models."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from ddsp_zoo.files.shipped import here_or_shipped, shipped

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = {"ast_ddsp_all", "exE8", "umss_4v"}
MOST_BYTES = 40_000_000


def test_what_is_shipped_is_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert here_or_shipped("recipes/exB4.yaml") == shipped("recipes/exB4.yaml") == ROOT / "recipes/exB4.yaml"
    assert here_or_shipped("nothing.yaml") == Path("nothing.yaml")
    Path("recipes").mkdir()
    Path("recipes/exB4.yaml").write_text("own")
    assert here_or_shipped("recipes/exB4.yaml") == Path("recipes/exB4.yaml")


@pytest.mark.slow
def test_an_installed_wheel_separates_without_the_repository(tmp_path: Path) -> None:
    """A minute of processor time; needs an index for what builds it."""
    pip = [sys.executable, "-m", "pip", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < MOST_BYTES
    assert {Path(name).parent.name for name in names if name.endswith(".safetensors")} == SHIPPED
    assert {"ddsp_zoo/recipes/exB4.yaml", "ddsp_zoo/checkpoints/exB4/card.md"} <= set(names)
    python = installed(wheel, tmp_path / "venv")
    recording = shutil.copy(ROOT / "examples/guitar.flac", tmp_path)
    for name in (*SHIPPED, "exB4"):
        card = run(python, tmp_path, "info", name)
        assert card.returncode == 0 and "## Measured" in card.stdout
    done = run(python, tmp_path, "separate", recording, "--duration", "3", "--no-plot", "--quiet")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/guitar/bass.wav").exists()
    missing = run(python, tmp_path, "separate", recording, "--model", "exB4")
    assert missing.returncode == 2 and "'exB4' is not on this machine" in missing.stderr


def installed(wheel: Path, folder: Path) -> Path:
    """A fresh environment that holds the wheel, and sees what it needs where this process has it."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    # A path in a .pth file is searched, but the .pth files there, such as that of an editable install, are not read.
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    subprocess.run([python, "-m", "pip", "--quiet", "install", "--no-deps", wheel], check=True)
    return python


def run(python: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    own = ("PYTHONPATH", "DDSP_ZOO_CHECKPOINTS", "DDSP_ZOO_HUB")
    environment = {key: value for key, value in os.environ.items() if key not in own}
    command = [python, "-m", "ddsp_zoo.cli", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
