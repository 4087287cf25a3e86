"""Every released checkpoint: complete, loadable, described, and of the size that git can carry."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from released import one_of_a_kind
from tiny import music

from ddsp_zoo import zoo
from ddsp_zoo.corpora import RenderedBand
from ddsp_zoo.measuring.drums import evaluate_drums, summarise_drums, systems

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))
FOLDERS = sorted(path.parent for path in (ROOT / "checkpoints").glob("*/model.safetensors"))


def test_all_models_of_the_manifest_are_here() -> None:
    own = [name for name in zoo.list_models() if "stem_of" not in zoo.info(name)]
    assert [folder.name for folder in FOLDERS] == own


def test_exE8_is_exE7_with_a_tracker() -> None:
    """So what the one reaches with given pitch, the other does."""
    own, given = zoo.load("exE8"), zoo.load("exE7")
    assert own.tracker is not None and given.tracker is None
    weights = {name: value for name, value in own.state_dict().items() if not name.startswith("tracker.")}
    assert (
        all(torch.equal(weights.pop(name), value) for name, value in given.state_dict().items())
        and not weights
    )


def test_a_name_that_is_a_stem_of_another_model_gives_that_stem() -> None:
    guitar, band = zoo.load("ast_ddsp_guitar"), zoo.load("ast_ddsp_all")
    assert guitar.weights_sha256 == band.weights_sha256 and guitar.targets == ("guitar",)
    audio = music(20000, 2)
    alone, among = guitar.separate(audio, 8000), band.separate(audio, 8000)
    assert list(alone.stems) == ["guitar"] and alone.maker.model == "ast_ddsp_guitar"
    np.testing.assert_allclose(alone.stems["guitar"], among.stems["guitar"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(alone.stems["guitar"] + alone.residual, audio, rtol=0, atol=1e-6)
    np.testing.assert_allclose(alone.render("guitar"), among.synthesised["guitar"], rtol=0, atol=1e-6)
    assert zoo.info("ast_ddsp_guitar")["card"] == zoo.info("ast_ddsp_all")["card"]


@pytest.mark.parametrize("name", one_of_a_kind([folder.name for folder in FOLDERS]))
def test_checkpoint(name: str) -> None:
    folder = ROOT / "checkpoints" / name
    assert (folder / "model.safetensors").stat().st_size < 25e6
    model, row = zoo.load(folder.name), zoo.info(folder.name)
    assert not model.training
    assert list(model.sources) == row["sources"] and model.sample_rate == row["sample_rate"]
    assert all(row["licences"].values())
    frames = model.segment_samples // model.hop_samples
    pitch = torch.full((1, len(model.sources), frames), 200.0)
    audio = 0.1 * torch.randn(1, model.segment_samples, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rendered = model(audio, pitch, torch.zeros_like(pitch)) if model.needs_pitch else model(audio)
    assert rendered.sources.isfinite().all()
    torch.testing.assert_close(model.masked(audio, rendered).sum(1), audio, atol=1e-4, rtol=0)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_card_says_what_was_measured(folder: Path) -> None:
    from release import measured

    summary = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    card = (folder / "card.md").read_text(encoding="utf-8")
    assert card.endswith(measured(summary))
    assert all(f"## {heading}" in card for heading in ("Trained on", "Weaknesses", "Licence"))


SEPARATING = [folder for folder in FOLDERS if len(zoo.info(folder.name)["sources"]) > 1]


@pytest.mark.parametrize("folder", SEPARATING, ids=lambda folder: folder.name)
def test_masked_stems_gain_three_decibels_over_the_mixture(folder: Path) -> None:
    results = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))["results"]
    mean = {r["system"]: r["mean"] for r in results if r["source"] == "all" and r["metric"] == "si_sdr_db"}
    assert max(mean["masked"], mean["masked_power"]) >= mean["mixture"] + 3


def test_the_transcriber_of_ast_ddsp_all_hears_the_drums_of_rendered_bands(tmp_path: Path) -> None:
    corpus = RenderedBand(
        str(tmp_path), 0, 0, 4, track_seconds=12.0, render_rate=44100, render_seed=1, singing_share=0.0
    )
    compared = {"true stem": systems(zoo.load("ast_ddsp_all").transcriber)["true stem"]}
    summary = {row["instrument"]: row for row in summarise_drums(evaluate_drums(corpus, compared))}
    assert min(summary[name]["f_measure"] for name in ("kick", "snare", "hi-hat")) > 0.8
