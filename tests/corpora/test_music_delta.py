"""Music Delta in its own layout, on two songs written here."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import yaml

from ddsp_zoo.corpora import MusicDelta
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.corpora.music_delta import RATE, stem_of
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.signals import playing_level

REAL_ROOT = os.environ.get("MUSIC_DELTA_ROOT")
STEMS = ("bass", "drums", "guitar", "other")
SECONDS = 1.2
BAND = ("drum set", "electric bass", "distorted electric guitar", "clean electric guitar", "male singer")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MUSIC_DELTA_ROOT", raising=False)
    return tmp_path / "cache"


def write_song(
    root: Path,
    name: str = "MusicDelta_Funk",
    instruments: tuple[Any, ...] = BAND,
    suffix: str = ".flac",
    folder: str = "",
) -> Path:
    """Each instrument is a tone of its own pitch and level in the first second, and silent after."""
    stems: dict[str, Any] = {}
    place = root / name / folder
    place.mkdir(parents=True)
    for number, instrument in enumerate(instruments, 1):
        raw = {"filename": f"{name}_RAW_{number:02}_01.wav", "instrument": instrument}
        stems[f"S{number:02}"] = {"instrument": instrument, "raw": {"R01": raw}}
        time = np.arange(round(SECONDS * RATE)) / RATE
        audio = 0.9 / number**2 * np.sin(2 * np.pi * 100 * number * time) * (time < 1)
        sf.write((place / raw["filename"]).with_suffix(suffix), audio, RATE)
    content = {"raw_dir": f"{name}_RAW", "stems": stems}
    (root / name / f"{name}_METADATA.yaml").write_text(yaml.safe_dump(content))
    return root


def stems_of(data: MusicDelta, number: int = 0) -> dict[str, np.ndarray]:
    data.prepare_data()
    stems = data.tracks("test")[number].stems
    return {name: sum(sf.read(path)[0] for path in paths) for name, paths in stems.items()}


def test_every_instrument_is_as_loud_as_the_others(tmp_path: Path) -> None:
    stems = stems_of(MusicDelta(str(write_song(tmp_path))))
    assert tuple(stems) == STEMS
    levels = [playing_level(audio, RATE) for audio in stems.values()]
    assert levels == pytest.approx([levels[0]] * 4, rel=0.01)
    assert 0.89 < max(np.abs(sum(stems.values())).max(), *(np.abs(x).max() for x in stems.values())) <= 0.901


def test_two_guitars_are_one_stem_in_which_both_are_as_loud(tmp_path: Path) -> None:
    guitar = stems_of(MusicDelta(str(write_song(tmp_path))))["guitar"][:RATE]
    spectrum = np.abs(np.fft.rfft(guitar))
    assert set(np.argsort(spectrum)[-2:]) == {300, 400} and spectrum[300] == pytest.approx(
        spectrum[400], rel=0.01
    )


def test_an_instrument_that_nobody_plays_is_silent(tmp_path: Path) -> None:
    stems = stems_of(MusicDelta(str(write_song(tmp_path, instruments=BAND[:2]))))
    assert not stems["guitar"].any() and not stems["other"].any() and stems["bass"].any()
    assert len({len(audio) for audio in stems.values()}) == 1


def test_songs_in_order_of_name_wav_or_flac_in_a_folder_of_raws_or_not(tmp_path: Path) -> None:
    write_song(tmp_path, "MusicDelta_Zouk", suffix=".wav", folder="MusicDelta_Zouk_RAW")
    data = MusicDelta(str(write_song(tmp_path)))
    data.prepare_data()
    tracks = data.tracks("test")
    assert [track.name for track in tracks] == ["MusicDelta_Funk", "MusicDelta_Zouk"]
    assert all(track.seconds == pytest.approx(SECONDS) for track in tracks)


def test_stems_are_made_once_and_anew_from_other_files(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUSIC_DELTA_ROOT", str(write_song(tmp_path / "songs")))
    stems_of(MusicDelta())
    (folder,) = (own_cache / "music_delta").iterdir()
    before = (folder / "bass.flac").stat().st_mtime_ns
    stems_of(MusicDelta())
    assert (folder / "bass.flac").stat().st_mtime_ns == before
    shutil.rmtree(tmp_path / "songs")
    write_song(tmp_path / "songs", instruments=BAND[:4])
    stems_of(MusicDelta())
    assert len(list((own_cache / "music_delta").iterdir())) == 2


def test_batches_have_what_a_model_separates_and_the_rest(tmp_path: Path) -> None:
    from types import SimpleNamespace

    model = SimpleNamespace(
        sources=("bass", "rest"), sample_rate=8000, hop_samples=128, segment_samples=8192, needs_pitch=False
    )
    data = MusicDelta(str(write_song(tmp_path)), excerpts=Excerpts(1)).feed(model)
    data.prepare_data()
    data.setup("test")
    (batch,) = data.test_dataloader()
    assert batch["sources"].shape == (1, 2, 8192)
    spectrum = np.abs(np.fft.rfft(batch["sources"][0, 0, :8000]))
    assert spectrum.argmax() == 200  # the second instrument


@pytest.mark.parametrize("split", ["train", "validation"])
def test_it_is_for_evaluation_only(tmp_path: Path, split: str) -> None:
    with pytest.raises(DdspZooError, match=f"evaluation only.*no {split} split"):
        MusicDelta(str(write_song(tmp_path))).tracks(split)


def test_instruments_belong_to_the_stem_that_plays_them() -> None:
    expected = {
        "double bass": "bass",
        "acoustic guitar": "guitar",
        "drum machine": "drums",
        "bass drum": "drums",
        "bassoon": "other",
        "bass clarinet": "other",
        "female singer": "other",
        "piano": "other",
    }
    assert {name: stem_of(name) for name in expected} == expected


def test_a_track_of_several_instruments_counts_as_its_first(tmp_path: Path) -> None:
    root = write_song(tmp_path, instruments=("drum set", ["double bass", "cello"]))
    assert stems_of(MusicDelta(str(root)))["bass"].any()


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="set data.root or MUSIC_DELTA_ROOT"):
        MusicDelta().prepare_data()
    with pytest.raises(DdspZooError, match="There is no <song>/<song>_METADATA.yaml"):
        MusicDelta(str(tmp_path)).prepare_data()
    (write_song(tmp_path) / "MusicDelta_Funk/MusicDelta_Funk_RAW_02_01.flac").unlink()
    with pytest.raises(DdspZooError, match="lacks MusicDelta_Funk_RAW_02_01.wav"):
        MusicDelta(str(tmp_path)).prepare_data()
    (tmp_path / "MusicDelta_Funk/MusicDelta_Funk_METADATA.yaml").write_text("stems: [1]")
    with pytest.raises(DdspZooError, match="is not MedleyDB's metadata"):
        MusicDelta(str(tmp_path)).prepare_data()
    (tmp_path / "MusicDelta_Funk/MusicDelta_Funk_METADATA.yaml").write_text("stems: {}")
    with pytest.raises(DdspZooError, match="names no raw tracks"):
        MusicDelta(str(tmp_path)).prepare_data()


@pytest.mark.slow
@pytest.mark.skipif(not REAL_ROOT, reason="MUSIC_DELTA_ROOT names no songs of Music Delta")
def test_the_real_songs() -> None:
    data = MusicDelta(REAL_ROOT)
    data.prepare_data()
    assert len(data.tracks("test")) >= 5
    for track in data.tracks("test"):
        assert track.seconds > 15
        for paths in track.stems.values():
            assert sf.read(paths[0])[0].any()


def test_hits_written_down_by_hand_are_read_by_instrument(tmp_path: Path) -> None:
    write_song(tmp_path)
    data = MusicDelta(str(tmp_path))
    assert data.tracks("test")[0].score is None
    (tmp_path / "MusicDelta_Funk/MusicDelta_Funk_subclass.txt").write_text(
        "0.5 \t SDG \n0.100000 \t KD \n0.3 \t TMB \n0.2 \t CHH \n0.4 \t SD\n0.6 SST\n"
    )
    hits = data.tracks("test")[0].read_hits()
    assert {name: own.seconds.tolist() for name, own in hits.items() if len(own.seconds)} == {
        "kick": [0.1],
        "snare": [0.4, 0.5],
        "closed hi-hat": [0.2],
        "side stick": [0.6],
    }
