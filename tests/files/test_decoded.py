"""Audio that is read through ffmpeg, where that is installed."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny import RATE, Mirror, music

import ddsp_zoo
from ddsp_zoo.api.ladder import separate, separate_file, separate_files
from ddsp_zoo.cli import main
from ddsp_zoo.cli.separate import inputs
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files import owned
from ddsp_zoo.files.decoded import decoded
from ddsp_zoo.files.digest import sha256_of

pytestmark = pytest.mark.usefixtures("undrawn")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


@pytest.fixture
def surround(tmp_path: Path) -> Path:
    """A second in 5.1 channels."""
    sf.write(tmp_path / "surround.wav", 0.5 * music(RATE, 6).T, RATE, "FLOAT")
    return tmp_path / "surround.wav"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `ffmpeg` that says what another file says, and leaves what lies beside it as sound.wav."""
    program = tmp_path / "bin" / "ffmpeg"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/sh\nhere=$(dirname "$0")\nfor last; do :; done\n'
        'cat "$here/said" >&2\ncp "$here/sound.wav" "${last#file:}" && exit "$(cat "$here/status")"\n'
    )
    program.chmod(0o755)
    for name, text in (("said", ""), ("status", "0")):
        (program.parent / name).write_text(text)
    sf.write(program.parent / "sound.wav", music(4000, 2).T, RATE, "FLOAT")
    monkeypatch.setattr("ddsp_zoo.files.decoded.shutil.which", lambda name: str(program))
    return program.parent


def test_what_is_decoded_is_separated_under_its_own_name(stand_in: Path, tmp_path: Path) -> None:
    song = tmp_path / "song.m4a"
    song.write_bytes(b"packed")
    (folder,) = separate_files(Mirror(), [song], tmp_path / "out")
    about = owned.made_from(folder)
    assert (about["recording"], about["recording_sha256"]) == ("song.m4a", sha256_of(song))
    np.testing.assert_allclose(sf.read(folder / "all.wav")[0].T, music(4000, 2), rtol=0, atol=1e-5)
    result = separate(Mirror(), song)
    assert result.recording_sha256 == sha256_of(song) and result.samples == 4000
    (stand_in / "status").write_text("1")  # it is not called again
    assert separate_files(Mirror(), [song], tmp_path / "out", skip_existing=True) == [folder]


def test_the_song_of_given_stems_is_decoded_too(stand_in: Path, tmp_path: Path) -> None:
    (tmp_path / "song.m4a").write_bytes(b"packed")
    (tmp_path / "stems").mkdir()
    sf.write(tmp_path / "stems" / "bass.wav", 0.5 * music(4000, 2).T, RATE, "FLOAT")
    command = ["separate", str(tmp_path / "song.m4a"), "--from-stems", str(tmp_path / "stems")]
    assert main([*command, "--out", str(tmp_path / "out"), "--name", "{model} {track}"]) == 0
    result = ddsp_zoo.open(tmp_path / "out" / "GivenStems song")
    np.testing.assert_allclose(result.mixture, music(4000, 2), rtol=0, atol=1e-5)


def test_a_file_that_is_read_as_it_is_is_not_decoded(stand_in: Path, tmp_path: Path) -> None:
    with decoded(stand_in / "sound.wav") as path:
        assert path == stand_in / "sound.wav"


@pytest.mark.parametrize(
    ("said", "status"), [("partial file\n", "0"), ("one\nInvalid data\n", "1"), ("", "3")]
)
def test_what_ffmpeg_cannot_read_leaves_nothing(
    stand_in: Path, surround: Path, tmp_path: Path, said: str, status: str
) -> None:
    (stand_in / "said").write_text(said)
    (stand_in / "status").write_text(status)
    words = said.strip().splitlines()[-1] if said else "status 3"
    with pytest.raises(DdspZooError, match=f"surround.wav is no audio that .* or cut short: {words}$"):
        separate_file(Mirror(), surround, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_without_ffmpeg_a_sentence_says_so(
    surround: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddsp_zoo.files.decoded.shutil.which", lambda name: None)
    (tmp_path / "song.m4a").write_bytes(b"packed")
    for name, words in (("surround.wav", "has 6 channels"), ("song.m4a", "is M4A")):
        with pytest.raises(
            DdspZooError, match=f"{name} {words}, which is read through ffmpeg, and that is not"
        ):
            separate_file(Mirror(), tmp_path / name, tmp_path / "out")
    with pytest.raises(DdspZooError, match="There is no file .*none.m4a"):
        separate_file(Mirror(), tmp_path / "none.m4a", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_gives_its_packed_files_too(tmp_path: Path) -> None:
    for name in ("b.m4a", "a.wav", "notes.txt", ".c.m4a"):
        (tmp_path / name).touch()
    assert [path.name for path in inputs([str(tmp_path)])] == ["a.wav", "b.m4a"]


@needs_ffmpeg
def test_surround_becomes_stereo_and_mono_stays(surround: Path, tmp_path: Path) -> None:
    sf.write(tmp_path / "mono.wav", music(44100)[0], 44100)
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "mono.wav", tmp_path / "mono.m4a"], check=True)
    with decoded(tmp_path / "mono.m4a") as path:
        audio, rate = sf.read(path)
    assert rate == 44100 and audio.shape[0] >= 44100
    assert np.corrcoef(audio[2000:40000], music(44100)[0][2000:40000])[0, 1] > 0.97
    with decoded(surround) as path:
        assert sf.info(path).channels == 2 and sf.info(path).frames == RATE
    assert not path.exists()


@needs_ffmpeg
def test_packed_audio_that_is_cut_short(tmp_path: Path) -> None:
    sf.write(tmp_path / "song.wav", music(88200)[0], 44100)
    whole = tmp_path / "whole.m4a"
    front = ["-movflags", "+faststart"]
    subprocess.run(["ffmpeg", "-v", "error", "-i", tmp_path / "song.wav", *front, whole], check=True)
    for share in (0.02, 0.6):
        (tmp_path / "cut.m4a").write_bytes(whole.read_bytes()[: int(share * whole.stat().st_size)])
        with pytest.raises(DdspZooError, match="cut.m4a is no audio that ffmpeg reads, or is damaged"):
            separate_file(Mirror(), tmp_path / "cut.m4a", tmp_path / "out")
    assert not (tmp_path / "out").exists()
