"""The published AST-DDSP: its size to the weight, and what each of its quirks does."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from published_ast import published_ast
from torch import Tensor, nn

from ddsp_zoo import zoo
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models import PublishedAstDdsp, published_ast_ddsp
from ddsp_zoo.models.published_ast_ddsp import QUIRKS, is_loud
from ddsp_zoo.settings.build import call, plain

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
TINY = {"width": 32, "depth": 1, "heads": 2, "sinusoids": 3, "bins": 8, "noise_bands": 9}
ALONE = [pytest.param((quirk,), marks=pytest.mark.slow) for quirk in QUIRKS]
EVERY = pytest.mark.parametrize("quirks", [(), tuple(QUIRKS), *ALONE], ids="+".join)


def tiny(*quirks: str, **settings: object) -> PublishedAstDdsp:
    torch.manual_seed(0)
    model = PublishedAstDdsp(**(TINY | {"quirks": quirks} | settings)).eval()
    model.log_dict = lambda *values, **options: None
    return model


def batch_of(level: float = 1.0) -> dict[str, Tensor]:
    """Two clips of a note that fades, and a steady one of something else."""
    time = torch.arange(16000) / 8000
    stem = torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in (110, 220)]) * torch.exp(-3 * time)
    rest = 0.3 * torch.sin(2 * torch.pi * 700 * time).expand(2, -1)
    sources = 0.5 * level * torch.stack([stem, rest], dim=1)
    return {"mixture": sources.sum(1), "sources": sources}


def loss_of(model: PublishedAstDdsp, batch: dict[str, Tensor], stage: str = "train") -> Tensor | None:
    return model._step(batch, stage, torch.Generator().manual_seed(0))


def skeleton(monkeypatch: pytest.MonkeyPatch, **settings: object) -> PublishedAstDdsp:
    """A model of full size whose weights exist only as shapes."""
    monkeypatch.setattr(published_ast_ddsp, "ClipMel", lambda *sizes, **options: nn.Identity())
    with torch.device("meta"):
        return call(PublishedAstDdsp, settings)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# Size


def test_the_published_model_has_407_million_weights_in_one_layer_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = yaml.safe_load((RECIPES / "as_published/ast_ddsp_bass.yaml").read_text(encoding="utf-8"))
    model = skeleton(monkeypatch, **recipe["model"]["init_args"])
    assert model.network.head[-1].out_features == 416_066 == 64 * 100 * (64 + 1) + 1 + 65
    assert model.network.rows * model.network.columns == 24 and model.frames == 64
    assert count(model) == 406_769_170 and count(model.network.head[-1]) == (768 + 1) * 416_066


def test_the_papers_model_tells_everything_every_62_5_ms(monkeypatch: pytest.MonkeyPatch) -> None:
    model = skeleton(monkeypatch)
    assert model.hop_samples / model.sample_rate == 0.0625
    assert model.network.head[-1].out_features == 32 * (100 * 65 + 1 + 65)
    assert count(model) == 246_852_544


def test_published_recipes_have_every_quirk_and_differ_in_their_stem_alone() -> None:
    rest = set()
    for path in sorted(RECIPES.glob("as_published/ast_ddsp_*.yaml")):
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
        stem = path.stem.removeprefix("ast_ddsp_")
        assert recipe.pop("name") == f"{path.stem}_as_published"
        settings = recipe["model"]["init_args"]
        assert settings.pop("sources") == [stem, "rest"] and set(settings["quirks"]) == set(QUIRKS)
        rest.add(str(recipe))
    assert len(rest) == 1


# All quirks


@EVERY
def test_a_clip_becomes_stem_rest_and_controls(quirks: tuple[str, ...]) -> None:
    model, batch = tiny(*quirks, hop_samples=250), batch_of()
    with torch.no_grad():
        out = model(batch["mixture"], generator=torch.Generator().manual_seed(0))
        masked = model.masked(batch["mixture"], out)
    torch.testing.assert_close(out.sources.sum(1), batch["mixture"])
    torch.testing.assert_close(masked.sum(1), batch["mixture"])
    sizes = {"frequency_hz": 3, "amplitude": 3, "loudness": 1, "noise_magnitude": 9}
    assert {k: tuple(v.shape) for k, v in out.controls.items()} == {
        k: (2, 2, 64, n) for k, n in sizes.items()
    }
    assert out.controls["loudness"][:, 0].min() > 0 and not out.controls["loudness"][:, 1].any()


@EVERY
@pytest.mark.parametrize("level", [1.0, 100.0])
def test_loss_is_finite_and_reaches_all_that_learns(quirks: tuple[str, ...], level: float) -> None:
    model = tiny(*quirks)
    loss = loss_of(model, batch_of(level))
    loss.backward()
    assert loss.isfinite()
    learns = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, grad in learns.items() if grad is None or not grad.isfinite().all()] == []
    assert [name for name, grad in learns.items() if not grad.any()] == []


@EVERY
@pytest.mark.parametrize("scale", [30.0, 1e4])
def test_whatever_the_network_says_the_sound_is_finite(quirks: tuple[str, ...], scale: float) -> None:
    model = tiny(*quirks)
    with torch.no_grad():
        model.network.head[-1].weight *= scale
        out = model(batch_of()["mixture"])
    assert out.sources.isfinite().all() and out.sources.abs().max() < 100


@pytest.mark.parametrize(
    "quirks", [(), pytest.param(tuple(QUIRKS), marks=pytest.mark.slow)], ids=["paper", "code"]
)
def test_one_batch_can_be_learnt(quirks: tuple[str, ...]) -> None:
    model = tiny(*quirks, optimiser=Optimiser(3e-3, decay_every=10_000))
    batch, adam = batch_of(), model.configure_optimizers()["optimizer"]
    losses = []
    for _ in range(30):
        adam.zero_grad()
        losses.append(loss_of(model, batch))
        losses[-1].backward()
        adam.step()
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize("quirks", [(), tuple(QUIRKS)], ids=["paper", "code"])
def test_settings_and_weights_build_the_model_again(quirks: tuple[str, ...], tmp_path: Path) -> None:
    model = tiny(*quirks, optimiser=Optimiser(betas=(0.95, 0.999)))
    zoo.save_checkpoint(model, tmp_path)
    loaded = zoo.load("own", checkpoint=tmp_path)
    assert loaded.quirks == set(quirks) and plain(dict(loaded.hparams)) == plain(dict(model.hparams))
    assert loaded.optimiser == model.optimiser
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 50_000)).astype(np.float32)
    result = loaded.separate(audio, 16000)
    assert list(result.stems) == ["bass"] and result.stems["bass"].shape == audio.shape
    np.testing.assert_allclose(result.stems["bass"] + result.residual, audio, atol=1e-5)
    assert result.controls["bass"]["loudness"].shape[1] == 1 and result.controls["bass"]["f0_hz"].ndim == 1


# One by one


@pytest.mark.parametrize("quirk, name", [("clip_loudness", "loudness"), ("clip_noise", "noise_magnitude")])
def test_what_counts_for_the_clip_is_the_same_in_all_frames(quirk: str, name: str) -> None:
    for quirks in ((), (quirk,), tuple(QUIRKS)):
        with torch.no_grad():
            value = tiny(*quirks)(batch_of()["mixture"]).controls[name][:, 0]
        assert bool((value.amax(1) - value.amin(1) < 1e-6).all()) is (quirk in quirks)


def test_own_level_makes_the_level_change_what_is_heard() -> None:
    quiet, loud = (batch_of(level)["mixture"] for level in (0.1, 1.0))
    for quirks, same in (((), True), (("own_level", "power_mel"), False)):
        model = tiny(*quirks)
        with torch.no_grad():
            a, b = (model(x, generator=torch.Generator().manual_seed(0)) for x in (quiet, loud))
        same_frequencies = torch.allclose(a.controls["frequency_hz"], b.controls["frequency_hz"], rtol=1e-4)
        assert same_frequencies is same
        assert torch.allclose(10 * a.sources, b.sources, rtol=1e-3, atol=1e-4) is same


def test_a_weighting_hardly_hears_a_bass() -> None:
    model, weighted = tiny(), tiny("a_weighting")
    time = torch.arange(16000) / 8000
    low, high = (0.1 * torch.sin(2 * torch.pi * hz * time) for hz in (60, 2000))
    target = (low + high).expand(1, 1, -1)
    plain, ear = (
        m.loss(high.expand_as(target), target) / m.loss(low.expand_as(target), target)
        for m in (model, weighted)
    )
    assert ear < 0.8 * plain  # what it costs to miss the low tone, against the high one


def test_dropped_silence_gives_no_loss_and_so_no_step() -> None:
    batch, quiet = batch_of(), batch_of(0.02)
    assert is_loud(batch).all() and not is_loud(quiet).any()
    mixed = {name: torch.stack([batch[name][0], quiet[name][1]]) for name in batch}
    silent_stem = {name: value.clone() for name, value in batch.items()}
    silent_stem["sources"][:, 0] = 0
    assert is_loud(mixed).tolist() == [True, False] and not is_loud(silent_stem).any()
    first = {name: value[:1] for name, value in batch.items()}
    for quirks, dropped in (((), False), (("silence_dropped",), True)):
        model = tiny(*quirks)
        for stage in ("train", "validation"):
            assert (loss_of(model, silent_stem, stage) is None) is dropped
        assert loss_of(model, silent_stem, "test") is not None
        assert torch.allclose(loss_of(model, mixed), loss_of(model, first), rtol=1e-3) is dropped


def test_a_silent_batch_of_one_of_several_processes_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others wait for its gradients in training, and for its losses in validation."""
    model, logged = tiny("silence_dropped"), []
    model.log_dict = lambda values, **options: logged.append((values, options))
    model.trainer = SimpleNamespace(world_size=2)
    monkeypatch.setattr(PublishedAstDdsp, "trainer", model._trainer)
    loss_of(model, batch_of(0.02)).backward()
    assert all(not weight.grad.any() for weight in model.parameters() if weight.requires_grad)
    assert loss_of(model, batch_of(0.02), "validation") is None and loss_of(model, batch_of(), "validation")
    (nothing, options), (something, as_well) = logged
    assert nothing.keys() == something.keys() and options == as_well | {"batch_size": 0}


