"""`fit` and its kin: runs leave curves, media and checkpoints, resume exactly and work on several processes."""

import csv
import multiprocessing
import os
import pickle
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import soundfile as sf
import torch
import yaml
from lightning.fabric.plugins.environments import SLURMEnvironment
from lightning.pytorch.utilities import rank_zero_only
from tiny import RATE, SMALL, music, save_tiny_ast
from wandb_runs import history, inspected, summary

import ddsp_zoo
from ddsp_zoo import zoo
from ddsp_zoo.corpora import StemFolder
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.protocol import evaluate
from ddsp_zoo.measuring.summary import summarise
from ddsp_zoo.training.cli import run_trainer
from ddsp_zoo.training.media import LogMedia

ROOT = Path(__file__).resolve().parents[2]
STILL = ("--model.optimiser.learning_rate", "0", "--trainer.max_epochs", "1")
QUIET = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


@pytest.fixture(autouse=True)
def own_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working folder that must stay empty, and no W&B unless a test asks for it."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.delenv("GUITARSET_ROOT", raising=False)
    yield
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.fixture(scope="module")
def stems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two training tracks and one each to validate and test on; 1.6 s of a low bass and two other stems."""
    time = np.arange(round(1.6 * RATE)) / RATE
    root = tmp_path_factory.mktemp("stems")
    for seed, folder in enumerate(("train/a", "train/b", "validation/c", "test/d")):
        (root / folder).mkdir(parents=True)
        for index, name in enumerate(("bass", "drums", "other")):
            audio = 0.3 * music(len(time), seed=10 * seed + index)[0]
            if name == "bass":
                audio = 0.2 * np.sin(2 * np.pi * (50 + 17 * seed) * time)
            sf.write(root / folder / f"{name}.wav", audio, RATE)
    return root


@pytest.fixture
def recipe(tmp_path: Path, stems: Path) -> Path:
    return tiny_recipe(tmp_path, stems)


def tiny_recipe(folder: Path, stems: Path) -> Path:
    """A tiny transformer on the tiny stems: six excerpts, three steps an epoch, two epochs."""
    return write(
        folder / "recipe.yaml",
        {
            "name": "tiny",
            "runs": str(folder / "runs"),
            "model": {
                "class_path": "ddsp_zoo.models.AstDdsp",
                "init_args": dict(SMALL, optimiser={"learning_rate": 1e-2}),
            },
            "data": {
                "class_path": "ddsp_zoo.corpora.StemFolder",
                "init_args": {"root": str(stems), "excerpts": {"batch_size": 2}},
            },
            "trainer": QUIET | {"max_epochs": 2, "log_every_n_steps": 1},
        },
    )


def write(path: Path, content: dict) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path


def fit(recipe: Path, *options: str, name: str = "runs") -> Path:
    """Train; returns the folder of the run, among the others of this name."""
    run_trainer(["fit", "--config", str(recipe), *options])
    return recipe.parent / name / "tiny"


def checkpoint(folder: Path, name: str = "last") -> dict:
    return torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)


def curve(folder: Path, column: str) -> list[float]:
    with open(folder / "version_0" / "metrics.csv", newline="") as file:
        return [float(row[column]) for row in csv.DictReader(file) if row[column]]


def header(folder: Path) -> set[str]:
    with open(folder / "version_0" / "metrics.csv", newline="") as file:
        return set(next(csv.reader(file)))


def assert_same_state(one: dict, other: dict) -> None:
    """Weights, optimiser and steps are equal to the last bit."""
    assert one["global_step"] == other["global_step"] and one["epoch"] == other["epoch"]
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, weights in one["state_dict"].items():
        assert torch.equal(weights, other["state_dict"][name]), name
    states = (part["optimizer_states"][0]["state"] for part in (one, other))
    for left, right in zip(*(state.values() for state in states), strict=True):
        assert torch.equal(left["exp_avg_sq"], right["exp_avg_sq"])


# What a run leaves


def test_a_run_leaves_curves_its_recipe_and_two_checkpoints(recipe: Path) -> None:
    folder = fit(recipe, "--trainer.precision", "bf16-mixed", "--trainer.max_epochs", "4")
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert left == [
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "version_0/config.yaml",
        "version_0/hparams.yaml",
        "version_0/metrics.csv",
    ]
    train, validation = curve(folder, "train/loss"), curve(folder, "validation/loss")
    assert len(train) == 12 and len(validation) == 4
    assert sum(train[-3:]) < sum(train[:3]) and validation[-1] < validation[0]
    parts = [curve(folder, f"train/{name}")[0] for name in ("masked", "level", "frequency")]
    assert sum(parts) == pytest.approx(train[0], abs=1e-5)
    assert len(curve(folder, "lr-Adam")) == 12
    kept = yaml.safe_load((folder / "version_0/config.yaml").read_text())
    assert kept["model"]["init_args"]["width"] == 24 and kept["trainer"]["precision"] == "bf16-mixed"
    last = checkpoint(folder)
    assert last["global_step"] == 12 and last["epoch"] == 3
    assert {value.dtype for value in last["state_dict"].values()} == {torch.float32}
    assert checkpoint(folder, "best")["epoch"] == validation.index(min(validation))


def test_a_run_logs_what_an_evaluation_of_its_weights_finds(recipe: Path, stems: Path) -> None:
    folder = fit(recipe, *STILL, "--data.excerpts.batch_size", "1")
    names = [name for name in header(folder) if name.count("/") == 3]
    systems, sources = ("synthesised", "masked", "masked_power"), ("all", "bass", "rest")
    assert sorted(names) == sorted(
        f"validation/{metric}/{system}/{source}"
        for metric in ("si_sdr_db", "mel_cepstral_distance")
        for system in systems
        for source in sources
    )
    model = ddsp_zoo.load("ast_ddsp_bass", checkpoint=folder / "checkpoints/last.ckpt")
    data = StemFolder(str(stems), excerpts=Excerpts(batch_size=1))
    found = summarise(evaluate(model, data, "validation", seeds=(0,), parts=("model",), progress=False))
    for row in found:
        name = f"validation/{row['metric']}/{row['system']}/{row['source']}"
        if name in names:
            assert curve(folder, name) == [pytest.approx(row["mean"], abs=1e-4)]
    assert header(
        fit(
            recipe,
            *STILL,
            "--measured_examples",
            "0",
            "--runs",
            str(folder / "without"),
            name="runs/tiny/without",
        )
    ).isdisjoint(names)


@pytest.mark.slow
def test_the_kept_recipe_repeats_the_run(recipe: Path, tmp_path: Path) -> None:
    first = fit(recipe, "--trainer.max_epochs", "1")
    run_trainer(["fit", "--config", str(first / "version_0/config.yaml"), "--runs", str(tmp_path / "again")])
    assert_same_state(checkpoint(first), checkpoint(tmp_path / "again/tiny"))


@pytest.mark.slow
def test_another_seed_is_another_run(recipe: Path, tmp_path: Path) -> None:
    first = fit(recipe, "--trainer.max_steps", "1")
    fit(recipe, "--trainer.max_steps", "1", "--seed_everything", "7", "--runs", str(tmp_path / "other"))
    one, other = (
        checkpoint(place)["state_dict"]["network.head.weight"] for place in (first, tmp_path / "other/tiny")
    )
    assert not torch.equal(one, other)


def test_a_trained_ckpt_loads_by_path(trained: Path) -> None:
    model = ddsp_zoo.load("ast_ddsp_bass", checkpoint=trained / "checkpoints/last.ckpt")
    assert not model.training and model.hparams["width"] == 24
    for name, value in checkpoint(trained)["state_dict"].items():
        assert torch.equal(value, model.state_dict()[name])
    result = model.separate(music(9000), RATE)
    assert set(result.stems) == {"bass"} and abs(result.stems["bass"]).max() > 0


@pytest.mark.slow
def test_wandb_offline_run_holds_curves_sound_and_pictures(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    monkeypatch.setenv("WANDB_MODE", "offline")
    try:
        fit(recipe, "--media_every", "5", "--artifact", "true")
    finally:
        wandb.finish()
        wandb.teardown()
    found = history(tmp_path / "runs")
    assert {"train/loss", "validation/loss", "train/masked", "lr-Adam"} <= set(found)
    assert "validation/si_sdr_db/masked/bass" in found
    assert "best.ckpt" in inspected(tmp_path / "runs")
    config = summary(tmp_path / "runs")["config"]
    assert config["model"]["init_args"]["width"] == 24 and config["seed_everything"] == 0
    assert config["about"]["command"] == "fit" and config["about"]["trained_parameters"] > 1000
    assert found["audio/example_0.captions"] == [
        "mixture",
        "bass, target",
        "bass, synthesised",
        "bass, masked",
        "rest, target",
        "rest, synthesised",
        "rest, masked",
    ]
    assert found["spectrograms/example_1.captions"] == ["bass", "rest"]
    assert found["controls/example_1.captions"] == ["bass", "rest"]
    (run,) = (tmp_path / "runs").rglob("run-*.wandb")
    kinds = [path.suffix for path in run.parent.rglob("media/**/*") if path.is_file()]
    assert kinds.count(".wav") == 14 and kinds.count(".png") == 8


# Resuming


def test_last_is_the_last_epoch_though_an_earlier_one_was_best(recipe: Path) -> None:
    folder = fit(recipe, "--model.optimiser.learning_rate", "0")  # every epoch is as good as the first
    assert [checkpoint(folder, name)["epoch"] for name in ("best", "last")] == [0, 1]


@pytest.mark.parametrize("examples", ["6", "0"], ids=["random", "consecutive"])
@pytest.mark.slow  # the next one is quicker and finds more
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    recipe: Path, tmp_path: Path, examples: str
) -> None:
    options = ("--data.excerpts.examples_per_epoch", examples, "--model.optimiser.decay_every", "2")
    straight = fit(recipe, *options, "--trainer.max_epochs", "2", "--runs", str(tmp_path / "straight"))
    fit(recipe, *options, "--trainer.max_epochs", "1")
    halfway = checkpoint(tmp_path / "runs/tiny")
    assert halfway["global_step"] == 3
    last = str(tmp_path / "runs/tiny/checkpoints/last.ckpt")
    fit(recipe, *options, "--trainer.max_epochs", "2", "--ckpt_path", last)
    resumed, straight = checkpoint(tmp_path / "runs/tiny"), checkpoint(tmp_path / "straight/tiny")
    assert straight["global_step"] == 6
    assert_same_state(straight, resumed)
    assert not torch.equal(
        halfway["state_dict"]["network.head.weight"], resumed["state_dict"]["network.head.weight"]
    )


@pytest.mark.parametrize(
    "examples, workers, stop",
    [(6, 0, 5), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((0, 0, 5), (6, 1, 4), (6, 1, 3)))],
)
def test_a_run_that_was_stopped_inside_an_epoch_goes_on_there(
    recipe: Path, tmp_path: Path, examples: int, workers: int, stop: int
) -> None:
    """Weights that are averaged, a learning rate that falls, and processes that read ahead go on too."""
    options = ["--data.excerpts.examples_per_epoch", str(examples), "--data.excerpts.workers", str(workers)]
    options += ["--model.optimiser.decay_every", "2", "--trainer.max_epochs", "3"]
    average = {"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.9}}
    options += ["--config", str(write(tmp_path / "average.yaml", {"trainer": {"callbacks": [average]}}))]
    straight = checkpoint(fit(recipe, *options, "--runs", str(tmp_path / "straight"), name="straight"))
    folder = fit(recipe, *options, "--trainer.max_steps", str(stop))
    assert checkpoint(folder)["global_step"] == stop and straight["global_step"] == 9
    fit(recipe, *options, "--ckpt_path", str(folder / "checkpoints/last.ckpt"))
    gone_on = checkpoint(folder)
    assert_same_state(straight, gone_on)
    for name, weights in straight["current_model_state"].items():
        assert torch.equal(weights, gone_on["current_model_state"][name]), name


def test_what_is_heard_of_averaged_weights_is_what_is_validated(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = {"batch": [], "epoch": []}

    def remember(when: str) -> Callable[..., None]:
        return lambda _, trainer, model, *__, **___: heard[when].append(
            model.network.head.weight.sum().item()
        )

    monkeypatch.setattr(LogMedia, "on_validation_batch_end", remember("batch"))
    monkeypatch.setattr(LogMedia, "on_validation_epoch_end", remember("epoch"))
    average = {"class_path": "EMAWeightAveraging", "init_args": {"decay": 0.9}}
    overlay = write(tmp_path / "average.yaml", {"trainer": {"callbacks": [average], "max_epochs": 1}})
    fit(recipe, "--config", str(overlay))
    assert heard["epoch"][-1] == heard["batch"][-1] != heard["batch"][0]


def run_until_killed(seconds: float, arguments: list[str]) -> None:
    """Trains in a copy of this process, which saves the imports, until that copy is killed."""
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
    run_trainer(arguments)


@pytest.fixture
def one_thread() -> None:
    """Each sum is then rounded in one way; the threads of a process are not copied with it either."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("kills, epochs", [(1, 4), pytest.param(20, 60, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_any_moment_goes_on_as_if_it_had_not_been(
    recipe: Path, tmp_path: Path, kills: int, epochs: int
) -> None:
    """Each start is killed at a random moment between its start and its end; the last one is left alone."""
    random = np.random.default_rng(kills)
    options = ["--trainer.max_epochs", str(epochs), "--data.excerpts.examples_per_epoch", "4"]
    begin = time.monotonic()
    straight = fit(recipe, *options, "--runs", str(tmp_path / "straight"), name="straight")
    lasts, last = time.monotonic() - begin, tmp_path / "runs/tiny/checkpoints/last.ckpt"
    arguments = ["fit", "--config", str(recipe), *options]
    for _ in range(kills):
        going_on = ["--ckpt_path", str(last)] if last.exists() else []
        moment = random.uniform(0, 4 * lasts / (kills + 3))
        start = multiprocessing.get_context("fork").Process(
            target=run_until_killed, args=(moment, [*arguments, *going_on])
        )
        start.start()
        start.join()
        assert start.exitcode == -signal.SIGKILL
        if last.exists():
            checkpoint(tmp_path / "runs/tiny")  # whole, whenever it was
    fit(recipe, *options, *(["--ckpt_path", str(last)] if last.exists() else []))
    for name in ("last", "best"):
        assert_same_state(checkpoint(straight, name), checkpoint(tmp_path / "runs/tiny", name))
    assert sorted(path.name for path in last.parent.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_a_full_disk_leaves_the_checkpoint_before(recipe: Path, tmp_path: Path) -> None:
    folder = fit(recipe, "--trainer.max_epochs", "1")
    before = {path: path.read_bytes() for path in (folder / "checkpoints").iterdir()}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))  # the system then refuses larger files
    try:
        with pytest.raises(DdspZooError, match="Cannot write to .*ckpt"):
            fit(recipe, "--ckpt_path", str(folder / "checkpoints/last.ckpt"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {path: path.read_bytes() for path in (folder / "checkpoints").iterdir()} == before


def test_another_run_of_the_same_name_keeps_the_checkpoints_of_the_first(recipe: Path) -> None:
    still = ("--model.optimiser.learning_rate", "0", "--trainer.max_steps", "3")
    folder = fit(recipe, "--trainer.max_epochs", "1")
    before = (folder / "checkpoints/best.ckpt").read_bytes()
    for number in (1, 2):
        fit(recipe, *still)
        assert (folder / "checkpoints_1/best.ckpt").read_bytes() == before
        assert (folder / f"checkpoints_{number}/last.ckpt").exists()
    fit(recipe, *still[:2], "--ckpt_path", str(folder / "checkpoints/last.ckpt"), "--trainer.max_epochs", "1")
    assert not (folder / "checkpoints_3").exists()


def test_settings_that_a_checkpoint_overrules_are_told(recipe: Path, trained: Path, tmp_path: Path) -> None:
    ckpt = ["--ckpt_path", str(trained / "checkpoints/last.ckpt")]
    for option in ("--model.optimiser.learning_rate", "--model.learning_rate"):
        with pytest.raises(
            DdspZooError, match="optimiser.learning_rate is 0.01 there, not 0.5: .*--start_from"
        ):
            fit(recipe, option, "0.5", *ckpt)
    with pytest.raises(DdspZooError, match="masks.power is .* there, not 3.5: leave --model.masks.power out"):
        run_trainer(["validate", "--config", str(recipe), "--model.masks.power=3.5", *ckpt])
    assert not (tmp_path / "runs").exists()
    same = ["--model.width", "24", "--model.optimiser.learning_rate=0.01", "--trainer.logger", "false"]
    run_trainer(["test", "--config", str(recipe), *same, *ckpt])


@pytest.mark.parametrize(
    "command", ["fit", *(pytest.param(name, marks=pytest.mark.slow) for name in ("validate", "test"))]
)
def test_a_checkpoint_goes_before_the_weights_that_a_recipe_starts_from(
    recipe: Path, trained: Path, tmp_path: Path, command: str
) -> None:
    start = write(tmp_path / "start.yaml", {"start_from": "exB4"})  # which would not fit
    files = ["--config", str(recipe), "--config", str(start), "--trainer.logger", "false"]
    run_trainer([command, *files, "--ckpt_path", str(trained / "checkpoints/last.ckpt")])


@pytest.mark.parametrize("content, words", [(None, "There is no checkpoint"), (b"PK\3\4 half", "not whole")])
def test_a_checkpoint_that_is_missing_or_cut_is_named(
    recipe: Path, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "half.ckpt"
    if content:
        path.write_bytes(content)
    for flag in (["--ckpt_path", str(path)], [f"--ckpt_path={path}"]):
        with pytest.raises(DdspZooError, match=f"{words}|half.ckpt.*{words}"):
            fit(recipe, *flag)
    assert not (tmp_path / "runs").exists()


# Starting from weights


@pytest.fixture(scope="module")
def trained(stems: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one epoch beside the others, which only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        return fit(tiny_recipe(tmp_path_factory.mktemp("trained"), stems), "--trainer.max_epochs", "1")


@pytest.fixture(scope="module")
def fresh_loss(stems: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The validation loss of a model that starts from random weights and does not learn."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        folder = fit(tiny_recipe(tmp_path_factory.mktemp("fresh"), stems), *STILL)
    (loss,) = curve(folder, "validation/loss")
    return loss


@pytest.mark.parametrize(
    "form", ["file", *(pytest.param(form, marks=pytest.mark.slow) for form in ("folder", "name"))]
)
def test_a_run_starts_from_the_weights_it_is_given(
    recipe: Path,
    trained: Path,
    fresh_loss: float,
    tmp_path: Path,
    form: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without learning, the first validation is that of the model whose weights were taken over."""
    best = trained / "checkpoints/best.ckpt"
    own = tmp_path / "own/ast_ddsp_bass"
    config = {"class_path": "ddsp_zoo.models.AstDdsp", "init_args": dict(SMALL)}
    zoo.save_checkpoint(zoo.load("tiny", checkpoint=best), own, config)
    monkeypatch.setenv("DDSP_ZOO_CHECKPOINTS", str(own.parent))
    start = {"file": str(best), "folder": str(own), "name": own.name}[form]
    folder = fit(recipe, *STILL, "--start_from", start)
    (first,), (last,) = curve(folder, "validation/loss"), curve(trained, "validation/loss")
    half = 0 if form == "file" else 1e-3  # folders hold half precision
    assert first == pytest.approx(last, rel=half or 1e-6) and fresh_loss > last + 0.1
    begun, kept = checkpoint(trained), checkpoint(folder)
    for name, value in begun["state_dict"].items():
        assert torch.allclose(kept["state_dict"][name], value, rtol=half, atol=half / 10)
    assert kept["global_step"] == 3  # a run of its own, from step 0 on


def test_a_run_of_other_stems_starts_from_what_they_have_in_common(recipe: Path, trained: Path) -> None:
    """Bass and rest are known; the drums were a part of the rest."""
    best = trained / "checkpoints/best.ckpt"
    still = ("--model.optimiser.learning_rate", "0", "--trainer.max_steps", "1", "--start_from", str(best))
    folder = fit(recipe, *still, "--model.sources", "[drums,bass,rest]")
    old, new = checkpoint(trained, "best")["state_dict"], checkpoint(folder)["state_dict"]
    for name, weights in new.items():
        if "network.head" in name:
            bass, rest = old[name].chunk(2)
            assert torch.equal(weights, torch.cat([rest, bass, rest])), name
        else:
            assert torch.equal(weights, old[name]), name


@pytest.mark.parametrize(
    "options, words",
    [
        (["--start_from", "exB4"], "weights of exB4 do not fit the AstDdsp of this recipe"),
        (["--start_from", "OWN", "--model.width", "48"], "own do not fit the AstDdsp of this recipe"),
        (["--start_from", "OWN", "--model.depth", "2"], "own do not fit the AstDdsp of this recipe"),
        (["--start_from", "OWN", "--ckpt_path", "OWN"], "start_from.*ckpt_path.*give one of them"),
        (["--start_from", "umss_3v"], "There is no model 'umss_3v': did you mean 'umss_4v'"),
        (["--start_from", "runs/none/best.ckpt"], "'?runs/none/best.ckpt"),
        (["--start_from", "."], "is no checkpoint: it needs both"),
    ],
)
def test_weights_that_cannot_be_started_from_are_told(
    recipe: Path, tmp_path: Path, options: list[str], words: str
) -> None:
    own = str(save_tiny_ast(tmp_path / "own"))
    with pytest.raises(DdspZooError, match=words) as caught:
        fit(recipe, *(own if option == "OWN" else option for option in options))
    assert "\n" not in str(caught.value) and not list((tmp_path / "runs").rglob("*.ckpt"))


def test_the_seed_decides_over_data_and_noise_too(recipe: Path, trained: Path, tmp_path: Path) -> None:
    """Both runs begin with the same weights."""
    best = str(trained / "checkpoints/best.ckpt")
    losses = []
    for seed in ("0", "7"):
        options = ["--start_from", best, "--trainer.max_steps", "2", "--seed_everything", seed]
        folder = fit(
            recipe,
            *options,
            "--data.excerpts.examples_per_epoch",
            "6",
            "--runs",
            str(tmp_path / seed),
            name=seed,
        )
        losses.append(curve(folder, "train/loss"))
    assert losses[0][0] != losses[1][0]
    last = checkpoint(folder)
    assert last["seed"] == 7


# Several processes


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "ddp_spawn"])
def test_two_processes_share_an_epoch(recipe: Path, strategy: str) -> None:
    options = ["--trainer.strategy", strategy, "--trainer.devices", "2", "--data.excerpts.batch_size", "1"]
    command = [sys.executable, "-m", "ddsp_zoo.cli", "fit", "--config", str(recipe), *options]
    subprocess.run(command, check=True, cwd=ROOT, timeout=300)
    folder = recipe.parent / "runs/tiny"
    last = checkpoint(folder)
    assert last["global_step"] == 6 and last["epoch"] == 1
    assert len(curve(folder, "train/loss")) == 6 and len(curve(folder, "validation/loss")) == 2


def slurm(rank: int, nodes: int, tasks: int) -> dict[str, str]:
    """What SLURM tells a task of a job, of which each node has as many."""
    return {
        "SLURM_JOB_ID": "1234",
        "SLURM_JOB_NAME": "train",
        "SLURM_NNODES": str(nodes),
        "SLURM_NTASKS": str(nodes * tasks),
        "SLURM_NTASKS_PER_NODE": str(tasks),
        "SLURM_NODELIST": "node[3-9]" if nodes > 1 else "127.0.0.1",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank % tasks),
        "SLURM_NODEID": str(rank // tasks),
    }


@pytest.mark.parametrize("rank", [0, 5])
def test_what_slurm_says_is_read(monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    """The job that docs/own_data.md shows: two nodes with four tasks each."""
    text = (ROOT / "docs/own_data.md").read_text()
    nodes, tasks = (
        int(re.search(rf"#SBATCH .*--{name}=(\d+)", text)[1]) for name in ("nodes", "ntasks-per-node")
    )
    trainer = re.search(
        r"srun ddsp-zoo fit .*--trainer.num_nodes (\d+) --trainer.devices (\d+) .*strategy (\w+)", text
    )
    assert (int(trainer[1]), int(trainer[2]), trainer[3]) == (nodes, tasks, "ddp")
    monkeypatch.setattr(rank_zero_only, "rank", 0)  # which the trainer changes for the whole process
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("MASTER_PORT", "1")  # of no other job; Lightning would set it
    for name, value in slurm(rank, nodes, tasks).items():
        monkeypatch.setenv(name, value)
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "strategy": "ddp"}
    given = L.Trainer(num_nodes=nodes, devices=tasks, **options)
    place = given.strategy.cluster_environment
    assert isinstance(place, SLURMEnvironment) and place.resolve_root_node_address("node[3-9]") == "node3"
    assert (given.global_rank, given.local_rank, given.node_rank) == (rank, rank % tasks, rank // tasks)
    assert given.world_size == nodes * tasks
    with pytest.raises(ValueError, match="ntasks-per-node"):  # which Lightning calls when a training starts
        place.validate_settings(num_devices=tasks - 1, num_nodes=nodes)
    monkeypatch.setenv("SLURM_JOB_NAME", "bash")
    assert not SLURMEnvironment.detect()


@pytest.mark.slow
def test_two_tasks_share_an_epoch_as_slurm_starts_them(recipe: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    options = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.accelerator", "cpu"]
    what = [sys.executable, "-m", "ddsp_zoo.cli", "fit", "--config", str(recipe), *options]
    what += ["--data.excerpts.batch_size", "1"]
    tasks = [
        subprocess.Popen(what, cwd=ROOT, env=os.environ | slurm(rank, 1, 2) | {"MASTER_PORT": str(port)})
        for rank in range(2)
    ]
    try:
        assert [task.wait(300) for task in tasks] == [0, 0]
    finally:
        for task in tasks:
            task.kill()
    folder = recipe.parent / "runs/tiny"
    last = checkpoint(folder)
    assert last["global_step"] == 6 and last["epoch"] == 1


@pytest.mark.slow
def test_two_machines_share_an_epoch_by_torchrun(recipe: Path) -> None:
    """Both are this one: a torchrun each, as on two machines."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    options = ["--trainer.num_nodes", "2", "--trainer.devices", "1", "--trainer.strategy", "ddp"]
    options += ["--data.excerpts.batch_size", "1", "--trainer.accelerator", "cpu"]
    where = [
        "--nnodes",
        "2",
        "--nproc-per-node",
        "1",
        "--master-addr",
        "127.0.0.1",
        "--master-port",
        str(port),
    ]
    program = [sys.executable, "-m", "torch.distributed.run", *where]
    what = ["-m", "ddsp_zoo.cli", "fit", "--config", str(recipe), *options]
    machines = [subprocess.Popen([*program, "--node-rank", str(n), *what], cwd=ROOT) for n in range(2)]
    try:
        assert [machine.wait(300) for machine in machines] == [0, 0]
    finally:
        for machine in machines:
            machine.kill()
    folder = recipe.parent / "runs/tiny"
    last = checkpoint(folder)
    assert last["global_step"] == 6 and last["epoch"] == 1
    assert len(curve(folder, "train/loss")) == 6 and len(curve(folder, "validation/loss")) == 2


@pytest.mark.slow
def test_silence_in_one_of_two_processes(tmp_path: Path) -> None:
    """Half of the clips are silent, which the published model leaves out."""
    random = np.random.default_rng(0)
    for folder in ("train/a", "train/b", "train/c", "train/d", "validation/e", "validation/f"):
        (tmp_path / folder).mkdir(parents=True)
        for name in ("bass", "drums"):
            level = 0 if folder[-1] in "acf" else 0.2
            sf.write(tmp_path / folder / f"{name}.wav", level * random.standard_normal(16000), 8000)
    sizes = {"sinusoids": 3, "width": 32, "depth": 1, "heads": 2, "bins": 8, "noise_bands": 9}
    content = {
        "name": "tiny",
        "runs": str(tmp_path / "runs"),
        "model": {
            "class_path": "ddsp_zoo.models.PublishedAstDdsp",
            "init_args": sizes | {"sources": ["bass", "rest"], "quirks": ["silence_dropped"]},
        },
        "data": {
            "class_path": "ddsp_zoo.corpora.StemFolder",
            "init_args": {"root": str(tmp_path), "excerpts": {"batch_size": 1}},
        },
        "trainer": QUIET | {"max_epochs": 3, "strategy": "ddp", "devices": 2, "log_every_n_steps": 1},
    }
    recipe = write(tmp_path / "recipe.yaml", content)
    command = [sys.executable, "-m", "ddsp_zoo.cli", "fit", "--config", str(recipe)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=300)
    weights = checkpoint(tmp_path / "runs/tiny", "best")["state_dict"]
    assert all(value.isfinite().all() for value in weights.values())


# Other commands and options


def test_a_checkpoint_is_validated_tested_and_used(
    recipe: Path, trained: Path, capsys: pytest.CaptureFixture
) -> None:
    last = str(trained / "checkpoints/last.ckpt")
    for command, metric in (("validate", "validation/loss"), ("test", "test/loss")):
        run_trainer([command, "--config", str(recipe), "--ckpt_path", last, "--trainer.logger", "false"])
        assert metric in capsys.readouterr().out


@pytest.mark.parametrize(
    "options, left",
    [
        (["--trainer.fast_dev_run", "true"], []),
        pytest.param(
            ["--trainer.enable_checkpointing", "false"],
            ["config.yaml", "hparams.yaml", "metrics.csv"],
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--trainer.logger", "false"],
            ["best.ckpt", "config.yaml", "last.ckpt"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_what_is_switched_off_is_not_written(
    recipe: Path, tmp_path: Path, options: list[str], left: list[str]
) -> None:
    fit(recipe, "--trainer.max_epochs", "1", *options)
    assert sorted(path.name for path in (tmp_path / "runs").rglob("*.*")) == left


def test_callbacks_of_a_recipe_stay_beside_the_packages_own(recipe: Path, tmp_path: Path) -> None:
    stop = {"monitor": "validation/loss", "min_delta": 1e9, "patience": 1}
    callback = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": stop}
    overlay = write(tmp_path / "overlay.yaml", {"trainer": {"callbacks": [callback], "max_epochs": 9}})
    assert checkpoint(fit(recipe, "--config", str(overlay)))["epoch"] == 1
    # Nor does it ask for what nobody has measured, where a run ends before its first validation.
    assert checkpoint(fit(recipe, "--config", str(overlay), "--trainer.max_steps", "1"))["global_step"] == 1


def test_what_is_watched_and_never_logged_is_named(recipe: Path, tmp_path: Path) -> None:
    stop = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val/los"}}
    overlay = write(tmp_path / "overlay.yaml", {"trainer": {"callbacks": [stop], "max_epochs": 1}})
    with pytest.raises(DdspZooError, match="val/los.*validation/loss"):
        fit(recipe, "--config", str(overlay))


# Errors


def test_guitarset_that_is_absent_names_the_rendered_stand_in() -> None:
    with pytest.raises(DdspZooError, match="--config recipes/data/rendered_strings.yaml") as caught:
        run_trainer(["fit", "--config", str(ROOT / "recipes/exB4.yaml"), "--trainer.fast_dev_run", "true"])
    flag, path = str(caught.value).rstrip(".").split()[-2:]
    assert flag == "--config" and (ROOT / path).is_file()


@pytest.mark.parametrize(
    "content, words",
    [
        ({"model": {"init_args": {"sinusoidz": 3}}}, "'sinusoidz' is not accepted"),
        ({"data": {"init_args": {"rooot": "x"}}}, "'rooot' is not accepted"),
        ({"trainer": {"max_epoch": 3}}, "'trainer.max_epoch'"),
        ({"trainer": {"max_epochs": "many"}}, "trainer.max_epochs.*int.*many"),
        ({"learning_rate": 1}, "'learning_rate'"),
        ({"model": {"class_path": "ddsp_zoo.models.Nothing"}}, "'Nothing'"),
        ({"model": {"init_args": {"segment_seconds": 0.1}}}, "800 samples"),
        ({"trainer": {"accelerator": "cuda"}}, "cuda|CUDA"),
    ],
)
def test_a_recipe_that_does_not_fit_is_told_in_one_sentence(
    recipe: Path, tmp_path: Path, content: dict, words: str, capsys: pytest.CaptureFixture
) -> None:
    overlay = write(tmp_path / "overlay.yaml", content)
    with pytest.raises(DdspZooError, match=words) as caught:
        fit(recipe, "--config", str(overlay))
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300 and "Traceback" not in message
    assert "usage" not in capsys.readouterr().err and not (tmp_path / "runs").exists()


def test_missing_stems_and_splits_are_named(recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="elsewhere/train"):
        fit(recipe, "--data.root", str(tmp_path / "elsewhere"))
    with pytest.raises(DdspZooError, match="flute.wav"):
        fit(recipe, "--model.sources", "[flute,rest]")


class Foreign:
    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def test_a_checkpoint_on_a_server_is_not_unpickled(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    foreign = Foreign()
    foreign.path = tmp_path / "touched"
    torch.save({"state_dict": {}, "more": foreign}, tmp_path / "a.pt")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        url = f"http://127.0.0.1:{server.server_port}/a.pt"
        with pytest.raises(pickle.UnpicklingError):
            run_trainer(["validate", "--config", str(recipe), "--ckpt_path", url])
        server.shutdown()
    assert not (tmp_path / "touched").exists()
    torch.load(tmp_path / "a.pt", weights_only=False)
    assert (tmp_path / "touched").exists()  # it would have been
