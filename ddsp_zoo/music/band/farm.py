"""Renders bands without end, from packed sounds, in processes beside a training.

Each track is one file ``<number>.npy`` (stems, T) of 16-bit integers, in the order of `STEMS`, complete from the
moment that it has its name.
"""

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from ddsp_zoo.music.band.packed_sounds import packed_sounds, unpack, unpack_pieces, with_packed_program
from ddsp_zoo.music.band.renderer import Band
from ddsp_zoo.music.band.scores import STEMS, Part
from ddsp_zoo.sources import Split

FULL_SCALE = 32767


@dataclass(frozen=True)
class PackedBand(Band):
    """Renders like `Band`, and keeps to the programs that were packed."""

    def score(self, split: Split, index: int) -> tuple[Part, ...]:
        """Returns the notes of a track, see `Band.score`."""
        return tuple(with_packed_program(part, self.sounds[split]) for part in super().score(split, index))


def packed_band(packed: Path, banks: Path, track_seconds: float, rate_hz: int, seed: int) -> PackedBand:
    """Returns the renderer for the sounds, scores and singing that `tools/pack_sounds.py` put in a folder."""
    pieces, performances = (unpack_pieces(packed / f"{name}.xz") for name in ("pieces", "performances"))
    return PackedBand(
        seed=seed, track_seconds=track_seconds, rate_hz=rate_hz, own_share=0.15, midi_share=0.6, drum_midi_share=0.6,
        singing_share=0.45, sounds={"train": packed_sounds(packed)}, pieces={"train": pieces},
        performances={"train": performances}, banks=banks,
    )  # fmt: skip


def render_farm(band: PackedBand, folder: Path, workers: int, until: float, most: int, nice: int = 5) -> None:
    """Renders tracks 0, 1, ... into a folder until a time (s since 1970) or until there are ``most``."""
    folder.mkdir(parents=True, exist_ok=True)
    context = get_context("fork")
    jobs = [(band, folder, range(first, most, workers), until, nice) for first in range(workers)]
    processes = [context.Process(target=_render, args=job, daemon=True) for job in jobs]
    for process in processes:
        process.start()
    for process in processes:
        process.join()


def unpack_all(packed: Path, banks: Path, workers: int) -> None:
    """Makes the banks of all packed sounds."""
    with get_context("fork").Pool(workers) as pool:
        pool.starmap(unpack, [(path, banks) for path in sorted(packed.glob("*.json"))], chunksize=1)


def _render(band: PackedBand, folder: Path, tracks: range, until: float, nice: int) -> None:
    os.nice(nice)  # the training comes first
    for index in tracks:
        if time.time() > until:
            return
        target = folder / f"{index:06d}.npy"
        if target.exists():
            continue
        try:
            stems = band.stems(band.score("train", index), "train", index)
        except Exception:  # one odd track must not end a process that nobody watches
            logging.exception("track %d", index)
            continue
        rows = np.stack([stems[name] for name in STEMS])
        part = folder / f".{index:06d}.npy"
        np.save(part, np.clip(np.rint(rows * FULL_SCALE), -FULL_SCALE, FULL_SCALE).astype(np.int16))
        part.rename(target)


def finished(folder: Path, known: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    """Yields tracks that were not known yet, and deletes their files."""
    for path in sorted(folder.glob("[0-9]*.npy")):
        if path.name not in known:
            known.add(path.name)
            yield path.stem, np.load(path)
            path.unlink()
