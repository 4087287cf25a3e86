"""What the README says is run, not believed."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python)?\n(.*?)```", README, flags=re.DOTALL)
COMMAND_LINES = [
    line.split("#")[0].strip()
    for _, block in BLOCKS
    for line in block.splitlines()
    if line.startswith("ddsp-zoo ")
]


@pytest.fixture
def songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README's commands name."""
    shorten("band", tmp_path / "song.wav")
    shorten("guitar", tmp_path / "guitar.wav")
    shutil.copy(ROOT / "examples/guitar_f0.csv", tmp_path / "f0.csv")
    shorten("choir", tmp_path / "choir.wav")
    (tmp_path / "stems").mkdir()
    shorten("band", tmp_path / "stems" / "vocals.wav")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shorten(example: str, path: Path) -> None:
    """Two seconds of a bundled example from its third on, where everybody plays."""
    audio, rate = sf.read(ROOT / f"examples/{example}.flac", dtype="float32")
    sf.write(path, audio[2 * rate : 4 * rate], rate)


def test_python_example(songs: Path) -> None:
    names: dict[str, Any] = {}
    for code in (block for language, block in BLOCKS if language == "python"):
        exec(compile(code, "README.md", "exec"), names)
    song = names["song"]
    noise = song.render("bass") - song.synthesised["bass"]  # which the example takes away
    assert 1e-4 < np.abs(noise).max() < 1
    assert (
        (songs / "out/residual.wav").exists()
        and (songs / "bass.mid").exists()
        and (songs / "bass.png").exists()
    )


def test_examples_of_synthesisers() -> None:
    page = (ROOT / "docs/synthesisers.md").read_text(encoding="utf-8")
    string, stream = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    played, streamed = {}, {}
    exec(compile(string, "synthesisers.md", "exec"), played)
    assert played["audio"].shape == (1, 125 * 256) and played["audio"][0, 16000:].abs().max() > 0.01
    exec(compile(stream, "synthesisers.md", "exec"), streamed)
    assert streamed["whole"].shape == (1, 6, 250 * 256) and streamed["whole"][..., 16000:].abs().max() > 0.01


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_command(line: str, songs: Path, capsys: pytest.CaptureFixture[str], undrawn: None) -> None:
    arguments = shlex.split(line)[1:]
    if arguments[0] in (
        "evaluate",
        "report",
    ):  # need a corpus: their arguments are checked, their work elsewhere
        arguments += ["--help"]
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 0
    else:
        assert main(arguments) == 0
    assert capsys.readouterr().out


def test_every_command_is_in_the_readme() -> None:
    assert set(COMMANDS) <= {line.split()[1] for line in COMMAND_LINES} | {"info"}


def test_linked_pages_exist() -> None:
    pages = re.findall(r"\]\(([^)#:]+)\)", README)
    assert pages and all((ROOT / page).exists() for page in pages)


def test_recipes_named_in_the_readme_exist() -> None:
    recipes = re.findall(r"--config (\S+\.yaml)", README)
    assert recipes and all((ROOT / recipe).is_file() for recipe in recipes)
