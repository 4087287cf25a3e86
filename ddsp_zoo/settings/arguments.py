"""Calls a class with arguments from a file: each is held against its annotation in the constructor before that runs.

Only groups of settings (dataclasses that an annotation names) are built on the way, nothing that a value names.
"""

import collections.abc
import dataclasses
import difflib
import inspect
import reprlib
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ddsp_zoo.errors import DdspZooError

T = TypeVar("T")
WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    type(None): "nothing",
}
MANY = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Collection)
DICTIONARIES = (dict, collections.abc.Mapping)
_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def call(kind: type[T], arguments: Mapping[str, Any]) -> T:
    """Calls a class with arguments as a config has them: groups of settings are dictionaries, or parts of them.

    Raises `DdspZooError` for unknown, missing and unfitting arguments.
    """
    known, hints = inspect.signature(kind).parameters, _hints(kind)
    free = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    for name in arguments:
        if name not in known and not free:
            raise DdspZooError(f"{kind.__name__} has no setting {shown(name)}{guess(name, known)}")
    needed = [p.name for p in known.values() if p.default is p.empty and p.kind in _NAMED]
    if missing := [name for name in needed if name not in arguments]:
        raise DdspZooError(f"{kind.__name__} needs {', '.join(missing)}: set it in the config.")
    values = {
        name: _value(
            f"{kind.__name__}.{name}", value, hints.get(name, Any), getattr(known.get(name), "default", None)
        )
        for name, value in arguments.items()
    }
    try:
        return kind(**values)
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError, MemoryError) as error:
        told = str(error).strip() or type(error).__name__
        raise DdspZooError(
            f"The settings do not fit {kind.__name__}: {told.splitlines()[0]:.200}."
        ) from error


def refuse_classes(settings: Any) -> None:
    """Raises `DdspZooError` where settings name a class anywhere inside, for whoever reads them further."""
    seen: set[int] = set()
    left = [settings]
    while left:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping) and "class_path" in value:
            raise DdspZooError(
                f"Settings in a file are plain values: the class {shown(value['class_path'])} is not built."
            )
        left += (
            value.values()
            if isinstance(value, Mapping)
            else value
            if isinstance(value, (list, tuple))
            else ()
        )


def shown(value: Any) -> str:
    """Returns a value from a file in a few words, however large or nested it is."""
    text = reprlib.repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def guess(name: Any, known: Collection[str]) -> str:
    """Returns the end of a sentence about an unknown name."""
    near = difflib.get_close_matches(str(name), [word for word in known if not word.startswith("_")], 1, 0.5)
    return f": did you mean {near[0]!r}?" if near else "."


def _value(name: str, value: Any, hint: Any, default: Any = None) -> Any:
    """Returns a value as its annotation wants it; raises `DdspZooError` where it is of no kind named there."""
    problem: DdspZooError | None = None
    for kind in sorted(_kinds(hint), key=lambda kind: type(value) is not kind):
        try:
            return _one(name, value, kind, default)
        except DdspZooError as error:
            problem = problem or error
    raise problem


def _one(name: str, value: Any, kind: Any, default: Any) -> Any:
    """Returns a value of one kind: plain, a group of settings, or several of these."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _group(name, value, kind, default)
    if isinstance(value, Mapping) and "class_path" in value:
        raise DdspZooError(
            f"{name} must be a plain value: the class {shown(value['class_path'])} is not built."
        )
    if origin is typing.Literal:
        return _checked(name, value, value in inner, f"one of {', '.join(map(str, inner))}")
    if origin in (int, float):
        return _number(name, value, kind)
    if origin in WORDS:
        return _checked(name, value, isinstance(value, origin), WORDS[origin])
    if origin is Path:
        return _checked(name, value, isinstance(value, (str, Path)), "a path")
    if origin in MANY:
        return _many(name, value, origin, inner)
    if origin in DICTIONARIES:
        _checked(name, value, isinstance(value, Mapping), "names with values")
        return {key: _value(f"{name}.{key}", item, *inner[1:] or [Any]) for key, item in value.items()}
    if isinstance(origin, type) and not (kind is Any or getattr(kind, "_is_protocol", False)):
        return _checked(name, value, isinstance(value, origin), f"a {origin.__name__}")
    return value


def _group(name: str, value: Any, kind: Any, default: Any) -> Any:
    if isinstance(value, Mapping):
        before = vars(default) if isinstance(default, kind) else {}
        return call(kind, {**before, **value})
    names = ", ".join(field.name for field in dataclasses.fields(kind))
    return _checked(name, value, isinstance(value, kind), f"a group of settings ({names})")


def _many(name: str, value: Any, kind: Any, inner: tuple[Any, ...]) -> Any:
    """Returns a list as it is, each of its values fitted; a tuple where only a tuple is asked for."""
    _checked(name, value, isinstance(value, (list, tuple, set, frozenset)), "a list")
    hints = inner[:1] * len(value) if len(inner) == 1 or inner[1:] == (...,) else inner
    hints = hints or (Any,) * len(value)
    _checked(name, value, len(hints) == len(value), f"a list of {len(hints)}")
    fitted = [_value(f"{name}[{place}]", *pair) for place, pair in enumerate(zip(value, hints))]
    return (tuple if kind is tuple else type(value))(fitted)


def _number(name: str, value: Any, kind: type) -> Any:
    """Returns a number; YAML reads 1e-4, which has no point, as text."""
    if isinstance(value, str):
        try:
            return kind(value)
        except ValueError:
            pass
    whole = kind is float or isinstance(value, int) or getattr(value, "is_integer", bool)()
    fits = hasattr(value, "__float__") and not isinstance(value, bool) and whole
    return _checked(name, value, fits, WORDS[kind])


def _checked(name: str, value: Any, fits: bool, wanted: str) -> Any:
    if not fits:
        raise DdspZooError(f"{name} is {wanted}, not {shown(value)}.")
    return value


def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind.__init__)
    except (NameError, TypeError):  # annotations that exist for a type checker only
        return {}


def _kinds(hint: Any) -> tuple[Any, ...]:
    """Returns the types of a union, or the one type."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
