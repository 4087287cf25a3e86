"""Finding, downloading, verifying and building checkpoints, against a real HTTP server on the loopback."""

import json
import runpy
import shutil
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import lightning
import pytest
import torch
from torch import Tensor, nn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.zoo import hub

ROOT = Path(__file__).resolve().parents[2]
FILES = ["card.md", "config.yaml", "metrics.json", "model.safetensors"]
NOTHING = {"sha256": None, "size": None}
REVISION = "0123456789abcdef0123456789abcdef01234567"
CLASS = "ddsp_zoo._tiny.Tiny"
CONFIG = {"class_path": CLASS, "init_args": {"width": 128}}
Patch = pytest.MonkeyPatch


class Tiny(lightning.LightningModule):
    """A model small enough for a test; its weights fill three pieces of a download."""

    def __init__(self, width: int = 128, inner: nn.Module | None = None, pretrained: str = "") -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        assert not pretrained, "a checkpoint needs no other weights"
        self.layer = nn.Linear(width, width)
        self.inner = inner


def forbidden() -> None:
    raise AssertionError("a checkpoint ran a function")


class HubServer(ThreadingHTTPServer):
    """Answers as the hub does: `resolve` addresses, weights by redirection, ranges."""

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), HubHandler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files = root / "us/zoo/resolve" / REVISION / "tiny"
        self.asked: list[tuple[str, str]] = []  # (file, range)
        self.cuts: list[int] = []  # for the next answers with weights: bytes after which the line breaks
        self.knows_ranges = True
        self.gate = lambda: None  # waited for before weights are sent

    def weights_asked(self) -> list[str]:
        return [byte_range for file, byte_range in self.asked if file == hub.WEIGHTS]


class HubHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server, moved = self.server, self.path.startswith("/cdn/")
        path = server.files / Path(self.path).name
        if not self.path.endswith(f"/us/zoo/resolve/{REVISION}/tiny/{path.name}") or not path.is_file():
            return self.send_error(404)
        if path.name == hub.WEIGHTS and not moved:
            return self.begin(302, 0, Location=f"/cdn{self.path}")
        server.asked.append((path.name, self.headers["Range"]))
        asked_from = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        data = path.read_bytes()[asked_from if server.knows_ranges else 0 :]
        self.begin(206 if server.knows_ranges else 200, len(data))
        if path.name == hub.WEIGHTS:
            server.gate()
            data = data[: server.cuts.pop(0)] if server.cuts else data
        self.wfile.write(data)

    def begin(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(length)} | headers).items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: Patch) -> Path:
    """A folder with a bundle (manifest and checkpoint of `tiny`) and an empty cache."""
    module = types.ModuleType("ddsp_zoo._tiny")
    module.Tiny, module.Linear, module.forbidden = Tiny, nn.Linear, forbidden
    monkeypatch.setattr(Tiny, "__module__", module.__name__)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for variable in ("DDSP_ZOO_CHECKPOINTS", "DDSP_ZOO_HUB", "DDSP_ZOO_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(hub, "_bundle", lambda: tmp_path / "bundle")
    write_checkpoint(tmp_path / "bundle/tiny")
    row = {"summary": "Tiny.", "files": {file: NOTHING for file in FILES}}
    where = {"repository": "us/zoo", "revision": REVISION, "published": False}
    manifest = {"hub": where, "models": {"tiny": row, "harp_16k": row}}
    (tmp_path / "bundle/manifest.json").write_text(json.dumps(manifest))
    hub.refresh_manifest(tmp_path / "bundle")
    return tmp_path


@pytest.fixture
def server(zoo: Path, monkeypatch: Patch) -> HubServer:
    """The checkpoint is no longer in the bundle but on a server."""
    with HubServer(zoo / "www") as running:
        running.files.parent.mkdir(parents=True)
        shutil.move(zoo / "bundle/tiny", running.files)
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("DDSP_ZOO_HUB", running.url)
        yield running
        running.shutdown()
        thread.join()


def write_checkpoint(folder: Path, seed: int = 0) -> Tensor:
    """A checkpoint of `Tiny`; returns the weights as a model loaded from it has them."""
    torch.manual_seed(seed)
    model = Tiny()
    hub.save_checkpoint(model, folder, CONFIG)
    (folder / "card.md").write_text("# Tiny\n")
    (folder / "metrics.json").write_text('{"si_sdr_db": 3.0}\n')
    return model.layer.weight.half().float()


def refused(message: str) -> object:
    return pytest.raises(DdspZooError, match=message)


def files_under(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.name != "lock")


def flip_a_byte(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


# From a folder to a model


def test_bundled_checkpoint_comes_back_in_float32_and_eval_mode(zoo: Path) -> None:
    model = hub.load("tiny")
    assert not model.training and model.layer.weight.dtype == torch.float32
    assert torch.equal(model.layer.weight, write_checkpoint(zoo / "the same again"))
    assert not (zoo / "cache").exists()


def test_half_precision_on_disk_except_where_it_would_overflow(zoo: Path) -> None:
    from safetensors.torch import load_file

    model = Tiny()
    nn.init.constant_(model.layer.bias, 1e6)
    hub.save_checkpoint(model, zoo / "own", CONFIG)
    assert load_file(zoo / "own/model.safetensors")["layer.weight"].dtype == torch.float16
    assert torch.equal(hub.load("tiny", checkpoint=zoo / "own").layer.bias, model.layer.bias)


def test_save_leaves_the_old_checkpoint_where_the_config_is_not_plain(zoo: Path) -> None:
    before = {file: (zoo / "bundle/tiny" / file).read_bytes() for file in FILES}
    with refused("plain values"):
        hub.save_checkpoint(Tiny(), zoo / "bundle/tiny", CONFIG | {"init_args": {"width": nn.Identity()}})
    assert {path.name: path.read_bytes() for path in (zoo / "bundle/tiny").iterdir()} == before


def test_nested_configs_are_built_from_the_inside(zoo: Path) -> None:
    inner = {"class_path": CLASS, "init_args": {"width": 3}}
    model = hub.instantiate({"class_path": CLASS, "init_args": {"width": 5, "inner": inner}})
    assert model.inner.layer.in_features == 3 and model.layer.in_features == 5
    assert hub.instantiate({"a": [1, {"b": None}]}) == {"a": [1, {"b": None}]}


def test_weights_are_copied_between_modules_that_name_no_sources() -> None:
    source, target = Tiny(), Tiny()
    hub.copy_weights(source, target, "tiny")
    assert torch.equal(target.layer.weight, source.layer.weight)
    with refused("weights of small do not fit the Tiny of this recipe"):
        hub.copy_weights(Tiny(width=3), target, "small")


@pytest.mark.parametrize("name", ["adapts", "does not"])
def test_a_class_may_adapt_weights_of_other_sources(name: str, monkeypatch: Patch) -> None:
    source, target = Tiny(), Tiny()
    source.sources, target.sources = ("low",), ("high", "low")
    if name == "adapts":
        monkeypatch.setattr(
            Tiny,
            "adapt_weights",
            lambda self, weights, sources: weights | {"layer.bias": 0 * weights["layer.bias"]},
            raising=False,
        )
    hub.copy_weights(source, target, "tiny")
    assert torch.equal(target.layer.weight, source.layer.weight)
    assert target.layer.bias.any().item() is (name != "adapts")
    hub.copy_weights(source, source, "itself")
    assert source.layer.bias.any()  # nothing to adapt


@pytest.mark.parametrize(
    "class_path",
    [
        "os.system",
        "subprocess.Popen",
        "torch.nn.Linear",
        "ddsp_zoology.Tiny",
        "ddsp_zoo",
        "Tiny",
        None,
        "ddsp_zoo._tiny.Linear",
        "ddsp_zoo._tiny.forbidden",
        "ddsp_zoo._tiny.Missing",
        "ddsp_zoo.nowhere.Tiny",
        "ddsp_zoo.zoo.hub.Path",
        "ddsp_zoo.zoo.hub.os.system",
        "this.Zen",
    ],
)
def test_only_own_classes_are_built(zoo: Path, class_path: str) -> None:
    config = {"class_path": class_path, "init_args": {}}
    for refused_config in (config, {"class_path": CLASS, "init_args": {"inner": config}}):
        with refused("is no class of ddsp_zoo|cannot be imported"):
            hub.instantiate(refused_config)
    assert "this" not in sys.modules, "a foreign module was run"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (f"class_path: {CLASS}\ninit_args: {{width: 64}}", "do not fit .*size mismatch"),
        (f"class_path: {CLASS}\ninit_args: {{inner: {{class_path: {CLASS}}}}}", "do not fit .*Missing key"),
        (f"class_path: {CLASS}\ninit_args: {{depth: 64}}", "does not fit .*depth"),
        ("init_args: {width: 128}", "describes no model"),
        ("just text", "describes no model"),
        ("{", "damaged"),
        ("a: !!python/object/apply:os.getcwd []", "damaged"),
    ],
)
def test_config_that_does_not_fit(zoo: Path, config: str, message: str) -> None:
    write_checkpoint(zoo / "own")
    (zoo / "own/config.yaml").write_text(config)
    with refused(message):
        hub.load("tiny", checkpoint=zoo / "own")


