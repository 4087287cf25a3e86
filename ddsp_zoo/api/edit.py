"""A source of a separation with its controls changed, step by step, and heard again."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from ddsp_zoo.controls import follow as following
from ddsp_zoo.controls.check import check
from ddsp_zoo.controls.filtered import filtered
from ddsp_zoo.controls.match import check_not_too_many, check_same_song, matched, track_for
from ddsp_zoo.controls.notes import Note, Played, check_table, plan_of
from ddsp_zoo.controls.plan import Plan, lengthened, performed, stretched
from ddsp_zoo.controls.render import render
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.midi import loudness_of, notes_by_source, write_midi
from ddsp_zoo.export.string_midi import track_of
from ddsp_zoo.music.midi import MidiNote, read_midi_tracks
from ddsp_zoo.separation.result import Maker, Named, Separated
from ddsp_zoo.separation.stream import control_frames

Sound = Literal["synthesised", "filtered"]
SOUNDS: tuple[Sound, ...] = ("synthesised", "filtered")
Change = float | np.ndarray | Callable[[np.ndarray], np.ndarray]
MOST_SEMITONES, MOST_DB, MOST_STRETCH = 48.0, 120.0, 10.0


@dataclass(frozen=True, eq=False, repr=False)
class Edit:
    """Holds the controls of one source of a separation, to be changed; each step gives a new edit.

    ``song.edit("bass").transpose(12).gain_db(-3)``: the song and the edits on the way stay as they are. Which controls
    a step changes follows from what they are declared as (role, range, how they join), see `Control`.

    Raises `DdspZooError` in every step that would leave a control's range, or nothing that sounds.
    """

    song: Separated
    source: str
    controls: Named
    maker: Maker
    sample_rate: int
    samples: int
    full_db: float

    @classmethod
    def of(cls, song: Separated, source: str) -> "Edit":
        """Returns the source as it is."""
        if source not in song.controls:
            raise DdspZooError(f"There is no source {source!r}: choose one of {', '.join(song.controls)}.")
        controls = {name: np.array(value, np.float32) for name, value in song.controls[source].items()}
        kept = (song.maker.full_db or {}).get(source)
        full_db = float(loudness_of(controls, song.maker.declared).max()) if kept is None else kept
        return cls(song, source, controls, song.maker, song.sample_rate, song.samples, full_db)

    def transpose(self, semitones: float) -> "Edit":
        """Moves pitches and frequencies by so many semitones, up or down; levels and colours stay.

        A single sinusoid that would leave its range stays at the end of it, where the highest is silent.
        """
        _check_number("transpose", semitones, -MOST_SEMITONES, MOST_SEMITONES, "semitones")
        plan = Plan.same(self.controls, self.maker.declared)
        plan.ratio[:] = 2 ** (semitones / 12)
        return self._performed(plan)

    def gain_db(self, gain_db: float) -> "Edit":
        """Makes the source louder by so many dB: all of its levels. Velocities stay, as with a fader."""
        _check_number("gain_db", gain_db, -MOST_DB, MOST_DB, "dB")
        plan = Plan.same(self.controls, self.maker.declared)
        plan.gain[:] = 10 ** (gain_db / 20)
        return replace(self._performed(plan), full_db=self.full_db + gain_db)

    def stretch(self, factor: float) -> "Edit":
        """Plays the source ``factor`` times as slowly, at the same pitches; decays last as long as they do."""
        _check_number("stretch", factor, 1 / MOST_STRETCH, MOST_STRETCH, "times the length")
        samples = max(round(self.samples * factor), 1)
        count = control_frames(samples, self.sample_rate, self.maker.sample_rate, self.maker.hop_samples)
        if samples == self.samples:
            return self
        plan = stretched(self.controls, self.maker.declared, factor, count)
        return replace(self._performed(plan), samples=samples)

    def set(self, **changes: Change) -> "Edit":
        """Sets controls by name: to a number, an array (N, k), or what a function makes of the present array.

        ``set(t60_seconds=lambda x: 2 * x, cutoff_hz=800)``. What is only heard in the stem cannot be set, since the
        synthesiser does not play it.
        """
        controls = dict(self.controls)
        for name, change in changes.items():
            controls[name] = self._set(name, change)
        return self._with(controls)

    def _set(self, name: str, change: Change) -> np.ndarray:
        there = [own for own in self.controls if self.maker.declared[own].origin != "heard"]
        if name not in there:
            heard = (
                f"is heard in {self.source} and not played"
                if name in self.controls
                else "is no control of it"
            )
            raise DdspZooError(
                f"{self.source}/{name} cannot be set, it {heard}: choose among {', '.join(there)}."
            )
        old = self.controls[name]
        try:
            new = np.asarray(change(old.copy()) if callable(change) else change, dtype=np.float32)
            return np.array(np.broadcast_to(new, old.shape))
        except (TypeError, ValueError) as error:
            raise DdspZooError(
                f"{self.source}/{name} is set to no numbers of shape {old.shape} ({error}): give a number, such an "
                "array, or a function from one to another."
            ) from error

    @property
    def notes(self) -> list[Note]:
        """Returns the notes as a table, to be read, changed, added to and given to `with_notes`."""
        return self._played().notes

    def with_notes(self, table: Sequence[Note]) -> "Edit":
        """Plays another table of notes: those of `notes` with changes, without some, or with new ones.

        A note keeps the controls of the one that it is made from (`Note.number`); a new one takes those of its nearest
        neighbour. An unchanged table changes nothing.
        """
        played, declared = self._played(), self.maker.declared
        check_table(table, played, self.source)
        return self._performed(plan_of(table, played, self.controls, declared))

    def midi(self, path: str | Path) -> "Edit":
        """Plays the notes of a MIDI file that was made of this source and changed elsewhere.

        Its notes are matched to the source's own, whose controls they keep; see `with_notes`. Raises `DdspZooError` for
        a file without a track of the source, and for one of another song.
        """
        played = self._played()
        channel, names = track_of(self.source, self.song.controls, self.maker)
        others = [name for name in self.song.controls if name != self.source]
        track = track_for(read_midi_tracks(path), names, others, channel, path)
        table = [Note(n.start_seconds, n.end_seconds, n.key, n.velocity, self.source) for n in track.notes]
        check_not_too_many(table, played, path, self.source)
        check_table(table, played, self.source)
        table = matched(table, played)
        check_same_song(table, played, path, self.source)
        return self.with_notes(table)

    def follow(self, lead: "Edit") -> "Edit":
        """Plays the notes of another source, of this song or another, with its pitch curve, as loud as it is.

        The sound is this source's: each note takes the controls of its own note that is nearest in pitch. The result is
        as long as the lead.
        """
        maker, f0_hz = self.maker, _pitch(self.controls, self.maker)
        count = control_frames(lead.samples, lead.sample_rate, maker.sample_rate, maker.hop_samples)
        own = render(self.controls, self.source, maker, self.sample_rate, self.samples)
        plan = following.plan_to_follow(
            lead.as_lead(count, maker.rate_hz),
            self._played(),
            f0_hz,
            following.loudness_in_frames(own, self.sample_rate, len(f0_hz), maker.rate_hz),
            following.by_notes(self.controls, maker.declared),
        )
        edit = replace(self, sample_rate=lead.sample_rate, samples=lead.samples)._performed(plan)
        return replace(edit, full_db=float(loudness_of(edit.controls, maker.declared).max()))

    def as_lead(self, count: int, rate_hz: float) -> following.Lead:
        """Returns what this source leads another with, in so many frames of the other's rate."""
        own, f0_hz = self.maker.rate_hz, _pitch(self.controls, self.maker)
        place = np.minimum(np.round(np.arange(count) * own / rate_hz).astype(int), len(f0_hz) - 1)
        notes = [
            (round(note.start_seconds * rate_hz), min(round(note.end_seconds * rate_hz), count))
            for note in self._played().notes
        ]
        audio = self.render()
        loudness = following.loudness_in_frames(audio, self.sample_rate, count, rate_hz)
        return following.Lead([n for n in notes if n[1] > n[0]], f0_hz[place], loudness)

    def render(self, sound: Sound = "synthesised", seed: int | None = None) -> np.ndarray:
        """Returns how the edit sounds at the recording's rate: (1, T) "synthesised", (channels, T) "filtered".

        "synthesised" is what the synthesiser plays, where everything may have changed; ``seed`` is of its noise.
        "filtered" is the recorded stem, through a filter that does to it what the edit does to the synthesised sound;
        level, timbre and decay may have changed, and neither pitch nor time.
        """
        check_sound(sound)
        if sound == "synthesised":
            return render(self.controls, self.source, self.maker, self.sample_rate, self.samples, seed)
        if not self.is_changed:
            return self.song.stems[self.source]
        before = self.song.controls[self.source]
        return filtered(
            self.song.stems[self.source], self.sample_rate, before, self.controls, self.source, self.maker
        )

    @property
    def is_changed(self) -> bool:
        """Returns whether any control is not as it is in the song."""
        own = self.song.controls[self.source]
        return any(not np.array_equal(value, own[name]) for name, value in self.controls.items())

    def to_midi(self, path: str | Path) -> None:
        """Writes the notes of the edit; raises `DdspZooError` where it has none."""
        notes = [MidiNote(n.start_seconds, n.end_seconds, int(n.pitch), int(n.velocity)) for n in self.notes]
        if not notes:
            raise DdspZooError(f"There are no notes to write: {self.source} plays none.")
        write_midi({self.source: notes}, path)

    def lengthened(self, samples: int) -> Named:
        """Returns the controls with silence at their end, up to so many samples of the recording."""
        count = control_frames(samples, self.sample_rate, self.maker.sample_rate, self.maker.hop_samples)
        if count <= len(next(iter(self.controls.values()))):
            return self.controls
        declared = self.maker.declared
        return performed(self.controls, declared, lengthened(self.controls, declared, count))

    def _played(self) -> Played:
        maker, rate_hz = self.maker, self.maker.rate_hz
        full = {self.source: self.full_db}
        found = notes_by_source(
            {self.source: self.controls}, rate_hz, maker.declared, self.source, full_db=full
        )[self.source]
        level = loudness_of(self.controls, maker.declared)
        spans = [slice(round(n.start_seconds * rate_hz), round(n.end_seconds * rate_hz)) for n in found]
        table = [
            Note(n.start_seconds, n.end_seconds, n.key, n.velocity, self.source, number)
            for number, n in enumerate(found)
        ]
        return Played(table, [float(level[span].max()) for span in spans], self.full_db, rate_hz, len(level))

    def _performed(self, plan: Plan) -> "Edit":
        return self._with(performed(self.controls, self.maker.declared, plan))

    def _with(self, controls: Named) -> "Edit":
        """The edit with other controls, which are as they are declared and leave something to hear."""
        maker = self.maker
        if maker.synth is None:
            raise DdspZooError(
                f"{maker.model} has no synthesiser, it only cuts sources out of a mixture: what it gives cannot be "
                "edited."
            )
        wanted = {name: control for name, control in maker.declared.items() if name in controls}
        check(controls, wanted, self.source, maker.rate_hz)
        for name, control in wanted.items():
            if control.role == "pitch" and control.origin != "heard":
                self._check_playable(name, controls[name])
        levels = [n for n, control in wanted.items() if control.role == "level" and control.origin != "heard"]
        if levels and not any(np.any(controls[name]) for name in levels):
            raise DdspZooError(
                f"Nothing of {self.source} would be left to hear: keep one of {', '.join(levels)}."
            )
        return replace(self, controls=controls)

    def _check_playable(self, name: str, f0_hz: np.ndarray) -> None:
        """Raises `DdspZooError` for a pitch that has become higher than the synthesiser plays."""
        synth, highest = self.maker.synth, float(f0_hz.max(initial=0))
        if highest > max(synth.highest_f0_hz, float(self.controls[name].max(initial=0))):
            raise DdspZooError(
                f"{self.source}/{name} would be {highest:.0f} Hz at {f0_hz.argmax() / self.maker.rate_hz:.3f} s, and "
                f"{type(synth).__name__} plays up to {synth.highest_f0_hz:.0f} Hz: keep it lower."
            )


def check_sound(sound: str) -> None:
    """Raises `DdspZooError` for a way to sound that there is not."""
    if sound not in SOUNDS:
        raise DdspZooError(f"There is no sound {sound!r}: choose {' or '.join(SOUNDS)}.")


def _pitch(controls: Named, maker: Maker) -> np.ndarray:
    """The pitch of a source (N,); `DdspZooError` where it has none."""
    found = [name for name, control in maker.declared.items() if control.role == "pitch" and name in controls]
    if not found:
        raise DdspZooError(
            f"What {maker.model} makes has no pitch that could follow or lead: use a model that has."
        )
    return np.reshape(controls[found[0]], -1).astype(np.float64)


def _check_number(verb: str, value: float, low: float, high: float, unit: str) -> None:
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not (number and math.isfinite(value) and low <= value <= high):
        raise DdspZooError(f"{verb} takes a number from {low:g} to {high:g} {unit}, not {value!r:.60}.")
