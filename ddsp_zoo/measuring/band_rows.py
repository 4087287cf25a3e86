"""Rows of a whole track and a system: how near each stem comes, and how loud it is where its source is silent."""

from collections.abc import Iterator, Sequence

import torch

from ddsp_zoo.measuring import baselines
from ddsp_zoo.measuring.metrics import BAND_METRICS
from ddsp_zoo.measuring.rows import Row
from ddsp_zoo.measuring.whole_tracks import Piece, System, at_rate
from ddsp_zoo.measuring.windows import Batch, Estimates, measure

WINDOW_SECONDS = 1.0
MASK_SECONDS, HOP_SECONDS = 0.128, 0.016  # ideal masks have the STFT of the other protocols


def rows_of(piece: Piece, system: System | None, rate: int, seeds: Sequence[int]) -> Iterator[Row]:
    """Yields the rows of a track at a rate: of the mixture for all its sources, of the system for those it separates.

    Without a system rows of the baselines.
    """
    samples = round(len(piece.mixture) * rate / piece.sample_rate)
    stems = {name: at_rate(audio, piece.sample_rate, rate, samples) for name, audio in piece.stems.items()}
    mixture = torch.stack(list(stems.values())).sum(0, keepdim=True)
    separated = [name for name in stems if system is None or name in system.targets]
    for names in (separated, [name for name in stems if name not in separated]):
        if not names:
            continue
        batch = {"mixture": mixture, "sources": torch.stack([stems[name] for name in names])[None]}
        estimates = [("mixture", baselines.mixture_itself(mixture, len(names)))]
        if names is separated:
            estimates += _heard(piece, system, names, rate, samples) if system else _known(batch, rate, seeds)
        window_samples = round(WINDOW_SECONDS * rate)
        for row in measure(estimates, batch, names, window_samples, rate, BAND_METRICS, contested=True):
            yield {"track": piece.name} | row


def _heard(piece: Piece, system: System, names: Sequence[str], rate: int, samples: int) -> Estimates:
    """Pairs of output and audio (1, S, T) of a system, which separates the piece at the piece's own rate."""

    def audio(stems: dict) -> torch.Tensor:
        rows = [at_rate(stems[name], piece.sample_rate, rate, samples) for name in names]
        return torch.stack(rows)[None]

    return [(output, audio(stems)) for output, stems in system.estimate(piece)]


def _known(batch: Batch, rate: int, seeds: Sequence[int]) -> Estimates:
    """Pairs of baseline and audio (1, S, T)."""
    hop = round(HOP_SECONDS * rate)
    window = {"n_fft": hop * round(MASK_SECONDS / HOP_SECONDS), "hop": hop}
    sources, mixture = batch["sources"], batch["mixture"]
    ideal = [
        ("irm", baselines.irm_sum(sources, mixture, **window)),
        ("irm_power", baselines.irm_sum(sources, mixture, power=2.0, **window)),
    ]
    return ideal + [("noise", baselines.white_noise(sources, seed)) for seed in seeds]
