"""The folder that a separation leaves: its files are complete or absent, whatever their length."""

import contextlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from ddsp_zoo.controls.file import ControlsWriter, read
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.audio_format import AudioFormat
from ddsp_zoo.export.guitar_pro import can_write, write_guitar_pro
from ddsp_zoo.export.jams import write_jams
from ddsp_zoo.export.midi import notes_by_source, write_midi
from ddsp_zoo.export.played import Played, is_guitar, read_played
from ddsp_zoo.export.plots import plot_separation
from ddsp_zoo.export.string_midi import write_string_midi
from ddsp_zoo.export.tab import write_tab
from ddsp_zoo.files import owned
from ddsp_zoo.files.owned import own_files_when_done
from ddsp_zoo.separation.result import Maker, Separated
from ddsp_zoo.sources import RESIDUAL

PLOT_SECONDS = 60.0
CONTROLS, OVERVIEW, SYNTHESISED, NOTES = "controls.npz", "overview.png", "synthesised", "notes.mid"
MIXTURE = "mixture"  # of what was edited: of a recording there is the recording
IDENTITY = {  # what must be the same for a result to be replaced, and what to say where it is not
    "model": "what {model} has made",
    "weights_sha256": "what other weights of {model} have made",
    "recording_sha256": "what {model} has made of another recording",
}
PARTS = {"controls": CONTROLS, "plot": OVERVIEW}  # that may be left out
LEFT_OUT = "left_out"
EDITED = "edited"  # whether a result is not of the recording alone
GAIN = "gain"  # of all audio in a folder, where it was rescaled
DRAFT = AudioFormat("wav")  # of audio whose peak must be known before it is written


