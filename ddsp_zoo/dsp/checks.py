"""Checks of what the primitives are given: what does not fit ends in one sentence."""

import torch
from torch import Tensor

from ddsp_zoo.errors import DdspZooError

COMPUTING = (torch.float32, torch.float64)


def check(right: bool, mend: str) -> None:
    """Raises `DdspZooError` with the sentence, unless what it speaks of is right."""
    if not right:
        raise DdspZooError(mend)


def check_computing(who: str, *given: Tensor | None) -> None:
    """Raises `DdspZooError` unless all tensors are float32 or all are float64; what is None was not given."""
    types = [x.dtype for x in given if x is not None]
    if types[0] not in COMPUTING or any(one != types[0] for one in types):
        raise DdspZooError(
            f"{who} computes in float32 or float64, the same for all that it is given; got {_named(types)}."
        )


def check_floating(who: str, *given: Tensor | None) -> None:
    """Raises `DdspZooError` unless all tensors hold floating-point numbers of one type, of any precision."""
    types = [x.dtype for x in given if x is not None]
    if not types[0].is_floating_point or any(one != types[0] for one in types):
        raise DdspZooError(
            f"{who} takes floating-point numbers, the same for all that it is given; got {_named(types)}."
        )


def check_real(who: str, value: Tensor) -> None:
    """Raises `DdspZooError` unless a tensor holds real numbers, whole ones or not."""
    if value.is_complex() or value.dtype == torch.bool:
        raise DdspZooError(f"{who} takes real numbers; got {_named([value.dtype])}.")


def check_maps(who: str, one: Tensor, other: Tensor) -> None:
    """Raises `DdspZooError` unless two tensors hold floating-point numbers, in shapes that broadcast."""
    check_floating(who, one)
    check_floating(who, other)
    for size, beside in zip(reversed(one.shape), reversed(other.shape)):
        if size != beside and size != 1 and beside != 1:
            raise DdspZooError(
                f"{who} takes tensors whose shapes fit each other; got {tuple(one.shape)} and {tuple(other.shape)}."
            )


def check_shape(who: str, value: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raises `DdspZooError` where a tensor is given that has another shape."""
    if value is not None and value.shape != shape:
        raise DdspZooError(f"{who} must have the shape {tuple(shape)}; got {tuple(value.shape)}.")


def check_values(
    who: str, value: Tensor | None, low: float = -torch.inf, high: float = torch.inf, mend: str = ""
) -> None:
    """Raises `DdspZooError` for numbers that are not finite or lie outside [low, high].

    It reads the data, so it is left out where a graph is traced.
    """
    if value is None or torch.compiler.is_compiling() or not value.numel():
        return
    least, most = value.detach().aminmax()
    if not bool((least >= low) & (most <= high) & least.isfinite() & most.isfinite()):
        lowest = "" if low == -torch.inf else f", at least {low:g}"
        highest = "" if high == torch.inf else f", at most {high:g}"
        raise DdspZooError(f"{who} must be finite{lowest}{highest}{mend}.")


def _named(types: list[torch.dtype]) -> str:
    return ", ".join(str(one).removeprefix("torch.") for one in types)