def test_weights_load_without_the_model_that_training_started_from(zoo: Path) -> None:
    hub.save_checkpoint(Tiny(), zoo / "own", CONFIG | {"init_args": {"pretrained": "far/away"}})
    assert hub.load("tiny", checkpoint=zoo / "own").layer.in_features == 128


@pytest.mark.filterwarnings("ignore")  # of other packages about each other
def test_file_written_by_the_training_command(zoo: Path, monkeypatch: Patch) -> None:
    from lightning.pytorch.cli import LightningCLI

    arguments = f"--model={CLASS} --model.width=6 --model.inner={CLASS} --model.inner.width=4"
    monkeypatch.setattr(sys, "argv", ["ddsp-zoo", *arguments.split(), "--trainer.logger=false"])
    cli = LightningCLI(lightning.LightningModule, subclass_mode_model=True, run=False)
    cli.trainer.strategy.connect(cli.model)
    cli.trainer.save_checkpoint(zoo / "last.ckpt")
    loaded = hub.load("anything", checkpoint=zoo / "last.ckpt")
    assert torch.equal(loaded.inner.layer.weight, cli.model.inner.layer.weight)
    assert torch.equal(loaded.layer.weight, cli.model.layer.weight) and not loaded.training


def test_training_file_without_class_with_objects_or_cut_short(zoo: Path) -> None:
    path, weights = zoo / "a.ckpt", Tiny().state_dict()
    torch.save({"state_dict": weights, "hyper_parameters": {"width": 128}}, path)
    with refused("does not say which model"):
        hub.load("tiny", checkpoint=path)
    path.write_bytes(path.read_bytes()[:-100])
    with refused("damaged"):
        hub.load("tiny", checkpoint=path)
    torch.save({"state_dict": weights, "hyper_parameters": {"_class_path": forbidden}}, path)
    with refused("more than plain data"):
        hub.load("tiny", checkpoint=path)


# From a name to a folder


def test_order_of_places(zoo: Path, server: HubServer, monkeypatch: Patch) -> None:
    assert hub.find("tiny") == zoo / "cache/tiny" / REVISION
    shutil.copytree(server.files, zoo / "bundle/tiny")
    assert hub.find("tiny") == zoo / "bundle/tiny"
    monkeypatch.setenv("DDSP_ZOO_CHECKPOINTS", str(zoo / "mine"))
    with refused("DDSP_ZOO_CHECKPOINTS names .*mine"):
        hub.find("tiny")
    (zoo / "mine").mkdir()
    assert hub.find("tiny") == zoo / "bundle/tiny"
    write_checkpoint(zoo / "mine/tiny", seed=1)  # the user's own: not compared with the published one
    assert hub.find("tiny") == zoo / "mine/tiny"
    weights = write_checkpoint(zoo / "given", seed=2)
    assert torch.equal(hub.load("tiny", checkpoint=zoo / "given").layer.weight, weights)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("harp", r"no model 'harp': did you mean 'harp_16k'\? .*list_models"),
        ("TINI", "did you mean 'tiny'"),
        ("zzz", "no model 'zzz': ddsp_zoo.list_models"),
        ("harp_16k", "not published yet: put .*bundle/harp_16k .*DDSP_ZOO_CHECKPOINTS="),
    ],
)
def test_unknown_and_unpublished_names(zoo: Path, name: str, message: str) -> None:
    with refused(message):
        hub.load(name)


@pytest.mark.parametrize("file", FILES)
def test_truncated_bundled_file_is_told_with_its_cure(zoo: Path, file: str) -> None:
    path = zoo / "bundle/tiny" / file
    path.write_bytes(path.read_bytes()[:-5])
    with refused(f"{file} does not match .*git checkout -- checkpoints/tiny"):
        hub.load("tiny")


