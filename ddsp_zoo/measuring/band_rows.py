"""One track and one system to rows: how near each stem comes, and how much is heard of it where it rests."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ddsp_zoo.learning.losses import multi_scale_spectral_distance
from ddsp_zoo.measuring import baselines, metrics
from ddsp_zoo.measuring.protocol import LIMIT_DB, Batch, measure, silent_frames
from ddsp_zoo.measuring.whole_tracks import Piece, System, at_rate

FRAME_SECONDS, MASK_SECONDS, HOP_SECONDS = (
    1.0,
    0.128,
    0.016,
)  # ideal masks have the window of the other protocols
IMPROVEMENT, LEAK = "si_sdr_improvement_db", "silence_leak_db"
METRICS = (
    "si_sdr_db",
    "sdr_db",
    "sdr_v4_db",
    "spectral_si_snr_db",
    "mel_cepstral_distance",
    "multi_scale_spectral",
    IMPROVEMENT,
)

Row = dict[str, Any]
Estimates = list[tuple[str, Tensor]]


def rows_of(piece: Piece, system: System | None, rate: int, seeds: Sequence[int]) -> Iterator[Row]:
    """Rows of a track at a rate: of the mixture for all its sources, of the system for those that it separates.

    Without a system rows of the baselines. In frames in which a source sounds every metric is taken but `LEAK`; in
    frames in which it is silent and the mixture is not only that: the level of the estimate in dB of the mixture.
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
        for row in (*_sounding(estimates, batch, names, rate), *_silent(estimates, batch, names, rate)):
            yield {"track": piece.name} | row


def scores(estimate: Tensor, reference: Tensor, sample_rate: int) -> dict[str, Tensor]:
    """The metrics of this protocol, by the name they have in tables; shapes as in `metrics.sdr`."""
    found = (
        metrics.si_sdr(estimate, reference),
        metrics.sdr(estimate, reference),
        metrics.snr(estimate, reference),
        metrics.spectral_si_snr(estimate, reference),
        metrics.mel_cepstral_distance(estimate, reference, sample_rate),
        multi_scale_spectral_distance(estimate, reference),
    )
    return dict(zip(METRICS, found))


def _heard(piece: Piece, system: System, names: Sequence[str], rate: int, samples: int) -> Estimates:
    """Pairs of output and audio (1, S, T) of a system, which separates the piece at the piece's own rate."""
    return [
        (
            output,
            torch.stack([at_rate(stems[name], piece.sample_rate, rate, samples) for name in names])[None],
        )
        for output, stems in system.estimate(piece)
    ]


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


def _sounding(estimates: Estimates, batch: Batch, names: Sequence[str], rate: int) -> Iterator[Row]:
    """Rows of frames in which sources sound."""
    frame_samples = round(FRAME_SECONDS * rate)
    mixture: dict[tuple[str, int], float] = {}  # comes first in every frame
    for row in measure(
        estimates,
        batch,
        names,
        frame_samples,
        lambda estimate, reference: scores(estimate, reference, rate),
        contested=True,
    ):
        frame = (row["source"], row["frame"])
        mixture.setdefault(frame, row["si_sdr_db"])
        yield row | {IMPROVEMENT: row["si_sdr_db"] - mixture[frame], LEAK: math.nan}


def _silent(estimates: Estimates, batch: Batch, names: Sequence[str], rate: int) -> Iterator[Row]:
    """Rows of frames in which sources are silent and the mixture is not."""
    for frame, span, silent in silent_frames(batch, round(FRAME_SECONDS * rate)):
        heard = _energy(batch["mixture"][0, span])
        for output in dict.fromkeys(name for name, _ in estimates):
            same = [audio[0, silent, span] for name, audio in estimates if name == output]
            levels = 10 * torch.log10(_energy(torch.stack(same)) / heard)
            for source, level in zip(silent, levels.clamp(-LIMIT_DB, LIMIT_DB).mean(0).tolist()):
                where = {"source": names[source], "frame": frame, "system": output}
                yield where | dict.fromkeys(METRICS, math.nan) | {LEAK: level}


def _energy(audio: Tensor) -> Tensor:
    return audio.double().square().sum(-1)
