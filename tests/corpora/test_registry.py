"""Corpora by name and by recipe."""

import pytest

from ddsp_zoo.corpora import CORPORA, RenderedBand, RenderedStrings, StemDataModule, StemFolder, make
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.errors import DdspZooError


@pytest.mark.parametrize("name", sorted(set(CORPORA) - {"SyntheticNotes"}))
def test_every_corpus_is_made_by_its_name(name, tmp_path):
    data = make(name, root=str(tmp_path), excerpts=Excerpts(3, 7, seed=5))
    assert type(data).__name__ == name and isinstance(data, StemDataModule)
    assert data.excerpts == Excerpts(3, 7, seed=5)


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_is_named_in_the_package(name):
    import ddsp_zoo.corpora

    assert name in ddsp_zoo.corpora.__all__


@pytest.mark.parametrize(
    ("wrong", "right"), [("RenderedString", "RenderedStrings"), ("guitarset", "GuitarSet")]
)
def test_a_misspelt_name_is_guessed(wrong, right):
    with pytest.raises(DdspZooError, match=f"no data called '{wrong}': did you mean {right}?"):
        make(wrong)


def test_an_unknown_name_lists_the_known():
    with pytest.raises(
        DdspZooError,
        match="one of ChoralSingingDataset, GuitarSet, .*MusicDelta, .*RenderedBand, RenderedChoir",
    ):
        make("xyz")


def test_unknown_arguments_are_told():
    with pytest.raises(DdspZooError, match="RenderedStrings has no setting 'colour'"):
        make("RenderedStrings", colour="red")


def test_missing_arguments_are_told():
    with pytest.raises(DdspZooError, match="StemFolder needs root"):
        make("StemFolder")


@pytest.mark.parametrize(
    ("recipe", "corpus"), [("rendered_strings", RenderedStrings), ("rendered_band", RenderedBand)]
)
def test_a_recipe_of_the_package(pytestconfig, tmp_path, recipe, corpus):
    path = pytestconfig.rootpath / "recipes" / "data" / f"{recipe}.yaml"
    data = make(str(path), root=str(tmp_path), train_tracks=1)
    assert type(data) is corpus
    assert data.counts["train"] == 1 and data.counts["test"] == 8  # its own number, and the recipe's
    assert tmp_path in (data.root, data.root.parent)


def test_a_recipe_without_arguments_of_its_own(tmp_path):
    recipe = tmp_path / "mine.yml"
    recipe.write_text("data:\n  class_path: ddsp_zoo.corpora.StemFolder\n  init_args:\n")
    assert make(str(recipe), root=str(tmp_path)).root == tmp_path
    assert isinstance(make(str(recipe), root="."), StemFolder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "There is no recipe .*mine.yaml"),
        ("model: {}", "mine.yaml has no `data:` section"),
        ("data: [", "mine.yaml has no `data:` section"),
        ("", "mine.yaml has no `data:` section"),
        ("data: {class_path: Slakk}", "There is no data called 'Slakk': did you mean Slakh2100"),
        (
            "data: {class_path: ddsp_zoo.corpora.Slakk}",
            "There is no 'Slakk' in ddsp_zoo.corpora: did you mean 'Slakh2100'",
        ),
        ("data: {class_path: ddsp_zoo.models.Umss}", "'ddsp_zoo.models.Umss' is no StemDataModule"),
        ("data: {class_path: my_missing.Data}", "'my_missing.Data' cannot be imported"),
        ("data: {root: there}", "A config names a class_path"),
        (
            "data: {class_path: StemFolder, init_args: [there]}",
            "init_args of .*StemFolder are names with values",
        ),
        ("data: {class_path: StemFolder, init_args: {rot: there}}", "no setting 'rot': did you mean 'root'"),
    ],
)
def test_unusable_recipes(tmp_path, text, message):
    recipe = tmp_path / "mine.yaml"
    if text is not None:
        recipe.write_text(text)
    with pytest.raises(DdspZooError, match=message):
        make(str(recipe))


def test_recipes_of_data_that_is_not_called_by_a_short_name(pytestconfig, tmp_path):
    data = make(str(pytestconfig.rootpath / "recipes/prelim.yaml"), root=str(tmp_path))
    assert type(data).__name__ == "StringResynthesisNotes" and data.counts["validation"] == 4


def test_a_users_own_corpus_by_its_class_path(tmp_path, monkeypatch):
    (tmp_path / "own_songs.py").write_text(
        "from ddsp_zoo.corpora import StemFolder\n\n\nclass OwnSongs(StemFolder):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    recipe = tmp_path / "mine.yaml"
    recipe.write_text("data: {class_path: own_songs.OwnSongs, init_args: {root: there}}")
    for data in (make("own_songs.OwnSongs", root="there"), make(str(recipe))):
        assert type(data).__name__ == "OwnSongs" and isinstance(data, StemFolder)
        assert str(data.root) == "there"
