"""Corpora by name. A new one is a file beside this one and a line here."""

import difflib
from pathlib import Path
from typing import Any

from ddsp_zoo.corpora.base import StemDataModule
from ddsp_zoo.corpora.choral.corpus import ChoralSingingDataset
from ddsp_zoo.corpora.choral.joined import JoinedChoirs
from ddsp_zoo.corpora.folder import StemFolder
from ddsp_zoo.corpora.guitarset.corpus import GuitarSet
from ddsp_zoo.corpora.music_delta import MusicDelta
from ddsp_zoo.corpora.rendered.band import RenderedBand
from ddsp_zoo.corpora.rendered.choir import RenderedChoir
from ddsp_zoo.corpora.rendered.strings import RenderedStrings
from ddsp_zoo.corpora.slakh.corpus import Slakh2100
from ddsp_zoo.errors import DdspZooError

CORPORA: dict[str, type[StemDataModule]] = {
    corpus.__name__: corpus
    for corpus in (
        ChoralSingingDataset,
        GuitarSet,
        JoinedChoirs,
        MusicDelta,
        RenderedBand,
        RenderedChoir,
        RenderedStrings,
        Slakh2100,
        StemFolder,
    )
}


def make(name: str, **arguments: Any) -> StemDataModule:
    """A corpus by its name, or the one of a recipe with a ``data:`` section; arguments override the recipe's.

    Raises `DdspZooError` for an unknown name, a recipe that is not there or unknown arguments.
    """
    if name.endswith((".yaml", ".yml")):
        config = _read_recipe(Path(name))
        name = str(config.get("class_path")).rsplit(".", 1)[-1]
        arguments = (config.get("init_args") or {}) | arguments
    if name not in CORPORA:
        near = difflib.get_close_matches(name, CORPORA, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(CORPORA)}."
        raise DdspZooError(f"There is no data called {name!r}: {hint}")
    try:
        return CORPORA[name](**arguments)
    except TypeError as error:
        raise DdspZooError(f"The data {name} cannot be made from {sorted(arguments)}: {error}.") from error


def _read_recipe(path: Path) -> dict[str, Any]:
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))["data"]
    except OSError as error:
        raise DdspZooError(f"There is no recipe {path}.") from error
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise DdspZooError(f"{path} has no `data:` section that can be read.") from error
