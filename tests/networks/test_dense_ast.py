"""The transformer between convolutions: sizes, tokens in their own cells, weights that all learn, pretrained ones."""

import copy
import pickle

import pytest
import torch
from published_ast import published_ast
from torch import Tensor, nn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.dense_ast import DenseAST

BANDS, FRAMES = 16, 32


def network(bands: int = BANDS, frames: int = FRAMES, **sizes: int) -> DenseAST:
    torch.manual_seed(0)
    sizes = {"width": 16, "depth": 1, "heads": 2} | sizes
    return DenseAST(3, 5, bands, frames, (4, 4, 8, 8), **sizes).eval()


def awake(model: DenseAST) -> DenseAST:
    """With weights in the layers that start at zero and so hide others; positions stay zero."""
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if not weights.any() and "position" not in name:
                weights.normal_(std=0.1)
    return model


def pictures(bands: int = BANDS, frames: int = FRAMES, count: int = 2) -> Tensor:
    return torch.randn(count, 3, frames, bands, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("bands", [8, 16, 40])
@pytest.mark.parametrize("frames", [8, 13, 32])
def test_maps_for_every_band_and_frame(bands, frames):
    maps = network(bands, frames)(pictures(bands, frames))
    assert maps.shape == (2, 5, frames, bands) and maps.isfinite().all()


@pytest.mark.parametrize("frames", [1, 3, 8, 21, 31])
def test_segments_may_be_shorter_than_the_longest(frames):
    model = awake(network())
    maps = model(pictures(frames=frames))
    assert maps.shape == (2, 5, frames, BANDS)
    padded = nn.functional.pad(pictures(frames=frames), (0, 0, 0, FRAMES - frames))
    torch.testing.assert_close(maps, model(padded)[:, :, :frames])


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"bands": 20}, "multiple of 8 bands.*got 20 bands"),
        ({"bands": 0}, "got 0 bands"),
        ({"heads": 3}, "width 16 and 3 heads"),
    ],
)
def test_sizes_that_cannot_be_are_told(sizes, words):
    with pytest.raises(DdspZooError, match=words):
        network(**sizes)


def test_more_frames_than_it_is_made_for_are_refused():
    with pytest.raises(DdspZooError, match="made for 32 frames, got 33; `separate` takes any length"):
        network(frames=27)(pictures(frames=33))


