"""What the README says is run, not believed."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import yaml
from edits import band_song, guitar_song
from tools_loaded import load_tool

from ddsp_zoo.cli import COMMANDS, main

ROOT = Path(__file__).parent.parent
systems = load_tool("systems")
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(python)?\n(.*?)```", README, flags=re.DOTALL)
COMMAND_LINES = [
    line.split("#")[0].strip()
    for _, block in BLOCKS
    for line in block.splitlines()
    if line.startswith("ddsp-zoo ")
]
EDIT_COMMANDS = ("render", "transfer")

EDITING = (ROOT / "docs/editing.md").read_text(encoding="utf-8")
(EDITS,) = re.findall(r"```yaml\n(.*?)```", EDITING, flags=re.DOTALL)
EDIT_LINES = [line for line in COMMAND_LINES if line.split()[1] in EDIT_COMMANDS]
EDITING_LINES = [line.split("#")[0].strip() for line in EDITING.splitlines() if line.startswith("ddsp-zoo ")]


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


@pytest.fixture
def made_songs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> Path:
    """Separations and a file of edits, for what edits them."""
    band_song().save(tmp_path / "out/song")
    guitar_song().save(tmp_path / "out/guitar")
    (tmp_path / "edits.yaml").write_text(EDITS)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_page_on_editing(made_songs: Path) -> None:
    names: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", EDITING, flags=re.DOTALL):
        exec(compile(code, "editing.md", "exec"), names)
    assert names["song"].edit("bass").is_changed is False and (made_songs / "out/edited/mixture.wav").exists()
    assert [note.number for note in names["notes"]] == [0, 1]


@pytest.mark.parametrize("line", [*EDITING_LINES, *EDIT_LINES])
def test_command_that_edits(line: str, made_songs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(line)[1:]) == 0
    assert "opens as any separation" in capsys.readouterr().out


def test_edits_of_the_examples_are_read() -> None:
    for example, source in (("band", "bass"), ("guitar", "D3"), ("choir", "alto")):
        edits = yaml.safe_load((ROOT / f"examples/edits/{example}.yaml").read_text())
        assert list(edits) == [source] and f"examples/edits/{example}.yaml" in (ROOT / "Makefile").read_text()


def test_examples_of_synthesisers() -> None:
    page = (ROOT / "docs/synthesisers.md").read_text(encoding="utf-8")
    string, stream = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    played, streamed = {}, {}
    exec(compile(string, "synthesisers.md", "exec"), played)
    assert played["audio"].shape == (1, 125 * 256) and played["audio"][0, 16000:].abs().max() > 0.01
    exec(compile(stream, "synthesisers.md", "exec"), streamed)
    assert streamed["whole"].shape == (1, 6, 250 * 256) and streamed["whole"][..., 16000:].abs().max() > 0.01


@pytest.mark.parametrize("line", [line for line in COMMAND_LINES if line.split()[1] not in EDIT_COMMANDS])
def test_command(line: str, songs: Path, capsys: pytest.CaptureFixture[str], undrawn: None) -> None:
    arguments = shlex.split(line)[1:]
    if arguments[0] in (
        "evaluate",
        "report",
        "app",
    ):  # need a corpus, or never end: their arguments are checked, their work elsewhere
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


def test_the_page_of_all_systems_is_up_to_date() -> None:
    assert (ROOT / "docs/systems.md").read_text(encoding="utf-8") == systems.page(), (
        "run python tools/systems.py"
    )


def test_every_recipe_and_checkpoint_is_on_the_page_of_all_systems() -> None:
    page = (ROOT / "docs/systems.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\(\.\./((?:recipes|checkpoints)/\S+?)\)", page))
    assert all((ROOT / path).is_file() for path in linked)
    recipes = {*ROOT.glob("recipes/*.yaml"), *ROOT.glob("recipes/as_published/*.yaml")}
    there = recipes | {path for path in ROOT.glob("checkpoints/**/card.md")}
    assert {str(path.relative_to(ROOT)) for path in there} == linked


def test_numbers_of_all_systems_are_those_of_their_files() -> None:
    row = {"what": "a", "checkpoint": "exB4", "ours": {"system": "masked"}, "published": 12, "why": "b"}
    results = json.loads((ROOT / "checkpoints/exB4/metrics.json").read_text())["results"]
    wanted = {"system": "masked", "source": "all", "metric": "si_sdr_db"}
    (mean,) = (found["mean"] for found in results if wanted.items() <= found.items())
    *_, ours, published, why = systems._line(row)
    assert ours.startswith(f"{mean:.1f} dB [") and published == "12" and why == f"{mean - 12:+.1f}; b"
    *_, ours, _, why = systems._line(row | {"checkpoint": "exB9"})
    assert ours == "not trained" and why == "b"
