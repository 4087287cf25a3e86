"""Controls are rounded before they are played: small on disk, the same to the ear, and exact where it matters."""

import numpy as np
import pytest
import soundfile as sf
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import RATE, music, tiny_ast

from ddsp_zoo.api.ladder import separate, separate_file
from ddsp_zoo.measuring.metrics import si_sdr
from ddsp_zoo.separation import rounding, stream
from ddsp_zoo.separation.rounding import FREQUENCY_BITS, LEVEL_BITS, round_mantissa, rounded
from ddsp_zoo.synths.control import Control
from ddsp_zoo.zoo import load

FLOATS = st.floats(2.0**-100, 2.0**100, width=32)


@given(FLOATS, st.booleans(), st.sampled_from([LEVEL_BITS, FREQUENCY_BITS]))
def test_a_rounded_number_is_the_nearest_with_so_many_bits(value: float, negative: bool, bits: int) -> None:
    exact = torch.tensor([-value if negative else value])
    near = round_mantissa(exact, bits)
    assert (near - exact).abs() <= exact.abs() * 2.0 ** -(bits + 1)
    assert torch.equal(round_mantissa(near, bits), near)
    assert int(near.view(torch.int32)) % (1 << (rounding.MANTISSA - bits)) == 0


def test_zero_stays_zero() -> None:
    assert torch.equal(round_mantissa(torch.zeros(3), 8), torch.zeros(3))


def test_frequencies_keep_a_cent_and_levels_a_tenth_of_a_decibel() -> None:
    exact = torch.exp(torch.rand(4000, generator=torch.Generator().manual_seed(1)) * 12 - 2)
    cents = 1200 * torch.log2(round_mantissa(exact, FREQUENCY_BITS).double() / exact)
    level = 20 * torch.log10(round_mantissa(exact, LEVEL_BITS).double() / exact)
    assert cents.abs().max() < 0.25 and level.abs().max() < 0.02


def test_only_what_a_network_says_of_many_bands_is_rounded_and_it_stays_in_range() -> None:
    declared = {
        "bands": Control("bands", "1", "", high=0.7003, size=3, curve="amplitude", role="level"),
        "single": Control("single", "1", "", curve="amplitude", role="level"),
        "given": Control("given", "1", "", size=3, origin="given"),
        "decay": Control("decay", "s", "", size=3, role="time"),
        "lines": Control("lines", "Hz", "", high=8000, size=3, curve="lsf"),
    }
    exact = {name: torch.full((1, 2, control.size), 0.7003) for name, control in declared.items()}
    exact["undeclared"] = torch.full((1, 2, 3), 0.7003)
    found = rounded(exact, declared)
    for name, value in found.items():
        assert torch.equal(value, exact[name]) or name == "bands"
    assert (found["bands"] <= torch.tensor(0.7003)).all()
    lower = rounded({"bands": torch.full((1, 2, 3), 0.1001)}, declared)["bands"]
    assert not torch.equal(lower, torch.full((1, 2, 3), 0.1001))


def test_a_separation_gives_out_the_rounded_controls() -> None:
    result = separate(tiny_ast(), music(2 * RATE, 1), RATE)
    for name, bits in (("amplitude", LEVEL_BITS), ("frequency_hz", FREQUENCY_BITS)):
        value = torch.from_numpy(result.controls["bass"][name])
        assert torch.equal(round_mantissa(value, bits), value), name


EXAMPLES = [
    ("band", "ast_ddsp_all", None),
    pytest.param("choir", "umss_4v", None, marks=pytest.mark.slow),
    pytest.param("guitar", "exE7", "examples/guitar_f0.csv", marks=pytest.mark.slow),
]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("example, name, pitch", EXAMPLES)
def test_stems_of_the_examples_are_those_of_exact_controls(
    example: str, name: str, pitch: str | None, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sizes, stems = load(name), [], []
    for way in (rounded, lambda controls, declared: controls):
        monkeypatch.setattr(stream, "rounded", way)
        out = tmp_path / str(len(sizes))
        separate_file(model, f"examples/{example}.flac", out, pitch=pitch)
        sizes.append((out / "controls.npz").stat().st_size)
        stems.append([sf.read(out / f"{source}.wav")[0].T for source in model.targets])
    for ours, exact in zip(*stems, strict=True):
        assert si_sdr(torch.from_numpy(np.ravel(ours)), torch.from_numpy(np.ravel(exact))) > 50
    assert sizes[0] < sizes[1]
