"""A separation in the hands of a user: kept in memory, or in the folder where it was saved."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.api.edit import Edit, Sound
from ddsp_zoo.api.mix import Edits, edited, mix
from ddsp_zoo.api.table import edits_of, notes_of
from ddsp_zoo.controls import file as controls_file
from ddsp_zoo.controls.notes import Note
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.audio_format import SUBTYPES, AudioFormat
from ddsp_zoo.export.folder import (
    CONTROLS,
    EDITED,
    GAIN,
    LEFT_OUT,
    RESIDUAL,
    SYNTHESISED,
    left_out,
    made_by,
    save_pieces,
    tell_clipped,
)
from ddsp_zoo.files.audio import open_audio
from ddsp_zoo.files.owned import made_from
from ddsp_zoo.separation.result import Separated
from ddsp_zoo.synths.base import Synth

Kind = type[Synth] | Collection[type[Synth]] | None


class Separation(Separated):
    """Holds what a model made of a recording, at the recording's own rate; see `Separated` for what it holds."""

    def edit(self, source: str) -> Edit:
        """Returns a source to be edited step by step, `DdspZooError` for one that there is not; see `Edit`."""
        return Edit.of(self, source)

    def render(self, source: str | Edit, seed: int | None = None, sound: Sound = "synthesised") -> np.ndarray:
        """Plays one source as its controls are now, or an edit of one, at the recording's rate.

        "synthesised" is what the synthesiser plays, (1, T): unchanged controls give the synthesised source again.
        Another ``seed`` gives other noise. "filtered" is the recorded stem (channels, T), changed as an edit changes
        level and timbre. Raises `DdspZooError` for an unknown source, controls out of range, edits that do not go
        with the sound, and a model without a synthesiser.
        """
        return (source if isinstance(source, Edit) else self.edit(source)).render(sound, seed)

    @property
    def notes(self) -> list[Note]:
        """Returns the notes of all sources as one table in the order of time, to be changed for `with_notes`."""
        return notes_of(self)

    def with_notes(self, table: Sequence[Note]) -> list[Edit]:
        """Returns an edit of each source whose notes are not as in `notes`; see `Edit.with_notes`.

        A note whose ``string`` is another than it was is played by that source, with the controls of its nearest
        neighbour there. Raises `DdspZooError` for a string that there is not, and as for `Edit.with_notes`.
        """
        return edits_of(self, table)

    def mix(self, edits: Edits = (), sound: Sound = "synthesised", seed: int | None = None) -> np.ndarray:
        """Plays the whole song (channels, T) with edits in place, all else as it was recorded.

        Args:
            edits: an edit or several, each in place of its source; or {place: edit}, also of another song. Without a
                change it is the song.
            sound: "synthesised" or "filtered", see `render`.
            seed: of the synthesiser's noise.

        Raises:
            DdspZooError: as for `render`, and for two edits of one source.
        """
        return mix(self, edits, sound, seed)

    def edited(self, edits: Edits, sound: Sound = "synthesised", seed: int | None = None) -> "Separation":
        """Returns the song with edits in place as a separation of its own, which can be saved and opened again.

        Its mixture is that of `mix`, with the same arguments and errors, and its controls are those of the edits.
        """
        return playable(edited(self, edits, sound, seed))

    def save(
        self,
        folder: str | Path,
        audio_format: str | AudioFormat = "wav",
        overwrite: bool = False,
        leave_out: Collection[str] = (),
    ) -> Path:
        """Writes stems, synthesised stems, residual, controls and a picture; see `ddsp_zoo.export.folder`.

        In a folder that is there, only an earlier result of the same recording by the same model is replaced, with
        ``overwrite`` also another result. ``leave_out`` names what is not written, "plot" or "controls"; without
        controls a result cannot be opened. Raises `DdspZooError` where anything else would be lost.
        """
        about = {"recording_sha256": self.recording_sha256} | made_by(self.maker)
        about |= AudioFormat.of(audio_format).told() | left_out(leave_out)
        about |= {EDITED: True} if self.is_edit else {}
        options = {"made_from": about, "overwrite": overwrite}
        output = save_pieces([self], folder, self.controls, audio_format, self.samples, **options)
        tell_clipped(output, f"audio in {folder}")
        return output.folder

    def to_midi(self, path: str | Path, source: str | None = None) -> None:
        """Writes the notes of one source, or of all that have some; `DdspZooError` where none has.

        All strings of a guitar have a channel each, with pitch bend.
        """
        from ddsp_zoo.export.midi import notes_by_source, write_midi
        from ddsp_zoo.export.played import is_guitar
        from ddsp_zoo.export.string_midi import write_string_midi

        if source is None and is_guitar(self.controls):
            return write_string_midi(self._played(), path)
        notes = notes_by_source(
            self.controls, self.control_rate_hz, self.maker.declared, source, full_db=self.maker.full_db
        )
        if not any(notes.values()):
            raise DdspZooError(f"There are no notes to write: nothing in {', '.join(notes)} has a pitch.")
        write_midi({name: own for name, own in notes.items() if own}, path)

    def to_tab(self, path: str | Path) -> None:
        """Writes the tablature of the strings of a guitar as text; `DdspZooError` for other sources."""
        from ddsp_zoo.export.tab import write_tab

        write_tab(self._played(), path)

    def _played(self) -> Any:
        """What was played on the strings of a guitar."""
        from ddsp_zoo.export.played import is_guitar, read_played

        if not is_guitar(self.controls):
            raise DdspZooError(
                f"There is no tablature of {', '.join(self.controls)}: only of six guitar strings."
            )
        maker = self.maker
        return read_played(self.controls, maker.declared, maker.rate_hz, maker.neck, maker.full_db)

    def plot(self, path: str | Path) -> None:
        """Draws mixture, stems and controls."""
        from ddsp_zoo.export.plots import plot_separation

        plot_separation(self, path)


