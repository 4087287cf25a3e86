"""Every model: shapes, sizes, gradients, silence, level, pitch, and settings that build it again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import tiny_ast
from torch import Tensor

from ddsp_zoo import zoo
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models import (
    AstDdsp,
    DdspAutoencoder,
    InverseSynthesis,
    KarplusStrongStrings,
    Separator,
    Umss,
    umss,
)
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.settings.build import plain

SHORT_STRINGS = {"sources": ("low", "high"), "segment_seconds": 0.512, "oversampling": 1}


def tiny_strings(**settings: object) -> KarplusStrongStrings:
    torch.manual_seed(0)
    return KarplusStrongStrings(**(SHORT_STRINGS | settings))


def tiny_solo(**settings: object) -> AstDdsp:
    """One source's share of what all sources are is everything, so the error of its mask has nothing to teach."""
    return tiny_ast(sources=["bass"], error_weight=0.0, **settings)


def tiny_umss(**settings: object) -> Umss:
    torch.manual_seed(0)
    return Umss(**({"sources": ("high", "low"), "segment_seconds": 0.512} | settings))


def tiny_locked(**settings: object) -> Umss:
    return tiny_umss(**({"supervised": True, "masked_weight": 0.5, "phase_locked": True} | settings))


def tiny_autoencoder(**settings: object) -> DdspAutoencoder:
    torch.manual_seed(0)
    small = {"segment_seconds": 0.512, "width": 16, "layers": 1, "timbre": 3, "room_seconds": 0.1}
    return DdspAutoencoder(**(small | {"harmonics": 12, "noise_bands": 9} | settings))


def tiny_inverse(**settings: object) -> InverseSynthesis:
    torch.manual_seed(0)
    small = {"sinusoids": 8, "sinusoid_bins": 16, "harmonics": 12, "noise_bands": 9, "pitch_bins": 24}
    return InverseSynthesis(**(small | {"segment_seconds": 0.512, "widths": (4, 4), "width": 16} | settings))


SOLOS = [tiny_autoencoder, tiny_inverse]
EVERY = pytest.mark.parametrize("build", [tiny_ast, tiny_solo, tiny_strings, tiny_umss, tiny_locked, *SOLOS])


def make_batch(model: Separator, silent: bool = False, seed: int = 0) -> dict[str, Tensor]:
    """Two examples of decaying notes, with the pitch that they have."""
    random = torch.Generator().manual_seed(seed)
    frames = model.segment_samples // model.hop_samples
    f0 = (
        (80 + 300 * torch.rand(2, len(model.sources), 1, generator=random))
        .expand(-1, -1, frames)
        .contiguous()
    )
    time = torch.arange(model.segment_samples) / model.sample_rate
    phase = 2 * torch.pi * f0[..., :1] * time
    notes = 0.1 * sum(torch.sin(k * phase) / k for k in range(1, 6)) * torch.exp(-3 * time)
    sources = torch.zeros_like(notes) if silent else notes
    batch = {"mixture": sources.sum(1), "sources": sources}
    if model.needs_pitch:
        onset = torch.zeros_like(f0)
        onset[..., 0] = 1
        batch |= {"f0_hz": f0, "onset": onset}
    return batch


def loss_of(model: Separator, batch: dict[str, Tensor]) -> Tensor:
    """The loss of a training step, without a Trainer."""
    model.log_dict = lambda *arguments, **options: None
    return model._step(batch, "train", torch.Generator().manual_seed(0))


