"""Notes, control files and pictures from synthetic separations."""

import sys
from types import SimpleNamespace

import mido
import numpy as np
import pytest

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.csv import write_controls_csv
from ddsp_zoo.export.log_spectrogram import COLUMNS, log_spectrogram
from ddsp_zoo.export.midi import notes_by_source, notes_from_f0, write_midi
from ddsp_zoo.export.plots import (
    _every,
    figure_to_rgb,
    plot_controls,
    plot_separation,
    plot_spectrograms,
)
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.music.midi import MidiNote
from ddsp_zoo.synths.control import Control, given_notes, heard_notes

RATE = 100.0  # frames a second


def hertz(*keys_and_seconds: tuple[float, float]) -> np.ndarray:
    """f0 of keys held for so many seconds each; key 0 is unvoiced."""
    parts = [
        np.full(round(s * RATE), 440 * 2 ** ((key - 69) / 12) if key else 0.0) for key, s in keys_and_seconds
    ]
    return np.concatenate(parts)


def keys(notes: list[MidiNote]) -> list[int]:
    return [note.key for note in notes]


# --- notes


def test_voiced_stretches_become_notes_with_their_times():
    notes = notes_from_f0(hertz((0, 0.2), (40, 0.5), (0, 0.1), (45, 0.3)), RATE)
    assert notes == [MidiNote(0.2, 0.7, 40, 80), MidiNote(0.8, 1.1, 45, 80)]


def test_nan_is_unvoiced_and_nothing_gives_no_notes():
    f0 = hertz((40, 0.5), (0, 0.1), (45, 0.3))
    f0[f0 == 0] = np.nan
    assert keys(notes_from_f0(f0, RATE)) == [40, 45]
    assert notes_from_f0(np.zeros(50), RATE) == notes_from_f0(np.zeros(0), RATE) == []
    assert notes_from_f0(np.zeros(50), RATE, loudness_db=np.zeros(50)) == []


def test_a_pitch_that_moves_on_begins_a_note_where_it_moved():
    notes = notes_from_f0(hertz((40, 0.5), (41, 0.5), (53, 0.5)), RATE)
    assert [(note.start_seconds, note.end_seconds, note.key) for note in notes] == [
        (0, 0.5, 40),
        (0.5, 1, 41),
        (1, 1.5, 53),
    ]


def test_vibrato_and_single_wrong_frames_do_not_split():
    time = np.arange(200) / RATE
    vibrato = 220 * 2 ** (0.9 * np.sin(2 * np.pi * 6 * time) / 12)
    vibrato[[40, 41, 90, 120]] *= 2  # octave errors
    assert keys(notes_from_f0(vibrato, RATE)) == [57]


def test_repeated_notes_split_at_onsets_only():
    f0, onset = hertz((40, 1.0)), np.zeros(100)
    onset[[0, 50, 51, 52]] = 1  # a wide onset is one onset
    assert keys(notes_from_f0(f0, RATE)) == [40]
    notes = notes_from_f0(f0, RATE, onset=onset)
    assert [(note.start_seconds, note.end_seconds) for note in notes] == [(0, 0.5), (0.5, 1.0)]


def test_short_notes_are_left_out():
    f0 = hertz((40, 0.05), (0, 0.1), (45, 0.07))
    assert keys(notes_from_f0(f0, RATE)) == [45]
    assert keys(notes_from_f0(f0, RATE, min_duration_s=0.04)) == [40, 45]


def test_velocity_follows_loudness_and_stays_in_range():
    f0 = hertz((40, 0.2), (0, 0.1), (45, 0.2), (0, 0.1), (47, 0.2))
    loudness = np.repeat([-10.0, -90.0, -35.0, -90.0, -np.inf], [20, 10, 20, 10, 20])
    velocities = [note.velocity for note in notes_from_f0(f0, RATE, loudness_db=loudness)]
    assert velocities == [127, 64, 1]


DECLARED = {
    control.name: control
    for control in (
        heard_notes(8000)[0],
        given_notes(8000)[1],
        Control("frequency_hz", "Hz", "", 20, 4000, size=8, role="partials"),
        Control("amplitude", "1", "", size=8, curve="amplitude", role="level"),
        Control("pluck_gain", "1", "", curve="amplitude", role="level"),
        Control("noise_magnitude", "1", "", size=65, curve="amplitude", role="level"),
        Control("damping", "1", "how fast it dies away"),
    )
}
PLUCKED = DECLARED | {"f0_hz": given_notes(8000)[0]}


def test_notes_of_controls_take_loudness_onset_and_shape_as_they_come():
    f0 = hertz((40, 1.0))[:, None]
    amplitude = np.repeat([[1.0, 0.5], [1e-6, 0.0]], 50, axis=0)
    onset = np.zeros((100, 1))
    onset[30] = 1
    controls = {
        "bass": {"f0_hz": f0, "amplitude": amplitude, "onset": onset},
        "drums": {"noise_magnitude": amplitude},
    }
    found = notes_by_source(controls, RATE, DECLARED)
    assert list(found) == ["bass"]
    assert [(note.start_seconds, note.end_seconds) for note in found["bass"]] == [
        (0, 0.3),
        (0.3, 0.5),
    ]  # then silence


