"""`ddsp-zoo render` and `ddsp-zoo transfer`: what they leave, and the one sentence where they cannot."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from edits import choir_song, guitar_song, level_db

import ddsp_zoo
from ddsp_zoo import zoo
from ddsp_zoo.cli import main
from ddsp_zoo.export.midi import write_midi
from ddsp_zoo.models import DdspAutoencoder
from ddsp_zoo.music.midi import MidiNote

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two saved songs and a MIDI file of notes that are in neither."""
    folder = tmp_path_factory.mktemp("songs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ddsp_zoo.export.folder.plot_separation", lambda _, path: path.write_bytes(b""))
        choir_song().save(folder / "choir")
        guitar_song().save(folder / "guitar")
    write_midi(
        {"tenor": [MidiNote(t, t + 0.1, 60 + n, 90) for n, t in enumerate(np.arange(0, 2, 0.19))]},
        folder / "x.mid",
    )
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("choir", "guitar", "x.mid"):
        (tmp_path / name).symlink_to(made / name)
    return tmp_path


def render(edits: str, *more: str, folder: str = "choir") -> int:
    Path("edits.yaml").write_text(edits, encoding="utf-8")
    return main(["render", folder, "--edit", "edits.yaml", "--out", "out/new", *more])


ALL_STEPS = """
tenor:
  - transpose: 2
  - gain_db: -6
  - set:
      noise_gain: {times: 0.5}
      harmonic_amplitude: 0.2
  - notes:
      delete: [0]
      change: {1: {pitch: 52, velocity: 90}}
      add: [{start_seconds: 0.1, end_seconds: 0.5, pitch: 50, velocity: 100}]
bass: {stretch: 1.5}
"""


def test_render_does_what_the_file_says_and_leaves_what_opens(here: Path, capsys: Capture) -> None:
    assert render(ALL_STEPS) == 0
    assert "mixture.wav, edited tenor.wav, bass.wav" in capsys.readouterr().out
    song, new = ddsp_zoo.open("choir"), ddsp_zoo.open("out/new")
    assert new.samples == round(1.5 * song.samples)
    assert [note.pitch for note in new.edit("tenor").notes] == [50, 52, 54]
    edit = song.edit("tenor").transpose(2).gain_db(-6).set(noise_gain=lambda x: x / 2, harmonic_amplitude=0.2)
    np.testing.assert_allclose(
        new.controls["tenor"]["noise_gain"][80:140], edit.controls["noise_gain"][80:140], rtol=1e-6
    )
    mix, rate = sf.read("out/new/mixture.wav", dtype="float32")
    np.testing.assert_allclose(mix.T, new.mixture, atol=1e-6)
    assert rate == song.sample_rate


def test_render_filters_the_recorded_stems_where_it_is_told_so(here: Path) -> None:
    assert render("all: {gain_db: -6}", "--sound", "filtered", "--format", "flac") == 0
    song, new = ddsp_zoo.open("choir"), ddsp_zoo.open("out/new")
    for source, stem in song.stems.items():
        assert level_db(new.stems[source]) - level_db(stem) == pytest.approx(-6, abs=1e-3)
    assert render("all: {gain_db: -5}", "--format", "flac") == 0  # an edit of the same song is replaced


def test_steps_for_all_sources_and_for_one_are_done_one_after_the_other(here: Path, capsys: Capture) -> None:
    assert render("all: {gain_db: 20}\ntenor: [{transpose: 2}, {gain_db: 30}]", "--format", "flac") == 0
    song, new = ddsp_zoo.open("choir"), ddsp_zoo.open("out/new")
    assert [
        b.pitch - a.pitch for a, b in zip(song.edit("tenor").notes, new.edit("tenor").notes, strict=True)
    ] == [2, 2, 2]
    for source, gain_db in (("tenor", 50), ("bass", 20)):
        level = np.log10(
            new.controls[source]["harmonic_amplitude"] / song.controls[source]["harmonic_amplitude"]
        )
        np.testing.assert_allclose(20 * level, gain_db, atol=1e-4)
    assert "exceeds full scale" in capsys.readouterr().err


