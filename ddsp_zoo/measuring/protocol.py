"""The protocol of an evaluation: a model and its baselines are measured on the excerpts of a test split."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring import baselines
from ddsp_zoo.measuring.metrics import METRICS, Metric
from ddsp_zoo.measuring.rows import WINDOW, Row
from ddsp_zoo.measuring.systems import MASKS
from ddsp_zoo.measuring.windows import Batch, Estimates, count_windows, measure
from ddsp_zoo.sources import REST

SEEDS = (0, 1, 2, 3, 4)  # as many as in UMSS

Part = Literal["baselines", "model"]
PARTS: tuple[Part, ...] = ("baselines", "model")


class Heard(NamedTuple):
    """Holds one excerpt and the model's answer to it with the first seed.

    track: its name.
    batch: mixture (1, T), sources (1, S, T), and f0_hz and onset (1, S, N) where there is pitch.
    rendered: the model's answer.
    outputs: audio (1, S, T) by system: "synthesised", "masked", "masked_power".
    """

    track: str
    batch: Batch
    rendered: Any
    outputs: dict[str, Tensor]


Listener = Callable[[Heard], None]


def evaluate(
    model: Callable[..., Any],
    datamodule: Any,
    split: str = "test",
    window_seconds: float = 1.0,
    device: str = "cpu",
    limit_tracks: int | None = None,
    seeds: Sequence[int] = SEEDS,
    progress: bool = True,
    parts: Collection[Part] = PARTS,
    metrics: Sequence[Metric] = METRICS,
    listeners: Sequence[Listener] = (),
) -> list[Row]:
    """Measures a model and its baselines; returns one row a track, source, window and system.

    A row holds ``track``, ``source``, ``frame`` (the window's number, counted through the track), ``system`` (a key of
    `ddsp_zoo.measuring.systems.SYSTEMS`) and every metric. Where noise is involved the row is the mean over
    ``seeds``; what does not depend on them is computed once. Excerpts shorter than a window are one window; what is
    left of an excerpt after whole windows is not measured.

    Args:
        model: a `Separator`.
        datamodule: a LightningDataModule. Where its dataset has ``track_of(index)``, excerpts are grouped by
            that; otherwise each counts as a track.
        split: "test" or "validation".
        window_seconds: length of a window.
        device: where the model runs; metrics are taken on the CPU.
        limit_tracks: stop after this many tracks.
        seeds: of the model's own noise and of the noise baseline.
        progress: show a progress bar.
        parts: measure the "baselines" alone, or the "model" alone where others have measured them; the mixture
            itself is always measured, since it shows whether two evaluations heard the same.
        metrics: what to take.
        listeners: called with every excerpt that the model hears, so that nothing has to be rendered again for a
            survey or a picture.

    Raises:
        DdspZooError: no seed is given, or the split holds no data, only silence, or data that does not fit the model.
    """
    if not len(seeds):
        raise DdspZooError("Noise needs a seed: average over one at least.")
    if isinstance(model, torch.nn.Module):
        model = model.to(device).eval()
    window_samples = round(window_seconds * model.sample_rate)
    rows: list[Row] = []
    windows_of: Counter[str] = Counter()
    for track, batch in excerpts(model, datamodule, split, progress, limit_tracks):
        found = rows_of(model, track, batch, metrics, parts, device, seeds, listeners, window_seconds)
        rows += [row | {WINDOW: row[WINDOW] + windows_of[track]} for row in found]
        windows_of[track] += count_windows(batch["mixture"].shape[-1], window_samples)
    if not windows_of:
        raise DdspZooError(f"The {split} split is empty: check the data folder, or choose another split.")
    if not rows:
        raise DdspZooError(f"Every source in the {split} split is silent: check the audio files of the data.")
    return rows


def rows_of(
    model: Any,
    track: str,
    batch: Batch,
    metrics: Sequence[Metric] = METRICS,
    parts: Collection[Part] = PARTS,
    device: Any = "cpu",
    seeds: Sequence[int] = SEEDS,
    listeners: Sequence[Listener] = (),
    window_seconds: float = 1.0,
) -> list[Row]:
    """Measures one excerpt, a batch of one on the CPU: the rows of the mixture, of the baselines and of the model.

    Their windows are counted from 0. Arguments as in `evaluate`.
    """
    estimates = [("mixture", baselines.mixture_itself(batch["mixture"], len(model.sources)))]
    if "baselines" in parts:
        estimates += _baselines(model, batch, seeds)
    if "model" in parts:
        estimates += _hear(model, track, batch, device, seeds, listeners)
    samples, contested = round(window_seconds * model.sample_rate), REST in model.sources
    measured = measure(estimates, batch, model.sources, samples, model.sample_rate, metrics, contested)
    return [{"track": track} | row for row in measured]


def excerpts(
    model: Any, datamodule: Any, split: str = "test", progress: bool = True, limit_tracks: int | None = None
) -> Iterator[tuple[str, Batch]]:
    """Yields every excerpt of a split in order: its track's name, and a batch of one. Arguments as in `evaluate`."""
    from tqdm import tqdm

    loader = _loader(model, datamodule, split)
    track_of = getattr(getattr(loader, "dataset", None), "track_of", "excerpt {}".format)
    index, tracks = 0, set()
    for batch in tqdm(loader, desc=f"evaluate ({split})", unit="batch", disable=not progress):
        for one in range(len(batch["mixture"])):
            tracks.add(track_of(index))
            if limit_tracks is not None and len(tracks) > limit_tracks:
                return
            _check(batch, model)
            yield track_of(index), {key: values[one : one + 1] for key, values in batch.items()}
            index += 1


