"""Chooses who plays the parts of a MIDI piece: other instruments, a guitarist, a band without keyboards."""

from dataclasses import replace

import numpy as np

from ddsp_zoo.music.band.scores import Part


def with_guitar(parts: tuple[Part, ...], rng: np.random.Generator) -> tuple[Part, ...]:
    """Gives the busiest of several other parts to a guitarist, in half of the pieces that have no guitar."""
    others = [part for part in parts if part.stem == "other"]
    if len(others) < 2 or any(part.stem == "guitar" for part in parts) or rng.random() < 0.5:
        return parts
    busiest = max(others, key=lambda part: len(part.notes))
    guitar = replace(busiest, stem="guitar", program=24 + int(rng.integers(7)))
    return tuple(guitar if part is busiest else part for part in parts)


def recast(part: Part, rng: np.random.Generator) -> Part:
    """Gives half of the parts another instrument of their stem, in "other" one of their family."""
    if part.stem == "drums" or rng.random() < 0.5:
        return part
    first = {"bass": 32, "guitar": 24}.get(part.stem, part.program // 8 * 8)
    return replace(part, program=first + int(rng.integers(7 if part.stem == "guitar" else 8)))


def thinned(parts: tuple[Part, ...], rng: np.random.Generator) -> tuple[Part, ...]:
    """Leaves the singer alone in the stem "other" on some tracks, as in a band without keyboards."""
    return tuple(part for part in parts if part.stem != "other") if rng.random() < 0.35 else parts
