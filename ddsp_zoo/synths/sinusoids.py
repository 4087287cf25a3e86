"""Sinusoids plus filtered noise: the synthesiser of AST-DDSP."""

from collections.abc import Collection

import torch
from torch import Tensor

from ddsp_zoo.dsp.frames import overlap_add, upsample_centred, upsample_linear, upsample_window
from ddsp_zoo.dsp.noise import Generators, noise_frames, noise_power, zero_phase_fir
from ddsp_zoo.dsp.oscillator import sinusoidal_bank
from ddsp_zoo.dsp.precision import exact, finest
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, Controls, ControlSet
from ddsp_zoo.synths.streaming import Frames, Window, filter_reach

LOWEST_SINUSOID_HZ = 20.0
QUIRKS = {
    "clip_loudness": "one loudness for the whole clip, a plain sigmoid: what is played can neither decay nor rest",
    "clip_noise": "one noise filter for the whole clip: a hit or a breath cannot be played",
    "half_noise_filter": "of the zero-phase noise filter only what comes after its centre is heard, so bands leak",
    "sample_shares": "amplitudes are normalised at each sample, between frames by the louder one, not at each frame",
    "late_frequencies": "a frequency stands at the middle of its frame, its amplitude at the beginning",
    "bare_start": "zeros from the network put every sinusoid on one frequency, and all of it is loud",
}
PER_CLIP = {"loudness": "clip_loudness", "noise_magnitude": "clip_noise"}


