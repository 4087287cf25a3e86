"""The string loop, kernel and block path, against a plain loop over samples; its gradients, tuning and bounds."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck

from ddsp_zoo.dsp.frames import follow, ramps
from ddsp_zoo.dsp.string import StringState, magnitude, phase_delay, string_loop, tuned_delay
from ddsp_zoo.errors import DdspZooError

HOP = 8
VARIANTS = [
    {"loop_filter": loop_filter, "dc_pole": dc_pole, "clip": clip}
    for loop_filter in ("one_zero", "one_pole")
    for dc_pole in (0.0, 0.9)
    for clip in (False, True)
]


def name(options: dict[str, Any]) -> str:
    return "-".join(str(value) for value in options.values())


def random_string(
    rows: int,
    count: int,
    low: float,
    high: float,
    frames: int | None = None,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Excitation (rows, count), and delay, gain, smoothing at random."""
    draw = torch.Generator().manual_seed(0)
    shape = (rows, count // HOP if frames is None else frames)
    uniform = [torch.rand(shape, dtype=torch.float64, generator=draw) for _ in range(3)]
    excitation = torch.randn(rows, count, dtype=torch.float64, generator=draw)
    controls = (low + (high - low) * uniform[0], 0.2 + 0.7 * uniform[1], 0.05 + 0.9 * uniform[2])
    return excitation.to(dtype), *(c.to(dtype) for c in controls)


def naive_loop(
    excitation: Tensor,
    delay: Tensor,
    gain: Tensor,
    smoothing: Tensor,
    history: Tensor,
    tail: Tensor,
    loop_filter: str,
    dc_pole: float,
    clip: bool,
) -> tuple[Tensor, Tensor]:
    """The loop as its formula reads, sample by sample, by autograd."""
    count = excitation.shape[1]
    delay, gain, smoothing = (follow(*ramps(c, HOP, count), HOP) for c in (delay, gain, smoothing))
    sound, ends = [], []
    for row in range(len(excitation)):
        y, v, h = list(history[row]), tail[row, 0], tail[row, 1]

        def past(n: int, y: list[Tensor] = y) -> Tensor:
            return y[n] if n >= 0 else torch.zeros((), dtype=excitation.dtype)

        for n in range(count):
            whole, g, s = int(delay[row, n]), gain[row, n], smoothing[row, n]
            eta, at = delay[row, n] - whole, len(y) - whole
            near = (1 - eta) * past(at) + eta * past(at - 1)
            far = (1 - eta) * past(at - 1) + eta * past(at - 2)
            last = v
            v = (1 - s) * g * near + (s * v if loop_filter == "one_pole" else s * g * far)
            h = dc_pole * (h + v - last) if dc_pole else h
            sample = excitation[row, n] + (h if dc_pole else v)
            y.append(torch.nn.functional.hardtanh(sample) if clip else sample)
        sound.append(torch.stack(y[-count:]))
        ends.append(torch.stack([v, h]))
    return torch.stack(sound), torch.stack(ends)


# ---- exactness


@pytest.mark.parametrize("options", VARIANTS, ids=name)
@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 4), (5, 40), (30.25, 30.25), (14, 16)])
def test_equals_the_plain_recursion(path, options, low, high):
    played = random_string(3, 64, low, high)
    expected, _ = naive_loop(*played, torch.zeros(3, 0), torch.zeros(3, 2), **options)
    audio, _ = string_loop(*played, HOP, **options)
    torch.testing.assert_close(audio, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("options", VARIANTS, ids=name)
def test_gradients_are_those_of_the_plain_recursion(path, options):
    inputs = [
        *random_string(2, 32, 1.3, 9, frames=5),
        torch.randn(2, 12).double(),
        torch.randn(2, 2).double(),
    ]
    inputs = [x.requires_grad_() for x in inputs]
    expected, expected_end = naive_loop(*inputs, **options)
    audio, state = string_loop(*inputs[:4], HOP, state=StringState(*inputs[4:]), **options)
    recurs = options["loop_filter"] == "one_pole" or options["dc_pole"] > 0
    weight = torch.randn(2, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(1))

    def gradients(sound: Tensor, end: Tensor) -> tuple[Tensor, ...]:
        total = (weight[:, :32] * sound).sum() + (recurs * weight[:, 32:34] * end).sum()
        grads = torch.autograd.grad(total, inputs, allow_unused=True)
        return tuple(torch.zeros_like(x) if g is None else g for x, g in zip(inputs, grads, strict=True))

    for ours, naive in zip(gradients(audio, state.tail), gradients(expected, expected_end), strict=True):
        torch.testing.assert_close(ours, naive, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("options", VARIANTS, ids=name)
def test_gradients_by_finite_differences(path, options):
    inputs = [x.requires_grad_() for x in random_string(1, 16, 2.1, 6.9)]
    assert gradcheck(lambda *given: string_loop(*given, HOP, **options)[0], inputs)


@pytest.mark.parametrize("options", VARIANTS, ids=name)
def test_chunks_with_carried_state_equal_one_pass(path, options):
    excitation, *controls = random_string(2, 96, 2, 20)
    whole, end = string_loop(excitation, *controls, HOP, **options)
    state, chunks = StringState.silent(2, 20, excitation), []
    for first, stop in ((0, 1), (1, 5), (5, 12)):
        guides = [c[:, first : stop + 1] for c in controls]  # one frame ahead, where there is one
        chunk, state = string_loop(
            excitation[:, first * HOP : stop * HOP], *guides, HOP, state=state, **options
        )
        chunks.append(chunk)
    torch.testing.assert_close(torch.cat(chunks, dim=1), whole, atol=1e-12, rtol=0)
    torch.testing.assert_close(state.tail, end.tail, atol=1e-12, rtol=0)


def test_controls_jump_at_an_onset(path):
    excitation, _, gain, smoothing = random_string(1, 32, 5, 5)
    delay = torch.tensor([[5.0, 5.0, 11.0, 11.0]], dtype=torch.float64)
    onset = torch.tensor([[0, 0, 1, 0]])
    audio, _ = string_loop(excitation, delay, gain, smoothing, HOP, onset=onset)
    held, _ = string_loop(excitation, delay.clamp(max=5), gain, smoothing, HOP, onset=onset)
    assert torch.equal(audio[:, : 2 * HOP], held[:, : 2 * HOP])


@pytest.mark.parametrize("loop_filter", ["one_zero", "one_pole"])
def test_compiles_as_one_graph(loop_filter):
    def loudness(*given: Tensor) -> Tensor:
        audio, state = string_loop(*given, HOP, loop_filter=loop_filter)
        return audio.square().sum() + state.history.sum()

    inputs = [x.requires_grad_() for x in random_string(2, 32, 3, 9)]
    plain = torch.autograd.grad(loudness(*inputs), inputs)
    compiled_loudness = torch.compile(loudness, fullgraph=True, backend="aot_eager")
    for eager, traced in zip(plain, torch.autograd.grad(compiled_loudness(*inputs), inputs), strict=True):
        torch.testing.assert_close(eager, traced)


def test_the_operator_keeps_its_promises():
    excitation, *controls = (x.requires_grad_() for x in random_string(2, 16, 3, 9))
    start, goal = ramps(torch.stack(controls), HOP, 16)
    state = torch.zeros(2, 12, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    for one_pole in (False, True):
        given = (excitation, start.detach(), goal.detach(), *state, HOP, one_pole, 0.0, False)
        torch.library.opcheck(torch.ops.ddsp_zoo.string_loop.default, given)


def test_single_precision_is_close_to_double(path):
    played = random_string(4, 2000, 20, 300, dtype=torch.float32)
    single, _ = string_loop(*played, HOP)
    double, _ = string_loop(*(x.double() for x in played), HOP)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, atol=1e-4, rtol=0)


# ---- what is given


def test_strided_inputs_sound_like_contiguous_ones(path):
    played = random_string(3, 32, 3, 9)
    strided = [x.t().contiguous().t() for x in played]
    assert torch.equal(string_loop(*strided, HOP)[0], string_loop(*played, HOP)[0])


def test_no_samples(path):
    excitation, *controls = random_string(2, 0, 3, 9, frames=1)
    assert string_loop(excitation, *controls, HOP)[0].shape == (2, 0)


@pytest.mark.parametrize("delay", [1e3, 1e9, 3e38])
def test_a_delay_beyond_the_beginning_hears_silence(path, delay):
    excitation, _, gain, smoothing = random_string(2, 64, 3, 9, dtype=torch.float32)
    audio, _ = string_loop(excitation, torch.full_like(gain, delay), gain, smoothing, HOP)
    assert torch.equal(audio, excitation)


def test_nan_in_the_excitation_stays_in_its_row(path):
    excitation, *controls = random_string(2, 32, 3, 9)
    excitation[0, 5] = math.nan
    audio, _ = string_loop(excitation, *controls, HOP)
    assert audio[0].isnan().any() and not audio[0, :5].isnan().any() and audio[1].isfinite().all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
def test_controls_that_are_not_finite_are_refused(path, bad, which):
    excitation, *controls = random_string(2, 32, 3, 9)
    controls[which][1, 2] = bad
    with pytest.raises(DdspZooError, match="unvoiced"):
        string_loop(excitation, *controls, HOP)


@pytest.mark.parametrize("delay", [0.0, 0.99, -5.0])
def test_a_delay_below_one_sample_is_refused(path, delay):
    excitation, _, gain, smoothing = random_string(2, 32, 3, 9)
    with pytest.raises(DdspZooError, match="at least 1 sample"):
        string_loop(excitation, torch.full_like(gain, delay), gain, smoothing, HOP)


def test_a_delay_beyond_the_memory_of_the_state_is_refused(path):
    excitation, *controls = random_string(2, 32, 30, 40)
    with pytest.raises(DdspZooError, match="longest_delay"):
        string_loop(excitation, *controls, HOP, state=StringState.silent(2, 29, excitation))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: [g[0][0], *g[1:]], r"excitation \(R, T\)"),
        (lambda g: [g[0][:1], *g[1:]], r"got \(1, 32\)"),
        (lambda g: [g[0], g[1][:, :3], *g[2:]], r"\(2, 3\)"),
        (lambda g: [g[0][:, :31], *g[1:]], "got 31"),
        (lambda g: [g[0], *(c[:, :2] for c in g[1:])], "2 frames of 8 samples"),
        (lambda g: [g[0].float(), *g[1:]], "float32, float64"),
        (lambda g: [x.half() for x in g], "float16"),
        (lambda g: [x.long() for x in g], "int64"),
    ],
)
def test_shapes_and_types_that_do_not_fit_are_refused(path, change, message):
    with pytest.raises(DdspZooError, match=message):
        string_loop(*change(list(random_string(2, 32, 3, 9))), HOP)


