"""Turns stems on disk into batches: what all corpora share."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ddsp_zoo.corpora.resampling import resample_tracks
from ddsp_zoo.corpora.variation import Place, Take, Variation, random_place
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import duration_seconds, read_mono
from ddsp_zoo.files.f0_csv import read_f0_csv
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import REST, SPLITS, Split

AUDIO_SUFFIXES = (".wav", ".flac")
SPARE_SECONDS = 0.01  # read beyond a resampled excerpt, so that it does not end short


@dataclass(frozen=True)
class Excerpts:
    """Says how tracks are cut into batches.

    Args:
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that render and read audio.
        seed: of the random excerpts, and of how they are varied; None: that of the run (`seed_everything`).
        resampled: where stems have another rate than the model, read copies at the model's rate, made once, in this
            folder; true: in the package's cache folder; false: resample whenever an excerpt is read.
    """

    batch_size: int = 8
    examples_per_epoch: int = 0
    workers: int = 0
    seed: int | None = None
    resampled: bool | str = False


@dataclass(frozen=True)
class Track:
    """Holds one piece of music: the files of each stem (several files of one stem are summed) and its f0 file."""

    name: str
    stems: dict[str, tuple[Path, ...]]
    pitch: Path | None = None

    @cached_property
    def seconds(self) -> float:
        """Returns the length of the longest stem."""
        return max(duration_seconds(path) for paths in self.stems.values() for path in paths)

    @property
    def sources(self) -> tuple[str, ...]:
        """Returns the names of the stems."""
        return tuple(self.stems)

    def read_pitch(self, sources: tuple[str, ...], hop_seconds: float) -> PitchTrack:
        """Reads f0 and onsets of the whole track on the model's frame grid."""
        time, f0, onset = read_f0_csv(self.pitch, sources)
        return PitchTrack.from_times(time, f0, onset, hop_seconds, int(self.seconds / hop_seconds) + 1)


@dataclass(frozen=True)
class BatchSpec:
    """Says what a model needs in its batches."""

    sources: tuple[str, ...]
    sample_rate: int
    hop_samples: int
    segment_samples: int
    needs_pitch: bool


class EpochSampler(DistributedSampler):
    """Orders the excerpts of an epoch; the order follows from seed and epoch alone, so a resumed run repeats it.

    Consecutive excerpts are shuffled; random ones are numbered on from epoch to epoch, and the number is what
    their place is drawn from. Every process takes its share. (A `DistributedSampler`, because Lightning calls
    `set_epoch` on those and leaves them in place.)
    """

    def __init__(self, dataset: "StemDataset", seed: int) -> None:
        parallel = dist.is_available() and dist.is_initialized()
        world, rank = (dist.get_world_size(), dist.get_rank()) if parallel else (1, 0)
        super().__init__(dataset, num_replicas=world, rank=rank, seed=seed, drop_last=False)
        self._begun = (-1, 0)  # epoch, and how much of it has been taken

    def go_on(self, epoch: int, taken: int) -> None:
        """Leaves out what a run that goes on has taken of an epoch."""
        self.set_epoch(epoch)
        self._begun = (epoch, taken)

    def __iter__(self) -> Iterator[int]:
        epoch, taken = self._begun
        return islice(self._order(), taken if epoch == self.epoch else 0, None)

    def _order(self) -> Iterator[int]:
        if not self.dataset.random_excerpts:
            return super().__iter__()
        first = self.epoch * self.total_size
        return iter(range(first + self.rank, first + self.total_size, self.num_replicas))


class ExactLoader(DataLoader):
    """Loads batches; that it has a state tells a trainer that it can go on inside an epoch.

    The state is empty, because where to go on follows from the trainer's own progress, see `place_of`.
    """

    def state_dict(self) -> dict[str, Any]:
        """Returns nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes nothing."""


def place_of(trainer: L.Trainer) -> tuple[int, int]:
    """Returns the epoch in which a trainer goes on, and how many of its batches have been trained on."""
    epochs, batches = trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_loop.batch_progress
    if epochs.started == epochs.processed:
        return epochs.processed, 0
    if batches.is_last_batch:
        return epochs.processed + 1, 0
    return epochs.processed, batches.current.processed


