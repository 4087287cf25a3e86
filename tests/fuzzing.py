"""Calls functions with extreme random arguments, in processes of their own, so that a crash or a hang is a finding.

A module of the tests holds a table ``PRIMITIVES`` (name -> `Primitive`) that says how each function is called. A
case is a name and a seed, and everything in it follows from these two.
"""

import importlib
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ddsp_zoo.dsp import compiled
from ddsp_zoo.errors import DdspZooError

LIMIT_SECONDS = 60  # of the processor, for one case: a kernel may have to be compiled
MEMORY = 16 << 30
BAD_NUMBERS = {float: (0.0, -1.0, math.nan, math.inf, 1e30, -1e30), int: (0, -1, -(2**40))}
OTHER_TYPES = (torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex128)
Arguments = dict[str, Any]


class Case(NamedTuple):
    """One call: the name of a function and the seed of its arguments."""

    name: str
    seed: int


class Finding(NamedTuple):
    """What a case did that it must not do."""

    case: Case
    what: str


class Seeded(NamedTuple):
    """A generator that is made anew for every call."""

    seed: int


@dataclass(frozen=True)
class Primitive:
    """How a function is called, and what it promises.

    valid: draws arguments within the documented domain, tensors as float32.
    finite: names of arguments that are refused where they are NaN or infinite.
    tolerance: largest difference of float32 from float64, and of the kernels from plain tensors, as a share of the
        largest value, or of one where all are smaller; none where the two may differ.
    outer: whether it checks its arguments; an inner function is called by one that does.
    share: how often it is called, compared with others.
    summands: the argument that is as large as what the answer sums up, where this may cancel.
    """

    function: Callable
    valid: Callable[["Draw"], Arguments]
    finite: tuple[str, ...] = ()
    tolerance: float | None | Callable[[Arguments], float | None] = 1e-3
    outer: bool = True
    share: int = 4
    summands: str | None = None


