"""A separation in the hands of a user: kept in memory, or in the folder where it was saved."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ddsp_zoo.controls import file as controls_file
from ddsp_zoo.controls.render import render
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.folder import CONTROLS, RESIDUAL, SUBTYPES, SYNTHESISED, made_by, save_pieces
from ddsp_zoo.files.audio import open_audio
from ddsp_zoo.files.owned import made_from
from ddsp_zoo.separation.result import Separated
from ddsp_zoo.synths.base import Synth


class Separation(Separated):
    """Holds what a model made of a recording, at the recording's own rate; see `Separated` for what it holds."""

    def render(self, source: str, seed: int | None = None) -> np.ndarray:
        """Plays the controls of a source as they are now: (1, T) at the recording's rate.

        Unchanged controls give the synthesised source again. Another ``seed`` gives other noise. Raises `DdspZooError`
        for an unknown source, controls out of range, and a model without a synthesiser.
        """
        if source not in self.controls:
            raise DdspZooError(f"There is no source {source!r}: choose one of {', '.join(self.controls)}.")
        return render(self.controls[source], source, self.maker, self.sample_rate, self.samples, seed)

    def save(self, folder: str | Path, audio_format: str = "wav", overwrite: bool = False) -> Path:
        """Writes stems, synthesised stems, residual, controls and a picture; see `ddsp_zoo.export.folder`.

        In a folder that is there, only an earlier result of the same recording by the same model is replaced, with
        ``overwrite`` also another result. Raises `DdspZooError` where anything else would be lost.
        """
        about = {"recording_sha256": self.recording_sha256} | made_by(self.maker) | {"format": audio_format}
        options = {"made_from": about, "overwrite": overwrite}
        return save_pieces([self], folder, self.controls, audio_format, self.samples, **options).folder

    def to_midi(self, path: str | Path, source: str | None = None) -> None:
        """Writes the notes of one source, or of all that have some; `DdspZooError` where none has.

        All strings of a guitar have a channel each, with pitch bend.
        """
        from ddsp_zoo.export.midi import notes_by_source, write_midi
        from ddsp_zoo.export.played import is_guitar
        from ddsp_zoo.export.string_midi import write_string_midi

        if source is None and is_guitar(self.controls):
            return write_string_midi(self._played(), path)
        notes = notes_by_source(self.controls, self.control_rate_hz, self.maker.declared, source)
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
        return read_played(self.controls, self.maker.declared, self.control_rate_hz, self.maker.neck)

    def plot(self, path: str | Path) -> None:
        """Draws mixture, stems and controls."""
        from ddsp_zoo.export.plots import plot_separation

        plot_separation(self, path)


class OpenedSeparation(Separation):
    """Opens a separation as it was saved; audio is read from its files each time it is asked for.

    Raises `DdspZooError` for a folder without controls, and for controls that are damaged or out of range.
    """

    def __init__(self, folder: str | Path, kind: type[Synth] | None = None) -> None:
        self.folder = Path(folder)
        saved = controls_file.read(self.folder / CONTROLS, kind)
        self.controls, self.maker, self.sample_rate = saved.controls, saved.maker, saved.sample_rate
        self._samples, about = saved.samples, made_from(self.folder)
        self.recording_sha256 = about.get("recording_sha256", "")
        # Other files of the same names may lie there.
        self._endings = (about["format"],) if about.get("format") in SUBTYPES else tuple(SUBTYPES)
        self.stems = AudioFiles(self.folder, tuple(self.controls), self._endings)
        self.synthesised = AudioFiles(self.folder / SYNTHESISED, tuple(self.controls), self._endings)

    @property
    def samples(self) -> int:
        """Returns the length of the recording."""
        return self._samples

    @property
    def residual(self) -> np.ndarray:
        """Returns the mixture less all stems (channels, T)."""
        return AudioFiles(self.folder, (RESIDUAL,), self._endings)[RESIDUAL]

    @property
    def mixture(self) -> np.ndarray:
        """Returns the recording (channels, T): stems and residual sum to it."""
        return sum(self.stems.values(), self.residual)


class AudioFiles(Mapping[str, np.ndarray]):
    """Reads audio (channels, T) by name, from files in a folder."""

    def __init__(self, folder: Path, names: tuple[str, ...], endings: tuple[str, ...]) -> None:
        self.folder, self._names, self._endings = folder, names, endings

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._names:
            raise KeyError(name)
        paths = [self.folder / f"{name}.{ending}" for ending in self._endings]
        with open_audio(next((path for path in paths if path.exists()), paths[0])) as file:
            return file.read(dtype="float32", always_2d=True).T

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def open(folder: str | Path, kind: type[Synth] | None = None) -> OpenedSeparation:
    """Opens a separation that was saved, to look at, edit and play its controls.

    ``ddsp_zoo.open("out/song").render("bass")`` is the same sound that is in ``out/song/synthesised/bass.wav``.

    Args:
        folder: where it was saved.
        kind: the class of its synthesiser, where that is not one of this package; a file alone has none imported.
    """
    return OpenedSeparation(folder, kind)
