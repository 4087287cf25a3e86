"""A singing voice as source and filter: harmonics and noise through an all-pole filter."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ddsp_zoo.dsp.allpole import allpole, framewise_allpole
from ddsp_zoo.dsp.frames import upsample_window
from ddsp_zoo.dsp.lsf import lsf_to_coefficients, lsf_to_reflection
from ddsp_zoo.dsp.noise import Generators, noise_frames, noise_power
from ddsp_zoo.dsp.oscillator import harmonic_bank
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, Controls, ControlSet, given_notes
from ddsp_zoo.synths.streaming import Frames, Window, filter_reach

CORNER_HZ = 200.0  # of the fixed low-pass of the harmonics, 6 dB per octave


class SourceFilter(Synth):
    """Plays the voice of UMSS (Schulze-Forster et al. 2022, section III; thesis section 4.3).

    ``harmonics`` equal harmonics of f0, those below Nyquist sharing the amplitude alpha, fall by 6 dB per octave
    above 200 Hz; noise of slowly changing colour and moving gain is added; the sum goes through 1/A(z), whose line
    spectral frequencies are predicted and therefore always stable. An unvoiced frame (f0 = 0) has no harmonics.

    ``filtering`` "samplewise" carries the filter's state from sample to sample (thesis eq. 4.7); "framewise" filters
    every frame alone from silence, as the authors' code does.
    """

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        harmonics: int = 101,
        order: int = 20,
        noise_bands: int = 40,
        filtering: Literal["samplewise", "framewise"] = "samplewise",
    ) -> None:
        super().__init__(sample_rate, hop)
        self.harmonics, self.filtering = harmonics, filtering
        self.before = self.after = filter_reach(noise_bands, hop)
        self.controls = ControlSet(
            (
                Control(
                    "harmonic_amplitude",
                    "1",
                    "alpha: loudness of the vocal folds",
                    high=2.0,
                    curve="amplitude",
                    role="level",
                ),
                Control("noise_gain", "1", "g: loudness of the breath", curve="amplitude", role="level"),
                Control(
                    "lsf_hz",
                    "Hz",
                    "line spectral frequencies of the vocal tract",
                    0.0,
                    sample_rate / 2,
                    size=order,
                    curve="lsf",
                ),
                Control(
                    "noise_magnitude",
                    "1",
                    "colour of the breath, 0 Hz to Nyquist",
                    high=2.0,
                    size=noise_bands,
                    curve="amplitude",
                    slope=2.5,
                ),
            ),
            beside=given_notes(sample_rate),
        )

    def prepare(self, controls: Controls, generator: Generators | None, notes: None) -> tuple[Frames, None]:
        frames = {
            "f0_hz": controls["f0_hz"][..., 0],
            "amplitude": self.harmonic_amplitudes(controls),
            "noise": noise_frames(controls["f0_hz"], controls["f0_hz"].shape[1], self.hop, generator),
            "response": controls["noise_magnitude"],
            "gain": controls["noise_gain"][..., 0],
            "reflection": lsf_to_reflection(self._lsf(controls)),
        }
        return frames, None

    def play(
        self, window: Window, sound: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        phase, memory = sound or (None, None)
        moving = (window.moving(name) for name in ("f0_hz", "amplitude"))
        folds, phase = harmonic_bank(
            *moving, self.sample_rate, self.hop, phase=phase, lookahead=window.lookahead
        )
        gain = upsample_window(window.moving("gain"), self.hop, window.lookahead)
        both = torch.cat([folds, window.filtered_noise() * gain])
        if self.filtering == "framewise":
            both, memory = self._filter_frames(both, window, memory)
        else:
            reflection = window.moving("reflection").repeat(2, 1, 1)
            both, memory = allpole(both, reflection, self.hop, memory)
        tonal, noise = both.chunk(2)
        return tonal + noise, tonal, (phase, memory)

    def _filter_frames(self, both: Tensor, window: Window, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """Every frame alone, with the frame before, which is heard in it too: -> audio, the last frame of ``both``."""
        count = window.count if before is None else window.count + 1
        filled = both if before is None else torch.cat([before, both], dim=1)
        stop = window.first + window.count
        reflection = window.frames["reflection"][:, stop - count : stop].repeat(2, 1, 1)
        audio = framewise_allpole(filled, reflection, self.hop)
        return audio[:, -both.shape[1] :], both[:, -self.hop :]

    def _lsf(self, controls: Controls) -> Tensor:
        """Line spectral frequencies in radians a sample: lsf_hz (..., P) -> (..., P)."""
        return controls["lsf_hz"] * (2 * torch.pi / self.sample_rate)

    def harmonic_amplitudes(self, controls: Controls) -> Tensor:
        """Returns amplitudes before the filter: f0_hz and harmonic_amplitude (..., N, 1) -> (..., N, H)."""
        number = torch.arange(1, self.harmonics + 1, device=controls["f0_hz"].device)
        frequency = controls["f0_hz"] * number
        audible = (frequency > 0) & (frequency < self.sample_rate / 2)
        share = audible / audible.sum(-1, keepdim=True).clamp(min=1)
        return controls["harmonic_amplitude"] * share * CORNER_HZ / frequency.clamp(min=CORNER_HZ)

    def partial_variance(self, controls: Controls) -> Tensor:
        """Returns the squared amplitude of each harmonic behind the filter, a prior for its fit: -> (B, S, N, H)."""
        number = torch.arange(1, self.harmonics + 1, device=controls["f0_hz"].device)
        omega = 2 * torch.pi / self.sample_rate * controls["f0_hz"] * number
        a = lsf_to_coefficients(self._lsf(controls))
        order = torch.arange(1, a.shape[-1] + 1, device=a.device)
        turned = torch.exp(-1j * omega[..., None] * order)
        response = 1 + (turned @ a[..., None].to(turned.dtype))[..., 0]
        return (self.harmonic_amplitudes(controls) / response.abs().clamp(min=1e-6)).square()

    def breath_magnitudes(self, controls: Controls) -> Tensor:
        """Returns the magnitude response of breath and filter from 0 Hz to Nyquist: -> (B, S, N, points)."""
        lsf, colour = self._lsf(controls), controls["noise_gain"] * controls["noise_magnitude"]
        points = 4 * colour.shape[-1] + 1
        colour = interpolate(colour.flatten(0, -3), points, mode="linear", align_corners=True)
        a = lsf_to_coefficients(lsf)
        a = torch.cat([torch.ones_like(a[..., :1]), a], dim=-1)
        response = torch.fft.rfft(a, 2 * (points - 1)).abs().clamp(min=1e-6)
        return colour.view(*lsf.shape[:-1], points) / response

    def power_spectra(self, controls: Controls, tonal: Tensor, n_fft: int) -> Tensor:
        """Returns the power of the harmonics plus the expected power of the breath: -> (B, S, F, N + 1)."""
        noise = noise_power(self.breath_magnitudes(controls), self.hop, n_fft)
        return super().power_spectra(controls, tonal, n_fft) + noise
