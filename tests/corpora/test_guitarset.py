"""GuitarSet in its own layout, on a small corpus written here."""

import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from zenodo import Zenodo

from ddsp_zoo.corpora import GuitarSet
from ddsp_zoo.corpora.guitarset import files as guitarset_files
from ddsp_zoo.corpora.guitarset.files import (
    ANNOTATION,
    AUDIO,
    STRINGS,
    crepe_f0,
    find_recordings,
    notes_to_f0,
)
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.strings.jams import read_contours, read_notes
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

TAKES = ("BN1-129-Eb", "BN1-147-Gb", "BN2-131-B", "BN2-166-Ab", "BN3-119-G", "BN3-154-E")
FIRST_TWO = [f"{player}_{take}_comp" for player in ("00", "01") for take in TAKES]
BOSSA = FIRST_TWO + [f"{player}_BN1-129-Eb_comp" for player in ("02", "03", "04", "05")]
FUNK = [f"{player}_Funk1-114-Ab_comp" for player in ("00", "04", "05")]
SOLO = ["00_BN1-129-Eb_solo", "04_SS2-107-Ab_solo"]
RATE, SECONDS = 44100, 0.5
MIDI = 40.25  # of the lowest string's first note; every string above plays five semitones more
VIBRATO_HZ = 3.0  # what the contours have on top of the notes
REAL_ROOT = os.environ.get("GUITARSET_ROOT")


def hertz(string: int, step: int = 0) -> float:
    return 440 * 2 ** ((MIDI + 5 * string + step - 69) / 12)


def note(time: float, duration: float, value: float) -> dict[str, Any]:
    return {"time": time, "duration": duration, "value": value, "confidence": None}


def annotation(strings: int = 6, midi: float = MIDI, first: float = 0.1) -> dict[str, Any]:
    """JAMS with two notes a string, in no order, and contours that leave out what no note holds, and a bit more."""
    entries = []
    for s in reversed(range(strings)):
        of_string = {"annotation_metadata": {"data_source": str(s), "curator": {"name": "", "email": ""}}}
        notes = [note(first, 0.12, midi + 5 * s), note(0.3, 0.1, midi + 5 * s + 1)]
        times = [0.1 + 0.005 * k for k in range(20)] + [0.3, 0.305]
        points = [{"voiced": k != 5, "frequency": hertz(s) + VIBRATO_HZ, "index": 0} for k in range(20)]
        points += [{"voiced": True, "frequency": hz, "index": 1} for hz in (0.0, 9000.0)]
        contour = {"time": times, "duration": [0.0] * 22, "value": points, "confidence": [None] * 22}
        entries += [of_string | {"namespace": "note_midi", "data": notes}]
        entries += [of_string | {"namespace": "pitch_contour", "data": contour}]
    tempo = {"namespace": "tempo", "annotation_metadata": {}, "data": [note(0, 0.5, 120)]}
    return {"annotations": [*entries, tempo], "file_metadata": {"duration": SECONDS}, "sandbox": {}}


def write_audio(path: Path, channels: int = 6, rate: int = RATE, seconds: float = SECONDS) -> None:
    """String s is a tone at its open pitch."""
    time = np.arange(round(seconds * rate)) / rate
    tones = [0.3 * np.sin(2 * np.pi * hz * time) for hz in [*GUITAR_STRINGS_HZ.values(), 440.0]]
    path.unlink(missing_ok=True)
    sf.write(path, np.stack(tones[:channels], axis=1), rate)


