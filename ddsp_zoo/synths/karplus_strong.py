"""Plucked strings: a noise burst into a damped, tuned delay loop."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from ddsp_zoo._compat import import_torchaudio
from ddsp_zoo.dsp.feedback import FeedbackState, feedback_loop
from ddsp_zoo.dsp.frames import hold, upsample_linear
from ddsp_zoo.dsp.noise import Generators, noise_frames, uniform_noise
from ddsp_zoo.dsp.one_pole import dc_block, high_pass_lead, high_pass_pole, one_pole
from ddsp_zoo.dsp.string import LoopFilter, StringState, magnitude, string_loop, tuned_delay
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.base import Sound, Synth
from ddsp_zoo.synths.control import LOWEST_F0_HZ, Control, Controls, ControlSet, Role, given_notes
from ddsp_zoo.synths.streaming import Frames, Window
from ddsp_zoo.synths.string_controls import LOSSLESS, QUIRKS, check_names, known_controls, with_ranges

HIGHEST_F0 = 1 / 8  # of the loop's rate: what is higher sounds there
LOWEST_CEILING = 1e-12  # of a string that is silenced, whose pluck is 0 too
DC_HZ = 5.0  # of the DC blocker (thesis eq. 5.5)
RESAMPLED_OVER = 8  # periods of the lower rate to either side that a resampled sample is made of, at most
Excitation = Literal["burst", "noise"]
TURN = "turn"  # where a pluck is a single sample and not a burst: whether it is the string's turn
Clip = bool | Literal["feedback", "before_gain"]


class LoopState(NamedTuple):
    """Holds what strings remember between pieces.

    pitch: the last one in Hz (R,), 0 where there has been none.
    held: the pitch that is held (R,), likewise.
    low_pass, dc: states of the excitation's filters (R,).
    string: state of the loop.
    heard: frames of the loop that wait to be resampled.
    """

    pitch: Tensor | None
    held: Tensor | None
    low_pass: Tensor | None
    dc: Tensor | None
    string: StringState | FeedbackState | None
    heard: Window | None


class KarplusStrong(Synth):
    """Plays the string models of experiments A to D (thesis sections 5.3 to 5.5).

    ``y[n] = a (H_d x)[n] + rho (H_a u)[n]`` with u the output one tuned period ago, x a 5-ms burst of uniform noise
    at each onset, H_d the one-pole excitation filter of eq. 5.13 and H_a the loop filter. The loop runs at
    ``oversampling`` times the sample rate. What the network does not predict is fixed: a = 1, r = 0, b = 0.5 and
    rho so near 1 that only H_a takes energy, or 0.99 where b is predicted. An unvoiced frame (f0 = 0) stops the
    string, unless its pitch is held. The loop's output never exceeds a / (1 - rho), whatever the controls do.

    Args:
        sample_rate: of the audio in Hz.
        hop: samples a frame.
        predicts: names of the controls that a network predicts, of those in `string_controls.known_controls`.
        loop_filter: "one_pole" of a cutoff frequency (eq. 5.2; series A), or "one_zero" (eq. 5.11; series B to D).
        excitation: "burst" at each onset, or "noise" that never ends, shaped by 64 gains a frame (experiment C2).
        hold_pitch: keep the pitch of an onset up to the next (experiment C1).
        clip: limit the string to the mixture's peak inside the loop (experiment B2.1); or only the "feedback", after
            its gain (C2), or "before_gain".
        oversampling: rate of the loop over the sample rate.
        quirks: of `string_controls.QUIRKS`: what the authors' code does otherwise than the thesis says.
        high_pass_hz: cutoff of a DC blocker in the loop (eq. 5.4 to 5.6; 5 Hz in series A); 0: none.
        chunk_seconds: play in chunks as the authors' code does: each is resampled alone, has lost the sample before
            it, and is as loud as ``output_level`` says; 0: in one piece.
        ranges: other ranges of controls, by name, see `string_controls.with_ranges`.
        constants: values of controls that are not predicted, by name, in place of those above.
        burst_seed: of the burst that there is with the quirk "one_burst".
    """

    feedback, lossless = 0.99, LOSSLESS
    burst_seconds = 0.005
    noise_gains = 64

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        predicts: Sequence[str] = ("excitation_gain", "damping", "dynamics"),
        loop_filter: LoopFilter = "one_zero",
        excitation: Excitation = "burst",
        hold_pitch: bool = False,
        clip: Clip = False,
        oversampling: int = 2,
        quirks: Sequence[str] = (),
        high_pass_hz: float = 0.0,
        chunk_seconds: float = 0.0,
        ranges: Mapping[str, Sequence[float]] | None = None,
        constants: Mapping[str, float] | None = None,
        burst_seed: int = 0,
    ) -> None:
        super().__init__(sample_rate, hop)
        self.oversampling = oversampling
        self.loop_rate, self.loop_hop = sample_rate * oversampling, hop * oversampling
        self.loop_filter, self.excitation = loop_filter, excitation
        self.hold_pitch, self.clip, self.quirks = hold_pitch, clip, frozenset(quirks)
        self.burst_seed = burst_seed
        self.dc_pole = high_pass_pole(high_pass_hz, self.loop_rate) if high_pass_hz else 0.0
        self.group = max(round(chunk_seconds * sample_rate / hop), 1)
        self.chunked = chunk_seconds > 0
        self.after = 0 if self.chunked else 2 if "early_onsets" in quirks else 1
        level: Role = "timbre" if self.chunked else "level"  # chunks are levelled after the loop
        gains = self.noise_gains if excitation == "noise" else 1
        self.known = known = with_ranges(known_controls(level, gains, self.loop_rate / 2), ranges)
        check_names("control", predicts, known)
        check_names("quirk", quirks, QUIRKS)
        self.limited = "filters_sum" in quirks or isinstance(clip, str)
        if self.limited and (loop_filter == "one_pole" or clip is True):
            raise DdspZooError(
                'A limited feedback and "filters_sum" go with loop_filter one_zero, and clip false, feedback or '
                "before_gain: change one of them."
            )
        self.fixed = {
            "excitation_gain": 1.0,
            "damping": 0.5,
            "dynamics": 0.0,
            "ceiling": 1.0,
            "feedback": self.feedback if "damping" in predicts else self.lossless,
        }
        check_names("control", constants or {}, self.fixed)
        self.fixed |= constants or {}
        others = known | {
            "ceiling": Control("ceiling", "1", "what the string cannot exceed in its loop", role=level)
        }
        if self.chunked:
            self.fixed["output_level"] = 1.0
            others["output_level"] = Control(
                "output_level", "1", "how loud the string is played", role="level"
            )
        beside = [
            replace(others[name], size=1, origin="constant") for name in self.fixed if name not in predicts
        ]
        self.controls = ControlSet(
            tuple(known[name] for name in predicts), (*beside, *given_notes(sample_rate))
        )

    def constrain(self, raw: Tensor) -> Controls:
        """Maps raw network outputs (B, S, N, channels) to every control, {name: (B, S, N, k)}, the fixed ones too."""
        fixed = {name: raw.new_full((*raw.shape[:-1], 1), value) for name, value in self.fixed.items()}
        return fixed | super().constrain(raw)

    def probe(
        self, controls: Controls, generator: Generators | None = None, state: Any = None, last: bool = True
    ) -> Sound:
        """Renders what the expected spectra are taken from, see `Synth.probe`: two strings for each source.

        A burst of noise has random holes in its spectrum; on the average it is flat, as that of a single sample is.
        So plucks are single samples here. They take turns on the two strings: a new pluck and what rings of the one
        before are equally likely to help and to hinder one another, and on two strings they do neither. Noise that
        never ends is drawn twice.
        """
        played, state = state or (controls["onset"][:, :, :1] * 0, state)
        plucks = played + (controls["onset"] > 0).cumsum(2)
        turn = plucks.remainder(2)
        twice = {name: torch.cat([value, value], dim=1) for name, value in controls.items()}
        twice[TURN] = torch.cat([turn, 1 - turn], dim=1)
        sound = self.render(twice, generator, state, last)
        tonal = sound.tonal.unflatten(1, (2, -1)).transpose(1, 2)
        played = torch.cat([played, plucks], dim=2)[:, :, -1:]
        return Sound(tonal, tonal, None if last else (played, sound.state))

    def prepare(self, controls: Controls, generator: Generators | None, notes: None) -> tuple[Frames, None]:
        f0_hz, size = controls["f0_hz"], self.burst_samples
        if self.excitation == "noise":
            noise = noise_frames(f0_hz, f0_hz.shape[1], self.loop_hop, generator, row_by_row=True)
        elif TURN in controls:  # one sample with the mean power of a burst
            # Where it stands decides what is left of it below 200 Hz without the mean: that of a burst, if it is as far
            # from the middle as the samples of a burst are in the quadratic mean.
            place = round(size * (1 / 2 - 1 / math.sqrt(12)))
            noise = pad(controls[TURN] * math.sqrt(size / 3), (place, size - place - 1))
        elif "one_burst" in self.quirks:
            drawn = uniform_noise(f0_hz, (size,), torch.Generator().manual_seed(self.burst_seed))
            noise = drawn.expand(*f0_hz.shape[:2], size)
        else:
            noise = noise_frames(f0_hz, f0_hz.shape[1], size, generator, row_by_row=True)
        names = {"f0_hz", "onset", *self.fixed, *self.known} & set(controls)
        return {name: controls[name] for name in names} | {"noise": noise}, None

    def play(self, window: Window, sound: LoopState | None) -> tuple[Tensor, Tensor, LoopState]:
        state = sound or LoopState(*(None,) * 6)
        if not self.chunked:
            return self._play(window, state)
        sounds = []
        for start in range(0, window.count, self.group):
            alone = window.alone(start, self.group)
            audio, _, state = self._play(alone, self._cut(state))
            sounds.append(audio)
        audio = torch.cat(sounds, dim=1)
        return audio, audio, state

    def _play(self, window: Window, state: LoopState) -> tuple[Tensor, Tensor, LoopState]:
        looped, state = self._loop(window, state)
        frames = {"audio": looped.unflatten(1, (-1, self.loop_hop))}
        if "output_level" in window.frames:
            frames["level"] = window.now("output_level")
        if self.oversampling == 1:
            audio = (frames["audio"] * frames.get("level", 1)).flatten(1)
            return audio, audio, state
        reach = -(-RESAMPLED_OVER * self.oversampling // self.loop_hop)
        heard = Window.over(state.heard, frames, reach, not window.lookahead)
        audio = import_torchaudio().functional.resample(
            heard.frames["audio"].flatten(1), self.loop_rate, self.sample_rate
        )
        audio = heard.cut(audio, self.hop)
        if "level" in frames:
            audio = (audio.unflatten(1, (-1, self.hop)) * heard.now("level")).flatten(1)
        return audio, audio, state._replace(heard=heard.waiting(reach))

    def _cut(self, state: LoopState) -> LoopState:
        """What goes on at the start of a chunk: nothing is left to be resampled, and the last sample is lost."""
        if state.string is None:
            return state
        history = state.string.history
        history = torch.cat([history[:, :-1], torch.zeros_like(history[:, -1:])], dim=1)
        return state._replace(heard=None, string=state.string._replace(history=history))

    def _loop(self, window: Window, state: LoopState) -> tuple[Tensor, LoopState]:
        """The string at the loop's rate: -> (R, count * loop_hop)."""
        flat = {name: window.moving(name) for name in window.frames}
        f0_hz, onset, voiced, state = self._pitch(window, state)
        jump = torch.ones_like(onset) if "held_controls" in self.quirks else onset
        excitation, state = self._excitation(flat, onset, jump, voiced, window, state)
        smoothing = self._smoothing(flat)
        ahead = window.lookahead
        if "balance" in flat:
            excitation = excitation * upsample_linear(flat["balance"][..., 0], self.loop_hop, jump, ahead)
        ceiling = excitation.new_ones(1)
        if self.clip:
            ceiling = upsample_linear(flat["ceiling"][..., 0], self.loop_hop, lookahead=ahead)
        audio, string = self._ring(
            excitation / ceiling.clamp(min=LOWEST_CEILING),
            self._delay(f0_hz, smoothing),
            voiced * self._feedback(flat, f0_hz, smoothing),
            smoothing,
            jump,
            state.string,
            ahead or self.chunked,
        )
        return audio * ceiling, state._replace(string=string)

    def _ring(
        self,
        excitation: Tensor,
        delay: Tensor,
        gain: Tensor,
        smoothing: Tensor,
        jump: Tensor,
        string: StringState | FeedbackState | None,
        goes_on: bool,
    ) -> tuple[Tensor, StringState | FeedbackState]:
        """The loop as such, and its state."""
        if string is None and goes_on:
            kind = FeedbackState if self.limited else StringState
            longest = longest_delay(self.loop_rate)
            longest += (
                longest // 4 if self.dc_pole else 0
            )  # a high-pass leads by a quarter of a round at most
            string = kind.silent(len(excitation), longest, excitation)
        given = (excitation, delay, gain, smoothing, self.loop_hop)
        options = {"onset": jump, "dc_pole": self.dc_pole, "state": string}
        if not self.limited:
            return string_loop(*given, loop_filter=self.loop_filter, clip=bool(self.clip), **options)
        return feedback_loop(
            *given, limit=self.clip or "none", filters_sum="filters_sum" in self.quirks, **options
        )

    def _pitch(self, window: Window, state: LoopState) -> tuple[Tensor, Tensor, Tensor, LoopState]:
        """The loop's pitch in every frame, where it is plucked and where it rings: -> three (R, N), and the state."""
        f0_hz, onset = (window.frames[name][..., 0] for name in ("f0_hz", "onset"))
        ringing = (f0_hz > 0).to(f0_hz.dtype)
        onset = onset * ringing  # no pluck without a pitch
        begins = ringing if state.pitch is None else ringing * (state.pitch == 0)[:, None]
        rings_on = "rings_on" in self.quirks
        f0_hz, pitch = fill_pitch(f0_hz, state.pitch, window.count, not rings_on)
        if "early_onsets" in self.quirks:
            onset = torch.cat([onset[:, 1:], torch.zeros_like(onset[:, :1])], dim=-1)
            ringing = torch.maximum(ringing, onset)
        if rings_on:
            ringing = torch.ones_like(ringing)
        state = state._replace(pitch=pitch)
        if self.hold_pitch:
            first = begins * (begins.cumsum(-1) == 1)  # until a string is plucked, its first pitch is held
            held = hold(f0_hz, onset if rings_on else torch.maximum(onset, first), state.held)
            state = state._replace(held=held[:, window.count - 1])
            f0_hz = torch.where(held > 0, held, f0_hz)
            ringing = ringing if rings_on else (held > 0).to(ringing.dtype)
        f0_hz = f0_hz.clamp(LOWEST_F0_HZ, self.highest_f0_hz)
        stop = window.count + window.lookahead
        return f0_hz[:, :stop], onset[:, :stop], ringing[:, :stop], state

    def _excitation(
        self,
        controls: Controls,
        onset: Tensor,
        jump: Tensor,
        voiced: Tensor,
        window: Window,
        state: LoopState,
    ) -> tuple[Tensor, LoopState]:
        """Noise, its level and its low-pass: -> (R, count * loop_hop). Thesis figures 5.13 and 5.17."""
        gain, dynamics, noise = controls["excitation_gain"], controls["dynamics"][..., 0], window.now("noise")
        if self.excitation == "noise":
            if "rings_on" not in self.quirks:
                gain = gain * voiced[..., None]  # a string without pitch is not played
            gain = self._noise_gain(gain)[:, : noise[0].numel()]
            soft, low_pass = one_pole(noise.flatten(1) * gain, dynamics, self.loop_hop, jump, state.low_pass)
            if "raw_noise" in self.quirks:
                return soft, state._replace(low_pass=low_pass)
            audio, dc = dc_block(soft, DC_HZ, self.loop_rate, state.dc)
            return audio, state._replace(low_pass=low_pass, dc=dc)
        burst = self.burst(onset[:, : window.count], noise)
        soft, low_pass = one_pole(burst, dynamics, self.loop_hop, jump, state.low_pass)
        gain = upsample_linear(gain[..., 0], self.loop_hop, jump, window.lookahead)
        return soft * gain, state._replace(low_pass=low_pass)

    def _noise_gain(self, gain: Tensor) -> Tensor:
        """Gains of never-ending noise at each sample: (R, N, gains) -> (R, N * loop_hop)."""
        if "sinc_gains" not in self.quirks:
            return upsample_linear(gain.flatten(-2), self.loop_hop // gain.shape[-1])
        resample = import_torchaudio().functional.resample
        return resample(gain.contiguous(), gain.shape[-1], self.loop_hop).flatten(-2)

    @property
    def highest_f0_hz(self) -> float:
        """Returns the pitch at which all that is higher sounds."""
        return self.loop_rate * HIGHEST_F0

    @property
    def burst_samples(self) -> int:
        """Returns the length of a burst at the loop's rate."""
        return min(round(self.burst_seconds * self.loop_rate), self.loop_hop)

    def burst(self, onset: Tensor, noise: Tensor) -> Tensor:
        """Fills 5 ms after each onset frame (R, N) with noise (R, N, burst_samples): -> (R, N * loop_hop).

        Each burst has no mean, which the loop would keep, unless the quirk "raw_noise" is on.
        """
        if "raw_noise" not in self.quirks:
            mean = noise.mean(-1, keepdim=True)
            noise = (noise - mean) / (1 + mean.abs())
        noise = noise * (onset > 0)[..., None]
        return pad(noise, (0, self.loop_hop - noise.shape[-1])).flatten(-2)

    def _smoothing(self, controls: Controls) -> Tensor:
        """Coefficient of the loop filter in every frame: -> (R, N)."""
        if self.loop_filter == "one_zero":
            return controls["damping"][..., 0]
        return 1 / (1 + 2 * torch.pi * controls["cutoff_hz"][..., 0] / self.loop_rate)

    def _feedback(self, controls: Controls, f0_hz: Tensor, smoothing: Tensor) -> Tensor:
        """What is left after a round of the loop, besides what its filter takes: -> (R, N)."""
        if "balance" in controls:
            return 1 - controls["balance"][..., 0]
        if "t60_seconds" not in controls:
            return controls["feedback"][..., 0]
        left = 10 ** (-3 / (f0_hz * controls["t60_seconds"][..., 0]))
        omega, fraction = 2 * torch.pi * f0_hz / self.loop_rate, self._delay(f0_hz, smoothing).frac()
        passed = magnitude(smoothing, omega, self.loop_filter) * magnitude(
            fraction, omega
        )  # and interpolated
        return (left / passed).clamp(max=self.lossless)

    def _delay(self, f0_hz: Tensor, smoothing: Tensor) -> Tensor:
        """Length of the loop in samples: (R, N) each."""
        if "tuning" not in self.quirks:
            delay = tuned_delay(f0_hz, smoothing, self.loop_rate, self.loop_filter)
            if not self.dc_pole:
                return delay
            return delay + high_pass_lead(self.dc_pole, 2 * torch.pi * f0_hz / self.loop_rate)
        period = self.loop_rate / f0_hz
        return period.floor() - period.frac() + 1


def fill_pitch(
    f0_hz: Tensor, before: Tensor | None = None, count: int = 0, ahead: bool = True
) -> tuple[Tensor, Tensor]:
    """Fills unvoiced frames (0 Hz) of (R, N) with the pitch before them, or at the start with the one after.

    A string keeps its tuning while it rings off; a row without any pitch is filled with the lowest f0, and so is the
    start unless pitches ``ahead`` are looked at. Gives back too the last pitch (R,) of the first ``count`` frames, all
    by default, 0 where there was none: it is the ``before`` of the frames that follow them.
    """
    held = hold(f0_hz, f0_hz > 0, before)
    if not ahead:
        return held.clamp(min=LOWEST_F0_HZ), held[:, count - 1]
    first = f0_hz.gather(-1, (f0_hz > 0).to(f0_hz.dtype).argmax(-1, keepdim=True))
    return torch.where(held > 0, held, first).clamp(min=LOWEST_F0_HZ), held[:, count - 1]


def longest_delay(rate: float) -> int:
    """Returns the most samples that a string's loop is long, at the rate of its loop."""
    return math.ceil(rate / LOWEST_F0_HZ) + 1
