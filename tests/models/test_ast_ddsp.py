"""AST-DDSP: what it starts from, what its losses measure, and weights that go over to other stems."""

import math
from pathlib import Path

import pytest
import torch
from published_ast import published_ast
from tiny import music, tiny_ast
from torch import Tensor

import ddsp_zoo
from ddsp_zoo import zoo
from ddsp_zoo.dsp.mel import hz_to_mel
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.joining import Joining
from ddsp_zoo.models import AstDdsp, Rendered
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.music.drum_set import DRUM_SET, hits_in_frames, hits_of
from ddsp_zoo.music.midi import DRUM_CHANNEL, read_midi_tracks
from ddsp_zoo.networks.band_features import Bands
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.zoo.loading import copy_weights

BAND = ["bass", "drums", "guitar", "rest"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def untold(bands: int = 32) -> AstDdsp:
    """Four stems from a network that says nothing."""
    model = tiny_ast(sources=BAND, bands=bands)
    torch.nn.init.zeros_(model.network.head.weight)
    return model


def tones(model: AstDdsp, *frequencies_hz: float) -> Tensor:
    time = torch.arange(model.segment_samples) / model.sample_rate
    return 0.2 * sum(torch.sin(2 * math.pi * hz * time) for hz in frequencies_hz)[None]


def noise(model: AstDdsp, *shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(*shape, model.segment_samples, generator=seeded(seed))


def batch_of(model: AstDdsp, level: float = 1.0, silent: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """Two examples of a tone and some noise a stem; some stems may be silent."""
    count = len(model.sources)
    stems = torch.stack([tones(model, 90 * (s + 1.3))[0] for s in range(count)]) + 0.1 * noise(
        model, 2, count
    )
    stems[:, list(silent)] = 0
    return {"mixture": level * stems.sum(1), "sources": level * stems}


def step(model: AstDdsp, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Loss of a training step and what it logs."""
    logged = {}
    model.log_dict = lambda parts, **options: logged.update(parts)
    return model._step(batch, "train", seeded()), logged


# Equal shares


@pytest.mark.parametrize("bands", [16, 128])
def test_sources_of_an_untold_network_share_the_power_of_every_band(bands: int) -> None:
    """Of noise, within 1 dB in each band and in all; each source exactly as the others."""
    model = untold(bands)
    mixture = noise(model, 2)
    with torch.no_grad():
        controls = model.predict_controls(mixture)
        spectra = model.synth.power_spectra(controls, None, model.mask_fft)
    torch.testing.assert_close(spectra, spectra[:, :1].expand_as(spectra))
    heard = stft(mixture, model.mask_fft, model.hop_samples).abs().square()
    weights = model.pictures.long.weights
    told, true = (power[..., 4:-5].mean(-1) @ weights for power in (spectra.sum(1), heard))
    assert (10 * (told / true).log10()).abs().max() < 1
    assert (10 * (told.sum(-1) / true.sum(-1)).log10()).abs().max() < 0.2


def test_sources_of_an_untold_network_share_tones_where_they_are() -> None:
    model = untold(128)
    mixture = tones(model, 150.0, 431.0, 1290.0, 2917.0)
    with torch.no_grad():
        controls = model.predict_controls(mixture)
        spectra = model.synth.power_spectra(controls, None, model.mask_fft)
        truth = model.pictures.long(mixture)
    heard = stft(mixture, model.mask_fft, model.hop_samples).abs().square()
    told, true = (power[..., 4:-5].sum((-2, -1)) for power in (spectra.sum(1), heard))
    assert (10 * (told / true).log10()).abs().max() < 1
    for hz in (150.0, 431.0, 1290.0, 2917.0):
        mel = hz_to_mel(torch.tensor(hz))
        band = (model.pictures.long.centres - mel).abs().argmin()
        assert truth.power[0, 16, band] > 1e-3
        off = (hz_to_mel(controls["frequency_hz"][0, :, 16, band]) - mel) / model.pictures.long.distance
        assert off.abs().max() < 0.1


def test_what_an_untold_network_sounds_has_the_level_of_the_mixture() -> None:
    model = untold()
    for mixture in (noise(model, 1), tones(model, 200.0, 900.0)):
        with torch.no_grad():
            out = model(0.5 * mixture, generator=seeded())
        shares = (
            4 * out.sources[..., 512:-512].square().mean(-1) / (0.5 * mixture[:, 512:-512]).square().mean(-1)
        )
        assert (10 * shares.log10()).abs().max() < 1.5
        loudness = 4 * out.controls["loudness"][0, :, 4:-4, 0].square().mean(-1)
        assert (10 * (loudness / (0.5 * mixture).square().mean()).log10()).abs().max() < 1


def test_an_untold_network_gives_every_stem_a_quarter_of_the_mixture_in_stereo_too() -> None:
    model = untold()
    stereo = noise(model, 1, 2)
    mono = stereo.mean(1)
    with torch.no_grad():
        stems = model.masked(stereo, model(mono))
    torch.testing.assert_close(stems, 0.25 * stereo[:, None].expand_as(stems), rtol=0, atol=1e-5)


def test_separated_channels_stay_apart() -> None:
    audio = noise(tiny_ast(), 2, seed=3)
    audio[1] *= 0.1
    result = tiny_ast(sources=BAND).separate(audio.numpy(), 8000)
    assert set(result.stems) == {"bass", "drums", "guitar"}
    both = torch.from_numpy(sum(result.stems.values()) + result.residual)
    torch.testing.assert_close(both, audio, rtol=0, atol=1e-6)
    assert all(stem.shape == audio.shape for stem in result.stems.values())
    assert all(stem[0].std() > 5 * stem[1].std() > 0 for stem in result.stems.values())


# Losses


def test_terms_of_the_loss_are_named_and_sum_to_it() -> None:
    model = tiny_ast(spectral_weight=0.5)
    loss, logged = step(model, batch_of(model))
    assert set(logged) == {f"train/{name}" for name in ("masked", "level", "frequency", "spectral", "loss")}
    torch.testing.assert_close(loss, sum(value for name, value in logged.items() if name != "train/loss"))


@pytest.mark.parametrize("name", ["masked", "level", "frequency", "spectral"])
def test_each_term_is_weighted_by_its_own_setting(name: str) -> None:
    setting = {"masked": "error_weight"}.get(name, f"{name}_weight")
    base = {"error_weight": 1.0, "level_weight": 1.0, "frequency_weight": 1.0, "spectral_weight": 1.0}
    once, twice = (step(tiny_ast(**(base | {setting: w})), batch_of(tiny_ast()))[1] for w in (1.0, 2.0))
    for term, value in once.items():
        factor = 2 if term == f"train/{name}" else 1
        if term != "train/loss":
            torch.testing.assert_close(twice[term], factor * value)


@pytest.mark.parametrize("weight", [0.0, 0.1])
def test_stems_are_rendered_for_the_spectral_loss_alone(
    weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, rendered = tiny_ast(spectral_weight=weight), []
    render = model.synth.render
    monkeypatch.setattr(model.synth, "render", lambda *given: rendered.append(True) or render(*given))
    _, logged = step(model, batch_of(model))
    assert bool(rendered) is bool(weight) is ("train/spectral" in logged)


def controls_at(model: AstDdsp, bands: Bands, gain: float = 1.0) -> Controls:
    """Sinusoids alone that have the powers of bands, at the middle of each."""
    amplitude = gain * 2 * bands.power.sqrt()
    frequency = model.synth.constrain(torch.zeros(1, 1, 1, model.synth.controls.channels))["frequency_hz"]
    return {
        "amplitude": amplitude,
        "noise_magnitude": 0 * amplitude,
        "frequency_hz": frequency.expand_as(amplitude),
    }


def bands_of(model: AstDdsp, power: float = 1e-2) -> Bands:
    truth = torch.full((1, 2, 8, 16), power)
    return Bands(truth, torch.zeros_like(truth))


def test_levels_are_compared_by_band_whatever_makes_them() -> None:
    """Square roots of amplitudes: of a quarter of the power, (1 - 1 / sqrt 2)^2 of what is there is missing."""
    model = tiny_ast()
    truth = bands_of(model)
    assert model._level_distance(controls_at(model, truth), truth, Joining()).item() == pytest.approx(
        0, abs=1e-6
    )
    for gain, expected in ((0.5, (1 - 0.5**0.5) ** 2), (4.0, 1.0), (0.0, 1.0)):
        distance = model._level_distance(controls_at(model, truth, gain), truth, Joining())
        assert distance.item() == pytest.approx(expected, rel=0.13)


def test_the_level_of_noise_is_that_of_its_bands() -> None:
    """Magnitude 1 in every band is uniform noise of power 1/3, as the analysis measures it."""
    model = tiny_ast(segment_seconds=4.096)
    heard = model.pictures.long(2 * torch.rand(1, 1, model.segment_samples, generator=seeded()) - 1)
    ones = torch.ones_like(heard.power[:, :, 8:-8])
    told = {"amplitude": 0 * ones, "noise_magnitude": ones}
    truth = Bands(heard.power[:, :, 8:-8].mean(2, keepdim=True).expand_as(ones), ones)
    assert model._level_distance(told, truth, Joining()) < 1e-3
    assert model._level_distance(told | {"noise_magnitude": 2 * ones}, truth, Joining()) > 0.1


def test_frequencies_are_compared_in_bands_where_there_is_something() -> None:
    model = tiny_ast()
    truth = bands_of(model)
    offset = torch.where(torch.arange(16) < 8, 0.5, 0.0).expand_as(truth.offset)
    controls = controls_at(model, truth)
    assert model._frequency_distance(controls, truth, Joining()).item() == pytest.approx(0, abs=1e-4)
    assert model._frequency_distance(controls, Bands(truth.power, offset), Joining()).item() == pytest.approx(
        0.25, abs=1e-4
    )
    heard = truth.power.clone()
    heard[..., 8:] = 0
    assert model._frequency_distance(controls, Bands(heard, offset), Joining()).item() == pytest.approx(
        0.5, abs=1e-4
    )
    assert model._frequency_distance(controls, Bands(0 * heard, offset), Joining()).item() == 0


def test_the_true_controls_are_the_best_there_are() -> None:
    """Each term of the loss is lower for stems told as they are than for stems that share everything."""
    model = tiny_ast()
    stems = torch.stack([tones(model, 200.0), tones(model, 1500.0)], dim=1)
    with torch.no_grad():
        told = [model.predict_controls(stems[:, s]) for s in range(2)]  # of a stem alone: half of it each
        shared = model.predict_controls(stems.sum(1))
    double = {"amplitude": 2**0.5, "noise_magnitude": 2**0.5}
    true = {
        name: torch.cat([controls[name][:, :1] for controls in told], 1) * double.get(name, 1)
        for name in told[0]
    }
    terms = [model.losses(Rendered(stems, c, stems), stems, stems.sum(1)) for c in (true, shared)]
    assert all(terms[0][name] < terms[1][name] for name in ("masked", "level"))
    assert terms[0]["masked"] < -2


@pytest.mark.parametrize("exact_below_hz", [0.0, 500.0])
def test_what_is_not_known_by_itself_is_learned_as_a_part_of_the_rest(exact_below_hz: float) -> None:
    """Of an excerpt whose bass is not known, only what bass and rest have together counts."""
    model = tiny_ast(sources=["bass", "guitar", "rest"], exact_below_hz=exact_below_hz)
    stems = torch.stack([tones(model, hz) for hz in (200.0, 700.0, 1500.0)], dim=1).expand(2, -1, -1)
    targets, known = stems.clone(), torch.tensor([[True] * 3, [False, True, True]])
    targets[1, 2], targets[1, 0] = stems[1, 0] + stems[1, 2], 0.0
    with torch.no_grad():
        controls = model.predict_controls(stems.sum(1))
        controls["amplitude"][:, 0] *= 2
        changed = {name: value[:, [2, 1, 0]] for name, value in controls.items()}

    def loss_of(row: int, controls: Controls, known: Tensor) -> dict[str, Tensor]:
        own = {name: value[row : row + 1] for name, value in controls.items()}
        rendered = Rendered(targets[row : row + 1], own, targets[row : row + 1])
        return model.losses(rendered, targets[row : row + 1], stems[row : row + 1].sum(1), known)

    def change(row: int) -> dict[str, float]:
        before, after = (loss_of(row, which, known[row : row + 1]) for which in (controls, changed))
        return {name: float((before[name] - after[name]).abs()) for name in before}

    assert all(value < 1e-6 for value in change(1).values())
    assert min(value for name, value in change(0).items() if name != "frequency") > 1e-4
    assert all(
        torch.equal(a, b)
        for a, b in zip(loss_of(0, controls, None).values(), loss_of(0, controls, known[:1]).values())
    )


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("level", "silent"),
    [(1.0, ()), (1.0, (0,)), (1.0, (0, 1)), (0.0, ()), (1e-8, ()), (1e4, ())],
    ids=["plain", "a silent stem", "silent stems", "silence", "faint", "loud"],
)
def test_a_step_is_finite(level: float, silent: tuple[int, ...], precision: torch.dtype) -> None:
    model = tiny_ast(sources=["bass", "drums", "rest"], spectral_weight=0.1)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        loss, logged = step(model, batch_of(model, level, silent))
    loss.backward()
    assert all(value.isfinite() for value in logged.values()) and abs(loss) < 1000
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_windows_follow_the_hop_where_they_are_not_given() -> None:
    model = tiny_ast(hop_samples=64)
    assert model.mask_fft == model.pictures.long.n_fft == 512
    assert model.pictures.others[0].n_fft == 128
    model = tiny_ast(n_fft=2048, masks=Masks(fft=512))
    assert (model.mask_fft, model.pictures.long.n_fft) == (512, 2048)


def test_longer_audio_than_a_segment_is_refused_and_shorter_is_not() -> None:
    model = tiny_ast()
    assert model(torch.zeros(1, 128)).sources.shape == (1, 2, 128)
    with pytest.raises(DdspZooError, match="made for 32 frames, got 33"):
        model(torch.zeros(1, model.segment_samples + 128))


# Weights of other models


def shared_head(sources: list[str], given: AstDdsp) -> dict[str, Tensor]:
    """The head of a model of other sources that starts from one, {source: weights and bias}."""
    model = tiny_ast(sources=sources)
    torch.nn.init.normal_(model.network.stem.weight)  # must be overwritten
    zoo.copy_weights(given, model, "given")
    assert torch.equal(model.network.stem.weight, given.network.stem.weight)
    return head_of(model)


def head_of(model: AstDdsp) -> dict[str, Tensor]:
    head = torch.cat([model.network.head.weight.flatten(1), model.network.head.bias[:, None]], dim=1).detach()
    return dict(zip(model.sources, head.chunk(len(model.sources)), strict=True))


@pytest.fixture
def trained() -> AstDdsp:
    """Four stems, each with a head of its own."""
    model = tiny_ast(sources=BAND)
    torch.nn.init.normal_(model.network.head.bias, generator=seeded())
    return model


def test_a_model_of_one_stem_takes_it_and_the_mean_of_all_others(trained: AstDdsp) -> None:
    old, new = head_of(trained), shared_head(["bass", "rest"], trained)
    assert torch.equal(new["bass"], old["bass"])
    torch.testing.assert_close(new["rest"], (old["drums"] + old["guitar"] + old["rest"]) / 3)


def test_the_order_of_stems_does_not_matter(trained: AstDdsp) -> None:
    order = ["guitar", "rest", "bass", "drums"]
    old, new = head_of(trained), shared_head(order, trained)
    assert list(new) == order and all(torch.equal(new[name], old[name]) for name in BAND)
    other, audio = tiny_ast(sources=order), noise(trained, 1)
    zoo.copy_weights(trained, other, "trained")
    first, second = (model.raw_controls(audio, None, None) for model in (trained, other))
    torch.testing.assert_close(second, first[:, [BAND.index(name) for name in order]])


def test_an_unknown_stem_starts_as_the_mean_of_what_no_other_claims(trained: AstDdsp) -> None:
    old, new = head_of(trained), shared_head(["drums", "flute", "rest"], trained)
    left = (old["bass"] + old["guitar"] + old["rest"]) / 3
    assert torch.equal(new["drums"], old["drums"])
    torch.testing.assert_close(new["flute"], left)
    torch.testing.assert_close(new["rest"], left)


def test_where_all_are_claimed_an_unknown_stem_starts_as_the_mean_of_all() -> None:
    given = tiny_ast(sources=["bass", "drums"])
    old, new = head_of(given), shared_head(["drums", "bass", "flute"], given)
    assert torch.equal(new["bass"], old["bass"]) and torch.equal(new["drums"], old["drums"])
    torch.testing.assert_close(new["flute"], (old["bass"] + old["drums"]) / 2)


def test_other_sizes_are_refused_whatever_the_stems(trained: AstDdsp) -> None:
    with pytest.raises(DdspZooError, match="weights of trained do not fit the AstDdsp"):
        zoo.copy_weights(trained, tiny_ast(width=48), "trained")


def test_the_pretrained_transformer_is_taken_when_training_starts(tmp_path: Path) -> None:
    published_ast(64, 76, 24, 1, 1).save_pretrained(tmp_path)
    from transformers import ASTModel

    model, projection = tiny_ast(pretrained=str(tmp_path)), "embeddings.patch_embeddings.projection.weight"
    own, theirs = (
        kind.state_dict()[projection]
        for kind in (model.network.transformer, ASTModel.from_pretrained(tmp_path))
    )
    own = own.clone()
    for stage, expected in (("validate", own), ("test", own), ("fit", theirs)):
        model.setup(stage)
        assert torch.equal(model.network.transformer.state_dict()[projection], expected)
    assert not torch.equal(own, theirs)


# Full band


def full_band(**settings: object) -> AstDdsp:
    """Four stems at a high rate, with attention along time and bands."""
    shape = {
        "sample_rate": 44100,
        "hop_samples": 588,
        "segment_seconds": 20 / 75,
        "network": "axial",
        "bands": 64,
    }
    return tiny_ast(sources=BAND, **(shape | {"heads": 2, "width": 24, "depth": 2} | settings))


def test_attention_along_axes_takes_its_place() -> None:
    model = full_band(windows=(0.25, 2.0))
    mixture = noise(model, 2)
    controls = model.predict_controls(mixture)
    assert controls["amplitude"].shape == (2, 4, 20, 64) and model.pictures.channels == 4
    masked = model.masked(mixture, Rendered(None, controls, None))
    assert torch.allclose(masked.sum(1), mixture, atol=1e-5)


@pytest.mark.parametrize(
    "cheaper", [{"error_every": 2}, {"exact_below_hz": 2000.0}, {"exact_below_hz": 1000.0, "error_every": 2}]
)
def test_cheaper_grids_give_about_the_same_error(cheaper: dict[str, float]) -> None:
    errors = []
    for settings in ({}, cheaper):
        model = full_band(treble_weight=0.1, segment_seconds=60 / 75, **settings)
        _, logged = step(model, batch_of(model))
        errors.append(
            [logged["train/masked"] / model.error_weight, logged["train/treble"] / model.treble_weight]
        )
    assert torch.allclose(torch.tensor(errors[0]), torch.tensor(errors[1]), atol=0.15)


def test_errors_of_stretches_are_averaged() -> None:
    model, whole = full_band(error_seconds=10 / 75), full_band()
    batch = batch_of(model)
    batch["sources"][:, 0, : model.segment_samples // 2] *= 0.01
    batch["mixture"] = batch["sources"].sum(1)
    assert abs(step(model, batch)[1]["train/masked"] - step(whole, batch)[1]["train/masked"]) > 1e-3


def test_a_model_of_more_bands_begins_with_what_one_of_fewer_has_learned() -> None:
    """At twice the rate the lower half of the mel bands are the same pictures."""
    low = tiny_ast(sources=BAND, bands=32)
    with torch.no_grad():
        for weights in low.parameters():
            weights += 0.02 * torch.randn(weights.shape, generator=seeded())
    distance = low.pictures.long.distance
    high = tiny_ast(sources=BAND, bands=40, sample_rate=16000, hop_samples=256)
    copy_weights(low, high, "low")
    positions = "network.transformer.embeddings.position_embeddings"
    old, new = (model.state_dict()[positions][0, 2:].unflatten(0, (-1, 4)) for model in (low, high))
    assert len(new) == 5 and torch.equal(new[:4], old) and torch.equal(new[4], old[3])
    assert distance < high.pictures.long.distance < 2 * distance


# ---- the hits of drums


def drummer() -> AstDdsp:
    """Two stems at 44.1 kHz and an untrained transcriber that hears much."""
    model = tiny_ast(
        sources=["bass", "drums", "rest"],
        sample_rate=44100,
        hop_samples=704,
        segment_seconds=32 * 704 / 44100,
        transcribes_drums=True,
    )
    model.transcriber.threshold = (0.02,) * len(DRUM_SET)
    return model


def test_the_hits_of_drums_are_a_control_and_notes_of_a_midi_file(tmp_path: Path) -> None:
    model = drummer()
    song = ddsp_zoo.separate(model, music(44100, rate=44100), 44100)
    heard = hits_in_frames(song.controls["drums"]["hits"], song.control_rate_hz)
    assert sum(len(own.seconds) for own in heard.values()) > 4
    assert not song.controls["bass"]["hits"].any()
    song.to_midi(tmp_path / "notes.mid")
    (drums,) = [track for track in read_midi_tracks(tmp_path / "notes.mid") if track.name == "drums"]
    assert drums.channel == DRUM_CHANNEL
    for name, own in hits_of(drums.notes).items():
        assert own.seconds == pytest.approx(heard[name].seconds, abs=1e-3)  # a tick of the file
        assert own.strength == pytest.approx(heard[name].strength.clip(1 / 127), abs=0.5 / 127)


def test_hits_are_there_again_when_a_separation_is_opened_and_slower_when_it_is_stretched(
    tmp_path: Path,
) -> None:
    song = ddsp_zoo.separate(drummer(), music(44100, rate=44100), 44100)
    opened = ddsp_zoo.open(song.save(tmp_path / "song"))
    hits = song.controls["drums"]["hits"]
    assert (opened.controls["drums"]["hits"] == hits).all()
    assert "drums" in [track.name for track in read_midi_tracks(tmp_path / "song/notes.mid")]
    slow = opened.edit("drums").stretch(2.0).controls["hits"]
    assert (slow[::2] == hits).all() and not slow[1::2].any()


def test_a_transcriber_is_no_part_of_what_a_training_changes() -> None:
    model = drummer()
    assert not any(weight.requires_grad for weight in model.transcriber.parameters())
    assert any(key.startswith("transcriber.") for key in model.state_dict())
