"""What a GPU is sent: few operations, however long the sound, and nothing that waits for it or leaves it."""

import pytest
import torch
from dispatched import Dispatched, on_a_device
from torch import Tensor

from ddsp_zoo.dsp import banded_blocks, compiled, harmonic_basis
from ddsp_zoo.dsp.allpole import allpole
from ddsp_zoo.dsp.allpole_matrix import matrix_lattice
from ddsp_zoo.dsp.harmonic_basis import banded_solve
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
    return tuple(x.clone().requires_grad_() for x in (torch.randn(STRINGS, SECONDS * RATE), *controls))


@pytest.mark.parametrize("options", [{}, {"loop_filter": "one_pole"}, {"dc_pole": 0.9, "clip": True}])
@pytest.mark.parametrize("shortest", [16.0, 80.0])
def test_a_block_of_strings_is_a_few_operations(no_kernels, options: dict, shortest: float) -> None:
    given = strings(shortest)
    with Dispatched() as sent:
        string_loop(*given, HOP, **options)[0].sum().backward()
    size = min(shortest, LARGEST_MATRIX) if options else shortest
    assert sent.computed.total() < 14 * RATE * SECONDS / size + 400
    assert sent.waits.total() <= 4  # the checks of what is given


@pytest.mark.parametrize(
    "one_pole, dc_pole, clip", [(False, 0.0, False), (True, 0.0, True), (True, 0.9, False)]
)
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


def systems(rows: int, unknowns: int, width: int, apart: float) -> tuple[Tensor, Tensor, Tensor]:
    """Bands whose matrices are the less definite the larger what is off their diagonals."""
    draw = torch.Generator().manual_seed(3)
    band = apart * torch.randn(rows, unknowns, width, dtype=torch.complex128, generator=draw)
    band[..., 0] = 1
    right = torch.randn(rows, unknowns, dtype=torch.complex128, generator=draw)
    return band, 0.1 + torch.rand(rows, unknowns, dtype=torch.float64, generator=draw), right


@pytest.mark.parametrize("unknowns, width", [(1, 3), (7, 1), (8, 3), (50, 4), (50, 12)])
@pytest.mark.parametrize("apart", [0.0, 0.1, 0.6, 30.0])
def test_blocks_solve_and_ease_bands_as_the_kernel_does(
    monkeypatch: pytest.MonkeyPatch, unknowns: int, width: int, apart: float
) -> None:
    given = systems(9, unknowns, width, apart)
    expected = banded_solve(*given)
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    torch.testing.assert_close(banded_solve(*given), expected, atol=1e-9, rtol=1e-9)


def test_rows_of_systems_are_solved_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    given = systems(9, 20, 4, 0.3)
    whole = banded_blocks.solve_in_blocks(*given)
    monkeypatch.setattr(banded_blocks, "AT_ONCE", 2 * 11 * 64)
    torch.testing.assert_close(banded_blocks.solve_in_blocks(*given), whole)


def test_a_band_is_a_few_operations_a_block() -> None:
    with Dispatched() as sent:
        banded_blocks.solve_in_blocks(*systems(400, 160, 5, 0.6))
    assert sent.computed.total() < 48 * 160 / 8 + 100 and not sent.waits


def test_harmonic_least_squares_stay_on_the_gpu() -> None:
    on_a_device(banded_blocks.solve_in_blocks, *systems(4, 30, 3, 0.1))
    frame = (torch.rand(2, 2, 5), torch.rand(2, 2, 5), torch.rand(2, 2, 5, 4), torch.rand(32), 16)
    on_a_device(harmonic_basis._correlate_by_tensors, torch.rand(2, 1, 96), *frame)
    on_a_device(harmonic_basis._synthesise_by_tensors, torch.rand(2, 2, 5, 4, 2), *frame)


def test_partials_are_made_in_portions(no_kernels, monkeypatch: pytest.MonkeyPatch) -> None:
    cycles, multiple = (
        0.01 + 0.1 * torch.rand(1, 2, 6).double(),
        torch.arange(1.0, 4).double().expand(1, 2, 6, 3),
    )
    frame = (cycles, torch.zeros_like(cycles), multiple.contiguous(), torch.hann_window(32).double(), 16)
    audio = torch.randn(1, 1, 112).double().requires_grad_()
    whole = harmonic_basis.correlate(audio, *frame)
    monkeypatch.setattr(harmonic_basis, "AT_ONCE", 1)
    torch.testing.assert_close(harmonic_basis.correlate(audio, *frame), whole)
    assert torch.autograd.gradcheck(lambda x: harmonic_basis.correlate(x, *frame), audio)
    assert torch.autograd.gradcheck(
        lambda x: harmonic_basis.synthesise(x, *frame), whole.detach().requires_grad_()
    )


def test_the_device_tells_what_waits_and_what_leaves() -> None:
    for bad in (
        lambda x: x * x.sum().item(),
        lambda x: x.cpu(),
        lambda x: x + torch.ones(3),
        lambda x: x.gather(0, torch.arange(3)),
    ):
        with pytest.raises((RuntimeError, NotImplementedError)):
            on_a_device(bad, torch.rand(3))
