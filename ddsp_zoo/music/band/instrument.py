"""Defines what all own pitched instruments of rendered bands share.

Each instrument draws its parameters once from a random generator, so every track has another sound. Everything is
limited to below the Nyquist frequency by construction; no samples are used.
"""

import numpy as np
from scipy import ndimage

from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.music.band.scores import Note
from ddsp_zoo.music.signals import Audio


class Instrument:
    """Renders notes one by one, adds them and finishes the sum: the base of all pitched instruments."""

    def __init__(self, rng: np.random.Generator, program: int, rate_hz: int) -> None:
        self.rng, self.program, self.rate_hz = rng, program, rate_hz
        self.tuning = float(rng.normal(0, 0.06))  # semitones that the whole instrument is off

    def note(self, frequency_hz: float, velocity: float, seconds: float) -> Audio:
        """Returns one dry note, its release included."""
        raise NotImplementedError

    def finish(self, audio: Audio) -> Audio:
        """Applies to the sum of all notes what they go through together, for example an amplifier."""
        return audio

    def render(self, notes: tuple[Note, ...], seconds: float) -> Audio:
        """Plays notes -> (seconds * rate,)."""
        audio = np.zeros(round(seconds * self.rate_hz))
        for note in notes:
            frequency = midi_to_hz(note.midi + self.tuning + self.rng.normal(0, 0.02))
            sound = self.note(frequency, note.velocity, note.length_seconds)
            start = round(note.start_seconds * self.rate_hz)
            room = audio[start : start + len(sound)]
            room += sound[: len(room)] * note.velocity**1.3
        return self.finish(audio)

    def vibrato(self, audio: Audio, rate_hz: float, cents: float) -> Audio:
        """Moves the pitch of a note up and down after its attack, by reading it at uneven times."""
        time = np.arange(len(audio)) / self.rate_hz
        depth = cents / 1731 * self.rate_hz / (2 * np.pi * rate_hz)
        places = np.arange(len(audio)) + depth * np.clip(time * 4 - 0.6, 0, 1) * np.sin(
            2 * np.pi * rate_hz * time
        )
        return ndimage.map_coordinates(audio, places[None], order=3, mode="constant", prefilter=False)
