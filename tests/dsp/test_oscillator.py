"""Sinusoids and harmonics: phase that does not drift, silence above Nyquist, chunks, gradients."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ddsp_zoo.dsp import compiled, oscillator
from ddsp_zoo.dsp.oscillator import harmonic_bank, sinusoidal_bank
from ddsp_zoo.errors import DdspZooError

RATE = 8000


def rand(*shape: int, low: float = 0.0, high: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def naive(frequency_hz: Tensor, amplitude: Tensor, hop: int, phase: Tensor | float = 0.0) -> Tensor:
    """Sum of sinusoids (B, N, K) sample by sample: running sum of the frequency, all in float64."""
    frequency, amplitude = frequency_hz.double(), amplitude.double()
    amplitude = amplitude * (frequency < RATE / 2)
    audio, turns = [], torch.zeros_like(frequency[:, 0]) + phase
    for n in range(frequency.shape[1]):
        goal = min(n + 1, frequency.shape[1] - 1)
        for j in range(hop):
            turns = turns + torch.lerp(frequency[:, n], frequency[:, goal], j / hop) / RATE
            weight = math.sin(math.pi * j / hop / 2) ** 2
            level = (1 - weight) * amplitude[:, n] + weight * amplitude[:, goal]
            audio.append((level * torch.sin(2 * math.pi * turns)).sum(-1))
    return torch.stack(audio, dim=1)


def snr_db(audio: Tensor, reference: Tensor) -> float:
    return 10 * math.log10((reference.square().sum() / (audio.double() - reference).square().sum()).item())


@pytest.mark.parametrize("hop", [1, 7, 128, 300])
def test_sinusoids_equal_a_running_sum(path, hop):
    frequency, amplitude, phase = rand(2, 4, 3, high=3990), rand(2, 4, 3, low=-1, seed=1), rand(2, 3, seed=2)
    audio, end = sinusoidal_bank(frequency, amplitude, RATE, hop, phase)
    torch.testing.assert_close(audio, naive(frequency, amplitude, hop, phase), atol=1e-10, rtol=0)
    assert end.dtype == torch.float64 and end.min() >= 0 and end.max() <= 1


@pytest.mark.parametrize("count", [1, 2, 9, 40])
@pytest.mark.parametrize("hop", [1, 200])
def test_harmonics_equal_a_running_sum(path, count, hop):
    """The upper ones of forty pass Nyquist, at times within a frame."""
    f0, amplitude, phase = rand(2, 5, low=90, high=200), rand(2, 5, count, seed=1), rand(2, seed=2)
    number = torch.arange(1, count + 1)
    audio, _ = harmonic_bank(f0, amplitude, RATE, hop, phase=phase)
    reference = naive(f0[..., None] * number, amplitude, hop, phase[:, None] * number)
    torch.testing.assert_close(audio, reference, atol=1e-10, rtol=0)


def test_stiff_partials_are_stretched(path):
    f0, amplitude, stiffness = (
        rand(2, 4, low=90, high=200),
        rand(2, 4, 12, seed=1),
        rand(2, 4, high=1e-3, seed=2),
    )
    number, phase = torch.arange(1, 13), rand(2, 12, seed=3)
    audio, _ = harmonic_bank(f0, amplitude, RATE, 50, stiffness, phase)
    partials = f0[..., None] * number * torch.sqrt(1 + stiffness[..., None] * number**2)
    torch.testing.assert_close(audio, naive(partials, amplitude, 50, phase), atol=1e-10, rtol=0)


def wander(count: int, middle: float, reach: float) -> Tensor:
    """Frequencies (1, N, 1) in motion."""
    steps = torch.randn(count, generator=torch.Generator().manual_seed(0))
    return (middle + reach * torch.sin(steps.cumsum(0) / 20))[None, :, None]


def running_turns(frequency_hz: Tensor, hop: int) -> Tensor:
    """Running sum in float64: (1, N, 1) -> (1, N * hop, 1)."""
    later = torch.cat([frequency_hz[:, 1:], frequency_hz[:, -1:]], dim=1).double()
    weight = torch.arange(hop, dtype=torch.float64)[:, None] / hop
    return (
        torch.lerp(frequency_hz.double()[:, :, None], later[:, :, None], weight).flatten(1, 2).cumsum(1)
        / RATE
    )


def test_sinusoids_are_exact_after_five_minutes(path):
    frequency = wander(300 * RATE // 128, 2000, 1900)
    audio, _ = sinusoidal_bank(frequency, torch.ones_like(frequency), RATE, 128)
    exact = torch.sin(2 * math.pi * running_turns(frequency, 128)[:, -RATE:, 0])
    assert snr_db(audio[:, -RATE:], exact) > 100


@pytest.mark.parametrize("seconds", [300, 2])
def test_harmonics_are_exact_after_five_minutes(path, seconds):
    """Five partials to the end of a long sound, all that fit below Nyquist in a short one."""
    count = 5 if seconds > 10 else 100
    f0, number = wander(seconds * RATE // 128, 3900 / count / 1.2, 500 / count), torch.arange(1, count + 1)
    audio, _ = harmonic_bank(f0[..., 0], torch.ones(1, f0.shape[1], count), RATE, 128)
    exact = torch.sin(2 * math.pi * running_turns(f0, 128)[:, -RATE:] * number).sum(-1)
    assert snr_db(audio[:, -RATE:], exact) > 95


@pytest.mark.parametrize("seconds", [2, 300])
def test_a_carried_phase_goes_on_as_if_nothing_had_been_cut(seconds):
    """The last second alone, from the phase after the ones before it, against one pass."""
    hop, last = 160, RATE // 160
    frequency = wander(seconds * RATE // hop, 300, 200)
    amplitude = torch.ones_like(frequency)
    whole, end = sinusoidal_bank(frequency, amplitude, RATE, hop)
    cut = frequency.shape[1] - last
    _, phase = sinusoidal_bank(frequency[:, : cut + 1], amplitude[:, : cut + 1], RATE, hop, lookahead=True)
    audio, phase = sinusoidal_bank(frequency[:, cut:], amplitude[:, cut:], RATE, hop, phase)
    assert snr_db(audio, whole[:, -RATE:].double()) > 120
    torch.testing.assert_close(phase, end, atol=1e-9, rtol=0)


def in_chunks(bank: Callable[..., tuple[Tensor, Tensor]], cuts: tuple[int, ...], *frames: Tensor) -> Tensor:
    """Renders frames[:, k0 : k1 + 1] one after the other with the phase carried on."""
    chunks, phase = [], None
    for first, last in zip((0, *cuts), (*cuts, frames[0].shape[1])):
        inside = last < frames[0].shape[1]
        audio, phase = bank(*(x[:, first : last + inside] for x in frames), phase=phase, lookahead=inside)
        chunks.append(audio)
    return torch.cat(chunks, dim=1)


@pytest.mark.parametrize("kind", ["free", "harmonic", "stiff"])
def test_chunks_equal_one_pass(path, kind):
    f0, amplitude, stiffness = rand(2, 9, high=700), rand(2, 9, 5, seed=1), rand(2, 9, high=1e-3, seed=2)
    f0[:, 3:5] = 0
    if kind == "free":
        frames, bank = (
            (rand(2, 9, 5, high=4500), amplitude),
            lambda f, a, **k: sinusoidal_bank(f, a, RATE, 37, **k),
        )
    elif kind == "harmonic":
        frames, bank = (f0, amplitude), lambda f, a, **k: harmonic_bank(f, a, RATE, 37, **k)
    else:
        frames, bank = (f0, amplitude, stiffness), lambda f, a, s, **k: harmonic_bank(f, a, RATE, 37, s, **k)
    whole, _ = bank(*frames)
    for cuts in [(1,), (3, 4, 5), (8,)]:
        torch.testing.assert_close(in_chunks(bank, cuts, *frames), whole, atol=1e-12, rtol=0)


def test_both_paths_agree_in_single_precision(monkeypatch):
    frequency, amplitude = rand(2, 6, 8, high=4500).float(), rand(2, 6, 8, seed=1).float()
    f0 = rand(2, 6, low=50, high=300).float()
    runs = []
    for available in (compiled.AVAILABLE, False):
        monkeypatch.setattr(compiled, "AVAILABLE", available)
        leaves = [x.clone().requires_grad_() for x in (frequency, f0, amplitude)]
        audio = sinusoidal_bank(leaves[0], leaves[2], RATE, 100)[0] + harmonic_bank(*leaves[1:], RATE, 100)[0]
        (audio * rand(*audio.shape, low=-1, seed=3).float()).sum().backward()
        runs.append((audio, *(x.grad for x in leaves)))
    for ours, other in zip(*runs):
        assert ours.dtype == torch.float32 and snr_db(ours.detach(), other.detach().double()) > 95


class Largest(TorchDispatchMode):
    """Remembers how many numbers the largest array of any operation had."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        answer = func(*args, **(kwargs or {}))
        for x in tree_leaves(answer):
            self.size = max(self.size, x.numel() if isinstance(x, Tensor) else 0)
        return answer


