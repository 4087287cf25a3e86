"""The actions of the page's buttons: each makes one call into the package, and says what the page shows then."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from html import escape
from pathlib import Path
from typing import Any

from ddsp_zoo.api.result import open as opened
from ddsp_zoo.app import jobs
from ddsp_zoo.app.panel import Panel, curves, write_edits
from ddsp_zoo.app.player import page_of
from ddsp_zoo.app.session import EDITS, Session, Sessions, clock
from ddsp_zoo.app.worker import Told
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import duration_seconds
from ddsp_zoo.files.shipped import shipped
from ddsp_zoo.zoo import list_models

EXAMPLES = {
    "band": "ast_ddsp_all",
    "guitar": "exE8",
    "choir": "umss_4v",
}  # with the model that is made for each
Shown = list[Any]  # what each part of the page becomes, None where it stays
NOTHING = ["", "", "", ""]  # player, picture, what can be taken away, song


class Actions:
    """Does what visitors want."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions

    def greeting(self) -> str:
        """Returns what stands there at first."""
        return self.told("Choose a recording or an example, then separate it.")

    def told(self, text: str, wrong: bool = False) -> str:
        """Returns the HTML of a sentence."""
        return f'<div class="said{" wrong" * wrong}" role="status">{escape(text)}</div>'

    def receive(self, session: Session, path: str | Path, move: bool = True) -> Shown:
        """Takes a recording: what was there before goes."""
        session.worker.stop()
        try:
            recording = session.receive(path, move)
        except DdspZooError as error:
            return [self.told(str(error), wrong=True), *NOTHING]
        seconds = clock(duration_seconds(recording))
        return [self.told(f"{recording.name} is here ({seconds}): choose a model and separate it."), *NOTHING]

    def use_example(self, session: Session, name: str) -> Shown:
        """Takes one of the examples."""
        return self.receive(session, examples()[name], move=False)

    def separate(self, session: Session, model: str) -> Iterator[Shown]:
        """Separates the recording of a visitor, and says how far that has come."""
        try:
            if session.recording is None:
                raise DdspZooError("There is no recording yet: choose one, or an example.")
            session.opened = None
            arguments = (session.recording, model, session.song, session.pitch)
            work = session.worker.run(jobs.separate, *arguments)
            yield from _told(self, work, f"{model} separates {session.recording.name}", rest=4)
            session.take(opened(session.song))
        except DdspZooError as error:
            yield [self.told(session.without_folders(str(error)), wrong=True), *NOTHING]
        else:
            text = f"{session.recording.name} is separated by {model}: listen below."
            yield [self.told(text), *_heard(session), _picture(session), _take(session), session.key]

    def render(
        self, session: Session, own: Sequence[Panel], sound: str, values: Sequence[Any]
    ) -> Iterator[Shown]:
        """Plays the song with what a visitor has changed, as all panels together have it."""
        try:
            if session.opened is None:
                raise DdspZooError("The song is no longer here: separate it again.")
            sources = write_edits(own, values, session.folder / EDITS)
            arguments = (session.song, session.folder / EDITS, sound, session.edited)
            work = session.worker.run(jobs.render, *arguments)
            yield from _told(self, work, f"Rendering {', '.join(sources)}", rest=2 + len(own))
            edit = opened(session.edited)
            session.take(session.opened, edit, sources)
        except DdspZooError as error:
            text = self.told(session.without_folders(str(error)), wrong=True)
            yield [text, *[None] * (2 + len(own))]
        else:
            pictures = [curves(session.opened, panel.source, edit) for panel in own]
            text = f"Rendered ({sound}): {', '.join(sources)}. The player above has the edited song."
            yield [self.told(text), *_heard(session), _take(session), *pictures]


def examples() -> dict[str, Path]:
    """Returns the bundled recordings by name, those that are there."""
    places = {name: shipped(f"examples/{name}.flac") for name in EXAMPLES}
    return {name: path for name, path in places.items() if path.exists()}


def models() -> list[str]:
    """Returns the models of the zoo, first those that need nothing but the mixture and are made for an example."""
    first = list(EXAMPLES.values())
    return [*first, *(name for name in list_models() if name not in first)]


def _told(do: Actions, work: Iterator[Told], text: str, rest: int) -> Iterator[Shown]:
    """Shows how far a job has come until it ends; given up, it is ended."""
    far: Told = None
    with closing(work):
        for now in work:
            far = now or far
            value = f' value="{far[0]:.3f}" max="{far[1]:.3f}"' if far else ""
            seconds = f" ({clock(far[0])} of {clock(far[1])})" if far else ""
            bar = (
                f'<div class="said" role="status">{escape(text)} …{seconds}<progress{value}></progress></div>'
            )
            yield [bar, *[None] * rest]


def _heard(session: Session) -> list[str]:
    """The player of all that is there."""
    songs = [song for song in (session.opened, session.edit) if song]
    seconds = max(song.samples / song.sample_rate for song in songs)
    sounds = f"/session/{session.token}/sound/{session.key[1]}"
    return [page_of(session.tracks, sounds, seconds, songs[0].sample_rate)]


def _picture(session: Session) -> str:
    address = f"/session/{session.token}/overview.png?{session.key[1]}"
    return f'<div class="overview"><a href="{address}" target="_blank"><img src="{address}" alt="overview"></a></div>'


def _take(session: Session) -> str:
    address = f"/session/{session.token}/{session.opened.folder.name}.zip"
    return f'<a class="take" id="zip" href="{address}" download>Download all as a zip</a>'
