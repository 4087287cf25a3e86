"""Joins rendered and real choirs to one corpus."""

from ddsp_zoo.corpora.base import Track
from ddsp_zoo.corpora.choral.corpus import ChoralSingingDataset
from ddsp_zoo.corpora.choral.groups import ChoirDataModule
from ddsp_zoo.corpora.rendered.choir import RenderedChoir
from ddsp_zoo.sources import Split


class JoinedChoirs(ChoirDataModule):
    """Joins `RenderedChoir` and `ChoralSingingDataset`; each has a share of training that is as large as it is long.

    Args:
        root: folder of the real corpus; by default the environment variable CHORAL_SINGING_ROOT.
        rendered: settings of `RenderedChoir` other than those below; its own defaults else.
        real: settings of `ChoralSingingDataset` other than those below; its own defaults else.
        voices: 4 (soprano, alto, tenor, bass) or 2 (high, low).
        gain_db: training voices are made louder or softer by up to so much, each by its own random gain.
        apart: share of the random training excerpts whose voices come from different places of their track.
        batch_size: excerpts a batch.
        examples_per_epoch: random training excerpts an epoch; 0 takes all training audio in consecutive excerpts.
        workers: processes that render and read audio.
        seed: of the random excerpts and gains.
    """

    def __init__(
        self,
        root: str | None = None,
        rendered: dict | None = None,
        real: dict | None = None,
        voices: int = 4,
        gain_db: float = 0.0,
        apart: float = 0.0,
        batch_size: int = 16,
        examples_per_epoch: int = 0,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(voices, gain_db, batch_size, examples_per_epoch, workers, seed, apart)
        self.parts: tuple[ChoirDataModule, ...] = (
            RenderedChoir(voices=voices, workers=workers, **rendered or {}),
            ChoralSingingDataset(root, voices=voices, workers=workers, **real or {}),
        )

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Prepares these splits of each corpus."""
        for part in self.parts:
            part.prepare(splits)

    def tracks(self, split: Split) -> list[Track]:
        """Returns the tracks of both corpora."""
        return [track for part in self.parts for track in part.tracks(split)]