def test_the_tensor_form_holds_a_few_frames_at_a_time(monkeypatch):
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    f0, amplitude = rand(2, 40, low=50, high=300), rand(2, 40, 30, seed=1)

    def gradients(at_once: int) -> tuple[list[Tensor], int]:
        monkeypatch.setattr(oscillator, "AT_ONCE", at_once)
        leaves = [x.clone().requires_grad_() for x in (f0, amplitude)]
        with Largest() as largest:
            audio, _ = harmonic_bank(*leaves, RATE, 50)
            (audio * rand(*audio.shape, low=-1, seed=3)).sum().backward()
        return [audio.detach(), *(x.grad for x in leaves)], largest.size

    (whole, most), (parts, few) = gradients(1 << 22), gradients(10_000)
    assert most == 2 * 40 * 50 * 30 and few < 10_000
    for one, other in zip(whole, parts):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("frequency", "silent"), [(3999.0, False), (4000.0, True), (5000.0, True), (1e30, True)]
)
def test_silent_from_nyquist_on(path, frequency, silent):
    audio, _ = sinusoidal_bank(torch.full((1, 4, 1), frequency), torch.ones(1, 4, 1), RATE, 100)
    assert (audio.abs().max().item() == 0) == silent
    harmonic, _ = harmonic_bank(
        torch.full((1, 4), frequency / 2), torch.tensor([0.0, 1.0]).expand(1, 4, 2), RATE, 100
    )
    assert (harmonic.abs().max().item() == 0) == silent