def rendered(
    model: Separator, batch: dict[str, Tensor], gain: float = 1.0
) -> tuple[Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        out = model(gain * batch["mixture"], batch.get("f0_hz"), batch.get("onset"), generator)
    return out.sources, out.controls


@EVERY
def test_masks_of_several_exponents_are_those_of_each(build: Callable[..., Separator]) -> None:
    model = build()
    batch = make_batch(model)
    with torch.no_grad():
        out = model(batch["mixture"], batch.get("f0_hz"), batch.get("onset"))
        together = model.masked_each(batch["mixture"], out, (1.0, 2.0))
        apart = [model.masked(batch["mixture"], out, power) for power in (1.0, 2.0)]
    assert all(torch.equal(*pair) for pair in zip(together, apart, strict=True))


def test_voices_are_fitted_once_for_all_exponents(monkeypatch: pytest.MonkeyPatch) -> None:
    model, fits, fit = tiny_locked(), [], umss.harmonic_least_squares
    monkeypatch.setattr(umss, "harmonic_least_squares", lambda *x, **y: fits.append(1) or fit(*x, **y))
    batch = make_batch(model)
    with torch.no_grad():
        out = model(batch["mixture"], batch["f0_hz"], batch["onset"])
        model.masked_each(batch["mixture"], out, (1.0, 2.0))
    assert len(fits) == 2  # two ways to fit, whatever the number of exponents


# Size and shape


def count(model: Separator) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_the_strings_model_has_the_size_of_the_thesis() -> None:
    assert count(KarplusStrongStrings()) == 5_497_221


def test_umss_has_its_published_size() -> None:
    assert count(Umss()) == count(Umss(sources=("high", "low"))) == 5_573_961


def test_umss_finds_the_pitches_itself_where_none_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rate = tiny_umss(tracks_pitch=True), 44100
    heard = []

    def track(audio: np.ndarray, voices: int) -> np.ndarray:
        heard.append((len(audio), voices))
        return np.repeat([[330.0], [110.0]], -(-len(audio) // 256), 1).astype(np.float32)

    monkeypatch.setattr(model.tracker, "track", track)
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, (2, rate)).astype(np.float32)
    result = model.separate(audio, rate)
    assert heard == [(16000, 2)]  # in mono, at the model's rate
    assert set(result.controls["high"]["f0_hz"]) == {330} and set(result.controls["low"]["f0_hz"]) == {110}
    monkeypatch.setattr(model.tracker, "track", lambda audio, voices: np.zeros((2, 63), dtype=np.float32))
    unpitched = model.separate(audio, rate)  # the masks alone share what has no pitch
    stems = sum(unpitched.stems.values())
    assert np.isfinite(stems).all() and np.allclose(stems + unpitched.residual, audio, atol=1e-5)


def test_the_tracker_is_not_trained_along_and_not_needed_to_start_from() -> None:
    whole, plain = tiny_umss(tracks_pitch=True), tiny_umss()
    assert count(whole.tracker) + count(plain) == count(whole)
    assert not any(p.requires_grad for p in whole.tracker.parameters())
    zoo.copy_weights(whole, plain, "whole")
    theirs = whole.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in plain.state_dict().items())
    with pytest.raises(DdspZooError, match="weights of plain do not fit the Umss"):
        zoo.copy_weights(plain, whole, "plain")


def test_umss_gives_out_its_line_spectral_frequencies_in_hertz() -> None:
    model = tiny_umss()
    batch = make_batch(model)
    with torch.no_grad():
        out = model(batch["mixture"], batch["f0_hz"], batch["onset"])
    lsf_hz = out.controls["lsf_hz"]
    assert lsf_hz.shape[-1] == 20 and 0 < lsf_hz.min() and lsf_hz.max() < 8000
    assert (lsf_hz.diff(dim=-1) > 0).all()


def test_the_transformer_stays_small() -> None:
    assert 2_000_000 < count(AstDdsp(sources=("bass", "rest"))) < count(AstDdsp()) < 30_000_000


@EVERY
def test_controls_and_sound_keep_full_precision_beside_a_network_in_half(build):
    """In bfloat16 a frequency of 441 Hz would move in steps of eight cents."""
    model = build()
    with torch.autocast("cpu", torch.bfloat16):
        audio, controls = rendered(model, make_batch(model))
    assert audio.dtype == torch.float32
    assert all(value.dtype == torch.float32 for value in controls.values())


@EVERY
@pytest.mark.parametrize("scale", [30, 1e4])
def test_any_finite_raw_control_makes_finite_sound_and_gradients(
    build: Callable[..., Separator], scale: float
) -> None:
    model, random = build(), torch.Generator().manual_seed(0)
    batch = make_batch(model)
    shape = (2, len(model.sources), 16, model.synth.controls.channels)
    raw = (scale * torch.randn(shape, generator=random)).requires_grad_()
    given = {name: batch[name][..., :16, None] for name in ("f0_hz", "onset") if name in batch}
    audio = model.synth.render(model.synth.constrain(raw) | given, random).audio
    assert audio.isfinite().all()
    audio.square().mean().backward()
    assert raw.grad.isfinite().all()


@EVERY
def test_a_model_is_a_plain_module_from_mixture_to_sources_and_controls(
    build: Callable[..., Separator],
) -> None:
    model = build()
    batch = make_batch(model)
    sources, controls = rendered(model, batch)
    samples, frames = model.segment_samples, model.segment_samples // model.hop_samples
    assert sources.shape == (2, len(model.sources), samples) and sources.isfinite().all()
    declared = {control.name: control.size for control in model.synth.controls}
    assert declared.keys() <= model.declared.keys()
    shapes = {name: tuple(value.shape) for name, value in controls.items()}
    assert shapes == {name: (2, len(model.sources), frames, k) for name, k in declared.items()}


@EVERY
def test_masked_stems_share_the_mixture_in_every_channel(build: Callable[..., Separator]) -> None:
    model = build()
    batch = make_batch(model)
    stereo = torch.stack([batch["mixture"], -0.5 * batch["mixture"]], dim=1)
    with torch.no_grad():
        out = model(batch["mixture"], batch.get("f0_hz"), batch.get("onset"))
        mono, both = model.masked(batch["mixture"], out), model.masked(stereo, out)
    assert both.shape == (2, len(model.sources), 2, model.segment_samples)
    if len(model.sources) > 1:  # a single source leaves a residual
        torch.testing.assert_close(mono.sum(1), batch["mixture"], atol=1e-5, rtol=0)
        torch.testing.assert_close(both.sum(1), stereo, atol=1e-5, rtol=0)
        torch.testing.assert_close(both[:, :, 0], mono, atol=1e-5, rtol=0)
    torch.testing.assert_close(both[:, :, 1], -0.5 * both[:, :, 0], atol=1e-5, rtol=0)


def test_rest_is_a_source_but_no_target() -> None:
    assert tiny_ast().sources == ("bass", "rest") and tiny_ast().targets == ("bass",)
    assert tiny_strings().targets == ("low", "high")


# Training


@EVERY
def test_gradient_reaches_every_weight(build: Callable[..., Separator]) -> None:
    model = build()
    with torch.no_grad():
        for weights in model.parameters():
            if not weights.any():  # what starts at zero may hide what comes before it
                weights.normal_(std=0.01)
    loss_of(model, make_batch(model)).backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


@EVERY
@pytest.mark.parametrize("level", [0.0, pytest.param(1e-8, marks=pytest.mark.slow), 100.0])
def test_loss_and_gradients_are_finite_at_any_level(build: Callable[..., Separator], level: float) -> None:
    model = build()
    batch = make_batch(model)
    batch |= {key: level * batch[key] for key in ("mixture", "sources")}
    loss = loss_of(model, batch)
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    "build",
    [tiny_ast, tiny_solo, tiny_strings, tiny_umss, *SOLOS, pytest.param(tiny_locked, marks=pytest.mark.slow)],
)
def test_one_batch_can_be_learnt(build: Callable[..., Separator]) -> None:
    large = build in (tiny_umss, tiny_locked)  # slow to compute, and learns fast in small steps
    model = build(optimiser=Optimiser(1e-4 if large else 3e-3))
    batch, adam = make_batch(model), model.configure_optimizers()
    adam = adam["optimizer"] if isinstance(adam, dict) else adam
    losses = []
    for _ in range(6 if large else 8 if build is tiny_strings else 20):
        adam.zero_grad()
        losses.append(loss_of(model, batch))
        losses[-1].backward()
        adam.step()
    assert losses[0] - losses[-1] > 0.15 * abs(losses[0])