def write_annotation(path: Path, content: Any) -> None:
    path.unlink(missing_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("guitarset")
    write_audio(folder / "any.wav")
    write_annotation(folder / "any.jams", annotation())
    return folder / "any.wav", folder / "any.jams"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pristine: tuple[Path, Path]) -> Path:
    """The corpus; its files are links, so that a test which wants another file must replace it."""
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    for variable in ("GUITARSET_ROOT", "DDSP_ZOO_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    corpus = tmp_path / "GuitarSet"
    for kind in (AUDIO, ANNOTATION):
        (corpus / kind).mkdir(parents=True)
    for name in [*BOSSA, *FUNK, *SOLO]:
        (corpus / AUDIO / f"{name}_hex_cln.wav").symlink_to(pristine[0])
        (corpus / ANNOTATION / f"{name}.jams").symlink_to(pristine[1])
    (corpus / ANNOTATION / "._00_BN1-129-Eb_comp.jams").write_text("what some systems leave behind")
    return corpus


def small(root: Path | None, **settings: Any) -> GuitarSet:
    """Three recordings of Bossa Nova, by players 00, 04 and 05."""
    few = {"splits": "by_player", "train_tracks": 1}
    return GuitarSet(None if root is None else str(root), **(few | settings))


def names(data: GuitarSet) -> dict[str, list[str]]:
    return {split: [track.name for track in data.tracks(split)] for split in ("train", "validation", "test")}


def done(root: Path, kind: str) -> list[str]:
    """What the cache has, hidden folders as well."""
    return sorted(path.name for path in (root.parent / "cache").glob(f"guitarset/*/{kind}/*"))


# ---- splits


def test_the_splits_of_the_thesis_follow_each_other(root: Path) -> None:
    expected = {"train": FIRST_TWO[:8], "validation": FIRST_TWO[8:10], "test": FIRST_TWO[10:]}
    assert names(GuitarSet(str(root))) == expected
    short = {"train": FIRST_TWO[:3], "validation": FIRST_TWO[3:5], "test": FIRST_TWO[5:7]}
    assert names(GuitarSet(str(root), "thesis_short")) == short


@pytest.mark.parametrize(
    ("style", "playing", "expected"),
    [
        ("BN", "comp", [BOSSA[:-2], BOSSA[-2:-1], BOSSA[-1:]]),
        ("Funk", "", [[name] for name in FUNK]),
        ("", "comp", [sorted(BOSSA[:-2] + FUNK[:1]), [BOSSA[-2], FUNK[1]], [BOSSA[-1], FUNK[2]]]),
    ],
)
def test_players_do_not_meet(root: Path, style: str, playing: str, expected: list[list[str]]) -> None:
    data = GuitarSet(str(root), "by_player", style, playing)
    assert list(names(data).values()) == expected


def test_fewer_recordings_are_taken_at_even_distances(root: Path) -> None:
    data = GuitarSet(str(root), train_tracks=4, test_tracks=1)
    expected = {"train": FIRST_TWO[:8:2], "validation": FIRST_TWO[8:10], "test": FIRST_TWO[10:11]}
    assert names(data) == expected


# ---- audio


@pytest.mark.parametrize("rate", [44100, 16000, 48000])
def test_strings_are_split_in_order(root: Path, loudest_hz: Callable[..., float], rate: int) -> None:
    write_audio(root / AUDIO / f"{BOSSA[-1]}_hex_cln.wav", rate=rate)
    data = small(root)
    data.prepare_data()
    (track,) = data.tracks("test")
    assert track.sources == STRINGS
    for name, hz in GUITAR_STRINGS_HZ.items():
        audio, found = sf.read(track.stems[name][0])
        assert (found, len(audio)) == (16000, 8000)
        assert loudest_hz(audio, 16000, 40, 1000) == pytest.approx(hz, abs=0.5)


def test_batches(root: Path, strings_model: Any) -> None:
    strings_model.segment_samples = 16 * 256
    data = small(root, train_tracks=2).feed(strings_model)
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["sources"].shape == (2, 6, 4096) and batch["f0_hz"].shape == (2, 6, 16)
    assert batch["sources"].abs().amax(-1).min() > 0.25


def test_recordings_are_split_once(root: Path) -> None:
    small(root).prepare_data()
    for path in (root / AUDIO).iterdir():
        path.unlink()
    data = small(root, f0_source="contours")  # other pitch, the same audio
    data.prepare_data()
    assert data.tracks("test")[0].seconds == SECONDS
    assert done(root, "notes") == done(root, "contours") == done(root, "strings")
    assert done(root, "strings") == sorted([BOSSA[0], *BOSSA[-2:]])


def test_only_the_split_that_is_evaluated_is_prepared(root: Path) -> None:
    model = SimpleNamespace(
        sources=STRINGS, sample_rate=RATE, hop_samples=256, segment_samples=4096, needs_pitch=True
    )
    small(root).feed(model, "test").prepare_data()
    assert done(root, "notes") == done(root, "strings") == BOSSA[-1:]


def test_the_environment_names_the_folder(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUITARSET_ROOT", str(root))
    assert names(small(None))["test"] == BOSSA[-1:]


# ---- pitch


def test_f0_and_onsets_are_those_of_the_notes(root: Path) -> None:
    data = small(root)
    data.prepare_data()
    pitch = data.tracks("test")[0].read_pitch(STRINGS, 0.01)
    for s in range(6):
        assert pitch.f0_hz[s, 11:21] == pytest.approx(np.full(10, hertz(s)), rel=1e-5)
        assert pitch.f0_hz[s, 31:39] == pytest.approx(np.full(8, hertz(s, 1)), rel=1e-5)
        assert not pitch.f0_hz[s, 23:29].any() and not pitch.f0_hz[s, :9].any()
        assert np.flatnonzero(pitch.onset[s]).tolist() == [10, 30]


def test_contours_are_followed_within_notes(root: Path) -> None:
    """Gaps and the end of a note, where a contour has no point, take the nearest; impossible ones are no points."""
    data = small(root, f0_source="contours")
    data.prepare_data()
    pitch = data.tracks("test")[0].read_pitch(STRINGS, 0.004)
    for s in range(6):
        assert pitch.f0_hz[s, 25:55] == pytest.approx(np.full(30, hertz(s) + VIBRATO_HZ), rel=1e-5)
        assert pitch.f0_hz[s, 75:100] == pytest.approx(np.full(25, hertz(s, 1)), rel=1e-5)
        assert not pitch.f0_hz[s, 55:75].any() and not pitch.f0_hz[s, 100:].any()
        assert np.flatnonzero(pitch.onset[s]).tolist() == [25, 75]


def test_a_contour_is_read_between_its_points() -> None:
    slide = (np.array([0.1, 0.2, 0.3]), np.array([200.0, 240.0, 900.0]))
    f0, _ = notes_to_f0([[(0.1, 0.16, 60.0), (0.26, 0.2, 61.0)]], 0.4, [slide])
    assert f0[0, [25, 30, 50, 64]] == pytest.approx([200, 208, 240, 240])  # 0.1, 0.12, 0.2 and 0.256 s
    assert f0[0, 65:] == pytest.approx(np.full(36, 900))


def test_notes_at_the_end_overlapping_and_of_no_length() -> None:
    f0, onset = notes_to_f0([[(0.096, 0.5, 69)], [(0.02, 0.06, 69), (0.04, 0.0, 57), (0.06, 0.01, 81)]], 0.1)
    assert f0.shape == onset.shape == (2, 26)
    assert np.flatnonzero(f0[0]).tolist() == [24, 25] and np.flatnonzero(onset[0]).tolist() == [24]
    assert f0[1, 5:10] == pytest.approx(440) and f0[1, 10] == pytest.approx(220)
    assert f0[1, 15:18] == pytest.approx([880, 880, 0]) and not f0[1, 11:15].any()
    assert np.flatnonzero(onset[1]).tolist() == [5, 10, 15]


@pytest.mark.parametrize("f0_source", ["notes", "contours"])
def test_a_string_that_never_sounds_rests(root: Path, f0_source: str) -> None:
    content = annotation()
    for entry in content["annotations"]:
        if entry["annotation_metadata"].get("data_source") == "2":
            entry["data"] = [] if entry["namespace"] == "note_midi" else {"time": [], "value": []}
    write_annotation(root / ANNOTATION / f"{BOSSA[-1]}.jams", content)
    data = small(root, f0_source=f0_source)
    data.prepare_data()
    pitch = data.tracks("test")[0].read_pitch(STRINGS, 0.01)
    assert (pitch.f0_hz > 0).any(1).tolist() == [True, True, False, True, True, True]
    assert pitch.onset.sum(1).tolist() == [2, 2, 0, 2, 2, 2]


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """In place of CREPE, which is slow: every string sounds in frames 2-9 and from 12 on, at its peak in Hz."""
    calls: list[tuple] = []

    def track(audio: np.ndarray, *settings: Any) -> np.ndarray:
        calls.append((len(audio), *settings))
        peak = np.abs(np.fft.rfft(audio)).argmax() * 16000 / len(audio)
        frames = np.arange(-(-len(audio) // 256))
        return np.where((frames > 1) & ~np.isin(frames, (10, 11)), peak, 0)

    monkeypatch.setattr(guitarset_files, "track_f0", track)
    return calls


def test_crepe_hears_each_string_and_onsets_follow_the_gate(root: Path, heard: list[tuple]) -> None:
    data = small(root, f0_source="crepe")
    data.prepare_data()
    pitch = data.tracks("test")[0].read_pitch(STRINGS, 0.016)
    assert set(heard) == {(8000, 256, 0.4, "tiny")} and len(heard) == 18
    assert pitch.f0_hz[:, 5] == pytest.approx(list(GUITAR_STRINGS_HZ.values()), abs=2)
    assert [np.flatnonzero(onset).tolist() for onset in pitch.onset] == [[2, 12]] * 6
    small(root, f0_source="crepe").prepare_data()
    assert len(heard) == 18
    small(root, f0_source="crepe", crepe_model="full").prepare_data()
    assert heard[-1][-1] == "full" and len(heard) == 36


def test_an_interrupted_pitch_tracking_goes_on(
    root: Path, heard: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    working = guitarset_files.track_f0

    def stop(*arguments: Any) -> np.ndarray:
        if len(heard) == 8:
            raise KeyboardInterrupt
        return working(*arguments)

    monkeypatch.setattr(guitarset_files, "track_f0", stop)
    with pytest.raises(KeyboardInterrupt):
        small(root, f0_source="crepe").prepare_data()
    assert done(root, "crepe_tiny") == [BOSSA[0]]
    monkeypatch.setattr(guitarset_files, "track_f0", working)
    small(root, f0_source="crepe").prepare_data()
    assert len(heard) == 8 + 12 and len(done(root, "crepe_tiny")) == 3


def test_crepe_itself(tmp_path: Path) -> None:
    """Five strings sound and one is silent."""
    time = np.arange(4000) / 16000
    for string, hz in GUITAR_STRINGS_HZ.items():
        tone = 0.2 * sum(np.sin(2 * np.pi * k * hz * time) / k for k in range(1, 6)) * (string != "D3")
        sf.write(tmp_path / f"{string}.flac", tone, 16000)
    f0 = crepe_f0(tmp_path, "tiny")
    assert f0.shape == (6, 16) and not f0[2].any()
    sounding = [0, 1, 3, 4, 5]
    assert np.median(f0, 1)[sounding] == pytest.approx(
        np.array([*GUITAR_STRINGS_HZ.values()])[sounding], rel=0.01
    )


# ---- errors


@pytest.mark.parametrize("where", [None, "nowhere", ""])
def test_without_the_corpus_the_rendered_strings_are_named(
    root: Path, tmp_path: Path, where: str | None
) -> None:
    folder = None if where is None else tmp_path / where
    with pytest.raises(DdspZooError, match="--config recipes/data/rendered_strings.yaml"):
        small(folder).prepare_data()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"style": "Samba"}, "no recordings of style Samba, comp: set data.style to BN, Funk"),
        ({"style": "SS", "playing": "comp"}, "no recordings of style SS, comp"),
        ({"playing": "solo"}, r"has 1 recordings of style BN, solo, by players 00: too few .* by_player"),
        ({"splits": "thesis", "style": "Funk"}, r"has 3 recordings of style Funk.*\(thesis needs 12"),
        (
            {"splits": "thesis", "train_tracks": 9},
            "has 8 recordings of style BN, comp, not 9: lower data.train_",
        ),
        ({"test_tracks": -1}, "not -1: lower data.test_tracks"),
        ({"splits": "mine"}, "no splits called 'mine': choose one of thesis, thesis_short, by_player"),
        ({"f0_source": "ear"}, "no f0 from 'ear': choose one of notes, contours, crepe"),
    ],
)
def test_unusable_settings(root: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DdspZooError, match=message):
        small(root, **settings).prepare_data()
    assert not (root.parent / "cache").exists()


@pytest.mark.parametrize("channels", [1, 5, 7])
def test_wrong_number_of_channels(root: Path, channels: int) -> None:
    write_audio(root / AUDIO / f"{BOSSA[-2]}_hex_cln.wav", channels)
    with pytest.raises(DdspZooError, match=f"{BOSSA[-2]}_hex_cln.wav has {channels} channels.* has 6"):
        small(root).prepare_data()
    assert done(root, "strings") == [BOSSA[0]]  # nothing half-done is left


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing or cannot be read"),
        (b"RIFF and no more", "is missing or cannot be read"),
        (np.zeros((0, 6)), "holds no samples"),
        (np.full((100, 6), np.nan), "not finite"),
        (
            np.zeros((2205, 6)),
            r"ends after 0.05 s and .*jams has a note on E2 at 0.10 s: one of them is incomplete",
        ),
    ],
)
def test_unusable_audio(root: Path, content: Any, message: str) -> None:
    path = root / AUDIO / f"{BOSSA[-1]}_hex_cln.wav"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        sf.write(path, content, RATE, subtype="FLOAT")
    with pytest.raises(DdspZooError, match=f"{path.name} .*{message}"):
        small(root).prepare_data()