def test_positions_are_taken_over_when_training_starts(tmp_path: Path) -> None:
    there = tiny().network.transformer
    published_ast(128, 1 + 32000 // 512, there.width, there.depth, there.heads).save_pretrained(tmp_path)
    got = []
    for quirks in ((), ("swapped_axes",)):
        model = tiny(*quirks, pretrained=str(tmp_path))
        places = model.network.transformer.embeddings.position_embeddings
        before = places.clone()
        model.setup("validate")
        assert torch.equal(places, before)
        model.setup("fit")
        got.append(model.network.transformer.embeddings.position_embeddings[0, 2:])
    assert not torch.equal(got[0], before[0, 2:]) and not torch.allclose(*got)


def test_the_pitch_of_a_stem_is_read_off_unless_it_has_none() -> None:
    stems = batch_of()["sources"]
    for stem, pitched in (("bass", True), ("drums", False)):
        model = tiny(sources=(stem, "rest"))
        f0 = model.hear(stems[:, :1])["f0_hz"]
        assert f0.shape == (2, 1, 32, 1) and bool(f0[:, 0, 4:8].gt(50).all()) is pitched


# Settings


def test_adam_is_the_published_one() -> None:
    made = tiny(optimiser=Optimiser(3e-4, 5e-7, 7800, (0.95, 0.999))).configure_optimizers()
    group, decay = made["optimizer"].param_groups[0], made["lr_scheduler"]["scheduler"]
    assert (group["lr"], tuple(group["betas"]), group["weight_decay"]) == (3e-4, (0.95, 0.999), 5e-7)
    assert (decay.step_size, decay.gamma) == (7800, 0.98)


@pytest.mark.parametrize(
    "sources", [("bass",), ("bass", "drums"), ("rest", "bass"), ("bass", "drums", "rest")]
)
def test_it_is_one_model_a_stem(sources: tuple[str, ...]) -> None:
    with pytest.raises(DdspZooError, match="one model a stem.*'rest'"):
        tiny(sources=sources)


def test_an_unknown_quirk_is_told() -> None:
    with pytest.raises(DdspZooError, match="no quirk 'reverb' of AST-DDSP.*clip_loudness.*silence_dropped"):
        tiny("reverb")


def test_clips_of_another_length_are_refused() -> None:
    with pytest.raises(DdspZooError, match="clips of 16000 samples, got 8000"):
        tiny()(torch.zeros(1, 8000))