def test_damaged_or_incomplete_own_folder(zoo: Path) -> None:
    write_checkpoint(zoo / "own")
    weights = zoo / "own/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with refused("own is damaged"):
        hub.load("tiny", checkpoint=zoo / "own")
    weights.unlink()
    with refused("needs both"):
        hub.load("tiny", checkpoint=zoo / "own")
    with refused("no checkpoint"):
        hub.load("tiny", checkpoint=zoo / "nowhere")


def test_info_reads_what_is_here_and_asks_nobody(zoo: Path) -> None:
    known = hub.info("tiny")
    assert known["name"] == "tiny" and known["card"] == "# Tiny\n" and known["metrics"] == {"si_sdr_db": 3.0}
    assert known["files"]["card.md"]["size"] == 7
    assert hub.info("harp_16k")["card"] is None
    assert hub.list_models() == ["harp_16k", "tiny"]


def test_refresh_manifest(zoo: Path) -> None:
    write_checkpoint(zoo / "bundle/tiny", seed=5)
    (zoo / "bundle/tiny/metrics.json").unlink()
    before = hub.info("tiny")["files"]
    with refused("python -m ddsp_zoo.zoo.hub"):
        hub.load("tiny")
    subprocess.run([sys.executable, "-m", "ddsp_zoo.zoo.hub", zoo / "bundle"], check=True, cwd=ROOT)
    after = hub.info("tiny")["files"]
    assert after["model.safetensors"]["sha256"] != before["model.safetensors"]["sha256"]
    assert after["metrics.json"] == NOTHING and hub.info("harp_16k")["files"]["card.md"] == NOTHING
    write_checkpoint(zoo / "bundle/unlisted")
    with refused("unlisted has no row"):
        hub.refresh_manifest(zoo / "bundle")
    listing = zoo / "bundle/manifest.json"
    manifest = json.loads(listing.read_text(encoding="utf-8"))
    manifest["models"]["unlisted"] = {
        key: x for key, x in manifest["models"]["tiny"].items() if key != "files"
    }
    listing.write_text(json.dumps(manifest), encoding="utf-8")
    hub.refresh_manifest(zoo / "bundle")
    assert sorted(hub.info("unlisted")["files"]) == FILES


# Downloads


def test_download_is_verified_kept_and_not_repeated(zoo: Path, server: HubServer) -> None:
    for _ in range(2):
        assert torch.equal(hub.load("tiny").layer.weight, write_checkpoint(zoo / "the same again"))
    assert sorted(file for file, _ in server.asked) == FILES
    assert files_under(zoo / "cache") == FILES and not (zoo / "cache/tiny/partial").exists()
    flip_a_byte(zoo / "cache/tiny" / REVISION / hub.WEIGHTS)
    hub.load("tiny")
    assert server.weights_asked() == ["bytes=0-", "bytes=0-"] and len(server.asked) == len(FILES) + 1


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_cut_line_is_taken_up_by_the_same_call(zoo: Path, server: HubServer, knows_ranges: bool) -> None:
    server.cuts, server.knows_ranges = [20000], knows_ranges
    hub.load("tiny")
    assert server.weights_asked() == ["bytes=0-", "bytes=16384-"]
    assert files_under(zoo / "cache") == FILES


def test_cut_line_is_taken_up_by_the_next_call(zoo: Path, server: HubServer) -> None:
    server.cuts = [20000, 0]
    with refused("stopped at 16384 of .* try again"):
        hub.load("tiny")
    assert hub.WEIGHTS not in files_under(zoo / "cache")
    hub.load("tiny")
    assert server.weights_asked() == ["bytes=0-", "bytes=16384-", "bytes=16384-"]
    assert files_under(zoo / "cache") == FILES


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (flip_a_byte, "holds something else .* thrown away"),  # of the right size
        (lambda path: path.write_bytes(bytes(1 << 20)), "holds something else .* thrown away"),
        (Path.unlink, r"stopped at 0 of \d+ bytes \(status 404\)"),
    ],
)
def test_wrong_content_never_enters_the_cache(
    zoo: Path, server: HubServer, file: str, spoil: Callable[[Path], object], message: str
) -> None:
    right = (server.files / file).read_bytes()
    spoil(server.files / file)
    with refused(f"{file} {message}"):
        hub.load("tiny")
    assert file not in files_under(zoo / "cache/tiny" / REVISION)
    assert not any(path.stat().st_size for path in (zoo / "cache/tiny/partial").iterdir())
    (server.files / file).write_bytes(right)
    assert hub.load("tiny").layer.in_features == 128


