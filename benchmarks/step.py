"""How long a training step takes, beside the same step made of torch's own parts.

    python benchmarks/step.py [CASE ...] [--threads 1] [--runs 11] [--json step.json]

The rival has the same weights and the same synthesiser, but `nn.GRU`, a decoder input expanded to every source, and
a spectral loss that autograd differentiates. That of the bands has the same network, but measures the masks' error in
every bin of every frame, as the recipe of the 8-kHz model does. Both run in this process, in turns; times are medians
in milliseconds.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from torch import Tensor, nn

from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.learning.losses import FFT_SIZES
from ddsp_zoo.models import AstDdsp, KarplusStrongStrings, Rendered, Umss
from ddsp_zoo.settings.build import build

HOP = 256
BAND_RECIPE = Path(__file__).parents[1] / "recipes/ast_ddsp_all.yaml"
Batch = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
Render = Callable[[Tensor, Batch], Tensor]  # raw controls (B, S, N, channels) -> mixture (B, T)


class Step:
    """A training step and its parts."""

    tolerance = 1e-4  # to which the rival's loss is the same

    def __init__(self, encoder: nn.Module, decoder: nn.Module, render: Render, loss: Loss) -> None:
        self.encoder, self.decoder, self.render, self.loss = encoder, decoder, render, loss
        weights = [*encoder.parameters(), *decoder.parameters()]
        self.adam = torch.optim.Adam(weights, lr=1e-4, weight_decay=1e-5)

    def run(self, batch: Batch) -> float:
        """One step; its loss."""
        self.adam.zero_grad()
        raw = self.decoder(self.encoder(batch["mixture"]), batch["f0_hz"])
        loss = self.loss(self.render(raw, batch), batch["mixture"])
        loss.backward()
        self.adam.step()
        return loss.item()

    def parts(self, batch: Batch) -> dict[str, Callable[[], object]]:
        """Each part alone, forward and backward, and the whole."""
        latent = self.encoder(batch["mixture"]).detach().requires_grad_()
        raw = self.decoder(latent, batch["f0_hz"]).detach().requires_grad_()
        mixture = self.render(raw, batch).detach().requires_grad_()
        return {
            "encoder": lambda: self.encoder(batch["mixture"]).sum().backward(),
            "decoder": lambda: self.decoder(latent, batch["f0_hz"]).sum().backward(),
            "synth": lambda: self.render(raw, batch).sum().backward(),
            "loss": lambda: self.loss(mixture, batch["mixture"]).backward(),
            "adam": self.adam.step,
            "step": lambda: self.run(batch),
        }

    def rival(self) -> "Step":
        """The same from torch's own parts."""
        encoder, decoder = copy.deepcopy(self.encoder), copy.deepcopy(self.decoder)
        encoder.grus = nn.ModuleList(torch_gru(gru) for gru in encoder.grus)
        decoder.gru, decoder.hidden = torch_gru(decoder.gru), decoder.hidden_expanded
        return Step(encoder, decoder, self.render, plain_loss)


class BandStep:
    """A training step of AST-DDSP and its parts."""

    tolerance = 0.1  # of coarser cells

    def __init__(self, model: AstDdsp) -> None:
        self.model = model
        self.adam = torch.optim.Adam(model.parameters(), lr=1e-4)

    def run(self, batch: Batch) -> float:
        """One step; its loss."""
        self.adam.zero_grad()
        loss = sum(self.model.terms(batch, torch.Generator()).values())
        loss.backward()
        self.adam.step()
        return loss.item()

    def parts(self, batch: Batch) -> dict[str, Callable[[], object]]:
        """Each part alone, forward and backward, and the whole."""
        model, mixture = self.model, batch["mixture"]
        pictures = model.pictures(mixture)[0]
        controls = {
            name: value.detach().requires_grad_() for name, value in model.predict_controls(mixture).items()
        }
        rendered = Rendered(mixture, controls, mixture)

        def losses() -> None:
            sum(model.losses(rendered, batch["sources"], mixture).values()).backward()

        return {
            "pictures": lambda: model.pictures(mixture),
            "network": lambda: model.network(pictures).sum().backward(),
            "losses": losses,
            "adam": self.adam.step,
            "step": lambda: self.run(batch),
        }

    def rival(self) -> "BandStep":
        """The same with the masks' error in every bin and frame."""
        model = copy.deepcopy(self.model)
        model.exact_below_hz, model.error_every = 0.0, 1
        return BandStep(model)


def bands() -> BandStep:
    """Four stems of a band at 44.1 kHz."""
    recipe = yaml.safe_load(BAND_RECIPE.read_text(encoding="utf-8"))
    return BandStep(build(recipe["model"], AstDdsp))


def make_bands(examples: int, seconds: float) -> Batch:
    """Four stems of noise, softer towards the treble."""
    sources = 0.02 * torch.randn(examples, 4, round(44100 * seconds)).cumsum(-1)
    sources = sources - sources.mean(-1, keepdim=True)
    return {"mixture": sources.sum(1), "sources": sources}


