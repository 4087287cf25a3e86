"""Renders bands without end, from packed sounds, in processes beside a training.

Each track is one file ``<number>.npy`` (stems, T) of 16-bit integers, in the order of `STEMS`. A file is complete as
soon as it has its name.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.atomic import replaced_when_done
from ddsp_zoo.files.processes import run_all
from ddsp_zoo.music.band.packed_sounds import packed_sounds, unpack, unpack_pieces, with_packed_program
from ddsp_zoo.music.band.renderer import Band
from ddsp_zoo.music.band.scores import STEMS, Part
from ddsp_zoo.sources import Split

FULL_SCALE = 32767
SHARES = {"own_share": 0.15, "midi_share": 0.6, "drum_midi_share": 0.6, "singing_share": 0.45}


@dataclass(frozen=True)
class PackedBand(Band):
    """Renders like `Band`, with those programs alone that were packed."""

    def score(self, split: Split, index: int) -> tuple[Part, ...]:
        """Returns the notes of a track, see `Band.score`."""
        return tuple(with_packed_program(part, self.sounds[split]) for part in super().score(split, index))


def packed_band(packed: Path, banks: Path, track_seconds: float, rate_hz: int, seed: int) -> PackedBand:
    """Returns a renderer with the sounds, scores and singing that `tools/pack_sounds.py` put in a folder."""
    pieces, performances = (unpack_pieces(packed / f"{name}.xz") for name in ("pieces", "performances"))
    return PackedBand(
        seed=seed,
        track_seconds=track_seconds,
        rate_hz=rate_hz,
        sounds={"train": packed_sounds(packed)},
        pieces={"train": pieces},
        performances={"train": performances},
        banks=banks,
        **SHARES,
    )


def unpack_all(packed: Path, banks: Path, workers: int) -> None:
    """Makes the banks of all packed sounds."""
    jobs = [(path, banks) for path in sorted(packed.glob("*.json"))]
    run_all(unpack, jobs, workers, "unpacking sounds", "bank")


def start_farm(band: Band, folder: Path, workers: int) -> list[BaseProcess]:
    """Starts processes that render tracks into a folder, until they are terminated or this program ends."""
    context = get_context("spawn")
    jobs = [(band, folder, first, workers) for first in range(workers)]
    processes = [context.Process(target=_render_on, args=job, daemon=True) for job in jobs]
    for process in processes:
        process.start()
    return processes


def _render_on(band: Band, folder: Path, first: int, step: int) -> None:
    os.nice(5)  # the training comes first
    training = parent_process()
    for index in count(first, step):
        if training and not training.is_alive():  # killed, it could not end its processes
            return
        try:
            render_track(band, folder, index)
        except DdspZooError:  # a score that these sounds cannot play ends no process that nobody watches
            logging.exception("track %d", index)


def render_track(band: Band, folder: Path, index: int) -> None:
    """Renders a training track into a file of the folder."""
    stems = band.stems(band.score("train", index), "train", index)
    rows = np.rint(np.stack([stems[name] for name in STEMS]) * FULL_SCALE)
    with replaced_when_done(folder / f"{index:06d}.npy") as draft:
        np.save(draft, rows.clip(-FULL_SCALE, FULL_SCALE).astype(np.int16))


def finished(folder: Path) -> Iterator[NDArray[np.int16]]:
    """Yields the tracks that are there, and deletes their files."""
    for path in sorted(folder.glob("[0-9]*.npy")):
        track = np.load(path)
        path.unlink()
        yield track
