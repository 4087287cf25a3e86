"""The page in a real browser: Debian's chromium, driven by playwright. No network is needed."""

import io
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from tiny import music, save_tiny_ast

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DEADLINE_MS = 120_000  # of a busy machine
MODEL = "ast_ddsp_all"
SCREENSHOTS = "DDSP_ZOO_SCREENSHOTS"  # a folder for pictures of the page, to be looked at
WIDTHS = (1280, 390)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("gradio") is None, reason="gradio is not installed: pip install ddsp_zoo[app]"
    ),
    pytest.mark.skipif(
        find_spec("playwright") is None, reason="playwright is not installed: pip install playwright"
    ),
    pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recordings, a tiny model under the name of a released one, and a place for what the server keeps."""
    here = tmp_path_factory.mktemp("page")
    save_tiny_ast(here / "checkpoints" / MODEL)
    sf.write(here / "song.wav", music(24000, 2).T, 8000)
    sf.write(here / "long.wav", music(580 * 8000, 2).T, 8000)
    (here / "text.wav").write_text("this is no sound")
    (here / "temporary").mkdir()
    return here


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[tuple[str, int]]:
    """The address of `ddsp-zoo app`, and its process."""
    own = {"TMPDIR": str(folder / "temporary"), "DDSP_ZOO_CHECKPOINTS": str(folder / "checkpoints")}
    command = [sys.executable, "-m", "ddsp_zoo.cli", "app", "--port", "0"]
    process = subprocess.Popen(command, env=os.environ | own, stdout=subprocess.PIPE, text=True)
    yield process.stdout.readline().split()[0], process.pid
    process.terminate()
    assert process.wait(60) is not None
    assert not list((folder / "temporary").glob(".app*"))  # nothing is left


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        own = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield own
        own.close()


@pytest.fixture
def asked() -> list[str]:
    """All addresses that the page has asked for."""
    return []


@pytest.fixture
def page(browser: Any, server: tuple[str, int], asked: list[str]) -> Iterator[Any]:
    """The page as a visitor sees it at first."""
    own = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    own.set_default_timeout(DEADLINE_MS)
    own.on("request", lambda request: asked.append(request.url))
    own.goto(server[0])
    own.wait_for_selector("#status .said")
    yield own
    own.close()


def bring(page: Any, path: Path, answer: str) -> None:
    page.set_input_files("#recording input[type=file]", path)
    page.wait_for_selector(f"#status :text('{answer}')")


def heard(page: Any, group: str, name: str) -> np.ndarray:
    """The first piece of a row of the player, as the browser gets it."""
    row = f".track[data-group='{group}'][data-name='{name}']"
    code = """async (row) => {
        const answer = await fetch(document.querySelector(row).dataset.sounds + "/0");
        return [answer.status, Array.from(new Uint8Array(await answer.arrayBuffer()))];
    }"""
    status, data = page.evaluate(code, row)
    assert status == 200
    return sf.read(io.BytesIO(bytes(data)), always_2d=True)[0].mean(1)


def look(page: Any, name: str) -> None:
    """The page has no part that is cut off, in any width; keeps pictures where somebody wants to see them."""
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(700)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if wanted := os.environ.get(SCREENSHOTS):
            page.screenshot(path=Path(wanted) / f"{name}_{width}.png", full_page=True)
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})


def write(page: Any, cell: int, text: str) -> None:
    """Writes into a cell of the table of notes."""
    page.locator("#bass-notes .body-cell").nth(cell).dblclick()
    page.keyboard.press("Control+A")
    page.keyboard.type(text)
    page.keyboard.press("Enter")


def wait_for(true: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_MS / 1000
    while not true():
        assert time.monotonic() < end
        time.sleep(0.1)


def workers(pid: int) -> list[str]:
    """The processes in which the server works."""
    pids = [
        own for task in Path(f"/proc/{pid}/task").iterdir() for own in (task / "children").read_text().split()
    ]
    lines = [Path(f"/proc/{own}/cmdline").read_bytes().decode() for own in pids]
    return [line for line in lines if "spawn_main" in line]


def test_separate_edit_and_take_away(
    page: Any, folder: Path, server: tuple[str, int], asked: list[str]
) -> None:
    look(page, "first")
    bring(page, folder / "text.wav", "text.wav is not audio that can be read")
    bring(page, folder / "song.wav", "song.wav is here (0:03)")
    page.click("#separate")
    page.wait_for_selector("#status :text('song.wav is separated')")
    page.wait_for_selector("#bass-gain_db input[type=number]")
    stem, played = heard(page, "Stems", "bass"), heard(page, "Synthesised", "bass")
    mixture, residual = heard(page, "Song", "mixture"), heard(page, "Song", "residual")
    np.testing.assert_allclose(mixture, stem + residual, atol=3 / 32768)
    np.testing.assert_allclose(mixture, sf.read(folder / "song.wav")[0].mean(1), atol=2 / 32768)

    page.click("#render")
    page.wait_for_selector("#rendered :text('Nothing is changed yet')")
    page.fill("#bass-gain_db input[type=number]", "-12")
    page.press("#bass-gain_db input[type=number]", "Tab")
    page.click("#render")
    page.wait_for_selector("#rendered :text('Rendered (synthesised): bass')")
    edited = heard(page, "Edited", "edited bass")
    np.testing.assert_allclose(edited, played * 10 ** (-12 / 20), atol=2 / 32768)
    changed = heard(page, "Edited", "edited mixture")
    np.testing.assert_allclose(changed, mixture - stem + edited, atol=3 / 32768)
    look(page, "edited")
    write(page, 2, "C4")
    page.click("#render")
    page.wait_for_selector("#rendered :text('which is no number')")
    write(page, 2, "40")
    page.click("#render")
    page.wait_for_selector("#rendered :text('Rendered (synthesised): bass')")
    assert np.abs(heard(page, "Edited", "edited bass") - edited).max() > 0.01

    with page.expect_download() as download:
        page.click("#zip")
    with zipfile.ZipFile(download.value.path()) as taken:
        names = taken.namelist()
        edits = taken.read("edits.yaml")
    assert b"gain_db: -12.0" in edits and b"pitch: 40.0" in edits
    assert download.value.suggested_filename == "song.zip" and len(names) == len(set(names))
    for name in ("song/bass.wav", "song/residual.wav", "song/controls.npz", "song/synthesised/bass.wav"):
        assert name in names
    assert "edited/mixture.wav" in names and "edited/controls.npz" in names
    elsewhere = [url for url in asked if not url.startswith((server[0], "data:", "blob:"))]
    assert not elsewhere, elsewhere


def test_what_sounds_together_starts_together(page: Any, folder: Path) -> None:
    bring(page, folder / "song.wav", "song.wav is here")
    page.click("#separate")
    page.wait_for_selector("#status :text('song.wav is separated')")
    page.click("[aria-label='mute residual']")  # heard now, beside the mixture
    record = """() => {
        window.starts = [];
        const start = AudioBufferSourceNode.prototype.start;
        AudioBufferSourceNode.prototype.start = function (when, offset) {
            window.starts.push([when, offset, this.buffer.duration]);
            return start.call(this, when, offset);
        };
    }"""
    page.evaluate(record)
    page.click("ddsp-player .play")
    page.wait_for_function(
        "window.starts.length == 2 && document.querySelector('ddsp-player').position() > 0.2"
    )
    (one, first, length), (other, second, _) = page.evaluate("window.starts")
    assert abs((one - first) - (other - second)) < 1e-6 and abs(length - 3) < 1e-3
    page.click("[aria-label='solo bass']")
    page.wait_for_function(
        "document.querySelector('ddsp-player').tracks.filter((t) => t.gain.gain.value > 0.5).length == 1"
    )
    page.wait_for_selector("ddsp-player .play:text('Play')")  # at the end it stands still


def test_others_reach_nothing(page: Any, browser: Any, folder: Path, server: tuple[str, int]) -> None:
    bring(page, folder / "song.wav", "song.wav is here")
    (path,) = (folder / "temporary").rglob("song.wav")
    other = browser.new_context().request
    token = path.parent.parent.name
    for address in (
        f"gradio_api/file={path}",
        f"file={path}",
        f"session/{token}",
        "session/",
        f"session/{'x' * 32}/song.zip",
    ):
        answer = other.get(f"{server[0]}/{address}")
        assert answer.status in (403, 404) or token not in answer.text(), address
    assert other.get(f"{server[0]}/gradio_api/file={path}").status in (403, 404)
    assert other.get(server[0], headers={"host": "elsewhere.example"}).status == 400


def test_a_closed_page_ends_its_work(browser: Any, folder: Path, server: tuple[str, int]) -> None:
    page = browser.new_page()
    page.set_default_timeout(DEADLINE_MS)
    page.goto(server[0])
    page.wait_for_selector("#status .said")
    before = len(workers(server[1]))
    bring(page, folder / "long.wav", "long.wav is here (9:40)")
    page.click("#separate")
    page.wait_for_selector("#status progress[max]")  # it is at it
    assert len(workers(server[1])) == before + 1
    page.close()
    wait_for(lambda: len(workers(server[1])) == before)
    wait_for(lambda: not list((folder / "temporary").rglob("long.wav")))