@pytest.mark.parametrize(
    "state",
    [
        StringState(torch.zeros(1, 40).double(), torch.zeros(1, 2).double()),
        StringState(torch.zeros(2, 40).double(), torch.zeros(2, 1).double()),
        StringState(torch.zeros(2, 40), torch.zeros(2, 2)),
    ],
)
def test_a_state_that_does_not_fit_is_refused(path, state):
    with pytest.raises(DdspZooError, match="state of a string"):
        string_loop(*random_string(2, 32, 3, 9), HOP, state=state)


@pytest.mark.parametrize("options", VARIANTS, ids=name)
def test_a_silent_state_is_the_same_as_none(path, options):
    """Also where a delay moves within a frame to far beyond the beginning, and back."""
    excitation, delay, gain, smoothing = random_string(2, 32, 2, 20)
    delay[0, 1], delay[1] = 1000.0, torch.tensor([60.0, 350.0, 1.0, 3.0])
    alone, _ = string_loop(excitation, delay, gain, smoothing, HOP, **options)
    state = StringState.silent(2, 1000, excitation)
    stateful, _ = string_loop(excitation, delay, gain, smoothing, HOP, state=state, **options)
    torch.testing.assert_close(alone, stateful, atol=1e-12, rtol=0)


def test_delays_without_end_are_silence(path):
    excitation, _, gain, smoothing = random_string(1, 32, 2, 9)
    delay = torch.full_like(gain, 1e30).requires_grad_()
    audio, _ = string_loop(excitation, delay, gain, smoothing, HOP)
    audio.square().sum().backward()
    assert audio.equal(excitation) and delay.grad.eq(0).all()


