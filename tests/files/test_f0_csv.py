"""Pitch curves in CSV files: exact both ways, and every fault named."""

import numpy as np
import pytest

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.f0_csv import read_f0_csv, write_f0_csv


def test_f0_csv_comes_back_exactly(tmp_path):
    time = np.arange(400) * 256 / 44100
    f0 = np.random.default_rng(0).uniform(40, 800, (2, 400)).astype(np.float32)
    f0[0, :9] = 0
    onset = np.zeros((2, 400), np.float32)
    onset[1, ::7] = 1
    write_f0_csv(tmp_path / "f0.csv", time, f0, ("bass", "guitar"), onset)
    back_time, back_f0, back_onset = read_f0_csv(tmp_path / "f0.csv", ("guitar", "bass"))
    np.testing.assert_allclose(back_time, time, atol=1e-8)
    np.testing.assert_array_equal(back_f0, f0[::-1])
    np.testing.assert_array_equal(back_onset, onset[::-1])
    assert back_f0.dtype == back_onset.dtype == np.float32


def test_f0_csv_without_onsets_and_with_nan(tmp_path):
    write_f0_csv(tmp_path / "f0.csv", np.arange(2), np.array([[np.nan, 55.0]]), ["bass"])
    _, f0, onset = read_f0_csv(tmp_path / "f0.csv", ["bass"])
    assert onset is None and f0.tolist() == [[0, 55]]


def test_f0_csv_refuses_shapes_that_do_not_fit(tmp_path):
    with pytest.raises(ValueError, match="2 sources and 3 times"):
        write_f0_csv(tmp_path / "f0.csv", np.arange(3), np.ones((2, 4)), ["a", "b"])


def test_f0_csv_from_a_spreadsheet(tmp_path):
    """Byte order mark, CRLF, blanks, blank lines, another column, and onsets for one of two sources."""
    text = (
        "\ufefftime_seconds, bass ,x,guitar,guitar_onset\r\n0,55,a,0,0\r\n\r\n0.01, 56 ,b,110,1\r\n,,,,\r\n"
    )
    (tmp_path / "f0.csv").write_bytes(text.encode())
    time, f0, onset = read_f0_csv(tmp_path / "f0.csv", ["guitar", "bass"])
    assert time.tolist() == [0, 0.01]
    assert f0.tolist() == [[0, 110], [55, 56]]
    assert onset.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "no column 'time_seconds'"),
        ("time_seconds,guitar\n0,1\n", "no column 'bass' .*found: time_seconds, guitar"),
        ("time_seconds,bass,bass\n0,1,1\n", "more than one column 'bass'"),
        ("time_seconds,bass\n", "no line of numbers"),
        ("time_seconds,bass\n0,1\n0.1,x\n", "line 3: bass is 'x'"),
        ("time_seconds,bass\n0,1\n\n0.1,\n", "line 4: bass is ''"),
        ("time_seconds,bass\n0,-1\n", "line 2: bass is '-1'"),
        ("time_seconds,bass\n0,nan\n", "line 2: bass is 'nan'"),
        ("time_seconds,bass\n0,inf\n", "line 2: bass is 'inf'"),
        ("time_seconds,bass\n0,1\n0,1\n", "line 3: time_seconds does not increase"),
        ("time_seconds,bass\n0,1,2\n", "line 2: 3 cells under 2 columns"),
        ("time_seconds,bass,bass_onset\n0,1,0.5\n", "line 2: bass_onset is '0.5'; put 0 or 1"),
    ],
)
def test_bad_f0_csv_is_named_with_its_fault(tmp_path, text, message):
    (tmp_path / "f0.csv").write_text(text)
    with pytest.raises(DdspZooError, match=f"f0.csv.*{message}"):
        read_f0_csv(tmp_path / "f0.csv", ["bass"])


def test_missing_and_binary_f0_files_are_named(tmp_path):
    with pytest.raises(DdspZooError, match="Cannot read .*nowhere.csv"):
        read_f0_csv(tmp_path / "nowhere.csv", ["bass"])
    (tmp_path / "f0.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DdspZooError, match="f0.csv is no text"):
        read_f0_csv(tmp_path / "f0.csv", ["bass"])
