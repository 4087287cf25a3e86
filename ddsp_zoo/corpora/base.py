"""Turns stems on disk into batches: what all corpora share."""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import lightning as L
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from ddsp_zoo.corpora.order import EpochSampler, ExactLoader, StreamSampler, place_of
from ddsp_zoo.corpora.resampling import resample_tracks
from ddsp_zoo.corpora.variation import Place, Take, Variation, random_place
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import duration_seconds, read_mono
from ddsp_zoo.files.f0_csv import read_f0_csv
from ddsp_zoo.music.drum_set import Hits, frames_of_hits, hits_of
from ddsp_zoo.music.midi import DRUM_CHANNEL, read_midi_tracks
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
        streams: hear tracks from start to end in training and validation, whatever examples_per_epoch says: each place
            in a batch goes through tracks of its own, excerpt after excerpt, see `StreamSampler`.
        workers: processes that render and read audio.
        seed: of the random excerpts, and of how they are varied; None: that of the run (`seed_everything`).
        resampled: where stems have another rate than the model, read copies at the model's rate, made once, in this
            folder; true: in the package's cache folder; false: resample whenever an excerpt is read.
    """

    batch_size: int = 8
    examples_per_epoch: int = 0
    streams: bool = False
    workers: int = 0
    seed: int | None = None
    resampled: bool | str = False


@dataclass(frozen=True)
class Track:
    """Holds one piece of music: the files of each stem (several files of one stem are summed), its f0 and its score."""

    name: str
    stems: dict[str, tuple[Path, ...]]
    pitch: Path | None = None
    score: Path | None = None

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

    def read_hits(self) -> dict[str, Hits]:
        """Reads the hits of each instrument of the drum set from the score, a MIDI file."""
        tracks = [track for track in read_midi_tracks(self.score) if track.channel == DRUM_CHANNEL]
        return hits_of(note for track in tracks for note in track.notes)


@dataclass(frozen=True)
class BatchSpec:
    """Says what a model needs in its batches."""

    sources: tuple[str, ...]
    sample_rate: int
    hop_samples: int
    segment_samples: int
    needs_pitch: bool
    needs_hits: bool = False  # of drums, (instruments, N): how hard, where one begins in a frame, else 0


class StemDataset(Dataset):
    """Reads excerpts of tracks: random ones for training, else consecutive ones.

    With ``random_excerpts`` any index is valid: it is the seed for the place of the excerpt and for how ``variation``
    changes it. Consecutive ones leave out what is less than a whole excerpt at the end of a track, unless they go
    ``to_the_end``, where silence fills it up. ``pitches``: pitch tracks by name of the track, used in place of the
    corpus's own.
    """

    def __init__(
        self,
        tracks: list[Track],
        spec: BatchSpec,
        random_excerpts: int = 0,
        seed: int = 0,
        variation: Variation | None = None,
        to_the_end: bool = False,
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
                for k in range(excerpts_in(track.seconds / self.seconds, to_the_end))
            ]
        )
        self.track_seconds = np.array([track.seconds for track in tracks])
        self.pitches: dict[str, PitchTrack] = {}
        self._pitch: dict[int, PitchTrack] = {}
        self._hits: dict[int, dict[str, Hits]] = {}

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
        if self.spec.needs_hits:
            item["hits"] = torch.from_numpy(self._hit_frames(takes[self.spec.sources.index("drums")]))
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

    def _hit_frames(self, take: Take) -> np.ndarray:
        """Returns how hard each instrument of the drum set is hit in each frame of an excerpt (instruments, N)."""
        number, spec = take.place.track, self.spec
        if number not in self._hits:
            self._hits[number] = self.tracks[number].read_hits()
        start, count = self._start(take), spec.segment_samples // spec.hop_samples
        hits = {
            name: Hits((seconds - start) / take.speed, strength)
            for name, (seconds, strength) in self._hits[number].items()
        }
        return np.ascontiguousarray(
            frames_of_hits(hits, spec.sample_rate / spec.hop_samples, count, steps=1).T
        )

    def _pitch_of(self, number: int) -> PitchTrack:
        track = self.tracks[number]
        if track.name in self.pitches:
            return self.pitches[track.name]
        if number not in self._pitch:
            hop = self.spec.hop_samples / self.spec.sample_rate
            self._pitch[number] = track.read_pitch(self.spec.sources, hop)
        return self._pitch[number]


def excerpts_in(excerpts: float, to_the_end: bool = False) -> int:
    """Returns how many excerpts a track of so many lengths makes, one at least; 0.6 / 0.2 is below 3."""
    return max(1, math.ceil(excerpts - 1e-6) if to_the_end else int(excerpts + 1e-6))


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
            model.sources,
            model.sample_rate,
            model.hop_samples,
            model.segment_samples,
            model.needs_pitch,
            getattr(model, "needs_hits", False),
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
            streams = how.streams and split != "test"
            random_excerpts = 0 if streams else how.examples_per_epoch
            training = (random_excerpts, self._seed, self.variation) if split == "train" else ()
            self.datasets[split] = StemDataset(tracks, self.spec, *training, to_the_end=streams)
            self.datasets[split].pitches = self.pitches

    def train_dataloader(self) -> DataLoader:
        """Loads random excerpts, or all in shuffled order (see `EpochSampler`)."""
        data = self.datasets["train"]
        data.seed = self._seed  # a checkpoint that was loaded since may have brought it
        streams = self._streams("train")
        sampler = EpochSampler(data, data.seed) if streams is None else streams
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
        """Returns all excerpts of the validation split in order, or in streams."""
        return self._loader("validation", self._streams("validation"))

    def test_dataloader(self) -> DataLoader:
        """Returns all excerpts of the test split in order."""
        return self._loader("test")

    def _streams(self, split: str) -> StreamSampler | None:
        """The order of streams, where they are asked for."""
        how = self.excerpts
        return StreamSampler(self.datasets[split], self._seed, how.batch_size) if how.streams else None

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
            if self.spec.needs_hits and track.score is None:
                raise DdspZooError(f"Track {track.name} ({split}) has no score.mid, which the model needs.")


def folder_tracks(folder: Path) -> list[Track]:
    """Finds the tracks of a folder: ``<folder>/<track>/<source>.(wav|flac)``, at will with f0.csv and score.mid.

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
        pitch, score = (
            beside if (beside := path / name).exists() else None for name in ("f0.csv", "score.mid")
        )
        tracks.append(Track(path.name, stems, pitch, score))
    return tracks
