"""The spectrogram transformer: shapes, frames that stay where they are, pretrained weights."""

import math
from types import SimpleNamespace

import pytest
import torch

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.ast import FrameAST, LogMel

MELS, FRAMES = 32, 36
TINY = {"width": 16, "depth": 1, "heads": 2}


def network(**settings: int) -> FrameAST:
    torch.manual_seed(0)
    return FrameAST(MELS, FRAMES, channels=7, **(TINY | settings)).eval()


def save_transformer(folder, **settings: int) -> str:
    """A tiny AST of another grid in the format of transformers, with an embedding that tells its places."""
    import_torchaudio()
    from transformers import ASTConfig, ASTModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    grid = {"num_mel_bins": 64, "max_length": 76, "frequency_stride": 10, "time_stride": 10}
    model = ASTModel(ASTConfig(**(sizes | grid | settings)))
    rows, columns = (64 - 16) // 10 + 1, (76 - 16) // 10 + 1
    place = torch.linspace(0, 1, columns).expand(rows, columns) + 10 * torch.linspace(0, 1, rows)[:, None]
    with torch.no_grad():
        model.embeddings.position_embeddings[0, 2:] = place.flatten()[:, None]
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(("frequency_stride", "time_stride"), [(16, 4), (8, 16), (10, 20)])
def test_raw_controls_for_every_frame(frequency_stride, time_stride):
    raw = network(frequency_stride=frequency_stride, time_stride=time_stride)(torch.randn(2, FRAMES, MELS))
    assert raw.shape == (2, FRAMES, 7)
    assert raw.isfinite().all()


def test_columns_stand_at_the_middle_of_their_patches():
    model = network(time_stride=4)
    middle = 4 * torch.arange(model.columns) + 7.5
    expected = torch.arange(FRAMES).float().clamp(7.5, middle[-1].item())
    torch.testing.assert_close(model._at_frames(middle[None, :, None])[0, :, 0], expected)


def test_tokens_of_the_transformer_end_at_their_own_frames(monkeypatch):
    """Patches that hold the mean of a ramp over time come back as that ramp, whatever their frequency."""
    model = network(time_stride=4)
    patches = model.transformer.embeddings.patch_embeddings
    torch.nn.init.constant_(patches.projection.weight, 1 / 256)
    torch.nn.init.zeros_(patches.projection.bias)
    seen = {}

    def transformer(mel: torch.Tensor) -> SimpleNamespace:
        tokens = torch.nn.functional.pad(patches(mel), (0, 0, 2, 0))
        return SimpleNamespace(last_hidden_state=tokens)

    def keep(joined: torch.Tensor) -> torch.Tensor:
        seen["context"] = joined[0, :, 0]
        return joined

    monkeypatch.setattr(model, "_modules", model._modules | {"transformer": transformer})
    model.refine = torch.nn.Identity()
    model.refine.forward = keep
    model(torch.arange(FRAMES).float()[None, :, None].expand(1, FRAMES, MELS))
    torch.testing.assert_close(seen["context"][8:-8], torch.arange(FRAMES).float()[8:-8])


def test_pretrained_weights_on_another_grid(tmp_path):
    model, folder = network(), save_transformer(tmp_path)
    model.load_pretrained(folder)
    from transformers import ASTModel

    expected = ASTModel.from_pretrained(folder).state_dict()
    for name, weight in model.transformer.state_dict().items():
        if "position" not in name:
            torch.testing.assert_close(weight, expected[name])
    place = model.transformer.embeddings.position_embeddings[0, 2:, 0].unflatten(
        0, (model.rows, model.columns)
    )
    assert (place.diff(dim=1) >= 0).all() and (place[0, -1] - place[0, 0]).item() == pytest.approx(1, abs=0.2)
    assert (place.diff(dim=0) > 3).all()
    assert model(torch.randn(1, FRAMES, MELS)).isfinite().all()


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"hidden_size": 32}, "hidden_size = 32, this model 16"), ({"num_hidden_layers": 2}, "num_hidden_layers = 2"),
     ({"num_attention_heads": 4}, "num_attention_heads = 4")],
)  # fmt: skip
def test_a_transformer_of_another_size_is_refused(tmp_path, settings, field):
    folder = save_transformer(tmp_path, **settings)
    with pytest.raises(DdspZooError, match=f"{field}.*set width, depth and heads"):
        network().load_pretrained(folder)


def test_log_mel_is_standardised_and_one_frame_a_hop(tone):
    features = LogMel(8000, 256, 64, mels=20)
    mel = features(torch.from_numpy(tone(440, 1, 8000))[None, :7680])
    assert mel.shape == (1, 120, 20)
    assert mel.mean().item() == pytest.approx(0, abs=1e-4)
    assert mel.square().mean().item() == pytest.approx(1, abs=1e-3)


def test_frame_n_of_log_mel_is_centred_at_sample_n_hop():
    audio = torch.zeros(1, 6400)
    audio[0, 50 * 64] = 1
    assert LogMel(8000, 256, 64, mels=20)(audio)[0].sum(1).argmax().item() == 50


def test_log_mel_of_silence_is_finite():
    assert not LogMel(8000, 256, 64, mels=20)(torch.zeros(1, 1280)).isnan().any()


def test_start_is_quiet():
    """The head starts small, so that training starts from the controls' own defaults."""
    assert network().head.weight.std().item() == pytest.approx(0.02, rel=0.2)
    assert math.isclose(network().head.bias.abs().max().item(), 0)
