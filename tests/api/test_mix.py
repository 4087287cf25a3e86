"""The whole song with edits in place: heard, saved, and opened again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from edits import HOP, SONGS, level_db, numbers, same

import ddsp_zoo
from ddsp_zoo.api.result import Separation
from ddsp_zoo.api.transfer import transfer
from ddsp_zoo.errors import DdspZooError

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def songs() -> dict[str, Separation]:
    return {source: make() for source, make in SONGS.items()}


@pytest.fixture(params=SONGS)
def song(request: pytest.FixtureRequest, songs: dict[str, Separation]) -> Separation:
    return songs[request.param]


@pytest.mark.parametrize("sound", ["synthesised", "filtered"])
def test_without_edits_it_is_the_song(song: Separation, sound: str) -> None:
    for edits in ((), [song.edit(source) for source in song.controls]):
        np.testing.assert_allclose(song.mix(edits, sound), song.mixture, rtol=0, atol=2e-7)


def test_an_edit_takes_the_place_of_its_stem_where_that_lies(song: Separation) -> None:
    source, other = song.controls
    edit = song.edit(source).transpose(12)
    played = song.mix(edit) - song.stems[other] - song.residual
    np.testing.assert_allclose(
        played.mean(0), edit.render()[0], rtol=0, atol=2e-4 * np.abs(edit.render()).max() + 1e-6
    )
    assert level_db(played[0]) - level_db(played[1]) == pytest.approx(20 * np.log10(1.2 / 0.8), abs=0.1)
    filtered = song.edit(other).gain_db(-6)
    both = song.mix([edit, filtered]) - song.mix(edit)
    np.testing.assert_allclose(
        both.mean(0), (10 ** (-6 / 20)) * song.synthesised[other][0] - song.stems[other].mean(0), atol=1e-6
    )


def test_a_stretched_edit_makes_the_song_as_long(song: Separation) -> None:
    source, other = song.controls
    mix = song.mix(song.edit(source).stretch(1.5))
    assert mix.shape == (2, round(1.5 * song.samples))
    rest = mix[:, : song.samples] - song.mix(song.edit(source).stretch(1.5).gain_db(-120))[:, : song.samples]
    assert level_db(rest) == pytest.approx(
        level_db(song.edit(source).stretch(1.5).render()[:, : song.samples]), abs=1
    )


def test_two_edits_of_one_source_and_one_of_another_song_are_refused(songs: dict[str, Separation]) -> None:
    song, other = songs["A2"], songs["tenor"]
    with pytest.raises(DdspZooError, match="Two edits are of A2"):
        song.mix([song.edit("A2"), song.edit("A2").transpose(1)])
    for strange in ("A2", [song.edit("A2").render()], {"A2": "D3"}):
        with pytest.raises(DdspZooError, match="What is mixed are edits, as song.edit"):
            song.mix(strange)
    with pytest.raises(DdspZooError, match="The edit of tenor is of another song: .*{'bass': edit}"):
        song.mix(other.edit("tenor"))
    with pytest.raises(DdspZooError, match="There is no source 'E4': choose one of A2, D3"):
        song.mix({"E4": song.edit("A2")})
    sung = other.edit("tenor").follow(song.edit("A2"))
    mixed = song.mix({"A2": sung})
    np.testing.assert_allclose(
        (mixed - song.stems["D3"] - song.residual).mean(0), sung.render()[0], atol=1e-5
    )
    with pytest.raises(DdspZooError, match="In the place of A2 another source plays"):
        song.edited({"A2": sung})


# Saved and opened again


STEPS: dict[str, Callable] = {
    "transposed": lambda edit: edit.transpose(7).gain_db(-3),
    "stretched": lambda edit: edit.stretch(1.3),
    "softer": lambda edit: edit.with_notes(
        [note.__class__(**vars(note) | {"velocity": 70}) for note in edit.notes]
    ),
}


@pytest.mark.parametrize("step", STEPS)
def test_what_is_saved_opens_as_it_was_edited(song: Separation, step: str, tmp_path: Path) -> None:
    source, other = song.controls
    edit = STEPS[step](song.edit(source))
    result = song.edited(edit)
    opened = ddsp_zoo.open(result.save(tmp_path / "edited"))
    assert (tmp_path / "edited/mixture.wav").exists() and opened.is_edit
    np.testing.assert_allclose(opened.mixture, song.mix(edit), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(opened.render(source), opened.synthesised[source])
    np.testing.assert_allclose(
        opened.render(source)[:, : edit.samples - 10 * HOP], edit.render()[:, : -10 * HOP], atol=1e-6
    )
    again = opened.edit(source)
    assert numbers(again.notes) == numbers(edit.notes)
    if step != "stretched":
        assert same(again.controls, edit.controls) and same(opened.controls[other], song.controls[other])
    stays = song.samples - 10 * HOP  # from then on it fades where the song goes on
    np.testing.assert_allclose(
        opened.synthesised[other][:, :stays], song.synthesised[other][:, :stays], atol=1e-6
    )
    if step == "stretched":
        assert level_db(opened.synthesised[other][:, song.samples + 12 * HOP :]) < -80
    np.testing.assert_allclose(opened.mix(), opened.mixture, atol=1e-6)


def test_an_edit_replaces_no_separation_and_a_separation_no_edit(
    songs: dict[str, Separation], tmp_path: Path
) -> None:
    song = songs["tenor"]
    song.save(tmp_path / "song")
    before = {path: path.read_bytes() for path in (tmp_path / "song").rglob("*.*")}
    result = song.edited(song.edit("tenor").gain_db(3))
    with pytest.raises(DdspZooError, match="song holds a separation that nobody has edited"):
        result.save(tmp_path / "song")
    assert before == {path: path.read_bytes() for path in (tmp_path / "song").rglob("*.*")}
    result.save(tmp_path / "edited")
    song.edited(song.edit("tenor").gain_db(4)).save(tmp_path / "edited")
    with pytest.raises(DdspZooError, match="edited holds an edit of a separation"):
        song.save(tmp_path / "edited")
    song.save(tmp_path / "edited", overwrite=True)
    assert not (tmp_path / "edited/mixture.wav").exists()


def test_a_transfer_is_a_separation_in_the_song_of_its_lead(
    songs: dict[str, Separation], tmp_path: Path
) -> None:
    song, onto = songs["bass"], songs["A2"].edit("A2")
    result = transfer(song.edit("bass"), onto)
    opened = ddsp_zoo.open(result.save(tmp_path / "strings"))
    assert list(opened.controls) == ["A2"] and opened.maker.synth.partials == 12
    np.testing.assert_array_equal(opened.render("A2"), opened.synthesised["A2"])
    np.testing.assert_allclose(opened.residual, song.stems["guitar"] + song.residual, atol=1e-6)
    np.testing.assert_allclose(opened.mixture, song.mix({"bass": onto.follow(song.edit("bass"))}), atol=1e-6)
    assert [n[:3] for n in numbers(opened.edit("A2").notes)] == [
        n[:3] for n in numbers(song.edit("bass").notes)
    ]


# The notes of all sources


def test_the_notes_of_all_strings_are_one_table(songs: dict[str, Separation]) -> None:
    song = songs["A2"]
    table = song.notes
    assert [note.number for note in table] == list(range(6)) and {note.string for note in table} == {
        "A2",
        "D3",
    }
    assert [note.start_seconds for note in table] == sorted(note.start_seconds for note in table)
    assert song.with_notes(table) == []
    moved = next(note for note in table if note.string == "A2" and note.pitch == 45)
    moved.string, moved.start_seconds, moved.end_seconds = "D3", 0.55, 0.9
    low, high = song.with_notes(table)
    assert [note.pitch for note in low.notes] == [48, 52]
    assert [note.pitch for note in high.notes] == [50, 45, 47, 55]
    only = [note for note in table if note.string == "A2" or note.pitch != 47]
    (edit,) = song.with_notes([note for note in only if note is not moved] + [song.notes[1]])
    assert edit.source == "D3" and len(edit.notes) == 2


def test_a_table_of_strings_that_there_are_not_is_refused(songs: dict[str, Separation]) -> None:
    song = songs["A2"]
    for change, words in (
        ({"string": "E4"}, "There is no string 'E4': choose one of A2, D3"),
        ({"number": 6}, "note 6, and there are 6"),
    ):
        table = song.notes
        vars(table[0]).update(change)
        with pytest.raises(DdspZooError, match=words):
            song.with_notes(table)
    with pytest.raises(DdspZooError, match="No note of D3 is left"):
        song.with_notes([note for note in song.notes if note.string == "A2"])
