"""Measured rows: what every evaluation returns, and what `rows.csv` holds line by line."""

from collections.abc import Sequence
from typing import Any

Row = dict[str, Any]

WINDOW = "frame"  # column with the number of the window; its first name, so that earlier files stay readable
IDENTITY = ("track", "source", WINDOW, "system")  # the columns that say what a row is of


def metric_names(rows: Sequence[Row]) -> list[str]:
    """Returns the metric columns of evaluation rows, in their order."""
    return [key for key in rows[0] if key not in IDENTITY]
