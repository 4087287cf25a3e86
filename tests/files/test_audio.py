"""Reading audio files, and what is said of those that cannot be read."""

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import (
    Excerpt,
    check_rate,
    duration_seconds,
    open_audio,
    read_blocks,
    read_channels,
    read_mono,
)


@pytest.fixture
def stereo(tmp_path):
    """A ramp of 1000 samples on the left, silence on the right, 8 kHz."""
    ramp = np.arange(1000) / 1024
    sf.write(tmp_path / "ramp.wav", np.stack([ramp, 0 * ramp], axis=1), 8000, subtype="FLOAT")
    return tmp_path / "ramp.wav"


@pytest.mark.parametrize("block", [64, 300, 1000, 5000])
def test_blocks_put_together_are_the_file(stereo, block):
    blocks = list(read_blocks(stereo, block))
    assert all(part.shape[0] == 2 and part.shape[1] <= block and part.dtype == np.float32 for part in blocks)
    joined = np.concatenate(blocks, axis=1)
    assert np.array_equal(joined[0] * 1024, np.arange(1000)) and not joined[1].any()


@pytest.mark.parametrize("block", [64, 5000])
@pytest.mark.parametrize(
    ("start", "seconds", "expected"),
    [
        (0, None, range(1000)),
        (0.05, None, range(400, 1000)),
        (0.025, 0.05, range(200, 600)),
        (0.1, 9, range(800, 1000)),
    ],
)
def test_blocks_of_an_excerpt(stereo, block, start, seconds, expected):
    joined = np.concatenate(list(read_blocks(stereo, block, Excerpt(start, seconds))), axis=1)
    assert np.array_equal(joined[0] * 1024, expected)


@pytest.mark.parametrize("format", ["FLAC", "MP3", "OGG"])
def test_packed_audio_in_blocks_and_excerpts_is_that_of_the_whole(tmp_path, format):
    sf.write(tmp_path / "song", 0.5 * np.sin(np.arange(60000) ** 1.3), 16000, format=format)
    whole = np.concatenate(list(read_blocks(tmp_path / "song")), axis=1)
    pieces = np.concatenate(list(read_blocks(tmp_path / "song", 777)), axis=1)
    np.testing.assert_allclose(pieces, whole, rtol=0, atol=1e-4)
    part = np.concatenate(list(read_blocks(tmp_path / "song", 777, Excerpt(1.2345, 1))), axis=1)
    for excerpt in (part, read_channels(tmp_path / "song", 16000, 1.2345, 1)):
        np.testing.assert_allclose(excerpt, whole[:, 19752 : 19752 + 16000], rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("start", "seconds", "words"),
    [
        (-1, None, "The start is -1 s: give 0 or more seconds"),
        (float("nan"), None, "The start is nan s"),
        (float("inf"), None, "The start is inf s"),
        (0, 0, "The duration is 0 s: give more than 0 seconds"),
        (0, float("nan"), "The duration is nan s"),
        (0.125, None, "Nothing of .*ramp.wav is left: it has 0.12 s, and the excerpt begins at 0.125 s"),
        (1e300, 1, "Nothing of .*ramp.wav is left"),
        (0, 1e-9, "The duration of 1e-09 s is less than a sample of .*ramp.wav"),
    ],
)
def test_excerpts_of_nothing(stereo, start, seconds, words):
    with pytest.raises(DdspZooError, match=words):
        list(read_blocks(stereo, excerpt=Excerpt(start, seconds)))


def test_mono_is_the_mean_of_the_channels(stereo):
    assert np.array_equal(read_mono(stereo, 8000) * 2048, np.arange(1000))


@pytest.mark.parametrize(
    ("start", "seconds", "expected"),
    [
        (0.025, 0.05, range(200, 600)),
        (0.1, -1, range(800, 1000)),
        (0.1, 1.0, range(800, 1000)),
        (3.0, 1.0, []),
    ],
)
def test_excerpts(stereo, start, seconds, expected):
    assert (read_mono(stereo, 8000, start, seconds) * 2048).tolist() == list(expected)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 48000])
def test_other_rates_keep_pitch_and_length(tmp_path, tone, loudest_hz, rate):
    sf.write(tmp_path / "a.flac", tone(440, 0.5, rate), rate)
    audio = read_mono(tmp_path / "a.flac", 16000)
    assert audio.dtype == np.float32 and len(audio) == 8000
    assert loudest_hz(audio.astype(np.float64), 16000, 300, 600) == pytest.approx(440, abs=0.2)


