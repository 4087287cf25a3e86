"""Splits Slakh2100: says which track is for training, validation or test, by its number."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import SPLITS

TRACK = re.compile(r"Track(\d{5})$")
ORIGINAL = {"train": range(1, 1501), "validation": range(1501, 1876), "test": range(1876, 2101)}
BABY = {
    "train": range(1, 15),
    "validation": range(15, 18),
    "test": range(18, 21),
}  # of its 20 tracks; our choice

# Numbers of the tracks whose score is that of an earlier one, so that Slakh2100-redux leaves them out (published as
# redux.json in github.com/ethman/slakh-utils): 211 of training, 105 of validation and 74 of test.
OMITTED_FILE = Path(__file__).with_name("omitted.txt")


def omitted() -> frozenset[int]:
    """Returns the numbers of the tracks that Slakh2100-redux leaves out."""
    return frozenset(map(int, OMITTED_FILE.read_text(encoding="utf-8").split()))


def find_splits(folders: Iterable[Path], splits: str) -> dict[str, str | None]:
    """Returns the split of each track by the name of its folder, None for a track that is in none.

    ``splits``: original, redux, baby, folders (the split is the name of the folder above), or the path of a JSON file
    for `read_splits`.
    """
    if splits.endswith(".json"):
        return read_splits(Path(splits))
    if splits == "folders":
        return {f.name: f.parent.name if f.parent.name in SPLITS else None for f in folders}
    left_out = omitted() if splits == "redux" else frozenset()
    numbers = BABY if splits == "baby" else ORIGINAL
    return {folder.name: _split_of(_number(folder.name), numbers, left_out) for folder in folders}


def _number(name: str) -> int:
    return int(TRACK.match(name)[1])


def _split_of(number: int, numbers: dict[str, range], left_out: frozenset[int] = frozenset()) -> str | None:
    return next((split for split in SPLITS if number in numbers[split] and number not in left_out), None)


def read_splits(path: Path) -> dict[str, str | None]:
    """Reads splits by name of the track from a JSON file of the form in which the authors publish theirs.

    For each track there is an ``action``: null leaves it in the original split, ``move`` takes it to
    ``destination_split``, ``omit`` takes it out.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        chosen = {name: _moved(name, entry) for name, entry in entries.items()}
    except OSError as error:
        raise DdspZooError(f"There is no file of splits {path}.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DdspZooError(
            f'{path} is no file of splits: it needs an entry like "Track00003": {{"action": "move", '
            '"destination_split": "test"} for every track (action: move, omit or null).'
        ) from error
    return chosen


def _moved(name: str, entry: dict[str, str | None]) -> str | None:
    if entry["action"] == "omit":
        return None
    split = entry["destination_split"] if entry["action"] == "move" else _split_of(_number(name), ORIGINAL)
    if entry["action"] not in (None, "move") or split not in SPLITS:
        raise ValueError(name)
    return split
