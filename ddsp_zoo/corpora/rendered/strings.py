"""Renders a corpus of six guitar strings, note by note, in place of recordings of a hexaphonic pickup."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import soundfile as sf

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track, folder_tracks
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import fingerprint, folder_or_cache
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.music.strings.notes import Guitar
from ddsp_zoo.music.strings.playing import (
    GRID_SECONDS,
    OPEN_HZ,
    RATE,
    STYLES,
    GuitarNote,
    compose,
    performance,
)
from ddsp_zoo.music.strings.recordings import FOLDERS, RecordedGuitar, read_recordings
from ddsp_zoo.sources import GUITAR_STRINGS_HZ, Split

PITCH_HOP_SECONDS = GRID_SECONDS
VERSION = 2  # to be raised whenever a change here or in the string modules changes the sound
LIGHT, FULL, HEAVY = (0.0, 0.7), (0.0, 1.0), (0.8, 1.0)  # strings of own guitars, from steel to nylon
SETS = {"steel": ("acoustic", "electric"), "nylon": ("nylon",)}  # of strings on recorded guitars
USUAL = ("comp", "solo")  # styles
INAUDIBLE_DB = -50.0


class Instrument(Protocol):
    """Plays notes on six strings."""

    def pluck(
        self, note: GuitarNote, open_hz: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the sound of a note (T,) and its f0 (M,) in Hz every 4 ms."""

    def resonate(self, strings: np.ndarray) -> np.ndarray:
        """Applies to the strings (6, T) what they go through together."""