@pytest.mark.parametrize("f0_source", ["notes", "contours"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a GuitarSet annotation"),
        ("[]", "is not a GuitarSet annotation"),
        ('{"annotations": [{"namespace": "note_midi", "data": []}]}', "is not a GuitarSet annotation"),
        (annotation(strings=5), "annotates 5 strings instead of 6"),
        (annotation(strings=7), "annotates 7 strings instead of 6"),
        (annotation(midi=120.0), "has MIDI note 120 on E2 at 0.10 s, which no guitar plays"),
        (annotation(midi=0.0), "has MIDI note 0 on E2 at 0.10 s, which no guitar plays"),
        (annotation(first=-0.1), "has a time, duration or pitch below 0"),
    ],
)
def test_unusable_annotations(root: Path, f0_source: str, content: Any, message: str) -> None:
    write_annotation(root / ANNOTATION / f"{BOSSA[-1]}.jams", content)
    with pytest.raises(DdspZooError, match=f"{BOSSA[-1]}.jams {message}"):
        small(root, f0_source=f0_source).prepare_data()
    assert BOSSA[-1] not in done(root, f0_source) and len(done(root, f0_source)) == 2


# ---- downloads


@pytest.fixture
def zenodo(root: Path, serve_zenodo: Callable[..., Zenodo]) -> Zenodo:
    """The archives as published: each holds its files without a folder."""
    files = {}
    for kind in (ANNOTATION, AUDIO):
        path = root.parent / f"{kind}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in (BOSSA[0], *BOSSA[-2:]):
                (file,) = (root / kind).glob(f"{name}[._]*")
                archive.write(file, file.name)
        files[path.name] = path.read_bytes()
    shutil.rmtree(root)
    return serve_zenodo(3371780, files)


