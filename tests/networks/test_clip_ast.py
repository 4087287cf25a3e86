"""The published transformer: its grid, its one token, its positions, its spectrogram."""

import pytest
import torch
from published_ast import published_ast

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.networks.clip_ast import ClipAST, ClipMel

RATE, CLIP = 8000, 16000


def network(outputs: int = 7, **settings: object) -> ClipAST:
    torch.manual_seed(0)
    return ClipAST(128, 32, outputs, width=16, depth=1, heads=2, **settings).eval()


def test_two_seconds_make_twelve_by_two_patches_and_one_vector():
    mel = ClipMel(RATE, 2048, 512, 128)(torch.randn(3, CLIP))
    model = network()
    assert mel.shape == (3, 32, 128) and (model.rows, model.columns) == (12, 2)
    assert model.transformer.embeddings.position_embeddings.shape[1] == 24 + 2
    assert model(mel).shape == (3, 7)


def test_the_vector_is_read_from_the_mean_of_the_special_tokens():
    model, mel = network(), torch.randn(1, 32, 128)
    tokens = model.transformer(mel)
    torch.testing.assert_close(model(mel), model.head(tokens[:, :2].mean(1)))
    assert [type(layer).__name__ for layer in model.head] == ["LayerNorm", "Dropout", "Linear"]
    assert model.head[1].p == 0.1


def test_swapped_positions_tell_neighbours_in_frequency_that_they_follow_each_other(tmp_path):
    """A grid like AudioSet's, 12 by 101: its middle is cut as 2 rows of 12 and given to 12 rows of 2."""
    source = published_ast(128, 1024, 16, 1, 2)
    row, column = torch.arange(12.0)[:, None], torch.arange(101.0)
    with torch.no_grad():
        source.embeddings.position_embeddings[0, 2:, 0] = (row + 0 * column).flatten()
        source.embeddings.position_embeddings[0, 2:, 1] = (0 * row + column).flatten()
    source.save_pretrained(tmp_path)
    told = {}
    for swapped in (False, True):
        model = network()
        model.load_pretrained(str(tmp_path), swapped)
        told[swapped] = model.transformer.embeddings.position_embeddings[0, 2:].unflatten(0, (12, 2))
    torch.testing.assert_close(told[False][..., 0], row.expand(12, 2))
    assert told[False][:, 0, 1].diff().abs().max() == 0 and (told[False][..., 1].diff(dim=1) > 10).all()
    flat = told[True].flatten(0, 1)
    assert flat[:, 0].tolist() == [5] * 12 + [6] * 12 and flat[:, 1].tolist() == 2 * list(range(44, 56))


def test_idle_heads_are_there_and_never_learn():
    model = network(idle_heads=True)
    idle = sum(p.numel() for p in model.idle.parameters())
    assert idle == 2 * (16 + 1) * 1000 and not any(p.requires_grad for p in model.idle.parameters())
    mel = torch.randn(1, 32, 128)
    torch.testing.assert_close(model(mel), network()(mel))


def test_power_is_what_torchaudio_gives():
    audio = torch.randn(2, CLIP, generator=torch.Generator().manual_seed(0))
    reference = import_torchaudio().transforms.MelSpectrogram(
        RATE, n_fft=2048, hop_length=512, f_min=20.0, f_max=RATE / 2, n_mels=128, normalized=True
    )
    expected = reference(audio).transpose(1, 2)
    torch.testing.assert_close(
        ClipMel(RATE, 2048, 512, 128, log=False)(audio), expected, rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("level", [0.0, 1e-3, 1.0, 100.0])
def test_logarithms_are_standardised_and_finite_at_any_level(level):
    mel = ClipMel(RATE, 2048, 512, 128)(level * torch.randn(1, CLIP))
    assert mel.isfinite().all() and mel.mean().abs() < 1e-3
    assert level == 0 or mel.std().item() == pytest.approx(1, abs=0.02)
