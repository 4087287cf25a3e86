"""Stems on disk -> batches: what every corpus shares."""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import lightning as L
import numpy as np
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from ddsp_zoo.audio import duration_seconds, read_mono
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.export.controls import read_f0_csv
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import REST

Split = Literal["train", "validation", "test"]
AUDIO_SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True)
class Track:
    """One piece of music: the files of each stem (several files of one stem are summed) and its f0 file."""

    name: str
    stems: dict[str, tuple[Path, ...]]
    pitch: Path | None = None

    @cached_property
    def seconds(self) -> float:
        """Length of the longest stem."""
        return max(duration_seconds(path) for paths in self.stems.values() for path in paths)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the stems."""
        return tuple(self.stems)

    def read_pitch(self, sources: tuple[str, ...], hop_seconds: float) -> PitchTrack:
        """f0 and onsets of the whole track on the model's frame grid."""
        time, f0, onset = read_f0_csv(self.pitch, sources)
        return PitchTrack.from_times(time, f0, onset, hop_seconds, int(self.seconds / hop_seconds) + 1)


@dataclass(frozen=True)
class BatchSpec:
    """What a model wants to be fed."""

    sources: tuple[str, ...]
    sample_rate: int
    hop_samples: int
    segment_samples: int
    needs_pitch: bool


class EpochSampler(DistributedSampler):
    """The training order of an epoch, a function of seed and epoch alone, so that a resumed run repeats it.

    Consecutive excerpts are shuffled; random ones are numbered on from epoch to epoch, and the number is what
    their place is drawn from. Every process takes its share. (A `DistributedSampler`, because Lightning calls
    `set_epoch` on those and leaves them in place.)
    """

    def __init__(self, dataset: "StemDataset", seed: int) -> None:
        parallel = dist.is_available() and dist.is_initialized()
        world, rank = (dist.get_world_size(), dist.get_rank()) if parallel else (1, 0)
        super().__init__(dataset, num_replicas=world, rank=rank, seed=seed, drop_last=False)

    def __iter__(self) -> Iterator[int]:
        if not self.dataset.random_excerpts:
            return super().__iter__()
        first = self.epoch * self.total_size
        return iter(range(first + self.rank, first + self.total_size, self.num_replicas))


