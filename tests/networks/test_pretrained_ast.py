"""Transformers made, and started from published ones: positions that find their places on another grid."""

import pytest
import torch
from published_ast import published_ast

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.pretrained_ast import load_pretrained
from ddsp_zoo.networks.spectrogram_transformer import SpectrogramTransformer

ROWS, COLUMNS = 4, 6  # of the saved transformer
WIDTH = 16


def small(mels: int = 32, frames: int = 36, depth: int = 1, heads: int = 2, width: int = WIDTH):
    return SpectrogramTransformer(mels, frames, width, depth, heads, 16, 4)


@pytest.fixture
def saved(tmp_path) -> str:
    """A transformer whose embedding of a position is 10 x its row + its column."""
    model = published_ast(16 + 10 * (ROWS - 1), 16 + 10 * (COLUMNS - 1), WIDTH, 1, 2)
    place = 10 * torch.arange(float(ROWS))[:, None] + torch.arange(float(COLUMNS))
    with torch.no_grad():
        model.embeddings.position_embeddings[0, 2:] = place.flatten()[:, None]
        model.embeddings.position_embeddings[0, :2] = -7.0
    model.save_pretrained(tmp_path)
    return str(tmp_path)


def positions(model) -> torch.Tensor:
    return model.embeddings.position_embeddings[0, 2:, 0]


def test_all_weights_come_over_and_positions_are_resampled(saved):
    from transformers import ASTModel

    model = small()
    load_pretrained(model, saved, 2, 6)
    expected = ASTModel.from_pretrained(saved).state_dict()
    for name, weight in model.state_dict().items():
        if "position" not in name:
            torch.testing.assert_close(weight, expected[name])
    assert (model.embeddings.position_embeddings[0, :2] == -7).all()
    grid = positions(model).unflatten(0, (2, 6))
    torch.testing.assert_close(grid, torch.tensor([5.0, 25.0])[:, None] + torch.arange(6.0))
    assert model(torch.randn(1, 36, 32)).isfinite().all()


def test_cut_positions_are_those_of_the_middle(saved):
    model = SpectrogramTransformer(32, 26, WIDTH, 1, 2, 10, 10)
    load_pretrained(model, saved, 2, 2, cut=True)
    assert positions(model).tolist() == [12, 13, 22, 23]


def test_positions_that_do_not_suffice_are_resampled_though_they_be_cut(saved):
    model = SpectrogramTransformer(66, 46, WIDTH, 1, 2, 10, 10)
    load_pretrained(model, saved, 6, 4, cut=True)
    grid = positions(model).unflatten(0, (6, 4))
    torch.testing.assert_close(grid.diff(dim=1), torch.ones(6, 3))
    assert grid[:, 0].diff().min() > 0 and grid[0, 0] == 1 and grid[-1, 0] == 31


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"width": 32}, "hidden_size = 16, this model 32"),
        ({"depth": 2}, "num_hidden_layers = 1, this model 2"),
        ({"heads": 4}, "num_attention_heads = 2"),
    ],
)
def test_a_transformer_of_another_size_is_refused(saved, settings, field):
    with pytest.raises(DdspZooError, match=f"{field}.*set width, depth and heads"):
        load_pretrained(small(**settings), saved, 2, 6)


def test_weights_that_are_nowhere_are_told(tmp_path):
    with pytest.raises(DdspZooError, match="nowhere.*cannot be loaded"):
        load_pretrained(small(), str(tmp_path / "nowhere"), 2, 6)


@pytest.mark.parametrize("settings", [{"mels": 15}, {"frames": 9}, {"heads": 3}])
def test_sizes_that_cannot_be_are_told(settings):
    with pytest.raises(DdspZooError, match="at least 16 frames by 16 mel bands"):
        small(**settings)


def test_tokens_are_those_of_the_published_code(tmp_path):
    published = published_ast(32, 36, WIDTH, 3, 4, stride=5)
    published.save_pretrained(tmp_path)
    model = SpectrogramTransformer(32, 36, WIDTH, 3, 4, 5, 5).eval()
    load_pretrained(model, str(tmp_path), model.rows, model.columns)
    mel = torch.randn(2, 36, 32)
    tokens, expected = model(mel), published(mel)
    torch.testing.assert_close(tokens, expected.last_hidden_state)
    torch.testing.assert_close(tokens[:, :2].mean(1), expected.pooler_output)


def test_a_new_transformer_tells_places_apart():
    torch.manual_seed(0)
    tokens = small()(torch.zeros(1, 36, 32))[0, 2:]
    assert torch.cdist(tokens, tokens).fill_diagonal_(1).min() > 0.1
