"""The network of series E: what each string hears, and that a note is judged as a whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ddsp_zoo.networks.string_listener import BothWays, StringListener, pool_notes

RATE, HOP, FRAMES = 16000, 256, 16
HZ = (110.0, 220.0, 330.0, 147.0)


def listener(strings: int = 3, channels: int = 5) -> StringListener:
    torch.manual_seed(0)
    return StringListener(strings, channels, RATE, HOP, partials=4, width=8).eval()


def scene(strings: int = 3, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Noise, and strings that hold their pitches, plucked at the start."""
    audio = 0.2 * torch.randn(1, FRAMES * HOP, generator=torch.Generator().manual_seed(seed))
    f0 = torch.tensor(HZ[:strings])[None, :, None].repeat(1, 1, FRAMES)
    onset = torch.zeros_like(f0)
    onset[..., 0] = 1
    return audio, f0, onset


def changed(one: Tensor, other: Tensor) -> bool:
    return not torch.allclose(one, other, atol=1e-6)


def test_raw_controls_of_every_string_and_frame():
    raw = listener()(*scene())
    assert raw.shape == (1, 3, FRAMES, 5) and raw.isfinite().all()
    assert raw.abs().max() < 1  # near zero before training, where every control starts


@pytest.mark.parametrize("level", [0.0, 1e-9, 1e4])
def test_any_level_gives_finite_controls_and_gradients(level):
    network = listener()
    audio, f0, onset = scene()
    raw = network(level * audio, f0, onset)
    assert raw.isfinite().all()
    raw.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize("f0_hz", [0.0, 20.0, 7999.0, 1e5])
def test_any_pitch_gives_finite_controls(f0_hz):
    audio, f0, onset = scene()
    f0[:, 1] = f0_hz
    assert listener()(audio, f0, onset).isfinite().all()


def test_every_string_depends_on_its_own_pitch_and_hears_of_the_others():
    network, (audio, f0, onset) = listener(), scene()
    raw = network(audio, f0, onset)
    for string in range(3):
        other = f0.clone()
        other[:, string] *= 1.3
        moved = (network(audio, other, onset) - raw).abs().mean((0, 2, 3))
        assert moved[string] > 1e-3 and (moved > 1e-5).all()


def test_onsets_and_the_mixture_are_heard():
    network, (audio, f0, onset) = listener(), scene()
    raw = network(audio, f0, onset)
    later = onset.roll(5, -1)
    assert changed(network(audio, f0, later), raw) and changed(network(audio.flip(-1), f0, onset), raw)


