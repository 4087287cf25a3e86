"""Decodes audio that libsndfile does not read, through ffmpeg where that is installed."""

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import ANY_CHANNELS, MAX_CHANNELS, open_audio

DECODED_ENDINGS = (".m4a", ".aac", ".mp4", ".wma", ".webm")
DECODE = "-vn -sn -dn -af aformat=channel_layouts=mono|stereo -c:a pcm_f32le -rf64 auto -f wav".split()


def reason_to_decode(path: str | Path) -> str:
    """Returns why a file has to be decoded, empty where it is read as it is; `DdspZooError` as for `open_audio`."""
    path = Path(path)
    if path.suffix.lower() in DECODED_ENDINGS and path.is_file():
        return f"{path} is {path.suffix[1:].upper()}"
    with open_audio(path, ANY_CHANNELS) as file:
        return f"{path} has {file.channels} channels" if file.channels > MAX_CHANNELS else ""


@contextlib.contextmanager
def decoded(path: str | Path) -> Iterator[Path]:
    """Gives a file that `open_audio` reads: the same, or for as long as the block lasts a WAV that ffmpeg makes of it.

    More than two channels become stereo. The WAV lies in the system's folder for temporary files, with 4 bytes a
    sample. Raises `DdspZooError` as for `open_audio`, where ffmpeg is not installed, and where it finds the
    file damaged.
    """
    path = Path(path)
    if not (reason := reason_to_decode(path)):
        yield path
        return
    if not (program := shutil.which("ffmpeg")):
        raise DdspZooError(
            f"{reason}, which is read through ffmpeg, and that is not installed: install it, or save the audio as WAV "
            "or FLAC in mono or stereo."
        )
    with tempfile.TemporaryDirectory(prefix="ddsp_zoo_") as folder:
        target = Path(folder) / path.name
        command = [program, "-nostdin", "-v", "error", "-i", f"file:{path}", *DECODE, f"file:{target}"]
        result = subprocess.run(command, capture_output=True, text=True, errors="replace")
        # It says what it misses in a file that was cut short, and ends well all the same.
        if result.returncode or result.stderr.strip():
            said = (result.stderr.strip().splitlines() or [f"status {result.returncode}"])[-1]
            raise DdspZooError(
                f"{path} is no audio that ffmpeg reads, or is damaged or cut short: {said:.200}"
            )
        yield target
