"""The training in one command: small, on a CPU, from packed sounds to weights."""

import json
import sys
from pathlib import Path

import pytest
import soundfile as sf
import yaml
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests" / "music")]

import train_on_gpu  # noqa: E402
from test_packed_sounds import note, pack_font, pack_pieces, piece  # noqa: E402

from ddsp_zoo.models import AstDdsp  # noqa: E402

RATE = 8000


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    """A font, two pieces, a guitar alone, and an excerpt for validation of each kind."""
    folder = pack_font(tmp_path / "sounds")
    for name in ("pieces", "performances"):
        pack_pieces([piece()], folder / f"{name}.xz")
    for file, midi in (
        ("guitars/a.ogg", 50), ("validation/0/bass.ogg", 40), ("validation/0/drums.ogg", 60),
        ("validation/0/guitar.ogg", 52), ("validation/0/other.ogg", 64), ("songs/s/guitar.ogg", 52),
        ("songs/s/song.ogg", 60),
    ):  # fmt: skip
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, note(midi, seconds=3.0).audio, 2 * RATE)
    return folder


def write_recipe(path: Path) -> Path:
    settings = {
        "sample_rate": RATE, "segment_seconds": 1.024, "hop_samples": 128, "network": "axial", "windows": [0.25, 2.0],
        "treble_weight": 0.1, "error_every": 2, "exact_below_hz": 500.0, "error_seconds": 0.512,
    }  # fmt: skip
    path.write_text(
        yaml.safe_dump({"model": {"class_path": "ddsp_zoo.models.AstDdsp", "init_args": settings}})
    )
    return path


def test_from_packed_sounds_to_weights(tmp_path: Path, sounds: Path) -> None:
    recipe = write_recipe(tmp_path / "recipe.yaml")
    options = [
        str(recipe),
        "--sounds",
        str(sounds),
        "--out",
        str(tmp_path / "out"),
        "--work",
        str(tmp_path / "work"),
    ]
    small = "--smoke --workers 1 --track-seconds 3 --capacity 3 --first-tracks 1 --batch 2 --log-every 2 --steps 3"
    trained = train_on_gpu.main([*options, *small.split(), "--render-seconds", "5"])
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["steps"] == 3 and summary["tracks"] >= 1 and summary["device"] == "cpu"
    log = (tmp_path / "out" / "log.csv").read_text()
    assert "masked=" in log and "treble=" in log and "validation=songs" in log and "drums_mixture=" in log
    weights = load_file(tmp_path / "out" / "weights.safetensors")
    again = AstDdsp(**train_on_gpu.read_settings(recipe, smoke=True))
    again.load_state_dict({name: value.float() for name, value in weights.items()})
    for name, value in trained.state_dict().items():
        assert value.isfinite().all() and (value - weights[name].float()).abs().max() < 1e-3
