"""Chooses the own instrument for a General MIDI program and renders a part with it."""

import numpy as np

from ddsp_zoo.music.band.drums import DrumKit
from ddsp_zoo.music.band.instrument import Instrument
from ddsp_zoo.music.band.keyboards import Bars, ElectricPiano, Organ
from ddsp_zoo.music.band.plucked import Bass, Guitar, Piano
from ddsp_zoo.music.band.scores import Part
from ddsp_zoo.music.band.synthesisers import Bowed, Brass, Lead, Pad, SynthBass, Wind
from ddsp_zoo.music.sampler import for_program
from ddsp_zoo.music.signals import Audio

# Which instrument plays the General MIDI programs from a number on, up to the next number.
FAMILIES: tuple[tuple[int, type[Instrument]], ...] = (
    (0, Piano),
    (4, ElectricPiano),
    (6, Piano),
    (8, Bars),
    (16, Organ),
    (24, Guitar),
    (32, Bass),
    (38, SynthBass),
    (40, Bowed),
    (45, Piano),
    (48, Pad),
    (56, Brass),
    (64, Wind),
    (80, Lead),
    (88, Pad),
    (104, Piano),
)


def own_instrument(program: int) -> type[Instrument]:
    """Returns the class that plays a General MIDI program (0..127)."""
    return for_program(FAMILIES, program)


def render_part(part: Part, seconds: float, rng: np.random.Generator, rate_hz: int) -> Audio:
    """Renders a part with the own instrument of its program, or a drum kit -> (seconds * rate,)."""
    if part.stem == "drums":
        return DrumKit(rng, rate_hz).render(part.notes, seconds)
    return own_instrument(part.program)(rng, part.program, rate_hz).render(part.notes, seconds)
