"""Notes of a MIDI file matched to the notes that a source has."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ddsp_zoo.controls.notes import Note, Played
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.midi import MidiTrack

OTHER_PITCH, OTHER_TIME = 0.6, 0.6  # what a pair costs whose notes differ in one of them
A_SECOND, A_SEMITONE = 0.02, 0.005  # and that, so that of equal pairs the nearer one is taken
LONE = 0.65  # what a note costs that has no partner
MOST_TIMES = 8  # as many notes as there are a file may have
FAMILIAR = 0.5  # share of notes that have kept time or pitch; what has fewer is another song


def matched(table: Sequence[Note], played: Played) -> list[Note]:
    """Returns a table whose notes know which of the own they are made from, None where they are new.

    Pairs are in the order of time, and as alike as they can be altogether: a note that has kept its start or its pitch
    finds its own, whether the file was transposed, played slower, thinned out or added to. Source: Needleman and Wunsch
    1970, alignment of sequences.
    """
    table = sorted(table, key=lambda note: note.start_seconds)
    costs = _costs(table, played)
    alone = LONE * np.arange(costs.shape[1] + 1)
    best = [alone]
    for row in costs:
        with_own = np.minimum(best[-1][:-1] + row, best[-1][1:] + LONE)
        first = np.concatenate([[best[-1][0] + LONE], with_own])
        best.append(np.minimum.accumulate(first - alone) + alone)  # some of the own may be left out before
    numbers: list[int | None] = [None] * len(table)
    i, j = costs.shape
    while i and j:
        ways = best[i - 1][j - 1] + costs[i - 1, j - 1], best[i - 1][j] + LONE, best[i][j - 1] + LONE
        way = int(np.argmin(ways))
        i, j = i - (way < 2), j - (way != 1)
        if way == 0:
            numbers[i] = j
    return [replace(note, number=number) for note, number in zip(table, numbers, strict=True)]


def _costs(table: Sequence[Note], played: Played) -> np.ndarray:
    """What it costs to make each note of a table from each of the own (n, m)."""
    (starts, pitches), (own_starts, own_pitches) = (
        np.array([(note.start_seconds, note.pitch) for note in notes]).reshape(-1, 2).T
        for notes in (table, played.notes)
    )
    late = np.abs(starts[:, None] - own_starts)
    high = np.abs(pitches[:, None] - own_pitches)
    apart = OTHER_TIME * (late > 1 / played.rate_hz) + OTHER_PITCH * (high > 0)
    return apart + A_SECOND * late + A_SEMITONE * high


def check_not_too_many(table: Sequence[Note], played: Played, path: str | Path, source: str) -> None:
    """Raises `DdspZooError` for a table with so many notes that it cannot be of this song."""
    if len(table) > MOST_TIMES * len(played.notes) + MOST_TIMES:
        raise DdspZooError(
            f"{path} is of another song: it has {len(table)} notes for {source}, which plays {len(played.notes)}."
        )


def check_same_song(table: Sequence[Note], played: Played, path: str | Path, source: str) -> None:
    """Raises `DdspZooError` where hardly a note of a matched table has kept its time or its pitch."""
    pairs = [(note, played.notes[note.number]) for note in table if note.number is not None]
    on_time = sum(abs(a.start_seconds - b.start_seconds) <= 1.5 / played.rate_hz for a, b in pairs)
    in_tune = sum(a.pitch == b.pitch for a, b in pairs)
    fewer = min(len(table), len(played.notes))
    if max(on_time, in_tune) < FAMILIAR * fewer:
        raise DdspZooError(
            f"{path} is of another song: of its {len(table)} notes {on_time} begin with notes of {source} and "
            f"{in_tune} have their pitch; edit the file that was written of this song, "
            "and move notes in time and in pitch one after the other."
        )


def track_for(
    tracks: Sequence[MidiTrack], names: Sequence[str], others: Sequence[str], channel: int, path: str | Path
) -> MidiTrack:
    """Returns the track of a source: one of its names, the only one that plays, or of unnamed ones its channel.

    ``others`` are the names of other sources. Raises `DdspZooError` for a file without notes, and where none of its
    tracks is that of the source.
    """
    playing = [track for track in tracks if track.notes]
    if not playing:
        raise DdspZooError(f"{path} holds no notes: export the tracks that play.")
    own = [track for track in tracks if track.name.lower() in [name.lower() for name in names]]
    left = [track for track in playing if track.name.lower() not in [name.lower() for name in others]]
    if not own:
        own = left if len(left) == 1 else [track for track in left if track.channel == channel]
        own = own if len({track.name for track in left}) == 1 else []
    if not own:
        there = ", ".join(track.name or f"channel {track.channel + 1}" for track in playing)
        raise DdspZooError(
            f"{path} has no track {names[0]!r}, only {there}: name one so, or leave one track in the file."
        )
    notes = [note for track in own for note in track.notes]
    return replace(own[0], notes=sorted(notes, key=lambda note: note.start_seconds))
