"""The panels of a song, one a source: all that can be changed of it, and the file of edits that follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ddsp_zoo.api.edit import Edit
from ddsp_zoo.api.result import OpenedSeparation
from ddsp_zoo.app import table
from ddsp_zoo.app.curves import curve
from ddsp_zoo.app.handles import VERBS, Handle, handles, steps
from ddsp_zoo.controls.notes import Note
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done


@dataclass(frozen=True)
class Panel:
    """Holds what can be changed of one source.

    source: its name.
    handles: the sliders of its controls.
    notes: its notes, [] where it has no pitch or plays none.
    """

    source: str
    handles: list[Handle]
    notes: list[Note]

    @classmethod
    def of(cls, edit: Edit) -> "Panel":
        """Returns the panel of a source as it is."""
        return cls(edit.source, handles(edit), edit.notes if _is_pitched(edit) else [])

    @property
    def count(self) -> int:
        """Returns how many values the page has for it: verbs, handles, and the table where there are notes."""
        return len(VERBS) + len(self.handles) + bool(self.notes)

    def steps(self, values: Sequence[Any]) -> list[dict[str, Any]]:
        """Returns the steps that these values stand for, in a file of edits."""
        verbs = dict(zip(VERBS, values, strict=False))
        moved = list(zip(self.handles, values[len(VERBS) :], strict=False))
        notes = table.changes(values[-1], self.notes, self.source) if self.notes else {}
        return steps(verbs, moved, notes)


def panels(song: OpenedSeparation) -> list[Panel]:
    """Returns a panel for each source, [] for a song without a synthesiser, of which nothing can be edited."""
    return [Panel.of(song.edit(name)) for name in song.controls] if song.maker.synth is not None else []


def write_edits(own: Sequence[Panel], values: Sequence[Any], path: Path) -> list[str]:
    """Writes the file of edits that the values of all panels stand for, and returns which sources it changes.

    Raises `DdspZooError` where nothing was changed, and for a table with cells that are no numbers.
    """
    edits, left = {}, list(values)
    for panel in own:
        mine, left = left[: panel.count], left[panel.count :]
        if found := panel.steps(mine):
            edits[panel.source] = found
    if not edits:
        raise DdspZooError("Nothing is changed yet: move a slider, or change a note.")
    with replaced_when_done(path) as draft:
        draft.write_text(yaml.safe_dump(edits, sort_keys=False), encoding="utf-8")
    return list(edits)


def curves(song: OpenedSeparation, source: str, edited: OpenedSeparation | None = None) -> str:
    """Returns the HTML with the curves of all controls of a source, and how an edit has changed them."""
    own, new = song.controls[source], edited.controls[source] if edited else {}
    shown = [curve(c, own[name], new.get(name)) for name, c in song.maker.declared.items() if name in own]
    return f'<div class="curves">{"".join(shown)}</div>'


def _is_pitched(edit: Edit) -> bool:
    return any(c.role == "pitch" and name in edit.controls for name, c in edit.maker.declared.items())
