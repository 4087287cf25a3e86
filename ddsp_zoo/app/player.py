"""The player: all parts of a song together, to the sample, in pieces that the browser fetches as it plays."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.api.result import OpenedSeparation
from ddsp_zoo.files.audio import open_audio
from ddsp_zoo.sources import RESIDUAL

PIECE_SECONDS = 4  # that the browser fetches at a time: `data-piece` tells it
MIXTURE = "mixture"


@dataclass(frozen=True)
class Track:
    """Holds one row of the player.

    name: how the row is called.
    group: the heading that it stands under.
    paths: files that sound together, as long as the song.
    """

    name: str
    group: str
    paths: tuple[Path, ...]


def tracks_of(song: OpenedSeparation, edit: OpenedSeparation | None, edited: Sequence[str]) -> list[Track]:
    """Returns the rows of a song: mixture, residual, stems, synthesised, and of an edit those that are ``edited``."""
    names, folder = list(song.controls), song.folder
    stems, residual = [folder / f"{name}.wav" for name in names], folder / f"{RESIDUAL}.wav"
    rows = [Track(MIXTURE, "Song", (*stems, residual)), Track(RESIDUAL, "Song", (residual,))]
    rows += [Track(name, "Stems", (path,)) for name, path in zip(names, stems, strict=True)]
    if song.maker.synth is not None:
        rows += [Track(name, "Synthesised", (folder / f"synthesised/{name}.wav",)) for name in names]
    if edit is None:
        return rows
    there = [Track(f"edited {name}", "Edited", (edit.folder / f"{name}.wav",)) for name in edited]
    return [Track("edited mixture", "Edited", (edit.folder / f"{MIXTURE}.wav",)), *there, *rows]


def piece(track: Track, number: int) -> bytes:
    """Returns one piece of a row as a WAV of 16 bits, empty after the end; what exceeds full scale is cut off."""
    parts = []
    for path in track.paths:
        with open_audio(path) as file:
            rate, length = file.samplerate, PIECE_SECONDS * file.samplerate
            file.seek(min(number * length, file.frames))
            parts.append(file.read(length, dtype="float32", always_2d=True))
    channels = max(part.shape[1] for part in parts)
    audio = sum(np.broadcast_to(part, (len(part), channels)) for part in parts)
    data = io.BytesIO()
    sf.write(data, np.clip(audio, -1, 1), rate, "PCM_16", format="WAV")
    return data.getvalue()


def page_of(tracks: Sequence[Track], sounds: str, seconds: float, rate: int) -> str:
    """Returns the HTML of a player, which `player.js` brings to life.

    ``sounds`` is the address of the pieces: a row's number and a piece's follow. The first row is heard, and the others
    are muted at first.
    """
    rows, group = [], ""
    for number, track in enumerate(tracks):
        rows += [f"<h4>{escape(track.group)}</h4>"] if track.group != group else []
        group = track.group
        rows.append(_row(track, f"{sounds}/{number}", muted=number > 0))
    return (
        f'<ddsp-player data-version="{escape(sounds, quote=True)}" data-seconds="{seconds:.6f}" '
        f'data-rate="{rate}" data-piece="{PIECE_SECONDS}">'
        '<div class="transport"><button class="play" type="button">Play</button>'
        f'<input class="place" type="range" min="0" max="{seconds:.6f}" step="0.01" value="0" aria-label="place">'
        '<output class="clock"></output></div><p class="trouble" role="alert"></p>'
        + "".join(rows)
        + "</ddsp-player>"
    )


def _row(track: Track, sounds: str, muted: bool) -> str:
    name = escape(track.name, quote=True)
    return (
        f'<div class="track" data-sounds="{escape(sounds, quote=True)}" data-muted="{str(muted).lower()}" '
        f'data-name="{name}" data-group="{escape(track.group, quote=True)}"><span class="name">{name}</span>'
        f'<button class="solo" type="button" aria-label="solo {name}">Solo</button>'
        f'<button class="mute" type="button" aria-label="mute {name}">Mute</button>'
        f'<input class="level" type="range" min="0" max="2" step="0.01" value="1" aria-label="level of {name}"></div>'
    )
