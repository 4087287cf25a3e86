"""What each part of the harmonic fit of UMSS is worth: `python benchmarks/choir_fit.py [CHECKPOINT]`.

CHORAL_SINGING_ROOT names the folder of the corpus, CHECKPOINT other weights than the released `umss_4v`. Prints the
mean SI-SDR in dB over frames of one second of the test split, each limited to -30 dB from below. Takes about five
minutes on one core.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

import ddsp_zoo
from ddsp_zoo.corpora import ChoralSingingDataset
from ddsp_zoo.corpora.base import Excerpts
from ddsp_zoo.dsp.harmonic_ls import fit_windows, harmonic_least_squares
from ddsp_zoo.measuring.metrics import si_sdr
from ddsp_zoo.measuring.windows import SILENCE_DB
from ddsp_zoo.models import Separator, Umss

FLOOR_DB = -30.0
JITTER_CENTS = (10, 25, 50)


def estimates(model: Umss, batch: dict[str, Tensor], seed: int) -> Iterator[tuple[str, Tensor]]:
    """Pairs of what is tried and stems (1, S, T)."""
    mixture, f0_hz, onset = (batch[name] for name in ("mixture", "f0_hz", "onset"))
    rate, hop = model.sample_rate, model.hop_samples
    rendered = model(mixture, f0_hz, onset, torch.Generator().manual_seed(0))
    prior, (short, long) = model.expected_partials(rendered), fit_windows(rate)

    def masks_alone(left: Tensor) -> Tensor:
        return Separator.masked_each(model, left, rendered, (model.mask_power,))[0]

    def one_way(windows: tuple[int, ...], refinements: int = 2) -> tuple[Tensor, Tensor]:
        fit = harmonic_least_squares(
            mixture, f0_hz, rate, hop, **prior, windows=windows, refinements=refinements
        )
        return fit, fit + masks_alone(mixture - fit.sum(1))

    yield "masks alone", masks_alone(mixture)
    for window in (short, (short + long) // 2, long):
        yield f"a window of {1000 * window // rate} ms", one_way((window,))[1]
    for refinements in (0, 1, 2):
        alone, shared = one_way((short, long), refinements)
        yield f"the mean of two windows, f0 moved {refinements} times", shared
    yield "its harmonics alone", alone
    yield "two ways", model.masked(mixture, rendered)
    for cents in JITTER_CENTS:
        drawn = torch.randn(f0_hz.shape, generator=torch.Generator().manual_seed(seed))
        off = f0_hz * 2 ** (cents / 1200 * drawn)
        heard = model(mixture, off, onset, torch.Generator().manual_seed(0))
        yield f"two ways, f0 off by {cents} cents in each frame", model.masked(mixture, heard)


def frames(stems: Tensor, targets: Tensor, mixture: Tensor, rate: int) -> Iterator[float]:
    """SI-SDR of each second of each voice that sounds in it."""
    quiet = mixture.square().mean().sqrt() * 10 ** (-SILENCE_DB / 20)
    for start in range(0, targets.shape[-1] - rate + 1, rate):
        span = (0, slice(None), slice(start, start + rate))
        sounding = targets[span].square().mean(-1).sqrt() > quiet
        yield from si_sdr(stems[span], targets[span])[sounding].clamp(min=FLOOR_DB).tolist()


@torch.no_grad()
def main(checkpoint: str | None) -> None:
    """Measure and print."""
    model = ddsp_zoo.load("umss_4v", checkpoint=checkpoint)
    model.phase_locked = True  # however it was trained
    data = ChoralSingingDataset(excerpts=Excerpts(1)).feed(model)
    data.prepare_data()
    data.setup("test")
    found = defaultdict(list)
    for seed, batch in enumerate(data.test_dataloader()):
        for name, stems in estimates(model, batch, seed):
            found[name] += frames(stems, batch["sources"], batch["mixture"], model.sample_rate)
    for name, values in found.items():
        print(f"{name:<48}{sum(values) / len(values):6.2f}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
