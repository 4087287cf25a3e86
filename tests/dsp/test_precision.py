"""Devices without float64: nothing is computed in it there, and what is computed instead is near."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from dispatched import OneDevice
from torch import Tensor
from torch.utils._pytree import tree_leaves

from ddsp_zoo.dsp import allpole, compiled, harmonic_ls, lsf, oscillator, precision
from ddsp_zoo.networks.solo import loudness_db
from ddsp_zoo.synths.one_parameter_string import OneParameterString

DOUBLE = {torch.float64, torch.complex128}


class Single(OneDevice):
    """Refuses float64 on the device that holds no numbers, which stands for Apple's."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "_to_copy" in str(func) or "copy_" in str(func):
            found = func(*args, **(kwargs or {}))
        else:
            found = super().__torch_dispatch__(func, types, args, kwargs)
        for x in tree_leaves(found):
            if isinstance(x, Tensor) and x.device.type == "meta" and x.dtype in DOUBLE:
                raise RuntimeError(f"{func} computes {x.dtype}")
        return found


def low(*shape: int) -> Tensor:
    return torch.full(shape, 0.1)


PLACES: dict[str, tuple[Callable, list[Tensor]]] = {
    "lsf_from_logits": (lsf.lsf_from_logits, [low(2, 3, 5)]),
    "lsf_to_reflection": (lambda x: lsf.lsf_to_reflection(lsf.lsf_from_logits(x)), [low(2, 3, 5)]),
    "lsf_to_coefficients": (lambda x: lsf.lsf_to_coefficients(lsf.lsf_from_logits(x)), [low(2, 3, 5)]),
    "allpole": (lambda x, k: allpole.allpole(x, k, 8), [low(2, 24), low(2, 3, 5)]),
    "framewise_allpole": (lambda x, k: allpole.framewise_allpole(x, k, 8), [low(2, 24), low(2, 3, 5)]),
    "sinusoidal_bank": (
        lambda f, a: oscillator.sinusoidal_bank(f, a, 16000, 8),
        [low(2, 3, 5), low(2, 3, 5)],
    ),
    "harmonic_bank": (lambda f, a: oscillator.harmonic_bank(f, a, 16000, 8), [low(2, 3), low(2, 3, 5)]),
    "stiff_bank": (
        lambda f, a, b: oscillator.harmonic_bank(f, a, 16000, 8, b),
        [low(2, 3), low(2, 3, 5), low(2, 3)],
    ),
    "loudness_db": (lambda x: loudness_db(x, 16000, 256), [low(2, 4096)]),
    "harmonic_least_squares": (
        lambda x, f: harmonic_ls.harmonic_least_squares(x, f, 1000, 64, windows=(64,), harmonics=3),
        [low(1, 192), low(1, 2, 3) + 100],
    ),
    "decay_rates": (
        lambda c, f: OneParameterString(sample_rate=16000, hop=256).decay_rates(c, f),
        [low(2) + 4000, low(2) + 2000],
    ),
}


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device without float64 and without numbers: what is brought from there is 0.1 or what stands in for it."""
    monkeypatch.setattr(precision, "SINGLE", {"meta"})


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_computed_in_float64_where_there_is_none(
    apple: None, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    function, given = PLACES[place]
    moved = [x.to("meta") for x in given]
    numbers = {id(x): value for x, value in zip(moved, given, strict=True)}

    def host(values: Tensor) -> Tensor:
        if values.device.type != "meta":
            return values
        return numbers.get(id(values), torch.full(values.shape, 0.1)).to(values.dtype)

    for module in (precision, harmonic_ls):
        monkeypatch.setattr(module, "host", host)
    # The checks of what is given read numbers, which this device does not have.
    monkeypatch.setattr("ddsp_zoo.dsp.checks.check_values", lambda *_, **__: None)
    monkeypatch.setattr("ddsp_zoo.dsp.oscillator._check_values", lambda *_: None)
    monkeypatch.setattr(lsf, "_checked", lsf._orders_first)
    monkeypatch.setattr(allpole, "_check_angles", lambda *_: None)
    monkeypatch.setattr("ddsp_zoo.synths.one_parameter_string.partials_below_nyquist", lambda *_: 4)
    with Single():
        found = function(*moved)
    for x in found if isinstance(found, tuple) else (found,):
        assert x.device.type == "meta" and x.dtype == torch.float32


def test_the_device_tells_what_is_computed_in_float64() -> None:
    with pytest.raises(RuntimeError, match="float64"), Single():
        torch.ones(3, device="meta").double()


@pytest.fixture
def single(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Computes here from now on as on a device without float64 and without compiled kernels."""

    def begin() -> None:
        monkeypatch.setattr(precision, "SINGLE", {"cpu"})
        monkeypatch.setattr(compiled, "AVAILABLE", False)

    return begin


def test_phases_do_not_drift_in_float32(single: Callable[[], None]) -> None:
    """A minute of a partial at 7 kHz, and of the 60th harmonic."""
    frames, hop = 1875, 512
    f0, one = torch.full((1, frames), 117.3), torch.zeros(1, frames, 60)
    one[..., 59] = 1
    free = torch.full((1, frames, 1), 7001.7)
    exact_ = [
        oscillator.harmonic_bank(f0, one, 16000, hop)[0],
        oscillator.sinusoidal_bank(free, torch.ones_like(free), 16000, hop)[0],
    ]
    single()
    near = [
        oscillator.harmonic_bank(f0, one, 16000, hop)[0],
        oscillator.sinusoidal_bank(free, torch.ones_like(free), 16000, hop)[0],
    ]
    for a, b in zip(exact_, near, strict=True):
        apart = (a - b)[0].abs()
        assert apart.max() < 3e-3 and apart[-hop:].max() < 3e-3


def test_an_all_pole_filter_in_float32_is_near(single: Callable[[], None]) -> None:
    draw = torch.Generator().manual_seed(2)
    x, k = torch.randn(2, 2048, generator=draw), 0.95 * torch.tanh(torch.randn(2, 16, 20, generator=draw))
    audio, _ = allpole.allpole(x.double(), k.double(), 128)
    single()
    assert (allpole.allpole(x, k, 128)[0] - audio).abs().max() < 1e-4 * audio.abs().max()
