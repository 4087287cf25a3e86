"""The folder that a separation leaves: complete or absent, whatever its length."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.controls.file import ControlsWriter
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.plots import plot_separation
from ddsp_zoo.files.atomic import folder_when_done
from ddsp_zoo.separation.result import Separated

SUBTYPES = {"wav": "FLOAT", "flac": "PCM_24"}
PLOT_SECONDS = 60.0
CONTROLS, OVERVIEW, SYNTHESISED, RESIDUAL = "controls.npz", "overview.png", "synthesised", "residual"
LARGEST_WAV = 1 << 32  # bytes; beyond it the header of RF64 is needed


class OutputFolder:
    """Writes the pieces of one separation and puts the folder in place when all of them are written.

    It holds ``<source>.wav`` and ``residual.wav`` (which sum to the mixture), ``synthesised/<source>.wav``,
    ``controls.npz`` and ``overview.png`` (the first minute). Use as a context manager; after an error nothing is
    left. An earlier separation in the folder is replaced; a folder that holds anything else is refused, for what
    it holds would be lost.
    """

    def __init__(self, folder: str | Path, audio_format: str = "wav", expected_frames: int = 0) -> None:
        if audio_format not in SUBTYPES:
            raise DdspZooError(f"Stems are written as {' or '.join(SUBTYPES)}, not as {audio_format!r}.")
        self.folder, self.format, self.expected_frames = Path(folder), audio_format, expected_frames
        self._audio: dict[str, sf.SoundFile] = {}
        self._head: list[Separated] = []
        self.peak = 0.0

    def __enter__(self) -> "OutputFolder":
        with contextlib.ExitStack() as stack:
            self._draft = stack.enter_context(folder_when_done(self.folder, replace=True))
            self._refuse_other_files()
            self._controls = ControlsWriter(self._draft)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        with self._stack, _told_as_system_error():
            for file in (*self._audio.values(), self._controls):
                file.close()
            if error is not None:
                raise error
            self._controls.finish(self._draft / CONTROLS)
            plot_separation(Separated.join(self._head), self._draft / OVERVIEW)

    def write(self, piece: Separated) -> None:
        """Appends a piece."""
        tracks = dict(piece.stems) | {RESIDUAL: piece.residual}
        tracks |= {f"{SYNTHESISED}/{name}": audio for name, audio in piece.synthesised.items()}
        for name, audio in tracks.items():
            self._file(name, piece.sample_rate, len(audio)).write(audio.T)
            self.peak = max(self.peak, float(np.abs(audio).max(initial=0)))
        self._controls.append(piece)
        if sum(p.samples for p in self._head) < PLOT_SECONDS * piece.sample_rate:
            self._head.append(piece)

    def _file(self, name: str, rate: int, channels: int) -> sf.SoundFile:
        if name not in self._audio:
            path = self._draft / f"{name}.{self.format}"
            path.parent.mkdir(exist_ok=True)
            big = self.format == "wav" and 4 * channels * self.expected_frames > LARGEST_WAV - 4096
            self._audio[name] = sf.SoundFile(
                path,
                "w",
                rate,
                channels,
                SUBTYPES[self.format],
                format="RF64" if big else self.format.upper(),
            )
        return self._audio[name]

    def _refuse_other_files(self) -> None:
        """Raises `DdspZooError` unless the folder is absent, empty or holds a separation and nothing else."""
        if not self.folder.exists():
            return
        names = {path.name for path in self.folder.iterdir() if not path.name.startswith(".")}
        own = {CONTROLS, OVERVIEW, SYNTHESISED}
        others = {name for name in names - own if name.rpartition(".")[2] not in SUBTYPES}
        if names and (CONTROLS not in names or others):
            raise DdspZooError(
                f"{self.folder} holds files that are no separation and would be lost: choose another folder."
            )


@contextlib.contextmanager
def _told_as_system_error() -> Iterator[None]:
    """Turns an error of the sound library, such as a full disk, into one of the operating system."""
    try:
        yield
    except sf.LibsndfileError as error:
        raise OSError(str(error)) from error


def save_pieces(
    pieces: Iterable[Separated], folder: str | Path, audio_format: str = "wav", expected_frames: int = 0
) -> OutputFolder:
    """Writes pieces as they come."""
    with OutputFolder(folder, audio_format, expected_frames) as output:
        for piece in pieces:
            output.write(piece)
    return output
