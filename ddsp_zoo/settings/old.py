"""Settings of earlier versions in today's form."""

from collections.abc import Mapping
from typing import Any

RENAMED = {"faults": "quirks"}  # arguments, of whatever class


def modern(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns ``{class_path, init_args}`` of any version as it is written today."""
    arguments = config.get("init_args") or {}
    return {**config, "init_args": {RENAMED.get(name, name): value for name, value in arguments.items()}}
