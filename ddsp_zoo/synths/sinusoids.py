"""Sinusoids plus filtered noise: the synthesiser of AST-DDSP."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.noise import filtered_noise, noise_power
from ddsp_zoo.dsp.oscillator import sinusoidal_bank
from ddsp_zoo.synths.base import Sound, Synth
from ddsp_zoo.synths.control import Control, Controls, ControlSet

# A phase sums all frequencies before it, so that spectral losses have steep, erratic gradients there, ten to
# a hundred times those of other controls, which would drown them in every layer the controls share.
FREQUENCY_GRADIENT = 0.01


class SinusoidsPlusNoise(Synth):
    """K free sinusoids and one time-varying noise filter (AST-DDSP, section 3).

    The relative amplitudes sum to one in each frame and are scaled by the frame's loudness, so that decays,
    hits and rests can be told from timbre. Zeros from the network mean quiet noise and quieter sinusoids: both
    soft enough to grow where they are needed, and loud enough to have a gradient (at magenta/ddsp's offset of -5
    the noise hardly has one, and masks are learned several times more slowly).
    """

    level_controls = ("amplitude", "loudness", "noise_magnitude")

    def __init__(
        self, sample_rate: int, hop: int, sinusoids: int = 100, noise_bands: int = 65, bins: int = 64
    ) -> None:
        super().__init__(sample_rate, hop)
        self.controls = ControlSet(
            (
                Control("frequency_hz", "Hz", "frequency of each sinusoid", 20.0, sample_rate / 2,
                        size=sinusoids, curve="log_bins", bins=bins),
                Control("amplitude", "1", "amplitude of each sinusoid", size=sinusoids, curve="amplitude"),
                Control("loudness", "1", "summed amplitude of the sinusoids", high=2.0, curve="amplitude",
                        offset=-2.0),
                Control("noise_magnitude", "1", "noise response, 0 Hz to Nyquist", high=2.0,
                        size=noise_bands, curve="amplitude", offset=-1.5),
            )
        )  # fmt: skip

    def constrain(self, raw: Tensor) -> Controls:
        """Raw (B, S, N, channels) -> controls, with the amplitudes normalised and scaled by the loudness."""
        controls = super().constrain(raw)
        share = controls["amplitude"] / controls["amplitude"].sum(-1, keepdim=True)
        controls["amplitude"] = share * controls["loudness"]
        return controls

    def render(self, controls: Controls, generator: torch.Generator | None = None) -> Sound:
        """Controls (B, S, N, k) -> audio (B, S, N * hop)."""
        frequency, amplitude, noise = (
            controls[name].flatten(0, 1) for name in ("frequency_hz", "amplitude", "noise_magnitude")
        )
        if frequency.requires_grad:
            frequency.register_hook(lambda gradient: FREQUENCY_GRADIENT * gradient)
        tonal, _ = sinusoidal_bank(frequency, amplitude, self.sample_rate, self.hop)
        audio = tonal + filtered_noise(noise, self.hop, generator)
        shape = controls["loudness"].shape[:2]
        return Sound(audio.unflatten(0, shape), tonal.unflatten(0, shape))

    def power_spectra(self, controls: Controls, tonal: Tensor, n_fft: int) -> Tensor:
        """Power of the sinusoids plus the expected power of the noise: -> (B, S, F, N + 1)."""
        noise = noise_power(controls["noise_magnitude"], self.hop, n_fft)
        return super().power_spectra(controls, tonal, n_fft) + noise
