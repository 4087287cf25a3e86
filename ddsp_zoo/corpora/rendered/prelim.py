"""Renders the corpus of the preliminary experiment by the string of that experiment itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile as sf
import torch

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track, folder_tracks
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.cache import fingerprint, folder_or_cache
from ddsp_zoo.files.f0_csv import write_f0_csv
from ddsp_zoo.files.rendered import render_folders
from ddsp_zoo.sources import Split
from ddsp_zoo.synths.one_parameter_string import Excitation, OneParameterString

RATE, HOP = 16000, 256
NAME = "string"


class StringResynthesisNotes(StemDataModule):
    """Renders single notes of one pitch and one cutoff frequency, which a model has to find (thesis, section 5.2).

    They are kept on disk in floating point, unscaled, because a burst of amplitude 1 makes notes beyond 1.

    Args:
        root: folder for the audio; by default the cache folder of the package.
        train_tracks: notes in the training split.
        validation_tracks: notes in the validation split.
        test_tracks: notes in the test split.
        note_seconds: length of a note, in whole frames of 16 ms.
        f0_hz: pitch, 20 Hz to 2 kHz.
        cutoff_hz: cutoff frequency of the low-pass in the loop, 20 Hz to 8 kHz.
        excitation: new noise for each note, or always the same.
        excitation_seed: what the noise is drawn from.
        quirks: "tuning" plays with the string of the authors' code, see `OneParameterString`.
        excerpts: how tracks are cut into batches.
    """

    def __init__(
        self,
        root: str | None = None,
        train_tracks: int = 16,
        validation_tracks: int = 4,
        test_tracks: int = 4,
        note_seconds: float = 1.008,
        f0_hz: float = 440.0,
        cutoff_hz: float = 6000.0,
        excitation: Excitation = "random",
        excitation_seed: int = 0,
        quirks: Sequence[Literal["tuning"]] = (),
        excerpts: Excerpts = Excerpts(batch_size=4),
    ) -> None:
        super().__init__(excerpts)
        if not 20 <= f0_hz <= RATE / 8 or not 20 <= cutoff_hz <= RATE / 2 or note_seconds < HOP / RATE:
            raise DdspZooError(
                f"A note has a pitch of 20 to {RATE // 8} Hz, a cutoff of 20 to {RATE // 2} Hz and at least "
                f"{HOP / RATE} s; got {f0_hz:g} Hz, {cutoff_hz:g} Hz and {note_seconds:g} s."
            )
        self.counts = {"train": train_tracks, "validation": validation_tracks, "test": test_tracks}
        self.frames = int(note_seconds * RATE / HOP + 1e-6)
        self.f0_hz, self.cutoff_hz, self.excitation_seed = f0_hz, cutoff_hz, excitation_seed
        self.synth = OneParameterString(RATE, HOP, excitation, excitation_seed, quirks)
        self.root = folder_or_cache(root, "string_resynthesis") / fingerprint(
            frames=self.frames,
            f0_hz=f0_hz,
            cutoff_hz=cutoff_hz,
            excitation=excitation,
            seed=excitation_seed,
            faults=sorted(quirks),
        )

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Renders the notes of these splits that are not on disk yet."""
        jobs = {
            self.root / split / f"note_{index:04d}": [self.excitation_seed, number, index]
            for number, split in enumerate(self.counts)
            if split in splits
            for index in range(self.counts[split])
        }
        render_folders(jobs, self._render, self.excerpts.workers, "rendering notes")

    def tracks(self, split: Split) -> list[Track]:
        """Returns the first notes of a split's folder, as many as asked for."""
        return folder_tracks(self.root / split)[: self.counts[split]]

    def _render(self, folder: Path, seed: list[int]) -> None:
        number = int(np.random.SeedSequence(seed).generate_state(1)[0])
        pitch = torch.full((1, 1, self.frames, 1), self.f0_hz)
        onset = torch.zeros_like(pitch)
        onset[:, :, 0] = 1
        controls = {"cutoff_hz": torch.full_like(pitch, self.cutoff_hz), "f0_hz": pitch, "onset": onset}
        audio = self.synth.render(controls, torch.Generator().manual_seed(number)).audio[0, 0]
        sf.write(folder / f"{NAME}.wav", audio.numpy(), RATE, subtype="FLOAT")
        time = np.arange(self.frames) * HOP / RATE
        write_f0_csv(folder / "f0.csv", time, pitch[0, ..., 0].numpy(), (NAME,), onset[0, ..., 0].numpy())
