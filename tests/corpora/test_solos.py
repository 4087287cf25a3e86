"""Solos of a single source, alone and by turns with notes whose controls are known."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora import NotesAndSolos, SoloRecordings
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import DdspAutoencoder, InverseSynthesis

RATE = 16000
LENGTHS = {"anna_1": 2.0, "anna_2": 3.0, "bert_1": 1.0}  # seconds


def pitch_by_name(audio: np.ndarray, hop: int, threshold: float, model: str) -> np.ndarray:
    """In place of CREPE: as many frames, the pitch of which is the number of zero crossings."""
    crossings = (np.diff(np.signbit(audio)).sum() / 2) / (len(audio) / RATE)
    return np.full(-(-len(audio) // hop), crossings, np.float32)


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("ddsp_zoo.corpora.solo.track_f0", pitch_by_name)
    folder = tmp_path / "solos"
    folder.mkdir()
    for number, (name, seconds) in enumerate(LENGTHS.items()):
        time = np.arange(round(seconds * RATE)) / RATE
        sf.write(folder / f"{name}.wav", 0.5 * np.sin(2 * np.pi * (200 + 100 * number) * time), RATE)
    (folder / "notes.txt").write_text("no recording")
    return folder


def autoencoder(name: str = "voice") -> DdspAutoencoder:
    return DdspAutoencoder((name,), segment_seconds=0.512, width=8, harmonics=8, room_seconds=0)


def made(data: SoloRecordings, model: torch.nn.Module, stage: str = "fit") -> SoloRecordings:
    data.feed(model)
    data.prepare_data()
    data.setup(stage)
    return data


def test_the_ends_of_training_recordings_are_validated_on(recordings: Path) -> None:
    data = made(SoloRecordings(str(recordings), ["anna_*"], ["bert_*"], held_out=0.5), autoencoder())
    lengths = {split: [track.seconds for track in data.tracks(split)] for split in ("train", "validation")}
    assert lengths["train"] == lengths["validation"] == [1.0, 1.5]
    item = data.datasets["validation"][0]
    assert item["sources"].shape == (1, 8192) and torch.equal(item["mixture"], item["sources"][0])
    assert item["f0_hz"].shape == (1, 32) and item["f0_hz"][0, 8].item() == pytest.approx(200, abs=2)


def test_recordings_may_be_named_to_validate_on_and_training_then_takes_all(recordings: Path) -> None:
    data = made(SoloRecordings(str(recordings), ["anna_1*"], ["bert_*"], ["anna_2*"]), autoencoder("bass"))
    names = {split: [(t.name, t.seconds) for t in data.tracks(split)] for split in ("train", "validation")}
    assert names == {"train": [("anna_1", 2.0)], "validation": [("anna_2", 3.0)]}
    assert data.tracks("train")[0].sources == ("bass",)


def test_what_cannot_be_found_is_told(recordings: Path) -> None:
    data = SoloRecordings(str(recordings), ["carl_*"], ["notes*"])
    for split in ("train", "test"):
        with pytest.raises(
            DdspZooError, match=f"No WAV or FLAC file.*{'carl' if split == 'train' else 'notes'}"
        ):
            data.prepare((split,))
    with pytest.raises(DdspZooError, match="between 0 and 1, not 1"):
        SoloRecordings(str(recordings), held_out=1.0)


def test_notes_and_recordings_come_by_turns(recordings: Path) -> None:
    model = InverseSynthesis(
        segment_seconds=0.512,
        sinusoids=8,
        harmonics=12,
        noise_bands=9,
        widths=(4, 4),
        width=8,
    )
    notes = {"harmonics": 12, "noise_bands": 9}
    excerpts = Excerpts(batch_size=4, examples_per_epoch=4)
    data = made(NotesAndSolos(str(recordings), ["anna_*"], ["bert_*"], notes=notes, excerpts=excerpts), model)
    (batch,) = data.train_dataloader()
    assert batch["notes_known"].tolist() == [1, 0, 1, 0]
    assert batch["note_amplitude"].abs().amax((1, 2, 3)).gt(0).tolist() == [True, False, True, False]
    assert batch["mixture"].abs().amax(-1).gt(0.01).all()
    both = model.terms(batch, torch.Generator().manual_seed(0))
    assert {"spectral_note", "f0", "bins", "consistency"} <= both.keys()
    real = {name: value[1::2] for name, value in batch.items()}
    assert model.terms(real, torch.Generator().manual_seed(0)).keys() == {
        "spectral_sinusoids",
        "spectral_note",
    }
    assert list(data.datasets["validation"][0]) == ["mixture", "sources"]
