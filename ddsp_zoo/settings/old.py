"""Settings of earlier versions in today's form: the only place that knows them."""

import contextlib
import importlib
import inspect
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

MODEL = {  # old argument -> today's, in a group of settings or of another name
    "learning_rate": "optimiser.learning_rate",
    "weight_decay": "optimiser.weight_decay",
    "decay_every": "optimiser.decay_every",
    "betas": "optimiser.betas",
    "mask_power": "masks.power",
    "mask_fft": "masks.fft",
    "faults": "quirks",
}
SOUNDS = ("soundfonts", "drum_kits", "bass_notes", "guitar_notes")
DATA = {
    **{
        name: f"excerpts.{name}"
        for name in ("batch_size", "examples_per_epoch", "workers", "seed", "resampled")
    },
    **{name: f"variation.{name}" for name in ("gain_db", "apart", "polarity", "swap", "stretch")},
    **{name: f"sounds.{name}" for name in SOUNDS},
    **{f"test_{name}": f"test_sounds.{name}" for name in SOUNDS},
    "faults": "quirks",
}
SECTIONS = {"model": MODEL, "data": DATA}


def modern_path(class_path: str) -> str:
    """Returns a class path as it is today: corpora were in ``ddsp_zoo.data``."""
    return re.sub(r"^ddsp_zoo\.data\.(\w+\.)*(\w+)$", r"ddsp_zoo.corpora.\2", class_path)


def modern(arguments: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Returns arguments of any version as a class takes them today."""
    known = inspect.signature(kind).parameters
    table = DATA if "excerpts" in known else MODEL
    return _moved(arguments, table, known)


def modern_recipe(recipe: Any, classes: Mapping[str, Collection[str] | None]) -> Any:
    """Returns a recipe of any version as it is written today.

    Args:
        recipe: what a YAML file holds.
        classes: of the sections model and data the arguments that their classes take, None where that is unknown.
    """
    if not isinstance(recipe, dict):
        return recipe
    return {
        name: _modern_section(value, SECTIONS[name], classes[name]) if name in SECTIONS else value
        for name, value in recipe.items()
    }


def modern_command(options: list[str]) -> list[str]:
    """Returns the options of a training command of any version as they are written today.

    Recipes (``--config``) of an earlier version become the text of today's, which the parser reads as well as a path.
    """
    import yaml

    recipes = _recipes(options)
    classes = _named_classes(options, recipes)
    out = [_modern_option(*pair, classes) for pair in zip(["", *options], options, strict=False)]
    for place, recipe in recipes.items():
        if (today := modern_recipe(recipe, classes)) != recipe:
            flag = "--config=" if options[place].startswith("--config=") else ""
            out[place] = flag + yaml.safe_dump(today, sort_keys=False)
    return out


def _recipes(options: list[str]) -> dict[int, dict[str, Any]]:
    """Returns what the files behind --config hold, by place among the options; leaves out those that cannot be read."""
    import yaml

    found = {}
    for place, (before, option) in enumerate(zip(["", *options], options, strict=False)):
        if before in ("--config", "-c") or option.startswith("--config="):
            with contextlib.suppress(OSError, yaml.YAMLError, UnicodeDecodeError):
                path = Path(option.removeprefix("--config="))
                found[place] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {place: recipe for place, recipe in found.items() if isinstance(recipe, dict)}


def _named_classes(
    options: list[str], recipes: Mapping[int, dict[str, Any]]
) -> dict[str, Collection[str] | None]:
    """Returns the arguments of the classes that recipes and options name last, of the sections model and data."""
    paths: dict[str, str | None] = dict.fromkeys(SECTIONS)
    for place in range(len(options)):
        for name in SECTIONS:
            part = recipes[place].get(name) if place in recipes else _value_of(name, options, place)
            path = part.get("class_path") if isinstance(part, dict) else part
            paths[name] = path if isinstance(path, str) else paths[name]
    return {name: arguments_of(path) for name, path in paths.items()}


def _value_of(section: str, options: list[str], place: int) -> str | None:
    """Returns the class path that an option gives to a section, if it is such an option."""
    flag, equals, value = options[place].partition("=")
    if flag not in (f"--{section}", f"--{section}.class_path"):
        return None
    return value if equals else next(iter(options[place + 1 : place + 2]), None)


def _modern_option(before: str, option: str, classes: Mapping[str, Collection[str] | None]) -> str:
    """Returns an option such as ``--model.learning_rate``, or a class path, in today's form."""
    if before in ("--model", "--data", "--model.class_path", "--data.class_path"):
        return modern_path(option)
    if match := re.match(r"(--(?:model|data)(?:\.class_path)?=)(.+)$", option):
        return match[1] + modern_path(match[2])
    if match := re.match(r"(--(model|data)\.(?:init_args\.)?)(\w+)(=.*)?$", option, re.DOTALL):
        head, section, name, value = match.groups()
        return head + _today(name, SECTIONS[section], classes[section]) + (value or "")
    return option


def arguments_of(class_path: str | None) -> Collection[str] | None:
    """Returns the names of the arguments that a class takes today; None where there is no such class."""
    module, _, name = modern_path(class_path or "").rpartition(".")
    try:
        return inspect.signature(getattr(importlib.import_module(module), name)).parameters
    except (ImportError, AttributeError, TypeError, ValueError):
        return None


def _modern_section(section: Any, table: Mapping[str, str], known: Collection[str] | None) -> Any:
    if isinstance(section, str):
        return modern_path(section)
    if not isinstance(section, dict):
        return section
    section = dict(section)
    if isinstance(section.get("class_path"), str):
        section["class_path"] = modern_path(section["class_path"])
    if isinstance(section.get("init_args"), dict):
        section["init_args"] = _moved(section["init_args"], table, known)
    return section


def _moved(
    arguments: Mapping[str, Any], table: Mapping[str, str], known: Collection[str] | None
) -> dict[str, Any]:
    """Arguments under the names that the class knows; what it knows by its old name stays."""
    out: dict[str, Any] = {}
    for name, value in arguments.items():
        group, _, inner = _today(name, table, known).partition(".")
        if not inner:
            out[group] = {**out[group], **value} if _both_groups(out.get(group), value) else value
        elif isinstance(out.setdefault(group, {}), dict):
            out[group] = {inner: value, **out[group]}
    return out


def _both_groups(one: Any, other: Any) -> bool:
    return isinstance(one, dict) and isinstance(other, dict)


def _today(name: str, table: Mapping[str, str], known: Collection[str] | None) -> str:
    """Returns the name of an argument today."""
    new = table.get(name, name)
    if known is None:
        return new
    return new if name not in known and new.partition(".")[0] in known else name
