"""The string with a limited feedback, kernel and blocks, against its formula sample by sample."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from ddsp_zoo.dsp.feedback import FeedbackState, feedback_loop
from ddsp_zoo.dsp.frames import follow, ramps
from ddsp_zoo.errors import DdspZooError

HOP = 8
VARIANTS = [
    {"limit": limit, "filters_sum": filters_sum, "dc_pole": dc_pole}
    for limit in ("none", "feedback", "before_gain")
    for filters_sum in (False, True)
    for dc_pole in (0.0, 0.9)
]
each = pytest.mark.parametrize("options", VARIANTS, ids=lambda o: "-".join(map(str, o.values())))
DOUBLE = {"dtype": torch.float64}


def random_string(rows: int, count: int, low: float, high: float) -> list[Tensor]:
    """Excitation (rows, count) loud enough to be limited now and then, and delay, gain, smoothing of its frames."""
    draw = torch.Generator().manual_seed(1)
    frames = [torch.rand(rows, count // HOP, generator=draw, **DOUBLE) for _ in range(3)]
    excitation = 3 * torch.randn(rows, count, generator=draw, **DOUBLE)
    return [excitation, low + (high - low) * frames[0], 1.3 * frames[1] - 0.3, 1.2 * frames[2]]


def plain_loop(
    excitation: Tensor,
    delay: Tensor,
    gain: Tensor,
    smoothing: Tensor,
    history: Tensor,
    tail: Tensor,
    limit: str,
    filters_sum: bool,
    dc_pole: float,
) -> tuple[Tensor, Tensor]:
    """The loop as its formula reads, by autograd."""
    count = excitation.shape[1]
    delay, gain, smoothing = (follow(*ramps(c, HOP, count), HOP) for c in (delay, gain, smoothing))
    hardtanh = torch.nn.functional.hardtanh
    sound, ends = [], []
    for row in range(len(excitation)):
        y, (read, high, fed, x) = list(history[row]), tail[row]

        def past(back: int, y: list[Tensor] = y) -> Tensor:
            return y[-back] if back <= len(y) else torch.zeros((), **DOUBLE)

        for n in range(count):
            whole, g, s = int(delay[row, n]), gain[row, n], smoothing[row, n]
            eta, last_read, last_fed, last_x = delay[row, n] - whole, read, fed, x
            read, x = (1 - eta) * past(whole) + eta * past(whole + 1), excitation[row, n]
            high = dc_pole * (high + read - last_read) if dc_pole else read
            fed = g * (hardtanh(high) if limit == "before_gain" else high)
            fed = hardtanh(fed) if limit == "feedback" else fed
            excited = (1 - s) * x + s * last_x if filters_sum else x
            y.append(excited + (1 - s) * fed + s * last_fed)
        sound.append(torch.stack(y[-count:]))
        ends.append(torch.stack([read, high, fed, x]))
    return torch.stack(sound), torch.stack(ends)


@each
@pytest.mark.parametrize(("low", "high"), [(1, 1), (1, 4), (5, 40), (14, 16)])
def test_equals_the_plain_recursion(path: str, options: dict[str, Any], low: float, high: float) -> None:
    played = random_string(2, 64, low, high)
    expected, end = plain_loop(*played, torch.zeros(2, 0, **DOUBLE), torch.zeros(2, 4, **DOUBLE), **options)
    audio, state = feedback_loop(*played, HOP, **options)
    torch.testing.assert_close(audio, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(state.tail, end, atol=1e-10, rtol=1e-10)


@each
def test_gradients_are_those_of_the_plain_recursion(path: str, options: dict[str, Any]) -> None:
    draw = torch.Generator().manual_seed(2)
    inputs = [*random_string(2, 32, 1.3, 9), *(torch.randn(2, n, generator=draw, **DOUBLE) for n in (12, 4))]
    inputs = [x.requires_grad_() for x in inputs]
    weight = torch.randn(2, 36, generator=draw, **DOUBLE)

    def gradients(sound: Tensor, end: Tensor) -> tuple[Tensor, ...]:
        total = (weight * torch.cat([sound, end], dim=1)).sum()
        return torch.autograd.grad(total, inputs)

    audio, state = feedback_loop(*inputs[:4], HOP, state=FeedbackState(*inputs[4:]), **options)
    expected, end = plain_loop(*inputs, **options)
    assert torch.equal(state.history, audio[:, -12:])
    for ours, plain in zip(gradients(audio, state.tail), gradients(expected, end), strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-9, rtol=1e-9)


@each
def test_gradients_by_finite_differences(path: str, options: dict[str, Any]) -> None:
    inputs = [x.requires_grad_() for x in random_string(1, 16, 2.1, 6.9)]
    assert gradcheck(lambda *given: feedback_loop(*given, HOP, **options)[0], inputs)


@each
def test_chunks_with_carried_state_equal_one_pass(path: str, options: dict[str, Any]) -> None:
    excitation, *controls = random_string(2, 96, 2, 20)
    whole, end = feedback_loop(excitation, *controls, HOP, **options)
    state, chunks = FeedbackState.silent(2, 20, excitation), []
    for first, stop in ((0, 1), (1, 5), (5, 12)):
        guides = [c[:, first : stop + 1] for c in controls]  # one frame ahead, where there is one
        chunk, state = feedback_loop(
            excitation[:, first * HOP : stop * HOP], *guides, HOP, state=state, **options
        )
        chunks.append(chunk)
    torch.testing.assert_close(torch.cat(chunks, dim=1), whole, atol=1e-10, rtol=0)
    torch.testing.assert_close(state.tail, end.tail, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("limit", "most"), [("feedback", 1.0), ("before_gain", 1.9)])
def test_a_limited_string_is_bounded_whatever_its_gain(path: str, limit: str, most: float) -> None:
    excitation, delay, gain, smoothing = random_string(3, 256, 3, 20)
    audio, _ = feedback_loop(
        excitation, delay, gain.sign() * 1.9, smoothing.clamp(max=1), HOP, limit=limit, dc_pole=0.9
    )
    assert 3 < audio.abs().max() <= excitation.abs().max() + most


def test_it_is_the_usual_loop_where_nothing_is_limited_and_controls_stand_still() -> None:
    from ddsp_zoo.dsp.string import string_loop

    excitation, *_ = random_string(2, 96, 2, 20)
    controls = [torch.full((2, 12), value, **DOUBLE) for value in (7.3, 0.8, 0.4)]
    ours, _ = feedback_loop(excitation, *controls, HOP, dc_pole=0.9)
    torch.testing.assert_close(ours, string_loop(excitation, *controls, HOP, dc_pole=0.9)[0])


def test_what_does_not_fit_is_refused_in_a_sentence() -> None:
    excitation, *controls = random_string(2, 64, 3, 9)
    with pytest.raises(DdspZooError, match="limit is one of none, feedback, before_gain.*'softly'"):
        feedback_loop(excitation, *controls, HOP, limit="softly")
    with pytest.raises(DdspZooError, match="at least 1 sample, got 0.5"):
        feedback_loop(excitation, controls[0] * 0 + 0.5, *controls[1:], HOP)
    with pytest.raises(DdspZooError, match="that of 2 strings in torch.float64"):
        state = FeedbackState.silent(3, 20, excitation)
        feedback_loop(excitation, *controls, HOP, state=state)
    with pytest.raises(DdspZooError, match=r"further back than the 6 samples.*FeedbackState\.silent"):
        feedback_loop(excitation, *controls, HOP, state=FeedbackState.silent(2, 4, excitation))
