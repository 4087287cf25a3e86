"""A learned onset detector: it reads the mixture at the harmonics of each string, through time and across strings.

A gate cannot see a string that is plucked again at the same pitch, but the levels of its harmonics show it.
They also show that nothing begins where a pitch tracker lost a note for a moment. Which of several strings was
plucked follows from whose harmonics grew, and from those harmonics that no other string shares.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad, relu, smooth_l1_loss

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.pitch.onset_corruption import corrupted, muddied, remixed
from ddsp_zoo.pitch.onsets import Evidence, Times, keep_pitched, pick_peaks
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

STRIDE = 4  # data frames in a frame of the network: the data says where in the frame an onset lies
LAGS = 4  # levels are compared over so many half frames to either side
TONE_SECONDS, NOISE_SECONDS = 0.064, 0.016  # windows for harmonics and for bands
HARMONICS = 10
BAND_EDGES = (0.0, 0.02, 0.04, 0.08, 0.14, 0.23, 0.38, 0.6, 1.0)  # shares of the Nyquist frequency
SHARED_HZ = 20.0  # harmonics of two strings this close are heard as one
REACH = 1.5  # frames from an onset where the network shall still say something of it
FLOOR = 1e-4  # of a bin's power beside the mean
RARE = 4.0  # weight of onsets, which are few, in the loss
APART_FRAMES = 2.5  # two onsets of a string are at least so far apart
AGAIN = 0.7  # share of the threshold below which the probability has to fall between them


class OnsetHead(Learner):
    """Detects when each string is plucked, from the mixture and the strings' f0; it has 0.1 million parameters.

    It is trained on stems at random levels, in rooms and with noise (`muddied`), with exact f0 and with f0 as
    trackers find it (`corrupted`). Rows of f0 are the strings, in the order of ``sources``.

    Args:
        sources: names of the strings.
        sample_rate: of the audio in Hz.
        hop_samples: distance of the data's frames in samples; the network's lie four times as far apart.
        segment_seconds: length of the excerpts.
        width: channels.
        apart: share of training batches in which the strings of an excerpt come from different excerpts.
        gain_db: largest change of a training string's level, up or down.
        threshold: of the probability of an onset.
        optimiser: how it learns.
    """

    needs_pitch = True  # to learn from

    def __init__(
        self,
        sources: tuple[str, ...] = tuple(GUITAR_STRINGS_HZ),
        sample_rate: int = 16000,
        hop_samples: int = 64,
        segment_seconds: float = 4.0,
        width: int = 64,
        apart: float = 0.3,
        gain_db: float = 6.0,
        threshold: float = 0.45,
        optimiser: Optimiser = Optimiser(learning_rate=2e-3),
    ) -> None:
        super().__init__(optimiser)
        self.sources, self.sample_rate, self.hop_samples = tuple(sources), sample_rate, hop_samples
        self.stride = STRIDE * hop_samples
        self.segment_samples = round(segment_seconds * sample_rate) // self.stride * self.stride
        self.apart, self.gain_db, self.threshold = apart, gain_db, threshold
        self.network = OnsetNetwork(feature_count(), len(self.sources), width)
        self.save_hyperparameters()

    def forward(self, mixture: Tensor, f0_hz: Tensor) -> tuple[Tensor, Tensor]:
        """Returns two tensors (B, S, N) from audio (B, T) and f0_hz (B, S, N), whose frame n lies at sample n * stride.

        The first says how likely an onset is near each frame, as logits; the second how many frames after it,
        -1.5 to 1.5.
        """
        return self.network(self.features(mixture, f0_hz))

    def features(self, mixture: Tensor, f0_hz: Tensor) -> Tensor:
        """Returns features (B, S, N, features) of audio (B, T) and f0_hz (B, S, N).

        They do not depend on how loud the audio is.
        """
        pitch = nearest_pitch(f0_hz)
        voiced = (f0_hz > 0).to(mixture.dtype)
        step = torch.log2(pitch / pad(pitch, (1, 0), mode="replicate")[..., :-1])
        about = torch.stack([voiced, torch.log2(pitch / 200), 5 * step.clamp(-0.4, 0.4)], -1)
        tones = self._around(self._tones(mixture, pitch))
        bands = self._around(self._bands(mixture, f0_hz.shape[-1]))[:, None].expand(
            -1, f0_hz.shape[1], -1, -1
        )
        return torch.cat([about, tones, bands, _own_share(pitch, voiced)], -1)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch, with strings at other levels, some from other excerpts, and f0 with errors."""
        generator = self.generator_of_step()
        batch = remixed(batch, self.apart, self.gain_db, generator)
        mixture = muddied(batch["mixture"], self.sample_rate, generator)
        f0_hz = corrupted(batch["f0_hz"][..., ::STRIDE], generator)
        return self._step(mixture, f0_hz, batch["onset"], "train")

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch with the same errors of f0 at every validation."""
        generator = torch.Generator().manual_seed(batch_index)
        f0_hz = corrupted(batch["f0_hz"][..., ::STRIDE], generator)
        return self._step(batch["mixture"], f0_hz, batch["onset"], "validation")

    def test_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch with exact f0."""
        return self._step(batch["mixture"], batch["f0_hz"][..., ::STRIDE], batch["onset"], "test")

    def _step(self, mixture: Tensor, f0_hz: Tensor, onset: Tensor, stage: str) -> Tensor:
        likely, later = (
            part[..., 1:] for part in onset_targets(onset)
        )  # an excerpt begins with no real onset
        logit, offset = (part[..., 1:].float() for part in self(mixture, f0_hz))
        weight = 1 + (RARE - 1) * (likely > 0).to(likely.dtype)
        near = likely > 0
        parts = {
            "found": binary_cross_entropy_with_logits(logit, likely, weight),
            "placed": smooth_l1_loss(offset[near], later[near], reduction="sum")
            / near.sum().clamp(min=1)
            / 10,
        }
        return self.logged_loss(parts, stage, len(mixture))

    @torch.inference_mode()
    def detect(self, evidence: Evidence) -> Times:
        """Returns the onset times of each string, from mixture and f0 alone.

        Raises `DdspZooError` for another number of strings or another sample rate than it was trained on.
        """
        rows, rate = evidence.f0_hz.shape[0], evidence.sample_rate
        if (rows, rate) != (len(self.sources), self.sample_rate):
            raise DdspZooError(
                f"This onset head hears {len(self.sources)} strings at {self.sample_rate} Hz, not {rows} at {rate} Hz: "
                "resample the mixture and give f0 a row for each string."
            )
        count = -(-len(evidence.mixture) // self.stride)
        if not count or not evidence.f0_hz.size:
            return [np.zeros(0)] * rows
        frames = np.round(np.arange(count) * self.stride / evidence.hop_samples).astype(int)
        f0_hz = np.ascontiguousarray(
            evidence.f0_hz[:, frames.clip(max=evidence.f0_hz.shape[1] - 1)], np.float32
        )
        audio = torch.from_numpy(np.ascontiguousarray(evidence.mixture, np.float32))
        logit, offset = self(audio[None].to(self.device), torch.from_numpy(f0_hz)[None].to(self.device))
        likely, offset = (part[0].float().cpu().numpy() for part in (logit.sigmoid(), offset))
        return keep_pitched([self._times(*row) for row in zip(likely, offset, strict=True)], evidence)

    def _times(self, likely: np.ndarray, offset: np.ndarray) -> np.ndarray:
        places = pick_peaks(likely, self.threshold, AGAIN * self.threshold, APART_FRAMES)
        frames = np.round(places).astype(int)
        return np.maximum(frames + offset[frames], 0) * self.stride / self.sample_rate

    def _tones(self, mixture: Tensor, pitch: Tensor) -> Tensor:
        """Returns levels (B, S, N, harmonics, lags) at the harmonics of each pitch, in the half frames around it."""
        n_fft = 2 * round(TONE_SECONDS * self.sample_rate / 2)
        level = _log_level(stft(mixture, n_fft, self.stride // 2).abs().square())
        hz = pitch[..., None] * torch.arange(1, HARMONICS + 1, device=pitch.device)
        place = (hz * n_fft / self.sample_rate).clamp(max=n_fft / 2 - 1e-3).unflatten(2, (-1, 1))
        frames = self._frames(pitch.shape[-1], level.shape[-1]).to(pitch.device)[:, :, None]
        batch = torch.arange(len(level), device=pitch.device)[:, None, None, None, None]
        low = place.floor()
        ends = (level[batch, (low + side).long(), frames] for side in (0, 1))
        return torch.lerp(*ends, place - low).transpose(-1, -2)

    def _bands(self, mixture: Tensor, count: int) -> Tensor:
        """Returns levels of the bands in the half frames around each frame: (B, N, bands, lags)."""
        n_fft = 2 * round(NOISE_SECONDS * self.sample_rate / 2)
        power = stft(mixture, n_fft, self.stride // 2).abs().square()
        edges = [round(share * n_fft / 2) for share in BAND_EDGES]
        bands = [power[:, low : max(high, low + 1)].mean(1) for low, high in zip(edges, edges[1:])]
        level = _log_level(torch.stack(bands, 1))
        return level[:, :, self._frames(count, level.shape[-1])].transpose(1, 2)

    @staticmethod
    def _frames(count: int, most: int) -> Tensor:
        """Returns indices (N, lags) of the half frames around each frame; beyond the ends the last one is repeated."""
        return (2 * torch.arange(count)[:, None] + torch.arange(-LAGS, LAGS + 1)).clamp(0, most - 1)

    @staticmethod
    def _around(levels: Tensor) -> Tensor:
        """Returns the level now and its steps from one half frame to the next: (..., k, lags) -> (..., k * lags)."""
        return torch.cat([levels[..., LAGS : LAGS + 1] / 2 + 1, 2 * levels.diff(dim=-1)], -1).flatten(-2)


class OnsetNetwork(nn.Module):
    """Maps features (B, S, N, C) to logit and offset of an onset, each (B, S, N)."""

    def __init__(self, channels: int, rows: int, width: int) -> None:
        super().__init__()
        self.inward = nn.Linear(channels, width)
        self.row = nn.Parameter(torch.zeros(rows, 1, width))
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 5, dilation=d, padding=2 * d) for d in (1, 2, 4))
        self.others = nn.ModuleList(nn.Linear(2 * width, width) for _ in self.layers)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in self.layers)
        self.outward = nn.Linear(width, 2)
        nn.init.constant_(self.outward.bias, -2.0)  # onsets are rare

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logit and offset; each layer looks at a string's neighbouring frames and at the other strings now."""
        hidden = relu(self.inward(features) + self.row)
        for layer, others, norm in zip(self.layers, self.others, self.norms):
            own = layer(hidden.flatten(0, 1).transpose(1, 2)).transpose(1, 2).unflatten(0, hidden.shape[:2])
            together = others(torch.cat([hidden.amax(1), hidden.mean(1)], -1))[:, None]
            hidden = hidden + relu(norm(own + together))
        logit, place = self.outward(hidden).unbind(-1)
        return logit, REACH * torch.tanh(place + 2)  # begins in the middle


def feature_count() -> int:
    """Returns the number of features of a string in a frame."""
    bands = len(BAND_EDGES) - 1
    return 3 + (HARMONICS + bands) * (2 * LAGS + 1) + HARMONICS


def onset_targets(onset: Tensor) -> tuple[Tensor, Tensor]:
    """Returns two targets (B, S, N) from the data's marks (B, S, 4N).

    The first says how likely an onset is, the second how many frames after the frame it lies. The first is 1
    where an onset lies on the frame, half as much one frame away, and 0 beyond 1.5 frames.
    """
    reach = round(REACH * STRIDE)
    distance = torch.arange(-reach, reach + 1, device=onset.device) / STRIDE
    seen = pad(onset, (reach, reach)).unfold(-1, 2 * reach + 1, STRIDE)
    likely, place = (seen * (1 - distance.abs() / 2)).max(-1)
    return likely, distance[place] * (likely > 0)


def nearest_pitch(f0_hz: Tensor) -> Tensor:
    """Fills the rests (0 Hz) of (B, S, N) with the pitch nearest in time; a row without any pitch gets 100 Hz."""
    frame = torch.arange(f0_hz.shape[-1], device=f0_hz.device).expand(f0_hz.shape)
    far, voiced = 2 * f0_hz.shape[-1], f0_hz > 0
    before = torch.where(voiced, frame, -far).cummax(-1).values
    after = torch.where(voiced, frame, far).flip(-1).cummin(-1).values.flip(-1)
    source = torch.where(frame - before < after - frame, before, after).clamp(0, f0_hz.shape[-1] - 1)
    return torch.where(voiced.any(-1, keepdim=True), f0_hz.gather(-1, source), 100.0)


def _own_share(pitch: Tensor, voiced: Tensor) -> Tensor:
    """Returns how far each harmonic (B, S, N, harmonics) is from those of other strings: 0 on one, 1 far away."""
    hz = pitch[..., None] * torch.arange(1, HARMONICS + 1, device=pitch.device)
    others = pitch[:, None, ..., None]  # (B, 1, S, N, 1)
    distance = (hz[:, :, None] - others * (hz[:, :, None] / others).round().clamp(min=1)).abs()
    itself = torch.eye(pitch.shape[1], device=pitch.device)[None, :, :, None, None]
    shared = torch.exp(-((distance / SHARED_HZ) ** 2)) * voiced[:, None, ..., None] * (1 - itself)
    return 1 - shared.amax(2)


def _log_level(power: Tensor) -> Tensor:
    """Returns decades above the mean of each example."""
    return torch.log10(power / power.mean((1, 2), keepdim=True).clamp(min=1e-20) + FLOOR)
