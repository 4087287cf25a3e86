"""Every row of the player is what its files hold, piece by piece."""

import io
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.app.player import PIECE_SECONDS, Track, page_of, piece
from ddsp_zoo.app.session import Session


def decoded(data: bytes) -> tuple[np.ndarray, int]:
    audio, rate = sf.read(io.BytesIO(data), always_2d=True)
    return audio.T, rate


def test_rows_are_the_song_and_its_parts(separated: Session) -> None:
    names = [(track.group, track.name) for track in separated.tracks]
    assert names[:4] == [("Song", "mixture"), ("Song", "residual"), ("Stems", "bass"), ("Stems", "guitar")]
    assert names[4:] == [("Synthesised", "bass"), ("Synthesised", "guitar")]
    for track, wanted in zip(separated.tracks, (separated.opened.mixture, separated.opened.residual)):
        audio, rate = decoded(piece(track, 0))
        assert rate == separated.opened.sample_rate
        np.testing.assert_allclose(audio, wanted, atol=1.5 / 32768)


def test_pieces_join_without_a_gap(tmp_path: Path) -> None:
    rate = 1000
    audio = np.random.default_rng(0).uniform(-1.2, 1.2, (2 * PIECE_SECONDS * rate + 17, 2)).astype(np.float32)
    sf.write(tmp_path / "a.wav", audio, rate, "FLOAT")
    pieces = [decoded(piece(Track("a", "Song", (tmp_path / "a.wav",)), number))[0] for number in range(4)]
    assert [own.shape[1] for own in pieces] == [PIECE_SECONDS * rate] * 2 + [17, 0]
    np.testing.assert_allclose(np.concatenate(pieces, 1), np.clip(audio.T, -1, 1), atol=1.5 / 32768)


def test_names_cannot_break_the_page() -> None:
    page = page_of([Track('<script>"x"', "Stems", ())], "/session/a/sound/1", 3.0, 8000)
    assert (
        "<script>" not in page
        and "&lt;script&gt;&quot;x&quot;" in page
        and 'data-sounds="/session/a/sound/1/0"' in page
    )
