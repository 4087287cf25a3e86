"""The Choral Singing Dataset in its published layout and as an excerpt, on small corpora written here."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from zenodo import Zenodo

from ddsp_zoo.corpora import ChoralSingingDataset, download
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.corpora.choral import corpus as choral
from ddsp_zoo.corpora.choral.corpus import HOP_SECONDS, SPLITS, mend_octaves
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.choir.scores import PARTS

RATE, SECONDS = 44100, 1.6
PART_HZ = {"soprano": 440.0, "alto": 330.0, "tenor": 220.0, "bass": 110.0}
REAL_ROOT = os.environ.get("CHORAL_SINGING_ROOT")


def hertz(part: str, singer: int) -> float:
    return PART_HZ[part] * 1.02**singer


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CHORAL_SINGING_ROOT", raising=False)
    monkeypatch.delenv("DDSP_ZOO_OFFLINE", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    if "itself" not in request.node.name:  # CREPE is slow
        monkeypatch.setattr(choral, "track_f0", lambda audio, hop, *a: np.full(len(audio) // hop, 230.0))


def write_corpus(root: Path, songs: tuple[str, ...] = ("ND",)) -> Path:
    """Every singer holds a tone of their own; the annotation says so from 0.2 s on, every 5.8 ms."""
    root.mkdir(parents=True)
    time = np.arange(round(SECONDS * RATE)) / RATE
    for song in songs:
        for part in PARTS:
            for singer in (1, 2, 3, 4):
                tone = 0.2 * np.sin(2 * np.pi * hertz(part, singer) * time)
                path = root / f"CSD_{song}_{part}_{singer}.wav"
                sf.write(path, tone, RATE, subtype="PCM_16")
                at = np.arange(0, SECONDS, 256 / RATE)
                f0 = np.where(at >= 0.2, hertz(part, singer), 0.0)
                path.with_suffix(".f0").write_text(
                    "".join(f"{t:.6f}\t{f:.3f}\n" for t, f in zip(at, f0, strict=True))
                )
    return root


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus and a cache for all tests that only read them: it is prepared once."""
    folder = tmp_path_factory.mktemp("shared")
    write_corpus(folder / "csd")
    return folder


@pytest.fixture
def corpus(shared: Path, own_cache: None, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(shared / "cache"))
    return str(shared / "csd")


def write_excerpt(root: Path) -> Path:
    """The folder of one song at 16 kHz, with CREPE's curves and the f0 of a multi-pitch tracker."""
    names = {
        "soprano": "Soprano_{}05",
        "alto": "ContraAlt_{}07",
        "tenor": "tenor{}-06-2",
        "bass": "Bajos_{}04",
    }
    for folder in ("nino_dios", "f0_crepe", "f0_multipitch"):
        (root / folder).mkdir(parents=True)
    time, frames = np.arange(round(SECONDS * 16000)) / 16000, int(SECONDS / HOP_SECONDS)
    for part, name in names.items():
        for singer in (1, 2, 3, 4):
            stem = f"nino_{name.format(singer)}"
            sf.write(
                root / f"nino_dios/{stem}.flac", 0.2 * np.sin(2 * np.pi * hertz(part, singer) * time), 16000
            )
            lines = [
                f"{i * HOP_SECONDS:.3f},{hertz(part, singer):.3f},{0.9 if i > 9 else 0.1}"
                for i in range(frames)
            ]
            (root / f"f0_crepe/{stem}.f0.csv").write_text("\n".join(["time,frequency,confidence", *lines]))
    ramp = np.stack([np.full(frames, 300.0), np.arange(frames) + 100.0], 1)
    ramp[:5] = 0.6  # what an interpolation leaves where nothing sounds
    pairs = {"nino_dios_Sno_405_Bos_404": ramp, "nino_dios_Sno_405_t4-06-2": ramp[:, ::-1]}
    np.savez(root / "f0_multipitch/nino_dios_2_voices.npz", **pairs)
    return root


def model(*sources: str) -> SimpleNamespace:
    return SimpleNamespace(
        sources=sources, sample_rate=16000, hop_samples=256, segment_samples=2048, needs_pitch=True
    )


def names(data: ChoralSingingDataset) -> dict[str, list[str]]:
    data.prepare_data()
    return {split: [track.name for track in data.tracks(split)] for split in data.splits}


def test_splits_never_share_what_they_must_not() -> None:
    one, thesis, both = SPLITS["one_song"], SPLITS["by_song"], SPLITS["by_song_and_singer"]
    assert not set(one["train"].singers) & set(one["test"].singers)
    assert one["train"].end <= one["validation"].start
    assert len({choice.songs for choice in thesis.values()}) == 3
    assert not set(both["train"].songs) & set(both["test"].songs)
    assert not set(both["train"].singers) & set(both["test"].singers)


