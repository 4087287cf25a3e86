"""Counts the operations that a device would be sent, and those that make the host wait for one."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

VIEWS = {
    "slice",
    "select",
    "view",
    "reshape",
    "split",
    "unbind",
    "transpose",
    "t",
    "permute",
    "expand",
    "detach",
}
VIEWS |= {
    "unsqueeze",
    "squeeze",
    "_unsafe_view",
    "as_strided",
    "alias",
    "unflatten",
    "split_with_sizes",
    "real",
}
WAITS = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "equal"}


class Dispatched(TorchDispatchMode):
    """Counts by name what is computed (views apart) and what waits, while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.computed, self.waits = Counter(), Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        kind = self.waits if name in WAITS else self.computed
        kind[name] += name not in VIEWS
        return func(*args, **(kwargs or {}))


class OneDevice(TorchDispatchMode):
    """Refuses operations between the host and a device: torch does not notice all of them where nothing is computed."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [x for x in tree_leaves((args, kwargs or {})) if isinstance(x, Tensor)]
        at = {x.device.type for x in tensors if x.ndim or x.device.type != "cpu"}
        if len(at) > 1:
            raise RuntimeError(f"{func} mixes {sorted(at)}")
        return func(*args, **(kwargs or {}))


def on_a_device(function: Any, *given: Any) -> None:
    """Runs a function of tensors and its gradients on a device that holds no numbers (torch's "meta").

    Whatever reads a number back from it, copies from it, or brings a tensor of the host in, ends in an error.
    """
    moved = [x.detach().to("meta") if isinstance(x, Tensor) else x for x in given]
    learnt = [
        x.requires_grad_()
        for x in moved
        if isinstance(x, Tensor) and (x.is_floating_point() or x.is_complex())
    ]
    with OneDevice():
        found = function(*moved)
        outputs = [x for x in (found if isinstance(found, tuple) else (found,)) if x.requires_grad]
        assert outputs and all(x.device.type == "meta" for x in outputs)
        total = sum((torch.view_as_real(x) if x.is_complex() else x).sum() for x in outputs)
        torch.autograd.grad(total, learnt, allow_unused=True)
