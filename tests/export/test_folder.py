"""The folder of a separation: exact, complete or absent."""

import json
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from tiny import RATE, music

import ddsp_zoo
from ddsp_zoo.api.result import Separation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.audio_format import LARGEST_WAV, AudioFormat
from ddsp_zoo.export.folder import OutputFolder, save_pieces
from ddsp_zoo.files import owned
from ddsp_zoo.separation.result import Maker
from ddsp_zoo.synths.control import Control, heard_notes

FILES = ["notes.mid", "bass.{0}", "controls.npz", "ddsp_zoo.json", "lead.{0}", "overview.png", "residual.{0}"]
SOURCES = ("bass", "lead")
DECLARED = {"f0_hz": heard_notes(RATE)[0], "amplitude": Control("amplitude", "1", "", size=2, role="level")}
SYNTHESISED = ["bass.{0}", "lead.{0}"]


pytestmark = pytest.mark.usefixtures("undrawn")


def separation(frames: int = 4000, channels: int = 2, gain: float = 1.0) -> Separation:
    """Two stems of noise, and one control frame every hundred samples."""
    stems = {name: gain * music(frames, channels, seed=seed) for seed, name in enumerate(("bass", "lead"))}
    mixture = music(frames, channels, seed=9)
    count = frames // 100
    f0 = np.linspace(100, 200, count, dtype=np.float32)
    named = {"f0_hz": f0, "amplitude": np.stack([f0, f0], 1) / 1000}
    return Separation(
        mixture=mixture,
        stems=stems,
        synthesised={name: audio[:1] for name, audio in stems.items()},
        residual=mixture - sum(stems.values()),
        controls={"bass": named, "lead": named},
        sample_rate=RATE,
        maker=Maker("some", "", "0", SOURCES, RATE, 100, 0, DECLARED, None),
    )


def pieces(whole: Separation, size: int = 1000) -> Iterator[Separation]:
    """The same as consecutive pieces."""
    for start in range(0, whole.mixture.shape[1], size):
        span, frames = slice(start, start + size), slice(start // 100, (start + size) // 100)
        yield replace(
            whole,
            mixture=whole.mixture[:, span],
            residual=whole.residual[:, span],
            stems={name: audio[:, span] for name, audio in whole.stems.items()},
            synthesised={name: audio[:, span] for name, audio in whole.synthesised.items()},
            controls={s: {k: v[frames] for k, v in named.items()} for s, named in whole.controls.items()},
        )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: Path) -> np.ndarray:
    audio, rate = sf.read(path, dtype="float32", always_2d=True)
    assert rate == RATE
    return audio.T