class StemDataset(Dataset):
    """Reads excerpts of tracks: random ones for training, else consecutive ones.

    With ``random_excerpts`` any index is valid: it is the seed for the place of the excerpt and for how ``variation``
    changes it. ``pitches``: pitch tracks by name of the track, used in place of the corpus's own.
    """

    def __init__(
        self,
        tracks: list[Track],
        spec: BatchSpec,
        random_excerpts: int = 0,
        seed: int = 0,
        variation: Variation | None = None,
    ) -> None:
        self.tracks, self.spec, self.seed = tracks, spec, seed
        self.seconds = spec.segment_samples / spec.sample_rate
        self.random_excerpts, self.variation = random_excerpts, variation
        self.excerpts = (
            []
            if random_excerpts
            else [
                Place(index, k * self.seconds)
                for index, track in enumerate(tracks)
                for k in range(max(1, int(track.seconds / self.seconds + 1e-6)))  # 0.6 / 0.2 is below 3
            ]
        )
        self.track_seconds = np.array([track.seconds for track in tracks])
        self.pitches: dict[str, PitchTrack] = {}
        self._pitch: dict[int, PitchTrack] = {}

    def __len__(self) -> int:
        return self.random_excerpts or len(self.excerpts)

    def track_of(self, index: int) -> str:
        """Returns the name of the track that excerpt ``index`` of consecutive excerpts comes from."""
        return self.tracks[self.excerpts[index].track].name

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        takes = self._takes(index)
        sources = torch.stack([self._read(row, take) for row, take in enumerate(takes)])
        item = {"mixture": sources.sum(0), "sources": sources}
        if self.spec.needs_pitch:
            pitches = [self._pitch_excerpt(take) for take in takes]
            for name in ("f0_hz", "onset"):
                rows = [getattr(pitch, name)[row] for row, pitch in enumerate(pitches)]
                item[name] = torch.from_numpy(np.stack(rows))
        return item

    def _takes(self, index: int) -> list[Take]:
        """Returns where and how each source of an excerpt is read."""
        count, key = len(self.spec.sources), (self.seed, index)
        if self.random_excerpts:
            place = random_place(np.random.default_rng(key), self.track_seconds, self.seconds)
        else:
            place = self.excerpts[index]
        if self.variation is None:
            return [Take(place)] * count
        return self.variation.takes(place, self.track_seconds, self.seconds, count, key)

    def _frame(self, place: Place) -> int:
        """Returns the frame on which an excerpt begins."""
        return round(place.start_seconds * self.spec.sample_rate) // self.spec.hop_samples

    def _read(self, row: int, take: Take) -> torch.Tensor:
        """Reads one source (T,), silent beyond the end of its files."""
        track, start = self.tracks[take.place.track], self._start(take)
        rate, seconds = self.spec.sample_rate, self.seconds
        if take.speed != 1:  # what is read at another rate than it is played at is faster or slower
            rate, seconds = rate / take.speed, seconds * take.speed + SPARE_SECONDS
        out = np.zeros(self.spec.segment_samples, np.float32)
        for path in self._files(track, self.spec.sources[row]):
            audio = read_mono(path, rate, start, seconds)[: len(out)]
            out[: len(audio)] += audio
        if take.tone:
            out = self.variation.toned(out, take.tone, self.spec.sample_rate)
        return torch.from_numpy(out) * take.gain

    def _start(self, take: Take) -> float:
        """Returns from which second of its track a take is read."""
        start = self._frame(take.place) * self.spec.hop_samples / self.spec.sample_rate
        if take.speed == 1:
            return start
        seconds = self.seconds * take.speed + SPARE_SECONDS
        return max(min(start, self.tracks[take.place.track].seconds - seconds), 0)

    def _files(self, track: Track, source: str) -> tuple[Path, ...]:
        if source != REST:
            return track.stems[source]
        return tuple(
            path for name, paths in track.stems.items() if name not in self.spec.sources for path in paths
        )

    def _pitch_excerpt(self, take: Take) -> PitchTrack:
        frames = self.spec.segment_samples // self.spec.hop_samples
        pitch = self._pitch_of(take.place.track)
        if take.speed == 1:
            return pitch.excerpt(self._frame(take.place), frames)
        return pitch.faster(take.speed, self._start(take) / pitch.hop_seconds, frames)

    def _pitch_of(self, number: int) -> PitchTrack:
        track = self.tracks[number]
        if track.name in self.pitches:
            return self.pitches[track.name]
        if number not in self._pitch:
            hop = self.spec.hop_samples / self.spec.sample_rate
            self._pitch[number] = track.read_pitch(self.spec.sources, hop)
        return self._pitch[number]


