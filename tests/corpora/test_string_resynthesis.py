"""Notes of the preliminary experiment: the same from the same seed, alike but for their noise, and not rescaled."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile as sf

from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.corpora.rendered.prelim import StringResynthesisNotes
from ddsp_zoo.errors import DdspZooError

MODEL = SimpleNamespace(
    sources=("string",), sample_rate=16000, hop_samples=256, segment_samples=16128, needs_pitch=True
)


def notes(root: Path, **settings: object) -> StringResynthesisNotes:
    counts = {"train_tracks": 3, "validation_tracks": 2, "test_tracks": 1}
    data = StringResynthesisNotes(str(root), **(counts | settings))
    data.prepare_data()
    return data


def sounds(data: StringResynthesisNotes) -> list[bytes]:
    tracks = [track for split in data.counts for track in data.tracks(split)]
    return [sf.read(track.stems["string"][0], dtype="float32")[0].tobytes() for track in tracks]


def test_random_notes_all_differ_and_come_back_from_their_seed(tmp_path: Path) -> None:
    first = sounds(notes(tmp_path / "a"))
    assert len(set(first)) == 6
    assert sounds(notes(tmp_path / "b")) == first
    assert not set(sounds(notes(tmp_path / "a", excitation_seed=1))) & set(first)


def test_reproducible_notes_are_one_and_the_same(tmp_path: Path) -> None:
    one = set(sounds(notes(tmp_path, excitation="reproducible")))
    assert len(one) == 1
    assert one != set(sounds(notes(tmp_path, excitation="reproducible", excitation_seed=1)))
    assert one != set(sounds(notes(tmp_path, excitation="reproducible", quirks=["tuning"])))
    assert one != set(sounds(notes(tmp_path, excitation="reproducible", cutoff_hz=5000.0)))


def test_a_batch_holds_whole_notes_with_their_pitch_and_level(tmp_path: Path) -> None:
    data = notes(tmp_path, excerpts=Excerpts(3)).feed(MODEL)
    data.setup("fit")
    (batch,) = data.train_dataloader()
    assert batch["mixture"].shape == (3, 16128) and batch["sources"].shape == (3, 1, 16128)
    assert set(batch["f0_hz"].unique().tolist()) == {440.0} and batch["f0_hz"].shape == (3, 1, 63)
    assert batch["onset"][..., 0].all() and not batch["onset"][..., 1:].any()
    assert batch["mixture"].abs().max() > 1.05  # two and a half periods of noise on top of each other
    assert batch["mixture"][:, -2560:].abs().amax(1).min() > 1e-3 and batch["mixture"].isfinite().all()


def test_pitch_is_that_of_the_settings(tmp_path: Path) -> None:
    data = notes(tmp_path, f0_hz=110.0, note_seconds=0.512).feed(MODEL)
    data.setup("test")
    (batch,) = data.test_dataloader()
    f0_hz, sounding = batch["f0_hz"][0, 0], 32  # and a frame beyond, which lies nearer than two apart
    assert (f0_hz[:sounding] == 110).all() and not f0_hz[sounding + 1 :].any()


@pytest.mark.parametrize(
    "settings", [{"f0_hz": 0.0}, {"f0_hz": 4000.0}, {"cutoff_hz": 9000.0}, {"note_seconds": 0.0}], ids=str
)
def test_what_a_string_cannot_play_is_told(tmp_path: Path, settings: dict[str, float]) -> None:
    with pytest.raises(DdspZooError, match="A note has a pitch of 20 to 2000 Hz"):
        StringResynthesisNotes(str(tmp_path), **settings)
