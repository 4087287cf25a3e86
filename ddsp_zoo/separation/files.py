"""Separating files into folders: `separate_file`, and `separate_files` for many."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.folder import save_pieces
from ddsp_zoo.files.audio import open_audio, read_blocks
from ddsp_zoo.separation.stream import resolve_pitch, stream, with_progress


def separate_file(
    model: Any,
    path: str | Path,
    folder: str | Path,
    audio_format: str = "wav",
    pitch: Any = None,
    seed: int = 0,
    progress: bool = False,
) -> Path:
    """Separate one file into a folder; memory does not grow with its length. Arguments as for `separate`."""
    with open_audio(path) as file:
        rate, frames = file.samplerate, file.frames
    track = resolve_pitch(model, pitch, path, rate, frames / rate)
    pieces = stream(model, read_blocks(path), rate, frames, track, seed)
    pieces = with_progress(pieces, frames / rate) if progress else pieces
    output = save_pieces(pieces, folder, audio_format, frames)
    if audio_format == "flac" and output.peak > 1:
        print(
            f"ddsp-zoo: a stem of {path} exceeds full scale (peak {output.peak:.2f}) and is clipped in FLAC: "
            "use --format wav to keep it.",
            file=sys.stderr,
        )
    return output.folder


def separate_files(
    model: Any, paths: Sequence[str | Path], out: str | Path, skip_existing: bool = False, **options: Any
) -> list[Path]:
    """Separate each file into ``out/<file name>/`` and return the folders.

    Raises `DdspZooError` before any work where a file cannot be read, or two would share a folder. With
    ``skip_existing`` a file whose folder is there (folders are complete or absent) is passed over.
    """
    folders = {Path(path): Path(out) / Path(path).stem for path in paths}
    if len(set(folders.values())) < len(paths):
        names = [path.stem for path in map(Path, paths)]
        twice = next(name for name in names if names.count(name) > 1)
        raise DdspZooError(
            f"Two inputs would both go to {Path(out) / twice}: separate them with different --out."
        )
    for path in folders:
        open_audio(path).close()
    for path, folder in folders.items():
        if not (skip_existing and folder.exists()):
            separate_file(model, path, folder, **options)
    return list(folders.values())