def test_supervised_loss_knows_which_source_is_which_and_the_other_does_not() -> None:
    for supervised in (True, False):
        model = tiny_strings(supervised=supervised)
        batch = make_batch(model)
        swapped = batch | {"sources": batch["sources"].flip(1)}
        assert (loss_of(model, batch) != loss_of(model, swapped)).item() is supervised


def test_the_error_of_masked_sources_is_added_by_its_weight() -> None:
    names = []
    for weight in (0.0, 0.1):
        model = tiny_locked(masked_weight=weight)
        model.log_dict = lambda parts, **options: names.append(sorted(parts))  # noqa: B023
        model._step(make_batch(model), "train", torch.Generator().manual_seed(0))
    assert names == [["train/loss", "train/spectral"], ["train/loss", "train/masked", "train/spectral"]]


@pytest.mark.parametrize("every, rate", [(0, 1e-3), (2, 1e-3 * 0.98**2)])
def test_learning_rate_decays_by_steps(every: int, rate: float) -> None:
    model = tiny_ast(optimiser=Optimiser(1e-3, 0.5, every))
    made = model.configure_optimizers()
    adam = made if every == 0 else made["optimizer"]
    assert isinstance(adam, torch.optim.Adam) and adam.param_groups[0]["weight_decay"] == 0.5
    for _ in range(5):
        adam.step()
        if every:
            assert made["lr_scheduler"]["interval"] == "step"
            made["lr_scheduler"]["scheduler"].step()
    assert adam.param_groups[0]["lr"] == pytest.approx(rate)


# Level, noise and pitch


