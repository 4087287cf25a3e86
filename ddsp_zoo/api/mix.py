"""The whole song with edited sources in their places."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from ddsp_zoo.api.edit import Edit, Sound, check_sound
from ddsp_zoo.controls.render import render
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.separation.result import Maker, Named, Separated

Edits = Edit | Iterable[Edit] | Mapping[str, Edit]


def in_place(song: Separated, edits: Edits) -> dict[str, Edit]:
    """Returns the edits by the source whose place they take.

    Raises `DdspZooError` where two take one place, and for one of another song that says no place.
    """
    found = list(
        edits.values() if isinstance(edits, Mapping) else [edits] if isinstance(edits, Edit) else edits
    )
    if strange := [edit for edit in found if not isinstance(edit, Edit)]:
        raise DdspZooError(f"What is mixed are edits, as song.edit('bass'), not {type(strange[0]).__name__}.")
    if isinstance(edits, Mapping):
        places = list(edits.items())
    else:
        places = [(edit.source, edit) for edit in found]
        if stranger := next((edit.source for _, edit in places if edit.song is not song), None):
            raise DdspZooError(
                f"The edit of {stranger} is of another song: say which source it takes the place of, as "
                "{'bass': edit}."
            )
    for number, (place, _) in enumerate(places):
        if place not in song.controls:
            raise DdspZooError(f"There is no source {place!r}: choose one of {', '.join(song.controls)}.")
        if place in [other for other, _ in places[:number]]:
            raise DdspZooError(f"Two edits are of {place}: put all steps into one.")
    return dict(places)


def mix(
    song: Separated, edits: Edits = (), sound: Sound = "synthesised", seed: int | None = None
) -> np.ndarray:
    """Returns the song (channels, T) with edits in place of what their sources played; see `Separation.mix`."""
    check_sound(sound)
    parts = [*others(song, places := in_place(song, edits)).values(), song.residual]
    for place, edit in places.items():
        if edit.sample_rate != song.sample_rate:
            raise DdspZooError(
                f"The edit in place of {place} has {edit.sample_rate} Hz, not {song.sample_rate} Hz."
            )
        parts.append(heard(edit, song.stems[place], sound, seed))
    return sum(at_length(parts))


def others(song: Separated, places: Mapping[str, Edit]) -> dict[str, np.ndarray]:
    """Returns the stems that are not edited."""
    return {name: song.stems[name] for name in song.controls if name not in places}


def heard(edit: Edit, stem: np.ndarray, sound: Sound, seed: int | None = None) -> np.ndarray:
    """Returns an edit as it sounds in the place of a stem (channels, T), which it takes over where nothing changed.

    What is synthesised has one channel: it is spread over those of the stem so that it lies where that lay, and its
    mean over the channels stays what it is.
    """
    if not edit.is_changed and edit.samples == stem.shape[1]:
        return edit.song.stems[edit.source]
    audio = edit.render(sound, seed)
    return audio if len(audio) == len(stem) else spread(audio, stem)


def spread(audio: np.ndarray, stem: np.ndarray) -> np.ndarray:
    """Returns what is synthesised (1, T) over the channels of a stem (channels, T), so that it lies where that lay."""
    mono = stem.mean(0, dtype=np.float64)
    power = np.square(mono).sum()
    shares = stem @ mono / power if power > 0 else np.ones(len(stem))
    return (shares[:, None] * audio.mean(0)).astype(np.float32)


def at_length(parts: Iterable[np.ndarray]) -> list[np.ndarray]:
    """Returns audio (C, T) as long as the longest, with silence at the end."""
    parts = list(parts)
    longest = max(part.shape[1] for part in parts)
    return [np.pad(part, ((0, 0), (0, longest - part.shape[1]))) for part in parts]


def edited(song: Separated, edits: Edits, sound: Sound = "synthesised", seed: int | None = None) -> Separated:
    """Returns the song with edits in place as a separation of its own, to be saved; see `Separation.edited`."""
    check_sound(sound)
    places = in_place(song, edits)
    if odd := next((name for name, edit in places.items() if edit.source != name), None):
        raise DdspZooError(
            f"In the place of {odd} another source plays: `transfer` makes a separation of that, `mix` plays it."
        )
    stems = {
        name: heard(places[name], song.stems[name], sound, seed) if name in places else song.stems[name]
        for name in song.controls
    }
    *parts, residual = at_length([*stems.values(), song.residual])
    samples = residual.shape[1]
    every = {name: places.get(name) or Edit.of(song, name) for name in stems}
    controls = {name: edit.lengthened(samples) for name, edit in every.items()}
    full_db = (song.maker.full_db or {}) | {
        name: edit.full_db for name, edit in places.items() if edit.full_db > -200
    }
    maker = replace(song.maker, full_db=full_db or None, seed=song.maker.seed if seed is None else seed)
    return _made(song, maker, dict(zip(stems, parts, strict=True)), residual, controls)


def transferred(lead: Edit, edit: Edit, stem: np.ndarray, seed: int | None = None) -> Separated:
    """Returns a song in which an edit, which sounds as ``stem``, plays what a source of it has played."""
    song = lead.song
    residual = sum(others(song, {lead.source: lead}).values(), song.residual)
    stem, residual = at_length([stem, residual])
    controls = {edit.source: edit.lengthened(residual.shape[1])}
    maker = replace(edit.maker, full_db=None, seed=edit.maker.seed if seed is None else seed)
    return _made(song, maker, {edit.source: stem}, residual, controls)


def _made(
    song: Separated, maker: Maker, stems: Named, residual: np.ndarray, controls: dict[str, Named]
) -> Separated:
    """What was made of a song: its parts are equally long, and its controls are those of the stems."""
    samples = residual.shape[1]
    return Separated(
        mixture=sum(stems.values(), residual),
        stems=stems,
        synthesised={
            name: render(own, name, maker, song.sample_rate, samples) for name, own in controls.items()
        },
        residual=residual,
        controls=controls,
        sample_rate=song.sample_rate,
        maker=maker,
        recording_sha256=song.recording_sha256,
        is_edit=True,
    )
