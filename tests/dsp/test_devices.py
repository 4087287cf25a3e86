"""What a GPU is sent: few operations, however long the sound, and nothing that waits for it or leaves it."""

import pytest
import torch
from dispatched import Dispatched, on_a_device
from torch import Tensor

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.allpole import allpole
from ddsp_zoo.dsp.allpole_matrix import matrix_lattice
from ddsp_zoo.dsp.string import string_loop
from ddsp_zoo.dsp.string_block import LARGEST_MATRIX, block_loop

RATE, HOP, STRINGS, SECONDS = 16000, 160, 12, 1


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computes as on a device that is no CPU."""
    monkeypatch.setattr(compiled, "AVAILABLE", False)


def strings(shortest: float) -> tuple[Tensor, ...]:
    """Excitation, delay, gain and smoothing of strings of very different length."""
    frames = SECONDS * RATE // HOP
    delay = torch.linspace(shortest, 200, STRINGS)[:, None].expand(-1, frames)
    controls = (delay, torch.full((STRINGS, frames), 0.99), torch.full((STRINGS, frames), 0.3))
    return tuple(
        x.clone().requires_grad_() for x in (torch.randn(STRINGS, SECONDS * RATE), *controls)
    )


@pytest.mark.parametrize("options", [{}, {"loop_filter": "one_pole"}, {"dc_pole": 0.9, "clip": True}])
@pytest.mark.parametrize("shortest", [16.0, 80.0])
def test_a_block_of_strings_is_a_few_operations(no_kernels, options: dict, shortest: float) -> None:
    given = strings(shortest)
    with Dispatched() as sent:
        string_loop(*given, HOP, **options)[0].sum().backward()
    size = min(shortest, LARGEST_MATRIX) if options else shortest
    assert sent.computed.total() < 14 * RATE * SECONDS / size + 400
    assert sent.waits.total() <= 4  # the checks of what is given


@pytest.mark.parametrize("one_pole, dc_pole, clip", [(False, 0.0, False), (True, 0.0, True), (True, 0.9, False)])
def test_strings_stay_on_the_gpu(one_pole: bool, dc_pole: float, clip: bool) -> None:
    ramp, options = torch.rand(3, 2, 4), (HOP, one_pole, dc_pole, clip, (20.0, 90.0))
    given = (torch.rand(2, 4 * HOP), ramp, ramp, torch.rand(2, 99), torch.rand(2, 2))
    on_a_device(lambda *x: block_loop(*x, *options), *given)


def test_an_all_pole_filter_is_a_few_steps_for_the_root_of_its_samples(no_kernels) -> None:
    x, k = torch.randn(4, 125 * 128).requires_grad_(), (0.9 * torch.rand(4, 125, 20)).requires_grad_()
    with Dispatched() as sent:
        allpole(x, k, 128)[0].sum().backward()
    assert sent.computed.total() < 16 * 126 + 400
    assert sent.waits.total() == 1  # are the coefficients numbers


def test_an_all_pole_filter_stays_on_the_gpu() -> None:
    given = (torch.rand(3, 6 * 32), torch.rand(3, 7, 20), torch.rand(3, 7), torch.rand(3, 20), 32)
    on_a_device(matrix_lattice, *given)


def test_the_device_tells_what_waits_and_what_leaves() -> None:
    for bad in (lambda x: x * x.sum().item(), lambda x: x.cpu(), lambda x: x + torch.ones(3), lambda x: x.gather(0, torch.arange(3))):
        with pytest.raises((RuntimeError, NotImplementedError)):
            on_a_device(bad, torch.rand(3))
