"""Corpora by name, by class path, or by recipe."""

import difflib
from pathlib import Path
from typing import Any

from ddsp_zoo.corpora import CORPORA
from ddsp_zoo.corpora.base import StemDataModule
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.shipped import here_or_shipped
from ddsp_zoo.settings.build import build


def make(name: str, **arguments: Any) -> StemDataModule:
    """Builds a corpus.

    Args:
        name: a corpus of the package (``RenderedBand``), the class path of another one (``my_corpus.MyCorpus``, whose
            module is imported), or the path of a recipe with a ``data:`` section.
        arguments: go before those of the recipe.

    Raises:
        DdspZooError: for an unknown name, a recipe that is not there, arguments that do not fit.
    """
    config = _read_recipe(Path(name)) if name.endswith((".yaml", ".yml")) else {"class_path": name}
    if isinstance(path := config.get("class_path"), str) and "." not in path:
        config = {**config, "class_path": f"{__package__}.{_known(path)}"}
    return build(config, StemDataModule, **arguments)


def _known(name: str) -> str:
    """Returns a name that is in the package; raises `DdspZooError` with a guess for any other."""
    if name in CORPORA:
        return name
    near = difflib.get_close_matches(name, CORPORA, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(CORPORA)}."
    raise DdspZooError(f"There is no data called {name!r}: {hint}")


def _read_recipe(path: Path) -> dict[str, Any]:
    import yaml

    try:
        path = here_or_shipped(path)
        return dict(yaml.safe_load(path.read_text(encoding="utf-8"))["data"])
    except OSError as error:
        raise DdspZooError(f"There is no recipe {path}.") from error
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DdspZooError(f"{path} has no `data:` section that can be read.") from error
