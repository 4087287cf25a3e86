"""What tests of the page share: a visitor, and a song that lies in their folder."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from edits import band_song

from ddsp_zoo.api.result import open as opened
from ddsp_zoo.app.session import Limits, Session, Sessions

LIMITS = Limits(megabytes=1.0, minutes=0.1)


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    """Visitors who may bring 1 MB and 6 s."""
    root = tmp_path / "sessions"
    root.mkdir()
    here = Sessions(root, LIMITS)
    yield here
    here.end_all()


@pytest.fixture
def session(sessions: Sessions) -> Session:
    """A visitor who has brought nothing yet."""
    return sessions.of("one")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A second of noise."""
    path = tmp_path / "my song.wav"
    sf.write(path, 0.1 * np.random.default_rng(0).standard_normal((8000, 2)), 8000)
    return path


@pytest.fixture
def separated(session: Session, recording: Path, undrawn: None) -> Session:
    """A visitor whose recording was separated into bass and guitar."""
    session.receive(recording, move=False)
    band_song().save(session.song)
    session.take(opened(session.song))
    return session
