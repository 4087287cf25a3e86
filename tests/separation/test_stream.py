"""Arrays and files of any length, rate and channel count, through one path whose memory does not grow."""

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from tiny import HOP, RATE, Mirror, music, save_tiny_ast, tiny_ast

import ddsp_zoo
from ddsp_zoo import zoo
from ddsp_zoo.api.ladder import separate
from ddsp_zoo.api.result import Separation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import read_blocks
from ddsp_zoo.models import AstDdsp
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.separation.stream import BATCH, stream

SEGMENT = 32 * HOP
STEP = 24 * HOP  # of segments: a quarter overlaps


@pytest.fixture(scope="module")
def model() -> AstDdsp:
    return tiny_ast()


def rebuilt(result: Separation) -> np.ndarray:
    return sum(result.stems.values()) + result.residual


def in_blocks(audio: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (audio[:, start : start + size] for start in range(0, audio.shape[1], size))


def assert_same(one: Separation, other: Separation, tolerance: float = 0.0) -> None:
    for part in ("stems", "synthesised"):
        for name, audio in getattr(one, part).items():
            np.testing.assert_allclose(getattr(other, part)[name], audio, rtol=0, atol=tolerance)
    for source, named in one.controls.items():
        for name, values in named.items():
            np.testing.assert_allclose(other.controls[source][name], values, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(other.residual, one.residual, rtol=0, atol=tolerance)


# Any length, rate and channel count


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000, 192000])
def test_stems_and_residual_sum_to_the_mixture_at_every_rate(
    model: AstDdsp, rate: int, channels: int
) -> None:
    audio = music(round(1.3 * rate) + 1, channels, rate)
    result = separate(model, audio, rate)
    assert result.sample_rate == rate and result.control_rate_hz == 62.5
    np.testing.assert_array_equal(result.mixture, audio)
    assert result.stems["bass"].shape == result.residual.shape == audio.shape
    assert result.synthesised["bass"].shape == (1, audio.shape[1])
    np.testing.assert_allclose(rebuilt(result), audio, rtol=0, atol=1e-6)
    assert 0.01 < np.abs(result.stems["bass"]).max() < 2


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
@pytest.mark.parametrize("frames", [1, 2, 100, SEGMENT - 1, SEGMENT, SEGMENT + 1, SEGMENT + STEP, 30011])
def test_every_length_comes_out_as_it_went_in(model: AstDdsp, frames: int, rate: int) -> None:
    audio = music(frames, 1, rate)
    result = separate(model, audio[0], rate)
    np.testing.assert_allclose(rebuilt(result), audio, rtol=0, atol=1e-6)
    expected = int(np.ceil(frames / rate * result.control_rate_hz))
    assert {len(values) for values in result.controls["bass"].values()} == {expected}
    assert result.controls["bass"]["f0_hz"].shape == (expected,)


@pytest.mark.parametrize("frames", [44102, 88201, 22581])
def test_frames_of_controls_cover_a_duration_that_resampling_rounds_down(frames: int) -> None:
    result = separate(Mirror(), music(frames, 1, 44100), 44100)
    assert len(result.controls["all"]["clock"]) == int(np.ceil(frames / 44100 * RATE / HOP))


def test_channels_share_their_masks_and_stay_apart(model: AstDdsp) -> None:
    left = music(10000)
    result = separate(model, np.concatenate([left, 0.5 * left]), RATE)
    bass = result.stems["bass"]
    np.testing.assert_allclose(bass[1], 0.5 * bass[0], rtol=0, atol=1e-6)


def test_silence_stays_finite_and_silent(model: AstDdsp) -> None:
    result = separate(model, np.zeros((2, 9000), np.float32), RATE)
    assert np.abs(result.stems["bass"]).max() == 0
    assert np.isfinite(result.synthesised["bass"]).all()
    assert all(np.isfinite(values).all() for values in result.controls["bass"].values())


def test_rest_is_never_given_out(model: AstDdsp) -> None:
    result = separate(model, music(5000), RATE)
    assert set(result.stems) == set(result.synthesised) == set(result.controls) == {"bass"}


# One result, whichever way the audio comes


@pytest.mark.parametrize("rate", [8000, 44100])
def test_blocks_of_any_size_give_the_same(model: AstDdsp, rate: int) -> None:
    audio = music(3 * rate + 7, 2, rate)
    whole = separate(model, audio, rate)
    for size in (audio.shape[1], 1000, 12345):
        pieces = stream(model, in_blocks(audio, size), rate, audio.shape[1])
        assert_same(whole, Separation.join(list(pieces)), 1e-6)


def test_a_file_gives_what_its_samples_give(model: AstDdsp, tmp_path: Path) -> None:
    audio = music(50001, 2, 22050)
    path = tmp_path / "song.wav"
    sf.write(path, audio.T, 22050, "FLOAT")
    whole = separate(model, audio, 22050)
    assert_same(whole, separate(model, path))
    assert_same(whole, separate(model, str(path)))
    assert_same(whole, Separation.join(list(stream(model, read_blocks(path, 777), 22050, 50001))), 1e-6)


