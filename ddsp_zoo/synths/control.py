"""Declared controls: what a synthesiser wants to be told, in which unit and range."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ddsp_zoo.dsp.lsf import lsf_from_logits
from ddsp_zoo.dsp.mel import mel_grid, mel_to_hz
from ddsp_zoo.dsp.scale import exp_sigmoid, unit_to_hz
from ddsp_zoo.errors import DdspZooError

Curve = Literal["amplitude", "linear", "log", "log_bins", "mel_bins", "lsf"]
Role = Literal["level", "pitch", "gate", "hits", "partials", "timbre", "time"]
Join = Literal["fade", "switch", "note"]
Origin = Literal["network", "constant", "given", "heard"]
Controls = dict[str, Tensor]
LOWEST_F0_HZ = 20.0  # what is below would pass for a rest


@dataclass(frozen=True)
class Control:
    """Declares one control of a synthesiser, `size` values a frame, and all that others need to know to use it.

    ``role`` says what it does: "level" (the sound is proportional to all levels together; the first that is declared
    tells how loud a note is), "pitch" (the fundamental in Hz, 0 where there is none), "gate" (above one half where a
    note begins), "hits" (how hard each instrument of a drum set is hit where a hit begins, else 0), "partials"
    (frequencies of single sinusoids), "timbre" (any other property of the sound) or "time" (how long something lasts).

    ``join`` says what happens where two estimates overlap, of consecutive segments: "fade" moves from one to the
    other, "switch" changes halfway, and "note" holds the value at the beginning of a note (see "gate") up to the next.

    ``origin`` says where it comes from: the "network", or it is a "constant" of the model, or "given" by the user, or
    "heard" in what was separated; the synthesiser plays the same without what was heard.

    curve "amplitude" is `exp_sigmoid` from ``low`` up to ``high``; "linear" is a sigmoid from ``low`` to ``high``,
    "log" one in their logarithms; "log_bins" reads ``bins`` raw channels a value as logits over log-spaced points from
    ``low`` to ``high`` and takes the expectation, a classification that stays differentiable; "mel_bins" does so within
    the value's own one of ``size`` mel bands, from the centre below to the centre above; "lsf" reads one channel
    more than values, the distances between line spectral frequencies from 0 to ``high``. Raw values are multiplied by
    ``slope`` and ``offset`` is added, so that a network that says nothing (zeros) starts somewhere sensible.
    Constrained values never leave [low, high] (amplitude: by 1e-7) for any finite raw value.
    """

    name: str
    unit: str
    text: str
    low: float = 0.0
    high: float = 1.0
    size: int = 1
    curve: Curve = "linear"
    bins: int = 1
    offset: float = 0.0
    slope: float = 1.0
    role: Role = "timbre"
    join: Join = "fade"
    origin: Origin = "network"

    @property
    def channels(self) -> int:
        """Returns the number of raw network outputs a frame that this control reads."""
        return self.size * self.bins + (self.curve == "lsf")

    def constrain(self, raw: Tensor) -> Tensor:
        """Maps raw values (..., channels) to values in range (..., size)."""
        raw = self.slope * raw + self.offset
        if self.curve == "amplitude":
            return self.low + exp_sigmoid(raw, self.high - self.low)
        if self.curve == "linear":
            return self.low + (self.high - self.low) * torch.sigmoid(raw)
        if self.curve == "log":
            return self.low * (self.high / self.low) ** torch.sigmoid(raw)
        if self.curve == "lsf":
            return lsf_from_logits(raw) * (self.high / math.pi)
        logits = raw.unflatten(-1, (self.size, self.bins))
        points = torch.linspace(0, 1, self.bins, device=raw.device, dtype=raw.dtype)
        if self.curve == "mel_bins":
            centres, distance = mel_grid(self.low, self.high, self.size)
            offset = torch.softmax(logits, dim=-1) @ (2 * points - 1)
            return mel_to_hz(centres.to(raw) + distance * offset)
        return unit_to_hz(torch.softmax(logits + self._spread(raw), dim=-1) @ points, self.low, self.high)

    def _spread(self, like: Tensor) -> Tensor:
        """Logits (size, bins) that start each value at its own point of a log-spaced grid, two bins wide.

        A single value has no grid to lie on and starts in the middle, anywhere alike.
        """
        if self.size == 1:
            return like.new_zeros(())
        centre = torch.linspace(0, self.bins - 1, self.size, device=like.device, dtype=like.dtype)
        bins = torch.arange(self.bins, device=like.device, dtype=like.dtype)
        return -0.5 * ((bins - centre[:, None]) / 2) ** 2


@dataclass(frozen=True)
class ControlSet:
    """Holds the ordered controls of one synthesiser; `channels` sizes the network's head.

    controls: those that a network predicts.
    beside: those that come with them from elsewhere.
    """

    controls: tuple[Control, ...]
    beside: tuple[Control, ...] = ()

    def __iter__(self) -> Iterator[Control]:
        """Goes through all controls, predicted ones first."""
        return iter((*self.controls, *self.beside))

    @property
    def channels(self) -> int:
        """Returns the number of raw network outputs a frame and source."""
        return sum(control.channels for control in self.controls)

    def constrain(self, raw: Tensor) -> Controls:
        """Maps raw outputs (..., channels) to {name: (..., size)}."""
        if raw.shape[-1] != self.channels:
            raise DdspZooError(f"This synthesiser reads {self.channels} raw controls, got {raw.shape[-1]}.")
        pieces = raw.split([control.channels for control in self.controls], dim=-1)
        return {c.name: c.constrain(piece) for c, piece in zip(self.controls, pieces, strict=True)}


def given_notes(sample_rate: int) -> tuple[Control, Control]:
    """Returns the controls of sources whose notes are given: f0_hz, below half the sample rate in Hz, and onset."""
    note = {"join": "switch", "origin": "given"}
    return (
        Control("f0_hz", "Hz", "pitch, 0 in a rest", LOWEST_F0_HZ, sample_rate / 2, role="pitch", **note),
        Control("onset", "1", "1 where a note begins", role="gate", **note),
    )


def heard_notes(sample_rate: int) -> tuple[Control, Control]:
    """Returns the controls f0_hz and onset of a source whose notes are read off its stem."""
    f0_hz, onset = given_notes(sample_rate)
    text = "pitch that is heard in the stem, 0 where there is none"
    return (
        replace(f0_hz, text=text, origin="heard"),
        replace(onset, text="1 where a note of that pitch begins", origin="heard"),
    )
