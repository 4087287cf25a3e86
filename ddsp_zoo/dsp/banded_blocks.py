"""Hermitian systems of narrow band in blocks, for devices that compute many small matrices at once.

Neighbouring unknowns are taken together, so that a block meets only the one before and the one after it: a system of P
unknowns takes P over the block's size steps, for all systems at once. The device is never asked for a number.
"""

import torch
from torch import Tensor
from torch.nn.functional import pad

TOLERANCE, EASE, ATTEMPTS = 0.01, 0.7, 11  # as in `harmonic_ls_kernel`
SMALLEST = 8  # unknowns in a block
AT_ONCE = 1 << 24  # numbers in the blocks that are tried at once, 256 MiB


def solve_in_blocks(band: Tensor, load: Tensor, right: Tensor) -> Tensor:
    """Returns the solutions (R, P) that `ddsp_zoo.dsp.harmonic_basis.banded_solve` describes, in complex128."""
    size = max(band.shape[2] - 1, SMALLEST)
    rows = max(1, AT_ONCE // (ATTEMPTS * size * size))
    parts = zip(band.split(rows), load.split(rows), right.split(rows), strict=True)
    return torch.cat([_solve(*part, size) for part in parts])


def _solve(band: Tensor, load: Tensor, right: Tensor, size: int) -> Tensor:
    unknowns = band.shape[1]
    short = -unknowns % size
    below = torch.arange(unknowns, device=band.device)[:, None] + torch.arange(
        band.shape[2], device=band.device
    )
    band = torch.where(below < unknowns, band, 0)
    band, right = pad(band, (0, 0, 0, short)), pad(right, (0, short)).unflatten(1, (-1, size))
    load = pad(load, (0, short), value=1.0).unflatten(1, (-1, size))
    own, next_ = _blocks(band, size)
    share = _share(own, next_, load)
    lowers, links, halves = [], [], []
    for number, (lower, link, _) in enumerate(_factors(own, next_, load, share)):
        value = right[:, number, :, None]
        if number:
            value = value - links[-1].mH @ halves[-1]
        lowers.append(lower)
        links.append(link)
        halves.append(torch.linalg.solve_triangular(lower, value, upper=False))
    answers: list[Tensor] = []
    for lower, link, half in reversed(list(zip(lowers, links, halves, strict=True))):
        value = half - link @ answers[-1] if answers else half
        answers.append(torch.linalg.solve_triangular(lower.mH, value, upper=True))
    return torch.cat(answers[::-1], dim=1)[:, :unknowns, 0]


def _blocks(band: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The lower halves of the blocks on the diagonal, and those below them, both (R, P / size, size, size)."""
    width, place = band.shape[2], torch.arange(size, device=band.device)
    column = place.expand(size, size)
    blocks = band.unflatten(1, (-1, size))

    def taken(apart: Tensor) -> Tensor:
        """Elements so many rows below the diagonal."""
        inside = (apart >= 0) & (apart < width)
        return torch.where(inside, blocks[:, :, column, apart.clamp(0, width - 1)], 0)

    apart = place[:, None] - place
    return taken(apart), taken(apart + size)


def _factors(own: Tensor, next_: Tensor, load: Tensor, share: Tensor):
    """The Cholesky factor of each block after those before it, what links it with the next, and where there is none."""
    passed = None
    for number in range(own.shape[1]):
        diagonal = own[:, number].diagonal(dim1=1, dim2=2) * (1 - share[..., 0]) + load[:, number]
        block = share * own[:, number] + torch.diag_embed(diagonal)
        lower, fault = torch.linalg.cholesky_ex(block if passed is None else block - passed)
        link = torch.linalg.solve_triangular(lower, share * next_[:, number].mH, upper=False)
        passed = link.mH @ link
        yield lower, link, fault


def _share(own: Tensor, next_: Tensor, load: Tensor) -> Tensor:
    """How much of what is off the diagonal each system keeps (R, 1, 1): the largest of all shares that suits it."""
    tried = EASE ** torch.arange(ATTEMPTS, device=load.device, dtype=load.dtype)
    tried = torch.cat([tried[:-1], torch.zeros_like(tried[:1])])
    fits = torch.ones(ATTEMPTS, len(load), dtype=torch.bool, device=load.device)
    for number, (lower, _, fault) in enumerate(_factors(own, next_, load, tried[:, None, None, None])):
        pivots = lower.diagonal(dim1=-2, dim2=-1).real.square()
        fits = fits & (fault == 0) & (pivots >= (1 - TOLERANCE) * load[:, number]).all(-1)
    first = (fits * torch.arange(ATTEMPTS, 0, -1, device=load.device)[:, None]).argmax(0)
    return torch.where(fits.any(0), tried[first], 0)[:, None, None]
