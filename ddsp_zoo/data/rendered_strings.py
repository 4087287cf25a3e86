"""Six guitar strings rendered from plucked notes: an offline stand-in for a hexaphonic pickup."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from ddsp_zoo.data.base import Split, StemDataModule, Track, folder_tracks
from ddsp_zoo.data.cache import fingerprint, render_folders, rendered_root
from ddsp_zoo.data.string_notes import Guitar, Pluck, pluck
from ddsp_zoo.export.controls import write_f0_csv
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

RATE = 16000
PITCH_HOP_SECONDS = 0.004
# Frets of open and movable chord shapes, low E to high E; None: not played.
SHAPES = (
    (0, 2, 2, 1, 0, 0), (0, 2, 2, 0, 0, 0), (None, 0, 2, 2, 2, 0), (None, 0, 2, 2, 1, 0), (3, 2, 0, 0, 0, 3),
    (None, None, 0, 2, 3, 2), (None, None, 0, 2, 3, 1), (None, 3, 2, 0, 1, 0), (None, 2, 4, 4, 3, 2),
    (5, None, 5, 5, 5, None), (None, 3, 2, 3, 3, None), (None, 5, 4, 5, 5, 5), (3, None, 4, 4, 3, None),
)  # fmt: skip


@dataclass(frozen=True)
class Note:
    """A note on one string: when, which fret, how hard, and when the finger lifts."""

    string: int
    start_seconds: float
    end_seconds: float
    fret: int
    velocity: float


def compose(rng: np.random.Generator, seconds: float) -> list[Note]:
    """Random playing: bars of strummed, plucked or arpeggiated chords and of single-note lines."""
    beat = 60 / rng.uniform(70, 150)
    style = rng.choice(["strum", "comp", "arpeggio", "solo"], p=[0.25, 0.25, 0.25, 0.25])
    notes: list[Note] = []
    time = rng.uniform(0.1, 0.6)
    while time < seconds - beat:
        shape, shift = SHAPES[rng.integers(len(SHAPES))], int(rng.choice([0, 0, 1, 2, 3, 5, 7]))
        bar = _solo_bar(rng, beat) if style == "solo" else _chord_bar(rng, str(style), shape, shift, beat)
        notes += [
            Note(n.string, time + n.start_seconds, min(time + n.end_seconds, seconds), n.fret, n.velocity)
            for n in bar
            if time + n.start_seconds < seconds - 0.1
        ]
        time += 4 * beat
    return _one_note_a_string(notes)


def _chord_bar(
    rng: np.random.Generator, style: str, shape: tuple[int | None, ...], shift: int, beat: float
) -> Iterator[Note]:
    strings = [(s, fret + shift) for s, fret in enumerate(shape) if fret is not None]
    if style == "arpeggio":
        order = list(rng.permutation(len(strings))) if rng.random() < 0.5 else list(range(len(strings)))
        for step in range(8):
            string, fret = strings[order[step % len(order)]]
            yield Note(string, step * beat / 2, 4 * beat, fret, rng.uniform(0.4, 1.0))
        return
    spread = rng.uniform(0.006, 0.025) if style == "strum" else 0.003
    for step in np.flatnonzero(rng.random(8) < 0.55):
        length = beat * (rng.uniform(0.3, 0.6) if style == "comp" else rng.uniform(0.8, 2.0))
        downward, velocity = step % 2 == 0, rng.uniform(0.4, 1.0)
        for position, (string, fret) in enumerate(strings if downward else strings[::-1]):
            start = step * beat / 2 + position * spread * rng.uniform(0.6, 1.4)
            yield Note(string, start, start + length, fret, velocity * rng.uniform(0.8, 1.0))


def _solo_bar(rng: np.random.Generator, beat: float) -> Iterator[Note]:
    base, string, time = int(rng.integers(0, 9)), int(rng.integers(1, 6)), 0.0
    while time < 3.7 * beat:
        length = beat * float(rng.choice([0.25, 0.5, 0.5, 1.0]))
        if rng.random() < 0.85:
            yield Note(string, time, time + length * rng.uniform(0.7, 1.2), base + int(rng.integers(0, 5)),
                       rng.uniform(0.5, 1.0))  # fmt: skip
        string = int(np.clip(string + rng.integers(-1, 2), 0, 5))
        time += length


def _one_note_a_string(notes: list[Note]) -> list[Note]:
    """End each note where the next on its string begins."""
    out = []
    for string in range(len(GUITAR_STRINGS_HZ)):
        line = sorted((n for n in notes if n.string == string), key=lambda n: n.start_seconds)
        for note, following in zip(line, [*line[1:], None], strict=False):
            end = note.end_seconds if following is None else min(note.end_seconds, following.start_seconds)
            if end - note.start_seconds > 0.04:
                out.append(Note(string, note.start_seconds, end, note.fret, note.velocity))
    return out


def perform(rng: np.random.Generator, seconds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One piece: strings (6, T), f0_hz (6, M) and onset (6, M) every 4 ms."""
    guitar, open_hz = Guitar.random(rng), tuple(GUITAR_STRINGS_HZ.values())
    count = round(seconds / PITCH_HOP_SECONDS)
    audio = np.zeros((6, round(seconds * RATE)), dtype=np.float32)
    f0, onset = np.zeros((2, 6, count), dtype=np.float32)
    for note in compose(rng, seconds):
        hz = open_hz[note.string] * 2 ** ((note.fret + rng.normal(0, 0.03)) / 12)
        held = note.end_seconds - note.start_seconds
        sound = pluck(Pluck(hz, note.string, held, note.velocity), guitar, RATE, rng)
        start = round(note.start_seconds * RATE)
        sound = sound[: audio.shape[1] - start]
        audio[note.string, start : start + len(sound)] += sound
        first, last = (round(t / PITCH_HOP_SECONDS) for t in (note.start_seconds, note.end_seconds))
        f0[note.string, first:last] = hz
        onset[note.string, min(first, count - 1)] = 1
    return audio * 0.7 / max(np.abs(audio.sum(0)).max(), 1e-6), f0, onset


