"""Rendered and real choirs as one corpus, and voices from different places."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora import JoinedChoirs, RenderedChoir
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.choir.scores import PARTS

RATE, SECONDS = 16000, 3.0
COUNTS = {"train_tracks": 1, "validation_tracks": 1, "test_tracks": 1, "track_seconds": SECONDS}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))


def model() -> SimpleNamespace:
    return SimpleNamespace(
        sources=PARTS, sample_rate=RATE, hop_samples=256, segment_samples=16384, needs_pitch=True
    )


def write_real(root: Path) -> Path:
    """Sixteen singers who each hold a tone, with annotations."""
    root.mkdir()
    time = np.arange(round(SECONDS * RATE)) / RATE
    for row, part in enumerate(PARTS):
        for singer in (1, 2, 3, 4):
            hertz = 440 * 2.0**-row * 1.02**singer
            path = root / f"CSD_ND_{part}_{singer}.wav"
            sf.write(path, 0.2 * np.sin(2 * np.pi * hertz * time), RATE)
            path.with_suffix(".f0").write_text("".join(f"{t:.3f} {hertz:.3f}\n" for t in time[::256]))
    return root


def test_both_parts_are_there(tmp_path: Path) -> None:
    root = str(write_real(tmp_path / "real"))
    data = JoinedChoirs(
        root, COUNTS, {"validation_tracks": 2}, excerpts=Excerpts(4, 8), variation=Variation(3.0, 0.5)
    ).feed(model())
    data.prepare_data()
    assert [len(data.tracks(split)) for split in ("train", "validation", "test")] == [1 + 81, 1 + 2, 1 + 1]
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert batch["sources"].shape == (4, 4, 16384) and batch["f0_hz"].shape == (4, 4, 64)
    assert torch.allclose(batch["mixture"], batch["sources"].sum(1))


def test_only_the_split_that_is_evaluated_is_prepared_in_both_parts(tmp_path: Path) -> None:
    data = JoinedChoirs(str(write_real(tmp_path / "real")), COUNTS).feed(model(), "test")
    data.prepare_data()
    rendered, real = (tmp_path / "cache" / name for name in ("rendered_choir", "choral_singing"))
    assert [path.name for path in rendered.glob("*/*")] == ["test"]
    assert sorted(path.parent.name for path in real.glob("*/*/voice.flac")) == sorted(
        f"ND_{part}_4" for part in PARTS
    )
    data.setup("test")
    assert len(data.tracks("test")) == 2
    data.trainer = SimpleNamespace(lightning_module=model())  # training wants all of them again
    data.prepare_data()
    assert sorted(path.name for path in rendered.glob("*/*")) == ["test", "train", "validation"]
    assert {path.parent.name for path in real.glob("*/*/voice.flac")} == {
        f"ND_{p}_{n}" for p in PARTS for n in (1, 2, 3, 4)
    }


def varied(root: Path, apart: float) -> list[dict[str, torch.Tensor]]:
    data = RenderedChoir(str(root), **COUNTS, excerpts=Excerpts(1, 6)).feed(model())
    data.variation = Variation(apart=apart)
    data.prepare_data()
    data.setup("fit")
    return [data.datasets["train"][index] for index in range(6)]


def test_voices_from_different_places_bring_their_pitch_along(tmp_path: Path) -> None:
    together, apart = varied(tmp_path, 0.0), varied(tmp_path, 1.0)
    for one, other in zip(together, apart, strict=True):
        assert torch.equal(one["sources"][0], other["sources"][0])  # the first voice stays
        assert not torch.equal(one["sources"][1], other["sources"][1])
        assert torch.allclose(other["mixture"], other["sources"].sum(0))
    whole = RenderedChoir(str(tmp_path), **COUNTS).feed(model())
    track = whole.tracks("train")[0]
    pitch = torch.from_numpy(track.read_pitch(PARTS, 0.016).f0_hz)
    for voice in (1, 2, 3):  # each stretch of pitch is found in the track where its audio is
        audio = torch.from_numpy(sf.read(track.stems[PARTS[voice]][0])[0]).float()
        starts = [
            s
            for s in range(0, len(audio) - 16384, 256)
            if torch.equal(audio[s : s + 16384], apart[0]["sources"][voice])
        ]
        assert len(starts) == 1
        assert torch.equal(pitch[voice, starts[0] // 256 :][:64], apart[0]["f0_hz"][voice])


def test_no_voices_apart_without_random_excerpts() -> None:
    with pytest.raises(DdspZooError, match="examples_per_epoch"):
        JoinedChoirs(variation=Variation(apart=0.5))
