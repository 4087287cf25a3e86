"""The listening test of this package, done by numbers: a model and its baselines on a test split.

Every excerpt is separated whole; then metrics are taken in frames of one second, as in UMSS and the thesis.
A source whose frame is silent is skipped: its level lies more than `SILENCE_DB` under the level (root mean
square) of the excerpt's mixture. Decibels are limited to +-`LIMIT_DB`, so that no perfect or silent estimate
makes a mean infinite; a silent estimate of a sounding source counts as -`LIMIT_DB`.

Of a model that knows a "rest", a source's frames are skipped too in which all others lie more than `CLEAN_DB` below
it: drums that begin alone would make the mixture look like the best separation of all.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.measuring import baselines
from ddsp_zoo.measuring.metrics import all_metrics
from ddsp_zoo.sources import REST

SEEDS = (0, 1, 2, 3, 4)  # as many as in UMSS
SILENCE_DB = 60.0
CLEAN_DB = 30.0  # where all others lie so far below a source, there is nothing to separate
LIMIT_DB = 80.0  # the published UMSS evaluation adds 1e-8 to every ratio, which is -80 dB

SYSTEMS = {
    "mixture": "the mixture itself",
    "noise": "white noise, uniform, amplitude 1",
    "comb_mask": "mask from a fixed harmonic comb on the given f0, nothing learned (power 1)",
    "comb_mask_power": "the same in power 2",
    "nmf": "harmonic NMF on the given f0, nothing learned (power 1)",
    "harmonic_ls": "harmonics on the given f0, fitted to the mixture by least squares, nothing learned",
    "harmonic_ls_masked": "the mixture, masked by harmonic_ls (power 1)",
    "harmonic_ls_masked_power": "the same in power 2",
    "harmonic_ls_shared": "harmonic_ls, and what it leaves over shared by its masks (power 2)",
    "synthesised": "the model's synthesised sources",
    "masked": "the mixture, masked by the synthesised sources (power 1, the papers' form)",
    "masked_power": "the mixture, masked by the synthesised sources (power 2, Wiener form)",
    "irm_mixture": "ideal ratio mask |S| / |X| (thesis eq. 3.4)",
    "irm": "ideal ratio mask |S_i| / sum |S_j|",
    "irm_power": "ideal ratio mask |S_i|^2 / sum |S_j|^2",
}
MASKS = {"masked": 1.0, "masked_power": 2.0}  # outputs of a model by the power of their masks
OF_THE_MODEL = ("synthesised", "masked", "masked_power")  # all others are the same for every model

Batch = dict[str, Tensor]
Row = dict[str, Any]
Part = Literal["baselines", "model"]
PARTS: tuple[Part, ...] = ("baselines", "model")


def evaluate(
    model: Callable[..., Any],
    datamodule: Any,
    split: str = "test",
    frame_seconds: float = 1.0,
    device: str = "cpu",
    limit_tracks: int | None = None,
    seeds: Sequence[int] = SEEDS,
    progress: bool = True,
    parts: Collection[Part] = PARTS,
) -> list[Row]:
    """Measure a model and its baselines; one row a track, source, frame and system.

    A row holds ``track``, ``source``, ``frame`` (counted through the track), ``system`` (a key of `SYSTEMS`)
    and every metric of `ddsp_zoo.measuring.metrics.all_metrics`. Where noise is involved the row is the mean over
    ``seeds``; what does not depend on them is computed once. Excerpts shorter than a frame are one frame; what is
    left of an excerpt after whole frames is not measured.

    Args:
        model: a `Separator`.
        datamodule: a LightningDataModule. Where its dataset has ``track_of(index)``, excerpts are grouped by
            that; otherwise each counts as a track.
        split: "test" or "validation".
        frame_seconds: length of a frame.
        device: where the model runs; metrics are taken on the CPU.
        limit_tracks: stop after this many tracks.
        seeds: of the model's own noise and of the noise baseline.
        progress: show a progress bar.
        parts: measure the "baselines" alone, or the "model" alone where others have measured them; the mixture
            itself is always measured, since it shows whether two evaluations heard the same.

    Raises:
        DdspZooError: no seed is given, or the split holds no data, only silence, or data that does not fit the model.
    """
    if not len(seeds):
        raise DdspZooError("Noise needs a seed: average over one at least.")
    if isinstance(model, torch.nn.Module):
        model = model.to(device).eval()
    frame_samples = round(frame_seconds * model.sample_rate)
    rows: list[Row] = []
    frames_of: Counter[str] = Counter()
    for track, batch in excerpts(model, datamodule, split, progress, limit_tracks):
        estimates = _estimate_all(model, batch, device, seeds, parts)
        measured = measure(
            estimates,
            batch,
            model.sources,
            frame_samples,
            partial(all_metrics, sample_rate=model.sample_rate),
            contested=REST in model.sources,
        )
        first = frames_of[track]
        rows += [{"track": track} | row | {"frame": row["frame"] + first} for row in measured]
        frames_of[track] += max(1, batch["mixture"].shape[-1] // frame_samples)
    if not frames_of:
        raise DdspZooError(f"The {split} split is empty: check the data folder, or choose another split.")
    if not rows:
        raise DdspZooError(f"Every source in the {split} split is silent: check the audio files of the data.")
    return rows


def excerpts(
    model: Any, datamodule: Any, split: str = "test", progress: bool = True, limit_tracks: int | None = None
) -> Iterator[tuple[str, Batch]]:
    """Name of the track and batch of one, for every excerpt of a split in order; arguments as in `evaluate`."""
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


def _estimate_all(
    model: Any, batch: Batch, device: str, seeds: Sequence[int], parts: Collection[Part]
) -> Iterator[tuple[str, Tensor]]:
    """Pairs of system and estimates (1, S, T); what depends on the seed comes once a seed."""
    yield "mixture", baselines.mixture_itself(batch["mixture"], len(model.sources))
    if "baselines" in parts:
        yield from _baselines(model, batch, seeds)
    if "model" in parts:
        yield from _separate(model, batch, device, seeds)


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
def _separate(model: Any, batch: Batch, device: str, seeds: Sequence[int]) -> Iterator[tuple[str, Tensor]]:
    """Pairs of system and estimates (1, S, T) of the model, its own noise set by each seed.

    Masks mostly know the noise by its filter and not by its draw: a seed that changes nothing that they are made
    from gives no masked sources of its own.
    """
    mixture = batch["mixture"].to(device)
    first = None
    for seed in seeds:
        rendered = render(model, batch, device, seed)
        yield "synthesised", _finite(rendered.sources)
        if first is None or not torch.equal(_behind_masks(model, rendered), _behind_masks(model, first)):
            stems = model.masked_each(mixture, rendered, tuple(MASKS.values()))
            yield from ((mask, _finite(audio)) for mask, audio in zip(MASKS, stems))
        first = first or rendered


def render(model: Any, batch: Batch, device: str = "cpu", seed: int = 0) -> Any:
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


def measure(
    estimates: Iterable[tuple[str, Tensor]],
    batch: Batch,
    sources: Sequence[str],
    frame_samples: int,
    metrics: Callable[[Tensor, Tensor], dict[str, Tensor]],
    contested: bool = False,
) -> Iterator[Row]:
    """Rows of one excerpt, without the name of the track.

    ``estimates``: pairs of system and audio (1, S, T); a system that comes several times counts with the mean.
    ``metrics``: of estimates (K, n, T) and references (n, T), by name. ``contested``: see `sounding_frames`.
    """
    systems, separated = zip(*estimates)
    stacked = torch.cat(separated)  # (systems, S, T)
    for frame, span, sounding in sounding_frames(batch, frame_samples, contested):
        reference = batch["sources"][0, sounding, span]
        scores = metrics(stacked[:, sounding, span], reference)
        for position, source in enumerate(sounding):
            where = {"source": sources[source], "frame": frame}
            columns = {metric: score[:, position] for metric, score in scores.items()}
            yield from ({**where, **row} for row in _mean_by_system(systems, columns))


def sounding_frames(
    batch: Batch, frame_samples: int, contested: bool = False
) -> Iterator[tuple[int, slice, list[int]]]:
    """Number, samples and sounding sources of each frame of an excerpt in which any source sounds.

    With ``contested`` only of those beside which others sound, at most `CLEAN_DB` below: the mixture is else as good as
    the source itself.
    """
    for frame, span, sounds, _ in _frames(batch, frame_samples):
        if contested:
            sources = batch["sources"][0, :, span]
            others = (batch["mixture"][0, span] - sources).square().mean(-1)
            sounds &= others > sources.square().mean(-1) * 10 ** (-CLEAN_DB / 10)
        if sounds.any():
            yield frame, span, sounds.nonzero()[:, 0].tolist()


def silent_frames(batch: Batch, frame_samples: int) -> Iterator[tuple[int, slice, list[int]]]:
    """Number, samples and silent sources of each frame in which a source is silent and the mixture sounds."""
    for frame, span, sounds, mixture_sounds in _frames(batch, frame_samples):
        if mixture_sounds and not sounds.all():
            yield frame, span, (~sounds).nonzero()[:, 0].tolist()


def _frames(batch: Batch, frame_samples: int) -> Iterator[tuple[int, slice, Tensor, bool]]:
    """Number and samples of each frame, which of the sources sound in it (S), and whether the mixture does."""
    threshold = batch["mixture"].square().mean().sqrt() * 10 ** (-SILENCE_DB / 20)
    length = batch["mixture"].shape[-1]
    for frame in range(max(1, length // frame_samples)):
        span = slice(frame * frame_samples, min(length, (frame + 1) * frame_samples))
        levels = [batch[key][0, ..., span].square().mean(dim=-1).sqrt() for key in ("sources", "mixture")]
        yield frame, span, levels[0] > threshold, bool(levels[1] > threshold)


def _mean_by_system(systems: Sequence[str], columns: dict[str, Tensor]) -> Iterator[Row]:
    """One row a system from columns that hold some systems several times (once a seed)."""
    found = dict.fromkeys(systems)
    for system in (
        *(name for name in SYSTEMS if name in found),
        *(name for name in found if name not in SYSTEMS),
    ):
        same = [i for i, name in enumerate(systems) if name == system]
        yield {"system": system} | {name: _limited(name, x[same]) for name, x in columns.items()}


def _limited(metric: str, values: Tensor) -> float:
    if metric.endswith("_db"):
        values = values.clamp(-LIMIT_DB, LIMIT_DB)
    return values.mean().item()