class SinusoidsPlusNoise(Synth):
    """Plays K free sinusoids and a time-varying noise filter (AST-DDSP, section 3).

    The relative amplitudes sum to one in each frame and are scaled by the frame's loudness, so that decays,
    hits and rests can be told from timbre. Zeros from the network mean quiet noise and quieter sinusoids: both
    soft enough to grow where they are needed, and loud enough to have a gradient (at magenta/ddsp's offset of -5
    the noise hardly has one).

    Args:
        sample_rate: in Hz.
        hop: samples a frame.
        sinusoids: K.
        noise_bands: points of the noise filter from 0 Hz to the Nyquist frequency.
        bins: log-spaced frequencies that each sinusoid's is the expectation of.
        quirks: of `QUIRKS`: what the author's code does otherwise. Raw controls of the whole clip (`per_clip`) come
            after the others; their frames are averaged. With "sample_shares" the control "amplitude" is relative.
    """

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        sinusoids: int = 100,
        noise_bands: int = 65,
        bins: int = 64,
        quirks: Collection[str] = (),
    ) -> None:
        super().__init__(sample_rate, hop)
        if unknown := set(quirks) - set(QUIRKS):
            raise DdspZooError(
                f"There is no quirk {min(unknown)!r} of sinusoids: choose from {', '.join(QUIRKS)}."
            )
        self.quirks = frozenset(quirks)
        self.before = self.after = filter_reach(noise_bands, hop)
        self.per_clip = tuple(name for name, quirk in PER_CLIP.items() if quirk in quirks)
        declared = self._declare(sinusoids, noise_bands, bins)
        self.controls = ControlSet(tuple(sorted(declared, key=lambda control: control.name in self.per_clip)))
        self.clip_channels = sum(c.channels for c in declared if c.name in self.per_clip)

    def _declare(self, sinusoids: int, noise_bands: int, bins: int) -> tuple[Control, ...]:
        bare = "bare_start" in self.quirks
        kind = _EqualBins if bare else Control
        text, one_level = "summed amplitude of the sinusoids", "clip_loudness" in self.quirks
        quiet, relative = 0.0 if bare else -2.0, "sample_shares" in self.quirks
        return (
            kind(
                "frequency_hz",
                "Hz",
                "frequency of each sinusoid",
                LOWEST_SINUSOID_HZ,
                self.sample_rate / 2,
                size=sinusoids,
                curve="log_bins",
                bins=bins,
                role="partials",
            ),
            Control(
                "amplitude",
                "1",
                "amplitude of each sinusoid",
                size=sinusoids,
                curve="amplitude",
                role="timbre" if relative else "level",
            ),
            Control("loudness", "1", text, offset=quiet, role="level")
            if one_level
            else Control("loudness", "1", text, high=2.0, curve="amplitude", offset=quiet, role="level"),
            Control(
                "noise_magnitude",
                "1",
                "noise response, 0 Hz to Nyquist",
                high=2.0,
                size=noise_bands,
                curve="amplitude",
                offset=0.0 if bare else -1.5,
                role="level",
            ),
        )

    def constrain(self, raw: Tensor) -> Controls:
        """Maps raw outputs (B, S, N, channels) to controls; amplitudes are normalised and scaled by the loudness."""
        controls = super().constrain(raw)
        for name in self.per_clip:
            controls[name] = controls[name].mean(2, keepdim=True).expand_as(controls[name])
        if "sample_shares" not in self.quirks:
            share = controls["amplitude"] / controls["amplitude"].sum(-1, keepdim=True)
            controls["amplitude"] = share * controls["loudness"]
        return controls

    def prepare(self, controls: Controls, generator: Generators | None, notes: None) -> tuple[Frames, None]:
        frames = {name: controls[name] for name in ("frequency_hz", "amplitude", "loudness")}
        count = frames["amplitude"].shape[1]
        noise = noise_frames(frames["amplitude"], count, self.hop, generator)
        return frames | {"noise": noise, "response": controls["noise_magnitude"]}, None

    def play(self, window: Window, sound: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        if self.quirks & {"sample_shares", "late_frequencies"}:
            tonal, phase = self._sample_by_sample(window, sound)
        else:
            moving = (window.moving(name) for name in ("frequency_hz", "amplitude"))
            tonal, phase = sinusoidal_bank(*moving, self.sample_rate, self.hop, sound, window.lookahead)
        half = "half_noise_filter" in self.quirks
        noise = self._half_filtered(window) if half else window.filtered_noise()
        return tonal + noise, tonal, phase

    def power_spectra(self, controls: Controls, tonal: Tensor, n_fft: int) -> Tensor:
        """Returns the power of the sinusoids and the expected power of the noise: -> (B, S, F, N + 1)."""
        noise = noise_power(controls["noise_magnitude"], self.hop, n_fft)
        return super().power_spectra(controls, tonal, n_fft) + noise

    def _sample_by_sample(self, window: Window, phase: Tensor | None) -> tuple[Tensor, Tensor]:
        """Sinusoids from controls that exist at every sample: -> audio (R, T), and where they stand in turns (R, K)."""
        if "late_frequencies" in self.quirks:
            frequency_hz = upsample_centred(window.frames["frequency_hz"].transpose(1, 2), self.hop)
            frequency_hz = window.cut(frequency_hz, self.hop)
        else:
            moving = window.moving("frequency_hz").transpose(1, 2)
            frequency_hz = upsample_linear(moving, self.hop, lookahead=window.lookahead)
        amplitude, loudness = (
            upsample_window(window.moving(name).transpose(1, 2), self.hop, window.lookahead)
            for name in ("amplitude", "loudness")
        )
        amplitude = torch.where(frequency_hz < self.sample_rate / 2, amplitude, 0)
        if "sample_shares" in self.quirks:
            total = amplitude.sum(1, keepdim=True).clamp(min=1e-12)  # all may lie beyond Nyquist
            amplitude = amplitude / total * loudness
        turns = (exact(frequency_hz) / self.sample_rate).cumsum(-1)
        turns = turns if phase is None else turns + exact(phase)[..., None]
        turns = turns - turns.detach().floor()
        angle = 2 * torch.pi * turns.to(amplitude)
        return (amplitude * torch.sin(angle)).sum(1), turns[..., -1].to(
            amplitude.device, finest(amplitude.device)
        )

    def _half_filtered(self, window: Window) -> Tensor:
        """What comes after the middle of the zero-phase noise filter alone: -> (R, T)."""
        noise, magnitudes = window.frames["noise"], window.frames["response"]
        response = zero_phase_fir(magnitudes)[..., magnitudes.shape[-1] - 1 :]
        size = self.hop + response.shape[-1] - 1
        spectrum = torch.fft.rfft(noise, size) * torch.fft.rfft(response, size)
        return window.cut(overlap_add(torch.fft.irfft(spectrum, size), self.hop), self.hop)


class _EqualBins(Control):
    """Bins without a preference: zeros put all values at the middle of their range."""

    def _spread(self, like: Tensor) -> Tensor:
        return like.new_zeros(())
