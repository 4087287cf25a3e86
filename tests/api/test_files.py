"""Separating files into folders."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from tiny import RATE, Mirror, music, tiny_ast

import ddsp_zoo
from ddsp_zoo.api.ladder import separate, separate_file, separate_files
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.audio_format import AudioFormat
from ddsp_zoo.files import audio, owned
from ddsp_zoo.models import AstDdsp

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def model() -> AstDdsp:
    return tiny_ast()


@pytest.fixture
def song(tmp_path: Path) -> Path:
    """Three seconds of stereo at 22.05 kHz."""
    return write(tmp_path / "in" / "song.wav", music(66151, 2, 22050), 22050)


def write(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(exist_ok=True)
    sf.write(path, samples.T, rate, "FLOAT" if path.suffix == ".wav" else None)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_leaves_what_its_array_gives(model: AstDdsp, song: Path, tmp_path: Path) -> None:
    folder = separate_file(model, song, tmp_path / "out", seed=5)
    samples, rate = sf.read(song, dtype="float32")
    expected = separate(model, samples.T, rate, seed=5)
    parts = {"bass": expected.stems["bass"], "residual": expected.residual}
    for name, part in (parts | {"synthesised/bass": expected.synthesised["bass"]}).items():
        written, written_rate = sf.read(folder / f"{name}.wav", dtype="float32", always_2d=True)
        assert written_rate == rate
        np.testing.assert_allclose(written.T, part, rtol=0, atol=1e-6)
    total = sum(sf.read(folder / f"{name}.wav", dtype="float32")[0] for name in parts)
    np.testing.assert_allclose(total, samples, rtol=0, atol=1e-6)
    with np.load(folder / "controls.npz") as controls:
        for name, values in expected.controls["bass"].items():
            np.testing.assert_allclose(controls[f"bass/{name}"], values, rtol=1e-4, atol=1e-5)


def test_an_excerpt_leaves_what_its_samples_give(model: AstDdsp, song: Path, tmp_path: Path) -> None:
    folder = separate_file(model, song, tmp_path / "out", excerpt=audio.Excerpt(1, 0.5))
    samples, rate = sf.read(song, dtype="float32")
    expected = separate(model, samples[22050 : 22050 + 11025].T, rate)
    result = ddsp_zoo.open(folder)
    assert result.samples == 11025 and owned.made_from(folder)["excerpt_seconds"] == [1, 0.5]
    np.testing.assert_allclose(result.stems["bass"], expected.stems["bass"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(result.mixture, expected.mixture, rtol=0, atol=1e-6)


def test_same_file_twice_gives_exactly_the_same(model: AstDdsp, song: Path, tmp_path: Path) -> None:
    one, two = (separate_file(model, song, tmp_path / name) for name in ("one", "two"))
    for path in one.rglob("*.wav"):
        np.testing.assert_array_equal(sf.read(two / path.relative_to(one))[0], sf.read(path)[0])


def test_pitch_of_a_file(song: Path, tmp_path: Path) -> None:
    (tmp_path / "f0.csv").write_text("time_seconds,one\n0,100\n0.9,100\n1.8,100\n2.7,100\n")
    model = Mirror(("one",), needs_pitch=True)
    folder = separate_file(model, song, tmp_path / "out", pitch=tmp_path / "f0.csv")
    with np.load(folder / "controls.npz") as controls:
        np.testing.assert_allclose(controls["one/f0_hz"], 100, rtol=1e-6)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_at_a_terminal_only(
    song: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    separate_file(Mirror(), song, tmp_path / "out", progress=True)
    shown = capsys.readouterr().err
    assert ("song.wav" in shown and "/3" in shown) is terminal and "\n" not in shown
    separate_file(Mirror(), song, tmp_path / "out", progress=False)
    assert capsys.readouterr().err == ""


def test_clipped_flac_is_told_and_wav_is_not(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    loud = write(tmp_path / "in" / "loud.wav", 3 * music(5000))
    separate_file(Mirror(), loud, tmp_path / "wav")
    assert capsys.readouterr().err == ""
    separate_file(Mirror(), loud, tmp_path / "flac", "flac")
    (line,) = capsys.readouterr().err.splitlines()
    assert "loud.wav" in line and "write WAV" in line and "clipped" in line


def test_every_file_gets_a_folder_of_its_name(model: AstDdsp, song: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "in" / "my other.take.flac", music(3000))
    folders = separate_files(model, [song, str(other)], tmp_path / "out")
    assert folders == [tmp_path / "out" / "song", tmp_path / "out" / "my other.take"]
    assert all((folder / "bass.wav").exists() for folder in folders)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("{model}/{track}", "Mirror/song"), ("a {track}{track}", "a songsong"), ("fixed", "fixed"), (".", ".")],
)
def test_folders_are_named_as_asked(song: Path, tmp_path: Path, name: str, folder: str) -> None:
    (made,) = separate_files(Mirror(), [song], tmp_path / "out", name=name)
    assert made == tmp_path / "out" / folder and owned.is_complete(made)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{stem}", "has other fields than {track} and {model}"),
        ("{track.parent}", "has other fields"),
        ("{track", "has other fields"),
        ("../{track}", "is none of a folder in .*out: write it as {model}/{track}"),
        ("/{track}", "is none of a folder"),
        (" ", "is none of a folder"),
        ("fixed", "Two inputs would both go to .*fixed"),
    ],
)
def test_names_that_are_none(song: Path, tmp_path: Path, name: str, words: str) -> None:
    other = write(tmp_path / "in" / "other.wav", music(3000))
    with pytest.raises(DdspZooError, match=words):
        separate_files(Mirror(), [song, other], tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


def test_a_field_in_the_name_of_a_file_is_no_field(tmp_path: Path) -> None:
    odd = write(tmp_path / "in" / "{model} {x}.wav", music(3000))
    (made,) = separate_files(Mirror(), [odd], tmp_path / "out", name="{track}")
    assert made == tmp_path / "out" / "{model} {x}"


@pytest.mark.parametrize("second", ["in/song.flac", "elsewhere/song.wav", "in/song.wav"])
def test_two_inputs_with_one_name_are_refused_before_any_work(
    song: Path, tmp_path: Path, second: str
) -> None:
    other = write(tmp_path / second, music(3000))
    with pytest.raises(DdspZooError, match="out/song"):
        separate_files(Mirror(), [song, other], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_cannot_be_separated_do_not_stop_the_others(song: Path, tmp_path: Path) -> None:
    broken = write(tmp_path / "in" / "broken.wav", np.where(np.arange(9000) == 8000, np.nan, music(9000)))
    done: list[Path] = []
    with pytest.raises(DdspZooError, match="^2 of 3 files could not.*missing.wav; .*broken.wav .*not finite"):
        paths = [tmp_path / "missing.wav", broken, song]
        separate_files(Mirror(), paths, tmp_path / "out", done=done.append)
    assert done == [tmp_path / "out" / "song"] and names(tmp_path / "out") == ["song"]
    with pytest.raises(DdspZooError, match="^There is no file .*missing.wav.$"):
        separate_files(Mirror(), [tmp_path / "missing.wav"], tmp_path / "out")


def test_what_is_wrong_with_all_files_alike_is_told_once(song: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "in" / "other.wav", music(3000))
    with pytest.raises(DdspZooError, match="^This model needs the pitch"):
        separate_files(Mirror(("one",), needs_pitch=True), [song, other], tmp_path / "out")
    with pytest.raises(DdspZooError, match="^Mirror takes no pitch: leave `pitch=` out.$"):
        separate_files(Mirror(), [song, other], tmp_path / "out", pitch="crepe")
    with pytest.raises(DdspZooError, match="^Mirror takes no pitch"):
        separate(Mirror(), song, pitch=tmp_path / "f0.csv")
    assert not (tmp_path / "out").exists()


def test_every_recording_has_a_pitch_of_its_own(song: Path, tmp_path: Path) -> None:
    model, pitches = Mirror(("one",), needs_pitch=True), tmp_path / "f0"
    paths = [song, write(tmp_path / "in" / "other.wav", music(66151, 1, 22050), 22050)]
    pitches.mkdir()
    for hz, path in zip((100, 200), paths):
        lines = "".join(f"{second},{hz}\n" for second in (0, 0.9, 1.8, 2.7))
        (pitches / f"{path.stem}.csv").write_text("time_seconds,one\n" + lines)
    with pytest.raises(DdspZooError, match="One pitch belongs to one recording.*`pitch=` a folder"):
        separate_files(model, paths, tmp_path / "out", pitch=pitches / "song.csv")
    assert not (tmp_path / "out").exists()
    for hz, result in zip((100, 200), separate_files(model, paths, tmp_path / "out", pitch=pitches)):
        with np.load(result / "controls.npz") as controls:
            np.testing.assert_allclose(controls["one/f0_hz"], hz, rtol=1e-6)
    separate_files(model, paths[1:], tmp_path / "alone", pitch=pitches)
    (pitches / "other.csv").unlink()
    with pytest.raises(DdspZooError, match="1 of 2 files.*no pitch of .*other.wav: put other.csv"):
        separate_files(model, paths, tmp_path / "out", pitch=pitches)


def test_existing_results_are_passed_over_when_asked(song: Path, tmp_path: Path) -> None:
    model = Mirror()
    other = write(tmp_path / "in" / "other.wav", music(3000))
    separate_files(model, [song], tmp_path / "out")
    kept = (tmp_path / "out/song/controls.npz").stat().st_mtime_ns
    seen = len(model.segments)
    folders = separate_files(model, [song, other], tmp_path / "out", skip_existing=True)
    assert names(tmp_path / "out") == ["other", "song"] and len(folders) == 2
    assert (tmp_path / "out/song/controls.npz").stat().st_mtime_ns == kept
    assert len(model.segments) == seen + 1
    separate_files(model, [song], tmp_path / "out")
    assert (tmp_path / "out/song/controls.npz").stat().st_mtime_ns > kept


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"seed": 1},
        {"audio_format": "flac"},
        {"excerpt": audio.Excerpt(0, 2)},
        {"audio_format": AudioFormat("wav", 16)},
        {"leave_out": ["plot"]},
        {"missing": "all.wav"},
    ],
)
def test_only_what_is_there_and_was_made_alike_is_passed_over(
    song: Path, tmp_path: Path, changed: dict[str, object]
) -> None:
    model, folder = Mirror(), tmp_path / "out" / "song"
    separate_files(model, [song], tmp_path / "out")
    if missing := changed.pop("missing", None):
        (folder / str(missing)).unlink()
    seen = len(model.segments)
    separate_files(model, [song], tmp_path / "out", skip_existing=True, **changed)
    assert (len(model.segments) > seen) is bool(changed or missing)
    assert owned.is_complete(folder)


def test_what_another_model_has_left_is_not_passed_over(song: Path, tmp_path: Path) -> None:
    separate_files(Mirror(), [song], tmp_path / "out")
    other = Mirror()
    other.weights_sha256 = "other"
    owned.claim(tmp_path / "empty" / "song", [])
    for out in (tmp_path / "empty",):  # a folder without results is none
        separate_files(other, [song], out, skip_existing=True)
        assert (out / "song" / "all.wav").exists()
    other.name = "other"
    with pytest.raises(DdspZooError, match="holds what Mirror has made"):
        separate_files(other, [song], tmp_path / "out", skip_existing=True)


@pytest.mark.parametrize("earlier", [False, True])
def test_a_bad_sample_late_in_a_file_leaves_nothing_new(tmp_path: Path, earlier: bool) -> None:
    samples = music(900_000)
    path = write(tmp_path / "in" / "song.wav", samples[:, :9000])
    if earlier:
        separate_files(Mirror(), [path], tmp_path / "out")
    before = {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")}
    samples[0, -5] = np.nan
    write(path, samples)
    assert next(audio.read_blocks(path)).shape[1] < 890_000  # found only after pieces were written
    with pytest.raises(DdspZooError, match="song.wav.*not finite"):
        separate_files(Mirror(), [path], tmp_path / "out", overwrite=True)
    assert names(tmp_path) == (["in", "out"] if earlier else ["in"])
    assert names(tmp_path / "out") == (["song"] if earlier else [])
    assert {file: file.read_bytes() for file in (tmp_path / "out").rglob("*.*")} == before


def test_the_input_itself_is_never_replaced(tmp_path: Path) -> None:
    path = write(tmp_path / "song" / "song.wav", music(3000))
    before = path.read_bytes()
    separate_files(Mirror(), [path], tmp_path)
    separate_files(Mirror(("song",)), [write(tmp_path / "song" / "other.wav", music(3000))], tmp_path)
    assert path.read_bytes() == before
    with pytest.raises(DdspZooError, match="song/song.wav would be replaced"):
        separate_files(Mirror(("song",)), [path], tmp_path, overwrite=True)
    assert path.read_bytes() == before


def test_results_of_two_models_or_recordings_do_not_share_a_folder(song: Path, tmp_path: Path) -> None:
    one, two, out = Mirror(), Mirror(), tmp_path / "out"
    two.name = "other"
    separate_files(one, [song], out)
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    with pytest.raises(DdspZooError, match="out/song holds what Mirror has made: choose another folder"):
        separate_files(two, [song], out)
    assert not two.segments  # before the separation
    with pytest.raises(DdspZooError, match="what Mirror has made of another recording"):
        separate_files(one, [write(tmp_path / "elsewhere" / "song.wav", music(3000))], out)
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    separate_files(two, [song], out, overwrite=True)
    assert owned.made_from(out / "song")["model"] == "other"


def test_a_result_is_the_same_from_a_file_and_from_memory(model: AstDdsp, song: Path, tmp_path: Path) -> None:
    folder = separate_file(model, song, tmp_path / "out")
    separate(model, song).save(folder)
    opened = ddsp_zoo.open(folder)
    opened.save(folder)
    samples, rate = sf.read(song, dtype="float32")
    with pytest.raises(DdspZooError, match="another recording"):
        separate(model, 0.5 * samples.T, rate).save(folder)


def test_audio_of_ones_own_beside_a_result_is_not_taken_for_it(
    model: AstDdsp, song: Path, tmp_path: Path
) -> None:
    folder = separate_file(model, song, tmp_path / "out", "flac")
    expected = ddsp_zoo.open(folder).stems["bass"]
    for place in (folder, folder / "synthesised"):
        write(place / "bass.wav", music(3000))
    np.testing.assert_array_equal(ddsp_zoo.open(folder).stems["bass"], expected)
    assert ddsp_zoo.open(folder).synthesised["bass"].shape[1] == expected.shape[1]


def test_a_list_that_leads_out_of_its_folder_by_a_link_removes_nothing(
    model: AstDdsp, song: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "home" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("mine")
    folder = separate_file(model, song, tmp_path / "out")
    (folder / "link").symlink_to(precious.parent)
    listed = json.loads((folder / "ddsp_zoo.json").read_text())
    listed["files"] += ["link/precious.txt", "../home/precious.txt", str(precious)]
    (folder / "ddsp_zoo.json").write_text(json.dumps(listed))
    separate_file(model, song, folder)
    assert precious.read_text() == "mine"


def test_a_function_is_told_how_far_it_is_and_stops_it_by_an_error(model: AstDdsp, tmp_path: Path) -> None:
    path, told = write(tmp_path / "in" / "long.wav", music(40 * RATE)), list[tuple[float, float]]()

    def stop(done: float, total: float) -> None:
        raise DdspZooError("That is enough.")

    separate_file(model, path, tmp_path / "whole", progress=lambda done, total: told.append((done, total)))
    assert told == sorted(told) and len(told) > 5 and told[-1] == (40, 40) and told[0][0] < 20
    with pytest.raises(DdspZooError, match="^That is enough.$"):
        separate_file(model, path, tmp_path / "stopped", progress=stop)
    assert names(tmp_path) == ["in", "whole"]


# ---- several files at a time


@pytest.mark.slow
def test_processes_leave_what_one_leaves_and_stop_at_no_faulty_file(
    model: AstDdsp, song: Path, tmp_path: Path
) -> None:
    others = [write(tmp_path / "in" / f"{name}.wav", music(9000, seed=n)) for n, name in enumerate("ab")]
    (tmp_path / "in/broken.wav").write_text("no audio")
    files, told = [song, tmp_path / "in/broken.wav", *others], []
    with pytest.raises(DdspZooError, match=r"1 of 4 files could not be separated: .*broken\.wav"):
        separate_files(model, files, tmp_path / "both", done=told.append, jobs=2)
    assert sorted(folder.name for folder in told) == ["a", "b", "song"] == names(tmp_path / "both")
    separate_files(model, [song, *others], tmp_path / "one")
    for folder in ("song", "a", "b"):
        for name in ("bass.wav", "residual.wav"):
            both, one = (sf.read(tmp_path / out / folder / name)[0] for out in ("both", "one"))
            np.testing.assert_allclose(both, one, rtol=0, atol=1e-6)


def test_several_files_at_a_time_need_the_cpu(song: Path, tmp_path: Path) -> None:
    model = Mirror()
    model.device = torch.device("cuda")
    with pytest.raises(DdspZooError, match="need the CPU, not cuda: leave `jobs` out"):
        separate_files(model, [song], tmp_path / "out", jobs=2)
