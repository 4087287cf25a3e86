"""The string of the thesis's preliminary experiment: white noise into a loop with a one-pole low-pass."""

import math
from collections.abc import Collection
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from ddsp_zoo.dsp.noise import Generators, noise_frames, uniform_noise
from ddsp_zoo.dsp.precision import exact
from ddsp_zoo.dsp.string import StringState, string_loop, tuned_delay
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import LOWEST_F0_HZ, Control, Controls, ControlSet, given_notes
from ddsp_zoo.synths.karplus_strong import HIGHEST_F0, fill_pitch, longest_delay
from ddsp_zoo.synths.streaming import Frames, Window

Excitation = Literal["random", "reproducible"]
LOWEST_CUTOFF_HZ = 20.0
NEWTON_STEPS = 4


class OneParameterString(Synth):
    """Plays a lossless loop at one pitch whose only control is the cutoff frequency f_c of its low-pass.

    ``y[n] = x[n] + (h_LP * y)[n - L]`` with x 5 ms of uniform noise in [-1, 1) at each onset, and h_LP the one-pole
    low-pass with alpha = 2 pi f_c / (2 pi f_c + f_sr). A note has one f_c, the mean that `constrain` gives to all its
    frames, and one pitch, the mean that the model takes by `pitch`; `render` plays what is there in each frame. A frame
    without pitch (f0 = 0) stops the string. The loop's gain is 1 and its filters are convex, so the output never
    exceeds the sum of the magnitudes of all bursts. Source: thesis section 5.2.

    Args:
        sample_rate: in Hz.
        hop: samples a frame.
        excitation: new noise for each note, or always the same.
        excitation_seed: what the reproducible noise is drawn from.
        quirks: "range" gives f_c by `exp_sigmoid`, as the heads of the authors' later code, in place of a sigmoid; it
            ends at the Nyquist frequency either way. "tuning" reads the delay line at L - eta + 1 samples for the
            integer and fractional part of the period, and leaves out the low-pass's delay, as that code does.
    """

    burst_seconds = 0.005

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        excitation: Excitation = "random",
        excitation_seed: int = 0,
        quirks: Collection[str] = (),
    ) -> None:
        super().__init__(sample_rate, hop)
        self.excitation, self.excitation_seed, self.quirks = excitation, excitation_seed, quirks
        text, nyquist = "f_c: cutoff of the low-pass in the loop", sample_rate / 2
        curve = "amplitude" if "range" in quirks else "linear"
        cutoff = Control("cutoff_hz", "Hz", text, LOWEST_CUTOFF_HZ, nyquist, curve=curve, join="note")
        gain = Control(
            "pluck_gain", "1", "how loud a note is plucked", role="level", join="note", origin="constant"
        )
        self.controls = ControlSet((cutoff,), (gain, *given_notes(sample_rate)))

    def constrain(self, raw: Tensor) -> Controls:
        """Maps raw outputs (B, S, N, 1) to f_c in Hz, the same in all frames, and a pluck of amplitude 1."""
        cutoff = super().constrain(raw)["cutoff_hz"]
        cutoff = cutoff.mean(2, keepdim=True).expand_as(cutoff)
        return {"cutoff_hz": cutoff, "pluck_gain": torch.ones_like(cutoff)}

    def prepare(self, controls: Controls, generator: Generators | None, notes: None) -> tuple[Frames, None]:
        f0_hz = controls["f0_hz"][..., 0]
        length = min(round(self.burst_seconds * self.sample_rate), self.hop)
        if self.excitation == "reproducible":
            fixed = torch.Generator().manual_seed(self.excitation_seed)
            noise = uniform_noise(f0_hz, (length,), fixed).expand(*f0_hz.shape, length)
        else:
            noise = noise_frames(f0_hz, f0_hz.shape[1], length, generator, row_by_row=True)
        onset = controls["onset"][..., 0] * (f0_hz > 0)  # no pluck without a pitch
        burst = pad(noise * (onset > 0)[..., None], (0, self.hop - length))
        smoothing = 1 / (1 + 2 * math.pi * controls["cutoff_hz"][..., 0] / self.sample_rate)
        burst = burst * controls.get("pluck_gain", 1.0)
        return {"f0_hz": f0_hz, "onset": onset, "smoothing": smoothing, "burst": burst}, None

    def play(
        self, window: Window, sound: tuple[Tensor, StringState] | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, StringState]]:
        f0_hz, onset, smoothing = (window.moving(name) for name in ("f0_hz", "onset", "smoothing"))
        before, string = sound or (None, None)
        filled, before = fill_pitch(f0_hz, before, window.count)
        filled = filled.clamp(LOWEST_F0_HZ, self.highest_f0_hz)
        if string is None and window.lookahead:
            string = StringState.silent(len(f0_hz), longest_delay(self.sample_rate), f0_hz)
        audio, string = string_loop(
            window.now("burst").flatten(1),
            self.delay(filled, smoothing),
            (f0_hz > 0).to(f0_hz.dtype),
            smoothing,
            self.hop,
            loop_filter="one_pole",
            onset=onset,
            state=string,
        )
        return audio, audio, (before, string)

    @property
    def highest_f0_hz(self) -> float:
        """Returns the pitch at which all that is higher sounds."""
        return self.sample_rate * HIGHEST_F0

    def pitch(self, f0_hz: Tensor) -> Tensor:
        """Returns the pitch that a note is played at, the mean of its voiced frames: (..., N) -> (...), in Hz."""
        mean = f0_hz.sum(-1) / (f0_hz > 0).sum(-1).clamp(min=1)
        return mean.clamp(LOWEST_F0_HZ, self.highest_f0_hz)

    def delay(self, f0_hz: Tensor, smoothing: Tensor) -> Tensor:
        """Returns the length of the loop in samples."""
        if "tuning" not in self.quirks:
            return tuned_delay(f0_hz, smoothing, self.sample_rate, "one_pole")
        period = self.sample_rate / f0_hz
        return 2 * period.floor() - period + 1

    def decay_rates(self, cutoff_hz: Tensor, f0_hz: Tensor) -> Tensor:
        """Returns how fast the loop damps each partial: (R,) and (R,) -> nepers per second (R, K), in order of k.

        The poles e^s of the string, per sample, are the roots of log G(e^s) = -2 pi i k with G what a round does to
        a wave: low-pass, linear interpolation and delay. Newton's method finds them from the partials' frequencies.
        """
        smoothing = 1 / (1 + 2 * math.pi * exact(cutoff_hz) / self.sample_rate)[:, None]
        delay = self.delay(exact(f0_hz)[:, None], smoothing)
        whole = delay.detach().floor()
        partial = torch.arange(1, partials_below_nyquist(f0_hz, self.sample_rate) + 1, device=delay.device)
        s = 2j * math.pi * partial * exact(f0_hz)[:, None] / self.sample_rate
        turns = 2j * math.pi * partial
        for _ in range(NEWTON_STEPS):
            back = torch.exp(-s)
            interpolated = 1 + (delay - whole) * (back - 1)
            low_pass = 1 - smoothing * back
            off = torch.log((1 - smoothing) * interpolated / low_pass) - whole * s + turns
            slope = -whole - smoothing * back / low_pass - (delay - whole) * back / interpolated
            s = s - off / slope
        return (-self.sample_rate * s.real).to(cutoff_hz)


def partials_below_nyquist(f0_hz: Tensor, sample_rate: int) -> int:
    """Returns how many partials the lowest of some pitches has."""
    return max(1, math.ceil(sample_rate / 2 / float(f0_hz.min())) - 1)
