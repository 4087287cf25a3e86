"""Basic Pitch as a rival: notes read off its posteriors, windows joined, and what to do where it is missing."""

import numpy as np
import pytest

from ddsp_zoo.cli import main
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.reports import basic_pitch
from ddsp_zoo.reports.basic_pitch import HOP, NETWORK_RATE, basic_pitch_tracker, read_notes

FRAME = HOP / NETWORK_RATE


def posteriors(*notes: tuple[int, int, int, float], frames: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """What sounds, from notes (MIDI pitch, first frame, frame after the last, how likely an onset is)."""
    sounding, plucked = np.full((2, frames, 88), 0.05)
    for midi, start, stop, onset in notes:
        sounding[start:stop, midi - 21] = 0.8
        sounding[start:stop, midi - 20] = 0.35  # what leaks
        plucked[start, midi - 21] = onset
    return sounding, plucked


def frames_of(notes: list[tuple[float, float, float]]) -> list[tuple[int, int, int]]:
    return [(int(midi), round(start / FRAME), round(end / FRAME)) for start, end, midi in notes]


def test_notes_begin_at_onsets_and_last_as_long_as_they_sound() -> None:
    wanted = [(40, 10, 60), (40, 60, 140), (64, 10, 90)]
    sounding, plucked = posteriors(*((*note, 0.9) for note in wanted))
    assert sorted(frames_of(read_notes(sounding, plucked))) == wanted


def test_a_short_gap_is_bridged_and_a_long_one_is_not() -> None:
    for gap, count in ((8, 1), (14, 2)):
        sounding, plucked = posteriors((60, 20, 60, 0.9), (60, 60 + gap, 120, 0.0), (90, 3, 190, 0.9))
        sounding[60 + gap : 71 + gap, 60 - 21] = np.linspace(0.31, 0.8, 11)  # or it would be a pluck
        assert len(read_notes(sounding, plucked)) == 1 + count


def test_what_sounds_without_an_onset_is_a_note_and_what_is_short_is_none() -> None:
    sounding, plucked = posteriors((50, 100, 150, 0.0), (70, 5, 190, 0.9), (80, 20, 30, 0.9))
    sounding[90:101, 50 - 21] = np.linspace(0.31, 0.8, 11)  # a slow rise
    assert sorted(frames_of(read_notes(sounding, plucked))) == [(50, 90, 150), (70, 5, 190)]


def test_silence_has_no_notes() -> None:
    for frames in (0, 1, 2, 300):
        assert read_notes(*np.zeros((2, frames, 88))) == []


@pytest.mark.parametrize("seconds", [0.1, 2.0, 5.3])
def test_windows_are_joined_without_a_seam(seconds: float) -> None:
    """A network that shows when each frame of its window lies gives the time, from the first frame to the last."""
    audio = np.arange(round(seconds * 16000)) / 16000

    def run(windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = windows[0, : 172 * HOP : HOP, 0]
        shown = np.repeat(np.pad(at, (0, 172 - len(at)))[:172, None], 88, 1)[None]
        return shown, 2 * shown

    sounding, plucked = basic_pitch._posteriors(audio, run)
    assert sounding.shape == (int(np.ceil(seconds * NETWORK_RATE / HOP)), 88)
    assert np.abs(sounding[2:-2, 0] - np.arange(len(sounding))[2:-2] * FRAME).max(initial=0) < 0.013
    assert (plucked == 2 * sounding).all()


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(basic_pitch, "find_spec", lambda name: None)
    with pytest.raises(DdspZooError, match="not installed: `pip install --no-deps basic-pitch` and"):
        basic_pitch_tracker()
    assert main(["report", "tab", "--basic-pitch", "--takes", "nowhere"]) == 2
    assert "not installed" in capsys.readouterr().err
