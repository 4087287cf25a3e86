"""The loggers of a training run: CSV always; Weights & Biases where it can work, and never in the way.

W&B goes online when the user is logged in and its server answers, and stays offline (nothing is lost, the run
can be uploaded later) otherwise. Whether a key exists is read from the environment, W&B's settings files and
netrc, without network; whether the server answers is a connection attempt of a few seconds. W&B itself is
imported only when the first number is logged.
"""

import configparser
import importlib.util
import json
import netrc
import os
import re
import socket
import threading
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from ddsp_zoo.errors import DdspZooError

DEFAULT_SERVER = "https://api.wandb.ai"
MODES = {
    "online": "online",
    "run": "online",
    "shared": "shared",
    "offline": "offline",
    "dryrun": "offline",
    "disabled": "disabled",
}


def make_loggers(
    save_dir: str | Path, name: str = "", project: str = "ddsp_zoo", config: dict[str, Any] | None = None
) -> list[Logger]:
    """Returns the loggers of a run, for `Trainer(logger=...)`; the CSV logger comes first and names the folder.

    `save_dir` takes `<name>/version_<n>/metrics.csv` and the `wandb` folder; `name` also names the W&B run.
    `config` (plain values) is logged to all of them at once; a command line logs it with `LogConfigCallback`.
    `WANDB_MODE` (online, offline, disabled) is respected; with `disabled` there is no W&B logger at all.
    """
    loggers: list[Logger] = [CSVLogger(save_dir, name=name or "logs")]
    mode, reason = wandb_mode()
    if mode != "disabled" and not is_installed():
        rank_zero_info("W&B is not installed, so numbers go to CSV alone (`pip install wandb` changes that).")
    elif mode != "disabled":
        loggers.append(PatientWandbLogger(mode, reason, save_dir, name, project))
    if config is not None:
        log_config(loggers, config)
    return loggers


def log_config(loggers: list[Logger], config: dict[str, Any]) -> None:
    """Writes the resolved configuration of a run (a dict of plain values) to every logger."""
    for logger in loggers:
        logger.log_hyperparams(config)


class LogConfigCallback(SaveConfigCallback):
    """Saves config.yaml and writes the same to every logger: `LightningCLI(save_config_callback=LogConfigCallback)`."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        config = json.loads(self.parser.dump(self.config, skip_none=False, format="json"))
        trained = sum(weight.numel() for weight in pl_module.parameters() if weight.requires_grad)
        about = versions() | {"command": trainer.state.fn.value, "trained_parameters": trained}
        log_config(trainer.loggers, config | {"about": about})


class PatientWandbLogger(WandbLogger):
    """Logs to W&B; turns to offline mode, saying why in one line, instead of stopping or hanging.

    `mode` is one of W&B's; `reason` (empty: none) is why an online run is not possible. An online run that the
    server refuses or has not accepted after `timeout_seconds` (W&B adds about ten of its own) goes offline,
    unless WANDB_MODE asks for online: then it is a DdspZooError. WANDB_INIT_TIMEOUT, W&B's own variable,
    overrides the time.
    """

    def __init__(
        self,
        mode: str,
        reason: str = "",
        save_dir: str | Path = ".",
        name: str = "",
        project: str = "ddsp_zoo",
        timeout_seconds: float = 30.0,
    ) -> None:
        settings = {} if "WANDB_INIT_TIMEOUT" in os.environ else {"init_timeout": timeout_seconds}
        # `mode`, not Lightning's `offline=True`, which would set WANDB_MODE for everything after it.
        super().__init__(name=name or None, save_dir=save_dir, project=project, mode=mode, settings=settings)
        self._wandb_init.pop("anonymous", None)  # W&B has dropped it and warns at every run
        if mode == "offline":
            self._go_offline(reason)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Returns the W&B run, which begins at first use."""
        if self._experiment is None:
            self._begin()
        return super().experiment

    def _begin(self) -> None:
        import wandb

        Path(self.save_dir).mkdir(parents=True, exist_ok=True)
        try:
            _ = super().experiment
        except (wandb.errors.Error, TimeoutError) as error:
            self._refused(" ".join(str(error).split()) or type(error).__name__)
            _ = super().experiment

    def _refused(self, why: str) -> None:
        """Raises DdspZooError where there is nothing to fall back to."""
        if self._wandb_init["mode"] == "offline":
            raise DdspZooError(f"W&B cannot start ({why}): set WANDB_MODE=disabled to run without it.")
        if _asked_for_online():
            raise DdspZooError(f"W&B refused to go online ({why}): run `wandb login` or unset WANDB_MODE.")
        self._go_offline(f"the server did not accept the run ({why.rstrip('.')})")

    def _go_offline(self, reason: str) -> None:
        self._wandb_init["mode"] = "offline"
        if reason:
            self._wandb_init["settings"]["silent"] = True  # one line is enough: ours
            folder = Path(self.save_dir, "wandb", "offline-run-*")
            rank_zero_info(
                f"W&B: {reason}, so this run is kept offline; upload it later with `wandb sync {folder}`"
                " (WANDB_MODE=disabled turns W&B off)."
            )


