"""The onset detectors that are compared, the learned one from its checkpoint."""

from pathlib import Path

from ddsp_zoo import zoo
from ddsp_zoo.pitch.onset_head import OnsetHead
from ddsp_zoo.pitch.onsets import Detector, make_detector


def detectors(checkpoint: str | Path | None = None) -> dict[str, Detector]:
    """Returns the detectors that are compared, with the `OnsetHead` of a checkpoint as "learned" where one is named."""
    found = {name: make_detector(name) for name in ("gate_as_published", "gate", "flux")}
    return found if checkpoint is None else found | {"learned": learned_detector(checkpoint)}


def learned_detector(checkpoint: str | Path) -> Detector:
    """Returns the detector of an `OnsetHead`, a .ckpt file or folder; `DdspZooError` where it holds something else."""
    return zoo.load("onsets", checkpoint=checkpoint, kind=OnsetHead).detect
