"""Files and folders that appear when they are complete, or not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import folder_when_done, replaced_when_done


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replaced_when_done(path) as draft:
        draft.write_text("whole")
        hidden = draft.relative_to(path.parent).parts[0].startswith(".")
        assert hidden and draft.suffix == ".txt" and not path.exists()
    assert path.read_text() == "whole" and everything(tmp_path) == ["new", "new/a.txt"]


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "song"
    with folder_when_done(path) as draft:
        (draft / "a.txt").write_text("whole")
        assert draft.name.startswith(".") and not path.exists()
    assert everything(tmp_path) == ["new", "new/song", "new/song/a.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_after_an_error_nothing_new_is_left(tmp_path: Path, error: type[BaseException]) -> None:
    for when_done in (replaced_when_done, folder_when_done):
        with pytest.raises(DdspZooError if error is OSError else error):
            with when_done(tmp_path / "new" / "deep" / "a.txt") as draft:
                (draft / "half" if draft.is_dir() else draft).write_text("half")
                raise error
        assert everything(tmp_path) == []


def test_an_error_takes_away_no_folder_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError), folder_when_done(tmp_path / "mine" / "new" / "song"):
        raise ValueError
    assert everything(tmp_path) == ["mine"]


def test_of_two_makers_of_one_folder_the_first_wins(tmp_path: Path) -> None:
    path = tmp_path / "track"
    with folder_when_done(path) as draft:
        (draft / "late").write_text("")
        path.mkdir()
        (path / "early").write_text("")
    assert everything(tmp_path) == ["track", "track/early"]


KILLED = """
import os, signal, sys
from pathlib import Path
from ddsp_zoo.files.atomic import folder_when_done, replaced_when_done
with folder_when_done(sys.argv[1]) as folder, replaced_when_done(sys.argv[2]) as file:
    file.write_text("half")
    (folder / "half").write_text("half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    places = [str(tmp_path / name) for name in ("track", "a.txt")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", KILLED, *places], **pipes) as other:
        other.stdout.readline()
        mine = ["song.part", ".mine.ddsp_zoo_part", ".mine.part"]
        for name in mine:
            (tmp_path / name).mkdir()
        with folder_when_done(tmp_path / "one"):
            pass
        assert (
            len(everything(tmp_path)) == len(mine) + 5
        )  # two parts with a file in each, and what was made now
        other.kill()
        other.wait()
    with replaced_when_done(tmp_path / "two") as draft:
        draft.touch()
    assert everything(tmp_path) == sorted([*mine, "one", "two"])


def test_a_very_long_name(tmp_path: Path) -> None:
    name = "x" * 255
    with replaced_when_done(tmp_path / name) as draft:
        draft.write_text("whole")
    assert everything(tmp_path) == [name]


@pytest.mark.parametrize("when_done", [replaced_when_done, folder_when_done])
def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path, when_done: type) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DdspZooError, match="Cannot write .*file/song"), when_done(tmp_path / "file" / "song"):
        pass
