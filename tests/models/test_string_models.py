"""Models of strings from their recipes: sizes, options, quirks of the network, divergence."""

import math
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from guitar import (
    FRAMES,
    HOP,
    HZ,
    ONSET,
    RATE,
    RECIPES,
    RICHEST,
    STRINGS,
    SUCCESSORS,
    assert_sound,
    build,
    make_batch,
    run,
    track,
)
from torch import Tensor
from torch.utils.data import DataLoader

from ddsp_zoo import zoo
from ddsp_zoo.api.ladder import separate
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import Separator, modal_strings
from ddsp_zoo.settings.build import plain

each_recipe = pytest.mark.parametrize("name", RECIPES)
PARAMETERS = {
    "exA1": 5_496_195,
    "exA2": 5_496_195,
    "exB0": 0,
    "exB1": 5_496_195,
    "exB2": 5_496_708,
    "exB2_1": 5_496_708,
    "exB3": 5_496_708,
    "exB4": 5_497_221,
    "exC1": 5_497_221,
    "exC2": 5_529_540,
    "exD1": 5_496_195,
    "exD2": 5_496_708,
    "exE1": 5_497_734,
}
EXTRA_OF = {
    "pick_position": "pick",
    "body_db": "body",
    "inharmonicity": "stiffness",
    "second_share": "polarisation",
    "release_seconds": "release",
    "attack_gain": "attack",
}


def count(model: Separator) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def loss_of(model: Separator, batch: dict[str, Tensor]) -> Tensor:
    model.log_dict = lambda *arguments, **options: None
    return model._step(batch, "train", torch.Generator().manual_seed(0))


# Recipes


@pytest.mark.parametrize("name", PARAMETERS)
def test_sizes_of_the_thesis(name: str) -> None:
    assert count(build(name)) == PARAMETERS[name]


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("as_published/")])
def test_published_forms_have_the_size_of_the_plain_ones(name: str) -> None:
    """One linear map with as many outputs as there are controls is one for each of them."""
    assert count(build(name)) == PARAMETERS[name.split("/")[1]]


def test_the_successors_network_is_smaller_and_grows_with_the_string_model() -> None:
    sizes = {tuple(RECIPES[name]["init_args"]["extras"]): count(build(name)) for name in SUCCESSORS}
    assert sorted(sizes.values()) == [sizes[extras] for extras in sorted(sizes, key=len)]
    assert len(sizes) > 1 and max(sizes.values()) < 1_000_000 < PARAMETERS["exB4"]


@each_recipe
def test_a_recipe_builds_what_it_says(name: str) -> None:
    model, said = build(name), RECIPES[name]["init_args"]
    assert set(said) - {"burst_seed"} <= set(model.hparams)
    for option in set(said) - {"segment_seconds", "burst_seed"}:
        made = plain(model.hparams[option])
        assert made == said[option] or said[option].items() <= made.items()
    assert model.sources == STRINGS and model.sample_rate == RATE and model.hop_samples == HOP
    predicted = [control.name for control in model.synth.controls.controls]
    if "predicts" in said:
        assert predicted == said["predicts"] and model.synth.loop_rate == RATE * said["oversampling"]
        for option in {"loop_filter", "excitation", "hold_pitch", "clip"} & set(said):
            assert getattr(model.synth, option) == said[option]
        assert model.synth.quirks == set(said.get("quirks", ()))
        assert hasattr(model, "listener") is said.get("listens", False)
    else:
        shown = {EXTRA_OF[name] for name in predicted if name in EXTRA_OF}
        assert shown == set(said["extras"]) and model.phase_locked is said.get("phase_locked", False)


SOUNDED = {"exA1", "exB0", "exB4", "exC2", "exD1", "exE2", RICHEST, "as_published/exA1", "as_published/exB4"}


@pytest.mark.parametrize(
    "name", [name if name in SOUNDED else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES]
)
def test_an_untrained_model_sounds_and_its_stems_sum_to_the_mixture(name: str) -> None:
    model, batch = build(name), make_batch()
    out = run(model, batch)
    assert out.sources.shape == (1, 6, FRAMES * HOP) and out.sources.isfinite().all() and out.sources.any()
    assert {"f0_hz", "onset"} | {c.name for c in model.synth.controls.controls} <= set(out.controls)
    with torch.no_grad():
        masked = model.masked(batch["mixture"], out)
    torch.testing.assert_close(masked.sum(1), batch["mixture"], atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "name", ["exA2", "exB2_1", "exC2", "exD2", "exE1", "exE2", "exE3", RICHEST, "as_published/exA1"]
)
def test_the_loss_reaches_every_weight(name: str) -> None:
    model = build(name, **({"segment_seconds": 2.0} if "published" in name else {}))
    loss_of(model, make_batch(125 if "published" in name else FRAMES)).backward()
    unreached = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert unreached == [] and all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ["exB4", "exB2_1", "exC2", "exE2", RICHEST, "as_published/exB4"])