def strings() -> Step:
    """Experiment B4: six Karplus-Strong strings."""
    model = KarplusStrongStrings()

    def render(raw: Tensor, batch: Batch) -> Tensor:
        given = {name: batch[name][..., None] for name in ("f0_hz", "onset")}
        controls = model.synth.constrain(raw) | given
        return model.synth.render(controls, torch.Generator().manual_seed(0)).audio.sum(1)

    return Step(model.encoder, model.decoder, render, model.loss)


def choir() -> Step:
    """UMSS: source-filter voices (without the small network that colours the breath)."""
    model = Umss()

    def render(raw: Tensor, batch: Batch) -> Tensor:
        colour = raw.new_zeros(*raw.shape[:3], model.synth.controls.channels - raw.shape[-1])
        controls = model.synth.constrain(torch.cat([raw, colour], dim=-1)) | {
            "f0_hz": batch["f0_hz"][..., None]
        }
        return model.synth.render(controls, torch.Generator().manual_seed(0)).audio.sum(1)

    return Step(model.encoder, model.decoder, render, model.loss)


def make_batch(examples: int, sources: int, frames: int, voiced: float) -> Batch:
    """Noise, and notes of 16 frames, no two with the same pitch, as a tracker gives them; the rest 0 Hz."""
    notes = torch.rand(examples, sources, -(-frames // 16)) < voiced
    sounds = notes.repeat_interleave(16, dim=-1)[..., :frames]
    onset = sounds & (torch.arange(frames) % 16 == 0)
    f0_hz = sounds * (100 + 300 * torch.rand(sounds.shape))
    return {"mixture": 0.1 * torch.randn(examples, frames * HOP), "f0_hz": f0_hz, "onset": onset.float()}


# The step and its batch: examples, sources, frames and the share of voiced frames; or examples and seconds.
CASES = {
    "strings": (strings, make_batch, 2, 6, 125, 0.43),
    "choir_4": (choir, make_batch, 4, 4, 250, 0.85),
    "choir_16": (choir, make_batch, 16, 4, 250, 0.85),
    "bands": (bands, make_bands, 8, 125 * 704 / 44100),
}


def plain_loss(prediction: Tensor, target: Tensor, floor: float = 1e-5) -> Tensor:
    """The multi-scale spectral loss as one writes it down."""
    total = prediction.new_zeros(())
    for n_fft in FFT_SIZES:
        a, b = (stft(audio, n_fft, n_fft // 4).abs() for audio in (prediction, target))
        log_ratio = a.clamp(min=floor).log() - b.clamp(min=floor).log()
        total = total + (a - b).abs().mean() + log_ratio.abs().mean()
    return total


def torch_gru(gru: nn.RNNBase) -> nn.GRU:
    """torch's GRU with the same weights."""
    twin = nn.GRU(gru.input_size, gru.hidden_size, batch_first=True)
    twin.load_state_dict(gru.state_dict())
    return twin


def in_turns(variants: list[Callable[[], object]], runs: int, clock: Callable[[], float]) -> list[float]:
    """Median milliseconds of each, after one run that does not count."""
    times: list[list[float]] = [[] for _ in variants]
    for _ in range(runs + 1):
        for variant, taken in zip(variants, times):
            start = clock()
            variant()
            taken.append(1000 * (clock() - start))
    return [statistics.median(taken[1:]) for taken in times]


def measure(case: str, runs: int, clock: Callable[[], float]) -> dict[str, dict[str, float]]:
    """{part: {ours_ms, rival_ms, ratio}}; both must begin at the same loss."""
    torch.manual_seed(0)
    make_step, make, *shape = CASES[case]
    ours, batch = make_step(), make(*shape)
    rival = ours.rival()
    torch.testing.assert_close(ours.run(batch), rival.run(batch), rtol=ours.tolerance, atol=0)
    pairs = zip(ours.parts(batch).items(), rival.parts(batch).values())
    rows = {name: in_turns([part, other], runs, clock) for (name, part), other in pairs}
    return {name: {"ours_ms": a, "rival_ms": b, "ratio": b / a} for name, (a, b) in rows.items()}


def main() -> None:
    """Measure, print a table for each case, write all of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "cases", nargs="*", default=list(CASES), metavar="CASE", help=f"of {', '.join(CASES)}"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    parser.add_argument("--runs", type=int, default=11, help="of each variant (default: 11)")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time: for machines in use")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the numbers there as well")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    clock, tables = time.process_time if options.cpu_time else time.perf_counter, {}
    for name in options.cases:
        tables[name] = measure(name, options.runs, clock)
        print(f"\n{name:10}{'ours ms':>10}{'rival ms':>10}{'ratio':>8}")
        for part, row in tables[name].items():
            print(f"{part:10}{row['ours_ms']:10.1f}{row['rival_ms']:10.1f}{row['ratio']:8.2f}", flush=True)
    if options.json:
        settings = {"threads": options.threads, "runs": options.runs, "cpu_time": options.cpu_time}
        options.json.write_text(json.dumps(settings | {"cases": tables}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
