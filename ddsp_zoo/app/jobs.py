"""The work behind the page's buttons, each one call into the package; runs in a process of its own."""

from collections.abc import Callable
from pathlib import Path

from ddsp_zoo.api.edit import Sound
from ddsp_zoo.api.edits_file import read_edits
from ddsp_zoo.api.ladder import separate_file
from ddsp_zoo.api.result import open as opened

Tell = Callable[[float, float], None]


def separate(tell: Tell, recording: Path, model: str, folder: Path, pitch: Path | None) -> Path:
    """Separates a recording into a folder by a model of the zoo."""
    from ddsp_zoo import zoo

    return separate_file(zoo.load(model), recording, folder, pitch=pitch, progress=tell, overwrite=True)


def render(tell: Tell, song: Path, edits: Path, sound: Sound, folder: Path) -> Path:
    """Plays a separation with the edits of a file, as a separation of its own in a folder."""
    there = opened(song)
    return there.edited(read_edits(edits, there), sound).save(folder, overwrite=True)
