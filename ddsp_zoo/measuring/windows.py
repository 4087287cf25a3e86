"""Rows from the estimates of one excerpt: the windows that are measured, and the metrics that are taken in them."""

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ddsp_zoo.measuring.metrics import Metric, Window
from ddsp_zoo.measuring.rows import WINDOW, Row
from ddsp_zoo.measuring.systems import rank

SILENCE_DB = 60.0
CLEAN_DB = 30.0  # where all others lie so far below a source, there is nothing to separate

Batch = dict[str, Tensor]
Estimates = Sequence[tuple[str, Tensor]]  # pairs of a system's name and audio (1, S, T)
Windows = Iterable[tuple[int, slice, list[int]]]  # number, samples and rows of sources


def measure(
    estimates: Estimates,
    batch: Batch,
    sources: Sequence[str],
    window_samples: int,
    sample_rate: int,
    metrics: Sequence[Metric],
    contested: bool = False,
) -> Iterator[Row]:
    """Yields the rows of one excerpt, without the name of the track.

    In windows where a source sounds it has the metrics of sounding sources, where it is silent those of silence, and
    NaN for the others.

    Args:
        estimates: pairs of system and audio (1, S, T); a system that comes several times counts with the mean.
        batch: one excerpt: mixture (1, T) and sources (1, S, T).
        sources: names of the S sources.
        window_samples: length of a window.
        sample_rate: in Hz.
        metrics: what to take.
        contested: see `sounding_windows`.
    """
    systems, separated = zip(*estimates)
    stacked = torch.cat(separated)  # (systems, S, T)
    nothing = dict.fromkeys((metric.name for metric in metrics), math.nan)
    for of_silence in (False, True):
        chosen = [metric for metric in metrics if metric.of_silence == of_silence]
        windows = silent_windows if of_silence else sounding_windows
        options = {} if of_silence else {"contested": contested}
        for number, span, rows in windows(batch, window_samples, **options) if chosen else ():
            window = Window(batch["sources"][0, rows, span], batch["mixture"][0, span], sample_rate)
            columns = {metric: metric.function(stacked[:, rows, span], window) for metric in chosen}
            for position, row in enumerate(rows):
                where = {"source": sources[row], WINDOW: number}
                own = {metric: values[:, position] for metric, values in columns.items()}
                yield from (where | system | nothing | found for system, found in _by_system(systems, own))


def sounding_windows(batch: Batch, window_samples: int, contested: bool = False) -> Windows:
    """Yields number, samples and sounding sources of each window of an excerpt in which any source sounds.

    With ``contested`` only those beside which others sound, at most `CLEAN_DB` below: where a source is alone, the
    mixture is as good an estimate as any.
    """
    for number, span, sounds, _ in _windows(batch, window_samples):
        if contested:
            sources = batch["sources"][0, :, span]
            others = (batch["mixture"][0, span] - sources).square().mean(-1)
            sounds &= others > sources.square().mean(-1) * 10 ** (-CLEAN_DB / 10)
        if sounds.any():
            yield number, span, sounds.nonzero()[:, 0].tolist()


def silent_windows(batch: Batch, window_samples: int) -> Windows:
    """Yields number, samples and silent sources of each window in which a source is silent and the mixture sounds."""
    for number, span, sounds, mixture_sounds in _windows(batch, window_samples):
        if mixture_sounds and not sounds.all():
            yield number, span, (~sounds).nonzero()[:, 0].tolist()


def count_windows(samples: int, window_samples: int) -> int:
    """Returns how many windows an excerpt has: one at least; what is left after whole windows is not measured."""
    return max(1, samples // window_samples)


def _windows(batch: Batch, window_samples: int) -> Iterator[tuple[int, slice, Tensor, bool]]:
    """Number and samples of each window, which of the sources sound in it (S), and whether the mixture does."""
    threshold = batch["mixture"].square().mean().sqrt() * 10 ** (-SILENCE_DB / 20)
    length = batch["mixture"].shape[-1]
    for number in range(count_windows(length, window_samples)):
        span = slice(number * window_samples, min(length, (number + 1) * window_samples))
        levels = [batch[key][0, ..., span].square().mean(dim=-1).sqrt() for key in ("sources", "mixture")]
        yield number, span, levels[0] > threshold, bool(levels[1] > threshold)


def _by_system(systems: Sequence[str], columns: dict[Metric, Tensor]) -> Iterator[tuple[Row, Row]]:
    """The name and the metrics of each system, from columns that hold some systems several times (once a seed)."""
    for system in sorted(dict.fromkeys(systems), key=rank):
        same = [index for index, name in enumerate(systems) if name == system]
        means = {metric.name: metric.limited(x[same]).mean().item() for metric, x in columns.items()}
        yield {"system": system}, means
