"""Detectors that find when notes begin: all take `Evidence` and return the onset times of each source in seconds.

`make_detector` knows them by name:

gate: where f0 becomes voiced, as the thesis means it.
gate_as_published: where f0 becomes voiced, as the thesis's code has it from series B on.
flux: where the spectrum grows louder.
annotated: where the data says.

An `OnsetHead` (`ddsp_zoo.pitch.onset_head`) detects as well, by its `detect`.

`onset_frames` puts times on the frame grid of the models.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.pitch.track import onsets_from_f0

Times = list[np.ndarray]  # of each source: seconds, increasing, float64

NEAR_SECONDS = 0.05  # an onset farther than this from any pitch of its source belongs to none of its notes
CHUNK_SECONDS = 0.32  # of the published training examples of series B and C
FLUX_HOP_SECONDS = 0.004
OWN_WINDOW_SECONDS, MIXED_WINDOW_SECONDS = 0.016, 0.064  # of a string alone, and among other strings
OWN_SPAN_SECONDS, MIXED_SPAN_SECONDS = 0.008, 0.024  # half of the time over which levels are compared
EARLY_SECONDS = (
    0.0076  # the logarithm makes a window hear an attack when it meets its edge: so long before it
)
FLUX_HARMONICS = 8  # higher ones are mostly those of other strings
QUIETEST_DB = -60.0  # levels count from here on, below the loudest moment


@dataclass(frozen=True)
class Evidence:
    """Holds all that a detector may use to find the onsets of S sources.

    mixture: audio (T,) of all sources together, at ``sample_rate``.
    f0_hz: (S, N) in Hz, 0 where unvoiced; frame n lies at sample n * ``hop_samples``.
    stems: audio (S, T) of each source alone, where there is such a recording.
    annotated: onset times of each source in seconds, where somebody wrote them down.
    """

    mixture: np.ndarray
    f0_hz: np.ndarray
    sample_rate: int
    hop_samples: int
    stems: np.ndarray | None = None
    annotated: Times | None = None

    def __post_init__(self) -> None:
        rows, count = len(self.f0_hz), len(self.mixture)
        if self.mixture.ndim != 1 or self.f0_hz.ndim != 2:
            raise DdspZooError(
                f"Onsets are found in a mixture (T,) with f0_hz (S, N), not {self.mixture.shape} and "
                f"{self.f0_hz.shape}."
            )
        if self.stems is not None and self.stems.shape != (rows, count):
            raise DdspZooError(f"The stems must have shape {(rows, count)}, got {self.stems.shape}.")
        if not (np.isfinite(self.f0_hz).all() and np.isfinite(self.mixture).all()):
            raise DdspZooError("Audio and f0_hz must be finite: write 0 Hz where a source is unvoiced.")

    @property
    def hop_seconds(self) -> float:
        """Returns the distance of the frames of f0_hz in seconds."""
        return self.hop_samples / self.sample_rate


Detector = Callable[[Evidence], Times]


def make_detector(name: str) -> Detector:
    """Returns the detector called ``name``; raises `DdspZooError` for another name."""
    if name not in DETECTORS:
        raise DdspZooError(f"There is no onset detector {name!r}: choose one of {', '.join(DETECTORS)}.")
    return DETECTORS[name]


def gate_onsets(evidence: Evidence) -> Times:
    """Returns the times of the frames where f0 becomes voiced, see `onsets_from_f0` (thesis eq. 5.7-5.9)."""
    return [np.flatnonzero(row) * evidence.hop_seconds for row in onsets_from_f0(evidence.f0_hz)]


def gate_onsets_as_published(evidence: Evidence, chunk_seconds: float = CHUNK_SECONDS) -> Times:
    """Returns onsets as `gate_onsets` does, with two quirks of the published code: a frame early, none at chunk starts.

    Each chunk is looked at alone, and the difference of two neighbouring frames is put at the earlier one. An
    onset on the first frame of a chunk has no such pair, so it is missed.
    """
    chunk = max(round(chunk_seconds / evidence.hop_seconds), 1)
    early = onsets_from_f0(evidence.f0_hz)[:, 1:].copy()
    early[:, chunk - 1 :: chunk] = 0
    return [np.flatnonzero(row) * evidence.hop_seconds for row in early]


def annotated_onsets(evidence: Evidence) -> Times:
    """Returns the annotated times as they are. Raises `DdspZooError` where there are none."""
    if evidence.annotated is None:
        raise DdspZooError("Nobody annotated these onsets: choose another detector.")
    return [np.asarray(times, dtype=float) for times in evidence.annotated]


def flux_onsets(
    evidence: Evidence, high_db: float = 5.0, low_db: float = 1.0, apart_seconds: float = 0.05
) -> Times:
    """Finds the moments where the spectrum of a source grows louder.

    These are peaks of the half-wave rectified difference of log spectra: over all bins of the source's own
    recording where there is one, else over the harmonics of its f0 in the mixture. An onset is the highest
    point, between frames by a parabola, from where the flux exceeds ``high_db`` until it is back below
    ``low_db``. A second one within ``apart_seconds`` counts as the same; one that is far from all pitch of the
    source is left out.
    Source: spectral flux after Bello et al. 2005, in decibels.
    """
    if not evidence.mixture.size:
        return [np.zeros(0) for _ in evidence.f0_hz]
    flux = _harmonic_flux(evidence) if evidence.stems is None else _own_flux(evidence)
    peaks = [pick_peaks(row, high_db, low_db, apart_seconds / FLUX_HOP_SECONDS) for row in flux]
    return keep_pitched([places * FLUX_HOP_SECONDS + EARLY_SECONDS for places in peaks], evidence)


DETECTORS: dict[str, Detector] = {
    "gate": gate_onsets,
    "gate_as_published": gate_onsets_as_published,
    "flux": flux_onsets,
    "annotated": annotated_onsets,
}


def pick_peaks(strength: np.ndarray, high: float, low: float, apart: float) -> np.ndarray:
    """Returns the peaks of (M,) in fractional frames: one from each rise above ``high`` to the next fall below ``low``.

    Peaks less than ``apart`` frames after the last kept one are left out. A parabola through a peak and its
    neighbours gives its place between frames.
    """
    places: list[float] = []
    start = 0
    while (above := np.flatnonzero(strength[start:] > high)).size:
        first = start + above[0]
        below = np.flatnonzero(strength[first:] < low)
        start = first + below[0] if below.size else len(strength)
        place = _vertex(strength, first + int(strength[first:start].argmax()))
        if not places or place - places[-1] >= apart:
            places.append(place)
    return np.array(places)


def blurred_onsets(onset: torch.Tensor) -> torch.Tensor:
    """Returns how likely an onset shall be in each frame (B, S, N): 1 where one is marked, a half beside it."""
    marked = (onset > 0).float()
    beside = torch.nn.functional.max_pool1d(marked, 3, stride=1, padding=1)
    return torch.maximum(marked, 0.5 * beside)


def _vertex(values: np.ndarray, peak: int) -> float:
    """Returns the place, in frames, where a parabola through a peak and its neighbours is highest."""
    if not 0 < peak < len(values) - 1:
        return float(peak)
    left, top, right = (float(v) for v in values[peak - 1 : peak + 2])
    bend = left - 2 * top + right
    return peak + (float(np.clip(0.5 * (left - right) / bend, -0.5, 0.5)) if bend < 0 else 0.0)


def keep_pitched(times: Times, evidence: Evidence) -> Times:
    """Keeps the times within 50 ms of a voiced frame of their source."""
    out = []
    for row, f0 in zip(times, evidence.f0_hz, strict=True):
        voiced = np.flatnonzero(f0 > 0) * evidence.hop_seconds
        out.append(row[_nearest(voiced, row)[1] <= NEAR_SECONDS] if voiced.size else np.zeros(0))
    return out


def onset_frames(times: Times, f0_hz: np.ndarray, hop_seconds: float) -> np.ndarray:
    """Marks the times of each source as onset (S, N) of zeros and ones, at the nearest voiced frames of f0_hz (S, N).

    A model plucks no string without a pitch, so an onset on a rest moves to the nearest voiced frame, up to 50
    ms away; an onset farther away is left out.
    """
    onset = np.zeros(f0_hz.shape, dtype=np.float32)
    for mark, row, f0 in zip(onset, times, f0_hz, strict=True):
        voiced = np.flatnonzero(f0 > 0)
        if voiced.size:
            nearest, distance = _nearest(voiced * hop_seconds, np.asarray(row, dtype=float))
            mark[voiced[nearest[distance <= NEAR_SECONDS]]] = 1
    return onset


def _nearest(places: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of the place nearest to each time, of two the later one, and its distance.

    ``places`` increase and are at least one.
    """
    right = np.searchsorted(places, times).clip(max=len(places) - 1)
    left = (right - 1).clip(min=0)
    nearest = np.where(times - places[left] < np.abs(places[right] - times), left, right)
    return nearest, np.abs(places[nearest] - times)


