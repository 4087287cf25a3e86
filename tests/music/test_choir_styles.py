"""Polyphony and homophony: within their ranges, the same from the same seed, with crossings, unisons and rests."""

import numpy as np
import pytest

from ddsp_zoo.music.choir.polyphony import compose_polyphony
from ddsp_zoo.music.choir.scores import PARTS, RANGES, SungNote
from ddsp_zoo.music.choir.styles import STYLES, choose_parts, compose_style
from ddsp_zoo.sources import MOST_VOICES, numbered

SECONDS = 20.0
AT = np.arange(0, SECONDS, 0.05)


def sounding(lines: dict[str, tuple[SungNote, ...]]) -> np.ndarray:
    """The MIDI notes of each voice over time, NaN in rests."""
    out = np.full((len(lines), len(AT)), np.nan)
    for row, line in zip(out, lines.values(), strict=True):
        for note in line:
            row[(note.start_seconds <= AT) & (note.end_seconds > AT)] = note.midi
    return out


def test_names() -> None:
    assert numbered(("soprano", "soprano", "bass")) == ("soprano1", "soprano2", "bass")
    assert numbered(PARTS) == PARTS


@pytest.mark.parametrize("voices", range(1, MOST_VOICES + 1))
def test_parts_are_sorted_and_balanced(voices: int) -> None:
    chosen = {choose_parts(np.random.default_rng(seed), voices) for seed in range(40)}
    assert len(chosen) > 1 or voices == 8
    for parts in chosen:
        assert len(parts) == voices and list(parts) == sorted(parts, key=PARTS.index)
        assert max(parts.count(part) for part in PARTS) <= (2 if voices > 6 else 3)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("voices", (1, 3, 4, 8))
def test_pieces_keep_their_ranges_and_the_order_of_time(style: str, voices: int) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        parts = choose_parts(rng, voices)
        lines = compose_style(rng, style, parts, SECONDS)
        assert tuple(lines) == numbered(parts) and any(lines.values())
        for line, part in zip(lines.values(), parts, strict=True):
            low, high = RANGES[part]
            slack = 2 if style == "chorale" else 0  # neighbour notes of chorales
            assert all(low - slack <= note.midi <= high + slack for note in line)
            assert all(0 <= note.start_seconds < note.end_seconds <= SECONDS for note in line)
            assert all(a.end_seconds <= b.start_seconds + 1e-9 for a, b in zip(line, line[1:], strict=False))


@pytest.mark.parametrize("style", STYLES)
def test_a_seed_gives_the_same_piece_again(style: str) -> None:
    parts = ("soprano", "alto", "alto", "tenor", "bass")
    one, again, other = (
        compose_style(np.random.default_rng(seed), style, parts, SECONDS) for seed in (5, 5, 6)
    )
    assert one == again != other


def test_voices_of_polyphony_cross_meet_rest_and_come_and_go() -> None:
    crossed, met, rested, late, alone = [], [], [], [], []
    for seed in range(12):
        midi = sounding(
            compose_polyphony(np.random.default_rng(seed), ("soprano", "soprano", "alto"), SECONDS)
        )
        gap = np.diff(-midi, axis=0)
        crossed.append(np.nanmean(gap < 0))
        met.append(np.nanmean(gap == 0))
        sung = ~np.isnan(midi)
        rested.append(1 - sung.mean())
        first = [int(np.argmax(row)) for row in sung]
        late.append(max(first) - min(first))
        alone.append((sung.sum(0) == 1).mean())
    assert np.mean(crossed) > 0.05 and np.mean(met) > 0.01 and 0.05 < np.mean(rested) < 0.5
    assert np.mean(np.array(late) > 10) > 0.3 and np.mean(alone) > 0.02


def test_polyphony_imitates_and_voices_are_independent() -> None:
    """In some sections voices begin one after the other with the same rhythm; attacks rarely coincide in all."""
    together = []
    for seed in range(6):
        lines = compose_polyphony(np.random.default_rng(seed), PARTS, SECONDS)
        attacks = [{round(note.start_seconds * 5) for note in line} for line in lines.values()]
        together.append(len(set.intersection(*attacks)) / max(len(set.union(*attacks)), 1))
    assert np.mean(together) < 0.25


def test_ranges_are_wide_in_some_pieces_and_narrow_in_others() -> None:
    spans = [
        np.ptp([note.midi for note in line])
        for seed in range(20)
        for line in compose_polyphony(np.random.default_rng(seed), ("bass",), 40.0).values()
    ]
    assert min(spans) <= 14 < 17 <= max(spans)


def test_homophony_has_one_rhythm_and_repeats_chords_with_new_syllables() -> None:
    repeated = []
    for seed in range(6):
        lines = compose_style(np.random.default_rng(seed), "homophony", PARTS, SECONDS)
        for line in lines.values():
            assert all(note.attack for note in line)
            repeated += [a.midi == b.midi for a, b in zip(line, line[1:], strict=False)]
        starts = [np.array([note.start_seconds for note in line]) for line in lines.values()]
        longest = max(starts, key=len)
        for row in starts:
            assert np.abs(row[:, None] - longest).min(1).max(initial=0) < 0.25
    assert np.mean(repeated) > 0.4