def test_arrays_and_tensors_with_and_without_a_channel_axis_are_one(model: AstDdsp) -> None:
    audio = music(6000)
    whole = separate(model, audio, RATE)
    for same in (audio[0], audio[0].astype(np.float64), torch.from_numpy(audio), torch.from_numpy(audio[0])):
        assert_same(whole, separate(model, same, RATE))
    assert_same(whole, model.separate(audio, RATE))
    assert_same(whole, separate(model, torch.from_numpy(audio).requires_grad_(), float(RATE)))


def test_the_seed_decides_the_noise(model: AstDdsp) -> None:
    audio = music(20000)
    first, again, other = (separate(model, audio, RATE, seed=seed) for seed in (3, 3, 4))
    assert_same(first, again)
    assert np.abs(first.synthesised["bass"] - other.synthesised["bass"]).max() > 1e-6


def test_random_numbers_of_the_caller_are_left_alone(model: AstDdsp) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    separate(model, music(6000), RATE)
    assert torch.equal(torch.rand(3), expected)


def test_loading_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_tiny_ast(tmp_path / "my_model")
    monkeypatch.setenv("DDSP_ZOO_CHECKPOINTS", str(tmp_path))
    audio = music(6000)
    assert_same(separate(zoo.load("my_model"), audio, RATE), ddsp_zoo.separate("my_model", audio, RATE))
    with pytest.raises(DdspZooError, match="no model 'my_modell'"):
        ddsp_zoo.separate("my_modell", audio, RATE)


# Segments


def test_overlapping_segments_fade_into_each_other_without_a_trace() -> None:
    one = music(9 * STEP + 1234)
    audio = np.concatenate([one, -0.5 * one])
    result = separate(Mirror(), audio, RATE)
    np.testing.assert_allclose(result.stems["all"], audio, rtol=0, atol=1e-6)
    heard = np.sqrt((1 + 0.5**2) / 2) * one
    np.testing.assert_allclose(result.synthesised["all"], heard, rtol=0, atol=1e-5)
    loudest = np.abs(np.pad(heard[0], (0, -audio.shape[1] % HOP))).reshape(-1, HOP).max(1)
    np.testing.assert_allclose(result.controls["all"]["loudest"][:, 0], loudest, atol=1e-5)


def test_controls_of_neighbouring_segments_are_cross_faded() -> None:
    clock = separate(Mirror(), music(SEGMENT + STEP), RATE).controls["all"]["clock"][:, 0]
    np.testing.assert_array_equal(clock[:24], np.arange(24))
    rise = (np.arange(8) + 0.5) / 8
    np.testing.assert_allclose(clock[24:32], (1 - rise) * np.arange(24, 32) + rise * np.arange(8), rtol=1e-6)
    np.testing.assert_array_equal(clock[32:], np.arange(8, 32))


def test_model_sees_segments_that_overlap_by_a_quarter_and_a_padded_last_one() -> None:
    model, audio = Mirror(), music(3 * STEP + 5)
    separate(model, audio, RATE)
    padded = np.pad(audio[0], (0, SEGMENT))
    starts = [0, STEP, 2 * STEP]
    assert len(model.segments) == len(starts)
    for start, segment in zip(starts, model.segments, strict=True):
        np.testing.assert_array_equal(segment, padded[start : start + SEGMENT])


def test_resampled_stems_have_no_delay() -> None:
    audio = music(3 * 44100, 1, 44100)
    result = separate(Mirror(), audio, 44100)
    smooth = np.convolve(
        audio[0], np.hanning(200) / np.hanning(200).sum(), "same"
    )  # below the model's Nyquist
    stem = np.convolve(result.stems["all"][0], np.hanning(200) / np.hanning(200).sum(), "same")
    inner = slice(1000, -1000)
    assert np.abs(stem - smooth)[inner].max() < 0.01 * np.abs(smooth).max()


# Pitch


def test_given_pitch_reaches_its_frames_in_every_segment() -> None:
    model = Mirror(("low", "high"), needs_pitch=True)
    count = 24 * (BATCH + 2) + 8  # more segments than go through the model at once
    f0 = np.stack([100.0 + np.arange(count), 1000.0 + np.arange(count)]).astype(np.float32)
    onset = np.zeros_like(f0)
    onset[0, 50] = onset[1, 30] = 1
    result = separate(model, music(count * HOP), RATE, pitch=PitchTrack(f0, onset, HOP / RATE))
    assert len(model.pitch) == BATCH + 2
    for index, (given_f0, given_onset) in enumerate(model.pitch):
        span = slice(24 * index, 24 * index + 32)
        np.testing.assert_array_equal(given_f0, f0[:, span])
        expected = onset[:, span].copy()
        expected[:, 0] = 1  # a note that is sounding already starts anew
        np.testing.assert_array_equal(given_onset, expected)
    for row, source in enumerate(("low", "high")):
        np.testing.assert_allclose(result.controls[source]["f0_hz"], f0[row], rtol=1e-6)


