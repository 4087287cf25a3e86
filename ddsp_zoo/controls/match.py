"""Notes of a MIDI file matched to the notes that a source has."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ddsp_zoo.controls.notes import Note, Played
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music.midi import MidiTrack

OTHER_PITCH, OTHER_TIME = 0.6, 0.6  # what a pair costs whose notes differ in one of them
A_SECOND, A_SEMITONE = 0.02, 0.005  # and that, so that of equal pairs the nearer one is taken
LONE = 0.65  # what a note costs that has no partner
FAMILIAR = 0.5  # share of notes that have kept time or pitch; what has fewer is another song


def matched(table: Sequence[Note], played: Played) -> list[Note]:
    """Returns a table whose notes know which of the own they are made from, None where they are new.

    Pairs are in the order of time, and as alike as they can be altogether: a note that has kept its start or its pitch
    finds its own, whether the file was transposed, played slower, thinned out or added to. Source: Needleman and Wunsch
    1970, alignment of sequences.
    """
    table, own = sorted(table, key=lambda note: note.start_seconds), played.notes
    costs = [[_cost(note, other, played) for other in own] for note in table]
    best = [[LONE * (i + j) for j in range(len(own) + 1)] for i in range(len(table) + 1)]
    for i, row in enumerate(costs, 1):
        for j, cost in enumerate(row, 1):
            best[i][j] = min(best[i - 1][j - 1] + cost, best[i - 1][j] + LONE, best[i][j - 1] + LONE)
    numbers: list[int | None] = [None] * len(table)
    i, j = len(table), len(own)
    while i and j:
        if best[i][j] == best[i - 1][j - 1] + costs[i - 1][j - 1]:
            i, j = i - 1, j - 1
            numbers[i] = j
        elif best[i][j] == best[i - 1][j] + LONE:
            i -= 1
        else:
            j -= 1
    return [replace(note, number=number) for note, number in zip(table, numbers, strict=True)]


def _cost(note: Note, own: Note, played: Played) -> float:
    late = abs(note.start_seconds - own.start_seconds)
    high = abs(note.pitch - own.pitch)
    moved = OTHER_TIME * (late > 1 / played.rate_hz)
    return moved + OTHER_PITCH * (high > 0) + A_SECOND * late + A_SEMITONE * high


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
