"""Attention along time and along bands: sizes, any length, who hears whom, weights that all learn."""

import pytest
import torch
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.axial import AxialUNet, _Layer, rotated

BANDS = 16


def network(bands: int = BANDS, **sizes: int) -> AxialUNet:
    torch.manual_seed(0)
    sizes = {"width": 16, "depth": 2, "heads": 2} | sizes
    return AxialUNet(3, 5, bands, (4, 4, 8, 8), **sizes).eval()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("bands", [8, 16, 40])
@pytest.mark.parametrize("frames", [1, 4, 13, 32])
def test_maps_for_every_band_and_any_number_of_frames(bands: int, frames: int) -> None:
    maps = network(bands)(noise(2, 3, frames, bands))
    assert maps.shape == (2, 5, frames, bands) and maps.isfinite().all()


@pytest.mark.parametrize("settings", [{"bands": 12}, {"bands": 0}, {"width": 15}, {"width": 6}, {"depth": 3}])
def test_sizes_that_do_not_fit_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(DdspZooError, match="multiple of 8 bands"):
        network(**settings)


def test_every_weight_learns() -> None:
    model = network().train()
    with torch.no_grad():
        for weights in model.parameters():
            if not weights.any():  # layers that start at zero hide others
                weights.normal_(std=0.1)
    model(noise(2, 3, 16, BANDS)).square().sum().backward()
    assert all(weights.grad is not None and weights.grad.any() for weights in model.parameters())


@pytest.mark.parametrize("along, heard", [("time", (slice(None), 3)), ("bands", (2, slice(None)))])
def test_a_layer_hears_along_its_axis_alone(along: str, heard: tuple) -> None:
    torch.manual_seed(0)
    layer = _Layer(16, 2, along)
    cells = noise(1, 5, 7, 16)
    changed = cells.clone()
    changed[0, 2, 3] = noise(16, seed=2)  # a constant would be taken out by the norm
    moved = (layer(changed) - layer(cells)).abs().amax(-1)[0] > 1e-7
    expected = torch.zeros(5, 7, dtype=torch.bool)
    expected[heard] = True
    assert torch.equal(moved, expected)


def test_products_of_rotated_vectors_depend_on_their_distance_alone() -> None:
    one, other = noise(8), noise(8, seed=2)
    products = rotated(one.expand(9, 8)) @ rotated(other.expand(9, 8)).T
    for distance in range(-8, 9):
        diagonal = products.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-5)