def test_download(zenodo: Zenodo, root: Path) -> None:
    data = small(None, download=True)
    data.prepare_data()
    assert names(data)["test"] == BOSSA[-1:]
    assert len(list((root.parent / "cache/guitarset/corpus" / AUDIO).glob("*_hex_cln.wav"))) == 3
    small(None, download=True).prepare_data()
    assert zenodo.asked == [("annotation.zip", "bytes=0-"), (f"{AUDIO}.zip", "bytes=0-")]


def test_an_interrupted_download_goes_on_where_it_stopped(zenodo: Zenodo, root: Path) -> None:
    zenodo.cuts = [len(zenodo.files["annotation.zip"]), 200_000, 0]
    with pytest.raises(DdspZooError, match=r"stopped at \d+ of \d+ bytes .*run it again"):
        small(root, download=True).prepare_data()
    assert (root / ANNOTATION).is_dir() and not (root / AUDIO).exists()
    small(root, download=True).prepare_data()
    assert [name for name, _ in zenodo.asked] == ["annotation.zip", *[f"{AUDIO}.zip"] * 3]
    assert 0 < int(zenodo.asked[-1][1][6:-1]) <= 200_000
    assert len(done(root, "strings")) == 3 and not list(root.glob("*.part"))


def test_a_wrong_checksum_leaves_nothing(zenodo: Zenodo, root: Path) -> None:
    zenodo.sums[f"{AUDIO}.zip"] = "0" * 32
    with pytest.raises(DdspZooError, match="not the file that its MD5 sum promises"):
        small(root, download=True).prepare_data()
    assert [path.name for path in sorted(root.iterdir()) if path.suffix != ".lock"] == [ANNOTATION]


