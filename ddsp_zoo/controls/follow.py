"""One source played with the notes, the pitch curve and the loudness of another."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddsp_zoo.controls.notes import Note, Played, put
from ddsp_zoo.controls.plan import Declared, Plan
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.separation.result import Named

QUIETEST = 1e-2  # of a note's loudest frame: what is fainter is not lifted any further
SPAN = 4  # frames that a loudness is measured over


@dataclass
class Lead:
    """Holds what leads: notes in order, pitch (N,) in Hz, and how loud it sounds (N,), at the frames of who follows."""

    notes: Sequence[tuple[int, int]]
    f0_hz: np.ndarray
    loudness: np.ndarray


def loudness_in_frames(audio: np.ndarray, rate: int, frames: int, rate_hz: float) -> np.ndarray:
    """Returns the root mean square of audio (1, T) around each of so many frames (frames,)."""
    power = np.concatenate([[0.0], np.cumsum(audio[0].astype(np.float64) ** 2)])
    centre = np.round(np.arange(frames) * rate / rate_hz).astype(int)
    half = round(SPAN / 2 * rate / rate_hz)
    low, high = (np.clip(centre + offset, 0, audio.shape[1]) for offset in (-half, half))
    return np.sqrt((power[high] - power[low]) / np.maximum(high - low, 1))


def plan_to_follow(
    lead: Lead, played: Played, own_f0_hz: np.ndarray, own_loudness: np.ndarray, by_note: bool
) -> Plan:
    """Returns the plan by which a source that has ``played`` notes of its own follows a lead.

    Each note takes the controls of the own note that is nearest in pitch, cut or stretched; it has the lead's pitch
    frame by frame, and sounds as loud as the lead, frame by frame or, ``by_note``, at its loudest.
    """
    if not played.notes:
        raise DdspZooError(
            "A source that plays no notes has none whose sound could follow another: choose another."
        )
    if not lead.notes:
        raise DdspZooError("A source that plays no notes cannot lead another: choose another.")
    count = len(lead.f0_hz)
    plan = Plan.over(np.zeros(count), np.zeros(count, dtype=bool))
    plan.sounds[:], plan.touched[:] = False, True
    for first, last in lead.notes:
        pitch = np.median(lead.f0_hz[first:last])
        own = min(played.notes, key=lambda note: abs(np.log2(_hz(note, played, own_f0_hz) / pitch)))
        put(plan, first, last, *played.frames(own))
        taken = np.floor(plan.take[first:last]).astype(int)
        plan.ratio[first:last] = lead.f0_hz[first:last] / own_f0_hz[taken]
        wanted, there = lead.loudness[first:last], own_loudness[taken]
        if by_note:
            wanted, there = wanted.max(keepdims=True), there.max(keepdims=True)
        plan.gain[first:last] = wanted / np.maximum(there, max(QUIETEST * there.max(), 1e-9))
    return plan


def _hz(note: Note, played: Played, f0_hz: np.ndarray) -> float:
    return float(np.median(f0_hz[slice(*played.frames(note))]))


def by_notes(controls: Named, declared: Declared) -> bool:
    """Returns whether the first level that a source has holds for whole notes."""
    levels = [control for name, control in declared.items() if name in controls and control.role == "level"]
    return bool(levels) and levels[0].join == "note"