def test_server_that_is_down_or_silent_is_given_up(zoo: Path, server: HubServer, monkeypatch: Patch) -> None:
    released, started = threading.Event(), time.monotonic()
    server.gate = lambda: released.wait(10)
    monkeypatch.setattr("ddsp_zoo.files.download.TIMEOUT_SECONDS", (0.3, 0.3))
    with refused("stopped at 0 of"):
        hub.load("tiny")
    released.set()
    with HubServer(zoo) as gone:
        monkeypatch.setenv("DDSP_ZOO_HUB", gone.url)
    with refused(r"stopped at 0 of .*ConnectionError.*DDSP_ZOO_CHECKPOINTS"):
        hub.load("tiny")
    assert time.monotonic() - started < 3
    assert hub.WEIGHTS not in files_under(zoo / "cache")


def test_two_processes_share_one_download(zoo: Path, server: HubServer) -> None:
    def wait_for_both() -> None:
        deadline = time.monotonic() + 20
        while len(list(zoo.glob("ready*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)  # so that the other is at the lock

    server.gate = wait_for_both
    code = (
        "import os, pathlib; from ddsp_zoo.zoo import hub; import requests, filelock\n"
        f"zoo = pathlib.Path({str(zoo)!r}); hub._bundle = lambda: zoo / 'bundle'\n"
        "(zoo / f'ready{os.getpid()}').touch(); print(hub.find('tiny'))"
    )
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [process.communicate(timeout=60)[0].strip() for process in running]
    assert printed == [str(zoo / "cache/tiny" / REVISION)] * 2
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(file for file, _ in server.asked) == FILES
    assert files_under(zoo / "cache") == FILES


@pytest.mark.parametrize("variable", ["DDSP_ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_mode(zoo: Path, server: HubServer, monkeypatch: Patch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with refused(f"{variable} forbids downloads: put .*DDSP_ZOO_CHECKPOINTS"):
        hub.load("tiny")
    monkeypatch.setenv(variable, "0")
    with refused("no sha256"):
        hub.load("harp_16k")
    assert not server.asked and not (zoo / "cache").exists()
    hub.find("tiny")
    monkeypatch.setenv(variable, "1")
    assert hub.load("tiny").layer.in_features == 128


def test_cache_follows_the_environment(zoo: Path, server: HubServer, monkeypatch: Patch) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(zoo / "xdg"))
    assert hub.find("tiny") == zoo / "xdg/ddsp_zoo/tiny" / REVISION
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(zoo / "home"))
    assert hub.find("tiny") == zoo / "home/.cache/ddsp_zoo/tiny" / REVISION
    (zoo / "file").touch()
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(zoo / "file"))
    with refused("cannot be written .*DDSP_ZOO_CACHE"):
        hub.load("tiny")


# The repository itself


def test_torch_hub_loads_from_a_clone(zoo: Path) -> None:
    model = torch.hub.load(str(ROOT), "tiny", source="local")
    assert isinstance(model, Tiny) and not model.training
    entry_points = [key for key, value in runpy.run_path(ROOT / "hubconf.py").items() if callable(value)]
    assert sorted(key for key in entry_points if not key.startswith("_")) == hub.list_models()


def test_importing_the_hub_is_light() -> None:
    heavy = {"torch", "lightning", "requests", "yaml", "huggingface_hub", "tqdm"}
    code = f"import sys, ddsp_zoo.zoo.hub; assert not {heavy!r} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_manifest_of_the_repository() -> None:
    manifest = json.loads((ROOT / "checkpoints/manifest.json").read_text(encoding="utf-8"))
    assert {"ast_ddsp_bass", "exB4"} <= set(manifest["models"])
    if manifest["hub"]["published"]:
        assert len(manifest["hub"]["revision"]) == 40, "a published revision is a commit, not a branch"
    for name, row in manifest["models"].items():
        assert row["summary"] and row["paper"] and row["sources"] and row["sample_rate"] > 0, name
        assert set(row["licences"]) == {"code", "weights", "training_data"} and sorted(row["files"]) == FILES
        folder = ROOT / "checkpoints" / name
        if (folder / hub.WEIGHTS).exists():  # what is shipped is licensed, and what the manifest means
            assert hub._damaged(folder, row["files"]) == [], name
            assert all(row["licences"].values()), name
