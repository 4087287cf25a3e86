"""A user's own stems."""

from pathlib import Path

from ddsp_zoo.data.base import Split, StemDataModule, Track, folder_tracks
from ddsp_zoo.errors import DdspZooError


class StemFolder(StemDataModule):
    """Own data: ``<root>/<train|validation|test>/<track>/<source>.(wav|flac)``, any rate, mono or stereo.

    Models that need pitch read ``<track>/f0.csv``: a header ``time_seconds,<source>,…``, then Hz with 0 for
    unvoiced; optional columns ``<source>_onset`` mark plucks with 1.

    Args:
        root: the folder.
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that read audio.
        seed: of the random excerpts.
    """

    def __init__(
        self, root: str, batch_size: int = 8, examples_per_epoch: int = 0, workers: int = 0, seed: int = 0
    ) -> None:
        super().__init__(batch_size, examples_per_epoch, workers, seed)
        self.root = Path(root)

    def tracks(self, split: Split) -> list[Track]:
        """The track folders of a split; `DdspZooError` where the split's folder is absent."""
        folder = self.root / split
        if not folder.is_dir():
            raise DdspZooError(
                f"There is no folder {folder}: StemFolder reads {self.root}/{split}/<track>/<source>.wav."
            )
        return folder_tracks(folder)
