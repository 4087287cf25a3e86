"""Separating an array or a file, a file into a folder, and many files: each step calls the one before."""

import hashlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddsp_zoo.api.result import Separation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.folder import made_by, save_pieces
from ddsp_zoo.files.audio import MAX_CHANNELS, check_finite, open_audio, read_blocks
from ddsp_zoo.files.digest import sha256_of
from ddsp_zoo.pitch.given import find_pitch
from ddsp_zoo.separation.result import Separated
from ddsp_zoo.separation.stream import maker_of, stream

BLOCK = 1 << 18  # samples of an array that are taken at a time


def separate(
    model: Any,
    audio: np.ndarray | torch.Tensor | str | Path,
    sample_rate: int | None = None,
    pitch: Any = None,
    seed: int = 0,
    progress: bool = False,
) -> Separation:
    """Separates a recording and keeps the result in memory.

    Args:
        model: a separator.
        audio: samples (T,) or (channels, T), mono or stereo, with their ``sample_rate``; or a file.
        sample_rate: in Hz, for arrays.
        pitch: for models that need it: a `PitchTrack` on the model's frames, or what `pitch.given.find_pitch`
            takes (an f0 CSV, a folder with one recording a source, or "crepe" for a single melody).
        seed: of the synthesiser's noise.
        progress: show a progress bar.

    Raises:
        DdspZooError: audio that cannot be used (empty, not finite, too many channels, no rate), pitch missing.
    """
    return Separation.join(list(_pieces(model, audio, sample_rate, pitch, seed, progress)))


def separate_file(
    model: Any,
    path: str | Path,
    folder: str | Path,
    audio_format: str = "wav",
    pitch: Any = None,
    seed: int = 0,
    progress: bool = False,
    overwrite: bool = False,
) -> Path:
    """Separates one file into a folder; memory does not grow with its length. Arguments as for `separate`.

    What is in the folder stays, but for an earlier result of the same recording by the same model; with ``overwrite``
    another result is replaced too. Raises `DdspZooError` before the separation where something would be lost.
    """
    with open_audio(path) as file:
        frames = file.frames
    pieces, about = _pieces(model, path, None, pitch, seed, progress), _about(model, path, seed, audio_format)
    options = {"made_from": about, "overwrite": overwrite}
    output = save_pieces(pieces, folder, model.targets, audio_format, frames, **options)
    if audio_format == "flac" and output.peak > 1:
        print(
            f"ddsp-zoo: a stem of {path} exceeds full scale (peak {output.peak:.2f}) and is clipped in FLAC: "
            "write WAV to keep it.",
            file=sys.stderr,
        )
    return output.folder


def separate_files(
    model: Any, paths: Sequence[str | Path], out: str | Path, skip_existing: bool = False, **options: Any
) -> list[Path]:
    """Separates each file into ``out/<file name>/`` and returns the folders.

    Raises `DdspZooError` before any work where a file cannot be read, or two would share a folder. With
    ``skip_existing`` a file whose folder is there (folders are complete or absent) is passed over.
    """
    folders = {Path(path): Path(out) / Path(path).stem for path in paths}
    if len(set(folders.values())) < len(paths):
        names = [path.stem for path in map(Path, paths)]
        twice = next(name for name in names if names.count(name) > 1)
        raise DdspZooError(
            f"Two inputs would both go to {Path(out) / twice}: separate them into different folders."
        )
    for path in folders:
        open_audio(path).close()
    for path, folder in folders.items():
        if not (skip_existing and folder.exists()):
            separate_file(model, path, folder, **options)
    return list(folders.values())


def _about(model: Any, path: str | Path, seed: int, audio_format: str) -> dict[str, Any]:
    """What the list of the result says of how it was made."""
    recording = {"recording": Path(path).name, "recording_sha256": sha256_of(path)}
    return recording | made_by(maker_of(model, seed)) | {"format": audio_format}


def _pieces(
    model: Any, audio: Any, sample_rate: int | None, pitch: Any, seed: int, progress: bool
) -> Iterator[Separation]:
    """The pieces of an array or a file, as they are finished."""
    if isinstance(audio, (str, Path)):
        with open_audio(audio) as file:
            sample_rate, frames = file.samplerate, file.frames
        blocks, digest = read_blocks(audio), sha256_of(audio)
    else:
        array = _as_channels(audio)
        if not sample_rate or sample_rate < 0:
            raise DdspZooError("An array needs its sample rate in Hz: separate(audio, sample_rate).")
        sample_rate, frames = round(sample_rate), array.shape[1]
        blocks = (array[:, start : start + BLOCK] for start in range(0, frames, BLOCK))
        digest = hashlib.sha256(array.tobytes()).hexdigest()
    track = find_pitch(pitch, model, audio, sample_rate, frames / sample_rate) if model.needs_pitch else None
    pieces = stream(model, blocks, sample_rate, frames, track, seed)
    for piece in _with_progress(pieces, frames / sample_rate) if progress else pieces:
        yield Separation(**vars(piece) | {"recording_sha256": digest})


def _with_progress(pieces: Iterable[Separated], seconds: float) -> Iterator[Separated]:
    """The same pieces, with a bar at the terminal that is gone when they end."""
    from tqdm import tqdm

    done = 0.0
    with tqdm(total=round(seconds), unit="s", desc="separating", leave=False, disable=None) as bar:
        for piece in pieces:
            done += piece.samples / piece.sample_rate
            bar.update(round(done) - bar.n)
            yield piece


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
