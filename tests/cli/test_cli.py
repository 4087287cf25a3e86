"""The command line: what it does, and the one sentence in which it says what it cannot do."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from tiny import RATE, music, save_tiny_ast

import ddsp_zoo
from ddsp_zoo import zoo
from ddsp_zoo.cli import COMMANDS, main
from ddsp_zoo.cli.parser import device
from ddsp_zoo.cli.signals import ended_in_order
from ddsp_zoo.models import KarplusStrongStrings

ROOT = Path(__file__).resolve().parents[2]
Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder and a cache of the test's own, and no settings from outside."""
    for variable in ("DDSP_ZOO_CHECKPOINTS", "DDSP_ZOO_HUB", "GUITARSET_ROOT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_ast(tmp_path_factory.mktemp("checkpoints") / "tiny")


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write(tmp_path / "song.wav", music(20000, 2))


def write(path: Path, samples: np.ndarray) -> Path:
    sf.write(path, samples.T, RATE, "FLOAT")
    return path


def refusal(capsys: Capture, *arguments: object) -> str:
    """The only line on stderr of a command that must fail, without the program's name."""
    capsys.readouterr()
    assert main([str(argument) for argument in arguments]) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == "" and line.startswith("ddsp-zoo: ") and line[-1] in ".?)" and len(line) < 500
    return line.removeprefix("ddsp-zoo: ")


# What it does


def test_help_names_every_command(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in (*COMMANDS, "fit", "validate", "test"))
    assert main([]) == 2


@pytest.mark.parametrize("command", [*COMMANDS, "fit", "test"])
def test_every_command_has_help(command: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    usage = capsys.readouterr().out.splitlines()[0]
    assert end.value.code == 0 and usage.startswith("usage: ddsp-zoo ") and command in usage


def test_version(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == ddsp_zoo.__version__


def test_list_has_a_line_for_every_model(capsys: Capture) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == zoo.list_models() and len(lines) > 1
    assert all(zoo.info(line.split()[0])["summary"] in line for line in lines)


@pytest.mark.parametrize("name", zoo.list_models())
def test_info_says_what_a_model_is(name: str, capsys: Capture) -> None:
    assert main(["info", name]) == 0
    text = capsys.readouterr().out
    row, _ = json.JSONDecoder().raw_decode(text)
    assert row["name"] == name and row["sources"] == zoo.info(name)["sources"] and row["sample_rate"] > 0
    assert (zoo.info(name)["card"] or "no card yet") in text


def test_only_some_stems_of_the_files_in_a_folder(tmp_path: Path, capsys: Capture) -> None:
    save_tiny_ast(tmp_path / "tiny", sources=["bass", "drums", "guitar", "rest"])
    (tmp_path / "songs").mkdir()
    for name in ("a.wav", "b.wav", ".hidden.wav"):
        write(tmp_path / "songs" / name, music(3000))
    (tmp_path / "songs" / "notes.txt").write_text("no audio")
    command = [
        "separate",
        "songs",
        "--checkpoint",
        str(tmp_path / "tiny"),
        "--device",
        "auto",
        "--out",
        "out",
    ]
    some = ["--stems", "guitar,bass"]
    part = ["--start", "0.1", "--duration", "0.2"]
    assert main([*command, *part, "--format", "mp3", "--clip", "clamp"]) == 0
    assert ddsp_zoo.open(tmp_path / "out/a").stems["drums"].shape == (1, 1600)
    capsys.readouterr()
    assert main([*command, *part, "--bits", "16", "--two-stems", "drums", "--no-plot", "--no-controls"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "out/a: stems, residual, synthesised/"
    left = sorted(path.name for path in (tmp_path / "out/a").iterdir())
    assert left == ["ddsp_zoo.json", "drums.wav", "residual.wav", "synthesised"]
    assert sf.info(tmp_path / "out/a/drums.wav").subtype == "PCM_16"
    assert sf.info(tmp_path / "out/a/drums.wav").frames == 1600
    assert main([*command, *some]) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "b"]
    left = sorted(path.name for path in (tmp_path / "out/a").glob("*.wav"))
    assert left == ["bass.wav", "guitar.wav", "residual.wav"]
    whole = ddsp_zoo.load("tiny", checkpoint=tmp_path / "tiny").separate(tmp_path / "songs/a.wav")
    for name in ("bass", "guitar"):
        written = sf.read(tmp_path / f"out/a/{name}.wav", dtype="float32")[0]
        np.testing.assert_allclose(written, whole.stems[name][0], rtol=0, atol=1e-6)
    capsys.readouterr()
    assert main([*command, *some, "--skip-existing"]) == 0
    before = (tmp_path / "out/a/bass.wav").stat().st_mtime_ns
    assert main([*command, "--skip-existing"]) == 0  # which asks for more
    assert (tmp_path / "out/a/drums.wav").exists() and (
        tmp_path / "out/a/bass.wav"
    ).stat().st_mtime_ns > before
    assert main([*command, "--stems", "bass,piano"]) == 2
    assert "no stem 'piano': choose among bass, drums, guitar" in capsys.readouterr().err


def test_separate_leaves_a_folder_a_file(
    checkpoint: Path, song: Path, tmp_path: Path, capsys: Capture
) -> None:
    other = write(tmp_path / "other.wav", music(3000))
    arguments = [
        "separate",
        str(song),
        str(other),
        "--checkpoint",
        str(checkpoint),
        "--out",
        "out",
        "--seed",
        "3",
    ]
    assert main(arguments) == 0
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in out.splitlines()] == ["out/song", "out/other"] and err == ""
    expected = ddsp_zoo.load("tiny", checkpoint=checkpoint).separate(song, seed=3)
    written = sf.read(tmp_path / "out/song/bass.wav", dtype="float32")[0].T
    np.testing.assert_allclose(written, expected.stems["bass"], rtol=0, atol=1e-6)
    assert main([*arguments, "--format", "flac"]) == 0
    assert not (tmp_path / "out/song/bass.wav").exists()
    assert sf.info(tmp_path / "out/song/bass.flac").subtype == "PCM_24"
    written = (tmp_path / "out/song/bass.flac").stat().st_mtime_ns
    assert main([*arguments, "--format", "flac", "--skip-existing"]) == 0
    assert (tmp_path / "out/song/bass.flac").stat().st_mtime_ns == written


def test_released_name_is_found_where_the_environment_says(
    song: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_ast(tmp_path / "own/ast_ddsp_all")
    monkeypatch.setenv("DDSP_ZOO_CHECKPOINTS", str(tmp_path / "own"))
    assert main(["separate", str(song), "--out", "out"]) == 0
    assert (tmp_path / "out/song/bass.wav").exists()


@pytest.mark.slow
def test_evaluate_measures_a_checkpoint_on_rendered_strings(tmp_path: Path, capsys: Capture) -> None:
    settings = {"segment_seconds": 1.024, "oversampling": 1}
    torch.manual_seed(0)
    config = {"class_path": "ddsp_zoo.models.KarplusStrongStrings", "init_args": settings}
    zoo.save_checkpoint(KarplusStrongStrings(**settings), tmp_path / "tiny", config)
    counts = "train_tracks: 1, validation_tracks: 1, test_tracks: 2, track_seconds: 1.1"
    (tmp_path / "data.yaml").write_text(
        f"data:\n  class_path: ddsp_zoo.corpora.RenderedStrings\n  init_args: {{{counts}}}\n"
    )
    assert (
        main(
            [
                "evaluate",
                "--model",
                "exB4",
                "--checkpoint",
                "tiny",
                "--data",
                "data.yaml",
                "--root",
                "strings",
                "--tracks",
                "1",
                "--out",
                "result",
            ]
        )
        == 0
    )
    summary = json.loads((tmp_path / "result/summary.json").read_text())
    assert summary["protocol"]["data"] == "RenderedStrings" and summary["protocol"]["tracks"] == 1
    with open(tmp_path / "result/rows.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"mixture", "masked", "synthesised", "irm", "comb_mask"} <= {row["system"] for row in rows}
    assert {row["source"] for row in rows} <= {"E2", "A2", "D3", "G3", "B3", "E4"}
    out = capsys.readouterr().out
    assert "si_sdr_db" in out and "result: rows.csv" in out
    assert len(list((tmp_path / "strings").rglob("test/piece_*"))) == 2 and not (tmp_path / "cache").exists()


# What it cannot do


def test_audio_that_cannot_be_used(
    checkpoint: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("These are words, not samples. " * 50)
    (tmp_path / "folder").mkdir()
    write(tmp_path / "none.wav", np.zeros((1, 0)))
    write(tmp_path / "seven.wav", music(1000, 7))
    write(tmp_path / "nan.wav", np.where(np.arange(3000) == 2900, np.nan, music(3000)))
    expected = {
        "empty.wav": "is empty (0 bytes)",
        "none.wav": "holds no samples",
        "nan.wav": "not finite",
        "seven.wav": "has 7 channels, which is read through ffmpeg, and that is not installed",
        "text.wav": "is not audio",
        "folder": "holds no audio files",
        "missing.wav": "There is no file",
        "slow.wav": "has a sample rate of 1 Hz",
        "half.wav": "breaks off",
        "pipe.wav": "is a pipe or a device",
        "-": "is a pipe or a device",
    }
    sf.write(tmp_path / "slow.wav", np.zeros(99), 1)
    (tmp_path / "half.wav").write_bytes(write(tmp_path / "whole.wav", music(9000)).read_bytes()[:9000])
    os.mkfifo(tmp_path / "pipe.wav")
    for name, words in expected.items():
        line = refusal(capsys, "separate", name, "--checkpoint", checkpoint, "--out", "out")
        assert name in line and words in line
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--device", "meta"], "The device 'meta' cannot be used here"),
        (["--device", "abacus"], "The device 'abacus' cannot be used here"),
        (["--seed", "12345678901234567890123"], "The seed is a whole number from 0 to 2**63"),
        (["--seed", "-1"], "The seed is a whole number from 0 to 2**63"),
        (["--model", "../../x"], "cannot be the name of a model"),
        (["--tuning", "DADGAD"], "Tuning and capo are for models of guitar strings"),
        (["--capo", "3"], "Tuning and capo are for models of guitar strings"),
        (["--start", "-1"], "The start is -1.0 s: give 0 or more seconds"),
        (["--start", "nan"], "The start is nan s"),
        (["--start", "soon"], "argument --start: invalid float value"),
        (["--start", "60"], "is left: it has 2.50 s, and the excerpt begins at 60 s"),
        (["--duration", "0"], "The duration is 0.0 s: give more than 0 seconds"),
        (["--format", "aac"], "argument --format: invalid choice: 'aac'"),
        (["--format", "flac", "--bits", "32"], "FLAC has 24 or 16 bits, not 32"),
        (["--format", "mp3", "--bits", "16"], "MP3 has no bits, not 16"),
        (["--bits", "8"], "argument --bits: invalid choice: 8"),
        (["--two-stems", "bass,bass"], "gives no stem 'bass,bass': choose among bass"),
        (
            ["--two-stems", "bass", "--stems", "bass"],
            "argument --stems: not allowed with argument --two-stems",
        ),
        (["--clip", "loud"], "argument --clip: invalid choice: 'loud'"),
        (["--tuning", "EADG"], "EADG is no tuning of six strings"),
        (["--capo", "13"], "A capo lies on fret 1 to 12"),
        (["--capo", "high"], "argument --capo: invalid int value"),
    ],
)
def test_options_that_mean_nothing(
    checkpoint: Path, song: Path, capsys: Capture, options: list[str], words: str
) -> None:
    own = [] if "--model" in options else ["--checkpoint", checkpoint]
    assert words in refusal(capsys, "separate", song, *own, *options)
    assert not Path("out").exists()


def test_a_batch_goes_on_and_ends_with_what_is_wrong(
    checkpoint: Path, song: Path, tmp_path: Path, capsys: Capture
) -> None:
    (tmp_path / "text.wav").write_text("These are words, not samples. " * 50)
    files = ["missing.wav", "text.wav", str(song)]
    assert main(["separate", *files, "--checkpoint", str(checkpoint), "--out", "out"]) == 2
    out, err = capsys.readouterr()
    assert out.startswith("out/song: stems") and (tmp_path / "out/song/bass.wav").exists()
    assert err.startswith(
        "ddsp-zoo: 2 of 3 files could not be separated: There is no file missing.wav; text.wav"
    )
    assert "--pitch" in refusal(capsys, "separate", song, "--checkpoint", checkpoint, "--pitch", "crepe")


def test_places_that_cannot_be_written(checkpoint: Path, song: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("mine")
    line = refusal(capsys, "separate", song, "--checkpoint", checkpoint, "--out", "file/out")
    assert "file/out" in line and "another folder" in line and (tmp_path / "file").read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(checkpoint: Path, song: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "locked" in refusal(capsys, "separate", song, "--checkpoint", checkpoint, "--out", "locked")


def test_two_inputs_with_one_name(checkpoint: Path, song: Path, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "b").mkdir()
    other = write(tmp_path / "b/song.wav", music(1000))
    assert "out/song" in refusal(capsys, "separate", song, other, "--checkpoint", checkpoint)


def test_missing_pitch(song: Path, tmp_path: Path, capsys: Capture) -> None:
    config = {"class_path": "ddsp_zoo.models.KarplusStrongStrings", "init_args": {}}
    zoo.save_checkpoint(KarplusStrongStrings(), tmp_path / "strings", config)
    line = refusal(capsys, "separate", song, "--checkpoint", "strings")
    assert "--pitch" in line and "time_seconds,E2,A2,D3,G3,B3,E4" in line
    line = refusal(capsys, "separate", song, "--checkpoint", "strings", "--pitch", "missing.csv")
    assert "missing.csv" in line


def test_models_that_are_not_there(song: Path, capsys: Capture) -> None:
    for arguments in (
        ["separate", song, "--model"],
        ["info"],
        ["evaluate", "--data", "RenderedStrings", "--model"],
    ):
        line = refusal(capsys, *arguments, "ast_ddsp_bas")
        assert "There is no model 'ast_ddsp_bas': did you mean 'ast_ddsp_bass'" in line
    assert "nowhere is no checkpoint" in refusal(capsys, "separate", song, "--checkpoint", "nowhere")


def test_damaged_checkpoints(checkpoint: Path, song: Path, tmp_path: Path, capsys: Capture) -> None:
    broken = save_tiny_ast(tmp_path / "broken")
    weights = (broken / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    assert "broken is damaged" in refusal(capsys, "separate", song, "--checkpoint", broken)
    torch.save({"state_dict": {}, "hyper_parameters": {}}, tmp_path / "half.ckpt")
    (tmp_path / "half.ckpt").write_bytes((tmp_path / "half.ckpt").read_bytes()[:300])
    assert "half.ckpt is damaged" in refusal(capsys, "separate", song, "--checkpoint", "half.ckpt")
    (tmp_path / "broken/config.yaml").write_text("class_path: os.system\n")
    (tmp_path / "broken/model.safetensors").write_bytes(weights)
    assert "'os.system' is not built" in refusal(capsys, "separate", song, "--checkpoint", broken)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["nonsense"], "There is no command 'nonsense'"),
        (["predict"], "There is no command 'predict'"),
        (["list", "--import"], "argument --import: expected one argument"),
        (["fit", "--import"], "--import needs the name of a module"),
        (["list", "--import", "no_such_module"], "no_such_module cannot be imported"),
        (["evaluate", "--data", "StemFolder"], "--model, or weights with --checkpoint"),
        (["evaluate", "--model", "exB4", "--data", "RenderedStrings", "--artifact"], "add --wandb"),
        (["--verbose"], "There is no command '--verbose'"),
        (["separate"], "required: IN"),
        (["separate", "a.wav", "--format", "aac"], "'aac'"),
        (["separate", "a.wav", "--seed", "x"], "--seed"),
        (["evaluate", "--model", "exB4", "--data", "x", "--seeds", "0"], "0 is no whole number of 1 or more"),
        (
            ["evaluate", "--model", "exB4", "--data", "x", "--tracks", "9" * 23],
            "is no whole number of 1 or more",
        ),
        (["separate", "a.wav", "--loud"], "--loud"),
        (["list", "all"], "all"),
        (["info"], "NAME"),
        (["evaluate", "--model", "exB4"], "--data"),
        (["evaluate", "--model", "exB4", "--data", "RenderedString"], "did you mean RenderedStrings"),
        (
            ["evaluate", "--model", "exB4", "--data", "recipes/none.yaml"],
            "There is no recipe recipes/none.yaml",
        ),
        (["fit", "--config", "none.yaml"], "There is no recipe none.yaml"),
        (["fit", "--config=none.yaml"], "There is no recipe none.yaml"),
        (["fit"], "required"),
        (
            ["fit", "--config", ROOT / "recipes/exB4.yaml", "--model.strings", "7"],
            "'strings' is not accepted",
        ),
        (["test", "--config", ROOT / "recipes/exB4.yaml", "--trainer.speed", "7"], "--trainer.speed"),
    ],
)
def test_commands_and_options_that_do_not_exist(
    arguments: list[object], words: str, capsys: Capture, tmp_path: Path
) -> None:
    assert words in refusal(capsys, *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_with_an_unknown_key(tmp_path: Path, capsys: Capture) -> None:
    recipe = (ROOT / "recipes/exB4.yaml").read_text().replace("oversampling:", "oversamplings:")
    (tmp_path / "recipe.yaml").write_text(recipe)
    line = refusal(capsys, "fit", "--config", "recipe.yaml")
    assert (
        "KarplusStrongStrings" in line and "'oversamplings' is not accepted" in line and "fit --help" in line
    )
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_device_that_is_not_there(checkpoint: Path, song: Path, capsys: Capture) -> None:
    line = refusal(capsys, "separate", song, "--checkpoint", checkpoint, "--device", "quantum")
    assert "'quantum'" in line and "--device cpu" in line


@pytest.mark.parametrize(
    "cuda, mps, chosen",
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu"), (True, False, "cuda")],
)
def test_the_fastest_device_is_chosen(
    monkeypatch: pytest.MonkeyPatch, cuda: bool, mps: bool, chosen: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: cuda)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: mps)
    assert device("auto") == chosen


def test_ctrl_c_ends_with_a_word(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("ddsp_zoo.cli.models.list_models", interrupted)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "ddsp-zoo: stopped\n"


# As a process


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ddsp_zoo.cli", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


STOPPED = """
import signal, sys, time
import ddsp_zoo.cli.models
from ddsp_zoo.files.atomic import folder_when_done

def work(arguments):
    with folder_when_done("out/song") as draft:
        (draft / "half").write_text("half")
        print("ready", flush=True)
        time.sleep(60)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs beside it ignore that,
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup this
ddsp_zoo.cli.models.list_models = work
sys.exit(ddsp_zoo.cli.main(["list"]))
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_program_that_is_told_to_end_leaves_nothing(tmp_path: Path, sent: signal.Signals) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", STOPPED], cwd=tmp_path, **pipes) as program:
        program.stdout.readline()
        assert list((tmp_path / "out").iterdir())
        program.send_signal(sent)
        _, err = program.communicate(timeout=30)
    assert program.returncode == 128 + sent and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as under nohup
    try:
        with ended_in_order():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_exit_status_and_streams_of_the_program() -> None:
    good = process("--version")
    assert (good.returncode, good.stdout, good.stderr) == (0, f"{ddsp_zoo.__version__}\n", "")


def test_a_command_that_does_not_exist_ends_the_program_in_a_sentence() -> None:
    bad = process("nonsense")
    assert bad.returncode == 2 and bad.stdout == "" and len(bad.stderr.splitlines()) == 1


@pytest.mark.slow
def test_a_recording_that_cannot_be_used_ends_the_program_in_a_sentence(
    checkpoint: Path, tmp_path: Path
) -> None:
    write(tmp_path / "nan.wav", np.full((1, 3000), np.nan))
    bad = process("separate", "nan.wav", "--checkpoint", checkpoint)
    assert bad.returncode == 2 and bad.stdout == ""
    assert [line for line in bad.stderr.splitlines() if line] == [
        "ddsp-zoo: nan.wav contains samples that are not finite numbers (NaN or infinity)."
    ]