@pytest.mark.parametrize(
    ("start", "goal"), [(2.2, 1000.0), (1000.0, 1.0), (1.0000001, 1.0), (357.0, 72.0), (260.0, 204.0)]
)
@pytest.mark.parametrize("hop", [3, 7, 48, 130])
def test_steep_delays_are_cut_in_pieces_of_one_sample_at_least(start, goal, hop):
    """A piece without samples would never end; places and delays cover the frame."""
    kernel = pytest.importorskip("ddsp_zoo.dsp.string_kernel")
    places, delays = np.zeros(hop + 1, np.int64), np.zeros(hop, np.int64)
    for low, high in ((np.float32(start), np.float32(goal)), (start, goal)):
        for parallel in (True, False):
            pieces = kernel.cut.py_func(low, high, hop, 300, parallel, places, delays)
            steps = np.diff(places[: pieces + 1])
            assert places[0] == 0 and places[pieces] == hop and steps.min() >= 1
            assert delays[:pieces].min() >= 1 and delays[:pieces].max() <= 300


@pytest.mark.parametrize("options", [{"loop_filter": "two_zero"}, {"dc_pole": 1.0}, {"dc_pole": math.nan}])
def test_filters_that_there_are_not_are_refused(options):
    with pytest.raises(DdspZooError, match="loop filter"):
        string_loop(*random_string(2, 32, 3, 9), HOP, **options)


