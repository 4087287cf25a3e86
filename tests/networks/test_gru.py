"""The GRU against torch's own and against finite differences."""

import pytest
import torch
from torch import Tensor, nn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.networks.gru import GRU, gru_scan


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    values = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return values.to(dtype).requires_grad_()


def both(inputs: int, width: int, dtype: torch.dtype = torch.float64) -> tuple[GRU, nn.GRU]:
    """Our GRU and torch's with the same weights."""
    ours, rival = GRU(inputs, width).to(dtype), nn.GRU(inputs, width, batch_first=True).to(dtype)
    rival.load_state_dict(ours.state_dict())
    return ours, rival


def results(gru: nn.Module, x: Tensor, state: Tensor | None) -> list[Tensor]:
    """Both outputs and the gradients of everything that they depend on."""
    hidden, last = gru(x, state)
    score = (hidden * noise(*hidden.shape, seed=1)).sum() + (last * noise(*last.shape, seed=2)).sum()
    wanted = [x, *gru.parameters()] + ([] if state is None else [state])
    return [hidden, last, *torch.autograd.grad(score, wanted)]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize(("batch", "frames"), [(2, 40), (12, 3), (1, 1)])
@pytest.mark.parametrize("with_state", [True, False])
def test_outputs_and_gradients_equal_those_of_torch(dtype, tolerance, batch, frames, with_state):
    ours, rival = both(5, 16, dtype)
    x = noise(batch, frames, 5, dtype=dtype)
    state = noise(1, batch, 16, dtype=dtype, seed=3) if with_state else None
    for got, expected in zip(results(ours, x, state), results(rival, x, state), strict=True):
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance)


def test_weights_go_by_the_names_of_torch():
    ours, rival = both(5, 7)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in rival.named_parameters()]


def test_adjoint_of_everything_by_finite_differences():
    inputs = noise(4, 2, 9), noise(9, 3, seed=1), noise(3, seed=2), noise(2, 3, seed=3)
    assert torch.autograd.gradcheck(lambda *given: gru_scan(*given)[0], inputs)


def test_chunks_with_carried_state_equal_one_pass():
    gru, x = GRU(5, 7).double(), noise(2, 20, 5)
    first, state = gru(x[:, :8])
    second, last = gru(x[:, 8:], state)
    whole, whole_last = gru(x)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(last, whole_last, rtol=0, atol=1e-12)
    gradient, expected = (torch.autograd.grad(end.sum(), x)[0] for end in (last, whole_last))
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-12)


def test_input_that_lies_otherwise_in_memory_gives_the_same():
    gru, x = GRU(5, 7).double(), noise(2, 6, 5)
    torch.testing.assert_close(gru(x.transpose(0, 1).contiguous().transpose(0, 1))[0], gru(x)[0])


def test_projections_of_parts_add_up():
    gru, x = GRU(5, 7).double(), noise(2, 6, 5)
    parts = gru.project(x[..., :2], bias=False) + gru.project(x[..., 2:], first=2)
    torch.testing.assert_close(parts, gru.project(x))


def test_autocast_stays_as_near_as_torch_does():
    ours, rival = both(32, 64, torch.float32)
    x = noise(4, 50, 32, dtype=torch.float32)
    exact = rival(x)[0]
    with torch.autocast("cpu", torch.bfloat16):
        got, expected = ours(x)[0], rival(x)[0]
    assert got.dtype == torch.float32
    assert (got - exact).abs().max() < 1.5 * (expected - exact).abs().max()
    got.sum().backward()
    assert ours.weight_hh_l0.grad.dtype == torch.float32 and ours.weight_hh_l0.grad.isfinite().all()


def test_compiled_equals_eager():
    gru, x = GRU(5, 7).double(), noise(2, 6, 5)
    compiled = torch.compile(gru, fullgraph=True, backend="aot_eager")
    for got, expected in zip(results(compiled, x, None), results(gru, x, None), strict=True):
        torch.testing.assert_close(got, expected)


def test_operation_is_registered_soundly():
    inputs = noise(4, 2, 9), noise(9, 3, seed=1), noise(3, seed=2), noise(2, 3, seed=3)
    torch.library.opcheck(torch.ops.ddsp_zoo.gru_scan.default, inputs)


@pytest.mark.parametrize("shape", [(2, 6, 4), (2, 0, 5), (6, 5)], ids=["features", "no frames", "no batch"])
def test_wrong_input_is_named(shape):
    with pytest.raises(DdspZooError, match="takes"):
        GRU(5, 7)(torch.zeros(shape))


def test_wrong_state_is_named():
    with pytest.raises(DdspZooError, match="state"):
        GRU(5, 7)(torch.zeros(2, 6, 5), torch.zeros(1, 3, 7))


def test_other_devices_take_the_path_of_torch():
    gru = GRU(5, 7)
    hidden, last = gru.to("meta")(torch.zeros(2, 6, 5, device="meta"))
    assert hidden.shape == (2, 6, 7) and last.shape == (1, 2, 7) and hidden.device.type == "meta"
