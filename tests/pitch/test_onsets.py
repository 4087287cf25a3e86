"""Onset detectors: known answers on plucks made here, the published quirks, the frame grid, bad input."""

import numpy as np
import pytest

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.pitch.onsets import (
    DETECTORS,
    Evidence,
    flux_onsets,
    gate_onsets,
    gate_onsets_as_published,
    make_detector,
    onset_frames,
    pick_peaks,
)
from ddsp_zoo.pitch.track import onsets_from_f0

RATE, HOP = 16000, 256
PLUCKED = {110.0: [0.2031, 0.7, 1.2018], 196.0: [0.45, 0.9507]}  # between frames, with no gap between notes


def plucks(f0_hz: float, times: list[float], seconds: float = 1.6) -> np.ndarray:
    """A string (T,) plucked anew at each time, at one pitch."""
    out = np.zeros(round(seconds * RATE))
    for start, stop in zip(times, [*times[1:], seconds], strict=True):
        first, last = round(start * RATE), round(stop * RATE)
        time = np.arange(last - first) / RATE
        out[first:last] = sum(
            np.exp(-(3 + h) * time) * np.sin(2 * np.pi * h * f0_hz * time) / h for h in range(1, 12)
        )
    return (0.1 * out).astype(np.float32)


@pytest.fixture(scope="module")
def duo() -> Evidence:
    """Two strings plucked at `PLUCKED`, each voiced from its first pluck to the end."""
    stems = np.stack([plucks(hz, times) for hz, times in PLUCKED.items()])
    frame = np.arange(stems.shape[1] // HOP) * HOP / RATE
    f0 = np.stack([np.where(frame >= times[0], hz, 0) for hz, times in PLUCKED.items()])
    return Evidence(stems.sum(0), f0, RATE, HOP, stems, list(map(np.array, PLUCKED.values())))


def gated(gate: list[int]) -> Evidence:
    return Evidence(np.zeros(len(gate) * HOP), 100.0 * np.array([gate]), RATE, HOP)


def frames(times: list[np.ndarray]) -> list[float]:
    return (times[0] * RATE / HOP).round(6).tolist()


def test_gate():
    assert frames(gate_onsets(gated([0, 0, 1, 1, 0, 1]))) == [2, 5]
    assert frames(gate_onsets(gated([1, 1]))) == [0]


def test_the_published_gate_is_a_frame_early_and_blind_to_chunk_starts():
    assert frames(gate_onsets_as_published(gated([0, 0, 1, 1, 0, 1]))) == [1, 4]
    starts = [5, 20, 41, 60]  # chunks of 0.32 s begin with frames 0, 20, 40, 60
    evidence = gated([int(n in starts) for n in range(80)])
    assert frames(gate_onsets(evidence)) == starts
    assert frames(gate_onsets_as_published(evidence)) == [4, 40]
    assert frames(gate_onsets_as_published(evidence, chunk_seconds=100)) == [4, 19, 40, 59]


@pytest.mark.parametrize(("alone", "within"), [(True, 0.003), (False, 0.012)])
def test_flux_finds_plucks_between_frames_that_no_gate_sees(duo: Evidence, alone: bool, within: float):
    evidence = duo if alone else Evidence(duo.mixture, duo.f0_hz, RATE, HOP)
    found = flux_onsets(evidence)
    assert sum(map(len, gate_onsets(duo))) == 2
    for times, plucked in zip(found, PLUCKED.values(), strict=True):
        assert len(times) == len(plucked)
        assert np.abs(times - plucked).max() < within


def test_flux_away_from_pitch_is_nobodys_onset(duo: Evidence):
    f0 = duo.f0_hz.copy()
    f0[0, round(0.5 * RATE / HOP) :] = 0
    assert [len(times) for times in flux_onsets(Evidence(duo.mixture, f0, RATE, HOP, duo.stems))] == [1, 2]
    assert [len(times) for times in flux_onsets(Evidence(duo.mixture, 0 * f0, RATE, HOP))] == [0, 0]


@pytest.mark.parametrize("name", ["gate", "gate_as_published", "flux"])
@pytest.mark.parametrize("samples", [0, 100, RATE])
def test_silence_has_no_onsets(name: str, samples: int):
    f0 = np.zeros((2, -(-samples // HOP)))
    for stems in (None, np.zeros((2, samples))):
        assert [len(t) for t in make_detector(name)(Evidence(np.zeros(samples), f0, RATE, HOP, stems))] == [
            0,
            0,
        ]


def test_peaks_by_hysteresis():
    strength = np.array([0, 5, 3, 6, 0, 0, 0, 5, 0, 5, 0.0])
    assert pick_peaks(strength, 4, 1, 0).round().tolist() == [
        3,
        7,
        9,
    ]  # 1 and 3 are one: no fall below 1 between
    assert pick_peaks(strength, 4, 3.5, 0).round().tolist() == [1, 3, 7, 9]
    assert pick_peaks(strength, 4, 1, 3).round().tolist() == [3, 7]
    assert pick_peaks(strength, 5.5, 1, 0).round().tolist() == [3]
    assert pick_peaks(strength, 6, 1, 0).size == 0
    assert pick_peaks(np.array([9.0, 0]), 4, 1, 0).tolist() == [0]  # no neighbour to fit through


def test_a_parabola_is_found_where_it_is():
    place = np.arange(20.0)
    assert pick_peaks(10 - (place - 7.3) ** 2, 4, 1, 0) == pytest.approx([7.3])


def test_onset_frames_lie_on_the_nearest_pitch():
    f0 = 100.0 * np.array([[0, 0, 1, 1, 1, 0, 0, 0, 0, 0]])

    def marked(*seconds: float) -> list[int]:
        return np.flatnonzero(onset_frames([np.array(seconds)], f0, 0.016)[0]).tolist()

    assert marked(0.0, 0.048) == [2, 3]  # from the rest before a note to its start
    assert marked(0.0555) == [3] and marked(0.0565) == [4]
    assert marked(0.1) == [4]
    assert marked(0.144) == [] == marked()  # too far away
    assert onset_frames([np.array([0.1])], 0 * f0, 0.016).sum() == 0
    assert set(np.unique(onset_frames([np.array([0.03, 0.031])], f0, 0.016))) == {0, 1}


def test_gate_through_times_is_the_gate():
    f0 = np.repeat(np.random.default_rng(0).integers(0, 2, (3, 50)) * 100.0, 3, axis=1)
    times = gate_onsets(Evidence(np.zeros(150 * HOP), f0, RATE, HOP))
    assert np.array_equal(onset_frames(times, f0, HOP / RATE), onsets_from_f0(f0))


def test_annotated_are_what_was_annotated(duo: Evidence):
    for found, told in zip(make_detector("annotated")(duo), PLUCKED.values(), strict=True):
        assert found.tolist() == told
    with pytest.raises(DdspZooError, match="another detector"):
        make_detector("annotated")(gated([0, 1]))


def test_an_unknown_detector_lists_the_known():
    with pytest.raises(DdspZooError, match="choose one of gate, gate_as_published, flux, annotated"):
        make_detector("gates")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mixture": np.zeros((2, 512))}, r"\(2, 512\)"),
        ({"f0_hz": np.zeros(2)}, r"f0_hz \(S, N\)"),
        ({"stems": np.zeros((2, 512))}, r"\(1, 512\), got \(2, 512\)"),
        ({"f0_hz": np.array([[np.nan]])}, "finite"),
        ({"mixture": np.full(512, np.inf)}, "finite"),
    ],
)
def test_evidence_that_does_not_fit(change: dict, message: str):
    fitting = {"mixture": np.zeros(512), "f0_hz": np.zeros((1, 2)), "sample_rate": RATE, "hop_samples": HOP}
    with pytest.raises(DdspZooError, match=message):
        Evidence(**fitting | change)


def test_every_named_detector_is_made():
    assert all(make_detector(name) is detector for name, detector in DETECTORS.items())
