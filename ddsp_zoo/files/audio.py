"""Reads audio files, with errors that say which file is at fault and why."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
import soxr

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cut import missing_share

MAX_CHANNELS = 2
ANY_CHANNELS = 1 << 16
LOUDEST = 1e6  # samples of floating-point files that hold 16-bit numbers pass
LOWEST_RATE, HIGHEST_RATE = 1000, 1_000_000  # Hz
# Of files that are looked for in a folder.
ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".caf", ".w64")
SLACK_SECONDS = 0.1  # by which a length may be an estimate


class AudioFile(sf.SoundFile):
    """Reads audio; an MP3 only from its beginning to its end.

    Its frames need bits of those before, which libsndfile does not have after a jump, even to where it stands; and
    soundfile jumps there after each read of a file that is seekable.
    """

    def seekable(self) -> bool:
        """Returns whether it can be read from any place."""
        return self.format != "MP3" and super().seekable()


def open_audio(path: str | Path, most_channels: int = MAX_CHANNELS) -> AudioFile:
    """Opens a file that holds mono or stereo audio; raises `DdspZooError` where it is missing or something else."""
    path = Path(path)
    if path.is_dir():
        raise DdspZooError(f"{path} is a folder: pass the audio files in it.")
    # libsndfile reads - from the standard input
    if str(path) == "-" or (path.exists() and not path.is_file()):
        raise DdspZooError(
            f"{path} is a pipe or a device, and audio is read more than once: write it to a file and pass that."
        )
    if not path.exists():
        raise DdspZooError(f"There is no file {path}.")
    if path.stat().st_size == 0:
        raise DdspZooError(f"{path} is empty (0 bytes).")
    try:
        file, missing = AudioFile(path), missing_share(path)
    except (sf.LibsndfileError, OSError) as error:
        raise DdspZooError(
            f"{path} is not audio that can be read (WAV, FLAC, OGG, MP3, AIFF): {error}"
        ) from error
    problem = ""
    if file.channels > most_channels:
        problem = f"{path} has {file.channels} channels: pass mono or stereo."
    elif file.frames == 0:
        problem = f"{path} holds no samples."
    elif (seconds := missing * file.frames / file.samplerate) > SLACK_SECONDS:
        problem = f"{path} breaks off {seconds:.1f} s before its end: copy or save it again."
    elif not LOWEST_RATE <= file.samplerate <= HIGHEST_RATE:
        problem = _wrong_rate(path, file.samplerate)
    if problem:
        file.close()
        raise DdspZooError(problem)
    return file


def audio_files(folder: str | Path, endings: Collection[str] = ENDINGS) -> list[Path]:
    """Returns the audio files in a folder, sorted, as told by their endings; hidden ones are left out."""
    paths = sorted(Path(folder).iterdir())
    return [
        path for path in paths if path.suffix.lower() in endings and path.name[0] != "." and path.is_file()
    ]


def check_rate(rate: float) -> int:
    """Returns the rate of samples in Hz as a whole number; raises `DdspZooError` where it cannot be that of audio."""
    try:
        fits = LOWEST_RATE <= rate <= HIGHEST_RATE
    except TypeError:
        fits = False
    if not fits:
        raise DdspZooError(_wrong_rate("The audio", rate))
    return round(rate)


def _wrong_rate(name: str | Path, rate: Any) -> str:
    return f"{name} has a sample rate of {rate!s:.30} Hz, and audio one from {LOWEST_RATE} to {HIGHEST_RATE}: mend it."


def check_finite(audio: np.ndarray, name: str | Path) -> None:
    """Raises `DdspZooError` where a sample is NaN, infinite or so large that it cannot be audio."""
    if not np.isfinite(audio).all():
        raise DdspZooError(f"{name} contains samples that are not finite numbers (NaN or infinity).")
    if (peak := np.abs(audio).max(initial=0)) > LOUDEST:
        raise DdspZooError(f"{name} has a peak of {peak:.1e}, where audio lies between -1 and 1: scale it.")


@dataclass(frozen=True)
class Excerpt:
    """Holds the part of a recording that is meant: all of it, where nothing is given.

    Args:
        start_seconds: where it begins.
        seconds: how long it is, None up to the end; a recording that ends before gives what there is.

    Raises:
        DdspZooError: for a time that cannot be one.
    """

    start_seconds: float = 0.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds < np.inf:
            raise DdspZooError(f"The start is {self.start_seconds} s: give 0 or more seconds.")
        if self.seconds is not None and not 0 < self.seconds < np.inf:
            raise DdspZooError(f"The duration is {self.seconds} s: give more than 0 seconds.")

    def span(self, file: AudioFile) -> tuple[int, int]:
        """Returns the first sample in a file and the number of samples; `DdspZooError` where there are none."""
        first = round(min(self.start_seconds * file.samplerate, file.frames))
        count = file.frames - first
        if self.seconds is not None:
            count = round(min(self.seconds * file.samplerate, count))
        if count < 1:
            raise DdspZooError(
                f"Nothing of {file.name} is left: it has {file.frames / file.samplerate:.2f} s, and the excerpt begins "
                f"at {self.start_seconds:g} s."
                if first == file.frames
                else f"The duration of {self.seconds:g} s is less than a sample of {file.name}: take more."
            )
        return first, count

    def told(self) -> dict[str, list[float | None]]:
        """Returns what the list of a result says of it: nothing of a whole recording."""
        return {} if self == Excerpt() else {"excerpt_seconds": [self.start_seconds, self.seconds]}


WHOLE = Excerpt()


def read_blocks(
    path: str | Path, block_frames: int = 1 << 18, excerpt: Excerpt = WHOLE
) -> Iterator[np.ndarray]:
    """Reads a file, or an excerpt, as float32 blocks (C, n), which together are as long as its header says.

    Raises `DdspZooError` where the file breaks off, and where nothing is left of it.
    """
    with open_audio(path) as file:
        first, left = excerpt.span(file)
        _go_to(file, first)
        while left > 0:
            block = _read(file, min(block_frames, left), path)
            if not len(block):
                if left > SLACK_SECONDS * file.samplerate:
                    raise DdspZooError(f"{path} breaks off {left / file.samplerate:.1f} s before its end.")
                block = np.zeros((left, file.channels), np.float32)  # the length of an MP3 can be an estimate
            left -= len(block)
            yield block.T


def _go_to(file: AudioFile, frame: int) -> None:
    """Goes to a sample of a file that was just opened."""
    if file.seekable():
        file.seek(frame)
        return
    while frame > 0 and len(passed := file.read(min(frame, 1 << 18), dtype="float32")):
        frame -= len(passed)


def _read(file: AudioFile, frames: int, path: str | Path) -> np.ndarray:
    """Reads up to ``frames`` samples (n, C), all of them finite."""
    try:
        block = file.read(frames, dtype="float32", always_2d=True)
    except sf.LibsndfileError as error:
        raise DdspZooError(f"{path} is damaged: {error}") from error
    check_finite(block, path)
    return block


def read_mono(
    path: str | Path, sample_rate: int, start_seconds: float = 0.0, seconds: float = -1
) -> np.ndarray:
    """Reads the mean of the channels of an excerpt, (T,); arguments as for `read_channels`."""
    return read_channels(path, sample_rate, start_seconds, seconds).mean(0)


def read_channels(
    path: str | Path, sample_rate: int, start_seconds: float = 0.0, seconds: float = -1
) -> np.ndarray:
    """Reads an excerpt (C, T) float32 at ``sample_rate``; the whole file where ``seconds`` is negative."""
    with open_audio(path) as file:
        _go_to(file, min(round(start_seconds * file.samplerate), file.frames))
        frames = file.frames if seconds < 0 else round(min(seconds * file.samplerate, file.frames))
        audio = _read(file, frames, path)
        if file.samplerate != sample_rate:
            audio = soxr.resample(audio, file.samplerate, sample_rate)
    return audio.T


def duration_seconds(path: str | Path) -> float:
    """Returns the length of a file, from its header."""
    with open_audio(path) as file:
        return file.frames / file.samplerate
