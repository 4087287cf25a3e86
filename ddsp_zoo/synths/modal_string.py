"""Plucked strings by their modes: what a tuned, damped loop does, in closed form."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from ddsp_zoo.dsp.frames import frames_since, hold
from ddsp_zoo.dsp.noise import Generators, noise_frames, noise_power
from ddsp_zoo.dsp.oscillator import harmonic_bank
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.synths.base import Synth
from ddsp_zoo.synths.control import LOWEST_F0_HZ, Control, Controls, ControlSet, given_notes
from ddsp_zoo.synths.karplus_strong import HIGHEST_F0
from ddsp_zoo.synths.streaming import Frames, Window, filter_reach

LN_1000 = math.log(1000)  # 60 dB
PICK_WIDTH = 0.2  # power that a pick of some width leaves to partials with a node under it
ATTACK_BANDS = 9
BODY_LOW_HZ, BODY_HIGH_HZ = 70.0, 8000.0
EXTRAS = ("pick", "body", "stiffness", "polarisation", "release", "attack")


class Played(NamedTuple):
    """Holds what strings have played up to a frame, each (...).

    pitch: the last one in Hz, 0 where there has been none.
    begun: whether they have been plucked.
    since: frames since the last onset, or since the start.
    lifted: frames since the last one with a pitch, or since the start.
    """

    pitch: Tensor | None
    begun: Tensor | None
    since: Tensor | None
    lifted: Tensor | None


class ModalString(Synth):
    """Plays strings that are plucked at onsets and ring as decaying partials.

    The modes of a Karplus-Strong loop are partials of the pluck's spectrum that decay exponentially, faster the higher
    they lie. Here they are played one by one, without the loop's chance (a noise burst has random holes), so pitch
    and decay are exact, the bound is the sum of the partials, and every gradient is smooth. Partial k of a note begins
    at ``gain / k`` below the pluck's cutoff frequency, a one-pole low-pass, and loses 60 dB in
    1 / (1 / t60 + treble_loss f_k / (1 kHz)) seconds. All controls are those of a note: their values in a frame
    are used from its onset to the next (`pool_notes` makes them so).

    Args:
        sample_rate: of the audio in Hz.
        hop: samples a frame.
        extras: what is modelled beside that, of `EXTRAS`: the "pick"'s position on the string, the "body"'s
            resonances in bands, "stiffness" (inharmonic partials), a second "polarisation" that decays faster,
            the time of "release" when the finger lifts (without it, strings stop where f0 does), and the noise of
            the "attack".
        partials: most partials of a string.
        body_bands: of the body, from 70 Hz to 8 kHz.
    """

    def __init__(
        self,
        sample_rate: int,
        hop: int,
        extras: Sequence[str] = EXTRAS,
        partials: int = 96,
        body_bands: int = 24,
    ) -> None:
        super().__init__(sample_rate, hop)
        for name in extras:
            if name not in EXTRAS:
                raise DdspZooError(
                    f"There is nothing {name!r} to a modal string: choose from {', '.join(EXTRAS)}."
                )
        self.partials = partials
        if "attack" in extras:
            self.before = self.after = filter_reach(ATTACK_BANDS, hop)
        self.centres_hz = torch.logspace(math.log10(BODY_LOW_HZ), math.log10(BODY_HIGH_HZ), body_bands)
        optional = {
            "pick": (
                Control("pick_position", "1", "where it is plucked, as a share of its length", 0.03, 0.5),
            ),
            "body": (
                Control(
                    "body_db", "dB", "response of the body, 70 Hz to 8 kHz", -20.0, 20.0, size=body_bands
                ),
            ),
            "stiffness": (
                Control(
                    "inharmonicity",
                    "1",
                    "B: how far a stiff string stretches its partials",
                    1e-6,
                    3e-4,
                    curve="log",
                ),
            ),
            "polarisation": (
                Control("second_share", "1", "share of the polarisation that decays faster", offset=-3.0),
                Control(
                    "second_speed",
                    "1",
                    "its speed of decay over that of the first",
                    1.0,
                    20.0,
                    curve="log",
                    role="time",
                ),
            ),
            "release": (
                Control(
                    "release_seconds",
                    "s",
                    "decay time once the finger lifts",
                    0.02,
                    1.0,
                    curve="log",
                    role="time",
                ),
            ),
            "attack": (
                Control(
                    "attack_gain",
                    "1",
                    "noise of pick or finger",
                    high=0.3,
                    curve="amplitude",
                    offset=-1.0,
                    role="level",
                ),
                Control(
                    "attack_seconds", "s", "decay time of that noise", 0.005, 0.06, curve="log", role="time"
                ),
                Control(
                    "attack_db", "dB", "colour of that noise, 0 Hz to Nyquist", -20.0, 20.0, size=ATTACK_BANDS
                ),
            ),
        }
        declared = (
            Control("pluck_gain", "1", "amplitude of the fundamental", curve="amplitude", role="level"),
            Control(
                "cutoff_hz",
                "Hz",
                "cutoff of the pluck, low for a soft one",
                80.0,
                sample_rate / 2,
                curve="log",
            ),
            Control(
                "t60_seconds", "s", "decay time of the lowest partials", 0.1, 30.0, curve="log", role="time"
            ),
            Control(
                "treble_loss",
                "1/s",
                "how much sooner 1 kHz is 60 dB down",
                0.01,
                20.0,
                curve="log",
                role="time",
            ),
            *(control for name in EXTRAS if name in extras for control in optional[name]),
        )
        of_notes = tuple(replace(control, join="note") for control in declared)
        self.controls = ControlSet(of_notes, given_notes(sample_rate))

    def timed(self, controls: Controls, before: Played | None = None) -> tuple[Controls, Played]:
        """Adds to controls (..., N, k) what a frame cannot tell alone: how long a note has been ringing by then.

        They then mean the same in any piece of a longer stream, for all methods below. ``before`` is the second thing
        that this gave back for the frames before; without it the strings have been silent.
        """
        f0_hz = controls["f0_hz"][..., 0]
        voiced = f0_hz > 0
        plucked = controls["onset"][..., 0] * voiced
        start = before or Played(*(None,) * 4)
        pitch = hold(f0_hz, voiced, start.pitch)
        begun = plucked.cumsum(-1) > 0
        begun = begun if before is None else begun | before.begun[..., None]
        since, lifted = frames_since(plucked, start.since), frames_since(voiced, start.lifted)
        frames = {"held_f0_hz": pitch, "begun": begun, "since_onset": since, "since_held": lifted}
        after = Played(*(x[..., -1] for x in (pitch, begun, since, lifted)))
        return controls | {name: x[..., None] for name, x in frames.items()}, after

    def prepare(
        self, controls: Controls, generator: Generators | None, notes: Played | None
    ) -> tuple[Frames, Played]:
        controls, notes = self.timed(controls, notes)
        pitch = self.pitch(controls)
        frames = {"f0_hz": pitch, "amplitude": self.amplitudes(controls)}
        if "inharmonicity" in controls:
            frames["inharmonicity"] = controls["inharmonicity"][..., 0]
        if "attack_gain" in controls:
            frames["noise"] = noise_frames(pitch, pitch.shape[1], self.hop, generator)
            frames["response"] = self.attack(controls)
        return frames, notes

    def play(self, window: Window, sound: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        moving = [window.moving(name) for name in ("f0_hz", "amplitude")]
        stiffness = window.moving("inharmonicity") if "inharmonicity" in window.frames else None
        tonal, phase = harmonic_bank(
            *moving, self.sample_rate, self.hop, stiffness, phase=sound, lookahead=window.lookahead
        )
        audio = tonal + window.filtered_noise() if "noise" in window.frames else tonal
        return audio, tonal, phase

    def attack(self, controls: Controls) -> Tensor:
        """Returns the magnitude response of the attack's noise, 0 Hz to Nyquist: (..., N, k) -> (..., N, points)."""
        controls = self._timed(controls)
        time = self._seconds(controls, "since_onset")
        left = torch.exp(-LN_1000 * time / controls["attack_seconds"]) * controls["begun"]
        return controls["attack_gain"] * left * 10 ** (controls["attack_db"] / 20)

    def _timed(self, controls: Controls) -> Controls:
        return controls if "since_onset" in controls else self.timed(controls)[0]

    def _seconds(self, controls: Controls, name: str) -> Tensor:
        return controls[name].to(controls["f0_hz"].dtype) * (self.hop / self.sample_rate)

    def power_spectra(self, controls: Controls, tonal: Tensor, n_fft: int) -> Tensor:
        """Returns the power of the partials plus the expected power of the attack: -> (B, S, F, N + 1).

        On a piece of a stream the attack of a note that began before needs the controls of `timed`.
        """
        power = super().power_spectra(controls, tonal, n_fft)
        return (
            power + noise_power(self.attack(controls), self.hop, n_fft)
            if "attack_gain" in controls
            else power
        )

    @property
    def highest_f0_hz(self) -> float:
        """Returns the pitch at which all that is higher sounds."""
        return self.sample_rate * HIGHEST_F0

    def pitch(self, controls: Controls) -> Tensor:
        """Returns the pitch in Hz of what still rings, 0 where nothing does: f0_hz (..., N, 1) -> (..., N)."""
        f0_hz = controls["f0_hz"][..., 0]
        if "release_seconds" in controls:
            f0_hz = self._timed(controls)["held_f0_hz"][..., 0]
        return torch.where(f0_hz > 0, f0_hz.clamp(LOWEST_F0_HZ, self.highest_f0_hz), 0)

    def amplitudes(self, controls: Controls) -> Tensor:
        """Returns the amplitude of each partial in each frame: controls (..., N, k) -> (..., N, K)."""
        number = torch.arange(1, self.partials + 1, device=controls["f0_hz"].device)
        controls = self._timed(controls)
        f0_hz = self.pitch(controls)
        frequency = f0_hz[..., None] * number
        if (
            "inharmonicity" in controls
        ):  # levels do not tell how stiff a string is, only where its partials lie
            frequency = frequency * (1 + controls["inharmonicity"].detach() * number.square()).sqrt()
        strength = controls["pluck_gain"] / number / (1 + (frequency / controls["cutoff_hz"]).square()).sqrt()
        if "pick_position" in controls:
            nodes = (math.pi * number * controls["pick_position"]).sin().square()
            strength = strength * (PICK_WIDTH + (1 - PICK_WIDTH) * nodes).sqrt()
        if "body_db" in controls:
            strength = strength * 10 ** (self._body_db(controls["body_db"], frequency) / 20)
        return strength * self._ringing(controls, frequency)

    def _ringing(self, controls: Controls, frequency: Tensor) -> Tensor:
        """What is left of each partial, 1 at its onset."""
        time = self._seconds(controls, "since_onset")
        speed = LN_1000 * (1 / controls["t60_seconds"] + controls["treble_loss"] * frequency / 1000)
        left = torch.exp(-speed * time)
        if "second_share" in controls:
            share = controls["second_share"]
            left = (1 - share) * left + share * torch.exp(-speed * controls["second_speed"] * time)
        if "release_seconds" in controls:
            lifted = self._seconds(controls, "since_held")
            left = left * torch.exp(-LN_1000 * lifted / controls["release_seconds"])
        return left

    def _body_db(self, bands: Tensor, frequency: Tensor) -> Tensor:
        """Response of the body at each partial, read linearly over the logarithm of frequency."""
        low, high = math.log(BODY_LOW_HZ), math.log(BODY_HIGH_HZ)
        place = (
            (frequency.detach().clamp(BODY_LOW_HZ, BODY_HIGH_HZ).log() - low)
            / (high - low)
            * (bands.shape[-1] - 1)
        )
        left = place.floor().clamp(max=bands.shape[-1] - 2)
        index = left.long()
        return torch.lerp(bands.gather(-1, index), bands.gather(-1, index + 1), place - left)

    def partial_variance(self, controls: Controls) -> Tensor:
        """Returns the squared amplitude of each partial, a prior for its phase-locked fit: -> (B, S, N, K)."""
        return self.amplitudes(controls).square()
