"""How long models take for a song, and how much memory, beside HTDemucs.

    python benchmarks/separate.py ast_ddsp_bass htdemucs [--minutes 3] [--threads 2]

Each separates the same made-up stereo song at 44.1 kHz in a process of its own, by the command that a user gives, so
the time includes the program's start. Memory is the greatest that the process ever held. HTDemucs is run by
`benchmarks/htdemucs.py`, and what that needs must be there; its number of weights is what its file can hold at most.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile as sf

RATE = 44100
RIVAL = "htdemucs"
HEADER = (
    "model",
    "parameters (M)",
    "MB on disk",
    "s per minute of song",
    "times as fast as played",
    "peak MB",
)


class Size(NamedTuple):
    """How large a model is."""

    weights: int
    file_bytes: int


def song(minutes: float) -> np.ndarray:
    """Chords, a bass and hits (T, 2)."""
    random = np.random.default_rng(0)
    time_seconds = np.arange(round(60 * minutes * RATE)) / RATE
    beat = np.exp(-8 * (time_seconds % 0.5))
    tones = [0.1 * np.sin(2 * np.pi * hertz * time_seconds) for hertz in (55, 220, 277, 330)]
    hits = 0.2 * beat * random.standard_normal(len(time_seconds))
    left = sum(tones) + hits
    return np.stack([left, 0.8 * left + 0.05 * random.standard_normal(len(left))], axis=1).astype(np.float32)


def size(name: str, checkpoint: str | None) -> Size:
    """Of a model by name."""
    if name == RIVAL:
        import htdemucs

        held = htdemucs.fetch().stat().st_size
        return Size(held // 4, held)
    from ddsp_zoo import zoo

    model = zoo.load(name, checkpoint=checkpoint)
    folder = Path(checkpoint) if checkpoint else zoo.find(name)
    files = [folder] if folder.is_file() else folder.glob("*.safetensors")
    return Size(sum(x.numel() for x in model.parameters()), sum(file.stat().st_size for file in files))


def command(name: str, checkpoint: str | None, path: Path, out: Path, threads: int) -> list[str]:
    """What separates a file."""
    if name == RIVAL:
        script = str(Path(__file__).with_name("htdemucs.py"))
        return [sys.executable, script, str(path), "--out", str(out), "--threads", str(threads)]
    own = ["--checkpoint", checkpoint] if checkpoint else []
    arguments = ["separate", str(path), "--model", name, *own, "--out", str(out), "--quiet"]
    return [sys.executable, "-m", "ddsp_zoo.cli", *arguments]


def run(arguments: list[str], threads: int) -> tuple[float, float]:
    """Seconds and peak megabytes of a process."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    process = subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    taken = time.perf_counter() - began
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(arguments)} failed.")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss in bytes
    return taken, used.ru_maxrss * unit / 1e6


def main() -> None:
    """Print a table, a line a model."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="+", metavar="NAME", help=f"names of `ddsp-zoo list`, or {RIVAL}")
    parser.add_argument(
        "--checkpoint", help="a checkpoint folder or .ckpt file instead of the released weights"
    )
    parser.add_argument("--minutes", type=float, default=3.0, help="length of the song (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of each process (%(default)s)")
    options = parser.parse_args()
    print("| " + " | ".join(HEADER) + " |\n" + "|---" * len(HEADER) + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "song.wav"
        sf.write(path, song(options.minutes), RATE, subtype="PCM_16")
        for name in options.models:
            found = size(name, options.checkpoint)
            out = Path(folder) / name
            taken, peak = run(command(name, options.checkpoint, path, out, options.threads), options.threads)
            pace = taken / options.minutes
            cells = (
                name,
                f"{found.weights / 1e6:.1f}",
                f"{found.file_bytes / 1e6:.1f}",
                f"{pace:.1f}",
                f"{60 / pace:.1f}",
                f"{peak:.0f}",
            )
            print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