def _loader(model: Any, datamodule: Any, split: str) -> Any:
    """The batches of a split; a data module with `feed` is told first what the model takes."""
    if split not in ("test", "validation"):
        raise DdspZooError(f'Models are evaluated on the split "test" or "validation", not on "{split}".')
    if hasattr(datamodule, "feed"):
        datamodule.feed(model, split)
    datamodule.prepare_data()
    datamodule.setup("validate" if split == "validation" else "test")
    return datamodule.val_dataloader() if split == "validation" else datamodule.test_dataloader()


def _check(batch: Batch, model: Any) -> None:
    found = batch["sources"].shape[1] if "sources" in batch else 0
    if found != len(model.sources):
        wanted = ", ".join(model.sources)
        raise DdspZooError(f"The data has {found} sources: give it those of the model, in order ({wanted}).")


def _baselines(model: Any, batch: Batch, seeds: Sequence[int]) -> list[tuple[str, Tensor]]:
    """Pairs of system and estimates (1, S, T) of all that asks no more of the model than its grid of frames."""
    mixture, sources, f0_hz = batch["mixture"], batch["sources"], batch.get("f0_hz")
    window = {"n_fft": model.mask_fft, "hop": model.hop_samples}
    estimates = [
        ("irm_mixture", baselines.irm_mixture(sources, mixture, **window)),
        ("irm", baselines.irm_sum(sources, mixture, **window)),
        ("irm_power", baselines.irm_sum(sources, mixture, power=2.0, **window)),
    ]
    if f0_hz is not None and len(model.sources) > 1:
        estimates += baselines.given_pitch(
            mixture, f0_hz, model.sample_rate, model.hop_samples, **window
        ).items()
    return estimates + [("noise", baselines.white_noise(sources, seed)) for seed in seeds]


@torch.no_grad()
def _hear(
    model: Any, track: str, batch: Batch, device: str, seeds: Sequence[int], listeners: Sequence[Listener]
) -> Estimates:
    """Pairs of system and estimates (1, S, T) of the model with all seeds; listeners get those of the first.

    Masks mostly know the noise by its filter and not by its draw: a seed that changes nothing that they are made
    from gives no masked sources of its own.
    """
    estimates: list[tuple[str, Tensor]] = []
    first = None
    for seed in seeds:
        rendered = _render(model, batch, device, seed)
        estimates.append(("synthesised", _finite(rendered.sources)))
        if first is None or not torch.equal(_behind_masks(model, rendered), _behind_masks(model, first)):
            stems = model.masked_each(batch["mixture"].to(device), rendered, tuple(MASKS.values()))
            estimates += [(name, _finite(audio)) for name, audio in zip(MASKS, stems)]
        if first is None:
            first = rendered
            for listener in listeners:
                listener(Heard(track, batch, rendered, dict(estimates)))
    return estimates


def _render(model: Any, batch: Batch, device: str, seed: int) -> Any:
    """What the model makes of one excerpt, its own noise set by the seed."""
    inputs = {key: batch[key].to(device) for key in ("f0_hz", "onset") if key in batch}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return model(batch["mixture"].to(device), **inputs)


def _behind_masks(model: Any, rendered: Any) -> Tensor:
    """The part of a rendering that `Separator.masked` uses and that noise can change."""
    return rendered.sources if len(model.sources) == 1 else rendered.tonal


def _finite(estimate: Tensor) -> Tensor:
    if not estimate.isfinite().all():
        raise DdspZooError("The model's output is not finite: its training diverged, use another checkpoint.")
    return estimate.cpu()