def test_pitch_beyond_the_end_of_its_track_is_silence() -> None:
    model = Mirror(("one",), needs_pitch=True)
    f0 = np.full((1, 40), 200, np.float32)
    separate(model, music(60 * HOP), RATE, pitch=PitchTrack(f0, np.zeros_like(f0), HOP / RATE))
    assert model.pitch[1][0][0, :16].tolist() == [200] * 16 and not model.pitch[1][0][0, 16:].any()


def test_pitch_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "f0.csv").write_text("time_seconds,one\n0,0\n0.1,220\n0.2,220\n0.3,0\n")
    model = Mirror(("one",), needs_pitch=True)
    result = separate(model, music(RATE), RATE, pitch=tmp_path / "f0.csv")
    voiced = np.flatnonzero(result.controls["one"]["f0_hz"]) * HOP / RATE
    assert voiced[0] == pytest.approx(0.05, abs=0.016) and voiced[-1] == pytest.approx(0.25, abs=0.016)


def test_missing_pitch_names_the_flag_and_the_sources() -> None:
    with pytest.raises(DdspZooError, match="`pitch=`.*time_seconds,low,high"):
        separate(Mirror(("low", "high"), needs_pitch=True), music(3000), RATE)


# What cannot be separated


@pytest.mark.parametrize(
    "audio, rate, words",
    [
        (np.zeros(100), None, "sample rate"),
        (np.zeros(100), 0, "sample rate"),
        (np.zeros(100), -8000, "sample rate"),
        (np.zeros((1, 0)), RATE, "no samples"),
        (np.zeros((7, 100)), RATE, r"\(7, 100\)"),
        (np.zeros((1, 1, 100)), RATE, r"\(1, 1, 100\)"),
        (np.full(100, np.nan), RATE, "not finite"),
        (np.array([0, np.inf]), RATE, "not finite"),
    ],
)
def test_unusable_audio_is_named(model: AstDdsp, audio: np.ndarray, rate: int | None, words: str) -> None:
    with pytest.raises(DdspZooError, match=words):
        separate(model, audio, rate)


@pytest.mark.parametrize("kind", ["flac", "mp3"])
def test_a_file_that_breaks_off_is_an_error_and_never_silently_cut(
    model: AstDdsp, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / f"cut.{kind}"
    sf.write(path, music(100_000)[0], RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DdspZooError, match=f"cut.{kind} (is damaged|breaks off)"):
        separate(model, path)


def test_an_mp3_whose_length_is_only_estimated_is_taken_whole(model: AstDdsp, tmp_path: Path) -> None:
    path = tmp_path / "stream.mp3"
    audio = music(3 * 44100, 1, 44100)
    sf.write(path, audio[0], 44100, bitrate_mode="CONSTANT", compression_level=0.5)
    data = path.read_bytes()
    header = data.index(b"Info")  # in the first frame, which says how long the file is
    path.write_bytes(data[data.index(data[:2], header) :])
    claimed, decoded = sf.info(path).frames, len(sf.read(path)[0])
    assert decoded < claimed
    result = separate(model, path)
    assert result.mixture.shape == (1, claimed) and not result.mixture[:, decoded:].any()
    np.testing.assert_allclose(rebuilt(result), result.mixture, rtol=0, atol=1e-6)


# Memory


def peak_bytes(model: AstDdsp, seconds: int) -> int:
    """Most memory that separating so much audio takes, block by block."""
    blocks = (music(RATE // 2, seed=index) for index in range(2 * seconds))
    tracemalloc.start()
    try:
        total = sum(piece.residual.shape[1] for piece in stream(model, blocks, RATE, seconds * RATE))
        assert total == seconds * RATE
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_length() -> None:
    model = tiny_ast(segment_seconds=2.0)
    peak_bytes(model, 20)  # what is allocated once
    short, long = peak_bytes(model, 60), peak_bytes(model, 240)
    assert long < 1.1 * short


def test_joined_pieces_are_the_whole(model: AstDdsp) -> None:
    audio = music(40 * RATE)
    pieces = list(stream(model, in_blocks(audio, 999), RATE, audio.shape[1]))
    assert len(pieces) > 2 and max(piece.samples for piece in pieces) <= 14 * RATE
    joined = Separation.join(pieces)
    np.testing.assert_array_equal(joined.mixture, audio)
    np.testing.assert_allclose(rebuilt(joined), audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize("right", [-1.0, 1.0])
def test_a_channel_turned_upside_down_is_separated_all_the_same(right: float) -> None:
    model, left = tiny_ast(), music(3 * RATE)
    alone = model.separate(left, RATE)
    both = model.separate(np.concatenate([left, right * left]), RATE)
    for name, stem in alone.stems.items():
        assert np.abs(stem).max() > 1e-3
        np.testing.assert_allclose(both.stems[name], np.concatenate([stem, right * stem]), rtol=0, atol=1e-3)
