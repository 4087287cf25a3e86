"""Chooses which voices of a choir a tracker hears in training, and sorts them from the top."""

import torch
from torch import Tensor

# Shares of training: with all voices, with one more that rests, and with their number told.
ALL, RESTING, TOLD = 0.5, 0.1, 0.6


def from_the_top(f0_hz: Tensor, kept: Tensor, told: Tensor) -> tuple[Tensor, Tensor]:
    """Sorts the kept (B, S) of voices f0_hz (B, S, N) by pitch, and counts them: f0_hz (B, S, N) and number (B,).

    The highest on average is the first, and rows beyond their number are 0. A voice that rests throughout keeps its
    place where the number of voices is told (B,), and is not there else, because nobody could hear it.
    """
    out, number = torch.zeros_like(f0_hz), torch.zeros(len(f0_hz), dtype=torch.long)
    sung = (f0_hz > 0).sum(-1)
    mean = torch.log2(f0_hz.clamp(min=1)).sum(-1) / sung.clamp(min=1)
    for row in range(len(f0_hz)):
        there = torch.nonzero(kept[row] & ((sung[row] > 0) | told[row]))[:, 0]
        places = torch.nonzero(sung[row, there])[:, 0]
        sounding = there[places]
        out[row, places] = f0_hz[row, sounding[mean[row, sounding].argsort(descending=True, stable=True)]]
        number[row] = len(there)
    return out, number


def draw_voices(f0_hz: Tensor, most: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws which voices of f0_hz (B, S, N) are kept, (B, S), and where their number is told, (B,).

    All that sound, in half of the mixtures, or some of them; at times one more that rests.
    """
    size, voices = f0_hz.shape[:2]
    sung = (f0_hz > 0).any(-1)
    number = sung.sum(1)
    fewer = 1 + (torch.rand(size, generator=generator) * number).long()
    lot = torch.rand(3, size, generator=generator)
    number = torch.where(lot[0] < ALL, number, fewer) + (lot[1] < RESTING)
    place = (torch.rand(size, voices, generator=generator) + ~sung).argsort(-1).argsort(-1)
    return place < number.clamp(1, min(most, voices))[:, None], lot[2] < TOLD
