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
    check(
        types[0] in COMPUTING and all(one == types[0] for one in types),
        f"{who} computes in float32 or float64, the same for all that it is given; got "
        f"{', '.join(str(one).removeprefix('torch.') for one in types)}.",
    )


def check_floating(who: str, *given: Tensor | None) -> None:
    """Raises `DdspZooError` unless all tensors hold floating-point numbers of one type, of any precision."""
    types = [x.dtype for x in given if x is not None]
    check(
        types[0].is_floating_point and all(one == types[0] for one in types),
        f"{who} takes floating-point numbers, the same for all that it is given; got "
        f"{', '.join(str(one).removeprefix('torch.') for one in types)}.",
    )


def check_maps(who: str, *given: Tensor) -> None:
    """Raises `DdspZooError` unless all tensors hold floating-point numbers, in shapes that broadcast."""
    for one in given:
        check_floating(who, one)
    lengths = [set(sizes) - {1} for sizes in zip(*(_from_the_end(one.shape, given) for one in given))]
    check(
        all(len(different) < 2 for different in lengths),
        f"{who} takes tensors whose shapes fit each other; got {', '.join(str(tuple(x.shape)) for x in given)}.",
    )


def check_real(who: str, value: Tensor) -> None:
    """Raises `DdspZooError` unless a tensor holds real numbers, whole ones or not."""
    check(
        not value.is_complex() and value.dtype != torch.bool, f"{who} takes real numbers; got {value.dtype}."
    )


def _from_the_end(shape: torch.Size, given: tuple[Tensor, ...]) -> list[int]:
    return [1] * (max(one.ndim for one in given) - len(shape)) + list(shape)


def check_shape(who: str, value: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raises `DdspZooError` where a tensor is given that has another shape."""
    check(
        value is None or value.shape == shape,
        f"{who} must have the shape {tuple(shape)}; got {None if value is None else tuple(value.shape)}.",
    )


def check_values(
    who: str, value: Tensor | None, low: float = -torch.inf, high: float = torch.inf, mend: str = ""
) -> None:
    """Raises `DdspZooError` for numbers that are not finite or lie outside [low, high].

    It reads the data, so it is left out where a graph is traced.
    """
    if value is None or torch.compiler.is_compiling() or not value.numel():
        return
    least, most = value.detach().aminmax()
    bounds = (
        ""
        if high == torch.inf
        else f" and at most {high:g}"
        if low == -torch.inf
        else f" and within {low:g} and {high:g}"
    )
    check(
        bool((least >= low) & (most <= high) & least.isfinite() & most.isfinite()),
        f"{who} must be finite{bounds}{mend}.",
    )
