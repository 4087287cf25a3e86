"""Harmonic least squares: known signals come back in phase, kernels equal tensors, gradients, and bad input."""

import math

import pytest
import torch
from torch import Tensor

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.harmonic_basis import banded_solve, correlate, synthesise
from ddsp_zoo.dsp.harmonic_ls import HarmonicFit, harmonic_least_squares
from ddsp_zoo.errors import DdspZooError

RATE, HOP = 16000, 256


def rand(*shape: int, low: float = 0.0, high: float = 1.0, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64)


def voice(f0_hz: Tensor, harmonics: int, seed: int, stiffness: float = 0.0) -> Tensor:
    """Harmonics of any phase on f0 (T,), 6 dB per octave down."""
    turns = torch.cumsum(f0_hz.double() / RATE, 0)
    phases = rand(harmonics, seed=seed)
    number = torch.arange(1, harmonics + 1, dtype=torch.float64)
    number = number * torch.sqrt(1 + stiffness * number.square())
    return sum(
        0.1 / k * torch.cos(2 * math.pi * (n * turns + phases[k - 1])) for k, n in enumerate(number, 1)
    )


def framed(f0_hz: Tensor) -> Tensor:
    return f0_hz[..., ::HOP]


def snr_db(estimate: Tensor, reference: Tensor) -> Tensor:
    """Without half a window at either end, where frames hang over."""
    inside = slice(1024, -1024)
    error = (estimate - reference)[..., inside].square().sum(-1)
    return 10 * torch.log10(reference[..., inside].square().sum(-1) / error)


def two_voices(samples: int = RATE) -> tuple[Tensor, Tensor]:
    """Sources (1, 2, T) and f0 (1, 2, N) of two steady voices none of whose harmonics meet."""
    f0 = torch.tensor([[310.0], [233.0]]).expand(-1, samples)
    sources = torch.stack([voice(f0[0], 6, 1), voice(f0[1], 6, 2)])
    return sources[None].float(), framed(f0)[None]


