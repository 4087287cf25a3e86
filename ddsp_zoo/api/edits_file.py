"""Edits written down in a YAML file: for each source what is done to it, step by step."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ddsp_zoo.api.edit import Edit
from ddsp_zoo.controls.notes import Note
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.settings.arguments import guess, shown

if TYPE_CHECKING:
    from ddsp_zoo.api.result import Separation

EVERY = "all"  # stands for every source
LONGEST = 1 << 20  # characters of a file
FIELDS = ("start_seconds", "end_seconds", "pitch", "velocity")


def read_edits(path: str | Path, song: "Separation") -> list[Edit]:
    """Reads a file of edits of a song: ``{source: steps}``, where "all" stands for every source.

    Steps are a list of ``{verb: value}``, done in this order, or one such dictionary: ``transpose``, ``gain_db`` and
    ``stretch`` take a number; ``set`` takes ``{control: number}`` or ``{control: {times: 2, plus: 0}}``; ``midi`` takes
    the path of a file, from where this one lies; ``notes`` takes ``{change: {number: {pitch: 40}}, delete: [numbers],
    add: [{start_seconds, end_seconds, pitch, velocity}]}``, with the numbers of the table `Edit.notes`, from 0.

    Raises `DdspZooError` for a file that cannot be read, an unknown source, verb or control, and as the verbs do.
    """
    path, edits = Path(path), dict[str, Edit]()
    for source, steps in _content(path).items():
        for name in _sources(source, steps, song):
            edits[name] = _edited(edits.get(name) or song.edit(name), steps, path)
    return list(edits.values())


def _sources(source: str, steps: Any, song: "Separation") -> list[str]:
    """The sources that a name stands for; of all of them a MIDI file is for those that play notes."""
    if source != EVERY or EVERY in song.controls:
        return [source]
    rows = steps if isinstance(steps, list) else [steps]
    if not any(isinstance(row, Mapping) and "midi" in row for row in rows):
        return list(song.controls)
    playing = {note.string for note in song.notes}
    return [name for name in song.controls if name in playing]


def _content(path: Path) -> dict[str, Any]:
    import yaml

    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST)
        content, tree = yaml.safe_load(text), yaml.compose(text, yaml.SafeLoader)
    except OSError as error:
        raise DdspZooError(f"{path} cannot be read ({error.strerror}): name a file of edits.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = f", line {error.problem_mark.line + 1}" if getattr(error, "problem_mark", None) else ""
        raise DdspZooError(f"{path}{place} is no YAML: see docs/editing.md for an example.") from error
    if not isinstance(content, Mapping) or not content:
        raise DdspZooError(f"{path} names no source: write `bass:` and below it what is done to it.")
    _check_names_once(tree, path)
    return {str(source): steps for source, steps in content.items()}


def _check_names_once(tree: Any, path: Path) -> None:
    """Raises `DdspZooError` where one name stands twice in one place, of which YAML drops the first."""
    nodes, seen = [tree], set[int]()
    while nodes:
        node = nodes.pop()
        if id(node) in seen or not isinstance(node.value, list):
            continue
        seen.add(id(node))
        if node.id == "mapping":
            names = [key.value for key, _ in node.value if isinstance(key.value, str)]
            if twice := next((name for name in names if names.count(name) > 1), None):
                line = next(key.start_mark.line for key, _ in reversed(node.value) if key.value == twice)
                raise DdspZooError(
                    f"{path}, line {line + 1}: {twice} stands twice: put all into one, as a list of steps."
                )
            nodes += [own for _, own in node.value]
        else:
            nodes += node.value


def _edited(edit: Edit, steps: Any, path: Path) -> Edit:
    steps = [{verb: value} for verb, value in steps.items()] if isinstance(steps, Mapping) else steps
    if not isinstance(steps, list) or not steps:
        raise DdspZooError(
            f"{path} has no steps for {edit.source}: write `- transpose: 12` or another below it."
        )
    for step in steps:
        if not isinstance(step, Mapping) or len(step) != 1:
            raise DdspZooError(
                f"{path} has a step {shown(step)} for {edit.source}: write one verb and its value."
            )
        ((verb, value),) = step.items()
        if verb not in VERBS:
            raise DdspZooError(f"{path}: there is no step {shown(verb)}{guess(str(verb), VERBS)}")
        edit = VERBS[verb](edit, value, path)
    return edit


def _set(edit: Edit, value: Any, path: Path) -> Edit:
    if not isinstance(value, Mapping) or not value:
        raise DdspZooError(
            f"{path}: set takes controls and numbers, as {{t60_seconds: 0.3}}, not {shown(value)}."
        )
    return edit.set(**{str(name): _change(name, own, path) for name, own in value.items()})


def _change(name: Any, value: Any, path: Path) -> float | Callable[[np.ndarray], np.ndarray]:
    if isinstance(value, Mapping) and value and set(value) <= {"times", "plus"}:
        times, plus = (
            _number(value.get(key, default), name, path) for key, default in (("times", 1), ("plus", 0))
        )
        return lambda x: times * x + plus
    return _number(value, name, path)


def _number(value: Any, name: Any, path: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DdspZooError(
            f"{path}: {name} is {shown(value)}: give a number, or times and plus with numbers."
        )
    return float(value)


def _midi(edit: Edit, value: Any, path: Path) -> Edit:
    if not isinstance(value, str):
        raise DdspZooError(f"{path}: midi takes the path of a file, not {shown(value)}.")
    return edit.midi(path.parent / value)


def _notes(edit: Edit, value: Any, path: Path) -> Edit:
    """The table with some notes changed, without some, and with others."""
    if not isinstance(value, Mapping) or not value or not set(value) <= {"change", "delete", "add"}:
        raise DdspZooError(f"{path}: notes takes change, delete and add, not {shown(value)}.")
    change, delete, add = value.get("change", {}), value.get("delete", []), value.get("add", [])
    if not (isinstance(change, Mapping) and isinstance(delete, list) and isinstance(add, list)):
        raise DdspZooError(f"{path}: change takes {{number: {{pitch: 40}}}}, delete and add take lists.")
    table = edit.notes
    for number in (*change, *delete):
        if number not in range(len(table)) or isinstance(number, bool):
            raise DdspZooError(
                f"{path}: {edit.source} has no note {shown(number)}: they go from 0 to {len(table) - 1}."
            )
    changed = [
        replace(note, **_fields(change[number], path)) if number in change else note
        for number, note in enumerate(table)
        if number not in delete
    ]
    return edit.with_notes([*changed, *(_new(own, path) for own in add)])


def _new(value: Any, path: Path) -> Note:
    fields = _fields(value, path)
    if missing := [name for name in FIELDS if name not in fields]:
        raise DdspZooError(f"{path}: a note that is added needs {missing[0]}.")
    return Note(**fields)


def _fields(value: Any, path: Path) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value or not set(value) <= set(FIELDS):
        raise DdspZooError(f"{path}: a note has {', '.join(FIELDS)}; it cannot be {shown(value)}.")
    return {str(name): _number(own, name, path) for name, own in value.items()}


VERBS: dict[str, Callable[[Edit, Any, Path], Edit]] = {
    "transpose": lambda edit, value, path: edit.transpose(value),
    "gain_db": lambda edit, value, path: edit.gain_db(value),
    "stretch": lambda edit, value, path: edit.stretch(value),
    "set": _set,
    "notes": _notes,
    "midi": _midi,
}