@pytest.mark.parametrize("kind, subtype", [("wav", "FLOAT"), ("flac", "PCM_24")])
def test_folder_holds_stems_residual_synthesised_controls_and_a_picture(
    tmp_path: Path, kind: str, subtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the real picture
    folder = separation().save(tmp_path / "new" / "song", kind)
    assert folder == tmp_path / "new" / "song" and names(tmp_path / "new") == ["song"]
    assert names(folder) == sorted([file.format(kind) for file in FILES] + ["synthesised"])
    assert names(folder / "synthesised") == [file.format(kind) for file in SYNTHESISED]
    assert {sf.info(path).subtype for path in folder.rglob(f"*.{kind}")} == {subtype}
    assert (folder / "overview.png").read_bytes().startswith(b"\x89PNG")


def test_wav_is_exact_even_beyond_full_scale(tmp_path: Path) -> None:
    whole = separation(gain=5.0)
    folder = whole.save(tmp_path / "song")
    assert np.abs(whole.stems["bass"]).max() > 1
    for name, audio in (whole.stems | {"residual": whole.residual}).items():
        np.testing.assert_array_equal(read(folder / f"{name}.wav"), audio)
    for name, audio in whole.synthesised.items():
        np.testing.assert_array_equal(read(folder / "synthesised" / f"{name}.wav"), audio)


def test_flac_is_exact_to_24_bits(tmp_path: Path) -> None:
    whole = separation()
    folder = whole.save(tmp_path / "song", "flac")
    np.testing.assert_allclose(read(folder / "bass.flac"), whole.stems["bass"], rtol=0, atol=2**-23)


@pytest.mark.parametrize(
    ("form", "subtype", "step"),
    [
        (AudioFormat("wav", 16), "PCM_16", 2**-15),
        (AudioFormat("wav", 24), "PCM_24", 2**-23),
        (AudioFormat("wav", 32), "FLOAT", 0),
        (AudioFormat("flac", 16), "PCM_16", 2**-15),
        (AudioFormat("mp3"), "MPEG_LAYER_III", 0.3),
    ],
)
def test_other_bits_and_mp3(tmp_path: Path, form: AudioFormat, subtype: str, step: float) -> None:
    whole = separation()
    folder = whole.save(tmp_path / "song", form)
    assert sf.info(folder / f"bass.{form.name}").subtype == subtype
    opened = ddsp_zoo.open(folder)
    assert opened.samples == opened.stems["bass"].shape[1] == 4000
    for name, audio in opened.stems.items():
        np.testing.assert_allclose(audio, whole.stems[name], rtol=0, atol=step)


@pytest.mark.parametrize(
    "form", [AudioFormat("wav", clip="clamp"), AudioFormat("wav", 16), AudioFormat("mp3")]
)
def test_what_exceeds_full_scale_is_cut_off(tmp_path: Path, form: AudioFormat) -> None:
    whole = separation(gain=3.0)
    folder = whole.save(tmp_path / "song", form)
    limited = np.clip(whole.stems["bass"], -1, 1)
    np.testing.assert_allclose(
        read(folder / f"bass.{form.name}"), limited, rtol=0, atol=0.5 if form.name == "mp3" else 2**-15
    )


@pytest.mark.parametrize("form", [("wav", None), ("wav", 16), ("flac", 24)])
def test_rescaled_audio_keeps_its_relations_and_opens_at_its_level(
    tmp_path: Path, form: tuple[str, int | None], capsys: pytest.CaptureFixture
) -> None:
    whole = separation(gain=3.0)
    folder = whole.save(tmp_path / "song", AudioFormat(*form, clip="rescale"))
    peak = max(np.abs(audio).max() for audio in (*whole.stems.values(), whole.residual))
    written = {name: read(folder / f"{name}.{form[0]}") for name in ("bass", "lead", "residual")}
    np.testing.assert_allclose(sum(written.values()), 0.99 / peak * whole.mixture, rtol=0, atol=2**-13)
    assert max(np.abs(audio).max() for audio in written.values()) == pytest.approx(0.99, abs=1e-4)
    opened = ddsp_zoo.open(folder)
    np.testing.assert_allclose(opened.mixture, whole.mixture, rtol=0, atol=2**-10)
    np.testing.assert_allclose(opened.synthesised["lead"], whole.synthesised["lead"], rtol=0, atol=2**-10)
    assert "quieter" in capsys.readouterr().err and not list(folder.rglob("*.draft"))


def test_what_stays_below_full_scale_is_not_rescaled(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole = separation(gain=0.3)
    folder = whole.save(tmp_path / "song", AudioFormat("wav", clip="rescale"))
    assert "gain" not in json.loads((folder / "ddsp_zoo.json").read_text()) and capsys.readouterr().err == ""
    np.testing.assert_array_equal(read(folder / "bass.wav"), whole.stems["bass"])


@pytest.mark.parametrize("gain", [0, "0.5", -1.0, 2.0])
def test_a_gain_that_is_none_is_refused(tmp_path: Path, gain: object) -> None:
    folder = separation(gain=3.0).save(tmp_path / "song", AudioFormat(clip="rescale"))
    about = json.loads((folder / "ddsp_zoo.json").read_text())
    (folder / "ddsp_zoo.json").write_text(json.dumps(about | {"gain": gain}))
    with pytest.raises(
        DdspZooError, match="says that its audio was rescaled by .*separate the recording again"
    ):
        ddsp_zoo.open(folder)


@pytest.mark.parametrize("clip", ["none", "rescale"])
def test_mp3_of_a_rate_that_it_lacks_leaves_nothing(tmp_path: Path, clip: str) -> None:
    whole = replace(separation(), sample_rate=96000)
    with pytest.raises(DdspZooError, match="MP3 has no sample rate of 96000 Hz: write WAV or FLAC"):
        whole.save(tmp_path / "song", AudioFormat("mp3", clip=clip))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (("flac", 32), "FLAC has 24 or 16 bits, not 32"),
        (("mp3", 16), "MP3 has no bits, not 16"),
        (("wav", 8), "WAV has 32 or 24 or 16 bits, not 8"),
        (("wav", None, "tanh"), "Clipping is one of none, clamp, rescale, not 'tanh'"),
    ],
)
def test_formats_that_there_are_not(form: tuple, words: str) -> None:
    with pytest.raises(DdspZooError, match=words):
        AudioFormat(*form)


