"""Reads a user's own stems."""

from pathlib import Path

from ddsp_zoo.corpora.base import StemDataModule, Track, folder_tracks
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import Split


class StemFolder(StemDataModule):
    """Reads own data: ``<root>/<train|validation|test>/<track>/<source>.(wav|flac)``, any rate, mono or stereo.

    Models that need pitch read ``<track>/f0.csv``: a header ``time_seconds,<source>,…``, then Hz with 0 for
    unvoiced; optional columns ``<source>_onset`` mark plucks with 1.

    Args:
        root: the folder.
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that read audio.
        seed: of the random excerpts.
        gain_db: training sources are made louder or softer by up to so much, each by its own random gain.
        apart: share of the random training excerpts whose sources come from different places of their track.
        polarity: turn each training source upside down or not, by lot.
        swap: share of the random training excerpts whose sources come from different tracks.
        stretch: training sources are faster and higher or slower and lower by up to so much (0.1: 10 %); not for
            models that need pitch.
        resampled: folder for copies of the stems at the model's rate, made once; true: in the package's cache folder;
            false: resample whenever an excerpt is read.
    """

    def __init__(
        self,
        root: str,
        batch_size: int = 8,
        examples_per_epoch: int = 0,
        workers: int = 0,
        seed: int = 0,
        gain_db: float = 0.0,
        apart: float = 0.0,
        polarity: bool = False,
        swap: float = 0.0,
        stretch: float = 0.0,
        resampled: bool | str = False,
    ) -> None:
        super().__init__(
            batch_size, examples_per_epoch, workers, seed, gain_db, apart, polarity, swap, stretch, resampled
        )
        self.root = Path(root)

    def tracks(self, split: Split) -> list[Track]:
        """Returns the track folders of a split; raises `DdspZooError` where the folder of the split is absent."""
        folder = self.root / split
        if not folder.is_dir():
            raise DdspZooError(
                f"There is no folder {folder}: StemFolder reads {self.root}/{split}/<track>/<source>.wav."
            )
        return folder_tracks(folder)
