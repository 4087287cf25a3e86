"""Functions that do each one thing that the fuzz must find."""

import os
from typing import Any

import torch
from fuzzing import Draw, Primitive
from torch import Tensor

from ddsp_zoo.dsp import compiled
from ddsp_zoo.errors import DdspZooError


def right(x: Tensor) -> Tensor:
    if not x.dtype.is_floating_point or x.ndim != 1 or not x.isfinite().all():
        raise DdspZooError("Give numbers.")
    return 2 * x


def unstable(x: Tensor) -> Tensor:
    return x / (x - x)


def imprecise(x: Tensor) -> Tensor:
    return x + (0.1 if x.dtype == torch.float32 else 0)


def divided(x: Tensor) -> Tensor:
    return x + (0.1 if compiled.AVAILABLE else 0)


def steep(x: Tensor) -> Tensor:
    return (x - x.detach()).abs().sqrt()


def unhelpful(x: Tensor) -> Tensor:
    raise IndexError("index -9223372036854775808 is out of bounds")


def dying(x: Tensor) -> Tensor:
    os.abort()


def endless(x: Tensor) -> Tensor:
    while True:
        pass


def numbers(draw: Draw) -> dict[str, Any]:
    return {"x": draw.tensor(5)}


INNER = (unstable, imprecise, divided, steep, unhelpful, dying, endless)
PRIMITIVES = {function.__name__: Primitive(function, numbers, outer=False) for function in INNER}
PRIMITIVES["right"] = Primitive(right, numbers, ("x",))
PRIMITIVES["careless"] = Primitive(lambda x: right(x.nan_to_num()), numbers, ("x",))
