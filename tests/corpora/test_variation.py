"""Excerpts changed at random: other places and tracks, gains, polarity, speed; all of it can be repeated."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora import StemFolder
from ddsp_zoo.corpora.base import BatchSpec, Excerpts, StemDataset, Track, folder_tracks
from ddsp_zoo.corpora.variation import Place, Take, Variation
from ddsp_zoo.errors import DdspZooError

RATE, HOP, SEGMENT = 8000, 100, 4000
NAMES = ("bass", "drums", "guitar", "keys")
SECONDS = (1.5, 2.5, 4.0)


def level(track: int, name: str) -> float:
    """The value that a stem has throughout, by which it is told where a source comes from."""
    return (1 + 4 * track + NAMES.index(name)) / 256


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> list[Track]:
    """Three tracks of four constant stems each."""
    root = tmp_path_factory.mktemp("tracks")
    for number, seconds in enumerate(SECONDS):
        (root / f"t{number}").mkdir()
        for name in NAMES:
            audio = np.full(round(seconds * RATE), level(number, name))
            sf.write(root / f"t{number}" / f"{name}.wav", audio, RATE, subtype="FLOAT")
    return folder_tracks(root)


def dataset(tracks: list[Track], *sources: str, seed: int = 0, **changes: float) -> StemDataset:
    spec = BatchSpec(sources or NAMES, RATE, HOP, SEGMENT, needs_pitch=False)
    return StemDataset(tracks, spec, 100, seed, Variation(**changes))


def origins(item: dict[str, torch.Tensor], names: tuple[str, ...] = NAMES) -> list[int]:
    """The track of each source of an excerpt."""
    values = [
        row[0].item() * 256 - 1 - NAMES.index(name) for row, name in zip(item["sources"], names, strict=True)
    ]
    assert all(value == round(value) and value % 4 == 0 for value in values)
    return [round(value / 4) for value in values]


# ---- other places and tracks


def test_by_default_nothing_is_changed(tracks: list[Track]) -> None:
    plain = StemDataset(tracks, dataset(tracks).spec, 100)
    varied = dataset(tracks)
    assert all(torch.equal(plain[n]["sources"], varied[n]["sources"]) for n in range(10))


def test_swapped_sources_come_from_all_tracks(tracks: list[Track]) -> None:
    varied, plain = dataset(tracks, swap=1.0), dataset(tracks)
    found = [origins(varied[n]) for n in range(200)]
    assert [row[0] for row in found] == [origins(plain[n])[0] for n in range(200)]  # the first one stays
    others = np.array([row[1:] for row in found]).ravel()
    shares = np.bincount(others, minlength=3) / len(others)
    assert shares == pytest.approx(np.array(SECONDS) / sum(SECONDS), abs=0.08)  # longer ones more often
    assert len({tuple(row) for row in found}) > 30  # each source by itself


def test_the_share_of_swapped_excerpts(tracks: list[Track]) -> None:
    varied = dataset(tracks, swap=0.3)
    mixed = np.mean([len(set(origins(varied[n]))) > 1 for n in range(300)])
    assert mixed == pytest.approx(0.3 * (1 - np.sum((np.array(SECONDS) / 8) ** 4)), abs=0.08)


def test_the_mixture_is_the_sum_of_what_was_changed(tracks: list[Track]) -> None:
    varied = dataset(tracks, gain_db=6.0, polarity=True, swap=0.5, stretch=0.1)
    for n in range(10):
        assert torch.equal(varied[n]["mixture"], varied[n]["sources"].sum(0))


def test_the_rest_is_swapped_as_a_whole(tracks: list[Track]) -> None:
    varied = dataset(tracks, "bass", "rest", swap=1.0)
    sums = [sum(level(number, name) for name in NAMES[1:]) for number in range(3)]
    seen = set()
    for n in range(50):
        bass, rest = varied[n]["sources"][:, 0].tolist()
        assert rest in sums
        seen.add((bass, rest))
    assert len(seen) == 9


@pytest.fixture(scope="module")
def ramps(tmp_path_factory: pytest.TempPathFactory) -> list[Track]:
    """One track whose stems tell the time."""
    root = tmp_path_factory.mktemp("ramps")
    (root / "t").mkdir()
    for name in ("a", "b"):
        sf.write(root / "t" / f"{name}.wav", np.arange(4 * RATE) / (4 * RATE), RATE, subtype="FLOAT")
    return folder_tracks(root)


def test_apart_and_swap_are_shares_of_the_same_excerpts(ramps: list[Track]) -> None:
    varied = dataset(ramps, "a", "b", apart=0.4, swap=0.3)  # with one track a swap is another place too
    same = [torch.equal(*varied[n]["sources"]) for n in range(300)]
    assert np.mean(same) == pytest.approx(0.3, abs=0.08)


def test_draws_are_what_they_were_before_there_were_swaps(ramps: list[Track]) -> None:
    """Runs with gain_db and apart go on as they began."""
    varied = dataset(ramps, "a", "b", gain_db=6.0, apart=0.5, seed=3)
    for n in range(20):
        rng = np.random.default_rng([3, n])
        rng.choice(1, p=[1.0])  # the track
        starts = [rng.uniform(0, 3.5)] * 2
        rng = np.random.default_rng([3, n, 1])
        gains = 10 ** (rng.uniform(-6, 6, 2) / 20)
        if rng.random() < 0.5:
            starts[1] = rng.uniform(0, 3.5)
        first = [round(start * RATE) // HOP * HOP / (4 * RATE) for start in starts]
        assert varied[n]["sources"][:, 0].tolist() == pytest.approx(gains * first, rel=1e-5)


def test_pitch_comes_along_from_other_tracks(tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / f"t{number}"
        folder.mkdir()
        for name in "ab":
            sf.write(folder / f"{name}.wav", np.full(2 * RATE, (1 + number) / 8), RATE, subtype="FLOAT")
        hertz = 100 * (1 + number)
        (folder / "f0.csv").write_text(f"time_seconds,a,b\n0,{hertz},{hertz + 50}\n1,{hertz},{hertz + 50}\n")
    spec = BatchSpec(("a", "b"), RATE, HOP, SEGMENT, needs_pitch=True)
    varied = StemDataset(folder_tracks(tmp_path), spec, 100, 0, Variation(swap=1.0))
    apart = 0
    for n in range(20):
        item = varied[n]
        numbers = item["sources"][:, 0] * 8
        assert item["f0_hz"].shape == (2, SEGMENT // HOP)
        assert item["f0_hz"][:, 0].tolist() == (100 * numbers + torch.tensor([0.0, 50.0])).tolist()
        apart += numbers[0] != numbers[1]
    assert apart > 5


# ---- gain, polarity, speed


def test_polarity_turns_half_of_the_sources(tracks: list[Track]) -> None:
    varied, plain = dataset(tracks, polarity=True), dataset(tracks)
    signs = np.array([(varied[n]["sources"][:, 0] / plain[n]["sources"][:, 0]).tolist() for n in range(100)])
    assert set(signs.ravel()) == {-1.0, 1.0}
    assert signs.mean(0) == pytest.approx(0, abs=0.3)
    assert len({tuple(row) for row in signs}) == 16  # each by itself


def takes(count: int = 3, place: Place = Place(1, 0.5), **changes: float) -> list[list[Take]]:  # noqa: B008
    lengths = np.array(SECONDS)
    return [Variation(**changes).takes(place, lengths, 0.5, count, (0, n)) for n in range(300)]


def test_gains_reach_as_far_as_asked_for() -> None:
    decibels = np.array([[20 * np.log10(take.gain) for take in row] for row in takes(gain_db=6.0)])
    assert decibels.min() < -5.5 and decibels.max() > 5.5 and np.abs(decibels).max() <= 6
    assert np.abs(np.corrcoef(decibels.T)[0, 1:]).max() < 0.2


def test_sources_that_belong_together_have_one_speed() -> None:
    speeds = np.array([[take.speed for take in row] for row in takes(stretch=0.1)])
    assert (speeds == speeds[:, :1]).all()
    assert 1 / 1.1 <= speeds.min() < 0.92 and 1.08 < speeds.max() <= 1.1


@pytest.mark.parametrize("change", ["apart", "swap"])
def test_sources_from_different_places_have_their_own_speed(change: str) -> None:
    speeds = np.array([[take.speed for take in row] for row in takes(stretch=0.1, **{change: 1.0})])
    assert (speeds[:, 0] != speeds[:, 1]).all()


def test_other_changes_leave_the_places_alone() -> None:
    plain, more = takes(swap=0.5), takes(swap=0.5, polarity=True, stretch=0.1, gain_db=3.0)
    assert [[t.place for t in row] for row in plain] == [[t.place for t in row] for row in more]


@pytest.mark.parametrize("file_rate", [8000, 16000])
def test_a_stretched_tone_is_higher_and_faster(
    tmp_path: Path, file_rate: int, loudest_hz: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tone of 440 Hz that falls silent after two seconds, at 1.25 times the speed."""
    (tmp_path / "t").mkdir()
    time = np.arange(4 * file_rate) / file_rate
    sf.write(tmp_path / "t" / "a.wav", 0.5 * np.sin(2 * np.pi * 440 * time) * (time < 2), file_rate)
    monkeypatch.setattr(Variation, "takes", lambda self, *given: [Take(Place(0, 1.0), 1.0, 1.25)])
    spec = BatchSpec(("a",), RATE, HOP, 2 * RATE, needs_pitch=False)
    audio = StemDataset(folder_tracks(tmp_path), spec, 1, 0, Variation(stretch=0.5))[0]["sources"][0].numpy()
    assert audio.shape == (2 * RATE,)
    sounding = audio[400:6000]
    assert loudest_hz(sounding.astype(np.float64), RATE, 300, 800) == pytest.approx(550, abs=1)
    assert np.abs(sounding).max() == pytest.approx(0.5, abs=0.01)
    assert np.abs(audio[6500:]).max() < 1e-3  # a second from 1.0 to 2.0 lasts 0.8 s
    assert np.abs(audio[6300:6390]).max() > 0.4


