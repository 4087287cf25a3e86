"""Separating an array or a file, a file into a folder, and many files: each step calls the one before."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddsp_zoo.api.result import Separation
from ddsp_zoo.api.voices import for_recording
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.audio_format import AudioFormat
from ddsp_zoo.export.folder import left_out, made_by, save_pieces, tell_clipped
from ddsp_zoo.files import owned
from ddsp_zoo.files.audio import (
    MAX_CHANNELS,
    WHOLE,
    Excerpt,
    check_finite,
    check_rate,
    open_audio,
    read_blocks,
)
from ddsp_zoo.files.decoded import decoded, reason_to_decode
from ddsp_zoo.files.digest import sha256_of
from ddsp_zoo.files.processes import run_all
from ddsp_zoo.pitch.given import CREPE, check_neck, digest_of_pitch, find_pitch
from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.separation.result import Separated
from ddsp_zoo.separation.stream import maker_of, stream

Progress = bool | Callable[[float, float], None]
TRACK, MODEL = "{track}", "{model}"  # fields of the name of a result's folder
BLOCK = 1 << 18  # samples of an array that are taken at a time


def separate(
    model: Any,
    audio: np.ndarray | torch.Tensor | str | Path,
    sample_rate: int | None = None,
    pitch: Any = None,
    seed: int = 0,
    progress: Progress = False,
    neck: Neck | None = None,
) -> Separation:
    """Separates a recording and keeps the result in memory.

    Args:
        model: a separator.
        audio: samples (T,) or (channels, T), mono or stereo, with their ``sample_rate``; or a file.
        sample_rate: in Hz, for arrays.
        pitch: for models that need it, and no others: a `PitchTrack` on the model's frames, or what
            `pitch.given.find_pitch` takes (an f0 CSV, a folder with one recording a source, or "crepe" for a single
            melody).
        seed: of the synthesiser's noise.
        progress: show a progress bar; or a function that is called with the seconds that are done, and of how many. An
            error that it raises stops the work, and nothing is left of it.
        neck: for guitar strings: their tuning and the capo, where they are not the usual ones.

    Raises:
        DdspZooError: audio that cannot be used (empty, not finite, too many channels, no rate), pitch missing.
    """
    if not isinstance(audio, str | Path):
        model = for_recording(model, audio, sample_rate, pitch)
        return Separation.join(list(_pieces(model, audio, sample_rate, pitch, seed, progress, neck)))
    with decoded(audio) as path:
        model, digest = for_recording(model, path, None, pitch), sha256_of(audio)
        return Separation.join(list(_pieces(model, path, None, pitch, seed, progress, neck, digest)))


def separate_file(
    model: Any,
    path: str | Path,
    folder: str | Path,
    audio_format: str | AudioFormat = "wav",
    pitch: Any = None,
    seed: int = 0,
    progress: Progress = False,
    overwrite: bool = False,
    neck: Neck | None = None,
    excerpt: Excerpt = WHOLE,
    leave_out: Collection[str] = (),
) -> Path:
    """Separates one file, or the excerpt, into a folder; memory does not grow with its length; the rest as `separate`.

    What is in the folder stays, but for an earlier result of the same recording by the same model; with ``overwrite``
    another result is replaced too. ``leave_out`` is as for `Separation.save`. Raises `DdspZooError` before the
    separation where something would be lost.
    """
    with decoded(path) as audio:
        with open_audio(audio) as file:
            _, frames = excerpt.span(file)
        model = for_recording(model, audio, None, pitch, excerpt)
        about = _about(model, path, audio_format, pitch, seed, neck, excerpt, leave_out)
        pieces = _pieces(model, audio, None, pitch, seed, progress, neck, about["recording_sha256"], excerpt)
        options = {"made_from": about, "overwrite": overwrite}
        return saved(pieces, path, folder, model.targets, audio_format, frames, **options)


def saved(
    pieces: Iterable[Separation],
    path: str | Path,
    folder: str | Path,
    sources: Sequence[str],
    audio_format: str | AudioFormat,
    frames: int,
    **options: Any,
) -> Path:
    """Writes the pieces of the recording ``path``, and says where it clips; the rest is as for `save_pieces`."""
    output = save_pieces(pieces, folder, sources, audio_format, frames, **options)
    tell_clipped(output, f"a stem of {path}")
    return output.folder


def separate_files(
    model: Any,
    paths: Sequence[str | Path],
    out: str | Path,
    skip_existing: bool = False,
    pitch: Any = None,
    done: Callable[[Path], None] | None = None,
    name: str = TRACK,
    jobs: int = 1,
    **options: Any,
) -> list[Path]:
    """Separates each file into ``out/<file name>/``, or what ``name`` says, and returns the folders.

    Args:
        model: a separator.
        paths: the files.
        out: folder of the folders, made where missing.
        skip_existing: pass over a file whose folder holds what these arguments gave of it before, complete.
        pitch: as for `separate`; for several files "crepe", or a folder with ``<file name>.csv`` for each, or a folder
            ``<file name>`` with one recording a source.
        done: called with each folder once it is there.
        name: of the folders in ``out``, see `folder_of`.
        jobs: how many files are separated at a time, each by a process with its share of the cores and a model of its
            own in memory; more than one needs a model on the CPU, and shows one bar for all.
        options: of `separate_file`.

    Raises:
        DdspZooError: before any work where two files would share a folder, or a pitch; in the end where files could not
            be separated, with what is wrong with each of them. The others are separated all the same.
    """
    folders = _folders(paths, out, name, maker_of(model, 0).model)
    _check_one_pitch_a_file(pitch, paths)
    failed: list[DdspZooError] = []

    def note(result: tuple[Path, DdspZooError | None]) -> None:
        folder, error = result
        if error is not None:
            failed.append(error)
        elif done:
            done(folder)

    shared = skip_existing, pitch, len(paths) > 1
    if jobs > 1:
        if model.device.type != "cpu":
            raise DdspZooError(f"Several files at a time need the CPU, not {model.device}: leave `jobs` out.")
        quiet, options = not options.get("progress"), options | {"progress": False}
        threads = max(torch.get_num_threads() // jobs, 1)
        work = [(model, *place, *shared, options, threads) for place in folders.items()]
        run_all(_separate_one, work, jobs, "separating", "file", note, quiet)
    else:
        for place in folders.items():
            note(_separate_one(model, *place, *shared, options))
    if failed:
        raise _summed_up(failed, len(folders))
    return list(folders.values())


def _separate_one(
    model: Any,
    path: Path,
    folder: Path,
    skip_existing: bool,
    pitch: Any,
    many: bool,
    options: dict[str, Any],
    threads: int = 0,
) -> tuple[Path, DdspZooError | None]:
    """Separates one of the files, and returns its folder and what is wrong.

    A process of its own is told how many threads its share of the cores are.
    """
    if threads:
        torch.set_num_threads(threads)
    try:
        own = options | {"pitch": _pitch_of(path, pitch, many)}
        if getattr(model, "open_number", False):
            with decoded(path) as audio:
                model = for_recording(model, audio, None, own["pitch"], own.get("excerpt", WHOLE))
        if not (skip_existing and _is_there(model, path, folder, **own)):
            separate_file(model, path, folder, **own)
    except DdspZooError as error:
        return folder, error
    return folder, None


def folder_of(path: str | Path, out: str | Path, name: str, model: str) -> Path:
    """Returns the folder for the result of a file, in ``out``: its name is a pattern with "{track}" and "{model}".

    {track} is the file's name without its ending. Slashes make folders of folders. Raises `DdspZooError` for a pattern
    that leads out of ``out`` or has other fields.
    """
    fields = {TRACK: Path(path).stem, MODEL: model}
    pieces = re.split("|".join(map(re.escape, fields)), name)
    if any(brace in piece for piece in pieces for brace in "{}"):
        raise DdspZooError(f"The name {name!r} has other fields than {TRACK} and {MODEL}: leave them out.")
    if not name.strip() or Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        raise DdspZooError(f"The name {name!r} is none of a folder in {out}: write it as {MODEL}/{TRACK}.")
    return Path(out) / re.sub("|".join(map(re.escape, fields)), lambda field: fields[field[0]], name)


def _folders(paths: Sequence[str | Path], out: str | Path, name: str, model: str) -> dict[Path, Path]:
    """The folder of each file."""
    folders = [folder_of(path, out, name, model) for path in paths]
    if twice := next((folder for folder in folders if folders.count(folder) > 1), None):
        raise DdspZooError(f"Two inputs would both go to {twice}: separate them into different folders.")
    return dict(zip(map(Path, paths), folders, strict=True))


def _summed_up(errors: list[DdspZooError], count: int) -> DdspZooError:
    """What is wrong with files of a batch; alone where it is the same with all of them."""
    texts = list(dict.fromkeys(map(str, errors)))
    if len(errors) == count and len(texts) == 1:
        return errors[0]
    told = "; ".join(text.removesuffix(".") for text in texts)
    return DdspZooError(f"{len(errors)} of {count} files could not be separated: {told}.")


def _check_one_pitch_a_file(pitch: Any, paths: Sequence[str | Path]) -> None:
    """Raises `DdspZooError` where several files would be separated by the pitch of one."""
    if len(paths) > 1 and pitch is not None and str(pitch) != CREPE and not _is_folder(pitch):
        raise DdspZooError(
            "One pitch belongs to one recording: give `pitch=` a folder with <recording>.csv for each of them, or "
            "separate them one by one."
        )


def _is_folder(pitch: Any) -> bool:
    return isinstance(pitch, str | Path) and Path(pitch).is_dir()


def _pitch_of(path: Path, pitch: Any, of_many: bool) -> Any:
    """The pitch of one of the files."""
    if not _is_folder(pitch):
        return pitch
    own = [place for place in (Path(pitch) / f"{path.stem}.csv", Path(pitch) / path.stem) if place.exists()]
    if of_many and not own:
        raise DdspZooError(
            f"There is no pitch of {path}: put {path.stem}.csv into {pitch}, or a folder {path.stem} with one "
            "recording of each source."
        )
    return own[0] if own else pitch


def _is_there(model: Any, path: Path, folder: Path, **options: Any) -> bool:
    """Whether a folder holds all that `separate_file` would write with these arguments."""
    reason_to_decode(path)  # or what is wrong with it
    if not owned.is_complete(folder):
        return False
    wanted, there = _about(model, path, **options), owned.made_from(folder)
    asked = {*wanted, "neck", "stems", "edited", "excerpt_seconds", "bits", "clip", "left_out"} - {
        "recording",
        "version",
    }
    return all(there.get(key) == wanted.get(key) for key in asked)


def _about(
    model: Any,
    path: str | Path,
    audio_format: str | AudioFormat = "wav",
    pitch: Any = None,
    seed: int = 0,
    neck: Neck | None = None,
    excerpt: Excerpt = WHOLE,
    leave_out: Collection[str] = (),
    **_: Any,
) -> dict[str, Any]:
    """What the list of the result says of how it was made; arguments as for `separate_file`."""
    recording = {"recording": Path(path).name, "recording_sha256": sha256_of(path)}
    own = {"pitch": digest_of_pitch(pitch)} | AudioFormat.of(audio_format).told()
    own |= {"stems": list(model.targets)} if getattr(model, "only", ()) else {}
    return recording | made_by(maker_of(model, seed, neck)) | own | excerpt.told() | left_out(leave_out)


def _pieces(
    model: Any,
    audio: Any,
    sample_rate: int | None,
    pitch: Any,
    seed: int,
    progress: Progress,
    neck: Neck | None,
    digest: str = "",
    excerpt: Excerpt = WHOLE,
) -> Iterator[Separation]:
    """The pieces of an array or a file, as they are finished; ``digest`` is the recording's, where it is known."""
    if isinstance(audio, (str, Path)):
        with open_audio(audio) as file:
            sample_rate, (_, frames) = file.samplerate, excerpt.span(file)
        blocks, digest = read_blocks(audio, excerpt=excerpt), digest or sha256_of(audio)
    else:
        array = _as_channels(audio)
        if not sample_rate:
            raise DdspZooError("An array needs its sample rate in Hz: separate(audio, sample_rate).")
        sample_rate, frames = check_rate(sample_rate), array.shape[1]
        blocks = (array[:, start : start + BLOCK] for start in range(0, frames, BLOCK))
        digest = hashlib.sha256(array.tobytes()).hexdigest()
    if pitch is not None and not model.needs_pitch:
        raise DdspZooError(f"{maker_of(model, seed).model} takes no pitch: leave `pitch=` out.")
    check_neck(neck, model)
    track = None
    if model.needs_pitch:
        track = find_pitch(pitch, model, audio, sample_rate, frames / sample_rate, neck, excerpt)
    pieces = stream(model, blocks, sample_rate, frames, track, seed, neck)
    name = Path(audio).name if isinstance(audio, (str, Path)) else "separating"
    for piece in with_progress(pieces, frames / sample_rate, name, progress):
        yield Separation(**vars(piece) | {"recording_sha256": digest})


