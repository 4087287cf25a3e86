"""Trains a model of the AST-DDSP family for a given time, on mixtures that are made on its own device."""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddsp_zoo.models import AstDdsp
from ddsp_zoo.training.stem_pool import Mixing, StemPool, mixtures

Report = Callable[[AstDdsp, dict[str, float]], None]
NEWS_STEPS = 50  # over which the reported losses are means


@dataclass(frozen=True)
class Pace:
    """Says for how long and how fast a model learns.

    Args:
        seconds: of training; the learning rate follows the clock and ends at zero.
        steps: the training ends after so many steps where it comes to them before its time is up.
        batch: excerpts in a step.
        learning_rate: the largest one, of AdamW.
        warm_steps: over which it rises at first.
        weight_decay: of matrices and filters; all other weights do not decay.
        average: decay of the running average of the weights, which is what is kept.
        report_seconds: between reports.
    """

    seconds: float
    steps: int = 10**9
    batch: int = 16
    learning_rate: float = 1e-3
    warm_steps: int = 200
    weight_decay: float = 0.02
    average: float = 0.998
    report_seconds: float = 60.0

    def rate(self, step: int, passed: float) -> float:
        """Returns the learning rate of a step, when so many seconds have passed: a rise, then half a cosine."""
        rise = min(1.0, (step + 1) / self.warm_steps)
        return self.learning_rate * rise * (0.5 + 0.5 * math.cos(math.pi * passed / self.seconds))


class Average:
    """Keeps a running average of a model's weights, over fewer steps at first."""

    def __init__(self, model: AstDdsp, decay: float) -> None:
        self.model, self.decay, self.steps = deepcopy(model).eval(), decay, 0

    @torch.no_grad()
    def update(self, model: AstDdsp) -> None:
        """Adds the present weights."""
        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (10 + self.steps))
        torch._foreach_lerp_(list(self.model.parameters()), list(model.parameters()), weight)


def train(model: AstDdsp, pool: StemPool, pace: Pace, seed: int, report: Report) -> AstDdsp:
    """Trains a model and returns the average of its weights.

    ``report`` is called with that average and with step, seconds and the mean losses, at regular times and at the end.
    Raises `DdspZooError` where the training diverges; what was reported until then is what there is.
    """
    optimiser = torch.optim.AdamW(_groups(model, pace.weight_decay), betas=(0.9, 0.98))
    average, generator = Average(model, pace.average), torch.Generator(pool.device).manual_seed(seed)
    began, told, step = time.monotonic(), time.monotonic(), 0
    news: list[dict[str, Tensor]] = []
    model.train()
    while (passed := time.monotonic() - began) < pace.seconds and step < pace.steps:
        for group in optimiser.param_groups:
            group["lr"] = pace.rate(step, passed)
        batch = mixtures(pool, pace.batch, model.segment_samples, Mixing(), generator)
        parts = _learn(model, optimiser, batch)
        average.update(model)
        news, step = [*news[1 - NEWS_STEPS :], parts], step + 1
        if time.monotonic() - told > pace.report_seconds:
            report(average.model, _row(step, time.monotonic() - began, news))
            told = time.monotonic()
    report(average.model, _row(step, time.monotonic() - began, news))
    return average.model


def _learn(model: AstDdsp, optimiser: torch.optim.Optimizer, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Takes one step; returns the terms of the loss."""
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
        parts = model.terms(batch, torch.Generator())
    optimiser.zero_grad(set_to_none=True)
    torch.stack(list(parts.values())).sum().backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if norm.isfinite():
        optimiser.step()
    return {name: value.detach() for name, value in parts.items()}


def _groups(model: AstDdsp, decay: float) -> list[dict[str, Any]]:
    """Splits the weights into matrices and filters, which decay, and all others."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def _row(step: int, seconds: float, news: list[dict[str, Tensor]]) -> dict[str, float]:
    losses = (
        {name: float(torch.stack([parts[name] for parts in news]).mean()) for name in news[0]} if news else {}
    )
    return {"step": step, "seconds": round(seconds, 1), **losses}