def test_a_stretched_excerpt_lies_within_its_track(ramps: list[Track]) -> None:
    """However fast, it does not run into the silence after the end."""
    track = ramps[0]
    whole = BatchSpec(("a",), RATE, HOP, round(3.2 * RATE), needs_pitch=False)
    varied = StemDataset([track], whole, 100, 0, Variation(stretch=0.2))
    assert all(varied[n]["sources"][0, 100:-100].min() > 0 for n in range(30))


def test_everything_follows_from_seed_and_number(tracks: list[Track]) -> None:
    changes = {"gain_db": 6.0, "polarity": True, "swap": 0.5, "apart": 0.3, "stretch": 0.1}
    first, again, other = (dataset(tracks, seed=seed, **changes) for seed in (0, 0, 1))
    excerpts = [first[n]["sources"] for n in range(20)]
    assert all(torch.equal(again[n]["sources"], excerpts[n]) for n in reversed(range(20)))
    assert not any(torch.equal(other[n]["sources"], excerpts[n]) for n in range(20))


# ---- tone, and pitch that follows the speed


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> list[Track]:
    """A track of two steady tones of ten harmonics, each plucked twice, with their pitch."""
    root = tmp_path_factory.mktemp("tones")
    (root / "t").mkdir()
    time = np.arange(3 * RATE) / RATE
    for name, hertz in (("a", 200.0), ("b", 290.0)):
        audio = 0.05 * np.sin(2 * np.pi * hertz * np.arange(1, 11)[:, None] * time).sum(0)
        sf.write(root / "t" / f"{name}.wav", audio, RATE, subtype="FLOAT")
    rows = [f"{t:.4f},200,290,{int(k in (60, 200))},{int(k == 140)}" for k, t in enumerate(time[::HOP])]
    (root / "t" / "f0.csv").write_text("\n".join(["time_seconds,a,b,a_onset,b_onset", *rows]) + "\n")
    return folder_tracks(root)


