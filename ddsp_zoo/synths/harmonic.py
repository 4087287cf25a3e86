"""Harmonics plus filtered noise in a room: the synthesiser of the DDSP autoencoder and of inverse audio synthesis."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.noise import Generators, noise_frames, noise_power
from ddsp_zoo.dsp.oscillator import harmonic_bank
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import Control, Controls, ControlSet, given_notes
from ddsp_zoo.synths.room import echo, in_room, room_controls
from ddsp_zoo.synths.streaming import Frames, Window, filter_reach

PREDICTED_HZ = (30.0, 1200.0)  # MIDI 24 to 84 and a vibrato


class HarmonicPlusNoise(Synth):
    """Plays the harmonics of one pitch, noise through a moving filter, and the echo of a room (Engel et al. 2020).

    The harmonics below the Nyquist frequency share the amplitude by the harmonic distribution. A frame without pitch
    (0 Hz) has no harmonics.

    Args:
        sample_rate: in Hz.
        hop: samples a frame.
        harmonics: their number.
        noise_bands: points of the noise filter from 0 Hz to the Nyquist frequency.
        room_seconds: length of the echo; 0 for none.
        pitch_bins: 0: the pitch is given. Else it is predicted, the expectation of so many log-spaced frequencies from
            30 to 1200 Hz.
    """

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        harmonics: int = 60,
        noise_bands: int = 65,
        room_seconds: float = 0.0,
        pitch_bins: int = 0,
    ) -> None:
        super().__init__(sample_rate, hop)
        if harmonics < 1 or not 0 <= room_seconds <= 10 or pitch_bins < 0:
            raise DdspZooError(
                f"A sound has a harmonic or more, a room of 0 to 10 s and a whole number of pitch_bins; got "
                f"{harmonics}, {room_seconds:g} s and {pitch_bins}."
            )
        self.taps = round(room_seconds * sample_rate)
        self.before = self.after = filter_reach(noise_bands, hop)
        declared = self._declare(harmonics, noise_bands)
        declared += room_controls() if self.taps else ()
        if pitch_bins:
            self.controls = ControlSet((*declared, _predicted_pitch(pitch_bins)))
        else:
            self.controls = ControlSet(declared, beside=given_notes(sample_rate))

    def _declare(self, harmonics: int, noise_bands: int) -> tuple[Control, ...]:
        level = {"high": 2.0, "curve": "amplitude", "role": "level"}
        return (
            Control("amplitude", "1", "summed amplitude of the harmonics", offset=-2.0, **level),
            Control(
                "harmonic_distribution",
                "1",
                "share of each harmonic, before they are made to sum to one",
                high=2.0,
                size=harmonics,
                curve="amplitude",
            ),
            Control(
                "noise_magnitude",
                "1",
                "noise response, 0 Hz to Nyquist",
                size=noise_bands,
                offset=-3.0,
                **level,
            ),
        )

    @property
    def room_channels(self) -> int:
        """Returns the number of raw values that describe the room."""
        return sum(c.channels for c in self.controls.controls if c.origin == "constant")

    def distribution(self, controls: Controls) -> Tensor:
        """Returns the shares (..., N, H) of the harmonics that are heard; they sum to one, or to zero in rests."""
        share = controls["harmonic_distribution"]
        number = torch.arange(1, share.shape[-1] + 1, device=share.device)
        hz = controls["f0_hz"] * number
        share = torch.where((hz > 0) & (hz < self.sample_rate / 2), share, 0)
        return share / share.sum(-1, keepdim=True).clamp(min=1e-9)

    def prepare(self, controls: Controls, generator: Generators | None, notes: None) -> tuple[Frames, None]:
        frames = {
            "f0_hz": controls["f0_hz"][..., 0],
            "amplitude": controls["amplitude"] * self.distribution(controls),
            "noise": noise_frames(controls["f0_hz"], controls["f0_hz"].shape[1], self.hop, generator),
            "response": controls["noise_magnitude"],
        }
        return frames | {name: controls[name] for name in controls if name.startswith("echo_")}, None

    def play(
        self, window: Window, sound: tuple[Tensor, Tensor | None, Tensor | None] | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor | None, Tensor | None]]:
        phase, response, tail = sound or (None, None, None)
        moving = (window.moving(name) for name in ("f0_hz", "amplitude"))
        tonal, phase = harmonic_bank(
            *moving, self.sample_rate, self.hop, phase=phase, lookahead=window.lookahead
        )
        both = torch.cat([tonal, window.filtered_noise()])
        if self.taps:
            if response is None:
                level, t60 = (window.now(name)[:, 0] for name in ("echo_level", "echo_t60_seconds"))
                response = echo(level, t60, self.sample_rate, self.taps)
            both, tail = in_room(both, response.repeat(2, 1), tail)
        tonal, noise = both.chunk(2)
        return tonal + noise, tonal, (phase, response, tail)

    def power_spectra(self, controls: Controls, tonal: Tensor, n_fft: int) -> Tensor:
        """Returns the power of the harmonics, and that expected of the noise without its echo: -> (B, S, F, N + 1)."""
        noise = noise_power(controls["noise_magnitude"], self.hop, n_fft)
        return super().power_spectra(controls, tonal, n_fft) + noise


def _predicted_pitch(bins: int) -> Control:
    low, high = PREDICTED_HZ
    return Control(
        "f0_hz",
        "Hz",
        "pitch, 0 in a rest",
        low,
        high,
        curve="log_bins",
        bins=bins,
        role="pitch",
        join="switch",
    )