def test_two_sources_come_back_with_their_phases(path) -> None:
    sources, f0_hz = two_voices(RATE // 2)
    found = harmonic_least_squares(sources.sum(1), f0_hz[..., : -(-RATE // 2 // HOP)], RATE, HOP, ridge=1e-4)
    assert found.shape == sources.shape and (snr_db(found, sources) > 40).all()


def test_vibrato_and_stiff_strings_are_followed() -> None:
    time = torch.arange(RATE) / RATE
    f0 = 300 * 2 ** (0.5 / 12 * torch.sin(2 * math.pi * 5 * time))
    sung = voice(f0, 8, 3)[None].float()
    assert snr_db(harmonic_least_squares(sung, framed(f0)[None, None], RATE, ridge=1e-4), sung[:, None]) > 25
    steady = torch.full((RATE,), 110.0)
    string = voice(steady, 20, 4, stiffness=2e-4)[None].float()
    f0_hz = framed(steady)[None, None]
    settings = {"ridge": 1e-4, "refinements": 0}
    stiff = harmonic_least_squares(
        string, f0_hz, RATE, inharmonicity=torch.full_like(f0_hz, 2e-4), **settings
    )
    plain = harmonic_least_squares(string, f0_hz, RATE, **settings)
    assert snr_db(stiff, string[:, None]) > 40 > 20 > snr_db(plain, string[:, None])


def test_a_pitch_that_is_off_is_moved_to_where_the_partials_are() -> None:
    sources, f0_hz = two_voices()
    cents = torch.tensor([15.0, -15.0])[:, None]
    off = f0_hz * 2 ** (cents / 1200)
    for _ in range(3):
        fit = HarmonicFit(sources.sum(1), off, RATE)
        off = fit.refined_f0()
    assert (1200 * torch.log2(off / f0_hz))[..., 4:-4].abs().max() < 1
    refined, given = (
        snr_db(
            harmonic_least_squares(
                sources.sum(1), f0_hz * 2 ** (cents / 1200), RATE, ridge=1e-3, refinements=n
            ),
            sources,
        )
        for n in (3, 0)
    )
    assert (refined > given + 5).all()


def test_pitch_in_whole_hertz_is_as_good_as_any() -> None:
    sources, f0_hz = two_voices(8192)
    whole, real = (
        harmonic_least_squares(sources.sum(1), f0_hz.to(t), RATE) for t in (torch.int64, torch.float32)
    )
    torch.testing.assert_close(whole, real)


def test_the_fits_of_several_windows_are_averaged() -> None:
    sources, f0_hz = two_voices(RATE // 2)
    mixture, f0_hz = sources.sum(1), f0_hz[..., : -(-RATE // 2 // HOP)]
    short, long, both = (
        harmonic_least_squares(mixture, f0_hz, RATE, HOP, windows=windows, refinements=0)
        for windows in ((512,), (1024,), (512, 1024))
    )
    assert (short - long).abs().max() > 1e-4
    torch.testing.assert_close(both, (short + long) / 2)


def test_unison_is_shared_and_stays_bounded() -> None:
    sources, f0_hz = two_voices()
    mixture = 2 * sources[:, 0]
    found = harmonic_least_squares(mixture, f0_hz[:, :1].expand(-1, 2, -1), RATE, ridge=0.01)
    assert (snr_db(found, sources[:, :1].expand(-1, 2, -1)) > 25).all()
    near = harmonic_least_squares(
        mixture, f0_hz[:, :1] * torch.tensor([1.0, 1.001])[:, None], RATE, refinements=0
    )
    assert near.abs().max() < 2 * mixture.abs().max()


def test_the_prior_decides_who_gets_what_is_shared() -> None:
    sources, f0_hz = two_voices()
    both = f0_hz[:, :1].expand(-1, 2, -1)
    prior = torch.tensor([9.0, 1.0])[:, None, None].expand(1, 2, f0_hz.shape[-1], 6)
    fit = HarmonicFit(sources[:, 0], both, RATE, harmonics=6)
    loud, soft = fit.amplitudes(prior).abs()[0].unbind(0)
    torch.testing.assert_close(loud, 9 * soft)
    noise = torch.full((1, f0_hz.shape[-1], 5), 1e-4)
    quiet, hidden = (fit.amplitudes(1e-2 * prior, level * noise).abs().sum() for level in (1e-4, 1e7))
    assert hidden < 0.2 * quiet


def test_white_noise_is_weighed_as_probability_demands() -> None:
    """One partial of variance v in noise of variance s: the estimate shrinks by 1 / (1 + 4 s / (v g))."""
    mixture, f0_hz = (voice(torch.full((RATE,), 500.0), 1, 5)[None], torch.full((1, 1, 63), 500.0))
    fit = HarmonicFit(mixture, f0_hz, RATE, harmonics=1)
    prior, noise = torch.full((1, 1, 63, 1), 0.02), torch.full((1, 63, 2), 0.3)
    load = 4 * 0.3 / 0.02 / fit.weight.sum()
    shrunk = fit.amplitudes(prior, noise).abs() * (1 + load)
    torch.testing.assert_close(shrunk[0, 0, 3:-3, 0], torch.full((57,), 0.1).double(), rtol=1e-3, atol=0)


def test_unvoiced_frames_silence_and_unsung_voices_are_silent() -> None:
    sources, f0_hz = two_voices()
    f0_hz = f0_hz.clone()
    f0_hz[:, 1, 20:] = 0
    found = harmonic_least_squares(sources.sum(1), f0_hz, RATE)
    assert (found[:, 1, 22 * HOP :] == 0).all() and found[:, 1, : 15 * HOP].abs().max() > 0.05
    for mixture, pitch in (
        (0 * sources[:, 0], f0_hz),
        (sources[:, 0], 0 * f0_hz),
        (sources[:, 0], 0 * f0_hz + 9e3),
    ):
        assert (harmonic_least_squares(mixture, pitch, RATE) == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_any_pitch_gives_finite_bounded_sources(seed: int) -> None:
    """Wild leaps, pitches close to each other and to both ends of the range."""
    mixture = rand(1, 8000, low=-1, seed=seed).float()
    wild = 20 * 400 ** rand(1, 5, 32, seed=seed + 9).float()
    found = harmonic_least_squares(mixture, wild, RATE, ridge=1e-3)
    assert found.isfinite().all() and found.abs().max() < 20


def test_chunks_of_a_batch_do_not_see_each_other() -> None:
    sources, f0_hz = two_voices(8192)
    mixture, pitch = sources[0], torch.stack([f0_hz[0], f0_hz[0].flip(0)])
    both = harmonic_least_squares(mixture, pitch, RATE)
    apart = torch.cat([harmonic_least_squares(mixture[i : i + 1], pitch[i : i + 1], RATE) for i in (0, 1)])
    torch.testing.assert_close(both, apart, atol=1e-5, rtol=0)


def test_kernels_equal_tensors(monkeypatch) -> None:
    if not compiled.AVAILABLE:
        pytest.skip("numba is not installed")
    cycles, bend = 0.08 * rand(2, 2, 5), 1e-6 * rand(2, 2, 5, low=-1, seed=1)
    cycles[0, 0, 2] = 0
    multiple = torch.arange(1, 9).double().expand(2, 2, 5, 8).contiguous()
    weight, audio, parts = rand(64, seed=2), rand(2, 1, 4 * 20 + 64, seed=3), rand(2, 2, 5, 8, 2, seed=4)
    factor = torch.randn(3, 7, 7, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    matrix = factor @ factor.mH
    band = torch.stack([torch.nn.functional.pad(matrix.diagonal(-d, 1, 2), (0, d)) for d in range(4)], -1)
    load, right = rand(3, 7, low=0.1), factor[..., 0]

    def everything() -> tuple[Tensor, ...]:
        frame = (cycles, bend, multiple, weight, 20)
        return correlate(audio, *frame), synthesise(parts, *frame), banded_solve(band, load, right)

    fast = everything()
    monkeypatch.setattr(compiled, "AVAILABLE", False)
    for one, other in zip(fast, everything()):
        torch.testing.assert_close(one, other)


def test_solutions_of_a_full_band_are_exact() -> None:
    factor = torch.randn(2, 5, 5, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))
    matrix, load = factor @ factor.mH, rand(2, 5, low=0.1)
    band = torch.stack([torch.nn.functional.pad(matrix.diagonal(-d, 1, 2), (0, d)) for d in range(5)], -1)
    exact = torch.linalg.solve(matrix + torch.diag_embed(load).to(matrix), factor[..., 0])
    torch.testing.assert_close(banded_solve(band, load, factor[..., 0]), exact)


def test_gradients_of_mixture_prior_and_noise_are_exact(path) -> None:
    f0_hz = 900 + 400 * rand(1, 2, 3)
    mixture, prior, noise = (
        rand(1, 48, low=-1),
        rand(1, 2, 3, 2, low=0.1, seed=1),
        rand(1, 3, 2, low=0.1, seed=2),
    )
    inputs = [x.requires_grad_() for x in (mixture, prior, noise)]

    def fit(mixture: Tensor, prior: Tensor, noise: Tensor | None = None) -> Tensor:
        return harmonic_least_squares(mixture, f0_hz, 8000, 16, prior, noise, windows=(48,), refinements=0)

    assert torch.autograd.gradcheck(fit, inputs)
    assert torch.autograd.gradcheck(fit, inputs[:2])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f0_hz": torch.full((1, 2, 62), 200.0)}, r"of shape \(batch, sources, 63\)"),
        ({"f0_hz": torch.full((2, 2, 63), 200.0)}, "of shape"),
        ({"mixture": torch.zeros(RATE)}, "needs f0_hz"),
        ({"f0_hz": torch.full((1, 2, 63), math.nan)}, "finite"),
        ({"f0_hz": torch.full((1, 2, 63), -1.0)}, "0 Hz"),
        ({"prior": torch.ones(1, 2, 62, 4)}, "prior must have the shape"),
        ({"prior": torch.ones(1, 2, 63, 4), "noise": torch.ones(1, 62, 4)}, "noise must have the shape"),
        ({"inharmonicity": torch.zeros(1, 2, 62)}, "inharmonicity"),
        ({"inharmonicity": torch.full((1, 2, 63), math.nan)}, "inharmonicity must be finite"),
        ({"inharmonicity": torch.full((1, 2, 63), -1.0)}, "inharmonicity must be finite, at least 0"),
        ({"mixture": torch.full((1, RATE), math.nan)}, "mixture must be finite"),
        ({"mixture": torch.full((1, RATE), 1e30)}, "mixture must be finite, at least -1e.09, at most 1e.09"),
        ({"mixture": torch.zeros(1, RATE).half()}, "float16"),
        ({"mixture": torch.zeros(1, RATE).bfloat16()}, "bfloat16"),
        ({"mixture": torch.zeros(1, RATE).long()}, "int64"),
        ({"prior": torch.full((1, 2, 63, 4), math.nan)}, "prior must be finite"),
        (
            {"prior": torch.ones(1, 2, 63, 4), "noise": torch.full((1, 63, 4), math.inf)},
            "noise must be finite",
        ),
        ({"prior": torch.ones(1, 2, 63)}, "four axes"),
        ({"harmonics": 0}, "a harmonic"),
        ({"ridge": math.nan}, "ridge"),
        ({"sample_rate": 0.0}, "sample rate"),
        ({"windows": (1,)}, "window"),
        ({"windows": ()}, "window"),
    ],
)
def test_misfits_end_in_a_sentence(change: dict, message: str) -> None:
    given = {
        "mixture": torch.zeros(1, RATE),
        "f0_hz": torch.full((1, 2, 63), 200.0),
        "sample_rate": RATE,
    } | change
    with pytest.raises(DdspZooError, match=message):
        harmonic_least_squares(**given)


def test_an_empty_batch_gives_an_empty_one(path) -> None:
    found = harmonic_least_squares(torch.zeros(0, 48), torch.zeros(0, 2, 3), 8000, 16, windows=(48,))
    assert found.shape == (0, 2, 48)


@pytest.mark.parametrize("ridge", [0.0, 1e-30])
def test_two_sources_in_unison_need_no_ridge(path, ridge: float) -> None:
    """Their matrix is singular: nothing says which is which, but none is louder than what was heard."""
    sources, f0_hz = two_voices(2048)
    f0_hz = f0_hz[:, :1].expand(-1, 2, -1)
    given = {"windows": (512,), "harmonics": 4, "refinements": 0}
    found = harmonic_least_squares(sources[:, 0].contiguous(), f0_hz, RATE, HOP, ridge=ridge, **given)
    assert found.isfinite().all() and found.abs().max() < 10


def test_a_pitch_that_is_hardly_there_has_partials(path) -> None:
    f0_hz = torch.full((1, 1, 3), 5e-324, dtype=torch.float64)
    found = harmonic_least_squares(torch.ones(1, 48).double(), f0_hz, 8000, 16, windows=(48,), refinements=0)
    assert found.isfinite().all()