def test_no_click_on_the_way_through_nyquist(path):
    """A sine of unit amplitude moves by less than 2 sin(pi f / rate) a sample, an envelope by pi / (2 hop)."""
    hop, frequency = 200, torch.full((1, 8, 1), 30.0)
    frequency[:, 3:5] = 4000
    envelope = torch.ones(1, 8, 1)
    audio, _ = sinusoidal_bank(frequency, envelope, RATE, hop)
    low = 0.5 - 0.5 * torch.cos(torch.pi * torch.arange(hop) / hop)  # share of the frame that is silent
    turns = frequency[0, :, 0].new_tensor([30 + 3970 * j / hop for j in range(hop)]) / RATE
    bound = 2 * (1 - low) * torch.sin(torch.pi * turns.clamp(max=0.5)) + torch.pi / (2 * hop) + 1e-5
    jump = audio[0, 1:].sub(audio[0, :-1]).abs()
    assert (jump[2 * hop : 3 * hop - 1] <= bound[1:] + 1e-3).all()
    assert not audio[0, 3 * hop : 4 * hop].any()
    assert jump[4 * hop - 2 : 4 * hop + 2].max() < 0.01


@pytest.mark.parametrize("f0", [0.0, 150.0])
def test_zero_amplitude_is_silence(path, f0):
    audio, phase = harmonic_bank(torch.full((2, 3), f0), torch.zeros(2, 3, 4), RATE, 64)
    assert not audio.any() and phase.isfinite().all()


def test_unvoiced_frames_fade_out_at_the_pitch_of_their_neighbours(path):
    f0 = torch.tensor([[0.0, 0, 200, 200, 0, 0, 0, 300]], dtype=torch.float64)
    hop = 80
    audio, _ = harmonic_bank(f0, torch.ones(1, 8, 1, dtype=torch.float64), RATE, hop)
    assert not audio[0, :hop].any() and not audio[0, 4 * hop : 6 * hop].any()
    rise = 0.5 - 0.5 * torch.cos(torch.pi * torch.arange(hop, dtype=torch.float64) / hop)
    tone = torch.sin(2 * torch.pi * 200 / RATE * torch.arange(1, hop + 1, dtype=torch.float64))
    torch.testing.assert_close(audio[0, hop : 2 * hop], rise * tone, atol=1e-12, rtol=0)
    torch.testing.assert_close(audio[0, 3 * hop : 4 * hop], (1 - rise) * tone, atol=1e-12, rtol=0)


@pytest.mark.parametrize("lookahead", [False, True])
def test_gradients_of_sinusoids(path, lookahead):
    inputs = rand(2, 3, 3, low=300, high=3500), rand(2, 3, 3, seed=1), rand(2, 3, seed=2)
    leaves = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(lambda f, a, p: sinusoidal_bank(f, a, RATE, 6, p, lookahead), leaves)