class OpenedSeparation(Separation):
    """Opens a separation as it was saved; audio is read from its files each time it is asked for.

    Raises `DdspZooError` for a folder without controls, and for controls that are damaged or out of range.
    """

    def __init__(self, folder: str | Path, kind: Kind = None) -> None:
        self.folder = Path(folder)
        about = made_from(self.folder)
        if LEFT_OUT in about and not (self.folder / CONTROLS).exists():
            raise DdspZooError(
                f"{self.folder} was saved without its controls, and opening needs them: separate the recording again."
            )
        saved = controls_file.read(self.folder / CONTROLS, kind)
        self.controls, self.maker, self.sample_rate = saved.controls, saved.maker, saved.sample_rate
        self._samples = saved.samples
        self.recording_sha256, self.is_edit = about.get("recording_sha256", ""), bool(about.get(EDITED))
        # Other files of the same names may lie there.
        self._endings = (about["format"],) if about.get("format") in SUBTYPES else tuple(SUBTYPES)
        self._gain = about.get(GAIN, 1.0)
        if not (isinstance(self._gain, float) and 0 < self._gain <= 1):
            raise DdspZooError(
                f"{self.folder} says that its audio was rescaled by {self._gain!r:.30}: separate the recording again."
            )
        names = tuple(self.controls)
        self.stems = AudioFiles(self.folder, names, self._endings, self._gain)
        self.synthesised = AudioFiles(self.folder / SYNTHESISED, names, self._endings, self._gain)

    @property
    def samples(self) -> int:
        """Returns the length of the recording."""
        return self._samples

    @property
    def residual(self) -> np.ndarray:
        """Returns the mixture less all stems (channels, T)."""
        return AudioFiles(self.folder, (RESIDUAL,), self._endings, self._gain)[RESIDUAL]

    @property
    def mixture(self) -> np.ndarray:
        """Returns the recording (channels, T): stems and residual sum to it."""
        return sum(self.stems.values(), self.residual)


class AudioFiles(Mapping[str, np.ndarray]):
    """Reads audio (channels, T) by name, from files in a folder, as loud as it was before a gain."""

    def __init__(self, folder: Path, names: tuple[str, ...], endings: tuple[str, ...], gain: float) -> None:
        self.folder, self._names, self._endings, self._gain = folder, names, endings, gain

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        paths = [self.folder / f"{name}.{ending}" for ending in self._endings]
        with open_audio(next((path for path in paths if path.exists()), paths[0])) as file:
            return file.read(file.frames, dtype="float32", always_2d=True).T / np.float32(self._gain)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def open(folder: str | Path, kind: Kind = None) -> OpenedSeparation:
    """Opens a separation that was saved, to look at, edit and play its controls.

    ``ddsp_zoo.open("out/song").render("bass")`` is the same sound that is in ``out/song/synthesised/bass.wav``.

    Args:
        folder: where it was saved.
        kind: the class of its synthesiser, or several that it may be of, where that is not one of this package; a file
            alone has none imported.
    """
    return OpenedSeparation(folder, kind)


def playable(made: Separated) -> Separation:
    """Returns what was made of a song as a separation, to save, edit and play like any other."""
    return Separation(**{field.name: getattr(made, field.name) for field in fields(Separated)})