def _own_flux(evidence: Evidence) -> np.ndarray:
    """Returns the mean rise of all bins of each source's own recording in dB, (S, M)."""
    levels = _levels(evidence.stems, evidence.sample_rate, OWN_WINDOW_SECONDS)
    return _rise(levels, OWN_SPAN_SECONDS).mean(1).numpy()


def _harmonic_flux(evidence: Evidence) -> np.ndarray:
    """Returns the mean rise (S, M) of the mixture at each source's harmonics in dB; 0 for a source without pitch."""
    rate = evidence.sample_rate
    levels = _levels(evidence.mixture[None], rate, MIXED_WINDOW_SECONDS)
    rise = _rise(levels, MIXED_SPAN_SECONDS)[0].numpy()
    frame = np.arange(rise.shape[1]) * FLUX_HOP_SECONDS / evidence.hop_seconds
    out = np.zeros((len(evidence.f0_hz), rise.shape[1]), dtype=np.float32)
    for flux, f0 in zip(out, evidence.f0_hz, strict=True):
        voiced = np.flatnonzero(f0 > 0)
        if voiced.size:
            pitch = f0[voiced[_nearest(voiced.astype(float), frame)[0]]]
            hz = np.arange(1, FLUX_HARMONICS + 1)[:, None] * pitch
            bins = np.round(hz * 2 * (len(rise) - 1) / rate).astype(int)
            values = np.take_along_axis(rise, bins.clip(max=len(rise) - 1), 0)
            flux[:] = (values * (hz < rate / 2)).sum(0) / (hz < rate / 2).sum(0).clip(min=1)
    return out


