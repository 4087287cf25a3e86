"""Conversions of all-pole filters against polynomials multiplied out, each other, and their gradients."""

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from ddsp_zoo.dsp.lsf import (
    coefficients_to_reflection,
    lsf_from_logits,
    lsf_to_coefficients,
    lsf_to_reflection,
    reflection_to_coefficients,
)
from ddsp_zoo.errors import DdspZooError


def normal(*shape: int, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def multiplied_out(lsf: np.ndarray) -> np.ndarray:
    """A = (P + Q) / 2 from the zeros of P and Q themselves, those at 1 and -1 included."""
    order = len(lsf)
    on_circle = np.exp(1j * lsf)
    p, q = (np.concatenate([z, z.conj()]) for z in (on_circle[0::2], on_circle[1::2]))
    p, q = (np.append(p, -1), np.append(q, 1)) if order % 2 == 0 else (p, np.append(q, [1, -1]))
    return ((np.poly(p) + np.poly(q)) / 2).real[1 : order + 1]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 9, 10, 20])
def test_coefficients_have_the_zeros_that_the_frequencies_name(order):
    lsf = lsf_from_logits(normal(5, order + 1))
    expected = np.stack([multiplied_out(row) for row in lsf.numpy()])
    np.testing.assert_allclose(lsf_to_coefficients(lsf).numpy(), expected, atol=1e-10 * abs(expected).max())


@pytest.mark.parametrize("order", [1, 2, 7, 20])
def test_equal_logits_are_the_identity(order):
    lsf = lsf_from_logits(torch.full((3, order + 1), 0.7, dtype=torch.float64))
    torch.testing.assert_close(lsf.diff(), torch.full((3, order - 1), math.pi / (order + 1)).double())
    assert lsf_to_coefficients(lsf).abs().max() < 1e-11
    assert lsf_to_reflection(lsf).abs().max() < 1e-11


def test_reflection_of_second_order_by_hand():
    """A = 1 + k1 (1 + k2) z^-1 + k2 z^-2."""
    a = reflection_to_coefficients(torch.tensor([0.5, -0.2], dtype=torch.float64))
    assert a.tolist() == pytest.approx([0.4, -0.2])


@pytest.mark.parametrize("order", [1, 2, 5, 20])
def test_there_and_back(order):
    k = 0.7 * torch.tanh(normal(4, 3, order))
    torch.testing.assert_close(
        coefficients_to_reflection(reflection_to_coefficients(k)), k, atol=1e-9, rtol=0
    )


def test_lsf_to_reflection_is_the_way_by_coefficients():
    lsf = lsf_from_logits(normal(6, 21, scale=0.5))
    torch.testing.assert_close(lsf_to_reflection(lsf), coefficients_to_reflection(lsf_to_coefficients(lsf)))


def test_all_conversions_have_right_gradients():
    logits = normal(2, 5).requires_grad_()
    assert gradcheck(lambda x: lsf_to_coefficients(lsf_from_logits(x)), logits)
    assert gradcheck(lambda x: lsf_to_reflection(lsf_from_logits(x)), logits)
    k = (0.8 * torch.tanh(normal(2, 4))).requires_grad_()
    assert gradcheck(reflection_to_coefficients, k)
    assert gradcheck(lambda x: coefficients_to_reflection(reflection_to_coefficients(x)), k)


def test_float32_is_answered_in_float32():
    logits = normal(2, 21).float()
    lsf = lsf_from_logits(logits)
    for result in (lsf, lsf_to_coefficients(lsf), lsf_to_reflection(lsf)):
        assert result.dtype == torch.float32 and result.shape == (2, 20)
    assert lsf_to_reflection(lsf_from_logits(normal(4, 21, scale=100.0).float())).abs().max() < 1


extreme = st.floats(-1e4, 1e4) | st.floats(-30, 30) | st.sampled_from([-1e4, 0.0, 1e4])


@settings(max_examples=60, deadline=None, derandomize=True)
@example([-1e4] * 20 + [1e4])
@example([1e4] + [-1e4] * 20)
@example([-1e4] * 21)
@given(st.lists(extreme, min_size=21, max_size=21))
def test_any_logits_give_a_stable_filter_and_finite_gradients(values):
    """Stable: every reflection coefficient inside (-1, 1), by the criterion of Schur and Cohn."""
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    lsf = lsf_from_logits(logits)
    assert 0 < lsf.min() and lsf.max() < math.pi and (lsf.diff() > 0).all()
    k = lsf_to_reflection(lsf)
    assert k.abs().max() < 1
    k.square().sum().backward()
    assert torch.isfinite(logits.grad.float()).all()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1.5, 1.5), min_size=3, max_size=13))
def test_poles_lie_inside_the_unit_circle(values):
    """By the zeros themselves, for filters whose zeros a root finder can tell apart."""
    a = lsf_to_coefficients(lsf_from_logits(torch.tensor(values, dtype=torch.float64)))
    assert abs(np.roots([1, *a.tolist()])).max() < 1


@pytest.mark.parametrize("bad", [[2.0, 1.0], [-0.5, 1.0], [0.5, 3.5], [0.5, math.nan], [math.inf, 1.0]])
def test_refuses_what_are_no_line_spectral_frequencies(bad):
    for convert in (lsf_to_coefficients, lsf_to_reflection):
        with pytest.raises(DdspZooError, match="increase within"):
            convert(torch.tensor(bad))


@pytest.mark.parametrize("bad", [[0.0, 1.0], [-2.5, 1.2], [math.nan, 0.1]])
def test_refuses_an_unstable_filter(bad):
    with pytest.raises(DdspZooError, match="not stable"):
        coefficients_to_reflection(torch.tensor(bad))


@pytest.mark.parametrize("bad", [torch.ones(2, 3, dtype=torch.int64), torch.zeros(2, 0), torch.tensor(1.0)])
def test_refuses_wrong_shapes_and_dtypes(bad):
    for convert in (lsf_to_coefficients, reflection_to_coefficients, coefficients_to_reflection):
        with pytest.raises(DdspZooError, match="one value per order"):
            convert(bad)


def test_no_frames():
    assert lsf_to_reflection(torch.zeros(0, 5)).shape == (0, 5)
