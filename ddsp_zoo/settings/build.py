"""Objects from configs: ``{class_path, init_args}`` becomes an object of a class that is checked first.

`fit` reads its recipes by jsonargparse, which follows the same form; everything else comes here: checkpoints, saved
controls, corpora by name or recipe, tools. A file that somebody else may have written (a checkpoint, saved controls)
can only choose among classes that the caller lists: its class path is compared with theirs, and never imported. Values
are plain; groups of settings are dataclasses, written as dictionaries.
"""

import dataclasses
import importlib
import sys
import types
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.settings.arguments import call, guess, shown
from ddsp_zoo.settings.old import modern, modern_path

T = TypeVar("T")


def build(
    config: Any,
    base: type[T],
    known: Collection[type] | None = None,
    without: Collection[str] = (),
    **more: Any,
) -> T:
    """Builds what a config describes, whatever version of the package wrote it.

    Args:
        config: ``{class_path, init_args}``.
        base: what the class must be a subclass of.
        known: the classes that the config may name; None: any, of a module that is imported for it, where the user has
            written or chosen the config himself.
        without: arguments to leave out.
        more: arguments that go before those of the config.

    Raises:
        DdspZooError: where the config has another form, names another class, or does not fit its class.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("class_path"), str):
        raise DdspZooError(f"A config names a class_path and its init_args; got {shown(config)}.")
    kind = find_class(config["class_path"], base, known)
    arguments = config.get("init_args")
    arguments = {} if arguments is None else arguments
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise DdspZooError(f"init_args of {kind.__name__} are names with values, not {shown(arguments)}.")
    given = modern({**arguments, **more}, kind)
    return call(kind, {name: value for name, value in given.items() if name not in without})


def find_class(class_path: str, base: type[T], known: Collection[type] | None = None) -> type[T]:
    """Returns the subclass of ``base`` that a class path names: one of ``known``, or where that is None, any.

    Raises `DdspZooError` for whatever else; only without ``known`` is a module imported.
    """
    path = modern_path(class_path)
    found = _imported(path) if known is None else _among(path, known)
    if not isinstance(found, type) or not issubclass(found, base):
        raise DdspZooError(f"{shown(path)} is no {base.__name__} and is not built.")
    return found


def _among(class_path: str, known: Collection[type]) -> type:
    for kind in known:
        if class_path in (class_path_of(kind), f"{kind.__module__}.{kind.__qualname__}"):
            return kind
    names = ", ".join(sorted({kind.__name__ for kind in known}))
    raise DdspZooError(
        f"{shown(class_path)} is not built, because a file may name {names} and nothing else: update ddsp_zoo, or name "
        "a class of your own yourself (kind=… in Python, --import MODULE on the command line)."
    )


def _imported(class_path: str) -> Any:
    """Returns what a class path names, from a module that is imported."""
    module_name, _, name = class_path.rpartition(".")
    if not module_name:
        raise DdspZooError(f"{class_path!r} is no class path: write it as module.Class.")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise DdspZooError(
            f"{class_path!r} cannot be imported ({error}): update ddsp_zoo, or for a class of your own start where "
            "its file lies."
        ) from error
    found = getattr(module, name, None)
    if found is None:
        names = getattr(module, "__all__", dir(module))
        raise DdspZooError(f"There is no {name!r} in {module_name}{guess(name, names)}")
    return found


def import_named(module: str) -> types.ModuleType:
    """Imports and returns a module that the user has named; raises `DdspZooError` where it cannot be."""
    try:
        return importlib.import_module(module)
    except (ImportError, ValueError, TypeError) as error:
        raise DdspZooError(
            f"The module {module} cannot be imported ({error}): start where its file lies."
        ) from error


def classes_in(module: types.ModuleType, base: type[T]) -> list[type[T]]:
    """Returns the subclasses of ``base`` that a module has, defined there or imported."""
    found = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, base)]
    return [kind for kind in found if kind is not base]


def class_path_of(kind: type) -> str:
    """Returns the shortest path of a class: that of its package where this has it too, since files may move in it."""
    package, name = kind.__module__.rpartition(".")[0], kind.__qualname__
    home = package if getattr(sys.modules.get(package), name, None) is kind else kind.__module__
    return f"{home}.{name}"


def plain(value: Any) -> Any:
    """Returns values as a file holds them: dataclasses and mappings become dictionaries, sequences lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
