"""Measures the separation of short excerpts while a model is trained, without a corpus."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
import torch
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.metrics import SI_SDR
from ddsp_zoo.measuring.windows import measure
from ddsp_zoo.models import AstDdsp, Rendered

Excerpt = dict[str, Tensor]  # stems (T,) by name


def read_excerpts(folder: Path, sample_rate: int) -> list[Excerpt]:
    """Reads the excerpts ``<folder>/<track>/<stem>.ogg`` at a rate; there may be none."""
    return [
        {file.stem: _read(file, sample_rate) for file in sorted(track.glob("*.ogg"))}
        for track in sorted(folder.glob("*"))
    ]


@torch.inference_mode()
def separation_db(model: AstDdsp, excerpts: Iterable[Excerpt]) -> dict[str, float]:
    """Returns the mean SI-SDR in dB of the masked stems by source, and the mixture's as ``<source>_mixture``.

    Windows of one second count in which the source sounds and others do. What is left after whole segments of the
    model is not measured.
    """
    found = defaultdict(list)
    for excerpt in excerpts:
        names = [name for name in model.targets if name in excerpt]
        if not names:
            raise DdspZooError(f"An excerpt has the stems {sorted(excerpt)}, none of {list(model.targets)}.")
        stems = [excerpt[name] for name in names]
        mixture = torch.stack(list(excerpt.values())).sum(0)
        whole = torch.stack([mixture, *stems]).to(model.device)
        for part in whole.split(model.segment_samples, dim=-1):
            if part.shape[-1] == model.segment_samples:
                for row in _rows(model, part[:1], part[1:], names):
                    suffix = "_mixture" if row["system"] == "mixture" else ""
                    found[row["source"] + suffix].append(row[SI_SDR.name])
    return {name: float(np.mean(values)) for name, values in found.items()}


def _rows(model: AstDdsp, mixture: Tensor, stems: Tensor, names: list[str]) -> list[dict]:
    """Returns the rows of one segment: mixture (1, T), stems (S, T) and their names."""
    controls = model.predict_controls(mixture)
    estimates = model.masked(mixture, Rendered(mixture, controls, mixture))
    estimates = estimates[:, [model.sources.index(name) for name in names]]
    batch = {"mixture": mixture, "sources": stems[None]}
    systems = [("masked", estimates), ("mixture", mixture.expand_as(stems)[None])]
    rate = model.sample_rate
    return list(measure(systems, batch, names, rate, rate, (SI_SDR,), contested=True))


def _read(path: Path, sample_rate: int) -> Tensor:
    audio, rate = sf.read(path, dtype="float32")
    return torch.from_numpy(soxr.resample(audio, rate, sample_rate))