def test_a_plucked_string_rings_on_without_excitation():
    gain = np.zeros((100, 1))
    gain[:2] = 1
    controls = {"string": {"f0_hz": hertz((40, 1.0)), "pluck_gain": gain}}
    (note,) = notes_by_source(controls, RATE, PLUCKED)["string"]
    assert (note.start_seconds, note.end_seconds, note.velocity) == (0, 1, 127)


def test_missing_pitch_and_unknown_sources_are_named():
    controls = {"bass": {"f0_hz": hertz((40, 1.0))}, "drums": {"damping": np.ones((100, 1))}}
    with pytest.raises(DdspZooError, match="drums has none"):
        notes_by_source(controls, RATE, DECLARED, "drums")
    with pytest.raises(DdspZooError, match="piano.*bass, drums"):
        notes_by_source(controls, RATE, DECLARED, "piano")


def test_midi_file_plays_the_notes_at_their_times(tmp_path):
    bass = [MidiNote(0.25, 0.75, 40, 100), MidiNote(0.75, 1.5, 40, 50)]
    path = tmp_path / "new" / "song.mid"
    write_midi(
        {"bass": bass, "Drums": [MidiNote(0.5, 0.6, 36, 127)], "E-Gitarre ♯": [MidiNote(0, 1, 60, 1)]}, path
    )
    file = mido.MidiFile(path, charset="utf-8")
    assert [track.name for track in file.tracks] == ["", "bass", "Drums", "E-Gitarre ♯"]
    programs = {m.channel: m.program for track in file.tracks for m in track if m.type == "program_change"}
    assert programs[0] == 33 and 9 in programs and len(programs) == 3
    now, played = 0.0, []
    for message in file:  # mido gives seconds here, by the tempo in the file
        now += message.time
        if message.type == "note_on":
            kind = "on" if message.velocity else "off"  # the standard's other way to end a note
            played.append((round(now, 3), kind, message.channel, message.note))
    assert [event for event in played if event[2] == 0] == [
        (0.25, "on", 0, 40),
        (0.75, "off", 0, 40),
        (0.75, "on", 0, 40),
        (1.5, "off", 0, 40),
    ]
    assert (0.5, "on", 9, 36) in played
    assert [p.name for p in path.parent.iterdir()] == ["song.mid"]


# --- files


def test_failed_writing_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ValueError), replaced_when_done(path) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DdspZooError, match="Cannot write .*song.mid"):
        write_midi({}, tmp_path / "file" / "song.mid")


CONTROLS = {
    "bass": {
        "f0_hz": np.array([0, 55.125, 110], np.float32),
        "noise": np.ones((3, 4)),
        "gain": np.full((3, 1), 0.5),
    },
    "rest": {"gain": np.array([[0.1], [0.2], [0.3]])},
}


def test_csv_holds_the_scalar_controls(tmp_path):
    write_controls_csv(CONTROLS, 50.0, tmp_path / "controls.csv")
    assert (tmp_path / "controls.csv").read_text().splitlines() == [
        "time_seconds,bass.f0_hz,bass.gain,rest.gain",
        "0,0,0.5,0.1",
        "0.02,55.125,0.5,0.2",
        "0.04,110,0.5,0.3",
    ]