def pitched(tracks: list[Track], **changes: float) -> StemDataset:
    return StemDataset(tracks, BatchSpec(("a", "b"), RATE, HOP, SEGMENT, True), 100, 0, Variation(**changes))


def partials(audio: torch.Tensor, hertz: float) -> np.ndarray:
    """Levels of ten harmonics in dB."""
    wave = torch.exp(-2j * np.pi * hertz * torch.arange(1, 11)[:, None] * torch.arange(len(audio)) / RATE)
    return 20 * torch.log10((wave * audio * torch.hann_window(len(audio))).sum(-1).abs()).numpy()


def test_each_source_gets_a_tone_of_its_own_and_keeps_its_level_and_pitch(tones: list[Track]) -> None:
    plain, toned = pitched(tones), pitched(tones, tone_db=12.0)
    changes = []
    for n in range(8):
        before, after = plain[n], toned[n]
        assert torch.equal(before["f0_hz"], after["f0_hz"]) and torch.equal(before["onset"], after["onset"])
        assert torch.equal(after["mixture"], after["sources"].sum(0))
        levels = (item["sources"].square().mean(-1) for item in (before, after))
        assert torch.allclose(*levels, rtol=1e-4)
        for row, hertz in enumerate((200.0, 290.0)):
            pair = [partials(item["sources"][row], hertz) for item in (before, after)]
            changes.append(pair[1] - pair[0])
    assert np.std(changes, axis=0).min() > 2  # dB: each partial
    assert np.abs(np.corrcoef(changes) - np.eye(16)).mean() < 0.6  # no tone is another one's
    again = pitched(tones, tone_db=12.0)
    assert all(torch.equal(again[n]["sources"], toned[n]["sources"]) for n in range(3))


