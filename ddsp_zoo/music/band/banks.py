"""Makes banks of recorded notes, once each: from soundfonts, folders of recorded notes, and drum kits."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from filelock import FileLock

from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import folder_when_done
from ddsp_zoo.files.cache import fingerprint
from ddsp_zoo.music import soundfonts
from ddsp_zoo.music.band.scores import Note, Part
from ddsp_zoo.music.drum_kits import read_kit
from ddsp_zoo.music.midi import DRUM_CHANNEL
from ddsp_zoo.music.recorded_notes import find_notes, read_sound
from ddsp_zoo.music.sampler import Bank, RecordedNote, for_program, play_rate, write_bank
from ddsp_zoo.music.signals import Audio, fade

VERSION = 1  # to be raised whenever a change below changes the recordings
HOLD_SECONDS, PAUSE_SECONDS = 4.0, 1.0
DRUM_SECONDS = 2.5
END_SECONDS = 0.4  # over which a recording that is cut off fades
VELOCITIES, DRUM_VELOCITIES = (0.45, 0.92), (0.3, 0.65, 0.97)
# General MIDI programs from a number on: lowest and highest note that is recorded, and the step between two notes.
RANGES = ((0, (33, 97, 4)), (24, (37, 86, 3)), (32, (25, 61, 3)), (40, (33, 97, 4)))
DRUMS = range(35, 82)
SOFTEST = 10 ** (-60 / 20)  # relative to a recording's peak: what is softer at its ends is cut off


@dataclass(frozen=True)
class Source:
    """Says where a bank comes from: a preset of a soundfont (MIDI bank 128: drums), a folder of notes, a drum kit."""

    kind: str  # "preset", "notes" or "kit"
    path: Path
    bank: int = 0
    program: int = 0

    def name(self, rate_hz: int) -> str:
        """Returns the name of the bank: it depends on the sounds and the rate, not on the folder they lie in."""
        files = sorted(self.path.rglob("*")) if self.path.is_dir() else [self.path]
        sizes = [(file.name, file.stat().st_size) for file in files if file.is_file()]
        return fingerprint(
            version=VERSION,
            kind=self.kind,
            name=self.path.name,
            files=sizes,
            bank=self.bank,
            program=self.program,
            rate=rate_hz,
        )

    def plain_name(self, rate_hz: int) -> str:
        """Returns the name of the packed bank, which tells nothing of the file but its name."""
        stem = re.sub(r"\W+", "_", self.path.stem)
        return f"{self.kind}-{stem}-{self.bank}-{self.program}-{play_rate(rate_hz)}"


def open_bank(source: Source, root: Path, rate_hz: int) -> Bank:
    """Opens the bank of a source for audio at ``rate_hz``; makes it below ``root`` when it is first needed.

    A bank that comes from `packed_sounds` is found by its plain name; its source may be missing.
    """
    packed = root / source.plain_name(rate_hz)
    if packed.exists():
        return Bank.read(packed)
    folder = root / source.name(rate_hz)
    if not folder.exists():
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{folder.name}.lock"):  # another process may be making it
            if not folder.exists():
                record = {"preset": record_preset, "notes": read_notes, "kit": read_drums}[source.kind]
                with folder_when_done(folder) as draft:
                    write_bank(draft, record(source, play_rate(rate_hz)))
    return Bank.read(folder)


# ---- soundfonts


def record_preset(
    source: Source, rate_hz: int, velocities: tuple[float, ...] = (), step: int = 0, held: float = 0.0
) -> list[RecordedNote]:
    """Records a preset through fluidsynth: some notes of its range, or all its drums, soft and loud.

    ``velocities`` (0..1), the ``step`` between notes in semitones and the seconds for which each is ``held`` replace
    the usual ones where they are not empty or zero.
    """
    drums = source.bank == soundfonts.DRUM_BANK
    low, high, usual_step = for_program(RANGES, source.program)
    numbers = DRUMS if drums else range(low, high, step or usual_step)
    held = held or (DRUM_SECONDS if drums else HOLD_SECONDS)
    slot = held if drums else held + PAUSE_SECONDS
    velocities = velocities or (DRUM_VELOCITIES if drums else VELOCITIES)
    wanted = [(midi, velocity) for midi in numbers for velocity in velocities]
    notes = tuple(Note(place * slot, held - 0.02, *want) for place, want in enumerate(wanted))
    # A font that is one kit has it on an ordinary channel, under program 0.
    single = drums and soundfonts.read_soundfont(source.path).single_kit
    part = Part("drums" if drums else "other", source.program, notes)
    audio = soundfonts.play((part,), source.path, len(notes) * slot, 0 if single else DRUM_CHANNEL)
    audio = soxr.resample(audio, soundfonts.PLAYER_RATE_HZ, rate_hz)
    recordings = []
    for place, (midi, velocity) in enumerate(wanted):
        cut = audio[round(place * slot * rate_hz) :][: round((held - 0.03) * rate_hz)]
        if np.abs(cut).max() > 1e-4:
            recordings.append(_looped(midi, velocity, cut, rate_hz, not drums))
    if not recordings:
        raise DdspZooError(f"Preset {source.program} of {source.path} is silent: use another soundfont.")
    return recordings


def _looped(midi: int, velocity: float, audio: Audio, rate_hz: int, may_loop: bool) -> RecordedNote:
    """Returns a recording with a loop if its tone is steady, else one that ends when it has died away."""
    audio = _trimmed(audio.copy(), rate_hz)
    half = rate_hz // 2
    if may_loop and len(audio) > 6 * half:
        early, late = (
            np.sqrt(np.mean(np.square(part))) for part in (audio[2 * half : 4 * half], audio[-2 * half :])
        )
        if late > 0.75 * early:
            audio, loop = loop_smoothly(audio, rate_hz)
            return RecordedNote(midi, velocity, audio, velocity, loop=loop)
    cut_off = np.abs(audio[-half // 10 :]).max() > 10 ** (-50 / 20) * np.abs(audio).max()
    return RecordedNote(midi, velocity, fade(audio, 0, END_SECONDS if cut_off else 0.02, rate_hz), velocity)


def loop_smoothly(audio: Audio, rate_hz: int) -> tuple[Audio, int]:
    """Blends the end of a steady tone (T,) into an earlier stretch that is like it.

    Returns the tone (T' <= T,) and the sample to go back to from its end; its last 3 samples are those that follow
    that sample.
    """
    cross, search, start = round(0.12 * rate_hz), round(0.05 * rate_hz), round(1.2 * rate_hz)
    goal, window = audio[start - cross : start], audio[-(cross + search) :]
    power = np.convolve(np.square(window), np.ones(cross), "valid")
    likeness = np.correlate(window, goal, "valid") / np.sqrt(power + 1e-12)
    end = len(audio) - search + int(np.argmax(likeness))
    weight = np.linspace(0, 1, cross)  # the two are alike: amplitudes add, not powers
    blend = (1 - weight) * audio[end - cross : end] + weight * goal
    return np.concatenate([audio[: end - cross], blend, audio[start : start + 3]]), start


def _trimmed(audio: Audio, rate_hz: int, lead_seconds: float = 0.002) -> Audio:
    """Returns a recording without the silence before and after it."""
    loud = np.flatnonzero(np.abs(audio) > SOFTEST * np.abs(audio).max())
    first = max(int(loud[0]) - round(lead_seconds * rate_hz), 0)
    return fade(audio[first : loud[-1] + 1], 0.0005, 0, rate_hz)


# ---- recorded notes


def read_notes(source: Source, rate_hz: int) -> list[RecordedNote]:
    """Reads the notes of a folder, see `find_notes`, at one level and with the pitch that they really have."""
    recordings = []
    for note in find_notes(source.path):
        audio = _trimmed(read_sound(note.path, rate_hz)[: round(6 * rate_hz)], rate_hz)
        level = np.sqrt(np.mean(np.square(audio[: round(0.3 * rate_hz)])))
        audio = fade(audio / max(level, 1e-6) * 0.1, 0, END_SECONDS, rate_hz)
        recordings.append(RecordedNote(sounding_midi(audio, note.midi, rate_hz), note.velocity, audio))
    return recordings


def sounding_midi(audio: Audio, midi: float, rate_hz: int) -> float:
    """Returns the pitch within 70 cents of ``midi`` where the first six partials of a note are strongest together."""
    part = audio[round(0.05 * rate_hz) : round(1.5 * rate_hz)]
    size = 1 << 18
    spectrum = np.log(np.abs(np.fft.rfft(part * np.hanning(len(part)), size)) + 1e-9)
    tried = np.arange(-70, 71, 1.0) / 100
    bins = np.outer(midi_to_hz(midi + tried), np.arange(1, 7)) * size / rate_hz
    return midi + float(tried[spectrum[np.minimum(np.rint(bins).astype(int), size // 2)].sum(1).argmax()])


# ---- drum kits


def read_drums(source: Source, rate_hz: int) -> list[RecordedNote]:
    """Reads the hits of a Hydrogen drum kit under their General MIDI numbers."""
    recordings = []
    for hit in read_kit(source.path):
        audio = _trimmed(read_sound(hit.path, rate_hz)[: round(DRUM_SECONDS * rate_hz)], rate_hz)
        whole = len(audio) < (DRUM_SECONDS - 0.1) * rate_hz
        audio = fade(audio * hit.gain, 0, 0.02 if whole else END_SECONDS, rate_hz)
        recordings.append(RecordedNote(hit.midi, hit.velocity, audio, variant=hit.variant))
    return recordings
