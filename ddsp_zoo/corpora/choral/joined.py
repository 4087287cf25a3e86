"""Joins rendered and real choirs to one corpus."""

from ddsp_zoo.corpora.base import Excerpts, Track
from ddsp_zoo.corpora.choral.corpus import ChoralSingingDataset
from ddsp_zoo.corpora.choral.groups import ChoirDataModule
from ddsp_zoo.corpora.rendered.choir import RenderedChoir
from ddsp_zoo.corpora.variation import Variation
from ddsp_zoo.settings.build import call
from ddsp_zoo.settings.old import modern
from ddsp_zoo.sources import Split


class JoinedChoirs(ChoirDataModule):
    """Joins `RenderedChoir` and `ChoralSingingDataset`; each has a share of training that is as large as it is long.

    Args:
        root: folder of the real corpus; by default the environment variable CHORAL_SINGING_ROOT.
        rendered: settings of `RenderedChoir` other than those below; its own defaults else.
        real: settings of `ChoralSingingDataset` other than those below; its own defaults else.
        voices: 4 (soprano, alto, tenor, bass) or 2 (high, low).
        excerpts: how tracks are cut into batches.
        variation: how training excerpts are changed at random.
    """

    def __init__(
        self,
        root: str | None = None,
        rendered: dict | None = None,
        real: dict | None = None,
        voices: int = 4,
        excerpts: Excerpts = Excerpts(batch_size=16),
        variation: Variation = Variation(),
    ) -> None:
        super().__init__(voices, excerpts, variation)
        shared = {"voices": voices, "excerpts": excerpts}
        self.parts: tuple[ChoirDataModule, ...] = (
            call(RenderedChoir, shared | modern(rendered or {}, RenderedChoir)),
            call(ChoralSingingDataset, shared | {"root": root} | modern(real or {}, ChoralSingingDataset)),
        )

    def prepare(self, splits: tuple[Split, ...]) -> None:
        """Prepares these splits of each corpus."""
        for part in self.parts:
            part.prepare(splits)

    def tracks(self, split: Split) -> list[Track]:
        """Returns the tracks of both corpora."""
        return [track for part in self.parts for track in part.tracks(split)]
