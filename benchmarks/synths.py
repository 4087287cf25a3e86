"""Speed and memory of the synthesisers, forward and backward, as ratios to named rivals in the same process.

    python benchmarks/synths.py                     # every case: some 20 minutes, nearly all in the naive loop
    python benchmarks/synths.py --only oscillators --rounds 41 --json oscillators.json

One thread, float32. The variants of a case take turns, so that a busy moment hits all of them; times are medians.
Memory is what the process grows by at its peak during one step (Linux only). Rivals:

    bare recursion   y[n] = x[n] + c y[n - 1] and its adjoint in compiled code, without autograd: what
                     reading, one multiply-add that waits for the one before, and writing cost
    naive loop       the string by autograd, sample by sample, inputs taken apart once; it is given one common
                     whole delay for all strings, which spares it the gathering
    block form       the string's own form for other devices
    torchlpc         time-varying all-pole filter in C++ (pip install torchlpc), given coefficients per sample
    plain            oscillators whose phases and envelopes are materialised at audio rate, by autograd
"""

import argparse
import ctypes
import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.dsp import compiled
from ddsp_zoo.dsp.allpole import allpole
from ddsp_zoo.dsp.frames import upsample_linear, upsample_window
from ddsp_zoo.dsp.lsf import lsf_from_logits, lsf_to_coefficients, lsf_to_reflection
from ddsp_zoo.dsp.one_pole import dc_block, high_pass_pole
from ddsp_zoo.dsp.oscillator import harmonic_bank, sinusoidal_bank
from ddsp_zoo.dsp.string import string_loop, tuned_delay

Step = Callable[[], object]
RATE, HOP, STRINGS = 32000, 512, 12
DC_HZ = 5.0


