"""Reads a user's own stems."""

from pathlib import Path

from ddsp_zoo.corpora.base import Excerpts, StemDataModule, Track, folder_tracks
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import Split


class StemFolder(StemDataModule):
    """Reads own data: ``<root>/<train|validation|test>/<track>/<source>.(wav|flac)``, any rate, mono or stereo.

    Models that need pitch read ``<track>/f0.csv``: a header ``time_seconds,<source>,…``, then Hz with 0 for
    unvoiced; optional columns ``<source>_onset`` mark plucks with 1.

    Args:
        root: the folder.
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str,
        excerpts: Excerpts = Excerpts(),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(excerpts, variation)
        self.root = Path(root)

    def tracks(self, split: Split) -> list[Track]:
        """Returns the track folders of a split; raises `DdspZooError` where the folder of the split is absent."""
        folder = self.root / split
        if not folder.is_dir():
            raise DdspZooError(
                f"There is no folder {folder}: StemFolder reads {self.root}/{split}/<track>/<source>.wav."
            )
        return folder_tracks(folder)