def test_a_tone_leaves_silence_silent_and_notes_where_they_begin() -> None:
    audio = np.zeros(SEGMENT, np.float32)
    assert not Variation(tone_db=12.0).toned(audio, (1,), RATE).any()
    audio[2000:2400] = np.sin(np.arange(400))
    toned = Variation(tone_db=12.0).toned(audio, (1,), RATE)
    assert toned.dtype == np.float32 and np.abs(toned[:1900]).max() < 0.02 * np.abs(toned).max()


@pytest.mark.parametrize("changes", [{"detune_cents": 30.0}, {"stretch": 0.1}], ids=str)
def test_pitch_and_onsets_follow_the_speed(tones: list[Track], changes: dict[str, float]) -> None:
    varied, speeds = pitched(tones, **changes), []
    for n in range(20):
        item, takes = varied[n], varied._takes(n)
        speeds.append([take.speed for take in takes])
        for row, (hertz, marks) in enumerate(((200.0, (60, 200)), (290.0, (140,)))):
            speed, start = takes[row].speed, varied._start(takes[row]) * RATE / HOP
            assert item["f0_hz"][row].numpy() == pytest.approx(speed * hertz, rel=1e-5)
            level = partials(item["sources"][row], speed * hertz)
            assert level.min() > partials(item["sources"][row], speed * hertz * 1.02)[5:].max() + 6
            begun = [m for m in {round((mark - start) / speed) for mark in marks} if 0 < m < SEGMENT // HOP]
            assert item["onset"][row].nonzero().flatten().tolist() == [0, *sorted(begun)]
    speeds = 1200 * np.log2(speeds)
    if "stretch" in changes:
        assert (speeds[:, 0] == speeds[:, 1]).all() and np.ptp(speeds) > 165
    else:
        assert np.abs(speeds).max() <= 30 and np.ptp(speeds) > 40 and (speeds[:, 0] != speeds[:, 1]).all()


def test_other_draws_are_what_they_are_without_tones(tones: list[Track]) -> None:
    plain, toned = (pitched(tones, gain_db=6.0, apart=0.5, **more) for more in ({}, {"tone_db": 9.0}))
    for n in range(20):
        assert [take[:3] for take in plain._takes(n)] == [take[:3] for take in toned._takes(n)]


# ---- errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"swap": 0.7, "apart": 0.4}, r"apart \(0.4\) and swap \(0.7\) are shares"),
        ({"swap": -0.1}, "set both from 0 to 1"),
        ({"stretch": 1.5}, "stretch lies between 0 and 1"),
        ({"gain_db": -6.0}, "gain_db is how far"),
        ({"tone_db": -1.0}, "tone_db is how far"),
        ({"detune_cents": -1.0}, "detune_cents is how far"),
    ],
)
def test_unusable_settings(changes: dict[str, float], message: str) -> None:
    with pytest.raises(DdspZooError, match=message):
        StemFolder("x", Excerpts(examples_per_epoch=4), Variation(**changes))


@pytest.mark.parametrize("change", ["apart", "swap"])
def test_other_places_need_random_excerpts(change: str) -> None:
    with pytest.raises(DdspZooError, match="set excerpts.examples_per_epoch too"):
        StemFolder("x", variation=Variation(**{change: 0.5}))
