"""Renders bands and trains a model of the AST-DDSP family on one GPU, in one command and a given time.

    python tools/train_on_gpu.py recipes/ast_ddsp_all.yaml --sounds FOLDER --out FOLDER --seconds 480

``--sounds`` is what ``tools/pack_sounds.py`` made: nothing else is needed, no soundfonts, no fluidsynth, no network.
Processes render tracks without end; the training takes them into a pool on the GPU and makes its mixtures there. The
learning rate follows the clock and ends at zero; what is kept is an average of the weights. Every minute, and at the
end, ``--out`` gets weights.safetensors (half precision), log.csv and summary.json. ``--smoke`` is the same in small.
"""

import argparse
import csv
import json
import math
import subprocess
import sys
import threading
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file, save_file

from ddsp_zoo.models import AstDdsp
from ddsp_zoo.music.band.farm import finished, packed_band, render_farm, unpack_all
from ddsp_zoo.training.held_out import held_out, lone_guitars, measure
from ddsp_zoo.training.stem_pool import Mixing, StemPool, mixtures


def read_settings(recipe: Path, smoke: bool) -> dict[str, Any]:
    """Reads the model's settings from a recipe; returns small ones where it is only to be seen to work."""
    settings = dict(yaml.safe_load(recipe.read_text())["model"]["init_args"])
    if smoke:
        settings |= {"widths": [4, 4, 8, 8], "width": 16, "depth": 2, "heads": 2, "bands": 64}
    return settings


def keep_filling(pool: StemPool, folder: Path, stop: threading.Event) -> None:
    """Moves tracks into the pool as they are finished, beside the training's stream."""
    known: set[str] = set()
    stream = torch.cuda.Stream() if pool.device.type == "cuda" else None
    while not stop.is_set():
        for _, track in finished(folder, known):
            with torch.cuda.stream(stream):
                pool.add(track)
            if stop.is_set():
                return
        time.sleep(0.2)


def loss_parts(model: AstDdsp, mixture: torch.Tensor, stems: torch.Tensor) -> dict[str, torch.Tensor]:
    """Returns the model's own losses of mixtures (B, T) and stems (B, S, T)."""
    level = mixture.abs().amax(-1)[:, None].clamp(min=1e-4)
    mixture, targets = mixture / level, stems / level[:, None]
    with torch.autocast(mixture.device.type, torch.bfloat16, enabled=mixture.is_cuda):
        rendered = model._rendered(mixture, {}, torch.Generator())
        return model.losses(rendered, targets, mixture)


def parameter_groups(model: AstDdsp, decay: float) -> list[dict[str, Any]]:
    """Splits the weights: matrices and filters decay, all others do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


class Average:
    """Keeps a running average of a model's weights, shorter at first."""

    def __init__(self, model: AstDdsp, decay: float) -> None:
        self.model, self.decay, self.steps = deepcopy(model).eval(), decay, 0
        self.own = [p.detach() for p in self.model.parameters()]

    @torch.no_grad()
    def update(self, model: AstDdsp) -> None:
        """Adds the present weights."""
        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (10 + self.steps))
        torch._foreach_lerp_(self.own, [p.detach() for p in model.parameters()], weight)


def save(model: AstDdsp, out: Path, summary: dict[str, Any]) -> None:
    """Writes half-precision weights and what led to them."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous().cpu() for name, value in model.state_dict().items()}
    save_file(weights, out / "weights.tmp")
    (out / "weights.tmp").rename(out / "weights.safetensors")
    (out / "summary.json").write_text(json.dumps(summary, indent=1))


class Log:
    """Prints rows of numbers and writes them to log.csv."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("w", newline="")
        self.writer = csv.writer(self.file)

    def __call__(self, **values: Any) -> None:
        row = [f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items()]
        print(" ".join(row), flush=True)
        self.writer.writerow(row)
        self.file.flush()


def train(arguments: argparse.Namespace, model: AstDdsp, pool: StemPool, log: Log) -> AstDdsp:
    """Trains until the time is up and returns the average."""
    device, began = pool.device, time.time()
    excerpts = held_out(arguments.sounds, model.sample_rate)
    optimiser = torch.optim.AdamW(
        parameter_groups(model, arguments.weight_decay), lr=arguments.rate, betas=(0.9, 0.98),
        fused=device.type == "cuda",
    )  # fmt: skip
    average = Average(model, arguments.average)
    if arguments.compile:
        torch._dynamo.config.suppress_errors = True
        model.network.compile()
    generator = torch.Generator(device).manual_seed(arguments.seed)
    mixing, totals, step, logged, last = Mixing(), {}, 0, 0, began
    profiler = None
    model.train()
    while (passed := time.time() - began) < arguments.seconds and step < arguments.steps:
        share = passed / arguments.seconds
        rate = (
            arguments.rate
            * min(1, (step + 1) / arguments.warm_steps)
            * (0.5 + 0.5 * math.cos(math.pi * share))
        )
        for group in optimiser.param_groups:
            group["lr"] = rate
        mixture, stems = mixtures(pool, arguments.batch, model.segment_samples, mixing, generator)
        parts = loss_parts(model, mixture, stems)
        loss = torch.stack(list(parts.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            optimiser.step()
            average.update(model)
        step += 1
        if arguments.profile and step in (arguments.profile, arguments.profile + 3):
            profiler = profiled(profiler)
        for name, value in (parts | {"norm": norm}).items():
            totals[name] = totals.get(name, 0) + value.detach()
        if step % arguments.log_every == 0 or step == 10:
            count, logged = step - logged, step
            means = {name: float(value) / count for name, value in totals.items()}
            now, totals = time.time(), {}
            memory = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else 0.0
            log(step=step, seconds=now - began, ms=(now - last) / count * 1000, tracks=pool.added, rate=rate,
                gib=memory, **means)  # fmt: skip
            last = now
        if time.time() - began > arguments.validate_every * (log.validated + 1):
            log.validated += 1
            validate(average.model, excerpts, log, step, began)
            save(average.model, arguments.out, summary(arguments, step, pool, began))
            last = time.time()
    validate(average.model, excerpts, log, step, began)
    save(average.model, arguments.out, summary(arguments, step, pool, began))
    return average.model


def profiled(profiler: Any) -> Any:
    """Starts a profiler, or ends it and prints where the time went."""
    if profiler is None:
        torch.cuda.synchronize()
        return torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]).__enter__()
    torch.cuda.synchronize()
    profiler.__exit__(None, None, None)
    table = profiler.key_averages().table(sort_by="self_device_time_total", row_limit=30, max_name_column_width=70)
    print(table, flush=True)
    return None


