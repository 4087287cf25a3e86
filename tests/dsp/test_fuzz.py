"""Every public function of the room, called with extreme random arguments: right, or refused in one sentence."""

import importlib
import inspect
import pkgutil

import pytest
from dsp_primitives import PRIMITIVES
from faulty_primitives import PRIMITIVES as FAULTY
from fuzzing import Case, Draw, judge, report, run, spread

import ddsp_zoo.dsp

INTERNAL = {"compiled", "checks", "operators", "precision"}
INTERNAL |= {"allpole_matrix", "banded_blocks"}  # and kernels: each case runs by both, they must agree
FOUND = [
    Case("ramps", 540),
    Case("upsample_linear", 48217),
    Case("harmonic_bank", 5293),
    Case("harmonic_bank", 47083),
    *(Case("sinusoidal_bank", seed) for seed in (9280, 9700, 26290, 59891)),
    Case("synthesise", 116),
    Case("fit_windows", 1000124),
    Case("fit_windows", 2003924),
    *(Case("string_loop", seed) for seed in (2006012, 2008111)),
    *(Case("harmonic_bank", seed) for seed in (2001762, 2002393, 2003024)),
    Case("sinusoidal_bank", 26683),
    Case("harmonic_bank", 29131),
    Case("one_pole", 39539),
]


def public_functions() -> set[str]:
    names = set()
    for module in pkgutil.iter_modules(ddsp_zoo.dsp.__path__):
        if module.name in INTERNAL or module.name.endswith("_kernel"):
            continue
        members = vars(importlib.import_module(f"ddsp_zoo.dsp.{module.name}"))
        names |= {
            name
            for name, value in members.items()
            if not name.startswith("_")
            and (inspect.isfunction(value) or type(value).__name__ == "Operator")
            and getattr(value, "__module__", value.__class__.__module__).endswith(module.name)
        }
    return names


def test_no_function_is_left_out() -> None:
    assert public_functions() <= set(PRIMITIVES)


def test_what_was_found_once_and_some_more() -> None:
    more = spread(PRIMITIVES, 300, first=10**6)[::4]  # most functions once
    findings = list(run("dsp_primitives", [*FOUND, *more]))
    assert not findings, report(findings)


@pytest.mark.slow
def test_a_hundred_thousand_cases() -> None:
    findings = list(run("dsp_primitives", spread(PRIMITIVES, 10**5)))
    assert not findings, report(findings)


# ---- the fuzz itself


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("unstable", "not finite"),
        ("imprecise", "from float64"),
        ("divided", "from tensors"),
        ("steep", "gradient"),
        ("unhelpful", "IndexError"),
        ("careless", "unseen"),
    ],
)
def test_it_finds(name: str, what: str) -> None:
    found = [judge(FAULTY[name], seed) for seed in range(60)]
    assert any(one is not None and what in one for one in found)


def test_it_finds_nothing_in_what_is_right() -> None:
    assert not any(judge(FAULTY["right"], seed) for seed in range(200))


@pytest.mark.slow
def test_a_crash_and_a_hang_are_findings_and_not_the_end() -> None:
    cases = [Case(name, 1) for name in ("right", "dying", "right", "endless", "right", "unhelpful")]
    findings = list(run("faulty_primitives", cases, seconds=5))
    assert [finding.case.name for finding in findings] == ["dying", "endless", "unhelpful"]
    assert all("ended the process" in finding.what for finding in findings[:2])


def test_a_case_repeats_itself() -> None:
    primitive = PRIMITIVES["string_loop"]
    once, again = (primitive.valid(Draw(5)) for _ in range(2))
    assert once["delay"].equal(again["delay"]) and once["hop"] == again["hop"]
