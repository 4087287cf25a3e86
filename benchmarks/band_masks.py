"""What other ways to cut out stems give with the same weights: exponents, overlap, spatial Wiener filters.

    python benchmarks/band_masks.py FOLDER [--model ast_ddsp_all]

FOLDER is what `tools/pack_sounds.py` made; its excerpts of the validation split are placed in stereo, each stem at a
place of its own. The spatial filter (Duong et al. 2010; Nugraha et al. 2016) begins with what the masks cut out,
and tells sources by where they are. Prints the mean SI-SDR in dB over windows of one second, channel by channel.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import ddsp_zoo
from ddsp_zoo.dsp.stft import istft, stft
from ddsp_zoo.measuring.held_out import Excerpt, read_excerpts
from ddsp_zoo.measuring.metrics import SI_SDR
from ddsp_zoo.measuring.windows import measure
from ddsp_zoo.models import AstDdsp
from ddsp_zoo.separation import stream

PLACES = {"bass": 0.05, "drums": 0.1, "guitar": 0.7, "other": 0.6}  # how far from the middle, of 1
POWERS = (1.0, 1.5, 2.0)
Stems = dict[str, Tensor]  # (2, T) by source


def placed(excerpt: Excerpt, rng: np.random.Generator) -> Stems:
    """Returns the stems of an excerpt (T,), each at a random place: (2, T)."""
    angles = {name: (np.clip(rng.normal(0, PLACES[name]), -1, 1) + 1) * np.pi / 4 for name in sorted(excerpt)}
    return {
        name: torch.stack([np.cos(angle) * excerpt[name], np.sin(angle) * excerpt[name]]).float()
        for name, angle in angles.items()
    }


def spatial(stems: Tensor, n_fft: int, hop: int, rounds: int) -> Tensor:
    """Filters stems (S, 2, T) that sum to the mixture by covariances of their channels, one a bin, in some rounds."""
    images = stft(stems, n_fft, hop)  # (S, C, F, N)
    heard = images.sum(0)
    for _ in range(rounds):
        power = images.abs().square().mean(1)
        covariance = torch.einsum("scfn,sdfn->sfcd", images, images.conj())
        covariance = covariance / (power.sum(-1)[..., None, None] + 1e-10) + 1e-3 * torch.eye(2)
        each = power[..., None, None] * covariance[:, :, None]  # (S, F, N, C, C)
        whole = each.sum(0) + 1e-9 * torch.eye(2)
        white = torch.linalg.solve(whole, heard.permute(1, 2, 0)[..., None])
        images = (each @ white)[..., 0].permute(0, 3, 1, 2)
    return istft(images, n_fft, hop, stems.shape[-1])


def separated(model: AstDdsp, mixture: Tensor, power: float, overlap: float) -> Stems:
    """Returns the stems of a mixture (2, T), and what is left as "rest"."""
    model.mask_power, stream.OVERLAP = power, overlap
    found = model.separate(mixture.numpy(), model.sample_rate)
    return {name: torch.from_numpy(audio) for name, audio in (found.stems | {"rest": found.residual}).items()}


def ways(model: AstDdsp, mixture: Tensor) -> dict[str, Callable[[], Stems]]:
    """Returns the ways to cut out stems by name."""

    def filtered(rounds: int) -> Stems:
        stems = separated(model, mixture, 2.0, 0.25)
        audio = spatial(torch.stack(list(stems.values())), model.mask_fft, model.hop_samples, rounds)
        return dict(zip(stems, audio))

    return (
        {f"power {power:g}": lambda power=power: separated(model, mixture, power, 0.25) for power in POWERS}
        | {"power 2, segments overlap by half": lambda: separated(model, mixture, 2.0, 0.5)}
        | {f"spatial filter, {n} rounds": lambda n=n: filtered(n) for n in (1, 2)}
    )


def main() -> None:
    """Measures each way on all excerpts; prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="ast_ddsp_all")
    options = parser.parse_args()
    model, rng = ddsp_zoo.load(options.model), np.random.default_rng(0)
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for excerpt in read_excerpts(options.folder / "validation", model.sample_rate):
        true = placed(excerpt, rng)
        mixture = torch.stack(list(true.values())).sum(0)
        names = [name for name in model.targets if name in true]
        for way, cut in ways(model, mixture).items():
            stems = cut()
            for channel in range(2):
                batch = {
                    "mixture": mixture[None, channel],
                    "sources": torch.stack([true[name][channel] for name in names])[None],
                }
                system = [(way, torch.stack([stems[name][channel] for name in names])[None])]
                rate = model.sample_rate
                for row in measure(system, batch, names, rate, rate, (SI_SDR,), contested=True):
                    found[way][row["source"]].append(row[SI_SDR.name])
    print("| |" + " | ".join(model.targets) + " |\n|" + "---|" * (1 + len(model.targets)))
    for way, by_source in found.items():
        print(f"| {way} | " + " | ".join(f"{np.mean(by_source[name]):.2f}" for name in model.targets) + " |")


if __name__ == "__main__":
    main()
