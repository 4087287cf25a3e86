"""Losses of recordings of which only some of the sources are known by themselves."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ddsp_zoo.sources import REST


class Joining:
    """Counts sources that are not known by themselves to the rest.

    Args:
        known: (B, S), or None where all are.
        sources: names of the sources, one of which must be the rest where not all are known.
    """

    def __init__(self, known: Tensor | None = None, sources: Sequence[str] = ()) -> None:
        self.known = known
        if known is not None:
            self.rest = torch.tensor([name == REST for name in sources], device=known.device)

    def __call__(self, values: Tensor) -> Tensor:
        """Adds what is predicted for unknown sources, of values (B, S, ...), to the rest."""
        if self.known is None:
            return values
        known, rest = (mask.view(*mask.shape, *[1] * (values.ndim - 2)) for mask in (self.known, self.rest))
        return values * known + rest * (values * ~known).sum(1, keepdim=True)

    def alone(self, values: Tensor) -> Tensor:
        """Keeps the values (B, S, ...) of sources whose target holds no other source; the others become 0."""
        if self.known is None:
            return values
        alone = self.known & ~(self.rest & ~self.known.all(1, keepdim=True))
        return values * alone.view(*alone.shape, *[1] * (values.ndim - 2))
