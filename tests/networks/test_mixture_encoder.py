"""The network of the string models: shapes, shared weights, size."""

import pytest
import torch
import yaml

from ddsp_zoo.models import KarplusStrongStrings
from ddsp_zoo.networks.mixture_encoder import MixtureEncoder, SourceDecoder, SpectrogramNorm
from ddsp_zoo.settings.build import build


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_norm_of_an_example_does_not_depend_on_its_level():
    spectrogram = 3 + 2 * noise(2, 10, 6)
    normed = SpectrogramNorm(6)(spectrogram)
    assert normed[1].mean().item() == pytest.approx(0, abs=1e-5)
    assert normed[1].square().mean().item() == pytest.approx(1, abs=1e-4)
    torch.testing.assert_close(SpectrogramNorm(6)(spectrogram + 5), normed, atol=1e-5, rtol=1e-4)


def test_one_latent_a_frame():
    encoder = MixtureEncoder(n_fft=64, hop=32, width=8, latent=5)
    assert encoder(noise(2, 32 * 11)).shape == (2, 11, 5)


def test_the_last_two_layers_are_summed():
    encoder = MixtureEncoder(n_fft=64, hop=32, width=8, latent=5)
    for weight in encoder.grus[2].parameters():
        torch.nn.init.zeros_(weight)
    latent = encoder(noise(1, 320))
    assert latent.std(1).min() > 1e-3  # the second is heard although the third says nothing


@pytest.mark.parametrize("audio", [torch.zeros(1, 320), torch.ones(1, 320)], ids=["silence", "constant"])
def test_latents_of_dull_audio_are_finite(audio):
    assert MixtureEncoder(n_fft=64, hop=32, width=8, latent=5)(audio).isfinite().all()


def test_sources_are_told_apart_by_their_f0_alone():
    decoder, latent = SourceDecoder(channels=3, latent=5, width=8), noise(2, 7, 5)
    f0 = 100 + 50 * noise(2, 4, 7).abs()
    order = [2, 0, 3, 1]
    raw = decoder(latent, f0)
    assert raw.shape == (2, 4, 7, 3)
    torch.testing.assert_close(decoder(latent, f0[:, order]), raw[:, order])
    assert not torch.allclose(raw[:, 0], raw[:, 1], atol=1e-4)


def test_controls_do_not_hear_the_future():
    decoder, latent = SourceDecoder(channels=3, latent=5, width=8), noise(1, 7, 5)
    f0 = torch.full((1, 1, 7), 200.0)
    later = f0.clone()
    later[..., 4:] = 300
    before, after = decoder(latent, f0), decoder(latent, later)
    torch.testing.assert_close(before[:, :, :4], after[:, :, :4])
    assert not torch.allclose(before[:, :, 4:], after[:, :, 4:], atol=1e-4)


def test_size_of_experiment_b4(pytestconfig):
    recipe = yaml.safe_load((pytestconfig.rootpath / "recipes" / "exB4.yaml").read_text(encoding="utf-8"))
    model = build(recipe["model"], KarplusStrongStrings)
    assert sum(weight.numel() for weight in model.parameters()) == 5_497_221
    assert model.synth.controls.channels == 3
    assert [control.name for control in model.synth.controls.controls] == [
        "excitation_gain",
        "damping",
        "dynamics",
    ]


@pytest.mark.parametrize("pitches", [1, 3, 1000], ids=["one pitch", "few", "all different"])
def test_sharing_changes_neither_controls_nor_gradients(pitches):
    decoder = SourceDecoder(channels=3, latent=5, width=8).double()
    latent = noise(2, 7, 5).double().requires_grad_()
    f0 = 100.0 * torch.randint(pitches, (2, 4, 7), generator=torch.Generator().manual_seed(0)).double()

    def results() -> list[torch.Tensor]:
        raw = decoder(latent, f0)
        return [raw, *torch.autograd.grad(raw.pow(3).sum(), [latent, *decoder.parameters()])]

    shared = results()
    decoder.hidden = decoder.hidden_expanded
    for got, expected in zip(shared, results(), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_network_compiles_in_one_piece():
    encoder, decoder = (
        MixtureEncoder(n_fft=64, hop=32, width=8, latent=5),
        SourceDecoder(3, latent=5, width=8),
    )
    audio, f0 = noise(2, 32 * 7), 100 + 50 * noise(2, 4, 7).abs()
    compiled = torch.compile(lambda a, f: decoder(encoder(a), f), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(audio, f0), decoder(encoder(audio), f0))
