"""Edits of one source: what is heard follows what was done, and what cannot be done is said in a sentence."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from edits import HOP, NOTES, RATE, level_db, numbers, same

from ddsp_zoo.api.edit import Edit
from ddsp_zoo.api.result import Separation
from ddsp_zoo.controls.notes import Note
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.pitch.salience import salient_f0

FRAME = HOP / RATE


def heard_hz(audio: np.ndarray, high_hz: float = 500.0) -> np.ndarray:
    """Pitch that is found in the sound (N,), 0 where it is silent."""
    whole = torch.from_numpy(audio.mean(0)[: audio.shape[1] // HOP * HOP])
    return salient_f0(whole, RATE, HOP, 60.0, high_hz, floor=1e-4).numpy()


def semitones(one: np.ndarray, other: np.ndarray) -> float:
    both = (one > 0) & (other > 0)
    assert both.sum() > 30
    return float(np.median(12 * np.log2(other[both] / one[both])))


def test_without_a_change_it_is_what_was_synthesised(edit: Edit) -> None:
    song, source = edit.song, edit.source
    for way in (
        edit,
        edit.with_notes(edit.notes),
        edit.transpose(0),
        edit.gain_db(0),
        edit.stretch(1),
        edit.set(),
    ):
        assert not way.is_changed and same(way.controls, song.controls[source])
    np.testing.assert_array_equal(edit.render(), song.synthesised[source])
    np.testing.assert_array_equal(song.render(edit), song.render(source))
    np.testing.assert_array_equal(edit.render("filtered"), song.stems[source])
    np.testing.assert_array_equal(song.render(source, sound="filtered"), song.stems[source])


def test_transposed_by_an_octave_it_sounds_an_octave_higher_and_the_song_stays(edit: Edit) -> None:
    before = {name: value.copy() for name, value in edit.song.controls[edit.source].items()}
    higher = edit.transpose(12)
    assert semitones(heard_hz(edit.render()), heard_hz(higher.render(), 1000.0)) == pytest.approx(12, abs=0.2)
    assert [note.pitch for note in higher.notes] == [57, 60, 64]
    assert same(before, edit.song.controls[edit.source]) and not edit.is_changed


@pytest.mark.parametrize("sound", ["synthesised", "filtered"])
def test_gain_changes_the_level_by_just_that_and_no_velocity(edit: Edit, sound: str) -> None:
    softer = edit.gain_db(-3)
    assert level_db(softer.render(sound)) - level_db(edit.render(sound)) == pytest.approx(-3, abs=1e-3)
    np.testing.assert_allclose(softer.render(sound), 10 ** (-3 / 20) * edit.render(sound), atol=1e-6)
    assert numbers(softer.notes) == numbers(edit.notes)


@pytest.mark.parametrize("factor", [1.1, 0.5, 3.0])
def test_stretched_it_lasts_as_long_and_notes_begin_where_they_should(edit: Edit, factor: float) -> None:
    longer = edit.stretch(factor)
    assert longer.render().shape == (1, round(edit.samples * factor))
    assert [note.pitch for note in longer.notes] == [note.pitch for note in edit.notes]
    for one, other in zip(edit.notes, longer.notes, strict=True):
        assert other.start_seconds == pytest.approx(factor * one.start_seconds, abs=1.01 * FRAME)
        assert other.end_seconds == pytest.approx(factor * one.end_seconds, abs=1.01 * FRAME)
    centre = edit.notes[2].start_seconds + 0.15
    there, now = (
        heard_hz(own.render())[int(second / FRAME)]
        for own, second in ((edit, centre), (longer, factor * centre))
    )
    assert there == pytest.approx(now, rel=0.02)


def test_a_string_decays_twice_as_slowly_where_its_decay_time_is_doubled(
    songs: dict[str, Separation],
) -> None:
    edit = songs["A2"].edit("A2")

    def decay_db(own: Edit) -> float:
        first = NOTES[2][0] * HOP
        early, late = (own.render()[:, first + offset :][:, :800] for offset in (800, 5600))
        return level_db(early) - level_db(late)

    slower = edit.set(t60_seconds=lambda x: 2 * x, treble_loss=0.01)
    assert decay_db(edit) > 35
    assert decay_db(slower) == pytest.approx(decay_db(edit) / 2, rel=0.1)
    assert (slower.controls["treble_loss"] == np.float32(0.01)).all()


@pytest.mark.parametrize(
    "step, words",
    [
        (lambda e: e.transpose(float("nan")), "transpose takes a number from -48 to 48 semitones, not nan"),
        (lambda e: e.transpose("12"), "transpose takes a number"),
        (lambda e: e.gain_db(float("-inf")), "gain_db takes a number from -120 to 120 dB"),
        (lambda e: e.stretch(0), "stretch takes a number from 0.1 to 10"),
        (lambda e: e.stretch(True), "stretch takes a number"),
        (
            lambda e: e.set(colour=3),
            "A2/colour cannot be set, it is no control of it: choose among pluck_gain",
        ),
        (lambda e: e.set(t60_seconds=100), "A2/t60_seconds is 100 at 0.000 s: give 0.1 to 30 s"),
        (lambda e: e.set(t60_seconds=lambda x: x * float("nan")), "A2/t60_seconds is nan at 0.000 s"),
        (lambda e: e.set(t60_seconds="long"), "A2/t60_seconds is set to no numbers of shape"),
        (lambda e: e.set(cutoff_hz=np.ones((7, 1))), "A2/cutoff_hz is set to no numbers of shape"),
        (lambda e: e.set(pluck_gain=-1), "A2/pluck_gain is -1"),
        (lambda e: e.set(pluck_gain=0), "Nothing of A2 would be left to hear: keep one of pluck_gain"),
        (lambda e: e.transpose(-36), "A2/f0_hz is 13.* give 20 to 4000 Hz, or 0 where it rests"),
        (
            lambda e: e.transpose(48),
            "A2/f0_hz would be 2.* Hz at .* ModalString plays up to 1000 Hz: keep it lower",
        ),
        (lambda e: e.render("louder"), "There is no sound 'louder': choose synthesised or filtered"),
        (lambda e: e.song.edit("flute"), "There is no source 'flute': choose one of A2, D3"),
    ],
)
def test_what_cannot_be_done_is_said(
    step: Callable[[Edit], object], words: str, songs: dict[str, Separation]
) -> None:
    with pytest.raises(DdspZooError, match=words) as error:
        step(songs["A2"].edit("A2"))
    assert "\n" not in str(error.value)


def test_what_is_only_heard_cannot_be_set(songs: dict[str, Separation]) -> None:
    with pytest.raises(DdspZooError, match="bass/loudness cannot be set, it is heard in bass and not played"):
        songs["bass"].edit("bass").set(loudness=0.1)


# Notes


def test_notes_are_a_table(edit: Edit) -> None:
    assert [note[:3] for note in numbers(edit.notes)] == list(NOTES)
    assert [(note.string, note.number) for note in edit.notes] == [(edit.source, n) for n in range(3)]


def test_a_note_is_moved_another_changed_one_deleted_and_one_added(edit: Edit) -> None:
    first, second, third = edit.notes
    first.pitch, first.velocity = first.pitch + 7, 60
    third.start_seconds, third.end_seconds = 100 * FRAME, 130 * FRAME
    table = [third, first, Note(60 * FRAME, 90 * FRAME, 50, 90)]
    played = edit.with_notes(table)
    assert numbers(played.notes) == [(10, 40, 52, 60), (60, 90, 50, 90), (100, 130, 52, third.velocity)]
    audio = played.render()[0]
    assert level_db(audio[51 * HOP : 59 * HOP]) < level_db(audio[62 * HOP : 88 * HOP]) - 25
    hz = heard_hz(played.render())
    for frame, midi in ((25, 52), (75, 50), (115, 52)):
        assert 12 * np.log2(hz[frame] / 440) + 69 == pytest.approx(midi, abs=0.4)


def test_what_is_not_touched_sounds_as_it_did(edit: Edit) -> None:
    played = edit.with_notes(edit.notes[:2])
    frames = slice(0, 70)
    for name, value in played.controls.items():
        np.testing.assert_array_equal(value[frames], edit.controls[name][frames])
    assert level_db(played.render()[:, 100 * HOP :]) < level_db(edit.render()[:, 100 * HOP :]) - 20


def test_notes_of_an_edit_that_came_before_can_be_changed(edit: Edit) -> None:
    twice = edit.stretch(2).transpose(5)
    table = twice.notes
    table[1].velocity = 40
    assert numbers(twice.with_notes(table).notes)[1] == (90, 140, 53, 40)


def test_a_note_that_is_copied_sounds_like_the_one_it_was_made_from(songs: dict[str, Separation]) -> None:
    edit = songs["A2"].edit("A2")
    first, second, third = edit.notes
    copy = replace(first, start_seconds=50 * FRAME, end_seconds=75 * FRAME)
    played = edit.with_notes([first, copy, third])
    for name in ("pluck_gain", "cutoff_hz", "t60_seconds"):
        np.testing.assert_array_equal(
            played.controls[name][50:80], np.repeat(edit.controls[name][10:11], 30, 0)
        )
    np.testing.assert_array_equal(played.controls["f0_hz"][50:75], edit.controls["f0_hz"][10:35])
    assert np.flatnonzero(played.controls["onset"]).tolist() == [10, 50, 80]


@pytest.mark.parametrize(
    "change, words",
    [
        (
            {"end_seconds": 46 * FRAME},
            "Two notes overlap on A2: one ends at 0.736 s and the next begins at 0.720 s",
        ),
        ({"pitch": float("nan")}, "it four numbers"),
        ({"velocity": "loud"}, "it four numbers"),
        ({"pitch": 130}, "has pitch 130 and velocity .*: they go from 0 to 127 and 1 to 127"),
        ({"velocity": 0}, "they go from 0 to 127"),
        ({"start_seconds": -0.1}, "move the note, or stretch the source first"),
        ({"end_seconds": 9.0}, "ends at 9.000 s: A2 lasts from 0 to 2.400 s"),
        ({"end_seconds": 0.0}, "it lasts 0.016 s at least"),
        ({"start_seconds": 1e308}, "move the note"),
        ({"number": 1.0}, "is made from note 1.0, and A2 has 3 notes"),
        ({"number": 9}, "is made from note 9, and A2 has 3 notes"),
        ({"string": "E4"}, "is one of E4"),
        ({"pitch": 1}, "A2/f0_hz is 8.6.* give 20 to 4000 Hz"),
    ],
)
def test_a_table_that_cannot_be_played_is_refused(
    change: dict[str, object], words: str, songs: dict[str, Separation]
) -> None:
    edit = songs["A2"].edit("A2")
    table = edit.notes
    table[0] = replace(table[0], **change)
    with pytest.raises(DdspZooError, match=words) as error:
        edit.with_notes(table)
    assert "\n" not in str(error.value)


def test_what_is_no_note_is_refused(songs: dict[str, Separation]) -> None:
    for step in (songs["A2"].edit("A2").with_notes, songs["A2"].with_notes):
        with pytest.raises(DdspZooError, match="holds ddsp_zoo.Note, not dict"):
            step([{"pitch": 40}])


def test_an_empty_table_leaves_nothing_and_is_refused(edit: Edit) -> None:
    with pytest.raises(DdspZooError, match=f"No note of {edit.source} is left"):
        edit.with_notes([])


# Filtered


def test_a_filter_does_to_the_stem_what_an_edit_does_to_the_synthesised(edit: Edit) -> None:
    changes = {
        "A2": {"cutoff_hz": lambda x: 0.3 * x, "t60_seconds": 0.2},
        "tenor": {"lsf_hz": lambda x: 0.8 * x},
        "bass": {"amplitude": lambda x: x * np.linspace(2, 0, 32)},
    }
    darker = edit.set(**changes[edit.source])
    stem, wanted = edit.render("filtered"), darker.render()
    filtered = darker.render("filtered")
    assert filtered.shape == stem.shape
    pan = stem @ edit.render()[0] / (edit.render() ** 2).sum()
    error = level_db(filtered - pan[:, None] * wanted) - level_db(wanted)
    unfiltered = level_db(stem - pan[:, None] * wanted) - level_db(wanted)
    assert error < -12 and error < unfiltered - 8


@pytest.mark.parametrize(
    "step, words",
    [
        (lambda e: e.transpose(1), "has changed .*, and the pitches and times of what is recorded stay"),
        (lambda e: e.stretch(1.5), "The time of .* has changed"),
    ],
)
def test_a_filter_refuses_other_pitches_and_times(
    edit: Edit, step: Callable[[Edit], Edit], words: str
) -> None:
    with pytest.raises(DdspZooError, match=f'{words}.*"synthesised"') as error:
        step(edit).render("filtered")
    assert "\n" not in str(error.value)


# One with another


def test_one_source_follows_another_in_pitch_and_loudness(songs: dict[str, Separation]) -> None:
    for onto, lead in (("A2", "tenor"), ("tenor", "A2"), ("tenor", "bass")):
        one, other = songs[onto].edit(onto), songs[lead].edit(lead).transpose(5)
        played = one.follow(other)
        assert [n[:3] for n in numbers(played.notes)] == [n[:3] for n in numbers(other.notes)]
        pitch = np.reshape(played.controls["f0_hz"], -1)
        np.testing.assert_allclose(pitch[10:40], other.controls["f0_hz"][10:40], rtol=1e-5)
        assert abs(semitones(heard_hz(other.render()), heard_hz(played.render()))) < 0.3
        for first, last, _ in NOTES:
            spans = (own.render()[:, first * HOP : last * HOP] for own in (played, other))
            peaks = [np.abs(span).max() for span in spans]
            assert peaks[0] == pytest.approx(peaks[1], rel=0.8)


def test_what_has_no_notes_cannot_follow_and_what_has_no_pitch_cannot_lead(
    songs: dict[str, Separation],
) -> None:
    song = songs["tenor"]
    rest = {name: value * (name != "f0_hz") for name, value in song.controls["bass"].items()}
    mute = Separation(**vars(song) | {"controls": {"tenor": rest}})
    with pytest.raises(DdspZooError, match="plays no notes has none"):
        mute.edit("tenor").follow(song.edit("bass"))
    with pytest.raises(DdspZooError, match="plays no notes cannot lead"):
        song.edit("bass").follow(mute.edit("tenor"))


def test_what_no_synthesiser_plays_cannot_be_edited(songs: dict[str, Separation]) -> None:
    song = songs["tenor"]
    cut = Separation(**vars(song) | {"maker": replace(song.maker, synth=None)})
    np.testing.assert_allclose(cut.mix(cut.edit("tenor")), song.mix(), atol=1e-7)
    for step in (lambda e: e.gain_db(3), lambda e: e.with_notes(e.notes[:1]), lambda e: e.render()):
        with pytest.raises(DdspZooError, match="made has no synthesiser, it only cuts sources out"):
            step(cut.edit("tenor"))
