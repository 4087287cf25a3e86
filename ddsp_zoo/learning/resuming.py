"""Mends what a trainer remembers of a run that was stopped inside an epoch, so that it goes on there."""

from typing import Any


def reopen_epoch(checkpoint: dict[str, Any]) -> None:
    """Counts an epoch as begun, not as done, where a run ended before its last batch (`max_steps`, `max_time`).

    Lightning counts it as done, and would leave out the rest of its batches.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop", {})
    epochs, batches = loop.get("epoch_progress"), loop.get("epoch_loop.batch_progress")
    if not epochs or not batches or batches["is_last_batch"] or not batches["current"]["processed"]:
        return
    for counts in (epochs["total"], epochs["current"]):
        for name in ("processed", "completed"):
            counts[name] = min(counts[name], counts["started"] - 1)
