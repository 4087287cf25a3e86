"""From a name to a folder: order of places, downloads against a real server, what is refused."""

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from checkpoints import FILES, REVISION, HubServer, Patch, files_under, flip_a_byte, refused, write_checkpoint
from ddsp_zoo.files import download
from ddsp_zoo.zoo import find, finding, info, list_models, load
from ddsp_zoo.zoo.manifest import WEIGHTS

ROOT = Path(__file__).resolve().parents[2]


# From a name to a folder


def test_order_of_places(zoo: Path, server: HubServer, monkeypatch: Patch) -> None:
    assert find("tiny") == zoo / "cache/tiny" / REVISION
    shutil.copytree(server.files, zoo / "bundle/tiny")
    assert find("tiny") == zoo / "bundle/tiny"
    monkeypatch.setenv("DDSP_ZOO_CHECKPOINTS", str(zoo / "mine"))
    with refused("DDSP_ZOO_CHECKPOINTS names .*mine"):
        find("tiny")
    (zoo / "mine").mkdir()
    assert find("tiny") == zoo / "bundle/tiny"
    write_checkpoint(zoo / "mine/tiny", seed=1)  # the user's own: not compared with the published one
    assert find("tiny") == zoo / "mine/tiny"
    weights = write_checkpoint(zoo / "given", seed=2)
    assert torch.equal(load("tiny", checkpoint=zoo / "given").layer.weight, weights)


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
        load(name)


@pytest.mark.parametrize("name", ["../../x", "/tmp/x", "tiny/../tiny", "..", ".hidden", "", "a b", None])
def test_names_that_would_lead_to_another_folder(
    zoo: Path, server: HubServer, monkeypatch: Patch, name: str
) -> None:
    monkeypatch.setenv("DDSP_ZOO_CHECKPOINTS", str(zoo / "mine/deep"))
    (zoo / "mine/deep").mkdir(parents=True)
    write_checkpoint(zoo / "x")  # which ../../x would find
    before = sorted(zoo.rglob("*"))
    for look in (load, find, info):
        with refused("cannot be the name of a model.*`checkpoint=`"):
            look(name)
    assert sorted(zoo.rglob("*")) == before and not server.asked


@pytest.mark.parametrize("file", FILES)
def test_truncated_bundled_file_is_told_with_its_cure(zoo: Path, file: str) -> None:
    path = zoo / "bundle/tiny" / file
    path.write_bytes(path.read_bytes()[:-5])
    with refused(f"{file} does not match .*git checkout -- checkpoints/tiny"):
        load("tiny")


def test_damaged_or_incomplete_own_folder(zoo: Path) -> None:
    write_checkpoint(zoo / "own")
    weights = zoo / "own/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    with refused("own is damaged"):
        load("tiny", checkpoint=zoo / "own")
    weights.unlink()
    with refused("needs both"):
        load("tiny", checkpoint=zoo / "own")
    with refused("no checkpoint"):
        load("tiny", checkpoint=zoo / "nowhere")


def test_info_reads_what_is_here_and_asks_nobody(zoo: Path) -> None:
    known = info("tiny")
    assert known["name"] == "tiny" and known["card"] == "# Tiny\n" and known["metrics"] == {"si_sdr_db": 3.0}
    assert known["files"]["card.md"]["size"] == 7
    assert info("harp_16k")["card"] is None
    assert list_models() == ["harp_16k", "tiny"]


# Downloads


def test_download_is_verified_kept_and_not_repeated(zoo: Path, server: HubServer) -> None:
    for _ in range(2):
        assert torch.equal(load("tiny").layer.weight, write_checkpoint(zoo / "the same again"))
    assert sorted(file for file, _ in server.asked) == FILES
    assert files_under(zoo / "cache") == FILES and not (zoo / "cache/tiny/partial").exists()
    flip_a_byte(zoo / "cache/tiny" / REVISION / WEIGHTS)
    load("tiny")
    assert server.weights_asked() == ["bytes=0-", "bytes=0-"] and len(server.asked) == len(FILES) + 1


@pytest.mark.parametrize("knows_ranges", [True, False])
def test_cut_line_is_taken_up_by_the_same_call(zoo: Path, server: HubServer, knows_ranges: bool) -> None:
    server.cuts, server.knows_ranges = [20000], knows_ranges
    load("tiny")
    assert server.weights_asked() == ["bytes=0-", "bytes=16384-"]
    assert files_under(zoo / "cache") == FILES


def test_cut_line_is_taken_up_by_the_next_call(zoo: Path, server: HubServer) -> None:
    server.cuts = [20000, 0]
    with refused("stopped at 16384 of .* try again"):
        load("tiny")
    assert WEIGHTS not in files_under(zoo / "cache")
    load("tiny")
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
        load("tiny")
    assert file not in files_under(zoo / "cache/tiny" / REVISION)
    assert not any(path.stat().st_size for path in (zoo / "cache/tiny/partial").iterdir())
    (server.files / file).write_bytes(right)
    assert load("tiny").layer.in_features == 128


def test_server_that_is_down_or_silent_is_given_up(zoo: Path, server: HubServer, monkeypatch: Patch) -> None:
    released, started = threading.Event(), time.monotonic()
    server.gate = lambda: released.wait(10)
    hasty = partial(download.receive, patience=download.Patience(0.3, 0.3, 0.01))
    monkeypatch.setattr(finding, "receive", hasty)
    with refused("stopped at 0 of"):
        load("tiny")
    released.set()
    with HubServer(zoo) as gone:
        monkeypatch.setenv("DDSP_ZOO_HUB", gone.url)
    with refused(r"stopped at 0 of .*ConnectionError.*DDSP_ZOO_CHECKPOINTS"):
        load("tiny")
    assert time.monotonic() - started < 3
    assert WEIGHTS not in files_under(zoo / "cache")


def test_two_processes_share_one_download(zoo: Path, server: HubServer) -> None:
    def wait_for_both() -> None:
        deadline = time.monotonic() + 20
        while len(list(zoo.glob("ready*"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)  # so that the other is at the lock

    server.gate = wait_for_both
    code = (
        "import os, pathlib; from ddsp_zoo.zoo import manifest, find; import requests, filelock\n"
        f"zoo = pathlib.Path({str(zoo)!r}); manifest.bundle = lambda: zoo / 'bundle'\n"
        "(zoo / f'ready{os.getpid()}').touch(); print(find('tiny'))"
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
        load("tiny")
    monkeypatch.setenv(variable, "0")
    with refused("no sha256"):
        load("harp_16k")
    assert not server.asked and not (zoo / "cache").exists()
    find("tiny")
    monkeypatch.setenv(variable, "1")
    assert load("tiny").layer.in_features == 128


def test_cache_follows_the_environment(zoo: Path, server: HubServer, monkeypatch: Patch) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(zoo / "xdg"))
    assert find("tiny") == zoo / "xdg/ddsp_zoo/tiny" / REVISION
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(zoo / "home"))
    assert find("tiny") == zoo / "home/.cache/ddsp_zoo/tiny" / REVISION
    (zoo / "file").touch()
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(zoo / "file"))
    with refused("cannot be written .*DDSP_ZOO_CACHE"):
        load("tiny")
