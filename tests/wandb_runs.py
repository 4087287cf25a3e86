"""What a run of W&B has kept, as its own reader tells it: for tests of what is logged."""

import json
import subprocess
import sys
from pathlib import Path


def inspected(folder: Path, *options: str) -> str:
    """What W&B's own reader finds in the only run below `folder`."""
    (path,) = folder.rglob("run-*.wandb")
    command = [sys.executable, "-m", "wandb", "leet", "inspect", *options, "--json", str(path)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


def summary(folder: Path) -> dict:
    """State, configuration and last values of the only run below `folder`."""
    return json.loads(inspected(folder, "--summary"))


def history(folder: Path) -> dict:
    """All that was logged to the only run below `folder` and waits for the server, the last of each name."""
    records = [json.loads(line) for line in inspected(folder).splitlines()]
    return {
        key: value
        for record in records
        if record["type"] == "history"
        for key, value in record["history"]["item"].items()
    }
