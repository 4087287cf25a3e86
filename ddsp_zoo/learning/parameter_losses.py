"""Distances of controls, and of spectra along frequency, from which a network learns where a frequency lies.

A spectral loss compares two spectra bin by bin, so a sinusoid that is far from its place learns nothing about
the way there. These distances tell the direction: `consistency` from the true frequencies, `spectral_transport`
from the spectra alone. All are pure functions, safe on silence: finite values, finite gradients. Sources: Engel
et al. 2020b (inverse synthesis) for `consistency` and the note parameters; Torres, Peeters and Richard 2024 for
the transport.

No model of the package learns by them yet. They are kept for inverse synthesis, which learns from notes whose
controls are known (`SyntheticNotes`), and `benchmarks/frequency.py` measures them.
"""

import torch
from torch import Tensor

from ddsp_zoo.dsp.scale import hz_to_midi

LEAST = 1e-7  # amplitudes, and powers of a spectrum, below count as none
QUIETEST = 1e-5  # summed amplitudes below are silence: they have a level, but no frequency
LOWEST_COMPARED_HZ = 20.0


def line_spectrum(
    f0_hz: Tensor, amplitude: Tensor, distribution: Tensor, sample_rate: float
) -> tuple[Tensor, Tensor]:
    """Returns frequency_hz and amplitude, each (..., H), of the partials of notes.

    Notes are given by f0_hz and amplitude (...) and distribution (..., H). Partials at or above the Nyquist
    frequency, and those of notes without pitch (0 Hz), are silent.
    """
    number = torch.arange(1, distribution.shape[-1] + 1, device=f0_hz.device, dtype=f0_hz.dtype)
    frequency_hz = f0_hz[..., None] * number
    sounds = (frequency_hz < sample_rate / 2) & (frequency_hz > 0)
    return frequency_hz, torch.where(sounds, amplitude[..., None] * distribution, 0)