def test_beyond_the_end_of_a_file_of_another_rate(stereo):
    assert len(read_mono(stereo, 16000, 3.0, 1.0)) == 0


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "aiff", "mp3"])
def test_formats(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    sf.write(path, np.zeros((4410, 2)), 44100)
    assert duration_seconds(path) == pytest.approx(0.1, abs=0.03)


def wav(samples: np.ndarray):
    return lambda path: sf.write(path, samples, 8000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "There is no file .*a.wav"),
        (lambda path: path.mkdir(), "a.wav is a folder: pass the audio files in it"),
        (lambda path: path.touch(), r"a.wav is empty \(0 bytes\)"),
        (lambda path: path.write_text("la la la"), r"a.wav is not audio that can be read \(WAV, FLAC"),
        (wav(np.zeros(0)), "a.wav holds no samples"),
        (wav(np.zeros((10, 7))), "a.wav has 7 channels: pass mono or stereo"),
        (lambda path: os.mkfifo(path), "a.wav is a pipe or a device, .* write it to a file and pass that"),
        (
            lambda path: sf.write(path, np.zeros(10), 1),
            "a.wav has a sample rate of 1 Hz, .* 1000 to 1000000: mend",
        ),
        (lambda path: sf.write(path, np.zeros(10), 1 << 30), "a.wav has a sample rate of 1073741824 Hz"),
    ],
    ids=["missing", "folder", "empty", "text", "no samples", "seven channels", "pipe", "1 Hz", "1 GHz"],
)
def test_files_that_cannot_be_opened(tmp_path, make, message):
    make(tmp_path / "a.wav")
    readers = (
        open_audio,
        duration_seconds,
        lambda path: list(read_blocks(path)),
        lambda path: read_mono(path, 8000),
    )
    for read in readers:
        with pytest.raises(DdspZooError, match=message):
            read(tmp_path / "a.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers(tmp_path, value):
    samples = np.zeros(500)
    samples[400] = value
    wav(samples)(tmp_path / "a.wav")
    with pytest.raises(DdspZooError, match="a.wav contains samples that are not finite numbers"):
        list(read_blocks(tmp_path / "a.wav", 100))
    with pytest.raises(DdspZooError, match="not finite"):
        read_mono(tmp_path / "a.wav", 16000)
    assert not read_mono(tmp_path / "a.wav", 8000, 0, 0.05).any()  # before the fault


def test_a_file_that_breaks_off_is_not_taken_for_whole(tmp_path):
    path = tmp_path / "a.flac"
    sf.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 32000), 8000)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DdspZooError, match="a.flac (breaks off|is damaged)"):
        list(read_blocks(path))


def cut(path: Path, kept: float, **form: str) -> None:
    """A file of two seconds of which a share is there."""
    whole = BytesIO()
    sf.write(whole, np.random.default_rng(0).uniform(-0.5, 0.5, (16000, 2)), 8000, **form)
    content = whole.getvalue()
    path.write_bytes(content[: round(kept * len(content))])


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "CAF", "AU"])
def test_half_a_file_is_told_before_anything_is_read(tmp_path: Path, kind: str, subtype: str) -> None:
    path = tmp_path / "a.wav"
    for kept in (0.5, 0.9):
        cut(path, kept, format=kind, subtype=subtype)
        # libsndfile itself refuses a CAF file that is cut
        said = "is not audio" if kind == "CAF" else f"breaks off {2 - 2 * kept:.1f} s before its end: copy"
        with pytest.raises(DdspZooError, match=f"a.wav {said}"):
            open_audio(path)
    for kept in (0.999, 1):  # the end of a length that was an estimate, and all
        cut(path, kept, format=kind, subtype=subtype)
        with open_audio(path) as file:
            assert file.frames == pytest.approx(16000 * kept, abs=20)


@pytest.mark.parametrize("unknown", [0xFFFFFFFF, 0x7FFFF000])
def test_a_length_that_its_writer_did_not_know_is_what_there_is(tmp_path: Path, unknown: int) -> None:
    cut(tmp_path / "a.wav", 1, format="WAV", subtype="PCM_16")
    content = (tmp_path / "a.wav").read_bytes()
    place = content.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(content[:place] + unknown.to_bytes(4, "little") + content[place + 4 :])
    assert duration_seconds(tmp_path / "a.wav") == 2


def test_the_standard_input_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for there in (False, True):
        assert Path("-").exists() is there
        with pytest.raises(DdspZooError, match="- is a pipe .* write it to a file and pass that"):
            open_audio("-")
        sf.write(tmp_path / "-", np.zeros(100), 8000, format="WAV")


@pytest.mark.parametrize("rate", [0.5, 999, 1 << 31, 1e30, float("nan"), float("inf"), -8000, "8000", [8000]])
def test_rates_that_no_audio_has(rate: object) -> None:
    with pytest.raises(
        DdspZooError, match="The audio has a sample rate of .* Hz, and audio one from 1000 to 1000000"
    ):
        check_rate(rate)
    assert (check_rate(1000), check_rate(44099.7), check_rate(1_000_000)) == (1000, 44100, 1_000_000)
