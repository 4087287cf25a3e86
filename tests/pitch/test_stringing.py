"""Which string plays a note, told by how stiff it is."""

from dataclasses import replace

import numpy as np
import pytest

from ddsp_zoo.music.strings.notes import Guitar
from ddsp_zoo.music.strings.playing import OPEN_HZ, RATE, GuitarNote
from ddsp_zoo.music.strings.stiffness import GUITAR_SETS, stiffness_axis
from ddsp_zoo.pitch.neck import FRETS, REST, STANDARD, Neck
from ddsp_zoo.pitch.stringing import Note, measure_stiffness, notes_of, restrung, string_likelihood

HOP = 256


def measured(log2_b: np.ndarray) -> np.ndarray:
    """What would be measured of such notes (notes, G)."""
    return -np.minimum(np.abs(stiffness_axis() - log2_b[:, None]) * 20, 6.0)


def test_notes_between_onsets_and_changes():
    fret = np.full((2, 10), -1)
    fret[0, 2:8] = 3
    fret[0, 6:8] = 5
    onset = np.zeros((2, 10), dtype=bool)
    onset[0, [2, 4]] = True
    assert notes_of(fret, onset) == [Note(0, 3, 2, 4), Note(0, 3, 4, 6), Note(0, 5, 6, 8)]
    assert notes_of(np.full((6, 4), -1), np.zeros((6, 4))) == []


@pytest.mark.parametrize("strings", GUITAR_SETS)
@pytest.mark.parametrize("capo", [0, 3])
def test_strings_are_told_where_little_else_tells_them(strings: str, capo: int):
    """The same pitches all over the neck, on strings that are a bit stiffer than their set, and some outliers."""
    rng = np.random.default_rng(1)
    line = np.array(GUITAR_SETS[strings]) + rng.normal(0, 0.3, 6)
    string, own = rng.integers(0, 6, 60), rng.integers(0, 13, 60)
    midi = np.array(STANDARD)[string] + own
    fret = midi[:, None] - np.array(STANDARD)
    fret = np.where((fret >= 0) & (fret < FRETS), fret, -1)
    log2_b = line[string] + (own + capo) / 6
    log2_b[::12] = -10.0
    before = np.where(np.arange(6) == string[:, None], 0.5, 0.1)
    found = string_likelihood(measured(log2_b), fret, before, capo)
    right = np.where(fret >= 0, found + np.log(before), -np.inf).argmax(1) == string
    assert right[np.arange(60) % 12 > 0].mean() > 0.9


def test_nothing_measured_tells_nothing():
    assert not string_likelihood(np.zeros((3, 97)), np.full((3, 6), 5), np.full((3, 6), 1 / 6)).any()
    likely = np.zeros((6, 4, FRETS + 1))
    assert (restrung(likely, [], np.zeros((0, 97)), Neck()) == likely).all()


def test_a_melody_that_was_heard_on_wrong_strings_comes_back_to_its_own():
    """Some notes of a line on lower strings are heard a string too high; its stiffness says where it was played."""
    guitar = replace(
        Guitar.random(np.random.default_rng(3)), inharmonicity=2 ** np.array(GUITAR_SETS["acoustic"])
    )
    rng, audio, f0, wrong = np.random.default_rng(0), np.zeros(15 * RATE), np.zeros((6, 940)), []
    played = [(string, fret) for fret in (5, 6, 7, 8, 9, 10, 11) for string in (1, 2, 3, 4)]
    for row, (string, fret) in enumerate(played):
        sound, hz = guitar.pluck(
            GuitarNote(string, 0.5 * row, 0.5 * row + 0.45, fret, 0.8), OPEN_HZ[string], rng
        )
        audio[row * RATE // 2 :][: len(sound)] += sound[: len(audio) - row * RATE // 2]
        start, stop = (round((0.5 * row + more) * RATE / HOP) for more in (0, 0.45))
        up = string + (row % 5 == 2 and string < 3)
        wrong.append(Note(up, STANDARD[string] + fret - STANDARD[up], start, stop))
        f0[up, start:stop] = np.median(hz)
    heard = np.full((6, 940, FRETS + 1), -6.0)
    heard[..., REST] = -1.0
    for note in wrong:
        heard[note.string, note.start : note.stop, note.fret] = -0.1
    stiff = measure_stiffness(audio, f0, wrong, RATE, HOP)
    told = restrung(heard, wrong, stiff, Neck())
    found = [
        max(
            (s for s in range(1, 5) if STANDARD[string] + fret - STANDARD[s] >= 0),
            key=lambda s: told[s, note.start, STANDARD[string] + fret - STANDARD[s]],
        )
        for note, (string, fret) in zip(wrong, played, strict=True)
    ]
    assert found == [string for string, _ in played] != [note.string for note in wrong]
    assert (told[..., REST] == heard[..., REST]).all()
