"""The one-pole low-pass and the DC blocker, kernel and scan, against plain recursions."""

import math

import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor
from torch.autograd import gradcheck

from ddsp_zoo.dsp.frames import follow, ramps
from ddsp_zoo.dsp.one_pole import dc_block, high_pass_pole, one_pole
from ddsp_zoo.errors import DdspZooError

HOP = 8


def random_input(rows: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """x (rows, 8 * frames), poles, state."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(rows, HOP * frames, dtype=torch.float64, generator=draw)
    pole = 0.95 * torch.rand(rows, frames, dtype=torch.float64, generator=draw)
    return x, pole, torch.randn(rows, dtype=torch.float64, generator=draw)


@pytest.mark.parametrize("rows", [1, 3, 4, 6])
@pytest.mark.parametrize("frames", [1, 2, 20])
def test_equals_the_plain_recursion(path, rows, frames):
    x, pole, state = random_input(rows, frames)
    poles, last, expected = follow(*ramps(pole, HOP, x.shape[1]), HOP), state, []
    for n in range(x.shape[1]):
        last = (1 - poles[:, n]) * x[:, n] + poles[:, n] * last
        expected.append(last)
    y, end = one_pole(x, pole, HOP, state=state)
    torch.testing.assert_close(y, torch.stack(expected, dim=1), atol=1e-10, rtol=0)
    torch.testing.assert_close(end, last, atol=1e-10, rtol=0)


def test_gradients(path):
    inputs = [v.requires_grad_() for v in random_input(3, 4)]
    assert gradcheck(lambda x, pole, state: one_pole(x, pole, HOP, state=state), inputs)
    assert gradcheck(lambda x, state: dc_block(x, 50, 1000, state), inputs[::2])


def test_chunks_with_carried_state_equal_one_pass(path):
    x, pole, state = random_input(2, 9)
    whole, end = one_pole(x, pole, HOP, state=state)
    first, state = one_pole(x[:, : 4 * HOP], pole[:, :5], HOP, state=state)
    second, state = one_pole(x[:, 4 * HOP :], pole[:, 4:], HOP, state=state)
    torch.testing.assert_close(torch.cat([first, second], dim=1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(state, end, atol=1e-12, rtol=0)


def test_the_pole_jumps_at_an_onset(path):
    x, _, _ = random_input(1, 3)
    pole = torch.tensor([[0.2, 0.9, 0.9]], dtype=torch.float64)
    y, _ = one_pole(x, pole, HOP, onset=torch.tensor([[0, 1, 0]]))
    held = torch.tensor(lfilter([0.8], [1, -0.2], x[0, :HOP]))
    torch.testing.assert_close(y[0, :HOP], held)


def test_dc_blocker_is_the_published_high_pass(path):
    x, _, _ = random_input(2, 30)
    r = high_pass_pole(20, 1000)
    y, state = dc_block(x, 20, 1000)
    torch.testing.assert_close(y, torch.tensor(lfilter([r, -r], [1, -r], x)), atol=1e-12, rtol=0)
    more, _ = dc_block(x, 20, 1000, state)
    both, _ = dc_block(torch.cat([x, x], dim=1), 20, 1000)
    torch.testing.assert_close(torch.cat([y, more], dim=1), both, atol=1e-12, rtol=0)


def test_compiles_as_one_graph():
    def loudness(x: Tensor, pole: Tensor) -> Tensor:
        return dc_block(one_pole(x, pole, HOP)[0], 20, 1000)[0].square().sum()

    inputs = [v.requires_grad_() for v in random_input(2, 3)[:2]]
    traced = torch.compile(loudness, fullgraph=True, backend="aot_eager")
    plain = torch.autograd.grad(loudness(*inputs), inputs)
    for eager, ours in zip(plain, torch.autograd.grad(traced(*inputs), inputs), strict=True):
        torch.testing.assert_close(eager, ours)


def test_the_operators_keep_their_promises():
    x, pole, state = (v.requires_grad_() for v in random_input(2, 3))
    start, goal = (v.detach() for v in ramps(pole, HOP, x.shape[1]))
    torch.library.opcheck(torch.ops.ddsp_zoo.one_pole.default, (x, start, goal, state, HOP))
    torch.library.opcheck(torch.ops.ddsp_zoo.dc_block.default, (x, state, 0.9, False))


def test_no_samples(path):
    x, pole, _ = random_input(2, 1)
    assert one_pole(x[:, :0], pole, HOP)[0].shape == dc_block(x[:, :0], 20, 1000)[0].shape == (2, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, p, s: (x[0], p, HOP), r"x \(R, T\)"),
        (lambda x, p, s: (x, p[:1], HOP), r"poles \(R, N\)"),
        (lambda x, p, s: (x.float(), p, HOP), "float64"),
        (lambda x, p, s: (x.long(), p.long(), HOP), "int64"),
        (lambda x, p, s: (x.half(), p.half(), HOP), "float16"),
        (lambda x, p, s: (x.bfloat16(), p.bfloat16(), HOP), "bfloat16"),
        (lambda x, p, s: (x, p, HOP + 1), "samples"),
        (lambda x, p, s: (x, p, HOP, None, s[:1]), "state"),
        (lambda x, p, s: (x, p * math.nan, HOP), "finite"),
        (lambda x, p, s: (x, p / 0, HOP), "finite"),
    ],
)
def test_refuses_what_does_not_fit(path, change, message):
    with pytest.raises(DdspZooError, match=message):
        one_pole(*change(*random_input(2, 3)))


@pytest.mark.parametrize("cutoff_hz", [0.0, 500.0, math.nan])
def test_dc_blocker_refuses_impossible_cutoffs(cutoff_hz):
    with pytest.raises(DdspZooError, match="cutoff"):
        dc_block(torch.zeros(1, 8), cutoff_hz, 1000)
