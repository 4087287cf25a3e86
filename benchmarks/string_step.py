"""A training step of exB4 with the package's string loop and with a naive one: `python benchmarks/string_step.py`.

The naive loop computes one sample after the other under autograd, all strings at once, its inputs unbound once
(the fair form: slicing them at each sample makes the backward pass quadratic). Both run in this process, one thread,
on 2 x 6 strings x 2 s at 32 kHz.
"""

import statistics
import time
from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor

from ddsp_zoo.dsp import string
from ddsp_zoo.models import KarplusStrongStrings
from ddsp_zoo.sources import GUITAR_STRINGS_HZ


def naive_loop(excitation: Tensor, taps: Tensor, delay: Tensor) -> Tensor:
    """`string.delay_loop`, sample by sample."""
    rows = torch.arange(len(excitation))
    silence = torch.zeros(len(excitation))
    gains, samples, longest = taps.unbind(-1), [], int(delay.max()) + 2
    for n, (x, gain, back) in enumerate(zip(excitation.unbind(-1), gains, delay.unbind(-1), strict=True)):
        past = torch.stack([samples[m] if m >= 0 else silence for m in range(n - longest, n)])
        y = x
        for tap in range(3):
            y = y + gain[tap] * past[longest - back - tap, rows]
        samples.append(y)
    return torch.stack(samples, dim=-1)


def seconds(step: Callable[[], None], runs: int) -> float:
    """Median time of a step."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print both times and their ratio."""
    torch.set_num_threads(1)
    model = KarplusStrongStrings()
    samples, frames = model.segment_samples, model.segment_samples // model.hop_samples
    mixture = 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    f0 = torch.tensor(list(GUITAR_STRINGS_HZ.values()))[None, :, None].expand(2, 6, frames).contiguous()
    onset = torch.zeros_like(f0)
    onset[..., ::30] = 1

    def step() -> None:
        model.zero_grad()
        rendered = model(mixture, f0, onset)
        sum(model.losses(rendered, rendered.sources, mixture).values()).backward()

    def network() -> None:
        model.zero_grad()
        model.raw_controls(mixture, f0, onset).sum().backward()

    step()
    ours, alone = seconds(step, 7), seconds(network, 7)
    with mock.patch.object(string, "delay_loop", naive_loop):
        naive = seconds(step, 1)
    print(f"step with the block loop  {ours:7.2f} s   (network alone {alone:.2f} s)")
    print(f"step with a naive loop    {naive:7.2f} s   ({naive / ours:.0f} x)")


if __name__ == "__main__":
    main()