def _levels(audio: np.ndarray, sample_rate: int, window_seconds: float) -> torch.Tensor:
    """Returns the log spectrogram of audio (S, T) in dB below the loudest bin of each row, (S, F, M), every 4 ms.

    It ends with the last frame whose window lies inside: a tone cut off by the end of the audio would sound
    like a pluck.
    """
    hop = round(FLUX_HOP_SECONDS * sample_rate)
    size = 2 * round(window_seconds * sample_rate / 2)
    power = stft(torch.as_tensor(audio, dtype=torch.float32), size, hop).abs().square()
    power = power[..., : max(audio.shape[-1] - size // 2, 0) // hop + 1]
    loudest = power.amax((1, 2), keepdim=True).clamp(min=1e-12)
    return (10 * torch.log10((power / loudest).clamp(min=1e-12))).clamp(min=QUIETEST_DB)


def _rise(levels: torch.Tensor, span_seconds: float) -> torch.Tensor:
    """Returns the rise of each bin from a span before to a span after, in dB, at least 0; silent beyond the ends."""
    span = round(span_seconds / FLUX_HOP_SECONDS)
    padded = torch.nn.functional.pad(levels, (span, span), value=QUIETEST_DB)
    return (padded[..., 2 * span :] - padded[..., : -2 * span]).clamp(min=0)