def test_offline_what_is_there_is_enough(zenodo: Zenodo, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small(root, download=True).prepare_data()
    monkeypatch.setenv("DDSP_ZOO_OFFLINE", "1")
    small(root, download=True, f0_source="contours").prepare_data()
    shutil.rmtree(root / AUDIO)
    with pytest.raises(DdspZooError, match="DDSP_ZOO_OFFLINE forbids downloads: unpack audio_hex"):
        small(root, download=True).prepare_data()


# ---- the real thing


@pytest.mark.skipif(not REAL_ROOT, reason="GUITARSET_ROOT names no folder with annotations of GuitarSet")
def test_real_annotations() -> None:
    """Real playing: every note has its onset, and the contours stay with the notes they belong to."""
    for recording in find_recordings(Path(REAL_ROOT))[:2]:
        notes, contours = read_notes(recording.annotation), read_contours(recording.annotation)
        seconds = max(start + duration for line in notes for start, duration, _ in line) + 1
        f0, onset = notes_to_f0(notes, seconds)
        followed, same = notes_to_f0(notes, seconds, contours)
        assert onset.sum(1).tolist() == [len(line) for line in notes] and (onset == same).all()
        assert ((f0 > 0) == (followed > 0)).all() and (onset <= (f0 > 0)).all()
        cents = 1200 * np.abs(np.log2(followed[f0 > 0] / f0[f0 > 0]))
        assert 0.1 < np.median(cents) < 20 and (cents < 100).mean() > 0.95
