"""The training in one command: small, on a CPU, from packed sounds to a checkpoint."""

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile as sf
import torch
import yaml
from packed import RATE, note, pack_font, piece

from ddsp_zoo import zoo
from ddsp_zoo.models import AstDdsp
from ddsp_zoo.music.band.farm import finished, packed_band, render_track, unpack_all
from ddsp_zoo.music.band.packed_sounds import pack_pieces
from ddsp_zoo.music.band.scores import STEMS
from ddsp_zoo.training.stem_pool import StemPool, songs
from ddsp_zoo.training.timed import Pace, Run, train

TOOL = Path(__file__).parents[2] / "tools" / "train_on_gpu.py"
SETTINGS = {
    "sample_rate": RATE,
    "segment_seconds": 1.024,
    "bands": 16,
    "network": "axial",
    "windows": [0.25, 2.0],
    "widths": [4, 4, 8, 8],
    "width": 8,
    "depth": 2,
    "heads": 2,
    "treble_weight": 0.1,
    "error_every": 2,
    "error_seconds": 0.512,
    "exact_below_hz": 500.0,
}


@pytest.fixture
def tool() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("train_on_gpu", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A font, a piece, a guitar alone, a song, and an excerpt of a band and of a song for validation."""
    folder = pack_font(tmp_path / "sounds")
    for name in ("pieces", "performances"):
        pack_pieces([piece()], folder / f"{name}.xz")
    songs = {f"{kind}/a/{stem}": 50 for kind in ("songs", "validation_songs") for stem in ("guitar", "other")}
    pitches = {
        "guitars/a": 50,
        **songs,
        **{f"validation/0/{stem}": 40 + 6 * n for n, stem in enumerate(STEMS)},
    }
    for file, midi in pitches.items():
        path = folder / f"{file}.ogg"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, note(midi, seconds=3.0).audio, 2 * RATE)
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    config = {"class_path": "ddsp_zoo.models.AstDdsp", "init_args": SETTINGS}
    path.write_text(yaml.safe_dump({"model": config}))
    return path


def test_a_training_ends_in_a_checkpoint_that_loads_and_can_be_gone_on_from(
    tmp_path: Path, sounds: Path, recipe: Path, tool: ModuleType
) -> None:
    banks, tracks, out = (tmp_path / name for name in ("banks", "tracks", "out"))
    unpack_all(sounds, banks, 1)
    render_track(packed_band(sounds, banks, 3.0, RATE, seed=0), tracks, 0)
    recorded = songs(sounds / "songs", 3 * RATE, RATE)
    pool = StemPool(2, 3 * RATE, RATE, torch.device("cpu"), songs=recorded)
    for track in finished(tracks):
        pool.add(track)
    report = tool.reporter(out, tool.excerpts_by_kind(sounds, RATE))
    model = tool.make_model(recipe, None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pace = Pace(600, steps=3, batch=2, warm_steps=1)
    trained = train(Run(model, pace), pool, pace, 0, report)
    again = zoo.load("mine", checkpoint=out)
    assert again.sources == trained.sources and again.pictures.channels == 4
    for name, value in trained.state_dict().items():
        assert (value - again.state_dict()[name]).abs().max() < 1e-3
    assert any((value - before[name]).abs().max() > 1e-4 for name, value in trained.state_dict().items())
    row = json.loads((out / "log.jsonl").read_text())
    assert row["step"] == 3 and {"masked", "treble", "level", "drums_mixture", "song_guitar"} <= set(row)
    onwards = tool.make_model(recipe, str(out))
    assert torch.equal(onwards.network.head.weight, again.network.head.weight)


def test_a_run_that_is_resumed_goes_on_as_if_it_had_not_been_stopped(
    tmp_path: Path, recipe: Path, tool: ModuleType
) -> None:
    pool = StemPool(1, 3 * RATE, RATE, torch.device("cpu"))
    pool.add(np.random.default_rng(0).integers(-9000, 9000, (len(STEMS), 3 * RATE), dtype=np.int16))

    def taught(run: Run, steps: int, seed: int) -> AstDdsp:
        pace = Pace(600, steps=steps, batch=1, warm_steps=1, learning_rate=1e-2)
        return train(run, pool, pace, seed, lambda run, row: run.save(tmp_path / "run.pt"))

    def new() -> Run:
        torch.manual_seed(0)
        return Run(tool.make_model(recipe, None), Pace(600))

    run = new()
    taught(run, 2, 0)
    whole = taught(run, 4, 1)
    stopped = new()
    taught(stopped, 2, 0)
    resumed = new()
    resumed.resume(tmp_path / "run.pt")
    assert resumed.step == 2 and resumed.seconds == stopped.seconds > 0
    onwards = taught(resumed, 4, 1)
    for name, value in whole.state_dict().items():
        assert torch.allclose(value, onwards.state_dict()[name], atol=1e-5), name


@pytest.mark.slow
def test_one_command_renders_beside_the_training(
    tmp_path: Path, sounds: Path, recipe: Path, tool: ModuleType
) -> None:
    small = "--seconds 600 --steps 2 --batch 2 --workers 1 --track-seconds 3 --capacity 3 --first-tracks 1"
    tool.main([str(recipe), "--sounds", str(sounds), "--out", str(tmp_path / "out"), *small.split()])
    assert zoo.load("mine", checkpoint=tmp_path / "out").sample_rate == RATE


@pytest.mark.slow
def test_nothing_renders_on_when_the_training_was_killed(tmp_path: Path, sounds: Path, recipe: Path) -> None:
    options = "--seconds 600 --workers 1 --track-seconds 3 --capacity 3 --first-tracks 1000"
    command = [sys.executable, TOOL, recipe, "--sounds", sounds, "--out", tmp_path, *options.split()]
    with subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL) as training:
        tracks = tmp_path / "work" / "tracks"
        wait_until(lambda: list(tracks.glob("[0-9]*.npy")))
        training.kill()
    sizes: list[int] = []

    def rests() -> bool:
        sizes.append(len(list(tracks.glob("*.npy"))))
        return len(sizes) > 40 and sizes[-1] == sizes[-40]

    wait_until(rests)


def wait_until(met: Callable[[], object], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end
        time.sleep(0.1)
