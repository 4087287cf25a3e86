"""Visitors of the page: each has a folder of their own, which nobody else finds and which goes when they go."""

import contextlib
import re
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddsp_zoo.api.result import OpenedSeparation
from ddsp_zoo.app.player import Track, tracks_of
from ddsp_zoo.app.worker import Worker
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.zipped import write_zip
from ddsp_zoo.files.atomic import part_in
from ddsp_zoo.files.audio import duration_seconds
from ddsp_zoo.files.decoded import reason_to_decode

RECORDING, PITCH, SONG, EDITED, EDITS = "recording", "pitch.csv", "song", "edited", "edits.yaml"
LONGEST_NAME = 80


@dataclass(frozen=True)
class Limits:
    """Holds how much a visitor may bring.

    megabytes: of a file.
    minutes: of a recording.
    """

    megabytes: float = 200.0
    minutes: float = 10.0


class Session:
    """Holds the folder, the recording and the process of one visitor.

    token: a random word, without which nothing of this can be reached from outside.
    folder: for everything of theirs; the separation is in `song`, its edit in `edited`.
    recording: what they brought, None before.
    pitch: the pitch that they brought with it, if any.
    opened: the separation, None before.
    edit: the edit that was rendered last, None before.
    tracks: what can be heard.
    key: the token and a number, which is new whenever there is something new to hear.
    worker: where their work is done.
    """

    def __init__(self, root: Path, limits: Limits) -> None:
        self.token, self.limits = secrets.token_urlsafe(24), limits
        self.folder = root / self.token
        self.folder.mkdir(mode=0o700)
        self.recording: Path | None = None
        self.pitch: Path | None = None
        self.opened: OpenedSeparation | None = None
        self.edit: OpenedSeparation | None = None
        self.tracks: list[Track] = []
        self.key = (self.token, 0)
        self.worker = Worker()

    @property
    def song(self) -> Path:
        """Returns the folder of the separation."""
        return self.folder / SONG

    @property
    def edited(self) -> Path:
        """Returns the folder of the edit that was rendered last."""
        return self.folder / EDITED

    def receive(self, path: str | Path, move: bool = True) -> Path:
        """Takes a recording, by moving or copying it, in place of the one before and all that was made of that.

        Raises `DdspZooError` for what is no audio, too large or too long; then nothing of it stays, nor of the former.
        """
        source, folder = Path(path), self.folder / RECORDING
        self.forget()
        folder.mkdir()
        target = folder / safe_name(source.name)
        (shutil.move if move else shutil.copyfile)(source, target)
        try:
            check_recording(target, self.limits)
        except DdspZooError as error:
            self.forget()
            raise DdspZooError(self.without_folders(str(error))) from error
        self.recording = target
        return target

    def receive_pitch(self, path: str | Path) -> None:
        """Takes the pitch of a recording, by moving it, in place of the one before."""
        self.pitch = self.folder / PITCH
        shutil.move(path, self.pitch)

    def take(
        self, song: OpenedSeparation, edit: OpenedSeparation | None = None, edited: Sequence[str] = ()
    ) -> None:
        """Takes what there is to hear now: a separation, and an edit with the sources that it changes."""
        self.opened, self.edit, self.tracks = song, edit, tracks_of(song, edit, edited)
        self.key = (self.token, self.key[1] + 1)

    def forget(self) -> None:
        """Removes the recording and what was made of it."""
        self.recording = self.opened = self.edit = None
        self.tracks = []
        for name in (RECORDING, SONG, EDITED):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        (self.folder / EDITS).unlink(missing_ok=True)

    def write_zip(self) -> Path:
        """Writes all that there is to take away, and returns the file; its owner removes it."""
        there = [song.folder for song in (self.opened, self.edit) if song]
        target = self.folder / f"{secrets.token_hex(8)}.zip"
        write_zip(there, target, [self.folder / EDITS] if self.edit else [])
        return target

    def without_folders(self, sentence: str) -> str:
        """Returns a sentence of the package as a visitor needs it: without folders, and without words of Python."""
        for folder in (self.folder / RECORDING, self.folder):
            sentence = sentence.replace(f"{folder}/", "")
        return re.sub(r"`(\w+)=`", lambda match: match[1], sentence)

    def close(self) -> None:
        """Ends their work and removes their folder."""
        self.worker.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """Keeps the visitors who are there, by a key of the page, and by their tokens."""

    def __init__(self, root: Path, limits: Limits) -> None:
        self.root, self.limits = root, limits
        self._by_key: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, key: str) -> Session:
        """Returns what a visitor has, who may be new."""
        with self._lock:
            if key not in self._by_key:
                self._by_key[key] = Session(self.root, self.limits)
            return self._by_key[key]

    def by_token(self, token: str) -> Session | None:
        """Returns the visitor who has this token."""
        with self._lock:
            known = {session.token: session for session in self._by_key.values()}
        return known.get(token)

    def end(self, key: str) -> None:
        """Removes all of a visitor who is gone."""
        with self._lock:
            session = self._by_key.pop(key, None)
        if session:
            session.close()

    def end_all(self) -> None:
        """Removes all of everybody."""
        for key in list(self._by_key):
            self.end(key)


@contextlib.contextmanager
def sessions(limits: Limits) -> Iterator[Sessions]:
    """Gives a folder for visitors that others of this machine cannot read, as long as the block lasts.

    What an earlier program has left that was killed is removed.
    """
    with part_in(Path(tempfile.gettempdir()), "app") as root:
        root.chmod(0o700)
        here = Sessions(root, limits)
        try:
            yield here
        finally:
            here.end_all()


def check_recording(path: Path, limits: Limits) -> None:
    """Raises `DdspZooError` unless a file is audio of a size and length that the page takes."""
    if (size := path.stat().st_size / 1e6) > limits.megabytes:
        raise DdspZooError(
            f"{path.name} has {size:.0f} MB, and this page takes up to {limits.megabytes:g} MB: save it as FLAC or "
            "MP3, or use `ddsp-zoo separate`, which has no limit."
        )
    if reason := reason_to_decode(path):
        raise DdspZooError(f"{reason}: save it as WAV, FLAC, OGG or MP3 in mono or stereo.")
    if (seconds := duration_seconds(path)) > 60 * limits.minutes:
        raise DdspZooError(
            f"{path.name} lasts {clock(seconds)}, and this page takes up to {clock(60 * limits.minutes)}: cut it, or "
            "use `ddsp-zoo separate`, which has no limit."
        )


def clock(seconds: float) -> str:
    """Returns a time as minutes and seconds, from an hour on with hours."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def safe_name(name: str) -> str:
    """Returns a name that is one of a file in a folder, whatever a visitor calls it."""
    stem, suffix = Path(name).stem, Path(name).suffix[:10]
    stem = re.sub(r"[^\w .,()+-]", "_", stem).strip(" .")[:LONGEST_NAME] or "recording"
    return stem + re.sub(r"[^\w.]", "", suffix)
