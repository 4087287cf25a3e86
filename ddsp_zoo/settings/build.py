"""Objects from configs: ``{class_path, init_args}`` becomes an object of a class that is checked first.

`fit` reads its recipes by jsonargparse, which follows the same form; everything else comes here: checkpoints, corpora
by name or recipe, tools. Values are plain; groups of settings are dataclasses, written as dictionaries.
"""

import dataclasses
import difflib
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.settings.old import modern, modern_path

T = TypeVar("T")
NUMBERS = {int: "a whole number", float: "a number"}


def build(
    config: Any,
    base: type[T],
    rooms: Collection[str] | None = None,
    without: Collection[str] = (),
    **more: Any,
) -> T:
    """Builds what a config describes, whatever version of the package wrote it.

    Args:
        config: ``{class_path, init_args}``.
        base: what the class must be a subclass of.
        rooms: the packages of which modules may be imported; None: any, for a class that the user has named.
        without: arguments to leave out.
        more: arguments that go before those of the config.

    Raises:
        DdspZooError: where the config has another form, names another class, or does not fit its class.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("class_path"), str):
        raise DdspZooError(f"A config names a class_path and its init_args; got {config!r:.80}.")
    kind = find_class(config["class_path"], base, rooms)
    arguments = config.get("init_args") or {}
    if not isinstance(arguments, Mapping):
        raise DdspZooError(
            f"init_args of {config['class_path']} are names with values, not a {type(arguments).__name__}."
        )
    given = modern({**arguments, **more}, kind)
    return call(kind, {name: value for name, value in given.items() if name not in without})


def call(kind: type[T], arguments: Mapping[str, Any]) -> T:
    """Calls a class with arguments as a config has them: groups of settings are dictionaries, or parts of them.

    Raises `DdspZooError` for unknown, missing and unfitting arguments.
    """
    known, hints = inspect.signature(kind).parameters, _hints(kind)
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name in arguments:
        if name not in known and not free:
            raise DdspZooError(f"{kind.__name__} has no setting {name!r}{_guess(name, known)}")
    needed = [p.name for p in known.values() if p.default is p.empty and p.kind in _NAMED]
    if missing := [name for name in needed if name not in arguments]:
        raise DdspZooError(f"{kind.__name__} needs {', '.join(missing)}: set it in the config.")
    values = {
        name: _value(
            f"{kind.__name__}.{name}", value, hints.get(name), getattr(known.get(name), "default", None)
        )
        for name, value in arguments.items()
    }
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise DdspZooError(f"The settings do not fit {kind.__name__}: {error}.") from error


_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def find_class(class_path: str, base: type[T], rooms: Collection[str] | None = None) -> type[T]:
    """Returns the subclass of ``base`` that a class path names.

    Modules that are imported already are looked into; others are imported only if they lie in ``rooms``, or where
    there are no such bounds. Raises `DdspZooError` for whatever else.
    """
    class_path = modern_path(class_path)
    module_name, _, name = class_path.rpartition(".")
    inside = rooms is None or any(f"{module_name}.".startswith(f"{room}.") for room in rooms)
    if not module_name:
        raise DdspZooError(f"{class_path!r} is no class path: write it as module.Class.")
    if not inside and module_name not in sys.modules:
        raise DdspZooError(
            f"{class_path!r} lies outside ddsp_zoo, and a checkpoint alone imports nothing: import {module_name} "
            f"first (on the command line: `--import {module_name}`)."
        )
    try:
        module = sys.modules[module_name] if not inside else importlib.import_module(module_name)
    except ImportError as error:
        raise DdspZooError(
            f"{class_path!r} cannot be imported ({error}): update ddsp_zoo, or for a class of your own start where "
            "its file lies."
        ) from error
    found = getattr(module, name, None)
    if found is None:
        names = getattr(module, "__all__", dir(module))
        raise DdspZooError(f"There is no {name!r} in {module_name}{_guess(name, names)}")
    if not isinstance(found, type) or not issubclass(found, base):
        raise DdspZooError(f"{class_path!r} is no {base.__name__} and is not built.")
    return found


def import_named(module: str) -> None:
    """Imports a module that the user has named, so that its classes are known; `DdspZooError` where it cannot be."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        raise DdspZooError(
            f"The module {module} cannot be imported ({error}): start where its file lies."
        ) from error


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


def _value(name: str, value: Any, hint: Any, default: Any) -> Any:
    """Returns a value as its annotation wants it."""
    group = next((kind for kind in _kinds(hint) if dataclasses.is_dataclass(kind)), None)
    if group is not None and isinstance(value, Mapping):
        before = vars(default) if isinstance(default, group) else {}
        return call(group, {**before, **value})
    if group is not None and value is not None and not isinstance(value, group):
        names = ", ".join(field.name for field in dataclasses.fields(group))
        raise DdspZooError(f"{name} is a group of settings ({names}), not {value!r:.40}.")
    if isinstance(value, Mapping) and "class_path" in value:
        raise DdspZooError(f"{name} must be a plain value: the class {value['class_path']!r} is not built.")
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        return tuple(value)
    if hint in NUMBERS and value is not None:
        return _number(name, value, hint)
    return value


def _number(name: str, value: Any, kind: type) -> Any:
    if isinstance(value, str):  # YAML reads 1e-4, which has no point, as text
        try:
            return kind(value)
        except ValueError:
            pass
    if isinstance(value, str) or isinstance(value, (list, tuple, Mapping)):
        raise DdspZooError(f"{name} is {NUMBERS[kind]}, not {value!r:.40}.")
    return value


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind.__init__)
    except (NameError, TypeError):  # annotations that exist for a type checker only
        return {}


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Returns the types of a union, or the one type."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _guess(name: str, known: Collection[str]) -> str:
    """Returns the end of a sentence about an unknown name."""
    near = difflib.get_close_matches(name, [word for word in known if not word.startswith("_")], 1, 0.5)
    return f": did you mean {near[0]!r}?" if near else "."
