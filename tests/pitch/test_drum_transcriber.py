"""Which instrument of a drum set is hit when: what a network says of it, and what is made of that."""

import numpy as np
import pytest
import torch

from ddsp_zoo.music.drum_set import DRUM_SET, hits_in_frames
from ddsp_zoo.pitch.drum_transcriber import HIT_STEPS, DrumTranscriber
from ddsp_zoo.pitch.pieces import overlapping

COUNT = 200
ROW = {name: row for row, name in enumerate(DRUM_SET)}


@pytest.fixture(scope="module")
def transcriber() -> DrumTranscriber:
    torch.manual_seed(0)
    return DrumTranscriber(width=4, context=8, threshold=0.4).eval()


def likely(**peaks: list[tuple[int, float]]) -> np.ndarray:
    """Probabilities with peaks (frame, height) of instruments, whose names have "_" for spaces and hyphens."""
    out = np.full((len(DRUM_SET), COUNT), 0.01)
    names = {name.replace(" ", "_").replace("-", "_"): row for name, row in ROW.items()}
    for name, own in peaks.items():
        for frame, height in own:
            out[names[name], frame - 1 : frame + 2] = height / 2, height, height / 2
    return out


def found(transcriber: DrumTranscriber, probability: np.ndarray) -> dict[str, list[int]]:
    """The frames of the hits that are decided on, where there are some."""
    hits = transcriber.decide(probability, np.full(probability.shape, 0.5))
    rate = transcriber.sample_rate / transcriber.hop_samples
    return {
        name: np.rint(own.seconds * rate).astype(int).tolist()
        for name, own in hits.items()
        if len(own.seconds)
    }


def test_peaks_above_the_threshold_are_hits(transcriber: DrumTranscriber) -> None:
    probability = likely(kick=[(10, 0.9), (30, 0.6), (60, 0.3)], snare=[(30, 0.8)])
    assert found(transcriber, probability) == {"kick": [10, 30], "snare": [30]}


@pytest.mark.parametrize(("gap", "alone"), [(1, True), (20, False)])
def test_of_two_that_cannot_be_hit_at_once_the_likelier_is(
    transcriber: DrumTranscriber, gap: int, alone: bool
) -> None:
    probability = likely(closed_hi_hat=[(50, 0.6)], open_hi_hat=[(50 + gap, 0.9)])
    both = {"closed hi-hat": [50], "open hi-hat": [50 + gap]}
    assert found(transcriber, probability) == ({"open hi-hat": [51]} if alone else both)


def test_each_instrument_has_its_own_threshold() -> None:
    strict = DrumTranscriber(width=4, context=8, threshold=tuple(0.5 + 0.05 * row for row in range(8)))
    assert found(strict, likely(kick=[(10, 0.6)], ride=[(10, 0.6)])) == {"kick": [10]}


def test_how_loud_a_recording_is_does_not_matter(transcriber: DrumTranscriber) -> None:
    audio = torch.randn(1, 44100, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(transcriber.levels(audio), transcriber.levels(0.01 * audio), atol=1e-4, rtol=0)


@pytest.mark.parametrize("samples", [1, 400, 44100])
def test_silence_has_no_hits_and_any_length_is_heard(transcriber: DrumTranscriber, samples: int) -> None:
    probability, strength = transcriber.listen(np.zeros(samples, np.float32))
    assert probability.shape == strength.shape == (8, -(-samples // transcriber.hop_samples))
    assert not probability.any()
    noise = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    assert all(np.isfinite(part).all() for part in transcriber.listen(noise))


def test_a_control_holds_the_hits_of_every_stem(transcriber: DrumTranscriber) -> None:
    frames = 50
    samples = frames * HIT_STEPS * transcriber.hop_samples
    stems = torch.zeros(2, samples)
    stems[1] = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    own = DrumTranscriber(width=4, context=8, threshold=0.01).eval()  # so that an untrained one hears much
    control = own.find_frames(stems)
    assert control.shape == (2, frames, len(DRUM_SET) * HIT_STEPS)
    assert not control[0].any() and control[1].any()
    rate = own.sample_rate / (HIT_STEPS * own.hop_samples)
    read, heard = hits_in_frames(control[1].numpy(), rate), own.find(stems[1].numpy())
    for name in DRUM_SET:
        assert len(read[name].seconds) == len(heard[name].seconds)
        np.testing.assert_allclose(
            read[name].seconds, heard[name].seconds, atol=0.5 / (rate * HIT_STEPS) + 1e-9
        )


@pytest.mark.parametrize(("count", "chunk", "margin"), [(0, 10, 2), (7, 10, 2), (30, 10, 3), (31, 10, 20)])
def test_pieces_cover_every_frame_once(count: int, chunk: int, margin: int) -> None:
    frames, seen = np.arange(count), []
    for whole, here, there in overlapping(count, chunk, margin):
        np.testing.assert_array_equal(frames[whole][there], frames[here])
        assert whole.start == max(here.start - margin, 0) and whole.stop == min(
            here.start + chunk + margin, count
        )
        seen += frames[here].tolist()
    assert seen == frames.tolist()