def test_a_loop_filter_has_finite_slopes_where_its_gain_is_zero():
    for loop_filter, smoothing, omega in (("one_zero", 0.5, math.pi), ("one_pole", 1.0, 1e-5)):
        s, w = (torch.tensor([x], requires_grad=True) for x in (smoothing, omega))
        gain = magnitude(s, w, loop_filter)
        gain.sum().backward()
        assert 0 <= gain < 2e-6 and s.grad.isfinite() and w.grad.isfinite()


# ---- tuning and decay


@pytest.mark.parametrize("loop_filter", ["one_zero", "one_pole"])
def test_phase_delay_is_that_of_the_filter(loop_filter):
    omega = torch.tensor([0.01, 0.5, 1.5], dtype=torch.float64)
    z, s = torch.exp(-1j * omega), 0.3
    response = (1 - s) + s * z if loop_filter == "one_zero" else (1 - s) / (1 - s * z)
    delay = phase_delay(torch.full_like(omega, s), omega, loop_filter)
    torch.testing.assert_close(delay, -response.angle() / omega)


def ring(
    f0_hz: float, rate: int, smoothing: float, gain: float, loop_filter: str, seconds: float
) -> np.ndarray:
    """A click in a loop of constant controls."""
    frames = round(seconds * rate / 256)
    constant = [torch.full((1, frames), value) for value in (f0_hz, gain, smoothing)]
    excitation = torch.zeros(1, frames * 256)
    excitation[0, 0] = 1
    delay = tuned_delay(constant[0], constant[2], rate, loop_filter)
    return string_loop(excitation, delay, *constant[1:], 256, loop_filter=loop_filter)[0][0].double().numpy()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    f0_hz=st.floats(70, 1000),
    rate=st.sampled_from([16000, 32000, 44100]),
    share=st.floats(0.01, 1),
    filter_and_limit=st.sampled_from([("one_zero", 0.5), ("one_pole", 0.38)]),
)
@example(f0_hz=1000.0, rate=16000, share=0.01, filter_and_limit=("one_zero", 0.5))
@example(f0_hz=1000.0, rate=16000, share=1.0, filter_and_limit=("one_pole", 0.38))  # cutoff at 4 kHz
def test_pitch_is_within_one_cent(f0_hz, rate, share, filter_and_limit):
    loop_filter, limit = filter_and_limit
    audio = ring(f0_hz, rate, share * limit, 0.998, loop_filter, 0.6)[rate // 50 :]
    size = 8 << len(audio).bit_length()
    level = np.log(np.abs(np.fft.rfft(audio * np.hanning(len(audio)), size)) + 1e-20)
    first, last = (round(hz * size / rate) for hz in (0.95 * f0_hz, 1.05 * f0_hz))
    peak = first + int(level[first:last].argmax())
    left, middle, right = level[peak - 1 : peak + 2]
    heard = (peak + 0.5 * (left - right) / (left - 2 * middle + right)) * rate / size
    assert abs(1200 * math.log2(heard / f0_hz)) < 1


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    f0_hz=st.floats(70, 1000),
    smoothing=st.floats(0, 0.5),
    gain=st.floats(0.95, 0.999),
    loop_filter=st.sampled_from(["one_zero", "one_pole"]),
)
def test_decay_time_is_that_of_the_formula(f0_hz, smoothing, gain, loop_filter):
    """T60 = -3 / (f0 log10 |H(f0)|), H = gain, loop filter and interpolator."""
    rate = 32000
    z = np.exp(-2j * np.pi * f0_hz / rate)
    delay = float(tuned_delay(torch.tensor(f0_hz), torch.tensor(smoothing), rate, loop_filter))
    eta = delay - math.floor(delay)
    loss = (
        1 - smoothing + smoothing * z if loop_filter == "one_zero" else (1 - smoothing) / (1 - smoothing * z)
    )
    expected = -3 / (f0_hz * math.log10(gain * abs(loss) * abs(1 - eta + eta * z)))
    seconds = min(0.8, 1.2 * expected + 0.1)
    audio = ring(f0_hz, rate, smoothing, gain, loop_filter, seconds)
    period = rate / f0_hz
    window = np.hanning(round(8 * period))
    carrier = z ** np.arange(len(audio))
    early = round(4 * period)
    late = len(audio) - len(window) - 1
    if late < early + period:  # too short a ring to measure
        return
    level = [np.log10(abs(((audio * carrier)[at : at + len(window)] * window).sum())) for at in (early, late)]
    assert (late - early) / rate * -3 / (level[1] - level[0]) == pytest.approx(expected, rel=0.05)


