"""Bands that are evenly spaced on the mel scale: mel = 2595 log10(1 + f / 700 Hz) (O'Shaughnessy 1987)."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.checks import check, check_real

LOWEST_MEL_HZ = 20.0  # lower end of the lowest band that networks hear


def hz_to_mel(frequency_hz: Tensor) -> Tensor:
    """Converts a frequency in Hz, above -700, to mel."""
    check_real("The mel scale", frequency_hz)
    return 2595.0 * torch.log10(1.0 + frequency_hz / 700.0)


def mel_to_hz(mel: Tensor) -> Tensor:
    """Converts mel to a frequency in Hz."""
    check_real("The mel scale", mel)
    return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)


def mel_grid(low_hz: float, high_hz: float, bands: int) -> tuple[Tensor, float]:
    """Returns the centres (bands,) in mel of bands between two frequencies, and their distance in mel.

    The first centre lies one distance above ``low_hz``, the last one below ``high_hz``: these are the triangles
    of a mel filter bank, whose corners are the neighbouring centres. Raises `DdspZooError` where there is no
    band between the two.
    """
    check(
        0 <= low_hz < high_hz < torch.inf and bands >= 1,
        f"Mel bands need two frequencies, the lower one first, and a number of bands; got {low_hz:g} and "
        f"{high_hz:g} Hz, {bands}.",
    )
    low, high = (hz_to_mel(torch.tensor(bound, dtype=torch.float64)) for bound in (low_hz, high_hz))
    distance = (high - low) / (bands + 1)
    centres = low + distance * torch.arange(1, bands + 1, dtype=torch.float64)
    return centres.float(), float(distance)


def mel_filter_bank(low_hz: float, high_hz: float, bands: int, points: int, nyquist_hz: float) -> Tensor:
    """Returns the usual mel filters (bands, points), float64, at ``points`` frequencies from 0 Hz to Nyquist.

    They are triangles of height one whose sides are straight in Hz and whose corners are evenly spaced in mel,
    as in torchaudio (``melscale_fbanks``, HTK, without norm): published features and MFCC are defined by these.
    Unlike those of `mel_triangles`, their weights do not sum to one, and what lies outside belongs to no band.
    Raises `DdspZooError` as `mel_grid`, and without points.
    """
    mel_grid(low_hz, high_hz, bands)
    _check_points(points, nyquist_hz)
    low, high = hz_to_mel(torch.tensor([low_hz, high_hz], dtype=torch.float64)).tolist()
    corners_hz = mel_to_hz(torch.linspace(low, high, bands + 2, dtype=torch.float64))[:, None]
    hz, width = torch.linspace(0, nyquist_hz, points, dtype=torch.float64), corners_hz.diff(dim=0)
    rising, falling = (hz - corners_hz[:-2]) / width[:-1], (corners_hz[2:] - hz) / width[1:]
    return torch.minimum(rising, falling).clamp(min=0)


def mel_triangles(low_hz: float, high_hz: float, bands: int, points: int, nyquist_hz: float) -> Tensor:
    """Returns weights (bands, points) of triangular bands at ``points`` frequencies from 0 Hz to the Nyquist frequency.

    Between the outermost centres the weights of each frequency sum to one, so that they also interpolate from
    bands to frequencies; what lies outside belongs to the outermost bands.
    Raises `DdspZooError` as `mel_grid`, and without points.
    """
    _check_points(points, nyquist_hz)
    centres, distance = mel_grid(low_hz, high_hz, bands)
    mel = hz_to_mel(torch.linspace(0, nyquist_hz, points)).clamp(float(centres[0]), float(centres[-1]))
    return (1 - (mel - centres[:, None]).abs() / distance).clamp(min=0)


def _check_points(points: int, nyquist_hz: float) -> None:
    check(
        points >= 1 and 0 < nyquist_hz < torch.inf,
        f"Mel bands are read at one point or more up to a frequency; got {points} and {nyquist_hz:g} Hz.",
    )