class OutputFolder:
    """Writes the pieces of one separation and puts the folder in place when all of them are written.

    It holds ``<source>.wav`` and ``residual.wav`` (which sum to the mixture), ``synthesised/<source>.wav``,
    ``controls.npz``, ``overview.png`` (the first minute), ``notes.mid`` where there are notes, for the strings of a
    guitar those of `guitar_files`, for edits ``mixture.wav``, and ``ddsp_zoo.json``, which lists these files and says
    what they were made from.
    Use as a context manager; after an error everything is as it was. An earlier separation of the same recording by the
    same model is replaced; other files in the folder stay.

    Args:
        folder: made where missing.
        sources: names of the stems.
        audio_format: how audio is written: "wav", "flac", "mp3", or an `AudioFormat`.
        expected_frames: length of the recording, where known.
        made_from: plain values that say what is separated by what, `recording_sha256`, `model` and so on, and with
            `left_out` which of the `PARTS` are not written.
        overwrite: also replace what another model, or the same of another recording, has left there.

    Raises:
        DdspZooError: on entering, for a folder that cannot be written to, or where something would be lost.
    """

    def __init__(
        self,
        folder: str | Path,
        sources: Iterable[str],
        audio_format: str | AudioFormat = "wav",
        expected_frames: int = 0,
        made_from: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        self.format = AudioFormat.of(audio_format)
        self.folder, self.expected_frames = Path(folder), expected_frames
        self.sources, self.made_from, self.overwrite = list(sources), dict(made_from or {}), overwrite
        self._now = (
            DRAFT if self.format.clip == "rescale" else self.format
        )  # how audio is written as it comes
        self._audio: dict[str, sf.SoundFile] = {}
        self._head: list[Separated] = []
        self.peak = 0.0

    def __enter__(self) -> "OutputFolder":
        if not self.overwrite:
            refuse_other_result(self.folder, self.made_from)
        with contextlib.ExitStack() as stack:
            place = own_files_when_done(self.folder, self._names(), self.made_from)
            self._draft = stack.enter_context(place)
            self._controls = ControlsWriter(self._draft)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        with self._stack, _told_as_system_error():
            for file in (*self._audio.values(), self._controls):
                file.close()
            if error is not None:
                raise error
            self._rescale()
            self._controls.finish(self._draft / CONTROLS)
            self._write_notes()
            if self._has(OVERVIEW):
                plot_separation(Separated.join(self._head), self._draft / OVERVIEW)
            if not self._has(CONTROLS):
                (self._draft / CONTROLS).unlink()  # from which the notes were read

    def _has(self, part: str) -> bool:
        return part not in [PARTS[name] for name in self.made_from.get(LEFT_OUT, ())]

    def _rescale(self) -> None:
        """Writes audio that has waited for its peak, and notes the gain for the list of the folder."""
        if self.format.clip != "rescale":
            return
        gain = self.format.gain(self.peak)
        for name in self._audio:
            draft = self._draft / f"{name}.draft"
            self.format.copy(draft, self._draft / self._file_name(name), gain)
            draft.unlink()
        self.made_from |= {GAIN: gain} if gain != 1 else {}

    def _write_notes(self) -> None:
        """Writes the notes of what has a pitch, for guitarists also as tablature, from the controls that lie there."""
        maker, there = self._head[0].maker, next(iter(self._head[0].controls.values()))
        if not any(control.role == "pitch" and name in there for name, control in maker.declared.items()):
            return
        saved = read(self._draft / CONTROLS, maker.synth and type(maker.synth))
        if is_guitar(self.sources):
            played = read_played(saved.controls, maker.declared, maker.rate_hz, maker.neck, maker.full_db)
            for name, write in guitar_files().items():
                write(played, self._draft / name)
            return
        notes = notes_by_source(saved.controls, maker.rate_hz, maker.declared, full_db=maker.full_db)
        if some := {name: own for name, own in notes.items() if own}:
            write_midi(some, self._draft / NOTES)

    def _names(self) -> list[str]:
        guitar = guitar_files() if is_guitar(self.sources) else (NOTES,)
        sounds = [*self.sources, RESIDUAL, *(f"{SYNTHESISED}/{name}" for name in self.sources)]
        sounds += [MIXTURE] if self.made_from.get(EDITED) else []
        return [*filter(self._has, PARTS.values()), *guitar, *map(self._file_name, sounds)]

    def _file_name(self, sound: str) -> str:
        return f"{sound}.{self.format.name}"

    def write(self, piece: Separated) -> None:
        """Appends a piece."""
        tracks = dict(piece.stems) | {RESIDUAL: piece.residual}
        tracks |= {f"{SYNTHESISED}/{name}": audio for name, audio in piece.synthesised.items()}
        tracks |= {MIXTURE: piece.mixture} if self.made_from.get(EDITED) else {}
        for name, audio in tracks.items():
            self._file(name, piece.sample_rate, len(audio)).write(self._now.limited(audio.T))
            self.peak = max(self.peak, float(np.abs(audio).max(initial=0)))
        self._controls.append(piece)
        plotted = (
            PLOT_SECONDS * piece.sample_rate if self._has(OVERVIEW) else 1
        )  # of the first, notes need the maker
        if sum(p.samples for p in self._head) < plotted:
            self._head.append(piece)

    def _file(self, name: str, rate: int, channels: int) -> sf.SoundFile:
        if name not in self._audio:
            self.format.check_rate(rate)
            path = self._draft / (self._file_name(name) if self._now is self.format else f"{name}.draft")
            path.parent.mkdir(exist_ok=True)
            self._audio[name] = self._now.create(path, rate, channels, self.expected_frames)
        return self._audio[name]


def guitar_files() -> dict[str, Callable[[Played, Path], None]]:
    """Returns what writes each of the files for guitarists, by name."""
    files = {"tab.txt": write_tab, NOTES: write_string_midi, "notes.jams": write_jams}
    return files | ({"notes.gp5": write_guitar_pro} if can_write() else {})


def made_by(maker: Maker) -> dict[str, Any]:
    """Returns what the list of a result says of the model."""
    names = ("model", "weights_sha256", "version", "seed")
    neck = {"neck": [*maker.neck.tuning, maker.neck.capo]} if maker.neck else {}
    return {name: getattr(maker, name) for name in names} | neck


def left_out(parts: Collection[str]) -> dict[str, Any]:
    """Returns what the list of a result says of parts that it goes without, "plot" or "controls"."""
    if unknown := [part for part in parts if part not in PARTS]:
        raise DdspZooError(f"{unknown[0]!r} cannot be left out of a result: only {' or '.join(PARTS)}.")
    return {LEFT_OUT: sorted({*parts})} if parts else {}


def refuse_other_result(folder: str | Path, made_from: dict[str, Any]) -> None:
    """Raises `DdspZooError` where a folder holds what another model has made, or the same of another recording."""
    there = owned.made_from(folder)
    if there.get("model") and bool(there.get(EDITED)) != bool(made_from.get(EDITED)):
        text = "an edit of a separation" if there.get(EDITED) else "a separation that nobody has edited"
        raise DdspZooError(f"{folder} holds {text}: choose another folder, or replace it with `overwrite=`.")
    for key, text in IDENTITY.items():
        ours, theirs = made_from.get(key), there.get(key)
        if ours and theirs and ours != theirs:
            raise DdspZooError(
                f"{folder} holds {text.format(**{'model': '?'} | there)}: choose another folder, or replace it with "
                "`overwrite=`."
            )


@contextlib.contextmanager
def _told_as_system_error() -> Iterator[None]:
    """Turns an error of the sound library, such as a full disk, into one of the operating system."""
    try:
        yield
    except sf.LibsndfileError as error:
        raise OSError(str(error)) from error


def save_pieces(
    pieces: Iterable[Separated],
    folder: str | Path,
    sources: Iterable[str],
    audio_format: str | AudioFormat = "wav",
    expected_frames: int = 0,
    **options: Any,
) -> OutputFolder:
    """Writes pieces as they come; arguments as for `OutputFolder`."""
    with OutputFolder(folder, sources, audio_format, expected_frames, **options) as output:
        for piece in pieces:
            output.write(piece)
    return output


def tell_clipped(output: OutputFolder, what: str) -> None:
    """Says on the standard error where what exceeds full scale was cut off by the format, or all has become quieter."""
    form, text = output.format, ""
    if (gain := form.gain(output.peak)) != 1:
        text = f"all of {output.folder} is {-20 * np.log10(gain):.1f} dB quieter."
    elif output.peak > 1 and not form.keeps_peaks and form.clip == "none":
        kind = (
            form.name.upper()
            if form.bits in (None, form.usual_bits)
            else f"{form.bits}-bit {form.name.upper()}"
        )
        text = f"it is clipped in {kind}: write WAV of 32 bits to keep it, or have all rescaled (clip)."
    if text:
        print(f"ddsp-zoo: {what} exceeds full scale (peak {output.peak:.2f}): {text}", file=sys.stderr)
