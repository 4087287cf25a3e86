"""Sliders, curves and tables are made from what is declared, and say in a file of edits what a visitor has moved."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from edits import band_song, choir_song, numbers

from ddsp_zoo.api.edits_file import read_edits
from ddsp_zoo.app import table
from ddsp_zoo.app.curves import POINTS, curve
from ddsp_zoo.app.handles import VERBS, handles
from ddsp_zoo.app.panel import Panel, panels, write_edits
from ddsp_zoo.app.session import Session
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.control import Control

USUAL = [usual for _, _, usual, _, _ in VERBS.values()]


@pytest.fixture(scope="module")
def panel() -> Panel:
    """The panel of a singer."""
    return Panel.of(choir_song().edit("tenor"))


def values_of(panel: Panel) -> list[Any]:
    """What the page has where nothing was moved."""
    return [*USUAL, *(handle.shown for handle in panel.handles), table.rows(panel.notes)]


def test_every_control_that_can_be_moved_has_a_slider_in_its_unit(panel: Panel) -> None:
    found = {handle.control.name: handle for handle in panel.handles}
    assert list(found) == ["harmonic_amplitude", "noise_gain", "lsf_hz", "noise_magnitude"]
    lsf = found["lsf_hz"]
    assert (
        lsf.control.unit == "Hz" and lsf.low < lsf.value < lsf.high and panel.count == len(values_of(panel))
    )
    assert panel.notes and found["noise_gain"].low == 0


@pytest.mark.parametrize("end", ["low", "high"])
def test_a_slider_goes_as_far_as_its_control(end: str) -> None:
    edit = choir_song().edit("tenor")
    for handle in handles(edit):
        if handle.control.role == "level" and end == "low":
            continue  # silence
        if getattr(handle, end) == handle.shown:
            continue  # it is there
        (change,) = handle.change(getattr(handle, end)).items()
        assert change[0] == "times"
        moved = edit.set(**{handle.control.name: lambda x, by=change[1]: by * x})
        assert moved.is_changed
    control, value = Control("body_db", "dB", "", -20.0, 20.0), np.array([[-5.0], [10.0], [0.0]])
    edit.controls["body_db"], edit.maker.declared["body_db"] = value.astype(np.float32), control
    (body,) = (handle for handle in handles(edit) if handle.adds)
    (shift,) = body.change(getattr(body, end)).values()
    assert {"low": (value + shift).min() == -20, "high": (value + shift).max() == 20}[end]


def test_what_was_not_moved_is_no_edit(panel: Panel, tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="Nothing is changed yet"):
        write_edits([panel], values_of(panel), tmp_path / "edits.yaml")
    assert not (tmp_path / "edits.yaml").exists()


def test_what_was_moved_is_read_back_as_the_same_edit(tmp_path: Path) -> None:
    song = choir_song()
    own = [Panel.of(song.edit(name)) for name in song.controls]
    values = [value for panel in own for value in values_of(panel)]
    values[0], values[1], values[3] = 2.0, -6.0, 2 * own[0].handles[0].value
    rows = values[own[0].count - 1]
    values[own[0].count - 1] = [[*rows[0][:2], rows[0][2] + 1, *rows[0][3:]], rows[1]]  # one is gone
    path = tmp_path / "edits.yaml"
    assert write_edits(own, values, path) == ["tenor"]
    assert list(yaml.safe_load(path.read_text())["tenor"][0]["notes"]) == ["change", "delete"]
    (edit,) = read_edits(path, song)
    wanted = [
        (start, end, key + up + 2) for (start, end, key, _), up in zip(numbers(own[0].notes)[:2], (1, 0))
    ]
    assert [row[:3] for row in numbers(edit.notes)] == wanted


def test_a_table_as_it_was_changes_nothing(panel: Panel) -> None:
    assert table.changes(table.rows(panel.notes), panel.notes, "tenor") == {}
    empty = [[None] * 5, ["", " ", None, float("nan"), ""], [0] * 5, ["0"] * 5]
    assert table.changes([*table.rows(panel.notes), *empty], panel.notes, "tenor") == {}


def test_rows_are_changed_added_and_deleted(panel: Panel) -> None:
    first, _, third = table.rows(panel.notes)
    later, new = [*third[:3], "64", third[4]], ["1.1", 1.2, 50, 90, 0]
    changed = table.changes([new, later, [*first[:4], 77]], panel.notes, "tenor")
    fields = dict(zip(("start_seconds", "end_seconds", "pitch", "velocity"), first[:4]))
    assert changed == {
        "change": {2: {"velocity": 64.0}},
        "delete": [0, 1],
        "add": [{"start_seconds": 1.1, "end_seconds": 1.2, "pitch": 50, "velocity": 90}, fields],
    }


@pytest.mark.parametrize(
    "row, sentence",
    [
        ([1, 2, "C4", 90, None], "^Row 1 in the notes of tenor has 'C4', which is no number"),
        ([1, 2, None, 90, None], "^Row 1 in the notes of tenor is not complete"),
        ([1, float("inf"), 3, 90, None], "no number"),
    ],
)
def test_cells_that_are_no_numbers_are_told(row: list[Any], sentence: str, panel: Panel) -> None:
    with pytest.raises(DdspZooError, match=sentence):
        table.changes([row], panel.notes, "tenor")


def test_notes_that_overlap_on_one_string_are_told(tmp_path: Path) -> None:
    song = band_song()
    own = Panel.of(song.edit("bass"))
    values = values_of(own)
    values[-1] = [*values[-1], [values[-1][0][0] + 0.1, values[-1][0][1] + 0.1, 40, 90, None]]
    write_edits([own], values, tmp_path / "edits.yaml")
    with pytest.raises(DdspZooError, match="Two notes overlap on bass"):
        read_edits(tmp_path / "edits.yaml", song)


def test_every_source_has_a_panel(separated: Session) -> None:
    assert [panel.source for panel in panels(separated.opened)] == ["bass", "guitar"]


def test_curves_are_short_however_long_the_song_is() -> None:
    control = Control("t60_seconds", "s", "how <long> it rings", 0.1, 30.0, role="time")
    values = np.linspace(1, 2, 100_000)[:, None]
    picture = curve(control, values, 2 * values)
    assert picture.count("<polyline") == 2 and len(picture) < 20_000 and "&lt;long&gt;" in picture
    assert picture.count(",") < 2.2 * POINTS and "1 to 4 s" in picture
    several = curve(control, np.tile(values[:50], 3))
    assert several.count("<polygon") == 1