class Draw:
    """Draws the arguments of one case."""

    def __init__(self, seed: int) -> None:
        self.random, self.generator = random.Random(seed), torch.Generator().manual_seed(seed)

    def whole(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def one_of(self, *values: Any) -> Any:
        return self.random.choice(values)

    def often(self, share: float = 0.5) -> bool:
        return self.random.random() < share

    def number(self, low: float, high: float) -> float:
        return self.one_of(low, high, self.random.uniform(low, high))

    def tensor(self, *shape: int, low: float = -1.0, high: float = 1.0) -> Tensor:
        """Values from low to high: anywhere, at the ends only, all the same, mostly the lowest, hardly above it."""
        unit = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        style = self.one_of("anywhere", "anywhere", "ends", "same", "rare", "denormal")
        if style == "ends":
            unit = unit.round()
        elif style == "same":
            unit = torch.full_like(unit, self.number(0, 1))
        elif style == "rare":
            unit = torch.where(unit > 0.8, unit, 0)
        elif style == "denormal":
            unit = unit * 1e-40
        return (low + (high - low) * unit).clamp(low, high).float()


# ---- what is done to arguments


def spoil(draw: Draw, given: Arguments) -> tuple[str, str]:
    """Makes one argument wrong in place and returns its name and in what way."""
    name = draw.one_of(*sorted(n for n, value in given.items() if isinstance(value, Tensor | int | float)))
    value = given[name]
    if isinstance(value, Tensor):
        how = draw.one_of(
            "nan", "inf", "-inf", "1e30", "-1", "empty", "type", "longer", "axis more", "axis less"
        )
        given[name] = _spoilt(draw, value, how)
    else:
        how = "number"
        given[name] = draw.one_of(*BAD_NUMBERS.get(type(value), (value,)))
    return name, how


def _spoilt(draw: Draw, value: Tensor, how: str) -> Tensor:
    if how == "type":
        return (value.real if value.is_complex() else value).to(draw.one_of(*OTHER_TYPES))
    if how == "axis more":
        return value[None]
    if how == "axis less":
        return value[0] if value.ndim and len(value) else value.new_zeros(())
    if how in ("empty", "longer"):
        axis = draw.whole(0, max(value.ndim - 1, 0))
        if not value.ndim:
            return value.new_zeros(0)
        return value.narrow(axis, 0, 0) if how == "empty" else torch.cat([value, value], axis)
    spoilt = value.clone(memory_format=torch.contiguous_format)
    if spoilt.numel():
        number = float(how) if spoilt.is_floating_point() or spoilt.is_complex() else -1
        spoilt.view(-1)[draw.whole(0, spoilt.numel() - 1)] = number
    return spoilt


def _mapped(given: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same arguments with every tensor changed, those in tuples too."""
    if isinstance(given, dict):
        return {name: _mapped(value, change) for name, value in given.items()}
    if isinstance(given, tuple) and any(isinstance(value, Tensor) for value in given):
        values = [_mapped(value, change) for value in given]
        return type(given)(*values) if hasattr(given, "_fields") else tuple(values)
    return change(given) if isinstance(given, Tensor) else given


def _doubled(value: Tensor) -> Tensor:
    if value.is_complex():
        return value.to(torch.complex128)
    return value.double() if value.is_floating_point() else value


def _strided(value: Tensor) -> Tensor:
    """The same values with gaps between them."""
    return torch.stack([value, value], -1)[..., 0]


# ---- what is asked of the answer


def judge(primitive: Primitive, seed: int) -> str | None:
    """Runs one case and returns what is wrong, if anything is."""
    draw = Draw(seed)
    given = primitive.valid(draw)
    try:
        if primitive.outer and draw.often():
            return _judge_spoilt(primitive, given, *spoil(draw, given))
        return _judge_valid(primitive, given)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"


def _judge_spoilt(primitive: Primitive, given: Arguments, name: str, how: str) -> str | None:
    try:
        _call(primitive, given)
    except DdspZooError:
        return None
    except Exception as error:
        return f"{name} {how}: {type(error).__name__}: {str(error)[:300]}"
    infinite = isinstance(given[name], Tensor) and given[name].numel() and how in ("nan", "inf", "-inf")
    return f"{name} {how}: passed unseen" if infinite and name in primitive.finite else None


def _judge_valid(primitive: Primitive, given: Arguments) -> str | None:
    tolerance = primitive.tolerance(given) if callable(primitive.tolerance) else primitive.tolerance
    answer = _call(primitive, given)
    if not all(bool(x.isfinite().all()) for x in answer):
        return "the answer is not finite"
    least = max(1.0, given[primitive.summands].abs().max().item()) if primitive.summands else 1.0
    if tolerance is not None:
        far = _distance(answer, _call(primitive, _mapped(given, _doubled)), least)
        if not far <= tolerance:
            return f"float32 is {far:.3g} from float64"
    far = _distance(answer, _call(primitive, _mapped(given, _strided), kernels=False), least)
    if tolerance is not None and not far <= tolerance:
        return f"kernels are {far:.3g} from tensors"
    return _judge_gradients(primitive, given)


def _judge_gradients(primitive: Primitive, given: Arguments) -> str | None:
    leaves: list[Tensor] = []

    def leaf(value: Tensor) -> Tensor:
        if value.is_floating_point() or value.is_complex():
            leaves.append(value.detach().clone().requires_grad_())
            return leaves[-1]
        return value

    answer = [x for x in _call(primitive, _mapped(given, leaf)) if x.requires_grad]
    if answer and leaves:
        total = sum(torch.view_as_real(x).sum() if x.is_complex() else x.double().sum() for x in answer)
        grads = torch.autograd.grad(total, leaves, allow_unused=True)
        if not all(g is None or bool(g.isfinite().all()) for g in grads):
            return "a gradient is not finite"
    return None


def _call(primitive: Primitive, given: Arguments, kernels: bool = True) -> list[Tensor]:
    """Returns all numbers of the answer, as tensors."""
    given = {
        name: torch.Generator().manual_seed(value.seed) if isinstance(value, Seeded) else value
        for name, value in given.items()
    }
    available = compiled.AVAILABLE
    compiled.AVAILABLE = available and kernels
    try:
        return list(_numbers(primitive.function(**given)))
    finally:
        compiled.AVAILABLE = available


def _numbers(answer: Any) -> Iterable[Tensor]:
    if isinstance(answer, tuple):
        for part in answer:
            yield from _numbers(part)
    elif answer is not None:
        yield torch.as_tensor(answer)


def _distance(answer: Sequence[Tensor], reference: Sequence[Tensor], least: float) -> float:
    """Largest difference as a share of the largest value, or of ``least`` where all are smaller."""
    far = 0.0
    for ours, other in zip(answer, reference, strict=True):
        if ours.shape != other.shape:
            return math.inf
        if ours.numel():
            size = max(least, other.detach().abs().max().item())
            far = max(far, (ours.detach().to(other.dtype) - other.detach()).abs().max().item() / size)
    return far


# ---- processes


def spread(primitives: dict[str, Primitive], count: int, first: int = 0) -> list[Case]:
    """Returns that many cases, in which all functions take their turns according to their shares."""
    turns = [name for name, primitive in primitives.items() for _ in range(primitive.share)]
    return [Case(turns[seed % len(turns)], seed) for seed in range(first, first + count)]


def run(table: str, cases: Sequence[Case], seconds: int = LIMIT_SECONDS) -> Iterator[Finding]:
    """Runs cases of a module's table in processes of their own and yields what is found, as soon as it is.

    A process that ends before its time has found something with the case that it was at; a new one goes on.
    """
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, "-c", f"from fuzzing import work; work({table!r}, {seconds})"]
    done = 0
    while done < len(cases):
        first = done
        with tempfile.TemporaryFile("w+") as given:
            given.writelines(f"{case.name} {case.seed}\n" for case in cases[first:])
            given.seek(0)
            with subprocess.Popen(
                program, stdin=given, stdout=subprocess.PIPE, text=True, env=path
            ) as worker:
                for line in worker.stdout:
                    if line == "begin\n":
                        done += 1
                    else:
                        yield Finding(cases[done - 1], line.strip())
        if done == first:
            raise RuntimeError(f"The process ended with {worker.returncode} before its first case.")
        if worker.returncode:
            yield Finding(cases[done - 1], f"ended the process with {worker.returncode}")
        elif done < len(cases):
            raise RuntimeError(f"The process ended before its time, after {cases[done - 1]}.")


def work(table: str, seconds: int) -> None:
    """Runs the cases of standard input: says when one begins and what it finds. Each has seconds of the processor."""
    import resource

    primitives = importlib.import_module(table).PRIMITIVES
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    torch.set_num_threads(1)
    for line in sys.stdin:
        name, seed = line.split()
        used = resource.getrusage(resource.RUSAGE_SELF)
        spent = math.ceil(used.ru_utime + used.ru_stime)
        resource.setrlimit(resource.RLIMIT_CPU, (spent + seconds, hard))
        os.write(1, b"begin\n")
        found = judge(primitives[name], int(seed))
        if found:
            os.write(1, f"{' '.join(found.split())}\n".encode())


def report(findings: Iterable[Finding]) -> str:
    """Returns one line for each finding, to be read by people."""
    return "\n".join(f"{case.name} {case.seed}: {what}" for case, what in findings)