def test_twice_the_mixture_is_twice_the_strings(name: str) -> None:
    model, batch = build(name), make_batch()
    loud = batch | {"mixture": 2 * batch["mixture"]}
    torch.testing.assert_close(run(model, loud).sources, 2 * run(model, batch).sources, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("name", ["exE2", RICHEST])
def test_controls_of_the_successor_are_those_of_whole_notes(name: str) -> None:
    batch = make_batch()
    batch["onset"][:, 2, 20] = 1
    controls = run(build(name), batch).controls
    for value in (value for key, value in controls.items() if key not in ("f0_hz", "onset")):
        assert value[:, :, ONSET:20].std(2).max() <= 1e-5 * value.abs().max()
        assert torch.equal(value[:, 2, 20:-1], value[:, 2, 21:])
    gain = controls["excitation_gain" if name == "exE2" else "pluck_gain"][0, 2, :, 0]
    assert gain[19] != gain[20]  # a new note is judged anew


def test_phase_locked_stems_are_other_than_masked_ones() -> None:
    locked, batch = build(RICHEST), make_batch()
    plain = build(RICHEST, phase_locked=False)
    with torch.no_grad():
        stems = [model.masked(batch["mixture"], run(model, batch)) for model in (locked, plain)]
    assert (stems[0] - stems[1]).abs().max() > 1e-3
    stereo = torch.stack([batch["mixture"], -0.5 * batch["mixture"]], dim=1)
    with torch.no_grad():
        both = locked.masked(stereo, run(locked, batch))
    torch.testing.assert_close(both[:, :, 0], stems[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(both.sum(1), stereo, atol=1e-5, rtol=0)


def test_strings_are_fitted_once_for_all_exponents(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = build(RICHEST), make_batch()
    out = run(model, batch)
    with torch.no_grad():
        apart = [model.masked(batch["mixture"], out, power) for power in (1.0, 2.0)]
    fits = []
    fit = modal_strings.harmonic_least_squares
    monkeypatch.setattr(
        modal_strings, "harmonic_least_squares", lambda *x, **y: fits.append(1) or fit(*x, **y)
    )
    with torch.no_grad():
        together = model.masked_each(batch["mixture"], out, (1.0, 2.0))
    assert len(fits) == 1 and not torch.equal(*apart)
    assert all(torch.equal(*pair) for pair in zip(apart, together, strict=True))


def test_every_pass_corrects_what_is_believed() -> None:
    batch = make_batch()
    gains = [run(build(SUCCESSORS[0], passes=n), batch).controls["pluck_gain"] for n in (1, 2)]
    assert not torch.allclose(*gains, rtol=1e-4)


def test_the_model_that_predicts_nothing_needs_no_training_and_can_be_kept(tmp_path: Path) -> None:
    model, batch = build("exB0"), make_batch()
    with pytest.raises(DdspZooError, match="predicts nothing.*validate"):
        model.configure_optimizers()
    config = {"class_path": "ddsp_zoo.models.KarplusStrongStrings", "init_args": RECIPES["exB0"]["init_args"]}
    zoo.save_checkpoint(model, tmp_path, config)
    loaded = zoo.load("own", checkpoint=tmp_path)
    assert torch.equal(run(loaded, batch).sources, run(model, batch).sources)
    assert loss_of(loaded, batch).isfinite()


# What the authors' quirks change in the network


def raw_of(model: Separator, batch: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return model.raw_controls(batch["mixture"], batch["f0_hz"], batch["onset"])


@pytest.mark.parametrize("what", ["mixture", "f0_hz"])
def test_a_network_of_chunks_hears_each_alone(what: str) -> None:
    """50 frames are two chunks of 20 and the half of a third."""
    batch = make_batch(50)
    changed = batch | {what: batch[what].clone()}
    middle = slice(20 * HOP, 40 * HOP) if what == "mixture" else slice(20, 40)
    changed[what][..., middle] *= torch.linspace(0.5, 1, middle.stop - middle.start)
    for chunk_seconds, heard in ((0.0, range(20, 50)), (0.32, range(20, 40))):
        model = build("exB4", chunk_seconds=chunk_seconds)
        one, other = raw_of(model, batch), raw_of(model, changed)
        assert one.shape == (1, 6, 50, 3)
        moved = ((one - other).abs().amax((0, 1, 3)) > 1e-6).nonzero()[:, 0].tolist()
        if chunk_seconds:
            assert moved == list(heard)
        else:  # the mixture is heard a window's half ahead, and levelled as a whole
            assert set(range(41, 50)) <= set(moved)


def test_chunks_are_levelled_alone_and_the_strings_ring_on() -> None:
    """A chunk an eighth as loud is heard the same, and what rings into it is an eighth as loud."""
    batch = make_batch(40)
    quiet = batch | {"mixture": batch["mixture"].clone()}
    quiet["mixture"][:, 20 * HOP :] *= 0.125
    for chunk_seconds in (0.0, 0.32):
        model = build("exB4", chunk_seconds=chunk_seconds)
        loud, soft = run(model, batch), run(model, quiet)
        same = torch.allclose(loud.controls["damping"], soft.controls["damping"], atol=1e-6)
        assert same is bool(chunk_seconds)
        if chunk_seconds:
            torch.testing.assert_close(soft.sources[..., : 20 * HOP], loud.sources[..., : 20 * HOP])
            late = slice(20 * HOP, None)
            torch.testing.assert_close(soft.sources[..., late], 0.125 * loud.sources[..., late])
            assert loud.sources[..., late].abs().max() > 1e-6


def chunk_of(batch: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """The chunk of 20 frames with that number."""
    cuts = {name: HOP if name in ("mixture", "sources") else 1 for name in batch}
    return {
        name: value[..., 20 * number * cuts[name] : 20 * (number + 1) * cuts[name]]
        for name, value in batch.items()
    }


def learnt_from(model: Separator, batch: dict[str, Tensor]) -> Tensor:
    return model._rendered(batch["mixture"], batch, torch.Generator().manual_seed(0)).sources


def test_strings_ring_on_from_example_to_example_and_no_gradient_goes_back() -> None:
    """What is learned from two examples in turn is what one of both in chunks plays."""
    batch = make_batch(40)
    batch["onset"][..., 20:] = batch["f0_hz"][..., 20:] = 0  # nothing is plucked in the second one
    model = build("as_published/exB4", segment_seconds=0.32)
    whole = run(model, batch).sources
    first, second = (learnt_from(model, chunk_of(batch, number)) for number in (0, 1))
    level = batch["mixture"].abs().amax()
    for ours, place in ((first, slice(0, 20 * HOP)), (second, slice(20 * HOP, None))):
        torch.testing.assert_close(ours, whole[..., place], atol=1e-5 * level.item(), rtol=1e-4)
    assert second.abs().max() > 1e-4
    weights = torch.autograd.grad(second.square().sum(), list(model.decoder.head.parameters()))
    assert all(weight.isfinite().all() for weight in weights)
    assert all(not value.requires_grad for value in model._carried.sound.string)
    fresh = build("as_published/exB4", segment_seconds=0.32)
    assert not learnt_from(fresh, chunk_of(batch, 1)).abs().max() > 1e-4


def test_strings_begin_at_rest_where_the_batch_has_another_size_and_in_every_separation() -> None:
    model, one = build("as_published/exB4", segment_seconds=0.32), chunk_of(make_batch(40), 0)
    alone = learnt_from(model, one)
    learnt_from(model, {name: torch.cat([value, value]) for name, value in one.items()})
    torch.testing.assert_close(learnt_from(model, one), alone)
    torch.testing.assert_close(run(model, one).sources, run(model, one).sources, atol=0, rtol=0)


def test_strings_that_ring_on_need_whole_chunks() -> None:
    with pytest.raises(DdspZooError, match="whole chunks.*segment_seconds.*carried_state"):
        loss_of(build("as_published/exB4", segment_seconds=0.512), make_batch())


def test_examples_that_are_learned_from_may_share_their_level() -> None:
    """The second is an eighth as loud, and is heard so; `forward` levels each alone all the same."""
    one = chunk_of(make_batch(40), 0)
    both = {name: torch.cat([value, value]) for name, value in one.items()}
    both["mixture"][1] *= 0.125
    both["sources"][1] *= 0.125
    heard = {}
    for quirks in ((), ("shared_level",)):
        model = build("exB4", segment_seconds=0.32, chunk_seconds=0.32, quirks=quirks)
        encode = model.encoder.forward
        model.encoder.forward = lambda audio, encode=encode, quirks=quirks: (
            heard.setdefault(quirks, audio.abs().amax(-1)) is None or encode(audio)
        )
        model.terms(both, torch.Generator().manual_seed(0))
        torch.testing.assert_close(
            run(model, both).controls["damping"][0], run(model, both).controls["damping"][1]
        )
    torch.testing.assert_close(heard[()], torch.ones(2))
    torch.testing.assert_close(heard["shared_level",], torch.tensor([1.0, 0.125]))


def test_the_burst_is_no_part_of_a_checkpoint(tmp_path: Path) -> None:
    model, batch = build("as_published/exB1", burst_seed=4), make_batch()
    zoo.save_checkpoint(model, tmp_path)
    loaded = zoo.load("own", checkpoint=tmp_path)
    assert "burst_seed" not in model.hparams
    other = run(build("as_published/exB1", burst_seed=0), batch).sources
    torch.testing.assert_close(
        run(loaded, batch).sources, other, atol=3e-4, rtol=0
    )  # weights are kept in float16
    assert not torch.allclose(run(model, batch).sources, other, atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"predicts": ["colour"]}, "no control 'colour'"),
        ({"quirks": ["late_onsets"]}, "no quirk 'late_onsets'"),
        ({"segment_seconds": 0.5}, "8000 samples.*256"),
    ],
)
def test_options_that_do_not_exist_are_refused_in_a_sentence(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DdspZooError, match=message):
        build("exB4", **options)


def test_unknown_extras_are_refused_in_a_sentence() -> None:
    with pytest.raises(DdspZooError, match="'bow' to a modal string"):
        build(RICHEST, extras=["bow"])


# Divergence


def plucked_twice() -> dict[str, Tensor]:
    """Strings that have a pitch all along, plucked a few frames in and again half-way, for one second."""
    batch = make_batch(64)
    batch["f0_hz"] = torch.from_numpy(HZ)[None, :, None].repeat(1, 1, 64)
    batch["onset"][:, :, 32] = 1
    return batch


def pushed_up(name: str, by: float) -> Separator:
    """A model whose heads have grown, as they do in training."""
    model = build(name)
    with torch.no_grad():
        model.decoder.head.bias += by
    return model


def tried(name: str, by: float) -> Tensor:
    """The loss of a published model whose heads have grown, on one excerpt alone."""
    model = pushed_up(f"as_published/{name}", by)
    model.quirks = model.quirks - {"carried_state"}
    return loss_of(model, plucked_twice())


@pytest.mark.parametrize("name", ["exB2", "exB4", "exC1", "exC2"])
def test_a_published_model_that_diverges_says_so(name: str) -> None:
    with pytest.raises(DdspZooError, match="Strings diverged.*range.*learning rate"):
        tried(name, 5)


@pytest.mark.parametrize("name", ["exA1", "exA2", "exB1", "exB2_1", "exB3", "exD1", "exD2"])
def test_a_published_model_whose_loop_is_limited_or_has_no_gain_does_not_diverge(name: str) -> None:
    assert tried(name, 5).isfinite()


@pytest.mark.parametrize("name", ["exA1", "exB2", "exB4", "exC1"])
def test_a_plain_model_with_the_same_weights_does_not_diverge(name: str) -> None:
    model = pushed_up(name, 5)
    loss = loss_of(model, plucked_twice())
    loss.backward()
    assert loss.isfinite() and all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("name", ["exB2", "exE1"])
def test_weights_that_a_step_has_made_nan_are_told_as_divergence(name: str) -> None:
    with pytest.raises(DdspZooError, match="diverged"):
        loss_of(pushed_up(name, math.nan), make_batch())


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("as_published/exB2", 2),
        ("as_published/exB4", 5),
        ("as_published/exA1", 5),
        ("exB4", 5),
        ("exB4", math.nan),
    ],
)
def test_separation_by_a_diverged_model_is_never_nan(name: str, by: float) -> None:
    batch = plucked_twice()
    pitch = track(batch["f0_hz"][0].numpy(), batch["onset"][0].numpy())
    try:
        result = separate(pushed_up(name, by), batch["mixture"][0], RATE, pitch=pitch)
    except DdspZooError as error:
        assert "diverged" in str(error)
    else:
        assert_sound(result)


@pytest.mark.filterwarnings("ignore:You defined a .validation_step.", "ignore:The 'train_dataloader'")
def test_training_a_published_model_at_a_high_rate_stops_with_that_error(tmp_path: Path) -> None:
    """The plain one goes on at the same rate."""
    options = {
        "max_steps": 6,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
    }
    examples = DataLoader([plucked_twice()] * 6, batch_size=None)
    quirky = build("as_published/exB4", optimiser={"learning_rate": 1e-2}).train()
    quirky.quirks = quirky.quirks - {"carried_state"}
    with pytest.raises(DdspZooError, match="Strings diverged"):
        L.Trainer(**options).fit(quirky, examples)
    plain = build("exB4", optimiser={"learning_rate": 1e-2}).train()
    L.Trainer(**options).fit(plain, examples)
    assert plain.trainer.global_step == 6 and all(p.isfinite().all() for p in plain.parameters())
