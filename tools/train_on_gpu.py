"""Renders bands and trains a model of the AST-DDSP family on them, in one command and a given time.

    python tools/train_on_gpu.py recipes/ast_ddsp_axial.yaml --sounds FOLDER --out FOLDER --seconds 3600

``--sounds`` is what ``tools/pack_sounds.py`` made; soundfonts, fluidsynth and a network are not needed. Processes
render tracks all the time. The training keeps the newest ones on the GPU, or on the CPU where there is none, and mixes
them there. Of the recipe only the model is read. Every ``--report-seconds`` and at the end, ``--out`` gets a checkpoint
of the averaged weights, which `ddsp_zoo.load(name, checkpoint=FOLDER)` opens, a line in log.jsonl, and run.pt, from
which the same command with ``--resume`` goes on.
"""

import argparse
import json
import threading
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import torch
import yaml

from ddsp_zoo import zoo
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring.held_out import Excerpt, read_excerpts, separation_db
from ddsp_zoo.models import AstDdsp
from ddsp_zoo.music.band.farm import finished, packed_band, start_farm, unpack_all
from ddsp_zoo.settings.build import build
from ddsp_zoo.training.stem_pool import StemPool, lone_guitars, songs
from ddsp_zoo.training.timed import Pace, Report, Run, train
from ddsp_zoo.zoo.loading import copy_weights

STATE = "run.pt"  # in the folder of the checkpoint: what a run goes on from


def make_model(recipe: Path, start: str | None) -> AstDdsp:
    """Returns the model of a recipe, with the weights of a model or a checkpoint folder where one is named."""
    model = build(yaml.safe_load(recipe.read_text(encoding="utf-8"))["model"], AstDdsp)
    if start:
        copy_weights(zoo.load(start, checkpoint=start if Path(start).exists() else None), model, start)
    return model


def keep_filling(pool: StemPool, folder: Path, stop: threading.Event) -> None:
    """Moves tracks into the pool as they are finished, beside the stream of the training."""
    stream = torch.cuda.Stream() if pool.device.type == "cuda" else None
    while not stop.wait(0.2):
        for track in finished(folder):
            with torch.cuda.stream(stream):
                pool.add(track)


def wait_for_tracks(pool: StemPool, count: int, farm: list[BaseProcess]) -> None:
    """Returns once so many tracks are there; raises `DdspZooError` where nobody renders any more."""
    while len(pool) < count:
        if not any(process.is_alive() for process in farm):
            raise DdspZooError("All processes that render have ended: see their errors above.")
        time.sleep(0.2)


def excerpts_by_kind(sounds: Path, rate: int) -> dict[str, list[Excerpt]]:
    """Returns the excerpts to validate on: those of rendered bands under "", those of recorded songs under "song_"."""
    folders = {"": sounds / "validation", "song_": sounds / "validation_songs"}
    return {kind: read_excerpts(folder, rate) for kind, folder in folders.items()}


def reporter(out: Path, excerpts: dict[str, list[Excerpt]]) -> Report:
    """Returns what saves and measures a model: see `ddsp_zoo.training.timed.train`."""

    def report(run: Run, row: dict[str, float]) -> None:
        model = run.average.model
        zoo.save_checkpoint(model, out)
        run.save(out / STATE)
        measured = {
            kind + name: db
            for kind, some in excerpts.items()
            for name, db in separation_db(model, some).items()
        }
        line = json.dumps(row | measured)
        print(line, flush=True)
        with (out / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return report


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Reads the arguments."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=layout)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--sounds", type=Path, required=True, help="folder of packed sounds")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument(
        "--work", type=Path, help="folder for banks and tracks, best in memory; by default OUT/work"
    )
    parser.add_argument("--start", help="model, or checkpoint folder, whose weights are the start")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in OUT; --seconds counts it in"
    )
    parser.add_argument("--seconds", type=float, required=True, help="of training")
    parser.add_argument("--steps", type=int, default=10**9, help="at most")
    parser.add_argument("--batch", type=int, default=16, help="excerpts in a step")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="the largest one")
    parser.add_argument("--workers", type=int, default=4, help="processes that render")
    parser.add_argument("--track-seconds", type=float, default=30.0)
    parser.add_argument("--capacity", type=int, default=1000, help="tracks in memory, 10 MB each at 44.1 kHz")
    parser.add_argument("--first-tracks", type=int, default=100, help="before the training begins")
    parser.add_argument("--report-seconds", type=float, default=60.0, help="between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="the network, by torch.compile")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> AstDdsp:
    """Renders and trains; returns the model."""
    options = parse(argv)
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = make_model(options.recipe, options.start).to(device, memory_format=torch.channels_last)
    if options.compile:
        model.network.compile()
    pace = Pace(
        seconds=options.seconds,
        steps=options.steps,
        batch=options.batch,
        learning_rate=options.learning_rate,
        report_seconds=options.report_seconds,
    )
    run = Run(model, pace)
    if options.resume:
        run.resume(options.out / STATE)
    seed = options.seed + run.step  # a run that goes on hears other tracks
    rate, samples = model.sample_rate, round(options.track_seconds * model.sample_rate)
    work = options.work or options.out / "work"
    band = packed_band(options.sounds, work / "banks", options.track_seconds, rate, seed)
    unpack_all(options.sounds, work / "banks", options.workers)
    lone, recorded = (
        read(options.sounds / name, samples, rate)
        for read, name in ((lone_guitars, "guitars"), (songs, "songs"))
    )
    pool = StemPool(options.capacity, samples, rate, device, lone, recorded)
    report = reporter(options.out, excerpts_by_kind(options.sounds, rate))
    farm, stop = start_farm(band, work / "tracks", options.workers), threading.Event()
    filler = threading.Thread(target=keep_filling, args=(pool, work / "tracks", stop), daemon=True)
    filler.start()
    torch.set_flush_denormal(True)  # silent stems fill gradients with them, which slows a CPU
    try:
        wait_for_tracks(pool, options.first_tracks, farm)
        return train(run, pool, pace, seed, report)
    finally:
        stop.set()
        filler.join()
        for process in farm:
            process.terminate()
            process.join()


if __name__ == "__main__":
    main()
