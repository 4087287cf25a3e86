"""Trains a model of the AST-DDSP family for a given time, on mixtures that are made on its own device."""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.models import AstDdsp
from ddsp_zoo.training.stem_pool import Mixing, StemPool, mixtures

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


class Run:
    """Holds what a training changes: a model, the average of its weights, its optimiser, and how far it has come."""

    def __init__(self, model: AstDdsp, pace: Pace) -> None:
        self.model, self.average = model, Average(model, pace.average)
        self.optimiser = torch.optim.AdamW(_groups(model, pace.weight_decay), betas=(0.9, 0.98))
        self.step, self.seconds = 0, 0.0

    def save(self, path: Path) -> None:
        """Writes everything that the run needs to go on later."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average.model.state_dict(),
            "averaged": self.average.steps,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        with replaced_when_done(path) as draft:
            torch.save(state, draft)

    def resume(self, path: Path) -> None:
        """Goes on where a saved run was."""
        state = torch.load(path, map_location=self.model.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.model.load_state_dict(state["average"])
        self.average.steps = state["averaged"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]


Report = Callable[[Run, dict[str, float]], None]


def train(run: Run, pool: StemPool, pace: Pace, seed: int, report: Report) -> AstDdsp:
    """Trains the model of a run and returns the average of its weights.

    ``report`` is called with that average and with step, seconds and the mean losses, at regular times and at the end.
    Raises `DdspZooError` where the training diverges; what was reported until then is what there is.
    """
    model, generator = run.model, torch.Generator(pool.device).manual_seed(seed)
    began = time.monotonic() - run.seconds
    told = time.monotonic()
    news: list[dict[str, Tensor]] = []
    model.train()
    while run.seconds < pace.seconds and run.step < pace.steps:
        for group in run.optimiser.param_groups:
            group["lr"] = pace.rate(run.step, run.seconds)
        batch = mixtures(pool, pace.batch, model.segment_samples, Mixing(), generator)
        parts = _learn(model, run.optimiser, batch)
        run.average.update(model)
        news, run.step = [*news[1 - NEWS_STEPS :], parts], run.step + 1
        run.seconds = time.monotonic() - began
        if time.monotonic() - told > pace.report_seconds:
            report(run, _row(run, news))
            told = time.monotonic()
    report(run, _row(run, news))
    return run.average.model


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


def _row(run: Run, news: list[dict[str, Tensor]]) -> dict[str, float]:
    losses = (
        {name: float(torch.stack([parts[name] for parts in news]).mean()) for name in news[0]} if news else {}
    )
    return {"step": run.step, "seconds": round(run.seconds, 1), **losses}