def test_every_combination_of_singers(corpus: str) -> None:
    found = names(ChoralSingingDataset(corpus, validation_tracks=5))
    assert len(set(found["train"])) == 3**4 and len(set(found["validation"])) == 5
    assert found["test"] == ["ND_soprano_4+ND_alto_4+ND_tenor_4+ND_bass_4"]
    assert "ND_soprano_1+ND_alto_3+ND_tenor_2+ND_bass_3" in found["train"]
    assert not [name for split in ("train", "validation") for name in found[split] if "_4" in name]


def test_less_to_train_on_is_drawn_by_lot(corpus: str) -> None:
    every, few = (names(ChoralSingingDataset(corpus, train_tracks=most))["train"] for most in (0, 2))
    assert len(few) == 2 and set(few) < set(every) and few != every[:2]
    assert few == names(ChoralSingingDataset(corpus, train_tracks=2))["train"]


def test_duets_are_pairs_of_different_parts(corpus: str) -> None:
    data = ChoralSingingDataset(corpus, voices=2)
    found = names(data)
    assert len(set(found["train"])) == 6 * 3**2 and len(found["test"]) == 6
    for track in data.tracks("train"):
        (high, _), (low, _) = (voice.name.split("_")[1:] for voice in track.voices)
        assert PARTS.index(high) < PARTS.index(low) and track.sources == ("high", "low")


def test_audio_and_pitch_are_the_singers(corpus: str, loudest_hz: Callable[..., float]) -> None:
    data = ChoralSingingDataset(corpus)
    data.prepare_data()
    track = data.tracks("test")[0]
    pitch = track.read_pitch(PARTS, HOP_SECONDS)
    for row, part in enumerate(PARTS):
        audio, rate = sf.read(track.stems[part][0])
        assert rate == 16000 and loudest_hz(audio, rate, 80, 600) == pytest.approx(hertz(part, 4), abs=0.5)
        assert pitch.f0_hz[row, 14:90] == pytest.approx(np.full(76, hertz(part, 4)), rel=1e-4)
        assert not pitch.f0_hz[row, :12].any() and pitch.onset[row].sum() == 1


def test_training_and_validation_are_cut_at_the_same_moment(corpus: str) -> None:
    data = ChoralSingingDataset(corpus)
    data.prepare_data()
    early, late = data.tracks("train")[0], data.tracks("validation")[0]
    frames = [round(track.seconds / HOP_SECONDS, 6) for track in (early, late)]
    assert frames == [int(0.85 * 100), 100 - int(0.85 * 100)]
    assert early.read_pitch(PARTS, HOP_SECONDS).f0_hz[0, 0] == 0  # the song's beginning
    assert late.read_pitch(PARTS, HOP_SECONDS).f0_hz[0, 0] > 0


def test_batches_with_gains(corpus: str) -> None:
    data = ChoralSingingDataset(corpus, excerpts=Excerpts(4, 8), variation=Variation(6.0)).feed(model(*PARTS))
    data.prepare_data()
    data.setup("fit")
    batches = list(data.train_dataloader())
    assert len(batches) == 2 and batches[0]["sources"].shape == (4, 4, 2048)
    assert batches[0]["f0_hz"].shape == batches[0]["onset"].shape == (4, 4, 8)
    assert np.allclose(batches[0]["mixture"], batches[0]["sources"].sum(1), atol=1e-6)
    gains_db = 20 * np.log10(np.concatenate([b["sources"].abs().amax(-1).flatten() for b in batches]) / 0.2)
    assert np.abs(gains_db).max() < 6.2 and np.ptp(gains_db) > 4
    plain = next(iter(data.val_dataloader()))["sources"].abs().amax(-1)
    assert np.allclose(plain, 0.2, atol=0.03)  # without gains; a file's first samples ring a little


