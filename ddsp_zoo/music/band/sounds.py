"""Plays parts with recorded sounds: draws a source at random and turns notes into events of the sampler."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.music import drum_kits
from ddsp_zoo.music.band.banks import Source, open_bank
from ddsp_zoo.music.band.scores import Part
from ddsp_zoo.music.sampler import Bank, Events, for_program, play
from ddsp_zoo.music.signals import Audio, log_uniform
from ddsp_zoo.music.soundfonts import DRUM_BANK, Soundfont

FOR_EVER = 1e6  # seconds
RECORDED_SHARE = 0.35  # of the parts for which there are recorded notes, as long as there are soundfonts too
HYBRID_SHARE = 0.3  # of drum kits are put together from several
# How long notes take to die away by 60 dB once let go, in seconds: programs from a number on.
RELEASES = ((0, (0.15, 0.5)), (16, (0.04, 0.12)), (24, (0.08, 0.4)), (32, (0.05, 0.25)), (40, (0.1, 0.6)))
DRUM_GROUPS = ((35, 36), (37, 38, 39, 40), (42, 44, 46), drum_kits.TOMS, drum_kits.CRASHES + drum_kits.RIDES)
HATS = (42, 44, 46)


@dataclass(frozen=True)
class Sounds:
    """Holds the recorded sounds of one split: soundfonts, drum kits, folders of notes by stem, files of singing."""

    soundfonts: tuple[Soundfont, ...] = ()
    drum_kits: tuple[Path, ...] = ()
    notes: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    singing: tuple[Path, ...] = ()

    def names(self) -> list:
        """Returns what tells these sounds from others, wherever they lie on disk."""
        fonts = [(font.path.name, font.path.stat().st_size) for font in self.soundfonts]
        folders = {stem: [path.name for path in paths] for stem, paths in self.notes.items()}
        return [fonts, [path.name for path in self.drum_kits], folders, [path.name for path in self.singing]]


def existing_folders(paths: list[str]) -> tuple[Path, ...]:
    """Returns folders by their paths; raises `DdspZooError` where one is missing."""
    missing = [path for path in paths if not Path(path).is_dir()]
    if missing:
        raise DdspZooError(
            f"There is no folder {missing[0]}: name folders of recorded notes or of drum kits."
        )
    return tuple(map(Path, paths))


def render_sampled(
    part: Part, sounds: Sounds, banks: Path, seconds: float, rng: np.random.Generator, rate_hz: int
) -> Audio:
    """Plays a part with recorded sounds drawn at random -> (seconds * rate,).

    Raises `DdspZooError` where no sound fits the part.
    """
    if part.stem == "drums":
        return _drums(part, sounds, banks, seconds, rng, rate_hz)
    bank = open_bank(_source(part, sounds, rng), banks, rate_hz)
    return play(bank, pitched_events(part, bank, rng), seconds, rate_hz)


def _source(part: Part, sounds: Sounds, rng: np.random.Generator) -> Source:
    fonts = [font for font in sounds.soundfonts if part.program in font.programs()]
    folders = sounds.notes.get(part.stem, ())
    if folders and (not fonts or rng.random() < RECORDED_SHARE):
        return Source("notes", folders[int(rng.integers(len(folders)))])
    if not fonts:
        names = ", ".join(font.path.name for font in sounds.soundfonts) or "the empty list of soundfonts"
        raise DdspZooError(
            f"There is no sound for program {part.program} in {names}: add a General MIDI soundfont."
        )
    return Source("preset", fonts[int(rng.integers(len(fonts)))].path, 0, part.program)


def pitched_events(part: Part, bank: Bank, rng: np.random.Generator) -> Events:
    """Chooses a near recording of a bank for each note of a part, and plays it a little out of tune.

    A bass plays one note at a time.
    """
    start, length, midi, velocity = _columns(part)
    distance = np.abs(bank.midi - midi[:, None])
    cost = distance + rng.uniform(0, 1.5, distance.shape) + 4 * np.abs(bank.velocity - velocity[:, None])
    chosen = cost.argmin(1)
    midi = midi + rng.normal(0, 0.06) + rng.normal(0, 0.03, len(midi))
    if part.stem == "bass":
        length = np.minimum(length, np.append(np.maximum(np.diff(start), 0.03), np.inf))
    damped = part.stem in ("bass", "guitar") and rng.random() < 0.15
    damp = log_uniform(rng, 0.4, 2.5) if damped else FOR_EVER
    loudness = (velocity / bank.reference[chosen]) ** rng.uniform(0.9, 1.6)
    loudness *= 10 ** (rng.normal(0, 0.8, len(midi)) / 20)
    start = start + rng.uniform(0, 0.01)
    release = log_uniform(rng, *for_program(RELEASES, part.program))
    speed = 2 ** ((midi - bank.midi[chosen]) / 12)
    ends = (np.full(len(midi), seconds) for seconds in (damp, release))
    return Events(chosen, start, speed, loudness, length, *ends)


def _columns(part: Part) -> NDArray:
    """Returns start (s), length (s), MIDI number and velocity of all notes: (4, N)."""
    rows = [(note.start_seconds, note.length_seconds, note.midi, note.velocity) for note in part.notes]
    return np.array(rows, dtype=float).T


# ---- drums


def _drums(
    part: Part, sounds: Sounds, banks: Path, seconds: float, rng: np.random.Generator, rate_hz: int
) -> Audio:
    sources: list[Path | Soundfont] = [font for font in sounds.soundfonts if font.kits()]
    sources += sounds.drum_kits
    if not sources:
        raise DdspZooError(
            "There is no drum kit in the soundfonts: add a General MIDI soundfont or drum_kits."
        )
    count = int(rng.integers(2, 4)) if rng.random() < HYBRID_SHARE else 1
    kits = [
        open_bank(_kit(sources[int(rng.integers(len(sources)))], rng), banks, rate_hz) for _ in range(count)
    ]
    kit_of = {drum: place for group in DRUM_GROUPS for place in [int(rng.integers(count))] for drum in group}
    curve = rng.uniform(0.9, 1.7)
    audio = np.zeros(round(seconds * rate_hz))
    for place, kit in enumerate(kits):
        mine = [note for note in part.notes if kit_of.get(note.midi, 0) == place]
        events = drum_events(Part("drums", 0, tuple(mine)), kit, curve, rng)
        if len(events.recording):
            audio += play(kit, events, seconds, rate_hz) / _strength(kit)
    return audio


def _kit(source: Path | Soundfont, rng: np.random.Generator) -> Source:
    if isinstance(source, Path):
        return Source("kit", source)
    return Source("preset", source.path, DRUM_BANK, int(rng.choice(source.kits())))


def _strength(kit: Bank) -> float:
    """Returns the peak of the kicks and snares of a kit, to make kits of different makers equally loud."""
    drums = np.isin(kit.midi, (35, 36, 38, 40))
    return float(np.median(kit.gain[drums])) * 32767 if drums.any() else 1.0


def drum_events(part: Part, kit: Bank, curve: float, rng: np.random.Generator) -> Events:
    """Chooses recordings of a kit for hits: each drum has a new tuning, damping and level, and layers by velocity.

    A hi-hat ends the one before it.
    """
    played = _replaced({note.midi for note in part.notes}, set(kit.midi.astype(int).tolist()))
    notes = tuple(note for note in part.notes if note.midi in played)
    if not notes:
        return Events(*np.zeros((7, 0)))
    start, _, midi, velocity = _columns(Part("drums", 0, notes))
    chosen, shift, gain = np.zeros(len(midi), int), np.zeros(len(midi)), np.ones(len(midi))
    damp = np.full(len(midi), FOR_EVER)
    tuning = {drum: pitch for group in DRUM_GROUPS for pitch in [rng.normal(0, 1.2)] for drum in group}
    for drum, target in played.items():
        mine = np.flatnonzero(midi == drum)
        chosen[mine] = _layers(kit, target, velocity[mine], rng)
        between = drum - target if {drum, target} <= set(drum_kits.TOMS) else 0
        shift[mine] = np.clip(tuning.get(drum, 0.0), -3, 3) + 0.7 * between
        gain[mine] = 10 ** (rng.uniform(-4, 4) / 20)
        if rng.random() < 0.2:
            damp[mine] = log_uniform(rng, 0.15, 1.2)
    shift += rng.normal(0, 0.06, len(midi))
    gain *= (velocity / kit.reference[chosen]) ** curve * 10 ** (rng.normal(0, 0.7, len(midi)) / 20)
    hold, hats = np.full(len(midi), FOR_EVER), np.flatnonzero(np.isin(midi, HATS))
    hold[hats] = np.maximum(np.append(np.diff(start[hats]), FOR_EVER), 0.005)
    return Events(chosen, start, 2 ** (shift / 12), gain, hold, damp, np.full(len(midi), 0.06))


def _replaced(drums: set[int], there: set[int]) -> dict[int, int]:
    """Returns what a kit plays for each drum: the drum itself or the nearest one; drums without either are left out."""
    found = {
        drum: next((d for d in (drum, *drum_kits.INSTEAD.get(drum, ())) if d in there), None)
        for drum in sorted(drums)
    }
    return {drum: target for drum, target in found.items() if target is not None}


def _layers(kit: Bank, drum: int, velocity: NDArray, rng: np.random.Generator) -> NDArray:
    """Chooses recordings for hits (N,) of one drum: always one of its variants, mostly the layer that fits."""
    able = np.flatnonzero(kit.midi == drum)
    able = able[kit.variant[able] == rng.choice(np.unique(kit.variant[able]))]
    cost = np.abs(kit.velocity[able] - velocity[:, None] - 0.05)
    return able[(cost + rng.uniform(0, 0.2, cost.shape)).argmin(1)]
