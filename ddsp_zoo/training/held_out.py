"""Reads packed recordings for a training on one GPU, and measures separation on those that are held out."""

from pathlib import Path

import numpy as np
import soundfile as sf
import soxr
import torch

from ddsp_zoo.models import AstDdsp
from ddsp_zoo.separation.masks import apply_masks, spectral_shares

QUIET = 1e-3  # of a frame's mixture energy: stems below are not measured
GUITAR_PEAK = 16000  # of 32767, to which recordings of guitars are brought


def lone_guitars(folder: Path, samples: int, sample_rate: int) -> np.ndarray | None:
    """Reads recordings of guitars alone, cut into pieces as long as a track: (n, samples) 16-bit integers."""
    pieces = []
    for path in sorted(folder.glob("*.ogg")):
        audio, rate = sf.read(path, dtype="float32")
        audio = soxr.resample(audio, rate, sample_rate)
        audio = np.rint(audio / max(np.abs(audio).max(), 1e-3) * GUITAR_PEAK).astype(np.int16)
        whole = np.resize(
            audio, -(-len(audio) // samples) * samples
        )  # the last piece goes on with the beginning
        pieces += list(whole.reshape(-1, samples))
    return np.stack(pieces) if pieces else None


def held_out(folder: Path, sample_rate: int) -> dict[str, list[tuple[np.ndarray, list[str]]]]:
    """Reads excerpts for validation by kind: stems (S, T) and their names; ``songs`` hold guitar and all else."""
    found: dict[str, list[tuple[np.ndarray, list[str]]]] = {}
    for kind in ("validation", "songs"):
        for track in sorted((folder / kind).glob("*")):
            files = sorted(track.glob("*.ogg"))
            audio = [soxr.resample(*sf.read(file, dtype="float32"), sample_rate) for file in files]
            length = min(map(len, audio))
            names = [{"song": "rest", "other": "rest"}.get(file.stem, file.stem) for file in files]
            found.setdefault(kind, []).append((np.stack([a[:length] for a in audio]), names))
    return found


@torch.inference_mode()
def measure(model: AstDdsp, excerpts: list[tuple[np.ndarray, list[str]]]) -> dict[str, float]:
    """Returns the mean SI-SDR of masked stems in dB over 1-s frames, and the mixture's (``<stem>_mixture``)."""
    values: dict[str, list[float]] = {}
    length = model.segment_samples
    for stems, names in excerpts:
        stems = torch.from_numpy(stems).to(model.device)
        for first in range(0, stems.shape[1] - length + 1, length):
            part = stems[:, first : first + length]
            mixture = part.sum(0, keepdim=True)
            controls = model.predict_controls(mixture)
            spectra = model.synth.power_spectra(controls, None, model.mask_fft)
            estimates = masked(model, mixture, spectra)
            for name, true in zip(names, part):
                if name not in model.targets:
                    continue
                estimate = estimates[model.sources.index(name)]
                for key, audio in ((name, estimate), (f"{name}_mixture", mixture[0])):
                    values.setdefault(key, []).extend(si_sdr(audio, true, mixture[0], model.sample_rate))
    return {name: float(np.mean(found)) for name, found in values.items() if found}


def masked(model: AstDdsp, mixture: torch.Tensor, spectra: torch.Tensor) -> torch.Tensor:
    """Returns the stems (S, T) that the expected spectra cut out of one mixture (1, T)."""
    return apply_masks(mixture, spectral_shares(spectra, 2.0), model.mask_fft, model.hop_samples)[0]


def si_sdr(estimate: torch.Tensor, true: torch.Tensor, mixture: torch.Tensor, frame: int) -> list[float]:
    """Returns the SI-SDR in dB of each frame in which the stem and something else sound."""
    count = len(true) // frame
    e, s, m = (x[: count * frame].view(count, frame) for x in (estimate, true, mixture))
    scaled = s * ((e * s).sum(1) / s.square().sum(1).clamp(min=1e-9))[:, None]
    ratio = 10 * (scaled.square().sum(1) / (e - scaled).square().sum(1).clamp(min=1e-9) + 1e-9).log10()
    energy, others = s.square().sum(1), (m - s).square().sum(1)
    heard = torch.minimum(energy, others) > QUIET * m.square().sum(1).clamp(min=1e-6)
    return ratio[heard].tolist()
