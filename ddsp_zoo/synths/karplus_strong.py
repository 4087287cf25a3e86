"""Plucked strings: a noise burst into a damped, tuned delay loop."""

import torch
from torch import Tensor

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.dsp.frames import upsample_linear
from ddsp_zoo.dsp.noise import uniform_noise
from ddsp_zoo.dsp.one_pole import one_pole
from ddsp_zoo.dsp.string import string_loop, tuned_delay
from ddsp_zoo.synths.base import Sound, Synth
from ddsp_zoo.synths.control import Control, Controls, ControlSet

LOWEST_F0_HZ = 20.0


class KarplusStrong(Synth):
    """The string model of experiment B4 (thesis section 5.4).

    ``y[n] = a (H_d x)[n] + rho ((1 - b) u[n] + b u[n - 1])`` with u the output one tuned period ago, x a 5-ms
    burst of uniform noise at each onset, H_d the one-pole excitation filter of eq. 5.13 and rho fixed at 0.99.
    The loop runs at ``oversampling`` times the sample rate. An unvoiced frame (f0 = 0) stops the string. The
    loop's output never exceeds a / (1 - rho), whatever the controls do.
    """

    level_controls = ("excitation_gain",)
    feedback = 0.99
    burst_seconds = 0.005

    def __init__(self, sample_rate: int, hop: int, oversampling: int = 2) -> None:
        super().__init__(sample_rate, hop)
        self.oversampling = oversampling
        self.controls = ControlSet(
            (
                Control("excitation_gain", "1", "a: strength of the pluck", curve="amplitude"),
                Control("damping", "1", "b: loop filter, 0.5 damps high partials most", high=0.5,
                        curve="amplitude"),
                Control("dynamics", "1", "r: excitation low-pass, high for a soft pluck", high=0.95,
                        curve="amplitude"),
            )
        )  # fmt: skip

    def render(self, controls: Controls, generator: torch.Generator | None = None) -> Sound:
        """Predicted controls, f0_hz and onset, each (B, S, N, 1) -> audio (B, S, N * hop)."""
        shape = controls["f0_hz"].shape[:3]
        flat = {name: value.reshape(-1, shape[2]) for name, value in controls.items()}
        rate, hop = self.sample_rate * self.oversampling, self.hop * self.oversampling
        voiced = (flat["f0_hz"] > 0).to(flat["f0_hz"].dtype)
        onset = flat["onset"] * voiced  # no pluck without a pitch
        f0 = hold_pitch(flat["f0_hz"]).clamp(LOWEST_F0_HZ, rate / 8)
        gain, damping, dynamics = (flat[name] for name in ("excitation_gain", "damping", "dynamics"))
        pluck, _ = one_pole(self.burst(onset, hop, rate, generator), dynamics, hop, onset)
        pluck = pluck * upsample_linear(gain, hop, jump=onset)
        delay = tuned_delay(f0, damping, rate)
        audio, _ = string_loop(pluck, delay, self.feedback * voiced, damping, hop, onset=onset)
        if self.oversampling > 1:
            audio = import_torchaudio().functional.resample(audio, rate, self.sample_rate)
        audio = audio.unflatten(0, shape[:2])
        return Sound(audio, audio)

    def burst(self, onset: Tensor, hop: int, rate: int, generator: torch.Generator | None) -> Tensor:
        """Uniform noise during the first 5 ms after each onset frame: (R, N) -> (R, N * hop)."""
        length = min(round(self.burst_seconds * rate), hop)
        noise = uniform_noise(onset, (*onset.shape, length), generator) * (onset > 0)[..., None]
        return torch.nn.functional.pad(noise, (0, hop - length)).flatten(-2)


def hold_pitch(f0_hz: Tensor) -> Tensor:
    """Fill unvoiced frames (0 Hz) of (R, N) with the pitch before them, or at the start the one after.

    A string keeps its tuning while it rings off; a row without any pitch is filled with the lowest f0.
    """
    frame = torch.arange(f0_hz.shape[-1], device=f0_hz.device).expand(f0_hz.shape)
    voiced = f0_hz > 0
    last = torch.where(voiced, frame, -1).cummax(-1).values
    first = torch.where(voiced, frame, f0_hz.shape[-1]).amin(-1, keepdim=True)
    source = torch.where(last >= 0, last, first).clamp(max=f0_hz.shape[-1] - 1)
    return f0_hz.gather(-1, source).clamp(min=LOWEST_F0_HZ)
