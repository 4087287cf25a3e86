"""Every recipe is run, not believed: two steps each on data that is rendered on the spot."""

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from tiny import SMALL, save_tiny_ast
from tools_loaded import load_tool

from ddsp_zoo import zoo
from ddsp_zoo.corpora import make
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.models import PublishedAstDdsp
from ddsp_zoo.settings.build import build
from ddsp_zoo.training.cli import run_trainer

FOLDER = Path(__file__).resolve().parents[1] / "recipes"
MODELS = sorted(FOLDER.glob("*.yaml"))
PUBLISHED = sorted(FOLDER.glob("as_published/*.yaml"))
UNTRAINED = [path for path in MODELS + PUBLISHED if path.stem == "exB0"]  # predicts nothing
ONE_OF_A_KIND = {  # of model, and of what it may begin with; the others are run by `make test-slow`
    "ast_ddsp_bass.yaml",
    "ast_ddsp_paper.yaml",
    "choir_pitch.yaml",
    "choir_voices.yaml",
    "ddsp_autoencoder_bass.yaml",
    "drum_transcriber.yaml",
    "exB4.yaml",
    "exE8.yaml",
    "inverse_synthesis.yaml",
    "prelim.yaml",
    "string_onsets.yaml",
    "string_tracker.yaml",
    "umss_4v.yaml",
    "unet_4v.yaml",
    "as_published/ast_ddsp_bass.yaml",
    "as_published/exB4.yaml",
}
DATA = sorted(FOLDER.glob("data/*.yaml"))
STAGES = sorted(path.stem for path in FOLDER.glob("stages/*.yaml"))
ONE_CHAIN_OF_A_KIND = {"exE7"}  # two stages, of which the second begins with the first
EVERY = sorted(FOLDER.rglob("*.yaml"))
BRIEFLY = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]
HALF_A_SECOND = {"model.segment_seconds": 0.512}
SHORT_TRACKS = {"data.track_seconds": 1.0}
SIZES = {f"model.{name}": SMALL[name] for name in ("bands", "widths", "width", "depth", "heads")}
SMALL_OPTIONS = {  # by class of model: what makes two steps a matter of a second
    "DrumTranscriber": {"model.width": 4, "model.context": 8},
    "AstDdsp": HALF_A_SECOND | SHORT_TRACKS | SIZES,
    "DdspAutoencoder": HALF_A_SECOND,
    "InverseSynthesis": HALF_A_SECOND,
    "KarplusStrongStrings": HALF_A_SECOND,
    "ModalStrings": HALF_A_SECOND,
    "MultiPitch": HALF_A_SECOND | SHORT_TRACKS | {"model.width": 8, "model.context": 16},
    "OnsetHead": HALF_A_SECOND | SHORT_TRACKS | {"model.width": 8},
    "PublishedAstDdsp": {},  # small in its overlay; in shorter clips the guitar may rest
    "StringResynthesis": {},  # its notes last one second
    "StringTracker": HALF_A_SECOND | SHORT_TRACKS | {"model.width": 8, "model.context": 16},
    "UNetChoir": HALF_A_SECOND | SHORT_TRACKS,
    "Umss": HALF_A_SECOND | SHORT_TRACKS,
}
SMALL_AXIAL = {"model.segment_seconds": 0.64, "model.depth": 2}  # whole frames of 588 samples; an even depth


train = load_tool("train")


def name_of(path: Path) -> str:
    return str(path.relative_to(FOLDER))


def holds(printed: dict, said: dict) -> bool:
    """Whether everything that is said stands in what is printed, in groups of settings too."""
    return all(
        holds(printed[name], value) if isinstance(value, dict) and value else printed[name] == value
        for name, value in said.items()
    )


def smoke_of(recipe: Path) -> Path:
    """The overlay of a recipe, which a published one may have for itself; those of one experiment share it."""
    names = (recipe.relative_to(FOLDER), recipe.name, recipe.with_stem(recipe.stem.split("_")[0]).name)
    return next(path for name in names if (path := FOLDER / "smoke" / name).exists())


