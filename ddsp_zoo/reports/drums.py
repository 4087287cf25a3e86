"""The transcriber of drums that is measured, from its own checkpoint or a model's."""

from pathlib import Path
from typing import Any

from ddsp_zoo import zoo
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.drums import System, systems
from ddsp_zoo.models import MODELS
from ddsp_zoo.pitch.drum_transcriber import DrumTranscriber


def learned(name: str, checkpoint: str | Path | None) -> dict[str, System]:
    """Returns what is compared of a `DrumTranscriber`'s checkpoint, or of a model that has one.

    Raises `DdspZooError` where there is none.
    """
    loaded: Any = zoo.load(name, checkpoint=checkpoint, kind=(DrumTranscriber, *MODELS))
    if isinstance(loaded, DrumTranscriber):
        return systems(loaded)
    if not isinstance(getattr(loaded, "transcriber", None), DrumTranscriber):
        raise DdspZooError(f"{name} hears no drums: name a model or checkpoint that does.")
    return systems(loaded.transcriber, loaded if "drums" in loaded.targets else None)
