"""What is asked for over the network: a session's parts by its token, and nothing else."""

import io
import socket
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from ddsp_zoo.app.actions import Actions, examples, models
from ddsp_zoo.app.session import Limits, Session, Sessions
from ddsp_zoo.cli import main
from ddsp_zoo.errors import DdspZooError

GONE = "This is no longer here"


@pytest.fixture
def client(sessions: Sessions) -> Iterator[Any]:
    fastapi = pytest.importorskip("fastapi", reason="comes with gradio: pip install ddsp_zoo[app]")
    from fastapi.testclient import TestClient

    from ddsp_zoo.app.server import Headers, add_routes

    application = fastapi.FastAPI()
    add_routes(application, sessions)
    application.add_middleware(Headers)
    with TestClient(application) as client:
        yield client


def test_a_visitor_gets_what_is_theirs(client: Any, separated: Session) -> None:
    assert client.get(f"/session/{separated.token}/sound/1/0/0").content[:4] == b"RIFF"
    answer = client.get(f"/session/{separated.token}/overview.png")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_all_is_taken_away_in_one_file(client: Any, separated: Session) -> None:
    (separated.song / "other.txt").write_text("not ours")
    answer = client.get(f"/session/{separated.token}/song.zip")
    assert answer.headers["content-disposition"] == "attachment; filename*=utf-8''my%20song.zip"
    names = zipfile.ZipFile(io.BytesIO(answer.content)).namelist()
    assert {"song/bass.wav", "song/synthesised/bass.wav", "song/controls.npz", "song/notes.mid"} <= set(names)
    assert "song/ddsp_zoo.json" in names and "song/other.txt" not in names
    assert not list(separated.folder.glob("*.zip"))  # nothing is left of it


@pytest.mark.parametrize(
    "address",
    [
        "sound/1/99/0",
        "sound/1/-1/0",
        "sound/2/0/0",
        "sound/1/0/-1",
        "../{0}/song.zip",
        "recording/my song.wav",
        "",
        "song",
    ],
)
def test_nothing_else_is_there(address: str, client: Any, separated: Session) -> None:
    assert client.get(f"/session/{separated.token}/{address}").status_code in (404, 405)


def test_others_do_not_reach_it(client: Any, separated: Session, sessions: Sessions) -> None:
    other = sessions.of("other")
    for token in (other.token, "one", "x" * len(separated.token), separated.token[:-1]):
        answer = client.get(f"/session/{token}/sound/1/0/0")
        assert answer.status_code == 404 and GONE in answer.text
    sessions.end("one")
    assert client.get(f"/session/{separated.token}/song.zip").status_code == 404


def test_errors_are_told_in_the_sentence_of_the_package(separated: Session, sessions: Sessions) -> None:
    do = Actions(sessions)
    ((first, *rest),) = do.separate(sessions.of("other"), "exE8")
    assert "There is no recording yet" in first and "wrong" in first and rest == [""] * 4
    shown = list(do.separate(separated, "exB5"))[-1][0]
    assert "There is no model &#x27;exB5&#x27;" in shown and "wrong" in shown


def test_examples_are_there_with_their_models() -> None:
    assert list(examples()) == ["band", "guitar", "choir"] and models()[:3] == [
        "ast_ddsp_all",
        "exE8",
        "umss_4v",
    ]
    assert len(models()) == len(set(models()))


def test_a_missing_gradio_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["app"]) == 2
    assert capsys.readouterr().err == "ddsp-zoo: The page needs gradio: pip install ddsp_zoo[app].\n"


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--port", "70000"], "--port is 70000: give a number from 0 to 65535."),
        (["--minutes", "0"], "--minutes is 0: give a number above 0, up to a million."),
        (["--megabytes", "nan"], "--megabytes is nan: give a number above 0, up to a million."),
    ],
)
def test_bad_options_are_told(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["app", *arguments]) == 2
    assert capsys.readouterr().err == f"ddsp-zoo: {sentence}\n"


def test_a_port_that_is_in_use_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from ddsp_zoo.app import server

    monkeypatch.setattr(server, "check_installed", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            DdspZooError, match=f"127.0.0.1:{port} cannot be listened on .*: choose another --port"
        ):
            server.serve("127.0.0.1", port, Limits(), lambda address: None)
