"""Two models compared window by window: what is drawn for the interval, and what is left out."""

from pathlib import Path

import pytest
from tools_loaded import load_tool

paired = load_tool("paired")


def write(folder: Path, values: dict[tuple[str, str, int], float]) -> str:
    """Writes rows of a model, (track, source, window) -> dB, beside those of the mixture."""
    folder.mkdir()
    rows = [f"{track},{source},{window},masked,{db}" for (track, source, window), db in values.items()]
    rows += [f"{track},{source},{window},mixture,0" for track, source, window in values]
    (folder / "rows.csv").write_text(
        "\n".join(["track,source,frame,system,si_sdr_db", *rows]), encoding="utf-8"
    )
    return str(folder)


@pytest.mark.parametrize(
    ("places", "interval"),
    [
        ([("one", "bass", 0), ("one", "bass", 1)], "[0.00, 4.00]"),  # one track: its windows are drawn
        ([("one", "alto", 0), ("one", "bass", 0)], "[2.00, 2.00]"),  # all sources of a window together
        ([("one", "bass", 0), ("two", "bass", 0)], "[0.00, 4.00]"),  # several: tracks are
    ],
)
def test_the_interval_is_over_tracks_or_over_windows_of_one(tmp_path, monkeypatch, capsys, places, interval):
    first = write(tmp_path / "first", dict(zip(places, (5.0, 9.0))))
    second = write(tmp_path / "second", dict.fromkeys(places, 5.0))
    monkeypatch.setattr("sys.argv", ["paired", first, second, "--system", "masked"])
    paired.main()
    assert capsys.readouterr().out == f"7.00  5.00  difference 2.00 {interval}\n"