def validate(model: AstDdsp, excerpts: dict, log: Log, step: int, began: float) -> None:
    """Logs how well held-out music is separated."""
    start = time.time()
    for kind, found in excerpts.items():
        log(validation=kind, step=step, seconds=start - began, **measure(model, found))
    log(validation_took=time.time() - start)


def summary(arguments: argparse.Namespace, step: int, pool: StemPool, began: float) -> dict[str, Any]:
    """Returns what was done so far."""
    hours = pool.added * pool.audio.shape[2] / pool.sample_rate / 3600
    device = torch.cuda.get_device_name() if pool.device.type == "cuda" else "cpu"
    settings = {name: str(value) for name, value in vars(arguments).items()}
    return settings | {
        "steps": step, "seconds_passed": time.time() - began, "tracks": pool.added, "hours_rendered": hours,
        "device": device,
    }  # fmt: skip


def start_farm(argv: list[str], work: Path) -> None:
    """Starts the rendering as a program of its own, which outlives this one."""
    work.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, *argv, "--farm"]
    with (work / "farm.log").open("w") as log:
        subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def run_farm(arguments: argparse.Namespace, rate_hz: int) -> None:
    """Unpacks the sounds and renders."""
    torch.set_num_threads(1)
    unpack_all(arguments.sounds, arguments.work / "banks", arguments.workers)
    band = packed_band(
        arguments.sounds, arguments.work / "banks", arguments.track_seconds, rate_hz, arguments.seed
    )
    until = time.time() + arguments.render_seconds
    render_farm(band, arguments.work / "tracks", arguments.workers, until, 10**6)


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--sounds", type=Path, required=True, help="folder of packed sounds")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("/dev/shm/bands"), help="for banks and tracks")
    parser.add_argument("--seconds", type=float, default=480, help="of training")
    parser.add_argument("--render-seconds", type=float, default=600, help="for which tracks are rendered")
    parser.add_argument("--start", type=Path, help="weights (.safetensors) to start from")
    parser.add_argument("--warm-steps", type=int, default=200, help="over which the learning rate rises")
    parser.add_argument("--steps", type=int, default=10**9, help="at most")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rate", type=float, default=1e-3, help="largest learning rate")
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--average", type=float, default=0.998, help="decay of the weights' average")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--track-seconds", type=float, default=30.0)
    parser.add_argument("--capacity", type=int, default=4500, help="tracks in the pool")
    parser.add_argument("--first-tracks", type=int, default=100, help="before training begins")
    parser.add_argument("--validate-every", type=float, default=60, help="seconds")
    parser.add_argument("--log-every", type=int, default=100, help="steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--profile", type=int, default=0, help="step at which three are profiled")
    parser.add_argument("--no-farm", action="store_true", help="one is running already")
    parser.add_argument("--farm", action="store_true", help="only render")
    parser.add_argument("--smoke", action="store_true")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> AstDdsp | None:
    """Renders and trains."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = parse(argv)
    settings = read_settings(arguments.recipe, arguments.smoke)
    if arguments.farm:
        run_farm(arguments, settings["sample_rate"])
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(arguments.seed)
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    if not arguments.no_farm:
        start_farm(argv, arguments.work)
    model = AstDdsp(**settings)
    if arguments.start:
        model.load_state_dict({name: value.float() for name, value in load_file(arguments.start).items()})
    # The model's own check would wait for the GPU; the gradient's norm is looked at instead.
    model._check_finite = lambda values: None
    model = model.to(device, memory_format=torch.channels_last)
    samples = round(arguments.track_seconds * model.sample_rate)
    lone = lone_guitars(arguments.sounds / "guitars", samples, model.sample_rate)
    pool = StemPool(
        arguments.capacity, 4, samples, model.sample_rate, device, lone, model.sources.index("guitar")
    )
    stop = threading.Event()
    filler = threading.Thread(target=keep_filling, args=(pool, arguments.work / "tracks", stop), daemon=True)
    filler.start()
    log = Log(arguments.out / "log.csv")
    log.validated = 0
    while len(pool) < arguments.first_tracks:
        time.sleep(0.5)
    log(parameters=sum(p.numel() for p in model.parameters()), tracks=pool.added)
    try:
        return train(arguments, model, pool, log)
    finally:
        stop.set()
        filler.join()


if __name__ == "__main__":
    main()
