"""Loggers that never stand in the way, and media that really arrive in the run's files."""

import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import soundfile
import torch
import wandb
import yaml
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.loggers import CSVLogger
from wandb_runs import history, summary

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.control import Control, given_notes
from ddsp_zoo.training import loggers as module
from ddsp_zoo.training.loggers import LogConfigCallback, PatientWandbLogger, make_loggers, wandb_mode
from ddsp_zoo.training.media import LogMedia
from ddsp_zoo.training.separation import LogSeparation

KEY = "0123456789abcdef" * 2 + "01234567"


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    """No W&B settings but those of the test, no network, and W&B's process ended afterwards."""
    for name in ("MODE", "API_KEY", "BASE_URL", "DIR", "CONFIG_DIR", "IDENTITY_TOKEN_FILE", "INIT_TIMEOUT"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path)
    yield
    wandb.finish()
    wandb.teardown()


@pytest.fixture
def said(monkeypatch):
    """The lines that the loggers have told the user."""
    lines = []
    monkeypatch.setattr(module, "rank_zero_info", lines.append)
    return lines


@pytest.fixture
def answering(monkeypatch):
    """A server whose address accepts connections but which never says a word; WANDB_BASE_URL points at it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield server


@pytest.fixture
def refusing(monkeypatch):
    """A server that answers every request with 401, as for a wrong key; WANDB_BASE_URL points at it."""

    class Refuse(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_error(401, "wrong key")

        do_GET, log_message = do_POST, lambda *args: None

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuse) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        yield
        server.shutdown()


def test_without_a_key_the_run_is_offline_and_one_line_says_what_to_do(tmp_path, said):
    csv, run = make_loggers(tmp_path / "logs", config={"model": {"init_args": {"sinusoids": 64}}})
    run.log_metrics({"loss": 0.5}, step=3)
    wandb.finish()
    assert isinstance(csv, CSVLogger)
    assert len(said) == 1 and "wandb login" in said[0] and "wandb sync" in said[0] and "\n" not in said[0]
    found = summary(tmp_path / "logs")
    assert found["summary"]["loss"] == 0.5
    assert found["config"]["model"]["init_args"]["sinusoids"] == 64


def test_the_sync_command_of_the_line_finds_the_run(tmp_path, said):
    run = make_loggers(tmp_path / "logs")[1]
    assert run.experiment.settings.mode == "offline"
    pattern = Path(said[0].split("wandb sync ")[1].split("`")[0])
    assert len(list(pattern.parent.glob(pattern.name))) == 1


@pytest.mark.parametrize("mode, kinds", [("disabled", 1), ("offline", 2), ("dryrun", 2)])
def test_wandb_mode_is_respected_in_silence(tmp_path, monkeypatch, said, mode, kinds):
    monkeypatch.setenv("WANDB_MODE", mode)
    assert len(make_loggers(tmp_path)) == kinds
    assert said == []


def test_without_wandb_numbers_go_to_csv_alone_and_a_line_says_so(tmp_path, monkeypatch, said):
    monkeypatch.setattr(module, "is_installed", lambda: False)
    assert [type(logger) for logger in make_loggers(tmp_path)] == [CSVLogger]
    assert len(said) == 1 and "pip install wandb" in said[0]


def test_mode_of_the_settings_file_counts_and_the_environment_overrides_it(tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nmode = disabled\n")
    assert wandb_mode() == ("disabled", "")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert wandb_mode() == ("offline", "")


def test_unknown_mode_is_named(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "onlin")
    with pytest.raises(DdspZooError, match="onlin"):
        wandb_mode()


def test_online_without_a_key_is_an_error_and_not_a_question(monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(DdspZooError, match="wandb login"):
        wandb_mode()


def test_key_in_the_environment_and_an_answering_server_mean_online(monkeypatch, answering):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert wandb_mode() == ("online", "")


def test_key_in_netrc_counts_for_its_own_server_only(tmp_path, monkeypatch, answering):
    address = f"127.0.0.1:{answering.getsockname()[1]}"
    netrc = tmp_path / "home" / ".netrc"
    netrc.write_text(f"machine {address}\n  login user\n  password {KEY}\n")
    netrc.chmod(0o600)
    assert wandb_mode()[0] == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert wandb_mode()[0] == "offline"


def test_key_without_network_goes_offline_within_seconds(monkeypatch, answering):
    answering.close()
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    begin = time.monotonic()
    mode, reason = wandb_mode()
    assert mode == "offline" and "does not answer" in reason
    assert time.monotonic() - begin < 5


def test_slow_name_lookup_does_not_hold_up_the_run(monkeypatch):
    def look_up(*args):
        time.sleep(3)
        raise OSError

    monkeypatch.setattr(socket, "create_connection", look_up)
    begin = time.monotonic()
    assert not module._answers("https://api.example.org", timeout_seconds=0.2)
    assert time.monotonic() - begin < 2


def test_connection_is_tried_through_the_proxy(monkeypatch, answering):
    host, port = answering.getsockname()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://{host}:{port}")
    assert module._answers("https://unknown.invalid")
    answering.close()
    assert not module._answers("https://unknown.invalid")


@pytest.mark.slow
def test_server_that_accepts_and_says_nothing_ends_offline(tmp_path, monkeypatch, answering, said):
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    begin = time.monotonic()
    PatientWandbLogger("online", save_dir=tmp_path, timeout_seconds=2.0).log_metrics({"loss": 0.25}, step=0)
    assert time.monotonic() - begin < 30
    assert len(said) == 1 and "did not accept" in said[0]


def test_refused_key_ends_offline_and_nothing_is_lost(tmp_path, refusing, said):
    logger = make_loggers(tmp_path / "logs")[1]
    logger.log_metrics({"loss": 0.25}, step=0)
    assert len(said) == 1 and "did not accept" in said[0] and "401" in said[0]
    wandb.finish()
    (offline,) = (path for path in (tmp_path / "logs").rglob("offline-run-*") if path.is_dir())
    assert summary(offline)["summary"]["loss"] == 0.25


def test_online_that_was_asked_for_and_refused_is_an_error(tmp_path, monkeypatch, refusing):
    monkeypatch.setenv("WANDB_MODE", "online")
    with pytest.raises(DdspZooError, match="WANDB_MODE"):
        make_loggers(tmp_path)[1].log_metrics({"loss": 0.25}, step=0)


class Toy(L.LightningModule):
    """Two sources that are shares of the mixture, with noise, as a separator would give them."""

    sources, sample_rate, hop_samples = ("bass", "rest"), 8000, 80
    declared = {c.name: c for c in (Control("gain", "1", "level", role="level"), *given_notes(8000))}

    def __init__(self, share: float = 0.3) -> None:
        super().__init__()
        self.share = torch.nn.Parameter(torch.tensor(share))
        self.calls: list[torch.Size] = []

    def forward(self, mixture, f0_hz=None, onset=None):
        self.calls.append(mixture.shape)
        sources = torch.stack([self.share * mixture, 4 * mixture + torch.rand(1) / 2], dim=1)
        frames = mixture.shape[-1] // self.hop_samples
        controls = {"gain": torch.ones(len(mixture), 2, frames, 1)}
        if f0_hz is not None:
            controls["f0_hz"] = f0_hz[..., None]
        return SimpleNamespace(sources=sources, controls=controls)

    def masked(self, mixture, sources):
        return torch.stack([mixture, mixture], dim=1) / 2

    def training_step(self, batch, index):
        loss = (self(batch["mixture"]).sources - batch["sources"]).square().mean()
        self.log("loss", loss)
        return loss

    def validation_step(self, batch, index):
        self.log("validation/loss", self.share)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


class ToyData(L.LightningDataModule):
    """Three examples, one a batch."""

    def train_dataloader(self):
        tones = [torch.sin(torch.arange(800) * frequency) for frequency in (0.1, 0.2, 0.3)]
        pitch = torch.full((2, 10), 50.0)
        items = [
            {"mixture": tone, "sources": torch.stack([tone / 4, tone / 5]), "f0_hz": pitch} for tone in tones
        ]
        return torch.utils.data.DataLoader(items, batch_size=1)

    val_dataloader = train_dataloader


def trainer(folder: Path, loggers, **options) -> L.Trainer:
    return L.Trainer(
        max_epochs=2,
        logger=loggers,
        default_root_dir=folder,
        accelerator="cpu",
        log_every_n_steps=1,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def test_media_arrive_in_the_run(tmp_path, said):
    toy = Toy()
    trainer(tmp_path, make_loggers(tmp_path), callbacks=[LogMedia(every_n_epochs=2, examples=2)]).fit(
        toy, ToyData()
    )
    wandb.finish()
    found = history(tmp_path)
    for example in ("example_0", "example_1"):
        audio = {key: found.get(f"audio/{example}.{key}") for key in ("captions", "sampleRates", "durations")}
        assert audio["captions"][:4] == ["mixture", "bass, target", "bass, synthesised", "bass, masked"]
        assert audio["sampleRates"] == [8000] * 7 and audio["durations"] == [0.1] * 7
        assert found[f"spectrograms/{example}.captions"] == ["bass", "rest"]
        assert found[f"controls/{example}.captions"] == ["bass", "rest"]
    assert not any("example_2" in key for key in found)
    names = [path.suffix for path in (tmp_path / "wandb").rglob("media/*/*/*") if path.is_file()]
    assert (
        names.count(".wav") == 12 and names.count(".png") == 8
    )  # of epoch 0 only; equal sounds are kept once
    # What is too loud is scaled and not clipped.
    peaks = sorted(abs(soundfile.read(path)[0]).max() for path in (tmp_path / "wandb").rglob("*.wav"))
    assert peaks[-1] == pytest.approx(1, abs=1e-3)  # "rest", which was above 4
    assert peaks[0] == pytest.approx(0.2 / 4.25, rel=0.1)  # the target of "rest", at the same gain


@pytest.mark.parametrize("loggers", [False, "csv", "disabled"])
def test_media_cost_nothing_where_no_logger_takes_them(tmp_path, loggers):
    kinds = {"csv": [CSVLogger(tmp_path)], "disabled": [PatientWandbLogger("disabled", save_dir=tmp_path)]}
    plain, logged = Toy(), Toy()
    trainer(tmp_path, False).fit(plain, ToyData())
    trainer(tmp_path, kinds.get(loggers, False), callbacks=[LogMedia()]).fit(logged, ToyData())
    assert len(logged.calls) == len(plain.calls) == 6


@pytest.mark.slow
def test_media_leave_the_random_numbers_of_training_alone(tmp_path, said):
    drawn = []
    for callbacks in ([], [LogMedia(examples=1)]):
        L.seed_everything(7)
        loggers = make_loggers(tmp_path) if callbacks else False
        trainer(tmp_path, loggers, callbacks=callbacks).fit(Toy(), ToyData())
        wandb.finish()
        drawn.append(torch.rand(4))
    assert torch.equal(*drawn)


def test_long_examples_are_cut_to_whole_frames_but_not_below_the_models_excerpt():
    toy = Toy()
    fit = SimpleNamespace(
        sanity_checking=False,
        is_global_zero=True,
        loggers=[SimpleNamespace(log_audio=None, log_image=None, experiment=None)],
    )
    batch = {"mixture": torch.zeros(1, 8000), "f0_hz": torch.zeros(1, 2, 100), "name": ["a"]}
    media = LogMedia(examples=1, max_seconds=0.123)
    media.on_validation_batch_end(fit, toy, None, batch, 0)
    assert media._kept[0]["mixture"].shape == (1, 960) and media._kept[0]["f0_hz"].shape == (1, 2, 12)
    toy.segment_samples = 4000
    media = LogMedia(examples=1, max_seconds=0.123)
    media.on_validation_batch_end(fit, toy, None, batch, 0)
    assert media._kept[0]["mixture"].shape == (1, 4000)


def test_other_ranks_and_sanity_checks_keep_nothing():
    batch = {"mixture": torch.zeros(1, 800)}
    taker = SimpleNamespace(log_audio=None, log_image=None, experiment=None)
    for zero, checking, kept in ((False, False, 0), (True, True, 0), (True, False, 1)):
        media = LogMedia()
        fit = SimpleNamespace(sanity_checking=checking, is_global_zero=zero, loggers=[taker])
        media.on_validation_batch_end(fit, Toy(), None, batch, 0)
        assert len(media._kept) == kept


@pytest.mark.parametrize(
    "batches, chosen",
    [(10, [1, 0, 1, 0, 0, 1, 0, 1, 0, 0]), (4, [1] * 4), (2, [2, 2]), (float("inf"), [1] * 4 + [0] * 4)],
)
def test_measured_excerpts_lie_evenly_over_the_split(batches, chosen):
    assert [LogSeparation(4)._chosen(number, batches) for number in range(len(chosen))] == chosen
    assert LogSeparation(0)._chosen(0, batches) == 0


class ToyCLI(LightningCLI):
    """A command line that makes the loggers itself, as `logger` cannot be written to a config file."""

    def instantiate_trainer(self, **options) -> L.Trainer:
        folder = self.config_init["fit"]["trainer"]["default_root_dir"]
        return super().instantiate_trainer(logger=make_loggers(folder, name="toy"), **options)


def test_the_command_lines_config_reaches_every_logger(tmp_path, said):
    folder = tmp_path / "logs"
    quick = {
        "max_steps": 1,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "accelerator": "cpu",
    }
    ToyCLI(
        Toy,
        ToyData,
        save_config_callback=LogConfigCallback,
        trainer_defaults=quick | {"default_root_dir": str(folder)},
        args=["fit", "--model.share=0.125"],
    )
    wandb.finish()
    assert summary(folder)["config"]["model"]["share"] == 0.125
    (written,) = folder.rglob("hparams.yaml")
    assert yaml.safe_load(written.read_text())["model"]["share"] == 0.125
    assert (folder / "toy" / "version_0" / "config.yaml").exists()


@pytest.mark.slow
def test_making_loggers_does_not_import_wandb(tmp_path):
    program = (
        "import sys; from ddsp_zoo.training.loggers import make_loggers; make_loggers(sys.argv[1]);"
        " sys.exit('wandb' in sys.modules)"
    )
    root = Path(module.__file__).parents[2]
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root, check=True)