class Patches(nn.Module):
    """Stands in for the transformer: its tokens are the means of their patches."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.projection = transformer.embeddings.patch_embeddings["projection"]
        nn.init.constant_(self.projection.weight, 1 / 256)
        nn.init.zeros_(self.projection.bias)

    def forward(self, picture: Tensor) -> Tensor:
        tokens = self.projection(picture[:, None].transpose(2, 3)).flatten(2).transpose(1, 2)
        return nn.functional.pad(tokens, (0, 0, 2, 0))


def test_each_token_comes_to_the_cell_with_its_own_centre():
    """Patches that hold the mean of a ramp come back as the ramp at the middle of cells of 8 by 8, on both axes."""
    model = network(bands=40)
    model.transformer = Patches(model.transformer)
    place = torch.arange(FRAMES)[:, None] + 100.0 * torch.arange(40)
    tokens = model._tokens(place[None])
    assert tokens.shape == (1, 16, FRAMES // 8, 5)
    expected = place.unflatten(0, (-1, 8)).unflatten(2, (-1, 8)).mean((1, 3))
    inside = (slice(1, -1), slice(1, -1))  # patches at the edges hold zeros from outside
    for channel in tokens[0]:
        torch.testing.assert_close(channel[inside], expected[inside])


@pytest.mark.parametrize("shift", [(8, 0), (0, 8), (16, 8)])
def test_what_moves_by_whole_cells_is_judged_the_same(shift):
    """Without its positions the network cannot tell where a thing is, only what is around it."""
    model = awake(network(bands=160, frames=160))
    model.transformer.embeddings.position_embeddings.data.zero_()
    thing = torch.zeros(1, 3, 160, 160)
    thing[:, :, 72:84, 72:84] = pictures(12, 12, 1)
    first, second = (model(picture) for picture in (thing, thing.roll(shift, (2, 3))))
    near = (slice(None), slice(None), slice(60, 96), slice(60, 96))
    moved = second.roll((-shift[0], -shift[1]), (2, 3))
    assert first[near].std() > 0.01
    torch.testing.assert_close(moved[near], first[near], rtol=1e-3, atol=1e-4)
    uneven = model(thing.roll(4, 2)).roll(-4, 2)
    assert (uneven[near] - first[near]).abs().max() > 1e-3  # half a cell is something else to a token


def test_every_map_hears_the_whole_segment():
    model = awake(network(bands=80, frames=160))
    whole = pictures(80, 160, 1).requires_grad_()
    model(whole)[0, :, 80, 40].sum().backward()
    reach = whole.grad[0].abs().amax(0)
    assert reach[0].max() > 0 and reach[-1].max() > 0 and reach[:, [0, -1]].amax(0).min() > 0


def test_gradient_reaches_every_weight_once_what_starts_at_zero_has_moved():
    model = awake(network())
    model(pictures()).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


def test_the_start_is_near_zero():
    """The head starts small and blocks pass on what they get, so that training starts from equal shares."""
    model = network(width=64, heads=4)
    assert model.head.weight.std().item() == pytest.approx(0.02, rel=0.4) and not model.head.bias.any()
    maps = torch.randn(1, 8, 4, 4)
    assert torch.equal(model.bottom(maps), maps)
    assert model(pictures()).abs().max() < 0.3


def test_a_network_can_be_pickled_and_copied():
    """As spawned processes and averages of weights need it."""
    model = awake(network())
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert type(other) is DenseAST and other.head.weight is not model.head.weight
        torch.testing.assert_close(other(pictures()), model(pictures()))


def test_half_precision_changes_no_shape_and_breaks_nothing():
    with torch.autocast("cpu", torch.bfloat16):
        maps = awake(network())(pictures())
    assert maps.shape == (2, 5, FRAMES, BANDS) and maps.isfinite().all()


# Pretrained transformers


@pytest.fixture
def saved(tmp_path) -> str:
    """A transformer of 5 x 7 patches that embeds a position as 10 x its row + its column."""
    model = published_ast(16 + 10 * 4, 16 + 10 * 6, 16, 1, 2)
    place = 10 * torch.arange(5.0)[:, None] + torch.arange(7.0)
    with torch.no_grad():
        model.embeddings.position_embeddings[0, 2:] = place.flatten()[:, None]
    model.save_pretrained(tmp_path)
    return str(tmp_path)


def test_pretrained_weights_come_over_and_positions_find_their_places(saved):
    from transformers import ASTModel

    model = network()
    model.load_pretrained(saved)
    expected = ASTModel.from_pretrained(saved).state_dict()
    for name, weights in model.transformer.state_dict().items():
        if "position" not in name:
            assert torch.equal(weights, expected[name])
    place = model.transformer.embeddings.position_embeddings[0, 2:, 0].unflatten(0, (BANDS // 8, FRAMES // 8))
    rows, columns = torch.tensor([0.75, 3.25]), torch.tensor([0.375, 2.125, 3.875, 5.625])
    torch.testing.assert_close(place, 10 * rows[:, None] + columns)
    assert model(pictures()).isfinite().all()


@pytest.mark.parametrize(
    ("sizes", "field"),
    [
        ({"width": 32}, "hidden_size = 16, this model 32"),
        ({"depth": 2}, "num_hidden_layers = 1, this model 2"),
        ({"heads": 4}, "num_attention_heads = 2"),
    ],
)
def test_a_transformer_of_another_size_is_refused(saved, sizes, field):
    with pytest.raises(DdspZooError, match=f"{field}.*set width, depth and heads"):
        network(**sizes).load_pretrained(saved)