def step_of(function: Callable[..., Tensor], inputs: list[Tensor]) -> Step:
    """Forward, then the gradients of all inputs from a fixed gradient of the output."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    sent = torch.randn_like(function(*inputs).detach())
    return lambda: torch.autograd.grad(function(*inputs), inputs, sent)


# ---- rivals


def bare_recursion(x: Tensor) -> Step:
    """y[n] = x[n] + c y[n - 1] and its adjoint, the gradients of x and c, into fresh memory as any operation."""

    @compiled.kernel
    def forward(x, c):
        y = np.empty_like(x)
        for row in range(x.shape[0]):
            last = x.dtype.type(0)
            for n in range(x.shape[1]):
                last = x[row, n] + c * last
                y[row, n] = last
        return y

    @compiled.kernel
    def backward(grad, y, c):
        by_x, by_c = np.empty_like(y), np.empty_like(y[:, 0])
        for row in range(y.shape[0]):
            last, total = y.dtype.type(0), y.dtype.type(0)
            for n in range(y.shape[1] - 1, 0, -1):
                last = grad[row, n] + c * last
                by_x[row, n] = last
                total += last * y[row, n - 1]
            by_x[row, 0], by_c[row] = grad[row, 0] + c * last, total
        return by_x, by_c

    signal, grad, c = x.numpy(), torch.randn_like(x).numpy(), np.float32(0.9)
    return lambda: backward(grad, forward(signal, c), c)


def naive_string(
    excitation: Tensor, eta: Tensor, gain: Tensor, smoothing: Tensor, whole: int, series: str
) -> Tensor:
    """The string of series A or B sample by sample; all but ``whole`` (R, T)."""
    inputs = [c.unbind(1) for c in (excitation, eta, gain, smoothing)]
    silence = torch.zeros_like(inputs[0][0])
    y, heard, v, blocked = [silence] * (whole + 2), [], silence, silence
    pole = high_pass_pole(DC_HZ, RATE)
    for n, (x, e, g, s) in enumerate(zip(*inputs, strict=True)):
        near = torch.lerp(y[n + 2], y[n + 1], e)
        if series == "A":
            v = torch.lerp(g * near, v, s)
            sample = x + v
        else:
            sample = torch.addcmul(x, g, torch.lerp(near, torch.lerp(y[n + 1], y[n], e), s)).clamp(-1, 1)
        blocked = pole * (blocked + sample - y[-1])
        y.append(sample)
        heard.append(blocked)
    return torch.stack(heard, dim=1)


def plain_bank(frequency_hz: Tensor, amplitude: Tensor) -> Tensor:
    """Sinusoids with everything at audio rate: (B, N, K) -> (B, T)."""
    frequency = upsample_linear(frequency_hz.transpose(1, 2), 256).transpose(1, 2)
    envelope = upsample_window(amplitude.transpose(1, 2), 256).transpose(1, 2)
    envelope = envelope * (frequency < 8000)
    return (envelope * torch.sin(torch.cumsum(2 * math.pi / 16000 * frequency, dim=1))).sum(-1)


def plain_harmonics(f0_hz: Tensor, amplitude: Tensor) -> Tensor:
    """Harmonics by way of `plain_bank`."""
    return plain_bank(f0_hz[..., None] * torch.arange(1, amplitude.shape[-1] + 1), amplitude)


# ---- cases: name of each variant -> step; the first is ours


def string_case(series: str, count: int, draw: torch.Generator) -> dict[str, Step]:
    """Twelve strings in vibrato; A: one-pole loop filter, B: one-zero, gain and clipping; DC blocker at the output."""
    frames = count // HOP
    excitation = torch.randn(STRINGS, frames * HOP, generator=draw) * 0.1
    open_hz = torch.tensor([82.4, 110, 146.8, 196, 246.9, 329.6]).repeat(STRINGS // 6)[:, None]
    cents = 10 * torch.randn(STRINGS, frames, generator=draw) + 700 * torch.rand(STRINGS, 1, generator=draw)
    gain = 0.9 + 0.09 * torch.rand(STRINGS, frames, generator=draw)
    smoothing = 0.5 * torch.rand(STRINGS, frames, generator=draw)
    options = {"loop_filter": "one_pole"} if series == "A" else {"clip": True}
    delay = tuned_delay(
        open_hz * 2 ** (cents / 1200), smoothing, RATE, options.get("loop_filter", "one_zero")
    )

    def ours(*inputs: Tensor) -> Tensor:
        return dc_block(string_loop(*inputs, HOP, **options)[0], DC_HZ, RATE)[0]

    inputs = [excitation, delay, gain, smoothing]
    loop_only = step_of(lambda *given: string_loop(*given, HOP, **options)[0], inputs)
    naive = [excitation, *(upsample_linear(c, HOP) for c in (delay % 1, gain, smoothing))]
    return {
        "kernel": step_of(ours, inputs),
        "kernel without DC blocker": loop_only,
        "bare recursion": bare_recursion(excitation),
        "block form": without_kernels(step_of, ours, inputs),
        "naive loop": step_of(lambda *given: naive_string(*given, whole=150, series=series), naive),
    }


def without_kernels(build: Callable[..., Step], *arguments: object) -> Step:
    """The same step on the path of other devices."""

    def run(action: Callable[[], object]) -> object:
        compiled.AVAILABLE = False
        try:
            return action()
        finally:
            compiled.AVAILABLE = True

    step = run(lambda: build(*arguments))
    return lambda: run(step)


def allpole_case(draw: torch.Generator) -> dict[str, Step]:
    """64 voices of 2 s at 16 kHz, order 20, a frame every 16 ms."""
    excitation = torch.randn(64, 32000, generator=draw)
    logits = 0.5 * torch.randn(64, 125, 21, generator=draw)
    lsf = lsf_from_logits(logits)
    coefficients, reflection = lsf_to_coefficients(lsf), lsf_to_reflection(lsf)
    steps = {
        "kernel": step_of(lambda x, k: allpole(x, k, 256)[0], [excitation, reflection]),
        "kernel from LSF logits": step_of(
            lambda x, z: allpole(x, lsf_to_reflection(lsf_from_logits(z)), 256)[0],
            [excitation, logits],
        ),
        "bare recursion": bare_recursion(excitation),
    }
    try:
        from torchlpc import sample_wise_lpc
    except ImportError:
        print("torchlpc is not installed: its row is left out", file=sys.stderr)
        return steps
    held = coefficients.repeat_interleave(256, dim=1)
    return steps | {"torchlpc": step_of(sample_wise_lpc, [excitation, held])}


def oscillator_case(harmonic: bool, draw: torch.Generator) -> dict[str, Step]:
    """16 clips of 1 s at 16 kHz (62 frames of 16 ms), 100 partials."""
    amplitude = torch.rand(16, 62, 100, generator=draw) / 100
    if harmonic:
        inputs = [
            80 + 300 * torch.rand(16, 1, generator=draw) + 5 * torch.rand(16, 62, generator=draw),
            amplitude,
        ]
        return {
            "kernel": step_of(lambda f, a: harmonic_bank(f, a, 16000, 256)[0], inputs),
            "plain": step_of(plain_harmonics, inputs),
        }
    inputs = [20 + 7900 * torch.rand(16, 62, 100, generator=draw), amplitude]
    return {
        "kernel": step_of(lambda f, a: sinusoidal_bank(f, a, 16000, 256)[0], inputs),
        "plain": step_of(plain_bank, inputs),
    }


CASES: dict[str, Callable[[torch.Generator], dict[str, Step]]] = {
    "string A, 12 x 16 000": lambda draw: string_case("A", 16000, draw),
    "string B, 12 x 16 000": lambda draw: string_case("B", 16000, draw),
    "string A, 12 x 64 000": lambda draw: string_case("A", 64000, draw),
    "string B, 12 x 64 000": lambda draw: string_case("B", 64000, draw),
    "all-pole, order 20, 64 x 32 000": allpole_case,
    "oscillators, sinusoids, 16 x 100 x 16 000": lambda draw: oscillator_case(False, draw),
    "oscillators, harmonics, 16 x 100 x 16 000": lambda draw: oscillator_case(True, draw),
}


# ---- measuring


def peak_growth_mb(step: Step) -> float | None:
    """How far the process grows beyond what it holds, at the peak of one step."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)  # what was freed before is not held for reuse
    reset.write_text("5")  # the peak starts again from what is held now

    def read(field: str) -> int:
        return next(
            int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field)
        )

    before = read("VmRSS")
    step()
    return (read("VmHWM") - before) / 1024