def small_options(recipe: Path) -> list[str]:
    model = yaml.safe_load(recipe.read_text())["model"]
    options = SMALL_OPTIONS[model["class_path"].rsplit(".", 1)[1]]
    if "chunk_seconds" in model["init_args"]:  # what is one example, and short enough
        options = {}
    if model["init_args"].get("network") == "axial":
        options = options | SMALL_AXIAL
    elif model["init_args"].get("sample_rate") == 44100:
        options = options | {"model.segment_seconds": 32 * model["init_args"]["hop_samples"] / 44100}
    return [*BRIEFLY, *(f"--{name}={value}" for name, value in options.items())]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all recipes: those that ask for the same rendered tracks share them."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def small_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model under the name of the released one that some recipes begin with."""
    folder = tmp_path_factory.mktemp("checkpoints")
    save_tiny_ast(folder / "ast_ddsp_all_8k", sources=["bass", "drums", "guitar", "rest"])
    return folder


@pytest.fixture
def run(
    cache: Path, small_checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """run(command, recipe, *options, small=True) runs a recipe under its overlay; returns the folder of the run."""

    def start(command: str, recipe: Path, *options: str, small: bool = True) -> Path:
        monkeypatch.setenv("DDSP_ZOO_CACHE", str(cache))
        monkeypatch.setenv("WANDB_MODE", "disabled")
        if small:
            monkeypatch.setenv("DDSP_ZOO_CHECKPOINTS", str(small_checkpoints))
            options = (*small_options(recipe), *options)
        files = ("--config", str(recipe), "--config", str(smoke_of(recipe)))
        run_trainer([command, *files, "--runs", str(tmp_path), "--trainer.accelerator", "cpu", *options])
        return tmp_path / yaml.safe_load(recipe.read_text())["name"]

    return start


def one_of_a_kind(recipes: list[Path]) -> list:
    """All recipes for a parametrised test; those with a representative among the quick tests are slow."""
    marks = [() if name_of(recipe) in ONE_OF_A_KIND else pytest.mark.slow for recipe in recipes]
    return [pytest.param(recipe, marks=mark, id=name_of(recipe)) for recipe, mark in zip(recipes, marks)]


@pytest.mark.parametrize("small", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["small", "full"])
@pytest.mark.parametrize("recipe", one_of_a_kind([r for r in MODELS + PUBLISHED if r not in UNTRAINED]))
def test_recipe_trains_two_steps(recipe: Path, small: bool, run: Callable[..., Path]) -> None:
    try:
        checkpoints = run("fit", recipe, small=small) / "checkpoints"
    except DdspZooError as error:  # which published ranges allow, even so early
        assert recipe in PUBLISHED and "diverged" in str(error)
        return
    last = torch.load(checkpoints / "last.ckpt", weights_only=True)
    assert last["global_step"] == 2 and (checkpoints / "best.ckpt").exists()
    assert all(value.isfinite().all() for value in last["state_dict"].values())


@pytest.mark.parametrize("recipe", UNTRAINED, ids=name_of)
def test_recipe_without_anything_to_train_says_so(recipe: Path, run: Callable[..., Path]) -> None:
    with pytest.raises(DdspZooError, match="nothing to train.*validate"):
        run("fit", recipe)
    run("validate", recipe)


def test_published_recipes_train_two_voices_too(run: Callable[..., Path]) -> None:
    recipe = FOLDER / "sv_s.yaml"
    options = re.findall(r"Two voices: add `(.*?)`", recipe.read_text())[0].split()
    last = torch.load(run("fit", recipe, *options) / "checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 2 and last["hyper_parameters"]["sources"] == ["high", "low"]


@pytest.mark.parametrize(
    "name", ["sv_s", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sv_f", "us_f", "us_s"))]
)
def test_a_recipe_that_stops_early_ends_before_its_first_validation_too(
    name: str, run: Callable[..., Path]
) -> None:
    folder = run("fit", FOLDER / f"{name}.yaml", "--trainer.max_steps", "1")
    assert torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 1


def test_the_four_published_variants_differ_in_supervision_and_amount() -> None:
    names = ("us_f", "us_s", "sv_f", "sv_s")
    recipes = {name: yaml.safe_load((FOLDER / f"{name}.yaml").read_text()) for name in names}
    for name, recipe in recipes.items():
        model, data = (recipe[part]["init_args"] for part in ("model", "data"))
        assert model.pop("supervised") is name.startswith("sv")
        seconds = data["train_tracks"] * data["track_seconds"]
        assert seconds == (91 * 60 + 20 if name.endswith("f") else 160)
        steps = math.ceil(seconds / model["segment_seconds"] / data["excerpts"]["batch_size"])
        assert model["optimiser"].pop("decay_every") == 200 * steps
    different = {
        part: len({str(recipe[part]) for recipe in recipes.values()}) for part in ("model", "data", "trainer")
    }
    assert different == {"model": 1, "data": 2, "trainer": 1}


def test_the_papers_ast_ddsp_has_its_sizes_and_other_stems_are_an_option(
    capsys: pytest.CaptureFixture,
) -> None:
    recipe = FOLDER / "ast_ddsp_paper.yaml"
    (options,) = re.findall(r"Other stems: add `(.*?)`", recipe.read_text())
    with pytest.raises(SystemExit):
        run_trainer(["fit", "--config", str(recipe), *options.split(), "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    model = printed["model"]["init_args"]
    assert printed["name"] == "ast_ddsp_paper_drums" and model["sources"] == ["drums", "rest"]
    assert (model["sinusoids"], model["noise_bands"], model["quirks"]) == (100, 65, [])
    assert model["hop_samples"] / model["sample_rate"] == 0.0625 and model["segment_seconds"] == 2.0
    size = sum(weight.numel() for weight in build(printed["model"], PublishedAstDdsp).parameters())
    assert 2 * size < 25e6  # bytes of its weights in half precision


@pytest.mark.parametrize("voices, batch, decays", [(2, 16, 20000), (4, 14, 23000)])
def test_recreations_train_as_the_thesis_did(voices: int, batch: int, decays: int) -> None:
    recipe = yaml.safe_load((FOLDER / f"umss_recreation_{voices}v.yaml").read_text())
    model, data = (recipe[part]["init_args"] for part in ("model", "data"))
    published = yaml.safe_load((FOLDER / "us_f.yaml").read_text())["model"]["init_args"]
    assert model | {"sources": 0, "optimiser": 0} == published | {"sources": 0, "optimiser": 0}
    assert len(model["sources"]) == data["voices"] == voices and data["excerpts"]["batch_size"] == batch
    assert (data["splits"], data["f0_source"]) == ("by_song", "crepe")
    steps = math.ceil(data["excerpts"]["examples_per_epoch"] / batch)
    assert model["optimiser"]["decay_every"] == decays == pytest.approx(200 * steps, rel=0.01)
    assert recipe["trainer"]["callbacks"]["init_args"]["patience"] == 15


def test_a_small_recipe_takes_as_much_of_the_real_singers_as_it_says(capsys: pytest.CaptureFixture) -> None:
    (options,) = re.findall(r"Real singers: `(.*?)`", (FOLDER / "us_s.yaml").read_text())
    words = ["fit", "--config", str(FOLDER / "us_s.yaml"), *options.replace("recipes", str(FOLDER)).split()]
    for arguments, tracks in ((words, 2), (words[:5], 0)):  # the rendered pieces' number is not taken over
        with pytest.raises(SystemExit):
            run_trainer([*arguments, "--print_config"])
        data = yaml.safe_load(capsys.readouterr().out)["data"]
        assert data["class_path"] == "ddsp_zoo.corpora.ChoralSingingDataset"
        assert data["init_args"]["train_tracks"] == tracks


@pytest.mark.parametrize("data", DATA, ids=name_of)
def test_data_recipe_fits_its_corpus_and_the_parser(data: Path, capsys: pytest.CaptureFixture) -> None:
    section = yaml.safe_load(data.read_text())["data"]
    corpus = make(str(data))
    assert type(corpus).__name__ == section["class_path"].rsplit(".", 1)[1]
    assert corpus.excerpts.batch_size == section["init_args"]["excerpts"]["batch_size"]
    with pytest.raises(SystemExit) as end:
        run_trainer(["fit", "--config", str(FOLDER / "exB4.yaml"), "--config", str(data), "--print_config"])
    assert end.value.code == 0
    printed = yaml.safe_load(capsys.readouterr().out)["data"]
    assert printed["class_path"] == section["class_path"]
    assert holds(printed["init_args"], section["init_args"])


@pytest.mark.parametrize("recipe", EVERY, ids=name_of)
def test_recipe_is_short_and_every_value_is_explained(recipe: Path) -> None:
    lines = recipe.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 44 and max(map(len, lines)) <= 120 and lines[0].startswith("# ")
    unexplained = [
        line
        for above, line in zip(lines, lines[1:], strict=False)
        if re.match(r"\s*\w+: *[^ #]", line)
        and "class_path:" not in line
        and "#" not in line
        and not above.strip().startswith("#")
    ]
    assert unexplained == []


def test_every_class_of_model_has_a_recipe_among_the_quick_tests() -> None:
    chosen = [FOLDER / name for name in ONE_OF_A_KIND]
    classes = [
        {yaml.safe_load(path.read_text())["model"]["class_path"] for path in paths}
        for paths in (chosen, MODELS + PUBLISHED)
    ]
    assert classes[0] == classes[1]


def test_every_recipe_has_a_smoke_overlay_and_a_name_of_its_own() -> None:
    assert len(MODELS) > 1
    assert {path.name for path in FOLDER.glob("smoke/*.yaml")} == {path.name for path in MODELS}
    assert [yaml.safe_load(path.read_text())["name"] for path in MODELS] == [path.stem for path in MODELS]
    published = [yaml.safe_load(path.read_text())["name"] for path in PUBLISHED]
    assert published == [f"{path.stem}_as_published" for path in PUBLISHED]


# How released models were trained


def test_every_released_model_says_how_it_was_trained_and_its_card_says_so() -> None:
    weights = {name for name in zoo.list_models() if "stem_of" not in zoo.info(name)}
    assert set(STAGES) == weights
    for name in sorted(weights):
        assert f"python tools/train.py {name}" in " ".join(zoo.info(name)["card"].split()), name


@pytest.mark.parametrize("part", train.PARTS)
@pytest.mark.parametrize("name", STAGES)
def test_stages_name_recipes_and_models_that_there_are(name: str, part: str) -> None:
    for stage in train.read(name, part):
        assert all((FOLDER / f"{recipe}.yaml").is_file() for recipe in stage.recipes)
        assert stage.start_from is None or stage.start_from in zoo.list_models()


def test_stages_of_another_model_are_taken_over_so_far_as_wanted() -> None:
    stages = train.read("umss_2v")
    assert [stage.options["trainer.max_steps"] for stage in stages] == [500, 300, 200, 300, 200]
    assert train.read("umss_2v", "tracker") == train.read("umss_4v", "tracker")
    assert [stage.options["trainer.max_steps"] for stage in train.read("exE7")] == [200, 100]


def test_a_program_that_trains_is_called_in_its_own_words(tmp_path: Path) -> None:
    ran: list[list[str]] = []
    options = ["ast_ddsp_bass", "--runs", str(tmp_path), "--sounds", "sounds"]
    train.main(options, ran.append)  # a stem of ast_ddsp_all
    command, *of_drums = ran
    assert all(words[0] == "fit" and "--sounds" not in words for words in of_drums)
    recipe, folder = FOLDER / "ast_ddsp_all.yaml", tmp_path / "ast_ddsp_all_stages_1"
    assert command[:4] == ["tools/train_on_gpu.py", str(recipe), "--out", str(folder)]
    parsed = load_tool("train_on_gpu").parse(command[1:])
    assert (parsed.steps, parsed.batch, parsed.seconds, parsed.start) == (2200, 8, 16920, "ast_ddsp_all_8k")


def test_what_is_not_written_down_and_what_cannot_be_trained_is_said(tmp_path: Path) -> None:
    with pytest.raises(DdspZooError, match="exB0 has nothing to train"):
        train.main(["exB0"], pytest.fail)
    with pytest.raises(
        DdspZooError, match="exB9 was trained is not written down; of these it is: ast_ddsp_all"
    ):
        train.read("exB9")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ONE_CHAIN_OF_A_KIND else pytest.mark.slow)
        for name in STAGES
        if name not in ("exB0", "ast_ddsp_all")
    ],
)
def test_stages_train_two_steps_each(
    name: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("DDSP_ZOO_CACHE", str(cache))
    monkeypatch.setenv("WANDB_MODE", "disabled")

    def run(command: list[str]) -> None:
        recipe = Path(command[command.index("--config") + 1])
        smoke = ["--config", str(smoke_of(recipe)), "--trainer.accelerator", "cpu"]
        if "data.init_args.instruments" in " ".join(command):  # of which there are no notes here
            smoke += ["--data.init_args.instruments", "own"]
        for data in DATA:  # nor any corpus
            if str(data) in command:
                place = command.index(str(data))
                del command[place - 1 : place + 1]
        run_trainer([*command, *smoke, "--trainer.val_check_interval", "1.0", *small_options(recipe)])

    train.main([name, "--runs", str(tmp_path)], run)
    last = sorted(tmp_path.glob("*/checkpoints/last.ckpt"))
    assert len(last) == sum(len(train.read(name, part)) for part in train.PARTS)
    assert all(torch.load(path, weights_only=True)["global_step"] == 2 for path in last)
    assert f"tools/release.py {name} " in capsys.readouterr().out