@pytest.mark.parametrize(
    "controls, message",
    [
        ({"bass": {"noise": np.ones((3, 4))}}, "No control"),
        ({}, "No control"),
        ({"a": {"x": np.ones(3)}, "b": {"x": np.ones(4)}}, "differ in length"),
    ],
)
def test_controls_that_cannot_be_written(tmp_path, controls, message):
    with pytest.raises(DdspZooError, match=message):
        write_controls_csv(controls, 50.0, tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


# --- pictures


def separation(sources: int, seconds: float, rate: int = 8000, channels: int = 2) -> SimpleNamespace:
    """Stems that cycle through sinusoids with noise, plucked strings, noise only, and nothing."""
    random = np.random.default_rng(0)
    samples, frames = int(seconds * rate), max(1, int(seconds * RATE))
    f0 = np.full(frames, 110.0)
    kinds = [
        {"frequency_hz": f0[:, None] * np.arange(1, 9), "amplitude": random.random((frames, 8)), "f0_hz": f0},
        {"f0_hz": f0[:, None] * 2, "onset": f0 > 0, "damping": random.random((frames, 1))},
        {"noise_magnitude": random.random((frames, 65))},
        {},
    ]
    stems = {f"s{n}": random.standard_normal((channels, samples)).astype(np.float32) for n in range(sources)}
    return SimpleNamespace(
        stems=stems,
        mixture=sum(stems.values()),
        sample_rate=rate,
        control_rate_hz=RATE,
        maker=SimpleNamespace(declared=DECLARED),
        controls={name: kinds[n % 4] for n, name in enumerate(stems)},
    )


@pytest.mark.parametrize("sources, seconds, ending", [(1, 0.01, "png"), (4, 2.0, "png"), (6, 1.0, "pdf")])
def test_separations_of_any_size_are_drawn(tmp_path, sources, seconds, ending):
    path = tmp_path / f"plot.{ending}"
    figure = plot_separation(separation(sources, seconds), path)
    assert path.stat().st_size > 5000
    titles = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert {"mixture", *(f"s{n}" for n in range(sources))} <= set(titles)


def test_overlay_and_strips_show_the_controls():
    figure = plot_separation(separation(4, 1.004))  # not a whole number of control frames
    panels = {axes.texts[0].get_text(): axes for axes in figure.axes if axes.texts}
    shown = {"s1": 2, "s2": 0, "s3": 0}  # lines over the image: f0 and its outline
    assert {name: len(panels[name].lines) for name in shown} == shown
    heights = panels["s1"].lines[-1].get_ydata()
    np.testing.assert_allclose(heights[np.isfinite(heights)], 220)
    strokes = np.concatenate(
        [line.get_ydata() for line in panels["s0"].lines]
    )  # of sinusoids too, all opacities
    assert set(strokes[np.isfinite(strokes)]) == {110.0 * n for n in range(1, 9)}
    assert len({line.get_alpha() for line in panels["s0"].lines}) > 3
    assert panels["mixture"].get_xlim() == panels["onset: 1 where a note begins"].get_xlim() == (0, 1.004)
    assert {
        "amplitude (dB)",
        "onset: 1 where a note begins",
        "damping: how fast it dies away",
        "noise_magnitude (dB)",
    } <= set(panels)


def test_silent_and_broken_audio_is_drawn():
    case = separation(2, 0.5, channels=1)
    case.mixture = np.zeros_like(case.mixture)
    case.stems["s1"] = np.full_like(case.mixture, np.nan)
    pixels = figure_to_rgb(plot_separation(case))
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3 and pixels.std() > 1


def test_a_picture_of_another_kind_is_refused(tmp_path):
    with pytest.raises(DdspZooError, match="'plot.bmp'"):
        plot_separation(separation(1, 0.1), tmp_path / "plot.bmp")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rate, tone_hz", [(8000, 100), (44100, 100), (44100, 5000)])
def test_a_tone_lies_in_its_band_of_the_spectrogram(rate, tone_hz):
    tone = np.sin(2 * np.pi * tone_hz * np.arange(rate) / rate).astype(np.float32)[None]
    power = log_spectrogram(tone, rate)
    bands = np.geomspace(30, min(16000, rate / 2), len(power))
    loudest = bands[power[:, power.shape[1] // 2].argmax()]
    assert loudest == pytest.approx(tone_hz, rel=0.05)


def test_time_in_the_spectrogram_is_time_in_the_audio():
    rate, click = 8000, np.zeros((1, 8000 * 40), np.float32)
    click[0, 8000 * 10 : 8000 * 11] = np.random.default_rng(0).standard_normal(8000)
    power = log_spectrogram(click, rate)
    loud = np.flatnonzero(power.max(0) > power.max() - 20) / power.shape[1] * 40
    assert power.shape[1] == COLUMNS
    assert 9.8 < loud.min() < 10.1 and 10.9 < loud.max() < 11.2


def test_long_audio_and_controls_are_thinned_and_only_looked_at_in_windows():
    """Ten hours, of which a memory map of zeros stands for the audio, at the cost of minutes."""
    hours = np.broadcast_to(np.float32(0), (1, 36000 * 44100))
    assert log_spectrogram(hours, 44100).shape[1] == COLUMNS
    thinned, step = _every(np.arange(1_000_000.0)[:, None])
    assert len(thinned) <= 2 * COLUMNS and thinned[1] == step
    peaks = np.zeros((1_000_000, 1))
    peaks[::100_003] = 1
    assert _every(peaks, np.max)[0].sum() == 10  # no onset is lost


def test_controls_and_spectrograms_alone():
    controls = separation(2, 1.0).controls
    for named, lines in ((controls["s0"], 2), (controls["s1"], 3), ({}, 0)):
        figure = plot_controls(named, DECLARED, RATE, "bass")
        assert sum(bool(axes.lines) for axes in figure.axes) == lines
        assert figure_to_rgb(figure).ndim == 3
    figure = plot_spectrograms({"mixture": np.ones(4000), "short": np.ones((2, 2000))}, 8000)
    assert [axes.texts[0].get_text() for axes in figure.axes if axes.texts] == ["mixture", "short"]


def test_plots_leave_pyplot_alone():
    before = "matplotlib.pyplot" in sys.modules
    figure_to_rgb(plot_controls({"damping": np.ones((10, 1))}, DECLARED, RATE))
    assert ("matplotlib.pyplot" in sys.modules) == before