class RenderedStrings(StemDataModule):
    """Six strings with exact f0 and onsets, rendered once and kept on disk; needs nothing but this package.

    Notes come from decaying inharmonic partials with pick position, pick noise and a body (`string_notes`), not
    from a Karplus-Strong loop, so that no string model of the zoo is fitted to itself. Pieces, guitars and
    hands differ between the splits.

    Args:
        root: folder for the audio; by default the cache folder of the package.
        train_tracks: pieces in the training split.
        validation_tracks: pieces in the validation split.
        test_tracks: pieces in the test split.
        track_seconds: length of a piece.
        render_seed: of the music and the guitars.
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that render and read audio.
        seed: of the random excerpts.
    """

    def __init__(
        self, root: str | None = None, train_tracks: int = 60, validation_tracks: int = 6, test_tracks: int = 8,
        track_seconds: float = 20.0, render_seed: int = 0, batch_size: int = 2, examples_per_epoch: int = 0,
        workers: int = 0, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(batch_size, examples_per_epoch, workers, seed)
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}
        self.track_seconds, self.render_seed = track_seconds, render_seed
        self.root = rendered_root("rendered_strings", root) / fingerprint(
            seconds=track_seconds, seed=render_seed
        )

    def prepare_data(self) -> None:
        """Render the tracks that are not on disk yet."""
        jobs = {
            self.root / split / f"piece_{index:04d}": [self.render_seed, number, index]
            for number, split in enumerate(self.counts)
            for index in range(self.counts[split])
        }
        render_folders(jobs, self._render, self.workers, "rendering strings")

    def tracks(self, split: Split) -> list[Track]:
        """The first tracks of a split's folder, as many as asked for."""
        return folder_tracks(self.root / split)[: self.counts[split]]

    def _render(self, folder: Path, seed: list[int]) -> None:
        audio, f0, onset = perform(np.random.default_rng(seed), self.track_seconds)
        for name, stem in zip(GUITAR_STRINGS_HZ, audio, strict=True):
            sf.write(folder / f"{name}.flac", stem, RATE, subtype="PCM_16")
        write_f0_csv(
            folder / "f0.csv", np.arange(f0.shape[1]) * PITCH_HOP_SECONDS, f0, tuple(GUITAR_STRINGS_HZ), onset
        )
