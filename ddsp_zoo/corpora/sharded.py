"""Trains from shards: a corpus that is larger than the disk, read from start to end."""

import math
import os
import random
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from ddsp_zoo.corpora.base import BatchSpec, Excerpts, StemDataModule, StemDataset, Track, excerpts_in
from ddsp_zoo.corpora.shard_files import INDEX, Shard, read_index, unpacked
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import Split

SHUFFLED = 512  # excerpts that wait for their turn in training, in each process that reads


class ShardedStems(StemDataModule):
    """Reads shards that `tools/write_shards.py` has written, from a folder, a server, or a command.

    It needs ``pip install "ddsp_zoo[shards]"``. An epoch hears each excerpt once. Shards are dealt out to the processes
    that train, and within each of them to ``excerpts.workers``: give at least as many shards as there are of both
    together. In training their order is drawn anew for every epoch, and so is that of excerpts among those that wait.
    All processes train on as many batches, so what is left over in some of them is not heard in that epoch. A run that
    was stopped begins its epoch anew.

    Args:
        root: the folder, its address (https://…), or a command with {} for the name of a file:
            ``pipe:aws s3 cp s3://bucket/shards/{} -``.
        excerpts: how tracks are cut into batches; a stream has no random excerpts, so examples_per_epoch is 0.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self, root: str, excerpts: Excerpts = Excerpts(), variation: Variation = Variation()
    ) -> None:
        super().__init__(excerpts, variation)
        self.root = root

    def tracks(self, split: Split) -> list[Track]:
        """Raises `DdspZooError`: shards hold no files to choose from."""
        raise DdspZooError("Shards are for training: measure on the corpus that they were written from.")

    def setup(self, stage: str) -> None:
        """Reads which shards there are; raises `DdspZooError` where they are to be read in another way."""
        how = self.excerpts
        if how.examples_per_epoch or how.streams or how.resampled:
            raise DdspZooError(
                "Shards are read as they come: leave out excerpts.examples_per_epoch, streams and resampled."
            )
        if self.trainer is not None:
            self.feed(self.trainer.lightning_module)
        index = read_index(_read(self._url(INDEX)), self._url(INDEX))
        splits = {"fit": ("train", "validation"), "validate": ("validation",)}.get(stage, ("test",))
        for split in splits:
            if not index.get(split):
                raise DdspZooError(f"{self._url(INDEX)} has no shards of the {split} split.")
            variation = self.variation if split == "train" else None
            self.datasets[split] = ShardDataset(index[split], self._url, self.spec, variation, self._check)

    def train_dataloader(self) -> DataLoader:
        """Loads all excerpts, shuffled."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader:
        """Loads all excerpts of the validation split."""
        return self._loader("validation")

    def _url(self, name: str) -> str:
        return self.root.replace("{}", name) if "{}" in self.root else f"{self.root}/{name}"

    def _loader(self, split: str, sampler: None = None) -> "ShardLoader":
        data, how = self.datasets[split], self.excerpts
        data.seed = self._seed
        return ShardLoader(data, self.trainer, batch_size=how.batch_size, num_workers=how.workers)


def _read(url: str) -> bytes:
    if os.path.exists(url):
        return Path(url).read_bytes()
    import webdataset as wds

    try:
        with wds.gopen(url) as file:
            return file.read()
    except (OSError, ValueError) as error:
        raise DdspZooError(f"There is no {url}: name what tools/write_shards.py has written.") from error


class ShardDataset(IterableDataset):
    """Yields the excerpts of a split as `StemDataset` does: in training shuffled, anew in each ``epoch``."""

    def __init__(
        self, shards: list[Shard], url_of: Any, spec: BatchSpec, variation: Variation | None, check: Any
    ) -> None:
        self.shards, self.url_of, self.spec, self.check = shards, url_of, spec, check
        self.variation, self.training = variation, variation is not None
        self.seed, self.epoch = 0, 0
        self.rank, self.world = _process()

    def share(self, rank: int, worker: int, workers: int) -> list[Shard]:
        """Returns the shards that a worker of a process reads in this epoch."""
        shards = list(self.shards)
        if self.training:
            random.Random(self.seed * 1_000_003 + self.epoch).shuffle(shards)
        return shards[rank :: self.world][worker::workers]

    def excerpts_of(self, rank: int, worker: int, workers: int) -> int:
        """Returns how many excerpts that makes."""
        length = self.spec.segment_samples / self.spec.sample_rate
        return sum(
            excerpts_in(s / length) for shard in self.share(rank, worker, workers) for s in shard.seconds
        )

    def __iter__(self) -> Iterator[dict[str, Any]]:
        info = get_worker_info()
        worker, workers = (info.id, info.num_workers) if info else (0, 1)
        shards = self.share(self.rank, worker, workers)
        place = np.random.SeedSequence([self.seed, self.epoch, self.rank, worker])
        if not self.training:
            return self._excerpts(shards, place)
        return _shuffled(self._excerpts(shards, place), random.Random(int(place.generate_state(1)[0])))

    def _excerpts(self, shards: list[Shard], place: np.random.SeedSequence) -> Iterator[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            for track in unpacked([self.url_of(shard.name) for shard in shards], Path(folder)):
                self.check([track], "sharded")
                seed = int(place.spawn(1)[0].generate_state(1)[0])
                data = StemDataset([track], self.spec, 0, seed, self.variation)
                yield from (data[number] for number in range(len(data)))


class ShardLoader(DataLoader):
    """Loads as many batches in each process as the one has that has the fewest."""

    def __init__(self, dataset: ShardDataset, trainer: Any, batch_size: int, num_workers: int) -> None:
        super().__init__(dataset, batch_size=batch_size, num_workers=num_workers)
        self._trainer = trainer

    def __iter__(self) -> Iterator[Any]:
        if self._trainer is not None:
            self.dataset.epoch = self._trainer.current_epoch
        return islice(super().__iter__(), len(self))

    def __len__(self) -> int:
        data, workers = self.dataset, max(self.num_workers, 1)
        return min(
            sum(
                math.ceil(data.excerpts_of(rank, worker, workers) / self.batch_size)
                for worker in range(workers)
            )
            for rank in range(data.world)
        )


def _process() -> tuple[int, int]:
    parallel = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if parallel else (0, 1)


def _shuffled(items: Iterator[Any], draw: random.Random) -> Iterator[Any]:
    """Yields items in another order: each changes places with one of those that wait."""
    waiting: list[Any] = []
    for item in items:
        if len(waiting) < SHUFFLED:
            waiting.append(item)
            continue
        place = draw.randrange(SHUFFLED)
        waiting[place], item = item, waiting[place]
        yield item
    draw.shuffle(waiting)
    yield from waiting
