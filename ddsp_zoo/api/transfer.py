"""Plays what one source has played with the sound of another, or of a model."""

from typing import Any

import numpy as np

from ddsp_zoo.api.edit import Edit
from ddsp_zoo.api.ladder import separate
from ddsp_zoo.api.mix import heard, spread, transferred
from ddsp_zoo.api.result import Separation, playable
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.separation.stream import control_frames


def transfer(lead: Edit, onto: Any, seed: int | None = None) -> Separation:
    """Returns a song in which one source plays what another of it has played, as a separation of that source.

    ``onto`` is an edit, which takes over the notes, the pitch and the loudness of ``lead``, see `Edit.follow`; or a
    model that plays by pitch and loudness, such as ``ddsp_zoo.load("ddsp_autoencoder_voice")``, which hears the lead.
    What it plays is the only stem; all else of the lead's song is the residual. Raises `DdspZooError` for other models,
    and for a lead without pitch.
    """
    place = lead.song.stems[lead.source]
    if isinstance(onto, Edit):
        edit = onto.follow(lead)
        stem = heard(edit, place, "synthesised", seed)
    else:
        edit = played_by(onto, lead, seed)
        stem = spread(edit.render(seed=seed), place)
    return playable(transferred(lead, edit, stem, seed))


def played_by(model: Any, lead: Edit, seed: int | None = None) -> Edit:
    """Returns what a model of one source plays that hears the lead, with the lead's pitch.

    Raises `DdspZooError` for a model that separates several sources, or that finds the pitch itself.
    """
    if len(model.sources) != 1 or not model.needs_pitch or model.synth is None:
        raise DdspZooError(
            f"{model.name or type(model).__name__} separates {', '.join(model.sources)} and has no sound of its own to "
            "play with: name a model of one instrument, such as ddsp_autoencoder_voice, or a source as out/band:bass."
        )
    hop_seconds = model.hop_samples / model.sample_rate
    count = control_frames(lead.samples, lead.sample_rate, model.sample_rate, model.hop_samples)
    line = lead.as_lead(count, 1 / hop_seconds)
    onset = np.zeros((1, count))
    onset[0, [first for first, _ in line.notes]] = 1
    pitch = PitchTrack(line.f0_hz[None], onset, hop_seconds)
    seed = lead.maker.seed if seed is None else seed
    return Edit.of(separate(model, lead.render(), lead.sample_rate, pitch, seed), model.sources[0])