FREQUENCIES = torch.linspace(1e-3, math.pi, 50, dtype=torch.float64)


@pytest.mark.parametrize("loop_filter", ["one_zero", "one_pole"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 0.9])
def test_magnitude_and_phase_delay_are_those_of_the_filters_response(loop_filter, smoothing):
    z = torch.exp(-1j * FREQUENCIES)
    response = (
        1 - smoothing + smoothing * z if loop_filter == "one_zero" else (1 - smoothing) / (1 - smoothing * z)
    )
    s = torch.tensor(smoothing, dtype=torch.float64)
    torch.testing.assert_close(magnitude(s, FREQUENCIES, loop_filter), response.abs())
    if smoothing != 0.9 or loop_filter == "one_pole":  # else the zero lies outside the unit circle
        delay = phase_delay(s, FREQUENCIES, loop_filter)
        torch.testing.assert_close((delay * FREQUENCIES).cos(), response.angle().cos())


@pytest.mark.parametrize("loop_filter", ["one_zero", "one_pole"])
def test_loop_filters_take_energy_only_and_more_the_more_they_smooth(loop_filter):
    smoothing = torch.linspace(0, 0.5, 20, dtype=torch.float64)[:, None]
    gain = magnitude(smoothing, FREQUENCIES, loop_filter)
    assert gain.max() <= 1 + 1e-12 and (gain.diff(dim=0) <= 1e-12).all() and (gain.diff(dim=1) <= 1e-12).all()


@pytest.mark.parametrize("loop_filter", ["one_zero", "one_pole"])
def test_gradients_of_the_magnitude(loop_filter):
    inputs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in ([0.05, 0.49], [0.02, 2.0])]
    assert gradcheck(lambda s, w: magnitude(s, w, loop_filter), inputs)


# ---- stability

unit = st.floats(0, 1, width=32)


@settings(max_examples=60, deadline=None, derandomize=True)
@example(delay=[0.0], gain=[1.0], smoothing=[0.0], loop_filter="one_zero", seed=0)
@given(
    delay=st.lists(unit, min_size=1, max_size=20),
    gain=st.lists(unit, min_size=1, max_size=20),
    smoothing=st.lists(unit, min_size=1, max_size=20),
    loop_filter=st.sampled_from(["one_zero", "one_pole"]),
    seed=st.integers(0, 2**16),
)
def test_sound_and_adjoint_stay_within_their_bounds(delay, gain, smoothing, loop_filter, seed):
    """|y| <= max|x| / (1 - g) and the adjoint's sum <= that of the gradient / (1 - g), however controls move."""
    frames, limit = 100, 0.99

    def moved(values: list[float]) -> Tensor:
        return torch.tensor(values).repeat_interleave(-(-frames // len(values)))[None, :frames]

    draw = torch.Generator().manual_seed(seed)
    excitation = (
        torch.randint(0, 2, (1, frames * HOP), generator=draw) * 2.0 - 1
        if seed
        else torch.ones(1, frames * HOP)
    )
    excitation.requires_grad_()
    controls = (1 + 60 * moved(delay), limit * moved(gain), moved(smoothing))
    audio, _ = string_loop(excitation, *controls, HOP, loop_filter=loop_filter)
    assert audio.abs().max() <= 1 / (1 - limit) * (1 + 1e-5)
    sent = torch.randn(1, frames * HOP, generator=draw)
    (adjoint,) = torch.autograd.grad(audio, excitation, sent)
    assert adjoint.abs().sum() <= sent.abs().sum() / (1 - limit) * (1 + 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("loop_filter", ["one_zero", "one_pole"])
def test_a_dying_string_costs_no_more(loop_filter):
    from time import perf_counter

    controls = [torch.full((12, 125), value) for value in (100.3, 0.9, 0.4)]
    times: dict[str, list[float]] = {"loud": [], "dying": []}
    for _ in range(31):
        for sound, seconds in times.items():
            excitation = torch.randn(12, 64000)
            if sound == "dying":
                excitation[:, 2000:] = 0  # at 0.9 a round of 100 samples, -380 dB after 40 000 samples
            excitation.requires_grad_()
            started = perf_counter()
            audio, _ = string_loop(excitation, *controls, 512, loop_filter=loop_filter)
            audio.sum().backward()
            seconds.append(perf_counter() - started)
    assert np.median(times["dying"]) < 1.5 * np.median(times["loud"])
