"""Separating recordings of any length, rate and channel count.

Audio comes in blocks, is resampled and cut into overlapping segments. The network predicts controls for them, which
are joined into one stream and rounded to what can be heard; the synthesiser plays that stream, masks come from its
expected spectra, and what is finished leaves at the input's rate. While stems are cut, the network hears what comes
next. Memory does not grow with the length.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.separation.ahead import ahead
from ddsp_zoo.separation.blocks import Queue, Resampler, remembered, resampled, segments
from ddsp_zoo.separation.cut import Cutter, Piece
from ddsp_zoo.separation.join import Joiner
from ddsp_zoo.separation.result import Maker, Separated
from ddsp_zoo.separation.rounding import rounded
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.version import __version__

OVERLAP = 0.25  # share of a segment that the next one has too
BATCH = 4  # segments that go through the network together


class Chunk(NamedTuple):
    """Holds consecutive frames: mixture (C, n * hop), controls {name: (S, n, k)}, and whether they are the last."""

    mixture: Tensor
    controls: Controls
    last: bool


def stream(
    model: Any,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    frames: int,
    pitch: PitchTrack | None = None,
    seed: int = 0,
    neck: Neck | None = None,
) -> Iterator[Separated]:
    """Separates blocks (channels, n) of a recording of ``frames`` samples, yielding finished pieces in order.

    Channels beyond those of the stems are only heard, see `Separator.hearing`.
    """
    model.eval()
    maker, names, hop = maker_of(model, seed, neck), model.targets, model.hop_samples
    count = control_frames(frames, sample_rate, model.sample_rate, hop)
    waiting = Queue()  # the recording, until its stems are finished
    heard = resampled(
        remembered(blocks, waiting), sample_rate, model.sample_rate, at_least=(count - 1) * hop + 1
    )
    back, done = None, 0
    for cut, last in ahead(_finished(_chunks(model, heard, pitch, count), Cutter(model, seed))):
        stems, synthesised, controls = cut()
        parts = np.concatenate([stems.reshape(-1, stems.shape[-1]), synthesised])
        back = back or Resampler(model.sample_rate, sample_rate, len(parts))
        parts = _fitted(back(parts, last), frames - done, last)
        done += parts.shape[1]
        stems = parts[: -len(names)].reshape(*stems.shape[:2], -1)
        mixture = waiting.take(parts.shape[1])[: stems.shape[1]]
        yield Separated(
            mixture=mixture,
            stems=dict(zip(names, stems, strict=True)),
            synthesised={name: part[None] for name, part in zip(names, parts[-len(names) :], strict=True)},
            residual=mixture - stems.sum(0),
            controls=_by_source(names, controls, maker),
            sample_rate=sample_rate,
            maker=maker,
        )


def _finished(chunks: Iterator[Chunk], cutter: Cutter) -> Iterator[tuple[Callable[[], Piece], bool]]:
    """What cuts the pieces whose frames are finished, and whether a piece is the last."""
    for chunk in chunks:
        if (cut := cutter(*chunk)) is not None:
            yield cut, chunk.last


def maker_of(model: Any, seed: int, neck: Neck | None = None) -> Maker:
    """Returns what is to be remembered of a model that separates."""
    return Maker(
        model=getattr(model, "name", "") or type(model).__name__,
        weights_sha256=getattr(model, "weights_sha256", ""),
        version=__version__,
        sources=tuple(model.sources),
        sample_rate=model.sample_rate,
        hop_samples=model.hop_samples,
        seed=seed,
        declared=model.declared,
        synth=model.synth,
        neck=neck,
    )


def control_frames(samples: int, sample_rate: int, model_rate: int, hop: int) -> int:
    """Returns how many frames of controls cover a recording of so many samples."""
    return -(-samples * model_rate // (sample_rate * hop))


def _fitted(parts: np.ndarray, left: int, last: bool) -> np.ndarray:
    """No more samples than are left, and all of them in the end: resampling can round to one too many or too few."""
    missing = left - parts.shape[1] if last else 0
    return np.pad(parts, ((0, 0), (0, max(missing, 0))))[:, :left]


def _by_source(names: tuple[str, ...], controls: Controls, maker: Maker) -> dict[str, dict[str, np.ndarray]]:
    """Declared controls (S, n, k) -> {source: {control: (n, k)}}; a pitch is (n,)."""
    arrays = {name: controls[name].cpu().numpy() for name in maker.declared if name in controls}
    arrays = {
        name: value[..., 0] if maker.declared[name].role == "pitch" else value
        for name, value in arrays.items()
    }
    return {
        source: {name: np.ascontiguousarray(value[row]) for name, value in arrays.items()}
        for row, source in enumerate(names)
    }


def _chunks(
    model: Any, blocks: Iterable[np.ndarray], pitch: PitchTrack | None, count: int
) -> Iterator[Chunk]:
    """The mixture and its controls, ``count`` frames in all, in the order of time."""
    length, frame = model.segment_samples, model.hop_samples
    overlap = round(OVERLAP * length / frame)
    step = length // frame - overlap
    join, first = Joiner(model.declared, step, overlap), 0
    for group in _batches(segments(blocks, length, step * frame)):
        mixture = torch.from_numpy(np.stack([segment for segment, _ in group])).to(model.device)
        predicted = _predict(model, model.hearing(mixture), pitch, first, step)
        for row, (_, last) in enumerate(group):
            controls = join({name: value[row] for name, value in predicted.items()}, last)
            stop = min(next(iter(controls.values())).shape[1], count - first)
            controls = rounded({name: value[:, :stop] for name, value in controls.items()}, model.declared)
            yield Chunk(mixture[row, :, : stop * frame], controls, last)
            first += step


def _batches(items: Iterable[tuple[np.ndarray, bool]]) -> Iterator[list[tuple[np.ndarray, bool]]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def _predict(model: Any, mixture: Tensor, pitch: PitchTrack | None, first: int, step: int) -> Controls:
    """Controls {name: (B, S, N, k)} of heard segments, of which number b starts at frame first + b * step."""
    given = {}
    if pitch is not None:
        count = model.segment_samples // model.hop_samples
        tracks = [pitch.excerpt(first + b * step, count) for b in range(len(mixture))]
        given = {
            name: torch.from_numpy(np.stack([getattr(track, name) for track in tracks])).to(model.device)
            for name in ("f0_hz", "onset")
        }
    return model.predict_controls(mixture, **given)