def consistency(
    frequency_hz: Tensor,
    amplitude: Tensor,
    true_frequency_hz: Tensor,
    true_amplitude: Tensor,
    sigma_semitones: float = 0.1,
    level_weight: float = 1.0,
) -> Tensor:
    """Returns the distance (...) of two line spectra, given by frequencies and amplitudes (..., K) and (..., L).

    Each spectrum is a density over pitch: a Gaussian of ``sigma_semitones`` at every line, weighted by its
    share of the amplitude. The distance is how much less likely the lines of each are under the density of the
    other than under its own, both ways, plus ``level_weight`` times the difference of the summed amplitudes. It
    depends neither on the order of the lines nor on splitting one into several at the same place. It is zero
    for equal spectra and grows with the square of the distance to the nearest line, so that its gradient is
    largest far away. But two lines may settle on one and leave another empty. Where either spectrum is silent
    only the levels are compared.

    Source: Engel et al. 2020b, whose loss lacks the two own likelihoods (so it has no zero) and averages
    amplitudes where here they are summed.
    """
    here, there = _pitch(frequency_hz), _pitch(true_frequency_hz)
    level, true_level = amplitude.sum(-1), true_amplitude.sum(-1)
    weight, true_weight = _shares(amplitude), _shares(true_amplitude)

    def surprise(points: Tensor, of: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
        distance = (points[..., :, None] - centres[..., None, :]) / sigma_semitones
        likely = weights.clamp(min=LEAST).log()[..., None, :] - distance.square() / 2
        return -(of * likely.logsumexp(-1)).sum(-1)

    apart = (
        surprise(here, weight, there, true_weight)
        - surprise(here, weight, here, weight)
        + surprise(there, true_weight, here, weight)
        - surprise(there, true_weight, there, true_weight)
    )
    return torch.where(_both_sound(level, true_level), apart, 0) + level_weight * (level - true_level).abs()


def spectral_transport(spectrum: Tensor, true_spectrum: Tensor, positions: Tensor) -> Tensor:
    """Returns how far (...) one spectrum (..., F) must be moved to become the other, at ``positions`` (F,).

    It is the Wasserstein distance of first order between spectra of unit sum, in the unit of the rising
    ``positions``: for two single lines, the distance between them. Its closed form is the area between the two
    cumulative sums. It is 0 where either spectrum is silent; levels are not compared. Source: Torres, Peeters
    and Richard 2024; Villani.
    """
    total, true_total = spectrum.sum(-1, keepdim=True), true_spectrum.sum(-1, keepdim=True)
    share, true_share = spectrum / total.clamp(min=LEAST), true_spectrum / true_total.clamp(min=LEAST)
    ahead = (share - true_share).cumsum(-1)[..., :-1]
    distance = (ahead.abs() * positions.diff()).sum(-1)
    sounding = (total > LEAST) & (true_total > LEAST)
    return torch.where(sounding[..., 0], distance, 0)


def line_transport(
    frequency_hz: Tensor, amplitude: Tensor, true_frequency_hz: Tensor, true_amplitude: Tensor
) -> Tensor:
    """Returns the `spectral_transport` (...) in semitones of two line spectra.

    Frequencies and amplitudes are (..., K) and (..., L). Unlike `consistency` it never sends two lines to one
    place while another stays empty, so it does not get stuck far from the goal (`benchmarks/frequency.py`). It
    is 0 where either spectrum is silent; levels are not compared.
    """
    lines = torch.cat([_pitch(frequency_hz), _pitch(true_frequency_hz)], dim=-1)
    weight, true_weight = _shares(amplitude), _shares(true_amplitude)
    lines, order = lines.sort(-1)
    ahead = torch.cat([weight, -true_weight], dim=-1).gather(-1, order).cumsum(-1)[..., :-1]
    distance = (ahead.abs() * lines.diff(dim=-1)).sum(-1)
    return torch.where(_both_sound(amplitude.sum(-1), true_amplitude.sum(-1)), distance, 0)


def transport_distance(
    audio: Tensor, true_audio: Tensor, sample_rate: float, n_fft: int = 2048, hop: int = 512
) -> Tensor:
    """Returns the mean `spectral_transport` (...) in semitones between the power spectra of windows of audio (..., T).

    Each window counts by the power of the true signal in it. Only windows that lie inside the signal are taken.
    Power is moved and not magnitude: in magnitude, the skirts that a cut or a window gives every line are wide
    enough to reverse the gradient (measured by `benchmarks/frequency.py`). Below 20 Hz nothing is compared.
    """
    first = max(1, -int(-LOWEST_COMPARED_HZ * n_fft // sample_rate))
    bins = torch.arange(first, n_fft // 2 + 1, device=audio.device) * (sample_rate / n_fft)
    spectra = [_power(x, n_fft, hop)[..., first:] for x in (audio, true_audio)]
    weight = spectra[1].sum(-1)
    weight = weight / weight.sum(-1, keepdim=True).clamp(min=LEAST)
    return (weight * spectral_transport(*spectra, _pitch(bins.to(audio.dtype)))).sum(-1)


def note_distances(
    f0_hz: Tensor,
    amplitude: Tensor,
    distribution: Tensor,
    true_f0_hz: Tensor,
    true_amplitude: Tensor,
    true_distribution: Tensor,
) -> dict[str, Tensor]:
    """Returns mean absolute differences of notes, {term: scalar}, from f0_hz, amplitude (...), distribution (..., H).

    "amplitude" is over all frames; "distribution" (summed over the harmonics) and "f0" (in semitones) are over
    the frames that truly sound, weighted by how loud they are. Source: Engel et al. 2020b.
    """
    weight = true_amplitude * (true_f0_hz > 0)
    weight = weight / weight.sum().clamp(min=LEAST)
    return {
        "amplitude": (amplitude - true_amplitude).abs().mean(),
        "distribution": (weight * (distribution - true_distribution).abs().sum(-1)).sum(),
        "f0": (weight * (_pitch(f0_hz) - _pitch(true_f0_hz)).abs()).sum(),
    }


def noise_distance(magnitude: Tensor, true_magnitude: Tensor) -> Tensor:
    """Returns the mean absolute difference of noise filters (..., F), a scalar. Source: Engel et al. 2020b."""
    return (magnitude - true_magnitude).abs().mean()


def _shares(amplitude: Tensor) -> Tensor:
    """Parts of the sum over the last axis; none of silence."""
    return amplitude / amplitude.sum(-1, keepdim=True).clamp(min=LEAST)


def _both_sound(level: Tensor, true_level: Tensor) -> Tensor:
    return (level > QUIETEST) & (true_level > QUIETEST)


def _pitch(frequency_hz: Tensor) -> Tensor:
    """MIDI note numbers; what lies below 20 Hz, unvoiced frames too, counts as 20 Hz."""
    return hz_to_midi(frequency_hz.clamp(min=LOWEST_COMPARED_HZ))


def _power(audio: Tensor, n_fft: int, hop: int) -> Tensor:
    """|X|^2 of the windows inside a signal, one at least: (..., T) -> (..., N, n_fft // 2 + 1)."""
    window = torch.hann_window(n_fft, device=audio.device, dtype=audio.dtype)
    audio = torch.nn.functional.pad(audio, (0, max(0, n_fft - audio.shape[-1])))
    spectrum = torch.fft.rfft(audio.unfold(-1, n_fft, hop) * window)
    return spectrum.real.square() + spectrum.imag.square()