def measure(steps: dict[str, Step], rounds: int) -> list[dict[str, float | str | None]]:
    """Median seconds and memory of each variant, and its time over that of the first."""
    memory = {}
    for name, step in steps.items():
        step()
        memory[name] = peak_growth_mb(step)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - started)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    ours = next(iter(medians.values()))
    return [
        {"variant": name, "seconds": value, "ratio": value / ours, "peak_mb": memory[name]}
        for name, value in medians.items()
    ]


def main() -> None:
    """Measure, print a table, write JSON if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--skip", default="", help="variants to leave out, e.g. 'naive loop'")
    parser.add_argument("--rounds", type=int, default=21, help="times each variant is run (default 21)")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name, build in CASES.items():
        if options.only not in name:
            continue
        steps = {k: v for k, v in build(torch.Generator().manual_seed(0)).items() if k != options.skip}
        results[name] = measure(steps, options.rounds)
        print(f"\n{name}\n  {'variant':28s}{'ms':>10s}{'x kernel':>10s}{'MB':>8s}")
        for row in results[name]:
            memory = "-" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
            print(
                f"  {row['variant']:28s}{1e3 * row['seconds']:10.2f}{row['ratio']:10.2f}{memory:>8s}",
                flush=True,
            )
        if options.json:
            options.json.write_text(json.dumps({"rounds": options.rounds, "cases": results}, indent=1))


if __name__ == "__main__":
    main()
