"""The controls of overlapping segments joined into one stream, each by its own rule."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ddsp_zoo.dsp.frames import hold
from ddsp_zoo.synths.control import Control, Controls


class Joiner:
    """Joins controls of consecutive segments of ``step + overlap`` frames that overlap.

    Args:
        declared: the controls by name; what is not declared is faded.
        step: frames from one segment to the next.
        overlap: frames that two segments share.
    """

    def __init__(self, declared: Mapping[str, Control], step: int, overlap: int) -> None:
        self.declared, self.step, self.overlap = declared, step, overlap
        rise = (torch.arange(overlap) + 0.5) / max(overlap, 1)
        # Of the later segment. It hears more of a note, which therefore belongs to it as a whole.
        self._weights = {"fade": rise, "switch": rise.round(), "note": torch.ones(overlap)}
        self._tail: Controls | None = None
        self._held: Controls = {}

    def __call__(self, segment: Controls, last: bool) -> Controls:
        """Returns the frames {name: (S, n, k)} that are finished: ``step``, or all that are left after the last."""
        joined = dict(segment)
        if self._tail is not None:
            for name, value in segment.items():
                weight = self._weights[self._rule(name)].to(value)[:, None]
                start = torch.lerp(self._tail[name], value[:, : self.overlap], weight)
                joined[name] = torch.cat([start, value[:, self.overlap :]], dim=1)
        self._tail = {name: value[:, self.step :] for name, value in segment.items()}
        count = self.step if not last else self.step + self.overlap
        return self._hold({name: value[:, :count] for name, value in joined.items()})

    def _rule(self, name: str) -> str:
        return self.declared[name].join if name in self.declared else "fade"

    def _hold(self, controls: Controls) -> Controls:
        """Holds what belongs to a note from its onset to the next."""
        notes = [name for name in controls if self._rule(name) == "note"]
        if not notes:
            return controls
        onset = self._onsets(controls)
        for name in notes:
            values = controls[name].transpose(1, 2)  # (S, k, n)
            before = self._held.get(name, values[..., 0])
            values = hold(values, onset[:, None].expand_as(values), before)
            self._held[name] = values[..., -1]
            controls[name] = values.transpose(1, 2)
        return controls

    def _onsets(self, controls: Controls) -> Tensor:
        """Where notes begin (S, n): onsets with a pitch."""
        by_role = {
            self.declared[name].role: value[..., 0]
            for name, value in controls.items()
            if name in self.declared
        }
        return (by_role["gate"] > 0.5) & (by_role["pitch"] > 0)