def with_progress(
    pieces: Generator[Separated, None, None], seconds: float, name: str, progress: Progress = True
) -> Iterator[Separated]:
    """Yields the same pieces, and tells how far they have come: see `progress` of `separate`; ``name`` is the bar's."""
    done = 0.0
    with _teller(seconds, name, progress) as tell, contextlib.closing(pieces):
        for piece in pieces:
            done += piece.samples / piece.sample_rate
            tell(done)
            yield piece


@contextlib.contextmanager
def _teller(seconds: float, name: str, progress: Progress) -> Iterator[Callable[[float], Any]]:
    """Gives what is told the seconds that are done; a bar at the terminal is gone when the block ends."""
    if callable(progress):
        yield lambda done: progress(done, seconds)
    elif not progress:
        yield lambda done: None
    else:
        from tqdm import tqdm

        with tqdm(total=round(seconds), unit="s", desc=name, leave=False, disable=None) as bar:
            yield lambda done: bar.update(round(done) - bar.n)


def _as_channels(audio: np.ndarray | torch.Tensor) -> np.ndarray:
    audio = audio.detach().cpu() if isinstance(audio, torch.Tensor) else audio
    array = np.asarray(audio, dtype=np.float32)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or not 1 <= len(array) <= MAX_CHANNELS:
        raise DdspZooError(
            f"Audio must be (samples,) or (1 or 2 channels, samples), got shape {np.shape(audio)}."
        )
    if array.shape[1] == 0:
        raise DdspZooError("The audio holds no samples.")
    check_finite(array, "The audio")
    return array