def test_a_pluck_is_judged_by_what_comes_after_it_and_before():
    network, (audio, f0, onset) = listener(), scene()
    raw = network(audio, f0, onset)
    for part in (slice(0, 2 * HOP), slice(-2 * HOP, None)):
        other = audio.clone()
        other[:, part] = 0
        assert changed(network(other, f0, onset)[:, :, FRAMES // 2], raw[:, :, FRAMES // 2])


def test_strings_are_told_apart_by_number_where_all_else_is_the_same():
    audio, f0, onset = scene()
    f0[:] = 200.0
    raw = listener()(audio, f0, onset)
    assert changed(raw[:, 0], raw[:, 1])


def test_in_another_order_with_their_numbers_strings_are_judged_the_same():
    network, (audio, f0, onset) = listener(4), scene(4)
    order = [2, 0, 3, 1]
    raw = network(audio, f0, onset)
    with torch.no_grad():
        for reads in (network.describe[0].weight, network.direct.weight):
            reads[:, -4:] = reads[:, -4:][:, order]  # the number is the last that is known of a string
    torch.testing.assert_close(network(audio, f0[:, order], onset), raw[:, order], atol=1e-5, rtol=1e-3)


def test_features_hold_the_level_at_the_partials():
    """A tone at the second partial of string 0 and nowhere near one of string 1."""
    network = listener(2)
    time = torch.arange(FRAMES * HOP) / RATE
    audio = torch.sin(2 * torch.pi * 500 * time)[None]
    f0 = torch.tensor([250.0, 147.0])[None, :, None].repeat(1, 1, FRAMES)
    features = network.features(audio, f0, torch.zeros_like(f0))[0, :, FRAMES // 2]
    long, short = features[:, :4], features[:, 4:8]
    assert long[0].argmax() == 1 and short[0].argmax() == 1
    assert long[0, 1].item() == pytest.approx(0, abs=0.05)  # half the log of an amplitude of 1
    assert long[0, 1] > long[1].max() + 0.5


def test_features_tell_which_share_of_a_partial_is_a_strings_own():
    """Partials 2 and 4 at 200 Hz meet the first two at 400 Hz, as strong as they: each has half the power."""
    audio, network = scene()[0][:, : 4 * HOP], listener(3)
    f0 = torch.tensor([200.0, 400.0, 0.0])[None, :, None].repeat(1, 1, 4)
    believed = torch.full((1, 3, 4, 4), 0.1)
    share = network.features(audio, f0, 0 * f0, believed)[0, :, 0, 12:16]
    assert share[0].tolist() == pytest.approx([0, -0.3466, 0, -0.3466], abs=0.01)
    assert share[1, :2].tolist() == pytest.approx([-0.3466, -0.3466], abs=0.01)
    f0[:, 1] = 0
    assert network.features(audio, f0, 0 * f0, believed)[0, 0, 0, 12:16].abs().max() < 0.01


def test_features_tell_what_is_left_of_the_mixture_by_those_believed_in():
    """Where the strings explain all of it, nothing: the two levels are the same."""
    time = torch.arange(FRAMES * HOP) / RATE
    f0 = torch.full((1, 1, FRAMES), 250.0)
    network = listener(1)
    for amplitude in (0.01, 0.5):
        audio = amplitude * torch.sin(2 * torch.pi * 250 * time)[None]
        believed = torch.zeros(1, 1, FRAMES, 4)
        believed[..., 0] = amplitude
        left = network.features(audio, f0, 0 * f0, believed)[0, 0, FRAMES // 2, 8]
        assert left.item() == pytest.approx(0, abs=0.05)


def test_unvoiced_strings_hear_nothing_of_the_mixture():
    network, (audio, f0, onset) = listener(), scene()
    f0[:, 1] = 0
    features = network.features(audio, f0, onset)
    assert not features[:, 1, :, :16].any() and features[:, 0, :, :16].any()


def test_both_ways_hears_past_and_future():
    torch.manual_seed(0)
    net, x = BothWays(3, 4), torch.randn(1, 6, 3)
    out = net(x)
    assert out.shape == (1, 6, 8)
    other = x.clone()
    other[:, 3] += 1
    moved = (net(other) - out).abs().amax((0,)) > 1e-6
    assert not moved[:3, :4].any() and moved[3:, :4].all() and moved[:4, 4:].all() and not moved[4:, 4:].any()


# Notes as a whole


@settings(max_examples=40, deadline=None, derandomize=True)
@given(onset=st.lists(st.booleans(), min_size=1, max_size=9), seed=st.integers(0, 99))
def test_pooling_gives_each_frame_the_mean_of_its_note(onset, seed):
    marks = torch.tensor(onset, dtype=torch.float32)
    values = torch.randn(2, len(onset), 3, generator=torch.Generator().manual_seed(seed))
    pooled = pool_notes(values, marks.expand(2, -1))
    starts = sorted({0, len(onset)} | {n for n, mark in enumerate(onset) if mark})
    for begin, end in zip(starts, starts[1:], strict=False):
        mean = values[:, begin:end].mean(1, keepdim=True).expand(-1, end - begin, -1)
        torch.testing.assert_close(pooled[:, begin:end], mean, atol=1e-6, rtol=1e-5)


def test_pooling_onsets_on_every_frame_changes_nothing():
    values = torch.randn(1, 2, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(pool_notes(values, torch.ones(1, 2, 5)), values)


def test_pooling_is_differentiable_and_each_row_has_its_own_notes():
    values = torch.arange(8.0).view(1, 2, 4, 1).requires_grad_()
    onset = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 1, 0]]])
    pooled = pool_notes(values, onset)
    assert pooled[0, :, :, 0].tolist() == [[1.5] * 4, [4.5, 4.5, 6.5, 6.5]]
    pooled[0, 1, 0].sum().backward()
    assert values.grad[0, :, :, 0].tolist() == [[0] * 4, [0.5, 0.5, 0, 0]]
