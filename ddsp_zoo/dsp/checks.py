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
    """Raises `DdspZooError` for what is not real numbers, and for those not finite or outside [low, high].

    The numbers are read, so this part is left out where a graph is traced.
    """
    if value is None:
        return
    check_real(who, value)
    if torch.compiler.is_compiling() or not value.numel():
        return
    least, most = value.detach().aminmax()
    if not bool((least >= low) & (most <= high) & least.isfinite() & most.isfinite()):
        lowest = "" if low == -torch.inf else f", at least {low:g}"
        highest = "" if high == torch.inf else f", at most {high:g}"
        raise DdspZooError(f"{who} must be finite{lowest}{highest}{mend}.")


def _named(types: list[torch.dtype]) -> str:
    return ", ".join(str(one).removeprefix("torch.") for one in types)


def check_string(
    excitation: Tensor, delay: Tensor, gain: Tensor, smoothing: Tensor, onset: Tensor | None
) -> Tensor:
    """Returns the controls of strings as one tensor (3, R, N); raises `DdspZooError` where they do not fit."""
    given = [delay, gain, smoothing] + ([] if onset is None else [onset])
    if excitation.ndim != 2 or any(
        x.ndim != 2 or x.shape != delay.shape or len(x) != len(excitation) for x in given
    ):
        shapes = ", ".join(str(tuple(x.shape)) for x in (excitation, *given))
        raise DdspZooError(
            f"A string takes excitation (R, T) and delay, gain, smoothing and onset (R, N); got {shapes}."
        )
    if any(x.dtype != excitation.dtype for x in given[:3]) or excitation.dtype not in (
        torch.float32,
        torch.float64,
    ):
        types = ", ".join(str(x.dtype).removeprefix("torch.") for x in (excitation, *given[:3]))
        raise DdspZooError(
            f"A string computes in float32 or float64, the same for all its inputs; got {types}."
        )
    return torch.stack(given[:3])


def check_state(rows: int, longest_delay: int) -> None:
    """Raises `DdspZooError` for a number of strings, or a longest delay in samples, that none can have."""
    check(
        rows >= 0 and longest_delay >= 1,
        f"A string's state needs a number of rows and a delay of at least 1; got {rows} and {longest_delay}.",
    )


def check_finite(low: Tensor, high: Tensor) -> None:
    """Raises `DdspZooError` where the least or the largest value of a string's controls is not finite."""
    if not bool(torch.isfinite(low).all() and torch.isfinite(high).all()):
        raise DdspZooError(
            "A string's delay, gain and smoothing must be finite; an unvoiced frame has no delay (f0 = 0 makes it "
            "infinite): hold the last pitch and set the gain to 0 there."
        )
