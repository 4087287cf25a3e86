"""Mixtures made on the training's device: they sum up, they follow their settings, they repeat."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ddsp_zoo.training.stem_pool import Mixing, StemPool, mixtures

RATE, LENGTH = 8000, 4000
AS_THEY_ARE = Mixing(
    swap=0,
    stretch=0,
    gain_db=0,
    turned=0,
    absent=0,
    second=0,
    lone=0,
    song=0,
    filter_db=0,
    driven=0,
    dulled=0,
    pressed=0,
)


def track(number: int) -> np.ndarray:
    """Four sines of 16 bits, of their own pitch and level in every track."""
    time = np.arange(LENGTH) / RATE
    hz = 100 * (1 + np.arange(4)) + 10 * number
    return np.rint(3000 * (number + 1) * np.sin(2 * np.pi * hz[:, None] * time)).astype(np.int16)


def pool(count: int = 3, capacity: int = 3, **settings: object) -> StemPool:
    filled = StemPool(capacity, LENGTH, RATE, torch.device("cpu"), **settings)
    for number in range(count):
        filled.add(track(number))
    return filled


def drawn(
    mixing: Mixing, batch: int = 16, samples: int = 1000, seed: int = 0, **settings: object
) -> tuple[Tensor, Tensor]:
    batch = mixtures(pool(**settings), batch, samples, mixing, torch.Generator().manual_seed(seed))
    assert batch["known"].all() or "songs" in settings
    return batch["mixture"], batch["sources"]


@pytest.mark.parametrize("mixing", [Mixing(), Mixing(driven=1, pressed=1), AS_THEY_ARE])
def test_stems_sum_to_the_mixture_and_repeat_with_their_seed(mixing: Mixing) -> None:
    mixture, stems = drawn(mixing)
    assert mixture.shape == (16, 1000) and stems.shape == (16, 4, 1000)
    assert torch.allclose(stems.sum(1), mixture, atol=1e-5) and mixture.isfinite().all()
    assert torch.equal(mixture, drawn(mixing)[0]) and not torch.equal(mixture, drawn(mixing, seed=1)[0])


def test_without_changes_stems_are_excerpts_of_one_track() -> None:
    _, stems = drawn(AS_THEY_ARE)
    for example in stems:
        number = round(float(example.abs().max()) * 32767 / 3000) - 1
        whole = torch.from_numpy(track(number)).float() / 32767
        start = int((whole.unfold(1, 1000, 1) - example[:, None]).square().sum((0, 2)).argmin())
        near = whole[:, start : start + 1000]  # places lie between samples
        assert (near - example).abs().max() < 0.25 * example.abs().max()


def test_swapped_stems_come_from_different_tracks() -> None:
    _, stems = drawn(replace(AS_THEY_ARE, swap=1.0))
    levels = (stems.abs().amax(-1) * 32767 / 3000).round()
    assert (levels != levels[:, :1]).any()


def test_a_speed_changes_the_pitch_by_as_much() -> None:
    _, stems = drawn(replace(AS_THEY_ARE, stretch=1.0), batch=64, count=1, capacity=1, samples=1600)
    spectrum = torch.fft.rfft(stems * torch.hann_window(1600), n=16000).abs()
    hz = spectrum.argmax(-1) / 2
    ratio = (hz / (100 * torch.arange(1, 5))).log2()
    assert ratio.min() < -0.8 and ratio.max() > 0.8 and ratio.abs().max() < 1.02
    assert (ratio.std(1) < 0.02).all()  # what belongs together stays together


def test_new_tracks_replace_the_oldest() -> None:
    filled = pool(count=5, capacity=2)
    assert len(filled) == 2
    assert np.array_equal(filled.audio.numpy(), np.stack([track(4), track(3)]))


def test_lone_recordings_take_the_place_of_their_stem_alone() -> None:
    lone = np.full((1, LENGTH), 5000, np.int16)
    _, stems = drawn(replace(AS_THEY_ARE, lone=1.0), lone=lone)
    assert torch.allclose(stems[:, 2], torch.tensor(5000 / 32767), atol=1e-4)
    assert stems[:, [0, 1, 3]].std(-1).min() > 0.01


@pytest.mark.parametrize("swap", [0.0, 1.0])
def test_songs_give_their_guitar_or_another_and_all_that_plays_with_it(swap: float) -> None:
    songs = np.stack([np.full(LENGTH, 5000, np.int16), np.full(LENGTH, -7000, np.int16)])[None]
    filled, mixing = pool(songs=songs), replace(AS_THEY_ARE, song=0.5, swap=swap)
    batch = mixtures(filled, 64, 1000, mixing, torch.Generator().manual_seed(0))
    known, stems = batch["known"], batch["sources"]
    of_song = ~known[:, 0]
    assert 20 < of_song.sum() < 44 and known[~of_song].all()
    assert known[of_song].unique(dim=0).tolist() == [[False, False, True, True]]
    assert not stems[of_song][:, :2].any() and stems[~of_song][:, :2].std(-1).min() > 0.01
    assert torch.allclose(stems[of_song][:, 3], torch.tensor(-7000 / 32767), atol=1e-4)
    guitar_of_song = (stems[of_song][:, 2] - 5000 / 32767).abs().amax(-1) < 1e-4
    assert guitar_of_song.all() if swap == 0 else not guitar_of_song.any()


def test_a_second_rest_has_no_bass_of_its_own() -> None:
    """Only what is told as unknown may hold bass and drums."""
    songs = np.zeros((1, 2, LENGTH), np.int16)
    songs[:, 1] = 30000
    batch = mixtures(
        pool(songs=songs),
        64,
        1000,
        replace(AS_THEY_ARE, song=0.5, second=1.0),
        torch.Generator().manual_seed(0),
    )
    loud = batch["sources"][:, 3].abs().amax(-1) > 0.8
    assert torch.equal(loud, ~batch["known"][:, 0])


def test_shares_of_one_reach_every_excerpt() -> None:
    _, stems = drawn(replace(AS_THEY_ARE, absent=1.0))
    assert (stems[:, 0].abs().amax(-1) > 0).all() and not stems[:, 1:].any()  # something always plays
    plain, bent = drawn(AS_THEY_ARE)[1], drawn(replace(AS_THEY_ARE, driven=1.0))[1]
    assert torch.allclose(plain[:, 0].square().mean(-1), bent[:, 0].square().mean(-1), rtol=1e-3)
    assert (plain[:, 0] - bent[:, 0]).abs().amax(-1).min() > 1e-3
    assert drawn(replace(AS_THEY_ARE, pressed=1.0))[0].abs().max() <= 1
    dull = drawn(replace(AS_THEY_ARE, dulled=1.0, filter_db=0))[0]
    assert torch.fft.rfft(dull).abs()[:, -10:].amax(1).min() < 1e-2