class StemDataModule(L.LightningDataModule):
    """Feeds a model from a corpus; a subclass says where its tracks are (`tracks`) and how they get there (`prepare`).

    Sources, rate, frame grid and excerpt length are the model's: they are taken from it when training starts,
    or set with `feed`.

    Args:
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(self, excerpts: Excerpts = Excerpts(), variation: Variation = Variation()) -> None:
        super().__init__()
        if variation.takes_apart and not excerpts.examples_per_epoch:
            raise DdspZooError(
                "Sources from different places need random excerpts: set excerpts.examples_per_epoch too."
            )
        self.excerpts, self.variation = excerpts, variation
        self.spec: BatchSpec | None = None
        self._split: Split | None = None
        self.datasets: dict[str, StemDataset] = {}
        self.pitches: dict[str, PitchTrack] = {}  # by name of the track, in place of the corpus's own

    @abstractmethod
    def tracks(self, split: Split) -> list[Track]:
        """Returns the tracks of a split."""

    def feed(self, model: L.LightningModule, split: Split | None = None) -> "StemDataModule":
        """Shapes the batches for a model; `setup` does so for the model of a trainer.

        Where a split is named, only that one is prepared.
        """
        self._split = split
        self.spec = BatchSpec(
            model.sources, model.sample_rate, model.hop_samples, model.segment_samples, model.needs_pitch
        )
        return self

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Makes what these splits need and nothing for others: downloads, renders, cuts. By default it does nothing."""

    def prepare_data(self) -> None:
        """Prepares all splits for a trainer; without one, only the split that `feed` was told, if any."""
        everything = self.trainer is not None or self._split is None
        self.prepare(SPLITS if everything else (self._split,))

    def setup(self, stage: str) -> None:
        """Finds the tracks of a stage and checks that they have what the model needs."""
        if self.trainer is not None:
            self.feed(self.trainer.lightning_module)
        how = self.excerpts
        splits = {"fit": ("train", "validation"), "validate": ("validation",)}.get(stage, ("test",))
        for split in splits:
            tracks = self.tracks(split)
            self._check(tracks, split)
            if how.resampled:
                tracks = resample_tracks(tracks, self.spec.sample_rate, how.resampled, how.workers)
            training = (how.examples_per_epoch, self._seed, self.variation) if split == "train" else ()
            self.datasets[split] = StemDataset(tracks, self.spec, *training)
            self.datasets[split].pitches = self.pitches

    def train_dataloader(self) -> DataLoader:
        """Loads random excerpts, or all in shuffled order (see `EpochSampler`)."""
        data = self.datasets["train"]
        data.seed = self._seed  # a checkpoint that was loaded since may have brought it
        sampler = EpochSampler(data, data.seed)
        if self.trainer is not None:
            epoch, batches = place_of(self.trainer)
            sampler.go_on(epoch, batches * self.excerpts.batch_size)
        return self._loader("train", sampler)

    @property
    def _seed(self) -> int:
        """The seed of training excerpts."""
        if self.excerpts.seed is not None:
            return self.excerpts.seed
        return getattr(self.trainer.lightning_module, "seed", 0) if self.trainer is not None else 0

    def val_dataloader(self) -> DataLoader:
        """Returns all excerpts of the validation split in order."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader:
        """Returns all excerpts of the test split in order."""
        return self._loader("test")

    def _loader(self, split: str, sampler: EpochSampler | None = None) -> DataLoader:
        return ExactLoader(
            self.datasets[split],
            batch_size=self.excerpts.batch_size,
            sampler=sampler,
            num_workers=self.excerpts.workers,
            persistent_workers=self.excerpts.workers > 0,
        )

    def _check(self, tracks: list[Track], split: str) -> None:
        if not tracks:
            raise DdspZooError(f"{type(self).__name__} has no tracks in its {split} split.")
        for track in tracks:
            for name in self.spec.sources:
                if name != REST and name not in track.stems:
                    folder = next(path for paths in track.stems.values() for path in paths).parent
                    raise DdspZooError(
                        f"There is no {folder / name}.wav or .flac: the model separates {name!r}, and "
                        f"{track.name} ({split}) has only {', '.join(track.sources)}."
                    )
            if self.spec.needs_pitch and track.pitch is None:
                raise DdspZooError(f"Track {track.name} ({split}) has no f0.csv, which the model needs.")


def folder_tracks(folder: Path) -> list[Track]:
    """Finds the tracks of a folder: ``<folder>/<track>/<source>.(wav|flac)`` with an optional ``f0.csv`` beside.

    An absent folder has no tracks.
    """
    tracks = []
    paths = Path(folder).iterdir() if Path(folder).is_dir() else ()
    for path in sorted(p for p in paths if p.is_dir() and not p.name.startswith(".")):
        stems = {
            file.stem: (file,) for file in sorted(path.iterdir()) if file.suffix.lower() in AUDIO_SUFFIXES
        }
        if not stems:
            raise DdspZooError(f"{path} holds no stems: put one WAV or FLAC file per source there.")
        pitch = path / "f0.csv"
        tracks.append(Track(path.name, stems, pitch if pitch.exists() else None))
    return tracks
