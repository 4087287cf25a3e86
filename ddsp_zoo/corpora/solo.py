"""Reads recordings of one instrument or voice alone; CREPE finds their pitch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile as sf

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import duration_seconds, read_mono
from ddsp_zoo.files.cache import cache_root, fingerprint
from ddsp_zoo.files.f0_csv import read_f0_csv, write_f0_csv
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.pitch.crepe import RATE, track_f0
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import Split

HOP_SECONDS = 0.016
CONFIDENCE = 0.4
SOLO = "solo"


class SoloRecordings(StemDataModule):
    """Reads solos for a model of a single source, whatever that is called; the files are found by patterns.

    Each is cut out once, at 16 kHz, and kept in the cache with its pitch every 16 ms.

    Args:
        root: folder of the recordings.
        train: patterns of names below the folder, as ``*_tenor_[123].flac``.
        test: patterns of the recordings that are tested on.
        validation: patterns of those that are validated on; by default the ends of the training recordings are.
        held_out: share of each training recording, at its end, that is then not trained on.
        crepe_model: tiny, or full, ten times as slow.
        excerpts: how recordings are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str,
        train: Sequence[str] = ("*",),
        test: Sequence[str] = (),
        validation: Sequence[str] = (),
        held_out: float = 0.15,
        crepe_model: Literal["tiny", "full"] = "tiny",
        excerpts: Excerpts = Excerpts(examples_per_epoch=400),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        if not 0 < held_out < 1:
            raise DdspZooError(f"held_out is a share of each recording, between 0 and 1, not {held_out:g}.")
        self.root, self.crepe_model = Path(root).expanduser(), crepe_model
        kept = 1.0 if validation else 1 - held_out
        self.choices: dict[Split, tuple[Sequence[str], float, float]] = {
            "train": (train, 0.0, kept),
            "validation": (validation, 0.0, 1.0) if validation else (train, kept, 1.0),
            "test": (test, 0.0, 1.0),
        }

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Cuts out the recordings of these splits and finds their pitch, where that has not been done yet."""
        jobs = {self._cut(path, split): (path, split) for split in splits for path in self._files(split)}
        render_folders(jobs, self._write, self.excerpts.workers, "tracking pitch")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the recordings of a split; raises `DdspZooError` where no file has a name of its patterns."""
        (source,) = self.spec.sources if self.spec else (SOLO,)
        cuts = {path.stem: self._cut(path, split) for path in self._files(split)}
        return [SoloTrack(name, {source: (cut / "solo.flac",)}, cut / "f0.csv") for name, cut in cuts.items()]

    def _files(self, split: Split) -> list[Path]:
        patterns, _, _ = self.choices[split]
        found = {path for pattern in patterns for path in self.root.glob(pattern)}
        found = sorted(path for path in found if path.suffix.lower() in (".wav", ".flac"))
        if not found:
            raise DdspZooError(
                f"No WAV or FLAC file below {self.root} has a name like {', '.join(patterns) or '(none given)'}: set "
                "data.root, and data.train and data.test to patterns of names."
            )
        return found

    def _cut(self, path: Path, split: Split) -> Path:
        _, first, last = self.choices[split]
        made_of = fingerprint(
            file=str(path.resolve()), bytes=path.stat().st_size, part=[first, last], crepe=self.crepe_model
        )
        return cache_root() / "solos" / f"{path.stem}_{made_of}"

    def _write(self, folder: Path, job: tuple[Path, Split]) -> None:
        path, split = job
        length = duration_seconds(path)
        first, last = (share * length for share in self.choices[split][1:])
        audio = read_mono(path, RATE, first, last - first)
        sf.write(folder / "solo.flac", audio, RATE, subtype="PCM_24")
        f0 = track_f0(audio, round(HOP_SECONDS * RATE), CONFIDENCE, self.crepe_model)
        write_f0_csv(folder / "f0.csv", np.arange(len(f0)) * HOP_SECONDS, f0[None], (SOLO,))


class SoloTrack(Track):
    """Holds a recording whose pitch is in the one column of its file, whatever its source is called."""

    def read_pitch(self, sources: tuple[str, ...], hop_seconds: float) -> PitchTrack:
        """Reads f0 of the recording on the model's frame grid."""
        time, f0, onset = read_f0_csv(self.pitch, (SOLO,))
        return PitchTrack.from_times(time, f0, onset, hop_seconds, int(self.seconds / hop_seconds) + 1)
