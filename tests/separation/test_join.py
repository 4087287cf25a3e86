"""Controls of overlapping segments: each joined by the rule that it declares."""

import pytest
import torch
from torch import Tensor

from ddsp_zoo.separation.join import Joiner
from ddsp_zoo.synths.control import Control, given_notes

STEP, OVERLAP = 12, 4
DECLARED = {
    control.name: control
    for control in (
        Control("fading", "1", ""),
        Control("switching", "1", "", join="switch"),
        Control("of_notes", "1", "", size=2, join="note"),
        *given_notes(16000),
    )
}


def segment(value: float, *onsets: int) -> dict[str, Tensor]:
    """A segment of one source whose controls all have one value, and whose notes begin at these frames."""
    onset = torch.zeros(1, STEP + OVERLAP, 1)
    onset[:, list(onsets)] = 1
    same = torch.full_like(onset, value)
    return {
        "fading": same,
        "switching": same.clone(),
        "undeclared": same.clone(),
        "of_notes": same.expand(-1, -1, 2) + torch.arange(STEP + OVERLAP)[:, None] / 100,
        "f0_hz": torch.full_like(onset, 220.0),
        "onset": onset,
    }


def joined(*segments: dict[str, Tensor]) -> dict[str, Tensor]:
    join = Joiner(DECLARED, STEP, OVERLAP)
    pieces = [join(one, last=one is segments[-1]) for one in segments]
    assert [piece["onset"].shape[1] for piece in pieces] == [STEP] * (len(segments) - 1) + [STEP + OVERLAP]
    return {
        name: torch.cat([piece[name] for piece in pieces], dim=1)[0] for name in DECLARED | {"undeclared": 0}
    }


def test_one_fades_and_another_switches_halfway() -> None:
    stream = joined(segment(1.0, 0), segment(3.0))
    faded = [1.25, 1.75, 2.25, 2.75]
    for name in ("fading", "undeclared"):
        assert stream[name][:, 0].tolist() == pytest.approx([1.0] * STEP + faded + [3.0] * STEP)
    assert stream["switching"][:, 0].tolist() == [1.0] * (STEP + 2) + [3.0] * (STEP + 2)


def test_a_note_keeps_the_values_of_its_onset_across_segments_up_to_the_next() -> None:
    stream = joined(segment(1.0, 2, 7), segment(3.0), segment(5.0, 10))
    held = stream["of_notes"]
    assert held.shape == (3 * STEP + OVERLAP, 2) and torch.equal(held[:, 0], held[:, 1])
    values = [1.0] * 2 + [1.02] * 5 + [1.07] * (2 * STEP + 10 - 7) + [5.10] * 6
    assert held[:, 0].tolist() == pytest.approx(values)


@pytest.mark.parametrize("frame", [0, 1, 3])
def test_a_note_that_begins_in_both_segments_belongs_to_the_later_one(
    frame: int,
) -> None:
    stream = joined(segment(1.0, STEP + frame), segment(3.0, frame))
    assert stream["of_notes"][STEP + OVERLAP :, 0].tolist() == pytest.approx([3 + frame / 100] * STEP)


def test_an_onset_without_pitch_begins_no_note() -> None:
    rest = segment(1.0, 2, 7)
    rest["f0_hz"][:, 7] = 0
    assert joined(rest)["of_notes"][8:, 0].tolist() == pytest.approx([1.02] * (STEP + OVERLAP - 8))
