"""Harmonic least squares: the partials of all sources are fitted to a mixture at once, with the mixture's phases.

In each frame the mixture is a sum of partials whose frequencies are known from f0 and glide linearly; only
their complex amplitudes are free. Their prior variance decides which source gets how much of a shared partial,
so a network's amplitudes can serve as prior and be trained through the fit. The frames are weighted by a
Gaussian, because the inner product of two gliding partials under it has a closed form; partials far from each
other in frequency do not interact, which leaves a narrow band of the normal matrix.
Source: the harmonic model of Stylianou 1996, with a Gaussian prior.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ddsp_zoo.dsp.checks import check, check_computing, check_floating, check_real, check_shape, check_values
from ddsp_zoo.dsp.frames import overlap_add
from ddsp_zoo.dsp.harmonic_basis import banded_solve, correlate, synthesise
from ddsp_zoo.dsp.precision import host
from ddsp_zoo.errors import DdspZooError

MOST_HARMONICS = 128
DEVIATIONS = 7.0  # standard deviations of the Gaussian weight that its window spans
SMOOTH_HARMONICS, SMOOTH_FRAMES = 1, 6  # reach of the averages of an estimated prior, to either side
WIDEST_CENTS = 60.0  # what one refinement may move f0 by
STEEPEST = 0.15  # a larger change of f0 from the frame before to the one after is a jump, not a glide
FAINT = 1e-14  # variances are at least this: -140 dB
LOUDEST = 1e9  # of audio: squares of what is fitted to it are still float32
HIGHEST_RATE = 1e9  # Hz, of audio
HIGHEST_HZ = 1e9
LEAST_LOAD = 1e-14  # of a diagonal, as a share of it: float64 has no digits left for less


def harmonic_least_squares(
    mixture: Tensor,
    f0_hz: Tensor,
    sample_rate: float,
    hop: int = 256,
    prior: Tensor | None = None,
    noise: Tensor | None = None,
    windows: tuple[int, ...] = (1024,),
    harmonics: int | None = None,
    inharmonicity: Tensor | None = None,
    ridge: float = 0.15,
    refinements: int = 2,
) -> Tensor:
    """Separates a mixture (B, T) by the f0_hz (B, S, N) of its sources into sources (B, S, T) that share its partials.

    The sum of the sources is the voiced part of the mixture, in phase with it. Differentiable with respect to
    mixture, prior and noise.

    Args:
        mixture: audio, float32 or float64, at most 1e9 in size; the batch may be empty.
        f0_hz: pitch of each source, frame n at sample n * hop, 0 = unvoiced (the source is silent there).
        sample_rate: in Hz.
        hop: distance of frames in samples; N = ceil(T / hop).
        prior: variance of each partial's amplitude (B, S, N, K), absolute with ``noise``, else relative; like that of
            ``noise``, it counts as zero where it is negative, and is at most 1e18. Without it,
            6 dB per octave above 200 Hz to begin with, then the squares of what was fitted, smoothed.
        noise: variance per sample of what is not harmonic, as a spectrum (B, N, F) from 0 Hz to the Nyquist
            frequency: white noise of variance v has v at every point. Without it, ``ridge`` decides.
        windows: samples of a frame that count, by a Gaussian weight; of several, the mean of their fits is taken. A
            short one follows motion, a long one separates close partials; their errors differ.
        harmonics: partials of each source; without it all that fit below Nyquist, at most 128. K of a given prior.
        inharmonicity: stiffness (B, S, N) of strings: partial h lies at h * f0 * sqrt(1 + inharmonicity * h^2).
        ridge: noise as a share of the prior's mean over the partials of a frame.
        refinements: how many times f0 is moved to where the fitted partials really are; 0 takes it as given.

    Raises:
        DdspZooError: shapes or types that do not fit each other, numbers that are not finite or beyond their limits,
            f0 or inharmonicity that is negative, no window.
    """
    check(bool(windows), "Harmonic least squares: the window must span some samples, got none.")
    check(
        prior is None or prior.ndim == 4,
        "Harmonic least squares: the prior must have four axes (B, S, N, K), or be left out.",
    )
    harmonics = harmonics if prior is None else prior.shape[-1]
    device = mixture.device
    mixture, f0_hz = host(mixture), host(f0_hz)
    prior, noise, inharmonicity = (x if x is None else host(x) for x in (prior, noise, inharmonicity))

    def fit(window: int) -> HarmonicFit:
        return HarmonicFit(mixture, f0_hz, sample_rate, hop, window, harmonics, inharmonicity, ridge)

    for _ in range(refinements):
        with torch.no_grad():
            f0_hz = fit(windows[0]).refined_f0(prior, noise)
    fits = [fit(window) for window in windows]
    sounds = [f.audio(f.estimate() if prior is None else f.amplitudes(prior, noise)) for f in fits]
    return (torch.stack(sounds).mean(0) if len(sounds) > 1 else sounds[0]).to(device)


def fit_windows(sample_rate: float) -> tuple[int, int]:
    """Returns windows of 64 and 128 ms in samples, which together serve voices and plucked strings.

    Raises `DdspZooError` for a sample rate that is not positive.
    """
    check(
        0 < sample_rate <= HIGHEST_RATE, f"Windows need a sample rate from 0 to 1e9 Hz; got {sample_rate:g}."
    )
    return 2 * round(0.032 * sample_rate), 2 * round(0.064 * sample_rate)


class Partials(NamedTuple):
    """Holds where partials lie.

    That is the f0 in cycles per sample (B, S, N), its slope per sample (B, S, N), and the multiples of it (B,
    S, N, K) at which the partials are.
    """

    cycles: Tensor
    bend: Tensor
    multiple: Tensor


class Products(NamedTuple):
    """Holds inner products of partials under the window, and the two terms of their exponent that moments need."""

    product: Tensor
    turn: Tensor
    width: Tensor


class HarmonicFit:
    """Solves the least-squares problem of one mixture and one f0 for any prior; see `harmonic_least_squares`.

    ``partials`` says where the partials lie, and ``sounding`` (B, S, N, K) which of them exist (voiced, below
    Nyquist).
    """

    def __init__(
        self,
        mixture: Tensor,
        f0_hz: Tensor,
        sample_rate: float,
        hop: int = 256,
        window: int = 1024,
        harmonics: int | None = None,
        inharmonicity: Tensor | None = None,
        ridge: float = 0.15,
    ) -> None:
        _check(mixture, f0_hz, hop, window, inharmonicity)
        check(
            0 < sample_rate < math.inf and 0 <= ridge < math.inf and (harmonics is None or harmonics >= 1),
            "Harmonic least squares: the sample rate must be positive, the ridge not negative, and a source must "
            f"have a harmonic; got {sample_rate}, {ridge} and {harmonics}.",
        )
        self.sample_rate, self.hop, self.ridge, self.samples = sample_rate, hop, ridge, mixture.shape[-1]
        self.f0_hz = f0_hz.to(mixture.dtype)
        self.partials = _partials(self.f0_hz, sample_rate, hop, harmonics, inharmonicity)
        frequency = self.partials.multiple * self.partials.cycles[..., None]
        self.sounding = (frequency > 0) & (frequency < 0.5)
        self.frequency = frequency.to(mixture.dtype)
        self.spread = window / DEVIATIONS
        self.time = torch.arange(-(window // 2), window // 2, device=mixture.device, dtype=mixture.dtype)
        self.weight = torch.exp(-0.5 * (self.time / self.spread).square())
        self.padded = self._padded(mixture, len(self.time))
        self.heard = torch.view_as_complex(correlate(self.padded, *self.partials, self.weight, hop))
        self._sort()
        self._gram()

    def amplitudes(self, prior: Tensor, noise: Tensor | None = None) -> Tensor:
        """Returns the complex amplitudes (B, S, N, K) that are most probable under a prior variance (B, S, N, K)."""
        check_floating("Harmonic least squares", prior)
        check_shape("Harmonic least squares: the prior", prior, self.sounding.shape)
        check_values("Harmonic least squares: the prior", prior, -math.inf, LOUDEST**2)
        prior = self._sorted(prior.double().clamp(min=0))
        level = self.band[..., 0].real.double()
        if noise is None:
            count = self.active.sum(-1, keepdim=True).clamp(min=1)
            mean = (prior * self.active).sum(-1, keepdim=True) / count + FAINT
            load = self.ridge * level * mean / (prior + 1e-9 * mean)
        else:
            load = 4 * (self._noise_at(noise).clamp(min=0) + FAINT) / (prior + FAINT)
        load = torch.where(self.active, torch.maximum(load, LEAST_LOAD * level), 1.0)
        return self._unsorted(banded_solve(self.band, load, 2 * self._sorted(self.heard)))

    def estimate(self) -> Tensor:
        """Returns the complex amplitudes (B, S, N, K) under a prior that is taken from the mixture itself."""
        frequency_hz = self.frequency * self.sample_rate
        first = self.amplitudes((200 / frequency_hz.clamp(min=200)).square())
        return self.amplitudes(self.smoothed(first.abs().square()))

    def smoothed(self, power: Tensor) -> Tensor:
        """Averages power (B, S, N, K) over neighbouring harmonics and frames; silent partials count as zero."""
        return _blurred(_blurred(power, -1, SMOOTH_HARMONICS), -2, SMOOTH_FRAMES)

    def audio(self, amplitudes: Tensor) -> Tensor:
        """Renders sources (B, S, T) from complex amplitudes (B, S, N, K).

        Hann windows of four hops cross-fade the frames.
        """
        fade = torch.hann_window(4 * self.hop, dtype=self.weight.dtype, device=self.weight.device) / 2
        parts = torch.view_as_real(amplitudes).to(fade.dtype).contiguous()
        sound = synthesise(parts, *self.partials, fade, self.hop)
        cover = overlap_add(fade.expand(self.f0_hz.shape[-1], -1), self.hop)  # below one at both ends
        inside = slice(2 * self.hop, 2 * self.hop + self.samples)
        return sound[..., inside] / cover[inside]

    def refined_f0(self, prior: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Returns f0 (B, S, N) moved towards where the fitted partials really lie, by at most 60 cents.

        Each partial gets a second amplitude d that grows linearly in time, fitted to what the first one, c,
        leaves over. Im(d / c) is how far its frequency is off, and the partials of a source are averaged,
        weighted by their power.
        """
        c = self.estimate() if prior is None else self.amplitudes(prior, noise)
        moment = correlate(self.padded, *self.partials, self.weight * self.time, self.hop)
        left = 2 * torch.view_as_complex(moment) - self._unsorted(self._moment_of(self._sorted(c)))
        drift = left / (self.spread**2 * self.weight.new_tensor(math.sqrt(2 * math.pi) * self.spread))
        multiple = self.partials.multiple
        votes = (multiple * (drift * c.conj()).imag).sum(-1)
        power = (multiple.square() * c.abs().square()).sum(-1)
        power = power + 0.03 * power.mean(-1, keepdim=True) + FAINT
        widest = self.f0_hz * (2 ** (WIDEST_CENTS / 1200) - 1)
        shift = votes / power * (self.sample_rate / (2 * math.pi))
        return self.f0_hz + torch.minimum(torch.maximum(shift, -widest), widest)

    def _padded(self, mixture: Tensor, length: int) -> Tensor:
        """(B, T) -> (B, 1, (N - 1) * hop + length), frame n from sample n * hop on."""
        frames = self.f0_hz.shape[-1]
        after = (frames - 1) * self.hop + length - length // 2 - mixture.shape[-1]
        return pad(mixture, (length // 2, max(after, 0)))[
            :, None, : (frames - 1) * self.hop + length
        ].contiguous()

    def _sort(self) -> None:
        """Put the partials of all sources of a frame in order of frequency, those that do not sound last."""
        _, sources, _, partials = self.sounding.shape
        number = torch.arange(sources * partials, device=self.frequency.device)
        rows = self._rows(torch.where(self.sounding, self.frequency, torch.inf)).double()
        rows = torch.where(rows.isfinite(), rows, 1.0 + number)
        most = int(self.sounding.sum((1, 3)).max()) if self.sounding.numel() else 0
        self.order = rows.argsort(-1)[:, : max(most, 1)]
        self.active = self._sorted(self.sounding)

    def _rows(self, values: Tensor) -> Tensor:
        """(B, S, N, K) -> (B * N, S * K)."""
        return values.transpose(1, 2).flatten(2).flatten(0, 1)

    def _sorted(self, values: Tensor) -> Tensor:
        """(B, S, N, K) -> (B * N, P)."""
        return self._rows(values).gather(-1, self.order)

    def _unsorted(self, values: Tensor) -> Tensor:
        """(B * N, P) -> (B, S, N, K), zero where nothing sounds."""
        batch, sources, frames, partials = self.sounding.shape
        rows = values.new_zeros(batch * frames, sources * partials)
        rows = rows.scatter(-1, self.order, values * self.active)
        return rows.view(batch, frames, sources, partials).transpose(1, 2)

    def _gram(self) -> None:
        """Inner products of neighbours in frequency, (B * N, P, W + 1).

        Two partials of one source are f0 apart, so within the reach of a window each source has one: as many
        neighbours as sources are enough.
        """
        self._sorted_frequency = self._sorted(self.frequency)
        bend = self.partials.multiple * self.partials.bend[..., None]
        self._sorted_bend = self._sorted(bend.to(self.frequency.dtype))
        own = torch.full_like(self._sorted_frequency, math.sqrt(2 * math.pi) * self.spread)
        columns, count = [own.to(self.heard.dtype)], own.shape[-1]
        for distance in range(1, self.f0_hz.shape[1] + 1):
            product = self._products(distance).product
            columns.append(pad(product, (0, count - product.shape[1])))
        self.band = torch.stack(columns, -1)

    def _products(self, distance: int) -> Products:
        """Of each partial with the one so many places above it in frequency: (B * N, P - distance)."""
        frequency, bend, active = self._sorted_frequency, self._sorted_bend, self.active
        below, above = slice(0, max(frequency.shape[1] - distance, 0)), slice(distance, None)
        turn = 2 * math.pi * (frequency[:, below] - frequency[:, above]) * self.spread
        bent = 2 * math.pi * (bend[:, below] - bend[:, above]) * self.spread**2
        width = torch.complex(torch.ones_like(bent), -bent)
        product = math.sqrt(2 * math.pi) * self.spread * torch.exp(-0.5 * turn**2 / width) / width.sqrt()
        return Products(torch.where(active[:, below] & active[:, above], product, 0), turn, width)

    def _moment_of(self, c: Tensor) -> Tensor:
        """What sorted partials (R, P) put into each other's first moment in time."""
        out = torch.zeros_like(c)
        for distance in range(1, min(self.f0_hz.shape[1] + 1, c.shape[1])):
            product, turn, width = self._products(distance)
            off = 1j * turn * self.spread / width * product
            out[:, distance:] += off * c[:, :-distance]
            out[:, :-distance] += off.conj() * c[:, distance:]
        return out

    def _noise_at(self, noise: Tensor) -> Tensor:
        """Spectrum (B, N, F) read linearly at the sorted partials' frequencies, (B * N, P)."""
        batch, _, frames, _ = self.sounding.shape
        check(
            noise.ndim == 3 and noise.shape[:2] == (batch, frames) and noise.shape[2] > 1,
            f"Harmonic least squares: noise must have the shape ({batch}, {frames}, bands); got {tuple(noise.shape)}.",
        )
        check_floating("Harmonic least squares", noise)
        check_values("Harmonic least squares: the noise", noise, -math.inf, LOUDEST**2)
        place = self._sorted(self.frequency).double().clamp(0, 0.5) * 2 * (noise.shape[2] - 1)
        left = place.floor().clamp(max=noise.shape[2] - 2)
        rows = noise.double().flatten(0, 1)
        return torch.lerp(rows.gather(-1, left.long()), rows.gather(-1, left.long() + 1), place - left)


def _check(mixture: Tensor, f0_hz: Tensor, hop: int, window: int, inharmonicity: Tensor | None) -> None:
    check_computing("Harmonic least squares", mixture)
    check_real("Harmonic least squares", f0_hz)
    frames = -(-mixture.shape[-1] // hop) if hop > 0 and mixture.ndim else 0
    fits = mixture.ndim == 2 and f0_hz.ndim == 3 and len(f0_hz) == len(mixture) and frames > 0
    if not fits or f0_hz.shape[1] < 1 or f0_hz.shape[2] != frames:
        raise DdspZooError(
            f"Harmonic least squares: a mixture (batch, samples) of {tuple(mixture.shape)} needs f0_hz of shape "
            f"(batch, sources, {frames}), one frame every {hop} samples; got {tuple(f0_hz.shape)}."
        )
    check(window >= 2, f"Harmonic least squares: the window must span some samples, got {window}.")
    unvoiced = "; set unvoiced frames to 0 Hz"
    check_values("Harmonic least squares: f0_hz", f0_hz, 0, HIGHEST_HZ, unvoiced)
    check_values("Harmonic least squares: the mixture", mixture, -LOUDEST, LOUDEST)
    if inharmonicity is not None:
        check_floating("Harmonic least squares", inharmonicity)
        check_shape("Harmonic least squares: inharmonicity, like f0_hz,", inharmonicity, f0_hz.shape)
        check_values("Harmonic least squares: inharmonicity", inharmonicity, 0, 1)


def _partials(
    f0_hz: Tensor, sample_rate: float, hop: int, harmonics: int | None, inharmonicity: Tensor | None
) -> Partials:
    """Frequencies of all partials, gliding within a frame as f0 does from the frame before to the one after.

    Where f0 jumps it does not glide.
    """
    f0 = f0_hz.detach().double()
    voiced = f0 > 0
    if harmonics is None:
        lowest = f0[voiced].min().item() if voiced.any() else sample_rate
        harmonics = max(1, int(min(MOST_HARMONICS, sample_rate / 2 / lowest)))
    before, after = torch.cat([f0[..., :1], f0[..., :-1]], -1), torch.cat([f0[..., 1:], f0[..., -1:]], -1)
    steps = (before > 0).double() + (after > 0)
    glide = torch.where(after > 0, after, f0) - torch.where(before > 0, before, f0)
    glide = torch.where(voiced & (glide.abs() < STEEPEST * f0), glide / steps.clamp(min=1), 0)
    bend = glide / (sample_rate * hop)
    number = torch.arange(1, harmonics + 1, device=f0.device, dtype=torch.float64).expand(*f0.shape, -1)
    if inharmonicity is not None:
        number = number * torch.sqrt(1 + inharmonicity.detach().double()[..., None] * number.square())
    return Partials(f0 / sample_rate, bend, number.to(f0_hz.dtype).contiguous())


def _blurred(values: Tensor, axis: int, reach: int) -> Tensor:
    """Mean over neighbours along an axis, weighted by a Hann window."""
    kernel = torch.hann_window(2 * reach + 3, periodic=False, dtype=torch.float64)[1:-1]
    size, out = values.shape[axis], values * (kernel[reach] / kernel.sum()).item()
    for step in range(1, min(reach, size - 1) + 1):
        weight = (kernel[reach + step] / kernel.sum()).item()
        out.narrow(axis, step, size - step).add_(values.narrow(axis, 0, size - step), alpha=weight)
        out.narrow(axis, 0, size - step).add_(values.narrow(axis, step, size - step), alpha=weight)
    return out
