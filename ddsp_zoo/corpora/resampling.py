"""Resamples stems to the rate of a model, once, and keeps the copies in a folder."""

from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import soundfile as sf

from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.files.audio import open_audio, read_mono
from ddsp_zoo.files.cache import cache_root, fingerprint
from ddsp_zoo.files.processes import run_all

AnyTrack = TypeVar("AnyTrack")


def resample_tracks(
    tracks: list[AnyTrack], rate_hz: int, folder: bool | str = True, workers: int = 0
) -> list[AnyTrack]:
    """Returns the tracks with stems at ``rate_hz``: files of that rate as they are, mono copies of all others.

    Copies lie in ``<folder>/<rate_hz>`` (True: the package's cache folder) and are made once for each path, size and
    time of change, by ``workers`` processes. They are FLAC with 16 bits, or WAV with floats where a sample is
    beyond full scale. An interrupted run goes on where it stopped.
    """
    from filelock import FileLock

    root = (cache_root() / "resampled" if folder is True else Path(folder).expanduser()) / str(rate_hz)
    root.mkdir(parents=True, exist_ok=True)
    paths = {path for track in tracks for files in track.stems.values() for path in files}
    with FileLock(root / ".lock"):  # one of several training processes makes them, the others find them
        copies = _copies(sorted(paths), rate_hz, root, workers)
    return [
        replace(track, stems={name: tuple(copies[p] for p in files) for name, files in track.stems.items()})
        for track in tracks
    ]


def _copies(paths: list[Path], rate_hz: int, root: Path, workers: int) -> dict[Path, Path]:
    """Returns for each file its copy, or itself; makes what is missing."""
    copies: dict[Path, Path] = {}
    missing: dict[Path, Path] = {}
    for path in paths:
        with open_audio(path) as file:
            if file.samplerate == rate_hz:
                copies[path] = path
                continue
        target = _target(path, root)
        if found := [copy for copy in (target, target.with_suffix(".wav")) if copy.exists()]:
            copies[path] = found[0]
        else:
            missing[path] = target
    jobs = [(path, rate_hz, target) for path, target in missing.items()]
    made = run_all(resample_file, jobs, workers, f"resampling to {rate_hz} Hz", "stem")
    return copies | dict(zip(missing, made, strict=True))


def _target(path: Path, root: Path) -> Path:
    """Returns where the copy of a file belongs; the name is another once the file has changed."""
    state = path.stat()
    made_of = fingerprint(path=str(path.resolve()), size=state.st_size, changed=state.st_mtime_ns)
    return root / f"{path.stem}_{made_of}.flac"


def resample_file(path: Path, rate_hz: int, target: Path) -> Path:
    """Writes a mono copy at ``rate_hz`` and returns its path.

    That is ``target``, or a WAV file beside it where FLAC would clip the sound.
    """
    audio = read_mono(path, rate_hz)
    loud = np.abs(audio).max(initial=0) > 1
    target = target.with_suffix(".wav") if loud else target
    with replaced_when_done(target) as draft:
        sf.write(draft, audio, rate_hz, subtype="FLOAT" if loud else "PCM_16")
    return target
