"""Splits of Slakh2100: which track is for training, validation or test, by its number."""

import json
import re
from pathlib import Path

from ddsp_zoo.data.base import SPLITS
from ddsp_zoo.errors import DdspZooError

TRACK = re.compile(r"Track(\d{5})$")
ORIGINAL = {"train": range(1, 1501), "validation": range(1501, 1876), "test": range(1876, 2101)}
BABY = {
    "train": range(1, 15),
    "validation": range(15, 18),
    "test": range(18, 21),
}  # of its 20 tracks; our choice

# Tracks whose score is that of an earlier one, so that Slakh2100-redux leaves them out (published as redux.json in
# github.com/ethman/slakh-utils): 211 of training, 105 of validation and 74 of test.
OMITTED = frozenset((
    49, 77, 146, 170, 212, 232, 240, 251, 256, 280, 296, 299, 350, 356, 365, 366, 386, 401, 422, 424, 425, 450, 470,
    476, 486, 495, 504, 521, 536, 539, 554, 566, 602, 611, 613, 620, 623, 640, 642, 646, 647, 675, 678, 688, 697, 699,
    706, 714, 715, 719, 720, 732, 744, 750, 757, 762, 764, 773, 790, 796, 800, 810, 820, 821, 829, 833, 847, 848, 851,
    862, 877, 884, 895, 899, 916, 919, 925, 933, 934, 935, 942, 956, 960, 961, 962, 964, 969, 981, 982, 990, 997, 1000,
    1011, 1020, 1028, 1046, 1052, 1061, 1066, 1067, 1068, 1071, 1079, 1081, 1087, 1090, 1093, 1099, 1109, 1111, 1116,
    1117, 1120, 1129, 1130, 1132, 1133, 1137, 1139, 1140, 1143, 1144, 1147, 1152, 1156, 1162, 1169, 1171, 1176, 1179,
    1180, 1182, 1186, 1187, 1189, 1191, 1200, 1207, 1209, 1210, 1219, 1220, 1227, 1230, 1233, 1235, 1239, 1240, 1248,
    1256, 1261, 1282, 1283, 1289, 1291, 1292, 1294, 1295, 1299, 1304, 1305, 1306, 1308, 1312, 1316, 1317, 1319, 1325,
    1326, 1329, 1338, 1344, 1345, 1348, 1352, 1357, 1371, 1372, 1378, 1391, 1400, 1402, 1407, 1410, 1412, 1416, 1417,
    1423, 1424, 1429, 1435, 1436, 1438, 1441, 1442, 1444, 1445, 1446, 1447, 1450, 1455, 1467, 1469, 1470, 1472, 1478,
    1484, 1490, 1493, 1498, 1499,
    1506, 1534, 1535, 1536, 1538, 1541, 1543, 1544, 1547, 1549, 1550, 1553, 1555, 1562, 1567, 1569, 1572, 1577, 1585,
    1587, 1593, 1596, 1600, 1601, 1603, 1608, 1609, 1610, 1617, 1627, 1633, 1636, 1637, 1638, 1640, 1648, 1651, 1658,
    1663, 1667, 1668, 1669, 1671, 1673, 1680, 1682, 1683, 1684, 1686, 1687, 1699, 1704, 1711, 1712, 1721, 1722, 1726,
    1728, 1729, 1734, 1736, 1740, 1748, 1752, 1755, 1759, 1764, 1765, 1767, 1780, 1784, 1786, 1794, 1798, 1800, 1801,
    1808, 1810, 1811, 1816, 1817, 1818, 1822, 1829, 1831, 1832, 1833, 1834, 1839, 1842, 1844, 1846, 1847, 1850, 1853,
    1854, 1857, 1859, 1862, 1863, 1864, 1866, 1868, 1871, 1872,
    1879, 1885, 1890, 1894, 1909, 1910, 1912, 1914, 1915, 1919, 1921, 1922, 1923, 1924, 1926, 1933, 1938, 1939, 1941,
    1942, 1944, 1946, 1953, 1958, 1964, 1966, 1969, 1970, 1971, 1979, 1983, 1984, 1988, 1991, 1992, 1999, 2006, 2009,
    2011, 2012, 2015, 2021, 2022, 2025, 2027, 2028, 2033, 2034, 2035, 2039, 2041, 2043, 2055, 2057, 2058, 2059, 2060,
    2065, 2066, 2068, 2071, 2072, 2073, 2075, 2076, 2077, 2078, 2080, 2085, 2089, 2091, 2097, 2099, 2100,
))  # fmt: skip


def split_of(folder: Path, splits: str) -> str | None:
    """The split of a track's folder, None where it is in none.

    ``splits``: original, redux, baby, folders (the split is the name of the folder above), or a path for `read_splits`.
    """
    if splits == "folders":
        return folder.parent.name if folder.parent.name in SPLITS else None
    number = int(TRACK.match(folder.name)[1])
    if splits == "redux" and number in OMITTED:
        return None
    numbers = BABY if splits == "baby" else ORIGINAL
    return next((split for split in SPLITS if number in numbers[split]), None)


def read_splits(path: Path) -> dict[str, str | None]:
    """Splits by name of the track from a JSON file of the form in which the authors publish theirs.

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
    split = entry["destination_split"] if entry["action"] == "move" else split_of(Path(name), "original")
    if entry["action"] not in (None, "move") or split not in SPLITS:
        raise ValueError(name)
    return split