def perform(
    rng: np.random.Generator, seconds: float, style: str = "comp", instrument: Instrument | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Renders one composed piece: strings (6, T), f0_hz (6, M) and onset (6, M) every 4 ms. Default: an own guitar."""
    tuning = 2 ** ((rng.normal(0, 6) + rng.normal(0, 4, 6)) / 1200)
    instrument = instrument or Guitar.random(rng)
    return play(compose(rng, seconds, style), seconds, instrument, np.array(OPEN_HZ) * tuning, rng)


def play(
    notes: list[GuitarNote],
    seconds: float,
    instrument: Instrument,
    open_hz: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Plays notes on strings tuned to ``open_hz`` (6,): strings, f0_hz and onset as from `perform`.

    f0 lasts from a pluck to the lifting of the finger, or until the note is 50 dB below its loudest; the release (half
    as loud every 5 to 20 ms) has none. Strings differ in level by some dB, pieces have peaks from 0.1 to 1.
    """
    count = round(seconds / GRID_SECONDS)
    audio = np.zeros((6, round(seconds * RATE)))
    f0, onset = np.zeros((2, 6, count), dtype=np.float32)
    for note in notes:
        sound, hz = instrument.pluck(note, float(open_hz[note.string]), rng)
        start = round(note.start_seconds * RATE)
        first = round(note.start_seconds / GRID_SECONDS)
        if first >= count:
            continue
        sound = sound[: audio.shape[1] - start]
        audio[note.string, start : start + len(sound)] += sound
        hz = hz[: min(_audible(sound), count - first)]
        f0[note.string, first : first + len(hz)] = hz
        onset[note.string, first] = 1
    audio = instrument.resonate(audio * 10 ** (rng.normal(0, 2, (6, 1)) / 20))
    peak = np.exp(rng.uniform(np.log(0.1), 0))
    return (audio * peak / max(np.abs(audio.sum(0)).max(), 1e-6)).astype(np.float32), f0, onset


def _audible(sound: np.ndarray) -> int:
    """Returns the 4-ms frames until a sound has decayed; at least ten."""
    hop = round(GRID_SECONDS * RATE)
    level = np.square(np.pad(sound, (0, -len(sound) % hop))).reshape(-1, hop).mean(1)
    return max(int(np.flatnonzero(level >= level.max() * 10 ** (INAUDIBLE_DB / 10))[-1]) + 1, 10)


@dataclass(frozen=True)
class Job:
    """Says what is to be rendered: a composed piece, or a take, on an instrument."""

    seed: tuple[int, ...]
    style: str
    instrument: str
    material: tuple[float, float] = FULL
    take: Path | None = None


class RenderedStrings(StemDataModule):
    """Renders six strings with exact f0 and onsets, once, and keeps them on disk; needs nothing but this package.

    By default half of the pieces accompany (``comp`` in their name), half are solos. With ``instruments="own"`` all
    notes are sums of decaying partials (`string_notes`), not a Karplus-Strong loop, so that no string model of the zoo
    is fitted to itself; training and validation have strings from steel up to 0.7 of the way to nylon, the test from
    0.8 on, which training never hears. With ``"recorded"`` training and validation are played in turn by own guitars of
    all kinds and from recorded steel-string notes, one piece of each style; the whole test is played from recorded
    nylon-string notes, which training never hears. Validation has the recorded steel notes and the kinds of own guitars
    in common with training; pieces, own guitars and equalisers differ everywhere.

    Args:
        root: folder for the audio; by default the cache folder of the package.
        instruments: own or recorded.
        notes: folder with the recorded notes, in ``shinyguitar_acoustic`` (steel) and ``spanish_classical`` (nylon),
            named by pitch; by default the environment variable GUITAR_NOTES_ROOT.
        performances: folder with GuitarSet's ``annotation/*.jams``, whose takes the test plays, note by note; by
            default the environment variable GUITARSET_ROOT.
        train_tracks: pieces in the training split.
        validation_tracks: pieces in the validation split.
        test_tracks: composed pieces in the test split.
        test_performances: performances in the test split, the first by name, each as long as it is.
        track_seconds: length of a composed piece.
        render_seed: of the music and the guitars.
        styles: what pieces are in turn (see `compose`).
        strung: recorded notes are as stiff as the strings are that they are played on. Without it they are as they
            were recorded, chosen by their pitch alone, so that nothing in their sound tells the string.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str | None = None,
        instruments: Literal["own", "recorded"] = "own",
        notes: str | None = None,
        performances: str | None = None,
        train_tracks: int = 60,
        validation_tracks: int = 6,
        test_tracks: int = 8,
        test_performances: int = 0,
        track_seconds: float = 20.0,
        render_seed: int = 0,
        styles: tuple[str, ...] = USUAL,
        strung: bool = False,
        excerpts: Excerpts = Excerpts(batch_size=2),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        if instruments not in ("own", "recorded"):
            raise DdspZooError(f"instruments is {instruments!r}: choose own or recorded.")
        if not styles or not set(styles) <= set(STYLES):
            raise DdspZooError(f"styles are {list(styles)}: choose from {', '.join(STYLES)}.")
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}
        self.instruments, self.test_performances = instruments, test_performances
        self.notes = notes or os.environ.get("GUITAR_NOTES_ROOT")
        self.performances = performances or os.environ.get("GUITARSET_ROOT")
        self.track_seconds, self.render_seed, self.styles = track_seconds, render_seed, tuple(styles)
        # Only what is unusual is named, or older renderings would not be found.
        unusual = ({} if self.styles == USUAL else {"styles": self.styles}) | (
            {"strung": True} if strung else {}
        )
        self.strung = strung
        self.root = folder_or_cache(root, "rendered_strings") / fingerprint(
            version=VERSION, instruments=instruments, seconds=track_seconds, seed=render_seed, **unusual
        )

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Renders the tracks of these splits that are not on disk yet.

        Raises `DdspZooError` before it renders anything where notes or performances are missing.
        """
        jobs = {self.root / split / name: job for split in splits for name, job in self._jobs(split).items()}
        for name in sorted({job.instrument for folder, job in jobs.items() if not folder.exists()} - {"own"}):
            read_recordings(self._recorded(name))
        render_folders(jobs, self._render, self.excerpts.workers, "rendering strings")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the pieces of a split, and the performances of the test."""
        names = self._jobs(split)
        return [track for track in folder_tracks(self.root / split) if track.name in names]

    def _jobs(self, split: Split) -> dict[str, Job]:
        """Returns what is to be rendered, by name of the track."""
        number, jobs = list(self.counts).index(split), {}
        for index in range(self.counts[split]):
            turn, place = divmod(index, len(self.styles))
            style, (instrument, material) = self.styles[place], self._instrument(split, turn)
            seed = (self.render_seed, number, index)
            jobs[f"piece_{index:04d}_{style}_{instrument}"] = Job(seed, style, instrument, material)
        for index, take in enumerate(self._takes() if split == "test" else ()):
            instrument, material = self._instrument(split, index // 2)
            seed = (self.render_seed, len(self.counts), index)
            jobs[f"take_{take.stem}_{instrument}"] = Job(seed, take.stem[-4:], instrument, material, take)
        return jobs

    def _instrument(self, split: Split, pair: int) -> tuple[str, tuple[float, float]]:
        """Returns the name of the instrument of a pair of pieces, and the strings that own guitars may have."""
        if self.instruments == "own":
            return "own", HEAVY if split == "test" else LIGHT
        if split == "test":
            return "nylon", FULL
        return ("own", "steel")[pair % 2], FULL

    def _takes(self) -> list[Path]:
        """Returns the annotations of the performances in use, sorted."""
        if not self.test_performances:
            return []
        if not self.performances:
            raise DdspZooError(
                "Performances need GuitarSet's annotations: set data.performances or GUITARSET_ROOT to the folder "
                "above annotation/, or test_performances to 0."
            )
        takes = sorted(Path(self.performances, "annotation").glob("*.jams"))
        if len(takes) < self.test_performances:
            raise DdspZooError(
                f"{self.performances} has {len(takes)} performances (annotation/*.jams), fewer than the "
                f"{self.test_performances} of test_performances."
            )
        return takes[: self.test_performances]

    def _recorded(self, name: str) -> Path:
        """Returns the folder of a recorded instrument."""
        where = "set data.notes or GUITAR_NOTES_ROOT to the folder above it, or instruments to own"
        if not self.notes:
            raise DdspZooError(
                f"Recorded instruments need the folder {FOLDERS[name]} of guitar notes: {where}."
            )
        folder = Path(self.notes) / FOLDERS[name]
        if not folder.is_dir():
            raise DdspZooError(f"There is no folder {folder} of guitar notes: {where}.")
        return folder

    def _render(self, folder: Path, job: Job) -> None:
        rng = np.random.default_rng(job.seed)
        if job.instrument == "own":
            instrument = Guitar.random(rng, job.material)
        else:
            instrument = RecordedGuitar.random(rng, self._recorded(job.instrument))
            if self.strung:
                instrument = instrument.strung(np.random.default_rng([*job.seed, 1]), SETS[job.instrument])
        if job.take:
            notes = performance(job.take, rng)
            seconds = max(note.end_seconds for note in notes) + 0.5
            audio, f0, onset = play(notes, seconds, instrument, np.array(OPEN_HZ), rng)
        else:
            audio, f0, onset = perform(rng, self.track_seconds, job.style, instrument)
        for name, stem in zip(GUITAR_STRINGS_HZ, audio, strict=True):
            sf.write(folder / f"{name}.flac", stem, RATE, subtype="PCM_16")
        write_f0_csv(
            folder / "f0.csv", np.arange(f0.shape[1]) * GRID_SECONDS, f0, tuple(GUITAR_STRINGS_HZ), onset
        )