@pytest.mark.parametrize("parts", [("plot",), ("controls",), ("controls", "plot", "plot")])
def test_parts_that_are_left_out(tmp_path: Path, parts: tuple[str, ...]) -> None:
    separation().save(tmp_path / "song")
    folder = separation().save(tmp_path / "song", leave_out=parts)
    gone = {"plot": "overview.png", "controls": "controls.npz"}
    there = {file.format("wav") for file in [*FILES, "synthesised"]} - {gone[part] for part in parts}
    assert names(folder) == sorted(there) and owned.is_complete(folder)
    if "controls" not in parts:
        assert ddsp_zoo.open(folder).stems["bass"].shape == (2, 4000)
        return
    with pytest.raises(
        DdspZooError, match="song was saved without its controls, and opening needs them: separate"
    ):
        ddsp_zoo.open(folder)


def test_parts_that_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="'stems' cannot be left out of a result: only controls or plot"):
        separation().save(tmp_path / "song", leave_out=["stems"])
    assert names(tmp_path) == []


def test_pieces_leave_what_the_whole_leaves(tmp_path: Path) -> None:
    whole = separation()
    whole.save(tmp_path / "whole")
    output = save_pieces(pieces(whole), tmp_path / "pieces", SOURCES)
    for path in (tmp_path / "whole").rglob("*.wav"):
        other = tmp_path / "pieces" / path.relative_to(tmp_path / "whole")
        np.testing.assert_array_equal(read(other), read(path))
    loudest = max(np.abs(audio).max() for audio in (*whole.stems.values(), whole.residual))
    assert output.peak == pytest.approx(loudest)
    with np.load(tmp_path / "whole/controls.npz") as one, np.load(tmp_path / "pieces/controls.npz") as other:
        assert set(one) == set(other) and len(one["bass/f0_hz"]) == 40
        assert all(np.array_equal(one[key], other[key]) for key in one)
        np.testing.assert_array_equal(one["bass/amplitude"], whole.controls["bass"]["amplitude"])


def test_an_earlier_separation_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    folder = separation().save(tmp_path / "song", "flac")
    theirs = ["my take.wav", "synthesised/mine.wav", ".DS_Store", ".git/config", "deep/er/notes.txt"]
    for name in theirs:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    for kind in ("wav", "flac", "wav"):
        separation().save(folder, kind)
        assert all((folder / name).read_text() == "mine" for name in theirs)
        ours = [
            *(file.format(kind) for file in FILES),
            *(f"synthesised/{x}".format(kind) for x in SYNTHESISED),
        ]
        assert sorted(everything(folder)) == sorted([*ours, *theirs])
    assert names(tmp_path) == ["song"]


def everything(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def test_a_separation_goes_beside_whatever_a_folder_holds(tmp_path: Path) -> None:
    project = tmp_path / "proj"
    for name in (".git/HEAD", "song.wav", "main.py"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("mine")
    separation().save(project)
    separation().save(project)
    assert {path.format("wav") for path in FILES} | {".git", "song.wav", "main.py"} <= set(names(project))
    assert all((project / name).read_text() == "mine" for name in (".git/HEAD", "song.wav", "main.py"))


@pytest.mark.parametrize("inside", ["bass.wav", "controls.npz", "synthesised/lead.wav", "synthesised"])
def test_a_file_that_no_list_names_is_never_replaced(tmp_path: Path, inside: str) -> None:
    folder = tmp_path / "precious"
    (folder / inside).parent.mkdir(parents=True)
    (folder / inside).write_text("mine")
    with pytest.raises(DdspZooError, match=f"precious/{inside} would be replaced.*another folder"):
        separation().save(folder, overwrite=True)
    assert (folder / inside).read_text() == "mine" and everything(folder) == [inside]


@pytest.mark.parametrize("content", ["", "[]", '{"files": 3}', '{"files": [5]}'])
def test_a_damaged_list_names_nothing(tmp_path: Path, content: str) -> None:
    folder = separation().save(tmp_path / "song")
    (folder / "ddsp_zoo.json").write_text(content)
    with pytest.raises(DdspZooError, match="would be replaced"):
        separation().save(folder)


def test_a_list_cannot_name_what_lies_outside(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    folder = separation().save(tmp_path / "song")
    bad = ["../mine.txt", str(tmp_path / "mine.txt"), "synthesised/../../mine.txt"]
    (folder / "ddsp_zoo.json").write_text(json.dumps({"files": [*everything(folder), *bad]}))
    separation().save(folder)
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"maker": replace(separation().maker, model="other")}, "what some has made"),
        ({"maker": replace(separation().maker, weights_sha256="b")}, "what other weights of some"),
        ({"recording_sha256": "d"}, "of another recording"),
    ],
)
def test_what_another_model_or_recording_gave_is_replaced_only_when_asked(
    tmp_path: Path, changed: dict[str, object], words: str
) -> None:
    first = replace(separation(), maker=replace(separation().maker, weights_sha256="a"), recording_sha256="c")
    folder = first.save(tmp_path / "song")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    second = replace(first, **changed)
    with pytest.raises(DdspZooError, match=f"song holds.*{words}.*`overwrite=`"):
        second.save(folder)
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before
    second.save(folder, overwrite=True)
    assert (folder / "ddsp_zoo.json").read_bytes() != before[folder / "ddsp_zoo.json"]


