"""From frame rate to sample rate and back together."""

import pytest
import torch

from ddsp_zoo.dsp.frames import (
    frames_since,
    hold,
    overlap_add,
    ramps,
    seconds_since,
    upsample_centred,
    upsample_linear,
    upsample_window,
)
from ddsp_zoo.errors import DdspZooError


@pytest.mark.parametrize("upsample", [upsample_linear, upsample_window])
def test_a_constant_stays_constant(upsample):
    audio = upsample(torch.full((2, 3, 5), 0.7), 8)
    assert audio.shape == (2, 3, 40)
    assert torch.equal(audio, torch.full((2, 3, 40), 0.7))


def test_linear_passes_through_the_frames_and_holds_the_last():
    assert upsample_linear(torch.tensor([0.0, 4.0]), 4).tolist() == [0, 1, 2, 3, 4, 4, 4, 4]


def test_window_is_a_raised_cosine_between_frames():
    audio = upsample_window(torch.tensor([0.0, 1.0]), 4)
    assert audio.tolist() == pytest.approx([0, 0.1464466, 0.5, 0.8535534, 1, 1, 1, 1], abs=1e-6)


def test_a_jump_holds_the_old_value_and_starts_at_the_new():
    audio = upsample_linear(torch.tensor([1.0, 5.0, 9.0]), 4, jump=torch.tensor([1.0, 1.0, 0.0]))
    assert audio.tolist() == [1, 1, 1, 1, 5, 6, 7, 8, 9, 9, 9, 9]


@pytest.mark.parametrize(("count", "length", "hop"), [(5, 8, 4), (4, 10, 4), (3, 3, 5), (1, 7, 2), (6, 4, 4)])
def test_overlap_add_equals_the_plain_sum(count, length, hop):
    frames = torch.randn(2, count, length, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(2, (count - 1) * hop + -(-length // hop) * hop, dtype=torch.float64)
    for n in range(count):
        expected[:, n * hop : n * hop + length] += frames[:, n]
    torch.testing.assert_close(overlap_add(frames, hop), expected)


def test_ramps_hold_the_last_frame_or_move_towards_it():
    frames = torch.tensor([1.0, 2.0, 4.0])
    start, goal = ramps(frames, 10, 30)
    assert (start.tolist(), goal.tolist()) == ([1, 2, 4], [2, 4, 4])
    start, goal = ramps(frames, 10, 20, onset=torch.tensor([0, 0, 1]))
    assert (start.tolist(), goal.tolist()) == ([1, 2], [2, 2])


@pytest.mark.parametrize("samples", [0, 10, 29, 31, 40])
def test_ramps_refuse_other_lengths(samples):
    with pytest.raises(DdspZooError, match="3 frames of 10 samples"):
        ramps(torch.zeros(3), 10, samples)


@pytest.mark.parametrize(
    ("marked", "frames"),
    [
        ([0, 0, 1, 0, 0], [0, 1, 0, 1, 2]),
        ([1, 0, 1, 1, 0], [0, 1, 0, 0, 1]),
        ([0, 0, 0], [0, 1, 2]),
        ([0.5, -1.0, 0.0], [0, 1, 2]),
        ([1], [0]),
        ([0], [0]),
    ],
)
def test_seconds_since_the_last_marked_frame_or_the_start(marked, frames):
    marked = torch.tensor(marked, dtype=torch.float32)
    assert seconds_since(marked, 0.25).tolist() == [0.25 * n for n in frames]


def test_seconds_are_counted_for_each_row_alone():
    marked = torch.zeros(2, 3, 6)
    marked[1, 2, 4] = 1
    seconds = seconds_since(marked, 0.5)
    assert seconds.shape == (2, 3, 6) and seconds.dtype == torch.float32
    assert seconds[1, 2].tolist() == [0, 0.5, 1, 1.5, 0, 0.5]
    plain = seconds.flatten(0, 1)[:5]
    assert torch.equal(plain, 0.5 * torch.arange(6.0).expand(5, 6))


@pytest.mark.parametrize("upsample", [upsample_linear, upsample_window])
@pytest.mark.parametrize("cut", [1, 4, 8])
def test_pieces_that_look_one_frame_ahead_join_to_the_whole(upsample, cut):
    frames = torch.rand(2, 9, generator=torch.Generator().manual_seed(0))
    pieces = upsample(frames[:, : cut + 1], 8, lookahead=True), upsample(frames[:, cut:], 8)
    assert torch.equal(torch.cat(pieces, -1), upsample(frames, 8))


@pytest.mark.parametrize("hop", [1, 4, 7])
def test_frames_in_the_middle_of_their_hop(hop):
    frames = torch.rand(2, 3, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(frames, 9 * hop, mode="linear")
    torch.testing.assert_close(upsample_centred(frames, hop), expected)


@pytest.mark.parametrize("cut", range(1, 8))
def test_held_values_and_counts_go_on_in_the_next_piece(cut):
    marked = torch.tensor([[0.0, 0, 1, 0, 1, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0]])
    values = torch.arange(1.0, 25.0).view(3, 8)
    assert hold(values, marked).tolist() == [[0, 0, 3, 3, 5, 5, 5, 8], [0] * 8, [17] * 8]
    assert frames_since(marked).tolist() == [[0, 1, 0, 1, 0, 1, 2, 0], [*range(8)], [*range(8)]]
    first = hold(values[:, :cut], marked[:, :cut]), frames_since(marked[:, :cut])
    then = hold(values[:, cut:], marked[:, cut:], first[0][:, -1])
    counts = frames_since(marked[:, cut:], first[1][:, -1])
    assert torch.equal(torch.cat([first[0], then], -1), hold(values, marked))
    assert torch.equal(torch.cat([first[1], counts], -1), frames_since(marked))


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (4,)])
def test_nothing_to_overlap_is_refused(shape):
    with pytest.raises(DdspZooError, match="need a frame, a sample"):
        overlap_add(torch.zeros(shape), 2)


def test_overlapping_frames_keep_their_precision():
    assert overlap_add(torch.ones(3, 4).half(), 2).equal(overlap_add(torch.ones(3, 4), 2).half())


def test_what_is_held_fits_its_marks():
    with pytest.raises(DdspZooError, match=r"must have the shape \(4,\)"):
        hold(torch.zeros(3), torch.zeros(4))
