"""Rendered choirs: the same from the same seed, in tune with their f0, sung by voices within their ranges."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.corpora import RenderedChoir
from ddsp_zoo.corpora.base import Excerpts, StemDataset
from ddsp_zoo.corpora.rendered.choir import perform
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import read_f0_csv
from ddsp_zoo.music.choir.scores import PARTS, RANGES, SungNote, compose
from ddsp_zoo.music.choir.voices import GRID, RATE, VOWEL_HZ, Singer, sing

SECONDS = 6.0


def small(root: Path, **settings: Any) -> RenderedChoir:
    counts = {"train_tracks": 2, "validation_tracks": 1, "test_tracks": 1, "track_seconds": SECONDS}
    return RenderedChoir(str(root), **(counts | settings))


def contents(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def model(*sources: str) -> SimpleNamespace:
    return SimpleNamespace(
        sources=sources, sample_rate=16000, hop_samples=256, segment_samples=32000, needs_pitch=True
    )


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> RenderedChoir:
    data = small(tmp_path_factory.mktemp("choir"))
    data.prepare_data()
    return data


def test_counts_and_files(corpus: RenderedChoir) -> None:
    assert [len(corpus.tracks(split)) for split in corpus.counts] == [2, 1, 1]
    track = corpus.tracks("train")[0]
    assert track.sources == PARTS and track.seconds == SECONDS
    for part in PARTS:
        audio, rate = sf.read(track.stems[part][0])
        assert rate == RATE and audio.shape == (round(SECONDS * RATE),)


def test_a_seed_gives_the_same_files_again(corpus: RenderedChoir, tmp_path: Path) -> None:
    again = small(tmp_path)
    again.prepare_data()
    assert contents(again.root) == contents(corpus.root) and again.root.name == corpus.root.name


def test_pieces_differ_between_splits_and_seeds(corpus: RenderedChoir, tmp_path: Path) -> None:
    other = small(tmp_path, render_seed=1, train_tracks=1, validation_tracks=0, test_tracks=0)
    other.prepare_data()
    tracks = [track for data in (corpus, other) for split in data.counts for track in data.tracks(split)]
    pitches = [track.pitch.read_bytes() for track in tracks]
    assert other.root.name != corpus.root.name and len(pitches) == len(set(pitches)) == 5


def test_batches_of_quartets_and_duets(corpus: RenderedChoir) -> None:
    for voices, sources in ((4, PARTS), (2, ("high", "low"))):
        data = small(corpus.root.parent, voices=voices, excerpts=Excerpts(3), variation=Variation(6.0)).feed(
            model(*sources)
        )
        data.prepare_data()
        data.setup("fit")
        batch = next(iter(data.train_dataloader()))
        assert batch["sources"].shape == (3, voices, 32000)
        assert batch["f0_hz"].shape == batch["onset"].shape == (3, voices, 125)
        assert np.allclose(batch["mixture"], batch["sources"].sum(1), atol=1e-5)
        voiced = (batch["f0_hz"] > 0).all(1)
        assert (batch["f0_hz"].diff(dim=1)[:, :, :].max(1).values[voiced] < 0).float().mean() > 0.98


def test_duets_are_all_pairs_from_the_top(corpus: RenderedChoir) -> None:
    data = small(corpus.root.parent, voices=2)
    pairs = [tuple(voice.part for voice in track.voices) for track in data.tracks("test")]
    assert len(set(pairs)) == 6 and all(PARTS.index(high) < PARTS.index(low) for high, low in pairs)
    track = data.tracks("test")[2]
    _, f0, _ = read_f0_csv(track.pitch, pairs[2])
    assert np.array_equal(track.read_pitch(("high", "low"), GRID / RATE).f0_hz[:, : f0.shape[1]], f0)


def test_a_model_of_four_voices_cannot_learn_from_duets(corpus: RenderedChoir) -> None:
    data = small(corpus.root.parent, voices=2).feed(model(*PARTS))
    with pytest.raises(DdspZooError, match="the model separates 'soprano', and .* has only high, low"):
        data.setup("fit")


# ---- scores


@pytest.mark.parametrize("seed", range(4))
def test_chorales_follow_the_rules(seed: int) -> None:
    lines = compose(np.random.default_rng(seed), 40.0)
    for part, (low, high) in RANGES.items():
        line = lines[part]
        assert len(line) > 5 and line[0].attack and line[-1].end_seconds <= 40
        assert all(low - 2 <= note.midi <= high + 2 for note in line)
        assert all(a.end_seconds <= b.start_seconds + 1e-9 for a, b in zip(line, line[1:], strict=False))
        assert all(note.end_seconds - note.start_seconds > 0.05 for note in line)
        leaps = [abs(a.midi - b.midi) for a, b in zip(line, line[1:], strict=False)]
        assert np.mean(leaps) < 5 and max(leaps) <= 19
    at = np.arange(0, 40, 0.05)
    sounding = np.stack([pitch_at(lines[part], at) for part in PARTS])
    together = sounding[:, ~np.isnan(sounding).any(0)]
    assert together.shape[1] > 200 and (np.diff(together, axis=0) <= 0).mean() > 0.97  # voices rarely cross


def pitch_at(line: tuple[SungNote, ...], at: np.ndarray) -> np.ndarray:
    out = np.full(len(at), np.nan)
    for note in line:
        out[(at >= note.start_seconds) & (at < note.end_seconds)] = note.midi
    return out


def test_harmony_is_consonant() -> None:
    """Most of the time what sounds together is a triad or seventh chord: few semitone clashes."""
    clashes = []
    for seed in range(6):
        lines, at = compose(np.random.default_rng(seed), 30.0), np.arange(0, 30, 0.05)
        chords = np.stack([pitch_at(lines[part], at) for part in PARTS])
        for chord in chords[:, ~np.isnan(chords).any(0)].T:
            gaps = {int((a - b) % 12) for a in chord for b in chord}
            clashes.append(bool(gaps & {1, 11}))
    assert np.mean(clashes) < 0.15


# ---- voices


def singer(part: str = "alto", **changes: Any) -> Singer:
    from dataclasses import replace

    return replace(Singer.random(np.random.default_rng(5), part), **changes)


@pytest.mark.parametrize("part", PARTS)
def test_f0_is_what_sounds(part: str, loudest_hz: Callable[..., float]) -> None:
    low, high = RANGES[part]
    midi = (low + high) // 2
    steady = singer(part, vibrato_cents=0.0, scoop_cents=0.0)
    audio, f0, onset = sing([(SungNote(0.2, 1.8, midi, "a"),)], [steady], 2.0, np.random.default_rng(0))
    heard = loudest_hz(audio[0, 12800:19200], RATE, f0[0, 250] * 0.94, f0[0, 250] * 1.06)
    assert abs(1200 * math.log2(heard / np.mean(f0[0, 200:300]))) < 4
    assert abs(12 * math.log2(heard / 440) + 69 - midi) < 0.5
    assert not f0[0, :40].any() and not f0[0, 470:].any() and np.flatnonzero(onset[0]).tolist() == [50]


def test_f0_holds_through_vibrato_and_glides() -> None:
    """A sine that follows f0 beats with the fundamental nowhere: the phase between them only drifts slowly."""
    notes = (SungNote(0.1, 1.0, 57, "a"), SungNote(1.0, 2.0, 62, "o", attack=False))
    audio, f0, _ = sing([notes], [singer("tenor", vibrato_cents=60.0)], 2.2, np.random.default_rng(1))
    turns = np.cumsum(np.interp(np.arange(len(audio[0])), np.arange(len(f0[0])) * GRID, f0[0])) / RATE
    base = audio[0] * np.exp(-2j * np.pi * turns)
    width = 1280  # periods of both pitches even out over 80 ms
    base = np.convolve(base, np.hanning(width) / width, "same")[4000:31000:64]
    deviation_hz = np.diff(np.unwrap(np.angle(base))) * RATE / 64 / (2 * np.pi)
    assert np.percentile(np.abs(deviation_hz), 90) < 3


def test_vowels_move_the_spectrum() -> None:
    def balance(vowel: str) -> float:
        voice = singer("bass", vowels=0.0, cluster=0.0, breath=0.0)
        audio, _, _ = sing([(SungNote(0.1, 1.4, 48, vowel),)], [voice], 1.5, np.random.default_rng(2))
        power = np.abs(np.fft.rfft(audio[0, 6400:19200] * np.hanning(12800))) ** 2
        hertz = np.fft.rfftfreq(12800, 1 / RATE)
        return float(
            power[(hertz > 1600) & (hertz < 3000)].sum() / power[(hertz > 600) & (hertz < 1300)].sum()
        )

    assert set(VOWEL_HZ["men"]) == set("aeiou")
    assert balance("i") > 10 * balance("a") and balance("e") > 3 * balance("o")


def test_unvoiced_consonants_interrupt_the_voice() -> None:
    notes = (SungNote(0.1, 1.0, 60, "a"), SungNote(1.0, 2.0, 60, "a", "fricative"))
    sung = {
        kind: sing(
            [(notes[0], SungNote(1.0, 2.0, 60, "a", kind))],
            [singer(clarity=1.0)],
            2.1,
            np.random.default_rng(3),
        )
        for kind in ("fricative", "")
    }
    gap = slice(round(0.9 * RATE / GRID), round(1.0 * RATE / GRID))
    assert (sung["fricative"][1][0, gap] == 0).sum() >= 5 and (sung[""][1][0, gap] > 0).all()


def test_a_voice_that_rests_is_silent() -> None:
    lines = [(SungNote(0.2, 0.8, 60, "a"),), ()]
    audio, f0, onset = sing(lines, [singer(), singer("bass")], 1.0, np.random.default_rng(0))
    assert np.abs(audio[0]).max() > 0.01 and not audio[1].any() and not f0[1].any() and not onset[1].any()


def test_singers_differ_but_stay_plausible() -> None:
    rng = np.random.default_rng(0)
    singers = [Singer.random(rng, part) for part in PARTS for _ in range(50)]
    assert len({s.seed for s in singers}) == 200
    assert all(
        0.8 < s.tract < 1.25 and 0.4 < s.open_quotient < 0.85 and s.vibrato_cents < 100 for s in singers
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_performance_is_finite_and_balanced(seed: int) -> None:
    audio, f0, onset = perform(np.random.default_rng(seed), 5.0)
    assert audio.shape == (4, 80000) and f0.shape == onset.shape == (4, 1250)
    assert np.isfinite(audio).all() and np.abs(audio.sum(0)).max() == pytest.approx(0.7)
    levels_db = 10 * np.log10((audio**2).mean(1))
    assert np.ptp(levels_db) < 25 and ((f0 > 0).any(1) == onset.any(1)).all()


# ---- other styles and numbers of voices


def test_other_styles_are_drawn_from_the_seed_and_chorales_lie_where_they_lay(tmp_path: Path) -> None:
    every = small(tmp_path, styles=("chorale", "polyphony", "homophony"), train_tracks=40)
    drawn = [piece.style for piece in every.pieces("train").values()]
    assert set(drawn) == {"chorale", "polyphony", "homophony"}
    assert drawn == [
        p.style for p in small(tmp_path, styles=every.styles, train_tracks=40).pieces("train").values()
    ]
    # The folder and the sound of what was rendered before there were styles.
    assert RenderedChoir(str(tmp_path)).root.name == "b420ac8e8db1" != every.root.name
    assert {piece.style for piece in small(tmp_path).pieces("train").values()} == {"chorale"}
    chorale = perform(np.random.default_rng(3), 2.0)
    assert all(
        np.array_equal(a, b) for a, b in zip(chorale, perform(np.random.default_rng(3), 2.0, "chorale"))
    )


@pytest.mark.parametrize("style", ("polyphony", "homophony"))
def test_a_quartet_of_another_style(style: str, tmp_path: Path) -> None:
    data = small(tmp_path, styles=(style,), train_tracks=1)
    data.prepare(("train",))
    (track,) = data.tracks("train")
    assert track.sources == PARTS and track.read_pitch(PARTS, GRID / RATE).f0_hz.any(1).sum() >= 3


def test_each_piece_may_have_another_number_of_voices(tmp_path: Path) -> None:
    data = small(tmp_path, voices=[1, 3, 8], styles=("polyphony",), train_tracks=6, track_seconds=3.0)
    numbers = [len(piece.parts) for piece in data.pieces("train").values()]
    assert set(numbers) == {1, 3, 8}
    names = tuple(f"voice{place}" for place in range(1, 9))
    data = data.feed(model(*names))
    data.prepare(("train",))
    for number, track in zip(numbers, data.tracks("train"), strict=True):
        assert track.sources == names and track.seconds == 3.0
        assert [len(track.stems[name]) for name in names] == [1] * number + [0] * (8 - number)
        f0 = track.read_pitch(names, GRID / RATE).f0_hz
        assert not f0[number:].any()
        mean = [np.log2(row[row > 0]).mean() for row in f0[:number] if row.any()]
        assert mean == sorted(mean, reverse=True)
    batch = StemDataset(data.tracks("train"), data.spec)[0]
    assert batch["sources"].shape == (8, 32000) and not batch["sources"][numbers[0] :].any()


def test_what_a_choir_cannot_be_is_said() -> None:
    for voices in (0, 9, [], [2, 9]):
        with pytest.raises(DdspZooError, match="1 to 8 voices"):
            RenderedChoir(voices=voices)
    with pytest.raises(DdspZooError, match="choose from chorale, polyphony, homophony"):
        RenderedChoir(styles=("opera",))
