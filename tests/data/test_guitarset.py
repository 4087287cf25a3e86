"""GuitarSet in its own layout, on a small corpus written here."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.data import GuitarSet
from ddsp_zoo.data.guitarset import notes_to_f0
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

STRINGS = tuple(GUITAR_STRINGS_HZ)
BOSSA = tuple(
    f"{name}_comp"
    for name in ("00_BN1-129-Eb", "00_BN2-131-B", "01_BN1-129-Eb", "02_BN1-129-Eb", "05_BN3-119-G")
)
OTHERS = ("00_BN1-129-Eb_solo", "00_Funk1-114-Ab_comp", "03_SS2-107-Ab_comp")
RATE, SECONDS = 44100, 0.5
MIDI = 40.25  # of the lowest string's note; every string above plays five semitones more


def note(time: float, duration: float, value: float) -> dict[str, Any]:
    return {"time": time, "duration": duration, "value": value, "confidence": None}


def annotation(strings: int = 6) -> dict[str, Any]:
    """JAMS with two notes a string, in no order, between annotations of other kinds."""
    entries = [
        {
            "namespace": "note_midi",
            "annotation_metadata": {"data_source": str(s), "curator": {"name": "", "email": ""}},
            "data": [note(0.1, 0.12, MIDI + 5 * s), note(0.3, 0.1, MIDI + 5 * s + 1)],
        }
        for s in reversed(range(strings))
    ]
    contour = {"namespace": "pitch_contour", "annotation_metadata": {"data_source": "0"}, "data": []}
    tempo = {"namespace": "tempo", "annotation_metadata": {}, "data": [note(0, 0.5, 120)]}
    return {"annotations": [contour, *entries, tempo], "file_metadata": {"duration": SECONDS}, "sandbox": {}}


def write_audio(root: Path, name: str, channels: int = 6) -> None:
    """String s is a tone at its open pitch."""
    time = np.arange(round(SECONDS * RATE)) / RATE
    tones = [0.3 * np.sin(2 * np.pi * hz * time) for hz in [*GUITAR_STRINGS_HZ.values(), 440.0]]
    path = root / "audio_hex-pickup_debleeded" / f"{name}_hex_cln.wav"
    sf.write(path, np.stack(tones[:channels], axis=1), RATE)


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GUITARSET_ROOT", raising=False)
    corpus = tmp_path / "GuitarSet"
    (corpus / "annotation").mkdir(parents=True)
    (corpus / "audio_hex-pickup_debleeded").mkdir()
    for name in BOSSA + OTHERS:
        write_audio(corpus, name)
        (corpus / "annotation" / f"{name}.jams").write_text(json.dumps(annotation()))
    return corpus


def small(root: Path | None, **settings: Any) -> GuitarSet:
    counts = {"train_tracks": 2, "validation_tracks": 1, "test_tracks": 1}
    return GuitarSet(None if root is None else str(root), **(counts | settings))


def names(data: GuitarSet) -> dict[str, list[str]]:
    data.prepare_data()
    return {split: [track.name for track in data.tracks(split)] for split in data.counts}


def cached(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").rglob("*_comp*"))


def test_splits_take_the_players_in_order(root):
    assert names(small(root)) == {"train": list(BOSSA[:2]), "validation": [BOSSA[3]], "test": [BOSSA[4]]}


@pytest.mark.parametrize(
    ("style", "playing", "expected"),
    [("BN", "solo", [OTHERS[0]]), ("Funk", "comp", [OTHERS[1]]), ("SS", "", [OTHERS[2]]),
     ("", "", sorted(BOSSA + OTHERS))],
)  # fmt: skip
def test_style_and_playing_choose(root, style, playing, expected):
    counts = {"train_tracks": len(expected), "validation_tracks": 0, "test_tracks": 0}
    assert names(small(root, style=style, playing=playing, **counts))["train"] == expected


def test_strings_are_split_in_order(root, loudest_hz):
    data = small(root)
    data.prepare_data()
    track = data.tracks("train")[0]
    assert set(track.sources) == set(STRINGS)
    for name, hz in GUITAR_STRINGS_HZ.items():
        audio, rate = sf.read(track.stems[name][0])
        assert (rate, len(audio)) == (16000, 8000)
        assert loudest_hz(audio, rate, 40, 1000) == pytest.approx(hz, abs=0.5)


def test_f0_and_onsets_are_those_of_the_notes(root):
    data = small(root)
    data.prepare_data()
    pitch = data.tracks("test")[0].read_pitch(STRINGS, 0.01)
    for s in range(6):
        first, second = (440 * 2 ** ((MIDI + 5 * s + step - 69) / 12) for step in (0, 1))
        assert pitch.f0_hz[s, 11:21] == pytest.approx(np.full(10, first), rel=1e-5)
        assert pitch.f0_hz[s, 31:39] == pytest.approx(np.full(8, second), rel=1e-5)
        assert not pitch.f0_hz[s, 23:29].any() and not pitch.f0_hz[s, :9].any()
        assert np.flatnonzero(pitch.onset[s]).tolist() == [10, 30]


def test_batches(root, strings_model):
    strings_model.segment_samples = 16 * 256
    data = small(root).feed(strings_model)
    data.prepare_data()
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["sources"].shape == (2, 6, 4096) and batch["f0_hz"].shape == (2, 6, 16)
    assert batch["sources"].abs().amax(-1).min() > 0.25


def test_recordings_are_read_once(root, monkeypatch):
    first = names(small(root))
    shutil.rmtree(root / "audio_hex-pickup_debleeded")
    (root / "audio_hex-pickup_debleeded").mkdir()
    assert names(small(root)) == first


def test_the_environment_names_the_folder(root, monkeypatch):
    monkeypatch.setenv("GUITARSET_ROOT", str(root))
    assert names(small(None))["test"] == [BOSSA[4]]


def test_a_note_at_the_very_end():
    f0, onset = notes_to_f0([[note(0.096, 0.5, 69)], [note(0.2, 0.1, 69)]], 0.1)
    assert f0.shape == onset.shape == (2, 26)
    assert np.flatnonzero(f0[0]).tolist() == [24, 25] and not f0[1].any()
    assert onset[0].argmax() == 24


# ---- errors


@pytest.mark.parametrize("where", [None, "nowhere", ""])
def test_without_the_corpus_the_rendered_strings_are_named(root, tmp_path, where):
    folder = None if where is None else tmp_path / where
    with pytest.raises(DdspZooError, match="--config recipes/data/rendered_strings.yaml"):
        small(folder).prepare_data()


def test_too_few_recordings(root):
    data = small(root, train_tracks=4)
    with pytest.raises(DdspZooError, match=r"has 5 recordings of style BN, comp: fewer than the 4 \+ 1 \+ 1"):
        names(data)


@pytest.mark.parametrize("channels", [1, 5, 7])
def test_wrong_number_of_channels(root, tmp_path, channels):
    write_audio(root, BOSSA[1], channels)
    with pytest.raises(DdspZooError, match=f"{BOSSA[1]}_hex_cln.wav has {channels} channels.* has 6"):
        small(root).prepare_data()
    assert cached(tmp_path) == [BOSSA[0]]  # nothing half-done is left


def test_missing_audio(root):
    (root / "audio_hex-pickup_debleeded" / f"{BOSSA[0]}_hex_cln.wav").unlink()
    with pytest.raises(DdspZooError, match=f"{BOSSA[0]}_hex_cln.wav is missing or cannot be read"):
        small(root).prepare_data()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not a GuitarSet annotation"),
        ("[]", "is not a GuitarSet annotation"),
        ('{"annotations": [{"namespace": "note_midi", "data": []}]}', "is not a GuitarSet annotation"),
        (json.dumps(annotation(strings=5)), "annotates 5 strings instead of 6"),
    ],
)
def test_unusable_annotations(root, text, message):
    (root / "annotation" / f"{BOSSA[0]}.jams").write_text(text)
    with pytest.raises(DdspZooError, match=f"{BOSSA[0]}.jams {message}"):
        small(root).prepare_data()