@EVERY
def test_twice_as_loud_in_is_twice_as_loud_out(build: Callable[..., Separator]) -> None:
    model = build()
    batch = make_batch(model)
    (once, controls), (twice, louder) = rendered(model, batch), rendered(model, batch, gain=2.0)
    torch.testing.assert_close(twice, 2 * once, rtol=1e-3, atol=1e-5)
    levels = model.synth.level_controls
    for name, value in controls.items():
        torch.testing.assert_close(louder[name], value * (2 if name in levels else 1), rtol=1e-3, atol=1e-6)


@EVERY
def test_the_generator_decides_the_noise(build: Callable[..., Separator]) -> None:
    model = build()
    batch = make_batch(model)

    def sound(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return model(batch["mixture"], batch.get("f0_hz"), batch.get("onset"), generator).sources

    assert torch.equal(sound(1), sound(1)) and not torch.equal(sound(1), sound(2))


@pytest.mark.parametrize("what", ["f0_hz", "onset"])
@pytest.mark.parametrize("wrong", [(2, 2, 31), (2, 1, 32), (1, 2, 32)])
def test_pitch_of_another_shape_is_refused(what: str, wrong: tuple[int, ...]) -> None:
    model = tiny_strings()
    batch = make_batch(model)
    batch[what] = torch.ones(wrong)
    with pytest.raises(
        DdspZooError, match=r"\(2, 2, 32\).*" + str(wrong).replace("(", r"\(").replace(")", r"\)")
    ):
        model(batch["mixture"], batch["f0_hz"], batch["onset"])


def test_missing_pitch_is_told() -> None:
    model = tiny_strings()
    with pytest.raises(DdspZooError, match="f0_hz and onset"):
        model(make_batch(model)["mixture"])


def test_strings_sound_where_they_are_told_to() -> None:
    model = tiny_strings()
    batch = make_batch(model)
    batch["f0_hz"][:, 1], batch["onset"][:, 1] = 0, 0
    sources, _ = rendered(model, batch)
    assert sources[:, 0].abs().max() > 1e-4 and sources[:, 1].abs().max() == 0


@EVERY
@pytest.mark.parametrize("shape", [(2, 100), (4096,), (2, 0), (1, 2, 4096)])
def test_audio_that_is_no_whole_number_of_frames_is_refused(
    build: Callable[..., Separator], shape: tuple[int, ...]
) -> None:
    with pytest.raises(DdspZooError, match="whole frames.*separate"):
        build()(torch.zeros(shape))


def test_f0_of_a_model_without_pitch_is_read_off_the_stem() -> None:
    model = tiny_ast()
    time = torch.arange(model.segment_samples) / model.sample_rate
    tone = sum(torch.sin(2 * torch.pi * 100 * h * time) / h for h in range(1, 9)).expand(1, 1, -1)
    f0 = model.hear(tone)["f0_hz"]
    assert f0.shape == (1, 1, model.segment_samples // model.hop_samples, 1)
    assert f0[0, 0, 8:-8, 0].tolist() == pytest.approx([100] * 16, rel=0.02)


# Settings


def test_segments_must_be_whole_frames() -> None:
    with pytest.raises(DdspZooError, match="800 samples.*128"):
        tiny_ast(segment_seconds=0.1)


@pytest.mark.parametrize(
    "model",
    [
        tiny_ast(sources=["drums", "rest"], hop_samples=64, optimiser=Optimiser(1e-2), masks=Masks(1.0)),
        tiny_strings(supervised=True, masks=Masks(fft=1024)),
    ],
    ids=["AstDdsp", "KarplusStrongStrings"],
)
def test_hyper_parameters_build_the_model_again(model: Separator, tmp_path: Path) -> None:
    zoo.save_checkpoint(model, tmp_path)
    loaded = zoo.load("own", checkpoint=tmp_path)
    assert plain(dict(loaded.hparams)) == plain(dict(model.hparams)) and loaded.sources == model.sources
    assert loaded.optimiser == model.optimiser and loaded.mask_fft == model.mask_fft
    model.load_state_dict({name: value.half().float() for name, value in model.state_dict().items()})
    batch = make_batch(model)
    assert torch.equal(rendered(loaded, batch)[0], rendered(model.eval(), batch)[0])


@pytest.mark.parametrize("expected", [True, False])
def test_only_masks_as_published_depend_on_a_draw_of_the_bursts(expected: bool) -> None:
    model = tiny_strings(masks=Masks(expected=expected)).eval()
    batch = make_batch(model)
    inputs = batch["mixture"], batch["f0_hz"], batch["onset"]
    one, other = (model(*inputs, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert one.tonal.ndim == (4 if expected else 3)
    masked = [model.masked(batch["mixture"], rendered) for rendered in (one, other)]
    assert torch.equal(*masked) == expected
