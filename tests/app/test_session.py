"""What a visitor brings is theirs alone, has limits, and goes when they go."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from ddsp_zoo.app.session import Limits, Session, Sessions, check_recording, clock, safe_name, sessions
from ddsp_zoo.errors import DdspZooError


def test_a_recording_is_moved_into_the_folder_of_its_visitor(session: Session, recording: Path) -> None:
    there = session.receive(recording)
    assert there == session.recording and there.parent.parent == session.folder
    assert there.name == "my song.wav" and not recording.exists()


def test_another_recording_takes_all_of_the_first_with_it(separated: Session, recording: Path) -> None:
    assert separated.tracks and separated.song.exists()
    separated.receive(recording)
    assert not separated.song.exists() and not separated.tracks and separated.opened is None


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a/../../b.wav", "\0.wav", "", ".", "<b>x</b>.wav", "x" * 300 + ".flac"]
)
def test_a_name_leads_nowhere(name: str) -> None:
    safe = safe_name(name)
    assert safe and "/" not in safe and "\0" not in safe and "<" not in safe and len(safe) < 100
    assert safe not in (".", "..")


def test_what_is_no_audio_is_told_without_our_folders(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_text("this is no sound")
    with pytest.raises(DdspZooError, match="^song.wav is not audio that can be read") as told:
        session.receive(path)
    assert str(session.folder) not in str(told.value)
    assert session.recording is None and not list(session.folder.rglob("*.wav"))


def test_two_hours_are_too_long(tmp_path: Path) -> None:
    path = tmp_path / "opera.flac"
    with sf.SoundFile(path, "w", 1000, 1) as file:
        for _ in range(120):
            file.write(np.zeros(60 * 1000, np.int16))
    with pytest.raises(
        DdspZooError, match="opera.flac lasts 2:00:00, and this page takes up to 10:00: cut it, or use"
    ):
        check_recording(path, Limits())


def test_what_is_too_large_is_refused(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    sf.write(path, np.zeros((300_000, 2)), 48000)
    with pytest.raises(DdspZooError, match="song.wav has 1 MB, and this page takes up to 1 MB: save it"):
        session.receive(path)


def test_what_needs_a_program_is_refused(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "song.m4a"
    path.write_bytes(b"anything")
    with pytest.raises(DdspZooError, match="^song.m4a is M4A: save it as WAV"):
        session.receive(path)


def test_visitors_have_folders_that_nobody_guesses(sessions: Sessions) -> None:
    one, other = sessions.of("one"), sessions.of("other")
    assert sessions.of("one") is one and one.token != other.token and len(one.token) >= 32
    assert one.folder.stat().st_mode & 0o077 == 0
    assert (
        sessions.by_token(one.token) is one
        and sessions.by_token("one") is None
        and sessions.by_token("") is None
    )


def test_all_is_gone_when_they_go(separated: Session, sessions: Sessions) -> None:
    sessions.end("one")
    sessions.end("one")  # they are gone already
    assert not separated.folder.exists() and sessions.by_token(separated.token) is None


def test_nothing_is_left_when_the_program_ends(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with sessions(Limits()) as here:
        here.of("one").receive(recording)
        (root,) = (tmp_path / "temporary").iterdir()
        assert root.stat().st_mode & 0o077 == 0 and list(root.rglob("*.wav"))
    assert not list((tmp_path / "temporary").iterdir())


def test_sentences_are_told_as_visitors_need_them(session: Session) -> None:
    told = session.without_folders(f"{session.folder / 'edits.yaml'}: pass `pitch=` with an f0 CSV.")
    assert told == "edits.yaml: pass pitch with an f0 CSV."


@pytest.mark.parametrize("seconds, text", [(5.4, "0:05"), (59.6, "1:00"), (600, "10:00"), (7205, "2:00:05")])
def test_times_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert clock(seconds) == text
