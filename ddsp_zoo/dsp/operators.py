"""Functions that autograd and the compiler of PyTorch take as a whole, although made of other things inside."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

import torch
from torch import Tensor, nn


class Operator:
    """Calls a function as an operator of PyTorch where that is needed, and as it is where it is not.

    Where no gradient is recorded and nothing compiled, the operator would do nothing but start the compiler, which
    takes a second.

    Args:
        function: computes tensors from tensors and numbers; never changes its arguments.
        name: of the operator, ``namespace::name``.
        device_types: of the devices that it computes on; None for all.
    """

    def __init__(self, function: Callable, name: str, device_types: str | None = None) -> None:
        update_wrapper(self, function)
        self._function = function
        self._operator = torch.library.custom_op(name, function, mutates_args=(), device_types=device_types)
        self.register_fake = self._operator.register_fake
        self.register_autograd = self._operator.register_autograd

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Returns what the function returns."""
        special = not all(map(_plain, (*arguments, *named.values())))
        needed = torch.is_grad_enabled() or torch.compiler.is_compiling() or special
        return (self._operator if needed else self._function)(*arguments, **named)


def operator(name: str, device_types: str | None = None) -> Callable[[Callable], Operator]:
    """Makes a function an `Operator`, as a decorator."""
    return lambda function: Operator(function, name, device_types)


def _plain(argument: Any) -> bool:
    """Whether this is no tensor of a special kind, such as those without values that a compiler traces with."""
    return not isinstance(argument, Tensor) or type(argument) in (Tensor, nn.Parameter)
