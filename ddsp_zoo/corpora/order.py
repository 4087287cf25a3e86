"""The order in which excerpts come, which a run that was stopped can go on with."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

import lightning as L
import torch
import torch.distributed as dist
from torch.utils.data import DataLoader, DistributedSampler

from ddsp_zoo.errors import DdspZooError


class Excerpted(Protocol):
    """Holds excerpts of tracks: so many random ones, or all, each by its track and place."""

    random_excerpts: int
    tracks: Sequence[Any]
    excerpts: Sequence[Any]

    def __len__(self) -> int:
        """Returns the number of excerpts."""


class EpochSampler(DistributedSampler):
    """Orders the excerpts of an epoch; the order follows from seed and epoch alone, so a resumed run repeats it.

    Consecutive excerpts are shuffled; random ones are numbered on from epoch to epoch, and the number is what
    their place is drawn from. Every process takes its share. (A `DistributedSampler`, because Lightning calls
    `set_epoch` on those and leaves them in place.)
    """

    def __init__(self, dataset: Excerpted, seed: int) -> None:
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


class StreamSampler(EpochSampler):
    """Orders the excerpts of an epoch as the string models of Planton's thesis (section 5.3.2) hear them.

    Each of ``streams`` places in a batch goes through a track in musical order and then takes the next of the tracks,
    whose order is drawn anew for every epoch. The epoch ends where a place finds none, so what others have left of
    theirs is not heard. How many excerpts that makes depends on the order. Raises `DdspZooError` for more places than
    tracks, and in parallel processes.
    """

    def __init__(self, dataset: Excerpted, seed: int, streams: int) -> None:
        super().__init__(dataset, seed)
        self.streams = streams
        if self.num_replicas > 1 or streams > len(dataset.tracks):
            raise DdspZooError(
                f"{streams} streams need as many tracks and a single process; there are {len(dataset.tracks)} tracks "
                f"and {self.num_replicas} processes: lower data.excerpts.batch_size, or set data.excerpts.streams to "
                "false."
            )

    def __len__(self) -> int:
        raise TypeError("How long an epoch of streams is depends on its order.")

    def _order(self) -> Iterator[int]:
        excerpts: dict[int, list[int]] = {}
        for index, place in enumerate(self.dataset.excerpts):
            excerpts.setdefault(place.track, []).append(index)
        tracks = list(excerpts.values())
        draw = torch.Generator().manual_seed(self.seed + self.epoch)
        waiting = iter([tracks[number] for number in torch.randperm(len(tracks), generator=draw)])
        places: list[Iterator[int]] = [iter(()) for _ in range(self.streams)]
        while True:
            batch = []
            for number, place in enumerate(places):
                index = next(place, None)
                if index is None:
                    places[number] = iter(next(waiting, ()))
                    index = next(places[number], None)
                if index is None:
                    return
                batch.append(index)
            yield from batch


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