def test_a_midi_file_is_for_all_sources_that_play_notes(here: Path) -> None:
    song = ddsp_zoo.open("guitar")
    song.to_midi("all.mid")
    assert render("all: [{transpose: 1}, {midi: all.mid}, {gain_db: -3}]", folder="guitar") == 0
    new = ddsp_zoo.open("out/new")
    for source in song.controls:
        assert [n.pitch for n in new.edit(source).notes] == [n.pitch for n in song.edit(source).notes]


def test_a_song_of_a_synthesiser_of_ones_own_is_rendered_where_its_module_is_named(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(here)
    (here / "own_synth.py").write_text(
        "from ddsp_zoo.synths.source_filter import SourceFilter\n\n\nclass Own(SourceFilter):\n    pass\n"
    )
    shutil.copytree(here / "choir", here / "own")
    with np.load(here / "own/controls.npz") as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(str(arrays.pop("about")))
    about["synth"]["class_path"] = "own_synth.Own"
    np.savez_compressed(here / "own/controls.npz", about=np.array(json.dumps(about)), **arrays)
    assert render("tenor: {gain_db: 1}", folder="own") == 2
    _refused(capsys, "'own_synth.Own' is not built, .*--import MODULE")
    assert render("tenor: {gain_db: 1}", "--import", "own_synth", folder="own") == 0


def test_transfer_plays_one_with_another(here: Path, capsys: Capture) -> None:
    assert main(["transfer", "guitar:A2", "choir:tenor", "--out", "out/sung"]) == 0
    new, song = ddsp_zoo.open("out/sung"), ddsp_zoo.open("guitar")
    assert list(new.controls) == ["tenor"] and "tenor.wav" in capsys.readouterr().out
    assert [n.pitch for n in new.edit("tenor").notes] == [n.pitch for n in song.edit("A2").notes]


def save_flute(folder: Path) -> None:
    """An untrained model that plays by pitch and loudness, at another rate than the songs'."""
    torch.manual_seed(0)
    small = {"segment_seconds": 0.512, "width": 8, "harmonics": 8, "noise_bands": 9, "room_seconds": 0.05}
    zoo.save_checkpoint(DdspAutoencoder(("flute",), **small), folder)


def test_transfer_plays_a_source_with_a_model(here: Path, capsys: Capture) -> None:
    save_flute(here / "flute")
    options = ["--checkpoint", "flute", "--transpose", "12", "--out", "out/fluted"]
    assert main(["transfer", "choir:tenor", "flute", *options]) == 0
    assert "edited flute.wav" in capsys.readouterr().out
    new, song = ddsp_zoo.open("out/fluted"), ddsp_zoo.open("choir")
    assert list(new.stems) == ["flute"] and new.samples == song.samples
    np.testing.assert_allclose(new.residual, song.stems["bass"] + song.residual, atol=1e-6)
    np.testing.assert_allclose(new.render("flute"), new.synthesised["flute"], atol=1e-6)
    np.testing.assert_allclose(new.stems["flute"].mean(0), new.synthesised["flute"][0], atol=1e-5)
    pitches = [
        [note.pitch for note in one.edit(name).notes] for one, name in ((new, "flute"), (song, "tenor"))
    ]
    assert pitches[0] == [pitch + 12 for pitch in pitches[1]]


FAULTS = {
    "tenor: {transpose: 1}\nbass: {transpose: 2}\ntenor: {gain_db: 1}": "line 3: tenor stands twice",
    "tenor: {transpose: 1, transpose: 2}": "line 1: transpose stands twice",
    "tenor: &a [{set: {noise_gain: &b {times: *b}}}]": "times is|give a number",
    "": "edits.yaml names no source",
    "- 1": "names no source",
    "tenor: [": "edits.yaml, line 1.* is no YAML",
    "tenor: &a [*a]": "has a step",
    "flute: {transpose: 1}": "There is no source 'flute': choose one of tenor, bass",
    "tenor:": "has no steps for tenor",
    "tenor: louder": "has no steps for tenor",
    "all: [3]": "has a step 3 for tenor",
    "tenor: [transpose]": "has a step 'transpose' for tenor",
    "tenor: {transpos: 1}": "there is no step 'transpos': did you mean 'transpose'?",
    "tenor: {transpose: .nan}": "transpose takes a number",
    "tenor: {transpose: [1]}": "transpose takes a number",
    "tenor: {stretch: 0.000001}": "stretch takes a number",
    "tenor: {set: {colour: 1}}": "tenor/colour cannot be set",
    "tenor: {set: {noise_gain: .nan}}": "noise_gain is nan: give a number",
    "tenor: {set: {noise_gain: {by: 2}}}": "noise_gain is .*: give a number, or times and plus",
    "tenor: {set: {noise_magnitude: 1.0e+30, noise_gain: -1}}": "tenor/noise_gain is -1",
    "tenor: {set: {noise_gain: 0, harmonic_amplitude: 0}}": "Nothing of tenor would be left",
    "tenor: {set: 3}": "set takes controls and numbers",
    "tenor: {notes: {delete: [0, 1, 2]}}": "No note of tenor is left",
    "tenor: {notes: {delete: [7]}}": "tenor has no note 7: they go from 0 to 2",
    "tenor: {notes: {change: {0: {end_seconds: 0.9}}}}": "Two notes overlap on tenor",
    "tenor: {notes: {change: {0: {colour: 1}}}}": "a note has start_seconds",
    "tenor: {notes: {add: [{pitch: 40}]}}": "a note that is added needs start_seconds",
    "tenor: {notes: {remove: [0]}}": "notes takes change, delete and add",
    "tenor: {midi: none.mid}": "There is no file none.mid",
    "tenor: {midi: 3}": "midi takes the path of a file",
    "tenor: {midi: edits.yaml}": "edits.yaml is no MIDI file",
    "tenor: {midi: x.mid}": "x.mid is of another song",
}


@pytest.mark.parametrize("edits", FAULTS)
def test_a_file_of_edits_that_cannot_be_played_is_refused(edits: str, here: Path, capsys: Capture) -> None:
    assert render(edits) == 2
    _refused(capsys, FAULTS[edits])


@pytest.mark.parametrize(
    "arguments, words",
    [
        ("render choir --edit nothing.yaml --out out", "nothing.yaml cannot be read"),
        ("render nowhere --edit e.yaml --out out", "There is no nowhere/controls.npz"),
        ("render choir --out out", "required: --edit"),
        ("render choir --edit e.yaml --out choir", "choir is the separation itself"),
        (
            "render choir --edit up.yaml --out out --sound filtered",
            "pitches and times of what is recorded stay",
        ),
        ("render choir --edit up.yaml --out out --sound loud", "invalid choice: 'loud'"),
        ("render choir --edit up.yaml --out out --seed -1", "The seed is a whole number"),
        ("render choir --edit up.yaml --out guitar", "guitar holds a separation that nobody has edited"),
        ("transfer choir choir:tenor --out out", "'choir' names no folder and source"),
        ("transfer choir:tenor choir:flute --out out", "There is no source 'flute'"),
        ("transfer choir:tenor guitar:A2 --out guitar/", "guitar/ is the separation itself"),
        ("transfer choir:tenor voices --out out", "There is no model 'voices'"),
        ("transfer choir:tenor umss_2v --out out", "umss_2v separates high, low and has no sound of its own"),
        ("transfer choir:tenor umss_2v --transpose 99 --out out", "transpose takes a number from -48 to 48"),
    ],
)
def test_what_cannot_be_rendered_is_refused(arguments: str, words: str, here: Path, capsys: Capture) -> None:
    (here / "up.yaml").write_text("tenor: {transpose: 12}")
    assert main(arguments.split()) == 2
    _refused(capsys, words)


def _refused(capsys: Capture, words: str) -> None:
    """One sentence, and nothing was written."""
    import re

    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and re.search(words, line), line
    assert not Path("out").exists() and len(line) < 500