@pytest.mark.parametrize("lookahead", [False, True])
def test_gradients_of_harmonics(path, lookahead):
    """One frame is unvoiced, and a frequency of exactly zero has no slope of its own."""
    inputs = rand(2, 3, low=300, high=1500), rand(2, 3, 3, seed=1), rand(2, seed=2)
    voiced = torch.tensor([[True, False, True], [True, True, True]])
    leaves = [x.requires_grad_() for x in inputs]

    def call(f0: Tensor, amplitude: Tensor, phase: Tensor) -> tuple[Tensor, Tensor]:
        return harmonic_bank(torch.where(voiced, f0, 0), amplitude, RATE, 6, phase=phase, lookahead=lookahead)

    assert torch.autograd.gradcheck(call, leaves)


@pytest.mark.parametrize("lookahead", [False, True])
def test_gradients_of_stiff_partials(path, lookahead):
    inputs = (
        rand(2, 3, low=300, high=1300),
        rand(2, 3, 3, seed=1),
        rand(2, 3, high=1e-2, seed=2),
        rand(2, 3, seed=3),
    )
    leaves = [x.requires_grad_() for x in inputs]
    assert torch.autograd.gradcheck(lambda f, a, s, p: harmonic_bank(f, a, RATE, 6, s, p, lookahead), leaves)


def test_gradients_of_long_frames_and_silent_ones():
    """Frames of several blocks; partials beyond Nyquist on one side; amplitudes that are zero but wish to grow."""
    f0, amplitude = rand(1, 3, low=500, high=900), rand(1, 3, 7, seed=1)
    amplitude[0, 1] = 0
    inputs = f0.requires_grad_(), amplitude.requires_grad_()
    weight = rand(1, 450, low=-1, seed=2)
    assert torch.autograd.gradcheck(lambda f, a: (harmonic_bank(f, a, RATE, 150)[0] * weight).sum(), inputs)
    number = torch.arange(1, 8)
    free = (f0.detach()[..., None] * number).requires_grad_(), inputs[1]
    assert torch.autograd.gradcheck(lambda f, a: (sinusoidal_bank(f, a, RATE, 150)[0] * weight).sum(), free)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0, width=32, allow_infinity=False), min_size=6, max_size=6),
    st.lists(st.floats(-1e3, 1e3, width=32), min_size=6, max_size=6),
    st.integers(1, 300),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_any_controls_give_a_bounded_sound(frequency, amplitude, hop, dtype):
    frequency, amplitude = (torch.tensor(x, dtype=dtype).view(1, 3, 2) for x in (frequency, amplitude))
    bound = amplitude.abs().amax(1).sum() * 1.0001 + 1e-6
    for audio, phase in (
        sinusoidal_bank(frequency, amplitude, RATE, hop),
        harmonic_bank(frequency[..., 0], amplitude, RATE, hop),
        harmonic_bank(frequency[..., 0], amplitude, RATE, hop, frequency[..., 1]),
    ):
        assert audio.dtype == dtype and audio.shape == (1, 3 * hop)
        assert audio.abs().max() <= bound and phase.isfinite().all()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_bad_frequencies_are_refused(path, value):
    for frame in (0, 2):
        for lookahead in (False, True):
            frequency, f0, fine = torch.full((1, 3, 2), 100.0), torch.full((1, 3), 100.0), torch.ones(1, 3, 2)
            frequency[0, frame, 1] = f0[0, frame] = value
            stiffness = torch.zeros(1, 3)
            stiffness[0, frame] = value
            with pytest.raises(DdspZooError, match="finite and not negative"):
                sinusoidal_bank(frequency, fine, RATE, 10, lookahead=lookahead)
            with pytest.raises(DdspZooError, match="finite and not negative"):
                harmonic_bank(f0, fine, RATE, 10, lookahead=lookahead)
            with pytest.raises(DdspZooError, match="finite and not negative"):
                harmonic_bank(fine[..., 0], fine, RATE, 10, stiffness, lookahead=lookahead)


def test_bad_amplitudes_phases_shapes_and_types_are_refused(path):
    fine = torch.ones(1, 3, 2)
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(DdspZooError, match="amplitudes must be finite"):
            sinusoidal_bank(fine, fine * bad, RATE, 10)
    with pytest.raises(DdspZooError, match="phase must"):
        sinusoidal_bank(fine, fine, RATE, 10, torch.full((1, 2), math.nan))
    for bad in (fine[:, :2], fine[..., :1], fine[0], fine.double(), fine.long(), fine.half()):
        with pytest.raises(DdspZooError, match="must"):
            sinusoidal_bank(fine, bad, RATE, 10)
    for bad in (fine, fine[:, :2, 0], fine[..., 0].double()):
        with pytest.raises(DdspZooError, match="must"):
            harmonic_bank(bad, fine, RATE, 10)
    for keywords in ({"inharmonicity": fine}, {"phase": torch.zeros(1, 2)}):
        with pytest.raises(DdspZooError, match="must"):
            harmonic_bank(fine[..., 0], fine, RATE, 10, **keywords)
    for empty in (fine.long(), fine[:, :0]):
        with pytest.raises(DdspZooError, match="must"):
            sinusoidal_bank(empty, empty, RATE, 10)
    with pytest.raises(DdspZooError, match="positive"):
        sinusoidal_bank(fine, fine, RATE, 0)


