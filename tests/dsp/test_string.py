"""The string loop against a plain loop over samples, its gradients, tuning and bound."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from ddsp_zoo.dsp.string import delay_loop, loop_taps, one_pole, one_zero_phase_delay, tuned_delay
from ddsp_zoo.errors import DdspZooError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def naive_loop(excitation: torch.Tensor, taps: torch.Tensor, delay: torch.Tensor) -> torch.Tensor:
    """y[n] = x[n] + sum_j taps[j, n] y[n - delay[n] - j], sample by sample."""
    y = torch.zeros_like(excitation)
    for row in range(excitation.shape[0]):
        for n in range(excitation.shape[1]):
            y[row, n] = excitation[row, n]
            for j in range(3):
                past = n - int(delay[row, n]) - j
                if past >= 0:
                    y[row, n] += taps[j, row, n] * y[row, past]
    return y


def random_string(
    rows: int, count: int, low: int, high: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = seeded()
    excitation = torch.randn(rows, count, dtype=torch.float64, generator=generator)
    taps = torch.rand(3, rows, count, dtype=torch.float64, generator=generator) / 3
    return excitation, taps, torch.randint(low, high + 1, (rows, count), generator=generator)


@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 9), (5, 40), (30, 30), (100, 500)])
def test_loop_equals_the_plain_recursion(low, high):
    excitation, taps, delay = random_string(3, 120, low, high)
    expected = naive_loop(excitation, taps, delay)
    torch.testing.assert_close(delay_loop(excitation, taps, delay), expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("low", "high"), [(1, 4), (3, 3), (4, 20)])
def test_loop_gradients(low, high):
    excitation, taps, delay = random_string(2, 14, low, high)
    inputs = (excitation.requires_grad_(), taps.requires_grad_())
    assert gradcheck(lambda x, t: delay_loop(x, t, delay), inputs)


def test_loop_of_no_samples():
    excitation, taps, delay = random_string(2, 0, 1, 2)
    assert delay_loop(excitation, taps, delay).shape == (2, 0)


@pytest.mark.parametrize(
    ("excitation", "taps", "delay", "message"),
    [
        (torch.zeros(2, 8), torch.zeros(3, 2, 8), torch.zeros(2, 8, dtype=torch.int64), "at least 1"),
        (torch.zeros(2, 8), torch.zeros(3, 2, 8), torch.ones(2, 8), "int64"),
        (torch.zeros(2, 8), torch.zeros(3, 2, 7), torch.ones(2, 8, dtype=torch.int64), r"\(3, 2, 7\)"),
        (torch.zeros(2, 8), torch.zeros(2, 2, 8), torch.ones(2, 8, dtype=torch.int64), r"taps \(3, R, T\)"),
        (torch.zeros(8), torch.zeros(3, 8), torch.ones(8, dtype=torch.int64), r"excitation \(R, T\)"),
    ],
)
def test_loop_refuses(excitation, taps, delay, message):
    with pytest.raises(DdspZooError, match=message):
        delay_loop(excitation, taps, delay)


@pytest.mark.parametrize("count", [1, 2, 3, 31, 64])
def test_one_pole_equals_the_plain_recursion(count):
    x = torch.randn(2, count, dtype=torch.float64, generator=seeded())
    pole = torch.rand(2, count, dtype=torch.float64, generator=seeded(1)) * 0.999
    expected, last = torch.zeros_like(x), torch.zeros(2, dtype=torch.float64)
    for n in range(count):
        last = (1 - pole[:, n]) * x[:, n] + pole[:, n] * last
        expected[:, n] = last
    torch.testing.assert_close(one_pole(x, pole), expected, atol=1e-12, rtol=0)


def test_one_pole_gradients():
    x = torch.randn(2, 11, dtype=torch.float64, generator=seeded()).requires_grad_()
    pole = (torch.rand(2, 11, dtype=torch.float64, generator=seeded(1)) * 0.95).requires_grad_()
    assert gradcheck(one_pole, (x, pole))


def test_phase_delay_of_the_half_half_filter_is_half_a_sample():
    omega = torch.tensor([0.01, 0.5, 1.5], dtype=torch.float64)
    torch.testing.assert_close(
        one_zero_phase_delay(torch.full_like(omega, 0.5), omega), torch.full_like(omega, 0.5)
    )


@pytest.mark.parametrize("damping", [0.0, 0.01, 0.3, 0.5])
def test_delays_of_a_loop_add_up_to_one_period(damping):
    f0 = torch.linspace(70, 2000, 500, dtype=torch.float64)
    omega, damping = 2 * math.pi * f0 / 16000, torch.full_like(f0, damping)
    whole, eta = tuned_delay(f0, damping, 16000)
    assert whole.dtype == torch.int64
    assert 0 <= eta.min() and eta.max() <= 1
    period = whole + one_zero_phase_delay(eta, omega) + one_zero_phase_delay(damping, omega)
    torch.testing.assert_close(period, 16000 / f0, atol=1e-9, rtol=0)


def test_taps_are_the_product_of_gain_and_two_filters():
    taps = loop_taps(*(torch.full((1, 1), value) for value in (0.9, 0.2, 0.5)))
    assert taps.flatten().tolist() == pytest.approx([0.36, 0.45, 0.09])  # 0.9 (0.8 + 0.2 z)(0.5 + 0.5 z)


unit = st.floats(0, 1, width=32)


@settings(max_examples=40, deadline=None, derandomize=True)
@example(f0=[1.0], damping=[0.0], signs=0)
@given(f0=st.lists(unit, min_size=1, max_size=20), damping=st.lists(unit, min_size=1, max_size=20),
       signs=st.integers(0, 2**16))  # fmt: skip
def test_output_never_exceeds_the_bound(f0, damping, signs):
    """|y| <= max|x| / (1 - rho), however f0 and damping move; the steady example comes within 15 % of it."""
    count, rho, rate = 1500, 0.99, 16000

    def moved(values: list[float]) -> torch.Tensor:
        return torch.tensor(values).repeat_interleave(-(-count // len(values)))[None, :count]

    delay, eta = tuned_delay(20 + 1980 * moved(f0), 0.5 * moved(damping), rate)
    taps = loop_taps(torch.full((1, count), rho), 0.5 * moved(damping), eta)
    assert taps.min() >= 0
    torch.testing.assert_close(taps.sum(0), torch.full((1, count), rho), atol=1e-6, rtol=0)
    excitation = torch.ones(1, count)
    if signs:
        excitation = torch.randint(0, 2, (1, count), generator=seeded(signs)) * 2.0 - 1
    assert delay_loop(excitation, taps, delay).abs().max() <= 1 / (1 - rho) * (1 + 1e-5)
