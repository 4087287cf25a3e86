"""Tunings and capos in words."""

import pytest

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.pitch.neck import STANDARD, Neck, pitch_name


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, STANDARD),
        ("E2,A2,D3,G3,B3,E4", STANDARD),
        ("EADGBE", STANDARD),
        ("eadgbe", STANDARD),
        ("EbAbDbGbBbEb", (39, 44, 49, 54, 58, 63)),
        ("e a d g b e", STANDARD),
        ("DADGAD", (38, 45, 50, 55, 57, 62)),
        ("DGDGBD", (38, 43, 50, 55, 59, 62)),
        ("CGCGCE", (36, 43, 48, 55, 60, 64)),
        ("Eb Ab Db Gb Bb Eb", (39, 44, 49, 54, 58, 63)),
        ("D#G#C#F#A#D#", (39, 44, 49, 54, 58, 63)),
        ("B1,E2,A2,D3,F#3,B3", (35, 40, 45, 50, 54, 59)),
    ],
)
def test_tunings(text: str, wanted: tuple[int, ...]):
    assert Neck.parse(text).opened == wanted


def test_a_capo_raises_all_strings_and_takes_frets():
    neck = Neck.parse("DADGAD", 3)
    assert neck.opened == (41, 48, 53, 58, 60, 65) and neck.frets == 22


@pytest.mark.parametrize(
    ("text", "capo", "words"),
    [
        ("EADG", 0, "no tuning of six strings"),
        ("F#BEADGBE", 0, "no tuning of six strings"),
        ("HADGBE", 0, "no tuning"),
        ("E2A2xD3G3B3E4", 0, "no tuning"),
        ("E2-A2-D3-G3-B3-E4", 0, "no tuning"),
        ("", 0, "no tuning"),
        ("F#1,A2,D3,G3,B3,E4", 0, "cannot be F#1: those from A#1 to A5"),
        ("E2,A2,D3,G3,B3,E9", 0, "cannot be E9"),
        (None, -1, "fret 1 to 12"),
        (None, 13, "fret 1 to 12"),
    ],
)
def test_what_no_guitar_has(text: str, capo: int, words: str):
    with pytest.raises(DdspZooError, match=words):
        Neck.parse(text, capo)


def test_names():
    assert [pitch_name(pitch) for pitch in (34, 40, 54, 69)] == ["A#1", "E2", "F#3", "A4"]
