"""The preliminary experiment: the one parameter of a string that plays a single note (thesis, section 5.2)."""

import math
from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.losses import MultiScaleSpectralLoss
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import QUIETEST_PEAK, Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.mixture_encoder import MixtureEncoder, SourceDecoder
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.synths.one_parameter_string import Excitation, OneParameterString, partials_below_nyquist

Quirk = Literal["range", "tuning", "level"]
SHORTEST_NOTE = 4096  # samples: two windows of `heard_decay`


def heard_decay(
    audio: Tensor,
    f0_hz: Tensor,
    sample_rate: int,
    hop: int,
    n_fft: int = 2048,
    burst_samples: int = 80,
    range_db: float = 50.0,
) -> tuple[Tensor, Tensor]:
    """Returns how fast each partial of a note dies away: nepers per second (R, K), and its weight (R, K).

    audio (R, T) are notes that begin at sample 0, each of one pitch f0_hz (R,), at which partials lie 8 bins apart or
    more; K of them are below the Nyquist frequency for the lowest. The level of a partial is that of its band,
    (k +- 1/2) f0. The rate is the slope of a straight line through it over the frames that are clear of the burst and
    where it lies less than ``range_db`` under the loudest, 0 Hz included, so that what the burst gave it drops out.
    The weight is the number of these frames, 0 where nothing dies away.
    """
    spectrum = stft(audio, n_fft, hop)
    first = -(-(n_fft // 2 + burst_samples) // hop)
    last = audio.shape[-1] // hop - n_fft // (2 * hop) + 1
    power = _bands(f0_hz, sample_rate, n_fft) @ (spectrum.real.square() + spectrum.imag.square())
    level = power[..., first:last].clamp(min=QUIETEST_PEAK**2).log() / 2
    loudest = level.amax(1, keepdim=True).clamp(min=math.log(QUIETEST_PEAK) + range_db / 20 * math.log(10))
    level = level[:, 1:]
    used = (level > loudest - range_db / 20 * math.log(10)).to(level.dtype)
    count = used.sum(-1, keepdim=True).clamp(min=1)
    time = torch.arange(level.shape[-1], device=audio.device) * hop / sample_rate
    time = used * (time - (used * time).sum(-1, keepdim=True) / count)
    rate = -(time * level).sum(-1) / time.square().sum(-1).clamp(min=1e-9)
    return rate, used.sum(-1) * (rate > 0)


def _bands(f0_hz: Tensor, sample_rate: int, n_fft: int) -> Tensor:
    """Which bin belongs to which partial, 0 or 1, counted from that at 0 Hz: (R,) -> (R, K + 1, F)."""
    bins = torch.arange(n_fft // 2 + 1, device=f0_hz.device) * sample_rate / n_fft
    partials = torch.arange(partials_below_nyquist(f0_hz, sample_rate) + 1, device=f0_hz.device)
    return ((bins / f0_hz[:, None]).round()[:, None] == partials[:, None]).to(f0_hz.dtype)


class StringResynthesis(Separator):
    """Finds the cutoff frequency of the string that plays a note; 5 496 195 parameters.

    Args:
        sources: name of the one string.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of a note.
        excitation: new noise at each synthesis, or always the same.
        excitation_seed: of the noise that is always the same.
        compares: the "decay" of the partials, as it is heard and as the string would have it, or as in the thesis
            the "spectrum" of the sounds, which depends on the noise as much as on the string.
        quirks: "range" and "tuning" see `OneParameterString`; "level" plucks at amplitude 1 although the note to be
            matched comes at peak 1; without it the string plays as loud as what it hears.
        optimiser: how it learns.
        masks: exponent and window of the masks.
    """

    needs_pitch = True

    def __init__(
        self,
        sources: tuple[str, ...] = ("string",),
        sample_rate: int = 16000,
        segment_seconds: float = 1.008,
        excitation: Excitation = "random",
        excitation_seed: int = 0,
        compares: Literal["decay", "spectrum"] = "decay",
        quirks: Collection[Quirk] = (),
        optimiser: Optimiser = Optimiser(weight_decay=1e-5),
        masks: Masks = Masks(),
    ) -> None:
        super().__init__(
            sources,
            sample_rate,
            hop_samples=256,
            segment_seconds=segment_seconds,
            supervised=True,
            optimiser=optimiser,
            masks=masks,
        )
        self.synth = OneParameterString(sample_rate, self.hop_samples, excitation, excitation_seed, quirks)
        self.encoder = MixtureEncoder(hop=self.hop_samples)
        self.decoder = SourceDecoder(self.synth.controls.channels)
        self.compares, self.matched_level = compares, "level" not in quirks
        self.loss = MultiScaleSpectralLoss()
        if compares == "decay" and self.segment_samples < SHORTEST_NOTE:
            raise DdspZooError(
                f"A note of {segment_seconds} s is too short to hear it die away: give segment_seconds of at least "
                f"{SHORTEST_NOTE / sample_rate:.2f}, or compare the spectrum."
            )
        self.save_hyperparameters()

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts raw controls: audio (B, T) and f0 (B, S, N) -> (B, S, N, 1)."""
        return self.decoder(self.encoder(audio), f0_hz)

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Predicts as `Separator` does, with one pitch for the whole note, that of `OneParameterString.pitch`.

        Unless the quirk "level" is on, the pluck is as strong as the note is loud; how loud it would be at amplitude 1
        is tried out, with noise of its own.
        """
        controls = super().predict_controls(audio, f0_hz, onset)
        given = controls["f0_hz"]
        pitch = self.synth.pitch(given[..., 0])[..., None, None]
        one = torch.ones_like(given)
        controls |= {"f0_hz": torch.where(given > 0, pitch, 0), "pluck_gain": one}
        if not self.matched_level:
            return controls
        with torch.no_grad(), torch.autocast(audio.device.type, enabled=False):
            tried = self.synth.render(controls, torch.Generator().manual_seed(0)).audio.sum(1)
        peaks = (x.abs().amax(-1).clamp(min=QUIETEST_PEAK) for x in (audio.detach(), tried))
        return self.synth.scale(controls, torch.div(*peaks))

    def losses(self, rendered: Rendered, targets: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        """Measures the distance to the note; logs the mean cutoff frequency beside it."""
        controls = rendered.controls
        stage = "train" if self.training else "validation"
        self.log_dict({f"{stage}/cutoff_hz": controls["cutoff_hz"].detach().mean()}, batch_size=len(mixture))
        if self.compares == "spectrum":
            return super().losses(rendered, targets, mixture)
        return {"decay": self.decay_distance(controls, targets)}

    def decay_distance(self, controls: Controls, targets: Tensor) -> Tensor:
        """Returns the mean absolute log ratio of the string's decay rates to those heard in notes (B, S, T)."""
        f0_hz = self.synth.pitch(controls["f0_hz"][..., 0]).flatten()
        heard, weight = heard_decay(targets.flatten(0, 1), f0_hz, self.sample_rate, self.hop_samples)
        played = self.synth.decay_rates(controls["cutoff_hz"].mean((2, 3)).flatten(), f0_hz)
        apart = (played.clamp(min=1e-6) / heard.clamp(min=1e-6)).log().abs()
        return (weight * apart).sum() / weight.sum().clamp(min=1)