def test_no_oscillators_no_batch_and_no_samples(path):
    assert not sinusoidal_bank(torch.ones(2, 3, 0), torch.ones(2, 3, 0), RATE, 10)[0].any()
    assert sinusoidal_bank(torch.ones(0, 3, 2), torch.ones(0, 3, 2), RATE, 10)[0].shape == (0, 30)
    assert not harmonic_bank(torch.ones(2, 3), torch.ones(2, 3, 0), RATE, 10)[0].any()
    audio, phase = harmonic_bank(
        torch.ones(1, 1), torch.ones(1, 1, 2), RATE, 10, phase=torch.tensor([0.25]), lookahead=True
    )
    assert audio.shape == (1, 0) and phase.item() == 0.25


def test_strided_inputs(path):
    frequency, amplitude = rand(3, 5, 2, high=3000), rand(3, 5, 2, seed=1)
    turned = frequency.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    leaf = amplitude.transpose(1, 2).contiguous().transpose(1, 2).requires_grad_()
    audio, _ = sinusoidal_bank(turned, leaf, RATE, 20)
    torch.testing.assert_close(audio, sinusoidal_bank(frequency, amplitude, RATE, 20)[0], atol=0, rtol=0)
    audio.sum().backward()
    assert leaf.grad.isfinite().all()


@pytest.mark.skipif(not compiled.AVAILABLE, reason="numba is not installed")
def test_whole_graphs_compile():
    def loss(f: Tensor, f0: Tensor, a: Tensor) -> Tensor:
        free, phase = sinusoidal_bank(f, a, RATE, 16)
        return free.square().sum() + harmonic_bank(f0, a, RATE, 16)[0].square().sum() + phase.sum()

    values = rand(2, 4, 3, high=3000), rand(2, 4, low=100, high=900), rand(2, 4, 3, seed=1)
    results = []
    for function in (loss, torch.compile(loss, fullgraph=True, backend="aot_eager")):
        leaves = [x.clone().requires_grad_() for x in values]
        function(*leaves).backward()
        results.append([x.grad for x in leaves])
    torch.testing.assert_close(*results)


@pytest.mark.skipif(not compiled.AVAILABLE, reason="numba is not installed")
@pytest.mark.parametrize("oscillators", [1, 3])
def test_the_operator_keeps_the_rules(oscillators):
    tones = [rand(2, 4, oscillators, high=0.3, seed=seed).requires_grad_() for seed in range(3)]
    arguments = (*tones, rand(2, 5, 3, seed=4).requires_grad_(), 20)
    torch.library.opcheck(torch.ops.ddsp_zoo.oscillators.default, arguments)


@pytest.mark.skipif(not compiled.AVAILABLE, reason="numba is not installed")
@pytest.mark.parametrize(("dtype", "error"), [(np.float32, 2e-7), (np.float64, 1.5e-15)])
def test_the_polynomial_is_a_cosine(dtype, error):
    from ddsp_zoo.dsp.oscillator_kernel import cosine, sine_polynomial

    turns = np.linspace(-1.5, 1.5, 1001).astype(dtype)
    values = [cosine(x, sine_polynomial(np.dtype(dtype))) for x in turns]
    assert np.abs(values - np.cos(2 * np.pi * turns.astype(np.float64))).max() < error


@pytest.mark.parametrize("hop", [1, 2, 3, 16])
def test_steep_pitches_in_short_frames_keep_their_phase(path, hop):
    """A hundred partials hear each error of the fundamental's phase a hundredfold."""
    f0 = torch.tensor([[0.0, 30.0, 1622.0, 2000.0, 60.0, 0.0, 9.0, 2000.0]])
    amplitude = torch.ones(1, 8, 100)
    audio, _ = harmonic_bank(f0, amplitude, 16000, hop)
    exact, _ = harmonic_bank(f0.double(), amplitude.double(), 16000, hop)
    torch.testing.assert_close(audio.double(), exact, atol=2e-4 * amplitude.sum(-1).max().item(), rtol=0)
