"""The instruments of a drum set: from MIDI to hits, to frames of a control, and back."""

import numpy as np
import pytest

from ddsp_zoo.music.drum_set import DRUM_SET, Hits, frames_of_hits, hits_in_frames, hits_of, notes_of_hits
from ddsp_zoo.music.midi import MidiNote

RATE, STEPS = 62.5, 2


def some_hits(seed: int = 0) -> dict[str, Hits]:
    """Hits that lie on the places of a control and are as hard as a velocity of MIDI."""
    rng = np.random.default_rng(seed)
    return {
        name: Hits(
            np.sort(rng.choice(400, 20, replace=False)) / (RATE * STEPS), rng.integers(1, 128, 20) / 127
        )
        for name in DRUM_SET
    }


def test_no_key_belongs_to_two_instruments() -> None:
    keys = [key for own in DRUM_SET.values() for key in own]
    assert len(keys) == len(set(keys))


def test_every_key_counts_for_its_instrument_and_others_for_none() -> None:
    notes = [
        MidiNote(number, number + 0.1, key, 100)
        for number, key in enumerate([38, 40, 44, 56, 42, 36, 35, 49, 57])
    ]
    found = hits_of(notes)
    assert {name: hits.seconds.tolist() for name, hits in found.items() if len(hits.seconds)} == {
        "snare": [0, 1],
        "closed hi-hat": [2, 4],
        "kick": [5, 6],
        "crash": [7, 8],
    }
    assert found["snare"].strength == pytest.approx([100 / 127] * 2)


def test_hits_survive_a_way_through_notes_and_frames_exactly() -> None:
    hits = some_hits()
    frames = frames_of_hits(hits_of(notes_of_hits(hits)), RATE, 200, STEPS)
    found = hits_in_frames(frames, RATE)
    for name in DRUM_SET:
        np.testing.assert_array_equal(found[name].seconds, hits[name].seconds)
        np.testing.assert_allclose(found[name].strength, hits[name].strength, rtol=1e-6)


def test_a_hit_in_frames_lies_within_half_a_place_of_where_it_was() -> None:
    seconds = np.array([0.0131, 0.5, 1.2345])
    hits = {name: Hits(seconds, np.ones(3)) for name in DRUM_SET}
    for found in hits_in_frames(frames_of_hits(hits, RATE, 200, STEPS), RATE).values():
        assert np.abs(found.seconds - seconds).max() <= 0.5 / (RATE * STEPS) + 1e-9


def test_a_note_ends_where_the_next_of_its_instrument_begins() -> None:
    notes = notes_of_hits({"kick": Hits(np.array([0.0, 0.05, 1.0]), np.array([0.5, 1.0, 0.0]))})
    assert [(note.end_seconds, note.velocity) for note in notes] == [
        (0.05, 64),
        (pytest.approx(0.15), 127),
        (1.1, 1),
    ]