def test_a_voice_is_read_once_for_all_its_groups(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ddsp_zoo.corpora.choral import groups as choir

    data, read = ChoralSingingDataset(corpus), []
    data.prepare_data()
    reader = choir.read_f0_csv
    monkeypatch.setattr(choir, "read_f0_csv", lambda *a: read.append(a) or reader(*a))
    for track in data.tracks("train"):
        track.read_pitch(PARTS, HOP_SECONDS)
    assert len(read) == 12


def test_crepe_hears_who_has_no_annotation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published f0 of the third tenor is another's; everyone else's is used, unless CREPE is asked for."""
    heard = []
    monkeypatch.setattr(
        choral, "track_f0", lambda audio, hop, *a: heard.append(a) or np.full(len(audio) // hop, 230.0)
    )
    root = str(write_corpus(tmp_path / "csd"))
    data = ChoralSingingDataset(root)
    data.prepare_data()
    assert heard == [(0.4, "tiny")]
    third = next(t for t in data.tracks("train") if "tenor_3" in t.name)
    assert third.read_pitch(PARTS, HOP_SECONDS).f0_hz[2].max() == 230
    ChoralSingingDataset(root, f0_source="crepe").prepare_data()
    assert len(heard) == 16  # that of the third tenor is kept
    ChoralSingingDataset(root, f0_source="crepe", voices=2).prepare_data()
    assert len(heard) == 16


def test_crepe_itself(tmp_path: Path) -> None:
    data = ChoralSingingDataset(str(write_corpus(tmp_path / "csd")))
    data.prepare_data()
    third = next(t for t in data.tracks("train") if "tenor_3" in t.name)
    f0 = third.read_pitch(PARTS, HOP_SECONDS).f0_hz[2, 10:70]
    assert np.median(f0) == pytest.approx(hertz("tenor", 3), rel=0.01)


def test_the_excerpt(tmp_path: Path) -> None:
    root = write_excerpt(tmp_path / "excerpt")
    data = ChoralSingingDataset(str(root))
    assert names(data)["test"] == ["ND_soprano_4+ND_alto_4+ND_tenor_4+ND_bass_4"]
    f0 = data.tracks("test")[0].read_pitch(PARTS, HOP_SECONDS).f0_hz
    assert not f0[:, :10].any() and f0[:, 10] == pytest.approx([hertz(p, 4) for p in PARTS], rel=1e-4)


def test_pitch_from_the_mixture(tmp_path: Path) -> None:
    data = ChoralSingingDataset(str(write_excerpt(tmp_path / "excerpt")), voices=2, f0_source="mixture")
    data.most["train"] = 1
    tracks = {track.name: track for track in data.tracks("test") if "soprano" in track.name}
    data.prepare_data()
    f0 = tracks["ND_soprano_4+ND_bass_4"].read_pitch(("high", "low"), HOP_SECONDS).f0_hz
    assert not f0[:, :5].any() and (f0[0, 5:99] == 300).all() and f0[1, 50] == 150
    other = tracks["ND_soprano_4+ND_tenor_4"].read_pitch(("high", "low"), HOP_SECONDS).f0_hz
    assert other[0, 50] == 150


def test_octaves_are_mended_by_the_section() -> None:
    line = np.repeat([110.0, 220.0, 0.0, 165.0], 50)  # leaps an octave by itself
    section = np.stack([line, line, line])
    wrong = section.copy()
    wrong[0, 160:170] *= 2
    wrong[1, 20:25] *= 0.5
    wrong[2, 170:175] *= 1.5  # no octave
    expected = section.copy()
    expected[2, 170:175] *= 1.5
    assert np.allclose(mend_octaves(wrong), expected)
    alone = np.array([[110.0, 220.0, 110.0]])
    assert np.array_equal(mend_octaves(alone), alone)


# ---- errors


@pytest.mark.parametrize("where", [None, "nowhere", ""])
def test_without_the_corpus_the_rendered_choir_is_named(tmp_path: Path, where: str | None) -> None:
    folder = None if where is None else str(tmp_path / where)
    with pytest.raises(DdspZooError, match="--config recipes/data/rendered_choir.yaml"):
        ChoralSingingDataset(folder).prepare_data()


def test_the_environment_names_the_folder(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHORAL_SINGING_ROOT", corpus)
    assert len(names(ChoralSingingDataset())["test"]) == 1


def test_missing_songs_and_singers(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "csd")
    with pytest.raises(DdspZooError, match="lacks 16 of 16 recordings, first CSD_LI_soprano_1.*one_song"):
        ChoralSingingDataset(str(root), splits="by_song").prepare_data()
    (root / "CSD_ND_bass_2.wav").unlink()
    with pytest.raises(DdspZooError, match="lacks 1 of 12 recordings, first CSD_ND_bass_2"):
        ChoralSingingDataset(str(root)).prepare_data()


def test_unusable_settings_and_pitch(tmp_path: Path) -> None:
    root = write_corpus(tmp_path / "csd")
    with pytest.raises(DdspZooError, match="4 voices or 2, not 3"):
        ChoralSingingDataset(str(root), voices=3)
    with pytest.raises(DdspZooError, match="no splits called 'mine'"):
        ChoralSingingDataset(str(root), splits="mine")
    mixture = ChoralSingingDataset(str(root), f0_source="mixture")
    with pytest.raises(DdspZooError, match="Only the folder of Niño Dios has f0 from the mixture"):
        mixture.tracks("test")
    (root / "CSD_ND_alto_1.f0").write_text("0.0 what\n")
    with pytest.raises(DdspZooError, match="CSD_ND_alto_1.f0 is no f0 file"):
        ChoralSingingDataset(str(root)).prepare_data()


# ---- downloads


@pytest.fixture
def zenodo(tmp_path: Path, serve_zenodo: Callable[..., Zenodo]) -> Zenodo:
    corpus = write_corpus(tmp_path / "upload" / "ChoralSingingDataset")
    path = tmp_path / "upload.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("__MACOSX/ChoralSingingDataset/._CSD_ND_alto_1.wav", b"nothing")
        for file in sorted(corpus.iterdir()):
            archive.write(file, f"ChoralSingingDataset/{file.name}")
    return serve_zenodo(2649950, {"ChoralSingingDataset.zip": path.read_bytes()})


def test_download(zenodo: Zenodo, tmp_path: Path) -> None:
    data = ChoralSingingDataset(download=True)
    assert len(names(data)["train"]) == 81
    folder = tmp_path / "cache/choral_singing"
    assert sorted(path.name for path in (folder / "corpus").iterdir()) == ["ChoralSingingDataset"]
    assert not list(folder.glob("*.part"))
    names(ChoralSingingDataset(download=True))
    assert zenodo.ranges == ["bytes=0-"]


def test_a_cut_download_goes_on(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.cuts = [100_000, 50_000]
    download.fetch_archive("2649950", "ChoralSingingDataset.zip", tmp_path / "here")
    starts = [int(part[6:-1]) for part in zenodo.ranges]
    assert len(starts) == 3 and 0 == starts[0] < starts[1] < starts[2] <= 150_000
    assert len(list((tmp_path / "here").rglob("CSD*.wav"))) == 16


def test_an_interrupted_download_goes_on_next_time(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.cuts = [100_000, 0]
    with pytest.raises(DdspZooError, match=r"stopped at \d+ of \d+ bytes .*run it again"):
        download.fetch_archive("2649950", "ChoralSingingDataset.zip", tmp_path / "here")
    assert not (tmp_path / "here").exists()
    download.fetch_archive("2649950", "ChoralSingingDataset.zip", tmp_path / "here")
    assert zenodo.ranges[-1] != "bytes=0-" and (tmp_path / "here").is_dir()


def test_a_wrong_checksum(zenodo: Zenodo, tmp_path: Path) -> None:
    zenodo.sums["ChoralSingingDataset.zip"] = "0" * 32
    with pytest.raises(DdspZooError, match="not the file that its MD5 sum promises"):
        download.fetch_archive("2649950", "ChoralSingingDataset.zip", tmp_path / "here")
    assert not [path for path in tmp_path.glob("here*") if not path.name.endswith(".lock")]


@pytest.mark.parametrize(
    ("record", "name", "offline", "message"),
    [
        ("2649950", "ChoralSingingDataset.zip", "1", "DDSP_ZOO_OFFLINE forbids downloads"),
        ("1", "ChoralSingingDataset.zip", "", r"does not tell where .* \(status 404\)"),
        ("2649950", "Another.zip", "", r"does not tell where Another.zip is \(StopIteration\)"),
    ],
)
def test_no_download(
    zenodo: Zenodo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record: str,
    name: str,
    offline: str,
    message: str,
) -> None:
    monkeypatch.setenv("DDSP_ZOO_OFFLINE", offline)
    with pytest.raises(DdspZooError, match=message):
        download.fetch_archive(record, name, tmp_path / "here")
    assert zenodo.ranges == []


# ---- the real thing


@pytest.mark.skipif(not REAL_ROOT, reason="CHORAL_SINGING_ROOT names no folder of the Choral Singing Dataset")
def test_real_singers() -> None:
    """Four real singers: everyone is heard, at the pitch that is given."""
    data = ChoralSingingDataset(REAL_ROOT)
    data.prepare_data()
    quartet = data.tracks("test")[0]
    pitch = quartet.read_pitch(PARTS, HOP_SECONDS)
    medians = [np.median(line[line > 0]) for line in pitch.f0_hz]
    assert medians == sorted(medians, reverse=True) and 90 < medians[-1] < medians[0] < 600
    assert ((pitch.f0_hz > 0).mean(1) > 0.7).all() and 90 < quartet.seconds < 110
