"""Notes as a table that can be changed, and the controls that follow from it."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddsp_zoo.controls.plan import Declared, Plan, performed
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.midi import RANGE_DB, loudness_of
from ddsp_zoo.separation.result import Named


@dataclass
class Note:
    """Holds one note of a table.

    start_seconds, end_seconds: when it sounds.
    pitch: its MIDI pitch, 69 is A4; a whole number as it is read, and a fraction where you want one.
    velocity: how loud its loudest frame is, 1 to 127; a step is 0.4 dB.
    string: the source that plays it, for a guitar the string.
    number: the note of the source that it is made from, as the table numbers them; None for a new one.
    """

    start_seconds: float
    end_seconds: float
    pitch: float
    velocity: float
    string: str = ""
    number: int | None = None


@dataclass
class Played:
    """Holds what a source plays: its own notes, and what a note is measured by.

    notes: the own notes in order, each with its number.
    levels_db: how loud the loudest frame of each is.
    full_db: what velocity 127 is.
    rate_hz: frames a second.
    count: how many there are.
    """

    notes: list[Note]
    levels_db: list[float]
    full_db: float
    rate_hz: float
    count: int

    @property
    def seconds(self) -> float:
        """Returns when the last frame ends."""
        return self.count / self.rate_hz

    def frames(self, note: Note) -> tuple[int, int]:
        """Returns the first frame of a note and the one after its last."""
        first, last = (round(t * self.rate_hz) for t in (note.start_seconds, note.end_seconds))
        return first, min(last, self.count)

    def origin(self, note: Note) -> int:
        """Returns the number of the own note that a note is made from: a second counts as much as a semitone."""
        if note.number is not None:
            return note.number
        return min(
            range(len(self.notes)),
            key=lambda number: (
                abs(self.notes[number].start_seconds - note.start_seconds)
                + abs(self.notes[number].pitch - note.pitch)
            ),
        )

    def gain(self, number: int, peak_db: float, velocity: float) -> float:
        """Returns by what levels are multiplied so that what is made from an own note has a velocity.

        ``peak_db`` is how loud it is without.
        """
        if velocity == self.notes[number].velocity and peak_db == self.levels_db[number]:
            return 1.0
        wanted_db = self.full_db + (velocity - 127) * RANGE_DB / 126
        return float(10 ** ((wanted_db - peak_db) / 20))


def check_table(table: Sequence[Note], played: Played, string: str) -> None:
    """Raises `DdspZooError` for a table that one source cannot play, with the first fault that it has."""
    if strange := [row for row in table if not isinstance(row, Note)]:
        raise DdspZooError(f"A table of notes holds ddsp_zoo.Note, not {type(strange[0]).__name__}.")
    if not table:
        raise DdspZooError(f"No note of {string} is left: keep one, or turn {string} down with gain_db.")
    for note in table:
        _check_note(note, played, string)
    ordered = sorted(table, key=lambda note: note.start_seconds)
    for one, other in itertools.pairwise(ordered):
        if played.frames(other)[0] < played.frames(one)[1]:
            raise DdspZooError(
                f"Two notes overlap on {string}: one ends at {one.end_seconds:.3f} s and the next begins at "
                f"{other.start_seconds:.3f} s. It plays one at a time, so end the first before."
            )


def _check_note(note: Note, played: Played, string: str) -> None:
    numbers = (note.start_seconds, note.end_seconds, note.pitch, note.velocity)
    if not all(_is_number(x) for x in numbers):
        raise DdspZooError(
            f"A note of {string} has start, end, pitch and velocity {numbers!r:.100}: give it four numbers."
        )
    where, frame = f"A note of {string} at {note.start_seconds:.3f} s", 1 / played.rate_hz
    if note.string not in ("", string):
        raise DdspZooError(f"{where} is one of {note.string!s:.60}: put it into the table of that source.")
    if not 0 <= note.start_seconds <= played.seconds or note.end_seconds > played.seconds + frame:
        raise DdspZooError(
            f"{where} ends at {note.end_seconds:.3f} s: {string} lasts from 0 to {played.seconds:.3f} s, so move the "
            "note, or stretch the source first."
        )
    first, last = played.frames(note)
    if last <= first:
        raise DdspZooError(f"{where} ends at {note.end_seconds:.3f} s: it lasts {frame:.3f} s at least.")
    if not 0 <= note.pitch <= 127 or not 1 <= note.velocity <= 127:
        raise DdspZooError(
            f"{where} has pitch {note.pitch:g} and velocity {note.velocity:g}: they go from 0 to 127 and 1 to 127."
        )
    if not is_number_of(note, len(played.notes)):
        raise DdspZooError(
            f"{where} is made from note {note.number!s:.60}, and {string} has {len(played.notes)} notes, counted "
            "from 0: None makes it a new one."
        )


def is_number_of(note: Note, count: int) -> bool:
    """Returns whether a note is a new one, or made from one of so many notes."""
    known = isinstance(note.number, (int, np.integer)) and not isinstance(note.number, bool)
    return note.number is None or (known and 0 <= note.number < count)


def _is_number(value: object) -> bool:
    return (
        isinstance(value, (int, float, np.number))
        and not isinstance(value, bool)
        and bool(np.isfinite(value))
    )


def plan_of(table: Sequence[Note], played: Played, controls: Named, declared: Declared) -> Plan:
    """Returns the plan by which a source plays a table in place of its own notes.

    A note that is made from one of the own takes its controls: shorter, it is cut; longer, it is stretched. A new one
    takes those of its nearest neighbour in time and pitch. An own note that is not in the table falls silent, and what
    lies between notes stays as it is.
    """
    if not played.notes:
        raise DdspZooError("A source without notes has none from which new ones could be made: edit another.")
    plan, made_from = Plan.same(controls, declared), [played.origin(note) for note in table]
    stays = {}
    for place, (note, number) in enumerate(zip(table, made_from, strict=True)):
        if note.number is not None and played.frames(note) == played.frames(played.notes[number]):
            stays.setdefault(number, place)
    for number, own in enumerate(played.notes):
        if number not in stays:
            span = slice(*played.frames(own))
            plan.sounds[span] = plan.gate[span] = False
            plan.touched[span] = True
    for place, (note, number) in enumerate(zip(table, made_from, strict=True)):
        own, (first, last) = played.notes[number], played.frames(note)
        if stays.get(number) != place:
            put(plan, first, last, *played.frames(own))
        plan.ratio[first:last] = 2 ** ((note.pitch - own.pitch) / 12)
    loudness = loudness_of(performed(controls, declared, plan), declared)
    for note, number in zip(table, made_from, strict=True):
        span = slice(*played.frames(note))
        plan.gain[span] = played.gain(number, float(loudness[span].max()), note.velocity)
        plan.touched[span] |= (plan.ratio[span] != 1) | (plan.gain[span] != 1)
    return plan


def put(plan: Plan, first: int, last: int, own_first: int, own_last: int) -> None:
    """Has the frames from ``first`` to ``last`` play a note that lies elsewhere, cut or stretched to fit."""
    span, length = slice(first, last), last - first
    own_length = own_last - own_first
    step = 1.0 if length <= own_length else (own_length - 1) / (length - 1)
    plan.take[span] = np.round(own_first + step * np.arange(length), 9)
    plan.ratio[span] = plan.gain[span] = 1.0
    plan.sounds[span] = plan.touched[span] = True
    plan.gate[span] = np.arange(length) == 0
