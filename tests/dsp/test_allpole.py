"""The all-pole lattice against a direct-form filter, a plain loop, its bound, and its gradients."""

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from torch.autograd import gradcheck

from ddsp_zoo.dsp import allpole as module
from ddsp_zoo.dsp import allpole_matrix
from ddsp_zoo.dsp.allpole import MAX_GAIN, allpole, framewise_allpole
from ddsp_zoo.dsp.lsf import lsf_from_logits, lsf_to_reflection, reflection_to_coefficients
from ddsp_zoo.errors import DdspZooError

f64 = torch.float64


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = f64) -> torch.Tensor:
    return torch.randn(*shape, dtype=f64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def reflections(*shape: int, seed: int = 1, largest: float = 0.9) -> torch.Tensor:
    return largest * torch.tanh(normal(*shape, seed=seed))


def naive_lattice(
    excitation: np.ndarray, reflection: np.ndarray, hop: int, waves: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One row: angles asin(k) and the gain interpolated linearly, the last frame held; one rotation at a time."""
    theta = np.arcsin(np.vstack([reflection, reflection[-1:]]))
    gain = 1 / np.prod(np.cos(theta), 1)
    audio, waves = np.zeros_like(excitation), waves.copy()
    for n in range(len(excitation)):
        frame, place = n // hop, n % hop / hop
        now = (1 - place) * theta[frame] + place * theta[frame + 1]
        ahead = ((1 - place) * gain[frame] + place * gain[frame + 1]) * excitation[n]
        back = np.zeros(len(waves) + 1)
        for m in reversed(range(len(waves))):
            rotation = np.array([[np.cos(now[m]), -np.sin(now[m])], [np.sin(now[m]), np.cos(now[m])]])
            ahead, back[m + 1] = rotation @ [ahead, waves[m]]
        back[0] = audio[n] = ahead
        waves = back[:-1]
    return audio, waves


@pytest.mark.parametrize(
    ("rows", "frames", "order", "hop"), [(1, 1, 1, 1), (3, 4, 5, 1), (2, 3, 20, 16), (35, 2, 2, 7)]
)
def test_equals_the_plain_loop(path, rows, frames, order, hop):
    x, k, state = normal(rows, frames * hop), reflections(rows, frames, order), normal(rows, order, seed=2)
    audio, last = allpole(x, k, hop, state)
    for row in range(rows):
        expected = naive_lattice(x[row].numpy(), k[row].numpy(), hop, state[row].numpy())
        np.testing.assert_allclose(audio[row], expected[0], atol=1e-10)
        np.testing.assert_allclose(last[row], expected[1], atol=1e-10)


@pytest.mark.parametrize("order", [1, 2, 20])
def test_at_rest_is_the_direct_form_filter(path, order):
    x, k = normal(3, 512), reflections(3, 1, order, largest=0.7)
    a = reflection_to_coefficients(k[:, 0])
    expected = np.stack([lfilter([1], [1, *row], signal) for row, signal in zip(a.tolist(), x.numpy())])
    audio, _ = allpole(x, k.expand(3, 8, order), 64)
    np.testing.assert_allclose(audio, expected, atol=1e-10 * abs(expected).max())


def test_zero_reflection_is_the_identity():
    x = normal(2, 64)
    assert torch.equal(allpole(x, torch.zeros(2, 4, 20, dtype=f64), 16)[0], x)


def test_equal_lsf_logits_are_the_identity():
    x, k = normal(2, 64), lsf_to_reflection(lsf_from_logits(torch.full((2, 4, 21), 0.3, dtype=f64)))
    torch.testing.assert_close(allpole(x, k, 16)[0], x, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("frames", "order", "hop"), [(3, 3, 4), (4, 2, 1), (2, 5, 3)])
@pytest.mark.parametrize("lookahead", [False, True])
def test_gradients(path, frames, order, hop, lookahead):
    x = normal(2, (frames - lookahead) * hop).requires_grad_()
    k, state = reflections(2, frames, order).requires_grad_(), normal(2, order, seed=3).requires_grad_()
    assert gradcheck(lambda x, k, state: allpole(x, k, hop, state), (x, k, state))


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("at_once", [1, 1 << 20])
def test_is_the_same_by_matrices_in_one_stretch_and_in_many(monkeypatch, lookahead, at_once):
    monkeypatch.setattr(allpole_matrix, "AT_ONCE", at_once)
    x, k, state = normal(3, (4 - lookahead) * 8), reflections(3, 4, 5), normal(3, 5, seed=2)
    expected = allpole(x, k, 8, state)
    monkeypatch.setattr(module.compiled, "AVAILABLE", False)
    for plain, fast in zip(allpole(x, k, 8, state), expected):
        torch.testing.assert_close(plain, fast, atol=1e-12, rtol=0)


def test_float32_forward_and_backward_are_near_float64(path):
    x, k, weight = normal(4, 2000), reflections(4, 20, 20), normal(4, 2000, seed=5)
    exact = [t.clone().requires_grad_() for t in (x, k)]
    single = [t.float().requires_grad_() for t in (x, k)]
    audio, audio32 = (allpole(*pair, 100)[0] for pair in (exact, single))
    assert (audio - audio32).abs().max() < 1e-4 * audio.abs().max()
    (audio * weight).sum().backward()
    (audio32 * weight.float()).sum().backward()
    for a, b in zip(exact, single):
        assert (a.grad - b.grad).abs().max() < 1e-4 * a.grad.abs().max()


def test_chunks_are_one_pass(path):
    x, k = normal(2, 12 * 16), reflections(2, 12, 20)
    whole, last = allpole(x, k, 16)
    first, state = allpole(x[:, : 5 * 16], k[:, :6], 16)
    second, state = allpole(x[:, 5 * 16 : 6 * 16], k[:, 5:7], 16, state)
    third, state = allpole(x[:, 6 * 16 :], k[:, 6:], 16, state)
    torch.testing.assert_close(torch.cat([first, second, third], 1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(state, last, atol=1e-12, rtol=0)


def test_repeats_bit_by_bit_and_takes_strided_input():
    x, k = normal(2, 64, dtype=torch.float32), reflections(2, 4, 6).float()
    audio, state = allpole(x, k, 16)
    strided = allpole(x.t().contiguous().t(), k.movedim(-1, 0).contiguous().movedim(0, -1), 16)
    assert torch.equal(strided[0], audio) and torch.equal(strided[1], state)
    grad = torch.ones(()).expand(2, 64)
    assert torch.isfinite(torch.autograd.grad(allpole(x.requires_grad_(), k, 16)[0], x, grad)[0]).all()


wild = st.lists(st.floats(-1, 1) | st.sampled_from([-1.0, 0.0, 1.0]), min_size=4, max_size=4)


@settings(max_examples=40, deadline=None, derandomize=True)
@example([[1.0, -1.0, 1.0, -1.0], [-1.0, 1.0, -1.0, 1.0]] * 5, 0)
@given(st.lists(wild, min_size=2, max_size=12), st.integers(0, 99))
def test_energy_never_exceeds_what_came_in(path, seed):
    """y^2 <= |state|^2 <= |first state|^2 + sum (G x)^2, however the controls move."""
    hop = 32
    k = torch.tensor([path], dtype=f64)
    x, state = normal(1, len(path) * hop, seed=seed), normal(1, 4, seed=seed + 1)
    gain = (1 / (1 - k.clamp(-1 + 1e-9, 1 - 1e-9) ** 2).sqrt().prod(-1)).clamp(max=MAX_GAIN)
    gain = torch.cat([gain, gain[:, -1:]], 1)
    ramp = torch.arange(hop, dtype=f64) / hop
    driven = x * torch.lerp(gain[:, :-1, None], gain[:, 1:, None], ramp).flatten(1)
    bound = state.square().sum() + driven.square().cumsum(1)
    audio, last = allpole(x, k, hop, state)
    assert (audio.square() <= bound * (1 + 1e-9)).all()
    assert last.square().sum() <= bound[0, -1] * (1 + 1e-9)
    silent = allpole(torch.zeros(1, len(path) * hop), k.float(), hop, state.float())
    assert silent[1].square().sum() <= state.square().sum() * (1 + 1e-4)


extreme = st.floats(-1e4, 1e4) | st.floats(-30, 30) | st.sampled_from([-1e4, 1e4])


@settings(max_examples=30, deadline=None, derandomize=True)
@example([[-1e4] * 20 + [1e4], [1e4] + [-1e4] * 20])
@given(st.lists(st.lists(extreme, min_size=21, max_size=21), min_size=2, max_size=2))
def test_any_lsf_logits_sound_and_learn_finitely(values):
    logits = torch.tensor(values, dtype=torch.float32)[None].requires_grad_()
    x = normal(1, 200, dtype=torch.float32).requires_grad_()
    audio, _ = allpole(x, lsf_to_reflection(lsf_from_logits(logits.double())), 100)
    assert torch.isfinite(audio).all()
    audio.sum().backward()
    assert torch.isfinite(logits.grad).all() and torch.isfinite(x.grad).all()


def test_works_compiled():
    x, k = normal(2, 32, dtype=torch.float32).requires_grad_(), reflections(2, 4, 3).float().requires_grad_()
    eager = allpole(x, k, 8)
    compiled = torch.compile(allpole, fullgraph=True, backend="aot_eager")(x, k, 8)
    for a, b in zip(compiled, eager):
        torch.testing.assert_close(a, b)
    for a, b in zip(*(torch.autograd.grad(sum(t.sum() for t in out), (x, k)) for out in (compiled, eager))):
        torch.testing.assert_close(a, b)


def test_operator_is_registered_rightly():
    angle, gain = reflections(2, 4, 3).requires_grad_(), (1 + normal(2, 4).square()).requires_grad_()
    state, x = normal(2, 3).requires_grad_(), normal(2, 24).requires_grad_()
    torch.library.opcheck(torch.ops.ddsp_zoo.allpole.default, (x, angle, gain, state, 8))


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1.5, -1.01])
@pytest.mark.parametrize("numba", [True, False])
def test_refuses_values_that_are_no_reflections(monkeypatch, bad, numba):
    monkeypatch.setattr(module.compiled, "AVAILABLE", numba)
    k = torch.zeros(2, 3, 4)
    k[1, 2, 3] = bad
    with pytest.raises(DdspZooError, match="within"):
        allpole(torch.zeros(2, 12), k, 4)


def test_a_row_that_is_not_a_number_leaves_the_others_alone(path):
    x, k = normal(3, 32, dtype=torch.float32), reflections(3, 4, 6).float()
    broken = x.clone()
    broken[1, 5] = math.nan
    clean, audio = allpole(x, k, 8)[0], allpole(broken, k, 8)[0]
    assert torch.equal(audio[[0, 2]], clean[[0, 2]]) and audio[1, 5:].isnan().all()


@pytest.mark.parametrize(
    ("x", "k", "hop", "state", "message"),
    [
        (torch.zeros(2, 8), torch.zeros(2, 2, 3), 3, None, "render 6 samples"),
        (torch.zeros(2, 0), torch.zeros(2, 0, 3), 4, None, "0 frames"),
        (torch.zeros(2, 8), torch.zeros(2, 2, 0), 4, None, "order 0"),
        (torch.zeros(2, 0), torch.zeros(2, 2, 3), 0, None, "at hop 0"),
        (torch.zeros(8), torch.zeros(1, 2, 3), 4, None, r"excitation \(R, T\)"),
        (torch.zeros(2, 8), torch.zeros(1, 2, 3), 4, None, r"\(1, 2, 3\)"),
        (torch.zeros(2, 8), torch.zeros(2, 2, 3), 4, torch.zeros(2, 2), r"state .* \(2, 3\)"),
        (torch.zeros(2, 8), torch.zeros(2, 2, 3), 4, torch.zeros(2, 3, dtype=f64), "float64"),
        (torch.zeros(2, 8, dtype=torch.int64), torch.zeros(2, 2, 3), 4, None, "int64"),
        (torch.zeros(2, 8).half(), torch.zeros(2, 2, 3), 4, None, "float16"),
        (torch.zeros(2, 8), torch.zeros(2, 2, 3, dtype=torch.int32), 4, None, "int32"),
    ],
)
def test_refuses(x, k, hop, state, message):
    with pytest.raises(DdspZooError, match=message):
        allpole(x, k, hop, state)


@pytest.mark.parametrize("numba", [True, False])
def test_nothing_in_nothing_out(monkeypatch, numba):
    monkeypatch.setattr(module.compiled, "AVAILABLE", numba)
    audio, state = allpole(torch.zeros(2, 0), torch.zeros(2, 1, 3), 4, torch.ones(2, 3))
    assert audio.shape == (2, 0) and torch.equal(state, torch.ones(2, 3))
    assert allpole(torch.zeros(0, 8), torch.zeros(0, 2, 3), 4)[0].shape == (0, 8)
    assert framewise_allpole(torch.zeros(2, 0), torch.zeros(2, 0, 3), 4).shape == (2, 0)


def naive_frames(x: np.ndarray, a: np.ndarray, hop: int) -> np.ndarray:
    """One row of the published scheme in direct form: a (N, P)."""
    padded, out = np.zeros((len(a) + 1) * hop), np.zeros((len(a) + 1) * hop)
    padded[: len(x)] = x
    for n, row in enumerate(a):
        window = 0.5 - 0.5 * np.cos(np.pi * np.arange(2 * hop) / hop)
        if n == 0:
            window[:hop] = 1
        frame = slice(n * hop, (n + 2) * hop)
        out[frame] += window * lfilter([1], [1, *row], padded[frame])
    return out[: len(x)]


@pytest.mark.parametrize("count", [64, 61, 49, 9])
def test_frames_are_filtered_as_published(count):
    frames = -(-count // 16)
    x, k = normal(2, count), reflections(2, frames, 6)
    a = reflection_to_coefficients(k).numpy()
    expected = np.stack([naive_frames(x[row].numpy(), a[row], 16) for row in range(2)])
    np.testing.assert_allclose(framewise_allpole(x, k, 16), expected, atol=1e-10)


def test_frames_have_right_gradients():
    x, k = normal(1, 11).requires_grad_(), reflections(1, 3, 2).requires_grad_()
    assert gradcheck(lambda x, k: framewise_allpole(x, k, 4), (x, k))


def test_frames_agree_with_samples_only_at_rest():
    x, k = normal(1, 512), reflections(1, 1, 4, largest=0.1)
    steady = k.expand(1, 8, 4)
    torch.testing.assert_close(framewise_allpole(x, steady, 64), allpole(x, steady, 64)[0], atol=1e-3, rtol=0)
    moving = reflections(1, 8, 4)
    apart = framewise_allpole(x, moving, 64) - allpole(x, moving, 64)[0]
    assert apart.square().mean() > 0.05 * x.square().mean()


def test_frames_refuse_what_does_not_fit():
    with pytest.raises(DdspZooError, match=r"need reflection \(2, 3, P\)"):
        framewise_allpole(torch.zeros(2, 9), torch.zeros(2, 2, 3), 4)
    with pytest.raises(DdspZooError, match="positive hop"):
        framewise_allpole(torch.zeros(2, 9), torch.zeros(2, 2, 3), 0)


@pytest.mark.slow
def test_dying_sounds_cost_no_more_than_living_ones():
    """Denormal numbers are an order of magnitude slower: the states are set to zero before."""
    k = reflections(32, 100, 20).float().requires_grad_()
    noise = normal(32, 25600, dtype=torch.float32)
    burst = noise * 1e-3 ** (torch.arange(25600) / 256)

    def seconds(x: torch.Tensor, weight: torch.Tensor) -> float:
        start = time.perf_counter()
        torch.autograd.grad(allpole(x, k, 256)[0], k, weight)
        return time.perf_counter() - start

    pairs = [(seconds(noise, noise), seconds(burst, burst.flip(1))) for _ in range(9)]
    living, dying = (min(times) for times in zip(*pairs))
    assert dying < 1.5 * living
