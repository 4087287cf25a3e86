"""The quality of separation while a model is trained, for the loggers of its run."""

from math import isfinite
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from ddsp_zoo.measuring.metrics import MEL_CEPSTRAL_DISTANCE, SI_SDR
from ddsp_zoo.measuring.protocol import rows_of
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.summary import summarise
from ddsp_zoo.measuring.systems import OF_THE_MODEL
from ddsp_zoo.models.separator import Separator

METRICS = (SI_SDR, MEL_CEPSTRAL_DISTANCE)
KEYS = ("mixture", "sources", "f0_hz", "onset")  # of a batch, that a separation is made and measured by


class LogSeparation(Callback):
    """Logs after each validation how near a few of its excerpts come to their sources.

    The names are those of evaluations, ``validation/<metric>/<system>/<source>``, for example
    ``validation/si_sdr_db/masked/bass``; the source ``all`` is the mean without the rest. The excerpts lie evenly
    over the validation split and are the same each time, as is the noise. With several processes the first one
    measures. The state of the random numbers is restored, so training does not change.

    Args:
        examples: number of validation excerpts; 0 measures nothing.
    """

    def __init__(self, examples: int = 4) -> None:
        self.examples = examples
        self._rows: list[Row] = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Separates and measures the excerpts of this batch that are among the chosen ones."""
        if batch_idx == 0:
            self._rows = []
        if trainer.sanity_checking or dataloader_idx or not trainer.is_global_zero:
            return
        if (
            not isinstance(pl_module, Separator) or "sources" not in batch
        ):  # it makes no sound, or nobody knows which
            return
        chosen = self._chosen(batch_idx, trainer.num_val_batches[0])
        for index in range(min(chosen, len(batch["mixture"]))):
            example = {key: batch[key][index : index + 1].cpu() for key in KEYS if key in batch}
            with isolate_rng(), trainer.precision_plugin.forward_context():
                found = rows_of(
                    pl_module, f"{batch_idx} {index}", example, METRICS, ("model",), pl_module.device, (0,)
                )
            self._rows += found

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Logs the means over the windows of all chosen excerpts."""
        if trainer.sanity_checking or not isinstance(pl_module, Separator):
            return
        means = trainer.strategy.broadcast(_means(self._rows))
        pl_module.log_dict(means, sync_dist=True)

    def _chosen(self, batch_index: int, batches: float) -> int:
        """How many excerpts are taken from a batch."""
        batches = batches if isfinite(batches) else self.examples  # the first ones, where no end is known
        return sum(int(number * batches / self.examples) == batch_index for number in range(self.examples))


def _means(rows: list[Row]) -> dict[str, float]:
    """The means by what they are logged as, of what the model puts out; nothing where nothing sounds."""
    return {
        f"validation/{row['metric']}/{row['system']}/{row['source']}": row["mean"]
        for row in (summarise(rows, resamples=1) if rows else ())
        if row["system"] in OF_THE_MODEL and row["count"]
    }