def test_a_folder_behind_a_link_is_filled_and_a_link_to_nowhere_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "song").symlink_to(tmp_path / "disk")
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    for _ in range(2):
        separation().save(tmp_path / "song")
    assert (tmp_path / "song").is_symlink() and (tmp_path / "disk" / "bass.wav").exists()
    with pytest.raises(DdspZooError, match="lost is a link to a folder that is not there"):
        OutputFolder(tmp_path / "lost", SOURCES).__enter__()
    assert names(tmp_path) == ["disk", "lost", "song"]


def test_a_folder_that_is_a_disk_of_its_own_is_filled_from_within(tmp_path: Path) -> None:
    (tmp_path / "song").mkdir()
    with OutputFolder(tmp_path / "song", SOURCES) as output:
        assert [path.name for path in tmp_path.iterdir()] == [
            "song"
        ]  # nothing has to be moved in from outside
        output.write(separation())


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "song").mkdir()
    separation().save(tmp_path / "song")
    assert (tmp_path / "song" / "bass.wav").exists()


@pytest.mark.parametrize("place", ["file/song", "file/deep/song", "file"])
def test_a_place_that_cannot_be_written_is_named_and_left_as_it_was(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DdspZooError, match=f"Cannot write to .*{place}.*another folder"):
        separation().save(tmp_path / place)
    assert names(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "mine"


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))  # the system then refuses larger files
    try:
        with pytest.raises(DdspZooError, match="Cannot write to .*song"):
            save_pieces(pieces(separation(100_000)), tmp_path / "song", SOURCES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


@pytest.mark.parametrize("problem", [DdspZooError("no"), RuntimeError("no"), KeyboardInterrupt()])
def test_an_error_on_the_way_leaves_nothing_and_keeps_the_earlier_result(
    tmp_path: Path, problem: BaseException
) -> None:
    def breaking_off() -> Iterator[Separation]:
        yield from list(pieces(separation()))[:2]
        raise problem

    folder = separation().save(tmp_path / "song")
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    for target in (folder, tmp_path / "other", tmp_path / "new/deep/song"):
        with pytest.raises(type(problem)):
            save_pieces(breaking_off(), target, SOURCES)
    assert names(tmp_path) == ["song"]
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_an_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="wav, flac or mp3.*'aac'"):
        separation().save(tmp_path / "song", "aac")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "frames, channels, expected",
    [
        (LARGEST_WAV // 8 + 1, 2, "RF64"),
        (LARGEST_WAV // 8 - 2000, 2, "WAV"),
        (LARGEST_WAV // 8 + 1, 1, "WAV"),
        (0, 1, "WAV"),
    ],
)
def test_wav_of_more_than_4_gib_gets_the_header_for_it(
    tmp_path: Path, frames: int, channels: int, expected: str
) -> None:
    whole = separation(channels=channels)
    with OutputFolder(tmp_path / "song", SOURCES, "wav", frames) as output:
        output.write(whole)
    assert sf.info(tmp_path / "song" / "bass.wav").format == expected
    np.testing.assert_array_equal(read(tmp_path / "song" / "bass.wav"), whole.stems["bass"])
