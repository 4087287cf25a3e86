"""A model, a corpus and an export format are added from outside the package: docs/adding_a_model.md is run."""

import json
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile as sf
import torch
import yaml
from tools_loaded import load_tool

import ddsp_zoo
from ddsp_zoo import zoo
from ddsp_zoo.cli import main
from ddsp_zoo.corpora import RenderedStrings
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import GUITAR_STRINGS_HZ
from ddsp_zoo.zoo import manifest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs/adding_a_model.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```(?:python|yaml)\n# (\w+\.(?:py|yaml))\n(.*?)```", PAGE, flags=re.DOTALL))
(SAVING,) = re.findall(r"```python\n(import .*?)```", PAGE, flags=re.DOTALL)
(EXPORTING,) = re.findall(r"```python\n(from my_format .*?)```", PAGE, flags=re.DOTALL)
COMMANDS = [shlex.split(line)[1:] for line in PAGE.splitlines() if line.startswith("ddsp-zoo ")]
(RELEASING,) = [
    shlex.split(line)[2:] for line in PAGE.splitlines() if line.startswith("python tools/release.py ")
]
OWN_MODULES = ("my_strings", "my_corpus", "my_format")
LAST = "runs/my_strings/checkpoints/last.ckpt"


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the page's files, a short recording, and songs for the corpus, where the program is started."""
    place = tmp_path_factory.mktemp("outside")
    for name, text in FILES.items():
        (place / name).write_text(text, encoding="utf-8")
    audio, rate = sf.read(ROOT / "examples/guitar.flac", dtype="float32")
    sf.write(place / "guitar.flac", audio[: 3 * rate], rate)
    shutil.copy(ROOT / "examples/guitar_f0.csv", place / "f0.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setenv("DDSP_ZOO_CACHE", str(place / "cache"))
        patch.setenv("WANDB_MODE", "disabled")
        write_songs(place / "songs")
        yield place
    forget()


@pytest.fixture
def forgotten() -> Iterator[None]:
    """As a new process has it: none of the outside modules is imported."""
    forget()
    yield
    forget()


def forget() -> None:
    for name in OWN_MODULES:
        sys.modules.pop(name, None)


def write_songs(folder: Path) -> None:
    """One rendered piece for each split, under the names that the page's corpus reads."""
    folder.mkdir()
    counts = {f"{split}_tracks": 1 for split in ("train", "validation", "test")}
    rendered = RenderedStrings(str(folder.parent / "rendered"), track_seconds=2.0, **counts)
    rendered.prepare_data()
    for split in ("train", "validation", "test"):
        (track,) = rendered.tracks(split)
        shutil.copy(track.pitch, folder / f"{split}-song.csv")
        for source, (file,) in track.stems.items():
            shutil.copy(file, folder / f"{split}-song-{source}.flac")


def run(number: int) -> None:
    command = COMMANDS[number] + (["--trainer.accelerator", "cpu"] if COMMANDS[number][0] == "fit" else [])
    assert main(command) == 0


def test_the_page_has_two_classes_two_recipes_a_format_and_seven_commands() -> None:
    assert sorted(FILES) == [
        "my_corpus.py",
        "my_corpus.yaml",
        "my_format.py",
        "my_strings.py",
        "my_strings.yaml",
    ]
    assert [command[0] for command in COMMANDS] == [
        "fit",
        "separate",
        "evaluate",
        "fit",
        "evaluate",
        "evaluate",
        "separate",
    ]


def test_a_model_is_trained_separates_and_is_measured(outside: Path, forgotten: None, undrawn: None) -> None:
    run(0)
    last = torch.load(outside / LAST, weights_only=True)
    settings = last["hyper_parameters"]
    assert last["global_step"] == 4 and settings["_class_path"] == "my_strings.MyStrings"
    assert settings["optimiser"]["learning_rate"] == 3e-3 and settings["optimiser"]["decay_every"] == 100
    forget()
    with pytest.raises(DdspZooError, match="'my_strings.MyStrings' is not built"):  # a file alone
        zoo.load("my_strings", checkpoint=LAST)
    run(1)
    assert (outside / "out/guitar/E2.wav").exists() and (outside / "out/guitar/controls.npz").exists()
    forget()
    run(2)
    assert (outside / "evaluation/summary.json").exists()
    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(outside)
        exec(compile(SAVING, "adding_a_model.md", "exec"), {})
        config = yaml.safe_load((outside / "checkpoints/my_strings/config.yaml").read_text())
        assert config["class_path"] == "my_strings.MyStrings" and config["init_args"]["width"] == 16
        kind = sys.modules["my_strings"].MyStrings
        shared = zoo.load("my_strings", checkpoint="checkpoints/my_strings", kind=kind)
        assert shared.network[0].out_features == 16 and shared.mask_power == 2.0
        exec(compile(EXPORTING, "adding_a_model.md", "exec"), {})
    peaks = json.loads((outside / "peaks.json").read_text(encoding="utf-8"))
    assert list(peaks) == list(GUITAR_STRINGS_HZ)
    saved = ddsp_zoo.open(outside / "out/guitar").controls
    for source, levels in peaks.items():
        assert levels["excitation_gain"] == pytest.approx(float(saved[source]["excitation_gain"].max()))


def test_a_model_is_released_and_then_has_a_name(
    outside: Path, forgotten: None, undrawn: None, capsys: pytest.CaptureFixture
) -> None:
    if not (outside / LAST).exists():
        run(0)
        forget()
    release = load_tool("release")
    without = [word for word in RELEASING if word not in ("--weights-licence", "Apache-2.0")]
    assert release.main(without) == 2 and not (outside / "shared").exists()
    assert "has no licence of weights: write it under licences" in capsys.readouterr().err
    forget()
    assert release.main(RELEASING) == 0
    card = (outside / "shared/my_strings/card.md").read_text(encoding="utf-8")
    assert card.startswith("# my_strings\n\nSix strings") and "## Measured" in card and "| masked |" in card
    row = json.loads((outside / "shared/manifest.json").read_text(encoding="utf-8"))["models"]["my_strings"]
    assert row["sources"] == list(GUITAR_STRINGS_HZ) and row["sample_rate"] == 16000
    assert manifest.damaged(outside / "shared/my_strings", row["files"]) == [] and len(row["files"]) == 4
    forget()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DDSP_ZOO_CHECKPOINTS", "shared")
        run(6)
    assert (outside / "by_name/guitar/E2.wav").exists()


def test_a_corpus_is_trained_and_measured_on(outside: Path, forgotten: None, undrawn: None) -> None:
    run(3)
    assert (
        torch.load(outside / "runs/on_my_corpus/checkpoints/last.ckpt", weights_only=True)["global_step"] == 2
    )
    forget()
    assert_measured(outside / "of_my_corpus", by=4)


@pytest.mark.slow
def test_a_released_model_is_measured_on_a_corpus(outside: Path, forgotten: None, undrawn: None) -> None:
    assert_measured(outside / "exE1_on_my_corpus", by=5)


def assert_measured(folder: Path, by: int) -> None:
    run(by)
    protocol = yaml.safe_load((folder / "summary.json").read_text())["protocol"]
    assert (protocol["data"], protocol["tracks"]) == ("MyCorpus", 1)