class StemDataset(Dataset):
    """Excerpts of tracks: random ones for training, consecutive ones else.

    With ``random_excerpts`` any index is valid: it seeds the place of the excerpt. ``pitches``: by name of the track,
    in place of what belongs to it.
    """

    def __init__(self, tracks: list[Track], spec: BatchSpec, random_excerpts: int = 0, seed: int = 0) -> None:
        self.tracks, self.spec, self.seed = tracks, spec, seed
        self.seconds = spec.segment_samples / spec.sample_rate
        self.random_excerpts = random_excerpts
        self.excerpts = [] if random_excerpts else [
            (index, k * self.seconds)
            for index, track in enumerate(tracks)
            for k in range(max(1, int(track.seconds / self.seconds + 1e-6)))  # 0.6 / 0.2 is below 3
        ]  # fmt: skip
        self.weights = np.array([track.seconds for track in tracks])
        self.pitches: dict[str, PitchTrack] = {}
        self._pitch: dict[int, PitchTrack] = {}

    def __len__(self) -> int:
        return self.random_excerpts or len(self.excerpts)

    def track_of(self, index: int) -> str:
        """Name of the track that excerpt ``index`` of consecutive excerpts comes from."""
        return self.tracks[self.excerpts[index][0]].name

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return self._excerpt(*(self._random_excerpt(index) if self.random_excerpts else self.excerpts[index]))

    def _excerpt(self, number: int, start: float) -> dict[str, torch.Tensor]:
        """Mixture, sources and pitch of a track from a time in seconds on, moved to a frame."""
        track = self.tracks[number]
        frame = round(start * self.spec.sample_rate) // self.spec.hop_samples
        start = frame * self.spec.hop_samples / self.spec.sample_rate
        sources = self._read(track, start)
        item = {"mixture": sources.sum(0), "sources": sources}
        if self.spec.needs_pitch:
            pitch = self._pitch_of(number).excerpt(frame, self.spec.segment_samples // self.spec.hop_samples)
            item |= {"f0_hz": torch.from_numpy(pitch.f0_hz), "onset": torch.from_numpy(pitch.onset)}
        return item

    def _random_excerpt(self, index: int) -> tuple[int, float]:
        rng = np.random.default_rng([self.seed, index])
        number = rng.choice(len(self.tracks), p=self.weights / self.weights.sum())
        return int(number), rng.uniform(0, max(self.tracks[number].seconds - self.seconds, 0))

    def _read(self, track: Track, start: float) -> torch.Tensor:
        named = [name for name in self.spec.sources if name != REST]
        groups = {name: track.stems[name] for name in named}
        if REST in self.spec.sources:
            groups[REST] = tuple(p for name, paths in track.stems.items() if name not in named for p in paths)
        out = torch.zeros(len(self.spec.sources), self.spec.segment_samples)
        for row, name in enumerate(self.spec.sources):
            for path in groups[name]:
                audio = read_mono(path, self.spec.sample_rate, start, self.seconds)[: out.shape[1]]
                out[row, : len(audio)] += torch.from_numpy(audio)
        return out

    def _pitch_of(self, number: int) -> PitchTrack:
        track = self.tracks[number]
        if track.name in self.pitches:
            return self.pitches[track.name]
        if number not in self._pitch:
            hop = self.spec.hop_samples / self.spec.sample_rate
            self._pitch[number] = track.read_pitch(self.spec.sources, hop)
        return self._pitch[number]


class VariedDataset(StemDataset):
    """Excerpts whose sources are changed at random, drawn from the excerpt's number.

    ``gain_db``: each is louder or softer by up to so much. ``apart``: share of the excerpts whose sources come
    from different places of the track, so that no harmony is known by heart.
    """

    def __init__(
        self, tracks: list[Track], spec: BatchSpec, random_excerpts: int = 0, seed: int = 0,
        gain_db: float = 0.0, apart: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(tracks, spec, random_excerpts, seed)
        self.gain_db, self.apart = gain_db, apart

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        item = super().__getitem__(index)
        if not self.gain_db and not self.apart:
            return item
        rng = np.random.default_rng([self.seed, index, 1])
        count = len(self.spec.sources)
        gains = torch.from_numpy(10 ** (rng.uniform(-self.gain_db, self.gain_db, count) / 20)).float()
        if rng.random() < self.apart:
            item = self._apart(item, index, rng)
        item["sources"] = item["sources"] * gains[:, None]
        return item | {"mixture": item["sources"].sum(0)}

    def _apart(
        self, item: dict[str, torch.Tensor], index: int, rng: np.random.Generator
    ) -> dict[str, torch.Tensor]:
        """All sources but the first taken from elsewhere in the same track."""
        number, _ = self._random_excerpt(index)
        latest = max(self.tracks[number].seconds - self.seconds, 0)
        places = [item] + [self._excerpt(number, rng.uniform(0, latest)) for _ in self.spec.sources[1:]]
        return {
            name: torch.stack([place[name][row] for row, place in enumerate(places)])
            for name in item
            if name != "mixture"
        }


class StemDataModule(L.LightningDataModule):
    """Base of every corpus: a subclass says where its tracks are, `tracks(split)`, and how they get there.

    Sources, rate, frame grid and excerpt length are the model's: they are taken from it when training starts,
    or set with `feed`.

    Args:
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that read audio.
        seed: of the random excerpts.
        gain_db: training sources are made louder or softer by up to so much, each by its own random gain.
        apart: share of the random training excerpts whose sources come from different places of their track.
    """

    def __init__(
        self, batch_size: int = 8, examples_per_epoch: int = 0, workers: int = 0, seed: int = 0,
        gain_db: float = 0.0, apart: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if apart and not examples_per_epoch:
            raise DdspZooError(
                "Sources from different places need random excerpts: set examples_per_epoch too."
            )
        self.gain_db, self.apart = gain_db, apart
        self.batch_size, self.examples_per_epoch = batch_size, examples_per_epoch
        self.workers, self.seed = workers, seed
        self.spec: BatchSpec | None = None
        self.datasets: dict[str, StemDataset] = {}
        self.pitches: dict[str, PitchTrack] = {}  # by name of the track, in place of the corpus's own

    @abstractmethod
    def tracks(self, split: Split) -> list[Track]:
        """The tracks of a split."""

    def feed(self, model: L.LightningModule) -> "StemDataModule":
        """Shape the batches for a model (`setup` does so for the trainer's)."""
        self.spec = BatchSpec(
            model.sources, model.sample_rate, model.hop_samples, model.segment_samples, model.needs_pitch
        )
        return self

    def setup(self, stage: str) -> None:
        """Find the tracks of the stage and check that they have what the model needs."""
        if self.trainer is not None:
            self.feed(self.trainer.lightning_module)
        splits = {"fit": ("train", "validation"), "validate": ("validation",)}.get(stage, ("test",))
        for split in splits:
            tracks = self.tracks(split)
            self._check(tracks, split)
            if split == "train":
                given = (self.examples_per_epoch, self.seed, self.gain_db, self.apart)
                self.datasets[split] = VariedDataset(tracks, self.spec, *given)
            else:
                self.datasets[split] = StemDataset(tracks, self.spec)
            self.datasets[split].pitches = self.pitches

    def train_dataloader(self) -> DataLoader:
        """Random excerpts, or all in shuffled order (see `EpochSampler`)."""
        return self._loader("train", EpochSampler(self.datasets["train"], self.seed))

    def val_dataloader(self) -> DataLoader:
        """All of the validation split in order."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader:
        """All of the test split in order."""
        return self._loader("test")

    predict_dataloader = test_dataloader

    def _loader(self, split: str, sampler: EpochSampler | None = None) -> DataLoader:
        return DataLoader(
            self.datasets[split], batch_size=self.batch_size, sampler=sampler, num_workers=self.workers,
            persistent_workers=self.workers > 0,
        )  # fmt: skip

    def _check(self, tracks: list[Track], split: str) -> None:
        if not tracks:
            raise DdspZooError(f"{type(self).__name__} has no tracks in its {split} split.")
        for track in tracks:
            for name in self.spec.sources:
                if name != REST and name not in track.stems:
                    folder = next(iter(track.stems.values()))[0].parent
                    raise DdspZooError(
                        f"There is no {folder / name}.wav or .flac: the model separates {name!r}, and "
                        f"{track.name} ({split}) has only {', '.join(track.sources)}."
                    )
            if self.spec.needs_pitch and track.pitch is None:
                raise DdspZooError(f"Track {track.name} ({split}) has no f0.csv, which the model needs.")


def folder_tracks(folder: Path) -> list[Track]:
    """Tracks of the layout ``<folder>/<track>/<source>.(wav|flac)`` with an optional ``f0.csv`` beside.

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