def is_installed() -> bool:
    """Returns whether W&B can be imported, without importing it."""
    return importlib.util.find_spec("wandb") is not None


def versions() -> dict[str, str]:
    """Returns the versions of what numbers depend on."""
    import torch

    from ddsp_zoo import __version__

    return {"ddsp_zoo": __version__, "torch": str(torch.__version__)}


def log_checkpoint(run: Any, path: str | Path, name: str, about: dict[str, Any]) -> None:
    """Keeps a checkpoint, a file or a folder, as the artifact ``<name>`` of type "model" of a W&B run.

    ``about`` (plain values) says what it is. Offline it is copied and goes up with the run.
    """
    import wandb

    artifact = wandb.Artifact(re.sub(r"[^\w.-]", "_", name), type="model", metadata=about)
    (artifact.add_dir if Path(path).is_dir() else artifact.add_file)(str(path))
    run.log_artifact(artifact)


def wandb_mode() -> tuple[str, str]:
    """Returns W&B's mode for this run, and why it is offline (empty where the user chose it).

    Raises DdspZooError for an unknown WANDB_MODE, and for WANDB_MODE=online without a key, which would
    otherwise end in W&B asking for one at the terminal.
    """
    settings = _settings()
    asked = settings.get("mode", "").lower()
    if asked and asked not in MODES:
        raise DdspZooError(f"WANDB_MODE is {asked!r}: set it to online, offline or disabled.")
    if asked and MODES[asked] in ("offline", "disabled"):
        return MODES[asked], ""
    server = settings.get("base_url", DEFAULT_SERVER).rstrip("/")
    if not _logged_in(settings, server):
        if _asked_for_online():
            raise DdspZooError(
                "WANDB_MODE asks for online but no key is found: run `wandb login` or unset it."
            )
        return "offline", "not logged in (`wandb login` does it)"
    # Only rank zero talks to the server, so only it needs to ask whether it is there.
    if rank_zero_only.rank == 0 and not _asked_for_online() and not _answers(server):
        return "offline", f"{server} does not answer"
    return MODES.get(asked, "online"), ""


def _asked_for_online() -> bool:
    return MODES.get(os.environ.get("WANDB_MODE", "").lower()) in ("online", "shared")


def _settings() -> dict[str, str]:
    """Returns W&B's settings: the user's file, then this folder's, then WANDB_* variables; the last wins."""
    home = Path(os.environ.get("WANDB_CONFIG_DIR", "~/.config/wandb")).expanduser()
    folder = Path(os.environ.get("WANDB_DIR", "."), "wandb")
    parser = configparser.ConfigParser(default_section="", interpolation=None)
    try:
        parser.read([home / "settings", folder / "settings"])
    except (configparser.Error, UnicodeDecodeError):
        pass  # W&B itself reports a broken file and goes on without it
    settings = dict(parser["default"]) if parser.has_section("default") else {}
    names = {
        "mode": "WANDB_MODE",
        "base_url": "WANDB_BASE_URL",
        "api_key": "WANDB_API_KEY",
        "identity_token_file": "WANDB_IDENTITY_TOKEN_FILE",
    }
    return settings | {
        name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)
    }


def _logged_in(settings: dict[str, str], server: str) -> bool:
    """Tells whether there is a key for the server, be it valid or not; no network is used."""
    if settings.get("api_key") or settings.get("identity_token_file"):
        return True
    files = [os.environ["NETRC"]] if os.environ.get("NETRC") else ["~/.netrc", "~/_netrc"]
    for path in (Path(file).expanduser() for file in files):
        try:
            entry = netrc.netrc(path).authenticators(urlsplit(server).netloc)
        except (OSError, netrc.NetrcParseError):
            continue
        if entry and entry[2]:
            return True
    return False


def _answers(server: str, timeout_seconds: float = 3.0) -> bool:
    """Tells whether the server, or the proxy on the way to it, accepts a connection within the time."""
    url = urlsplit(server)
    proxy = urllib.request.getproxies().get(url.scheme)
    if proxy and not urllib.request.proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    address = (url.hostname, url.port or (443 if url.scheme == "https" else 80))
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection(address, timeout_seconds).close()
            answered.set()
        except OSError:
            pass

    # A thread, because looking up a name has no timeout of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(timeout_seconds)
    return answered.is_set()
