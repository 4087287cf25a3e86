"""Separating recordings of any length, rate and channel count.

One path serves arrays and files: audio comes in blocks, is resampled, cut into overlapping segments, separated
and cross-faded together again, and leaves as finished pieces at the input's rate. Memory does not grow with the
length; `separate` keeps the pieces, `separate_file` writes them.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
import torch

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import MAX_CHANNELS, check_finite, open_audio, read_blocks
from ddsp_zoo.pitch.track import PitchTrack

OVERLAP = 0.25  # share of a segment that is cross-faded with the next
BLOCK = 1 << 18  # samples of an array that are taken at a time
SWITCHED = ("f0_hz", "onset")  # controls that make no sense between two values
BATCH = 8  # segments that go through the model together


@dataclass
class Separation:
    """What a model made of a recording, at the recording's own rate.

    stems: masked sources, {name: (channels, T)}; they keep the mixture's phase and level.
    synthesised: the same sources as the synthesiser plays them, {name: (1, T)}.
    residual: the mixture less all stems (channels, T), so that stems and residual sum to the mixture.
    controls: {name: {control: (N, k)}} every 1 / control_rate_hz seconds; ``f0_hz`` is (N,).
    """

    mixture: np.ndarray
    stems: dict[str, np.ndarray]
    synthesised: dict[str, np.ndarray]
    residual: np.ndarray
    controls: dict[str, dict[str, np.ndarray]]
    sample_rate: int
    control_rate_hz: float

    def save(self, folder: str | Path, audio_format: str = "wav") -> Path:
        """Write stems, synthesised stems, residual, controls and a picture; see `ddsp_zoo.export.folder`."""
        from ddsp_zoo.export.folder import save

        return save(self, folder, audio_format)

    def to_midi(self, path: str | Path, source: str | None = None) -> None:
        """Write the notes of one source, or of all that have a pitch."""
        from ddsp_zoo.export.midi import notes_by_source, write_midi

        write_midi(notes_by_source(self.controls, self.control_rate_hz, source), path)

    def plot(self, path: str | Path) -> None:
        """Draw mixture, stems and controls."""
        from ddsp_zoo.export.plots import plot_separation

        plot_separation(self, path)

    @classmethod
    def join(cls, pieces: list["Separation"]) -> "Separation":
        """Consecutive pieces of one recording as one."""
        first = pieces[0]

        def along(part: str) -> dict[str, np.ndarray]:
            return {s: np.concatenate([getattr(p, part)[s] for p in pieces], -1) for s in first.stems}

        return cls(
            mixture=np.concatenate([p.mixture for p in pieces], -1),
            stems=along("stems"),
            synthesised=along("synthesised"),
            residual=np.concatenate([p.residual for p in pieces], -1),
            controls={
                s: {name: np.concatenate([p.controls[s][name] for p in pieces]) for name in named}
                for s, named in first.controls.items()
            },
            sample_rate=first.sample_rate,
            control_rate_hz=first.control_rate_hz,
        )


def separate(
    model: Any,
    audio: np.ndarray | torch.Tensor | str | Path,
    sample_rate: int | None = None,
    pitch: Any = None,
    seed: int = 0,
    progress: bool = False,
) -> Separation:
    """Separate a recording and keep the result in memory.

    Args:
        model: a separator, or the name of one that `ddsp_zoo.load` knows.
        audio: samples (T,) or (channels, T), mono or stereo, with their ``sample_rate``; or a file.
        sample_rate: in Hz, for arrays.
        pitch: for models that need it: a `PitchTrack` on the model's frames, or what `pitch.given.find_pitch`
            takes (an f0 CSV, a folder with one recording a source, or "crepe" for a single melody).
        seed: of the synthesiser's noise.
        progress: show a progress bar.

    Raises:
        DdspZooError: audio that cannot be used (empty, not finite, too many channels, no rate), pitch missing.
    """
    if isinstance(model, str):
        from ddsp_zoo.zoo import load

        model = load(model)
    if isinstance(audio, (str, Path)):
        with open_audio(audio) as file:
            sample_rate, frames = file.samplerate, file.frames
        blocks = read_blocks(audio)
    else:
        array = _as_channels(audio)
        if not sample_rate or sample_rate < 0:
            raise DdspZooError("An array needs its sample rate in Hz: separate(audio, sample_rate).")
        sample_rate, frames = round(sample_rate), array.shape[1]
        blocks = (array[:, start : start + BLOCK] for start in range(0, frames, BLOCK))
    track = resolve_pitch(model, pitch, audio, sample_rate, frames / sample_rate)
    pieces = stream(model, blocks, sample_rate, frames, track, seed)
    return Separation.join(list(with_progress(pieces, frames / sample_rate) if progress else pieces))


def with_progress(pieces: Iterable[Separation], seconds: float) -> Iterator[Separation]:
    """The same pieces, with a bar at the terminal that is gone when they end."""
    from tqdm import tqdm

    done = 0.0
    with tqdm(total=round(seconds), unit="s", desc="separating", leave=False, disable=None) as bar:
        for piece in pieces:
            done += piece.mixture.shape[-1] / piece.sample_rate
            bar.update(round(done) - bar.n)
            yield piece


def stream(
    model: Any,
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    frames: int,
    pitch: PitchTrack | None = None,
    seed: int = 0,
) -> Iterator[Separation]:
    """Separate blocks (channels, n) of a recording of ``frames`` samples, yielding finished pieces in order."""
    model.eval()
    names = model.targets
    rows = [model.sources.index(name) for name in names]
    control_rate_hz = model.sample_rate / model.hop_samples
    controls_left = -(-frames * model.sample_rate // (sample_rate * model.hop_samples))
    back: list[_Resampler] = []
    waiting = _Queue()  # the recording, until its stems are finished
    done = 0
    pieces = _pieces(
        model, _resampled(_remembered(blocks, waiting), sample_rate, model.sample_rate), pitch, seed
    )
    for masked, synthesised, controls, last in pieces:
        parts = np.concatenate([masked[rows].reshape(-1, masked.shape[-1]), synthesised[rows]])
        if not back:
            back = [_Resampler(model.sample_rate, sample_rate, len(parts))]
        parts = back[0](parts, last)
        missing = frames - done - parts.shape[1]
        if last:  # rounding in the two resamplers can leave a sample too many or too few, and so a frame
            parts = np.pad(parts, ((0, 0), (0, max(missing, 0))))
            controls = {name: _lengthened(value, controls_left) for name, value in controls.items()}
        parts = parts[:, : frames - done]
        done += parts.shape[1]
        mixture = waiting.take(parts.shape[1])
        count = len(names) * len(mixture)
        stems = parts[:count].reshape(len(names), len(mixture), -1)
        yield Separation(
            mixture=mixture,
            stems=dict(zip(names, stems, strict=True)),
            synthesised={name: part[None] for name, part in zip(names, parts[count:], strict=True)},
            residual=mixture - stems.sum(0),
            controls=_named_controls(model, controls, controls_left),
            sample_rate=sample_rate,
            control_rate_hz=control_rate_hz,
        )
        controls_left -= next(iter(controls.values())).shape[-1]


def resolve_pitch(model: Any, pitch: Any, audio: Any, sample_rate: int, seconds: float) -> PitchTrack | None:
    """The pitch track that a model is given, or None for models that need none."""
    if not model.needs_pitch:
        return None
    if isinstance(pitch, PitchTrack):
        pitch.check(model)
        return pitch
    from ddsp_zoo.pitch.given import find_pitch

    return find_pitch(pitch, model, audio, sample_rate, seconds)


def _as_channels(audio: np.ndarray | torch.Tensor) -> np.ndarray:
    audio = audio.detach().cpu() if isinstance(audio, torch.Tensor) else audio
    array = np.asarray(audio, dtype=np.float32)
    array = array[None] if array.ndim == 1 else array
    if array.ndim != 2 or not 1 <= len(array) <= MAX_CHANNELS:
        raise DdspZooError(
            f"Audio must be (samples,) or (1 or 2 channels, samples), got shape {np.shape(audio)}."
        )
    if array.shape[1] == 0:
        raise DdspZooError("The audio holds no samples.")
    check_finite(array, "The audio")
    return array


def _lengthened(values: np.ndarray, count: int) -> np.ndarray:
    """(…, N) with the last frame held until there are ``count``."""
    return np.concatenate([values, np.repeat(values[..., -1:], max(count - values.shape[-1], 0), -1)], -1)


class _Resampler:
    """A resampler that is fed block by block: (rows, n) -> (rows, m)."""

    def __init__(self, rate_in: int, rate_out: int, rows: int) -> None:
        same = rate_in == rate_out
        self._stream = None if same else soxr.ResampleStream(rate_in, rate_out, rows, dtype="float32")

    def __call__(self, block: np.ndarray, last: bool) -> np.ndarray:
        if self._stream is None:
            return block
        block = np.ascontiguousarray(block.T, dtype=np.float32)
        return self._stream.resample_chunk(block, last=last).reshape(-1, block.shape[1]).T


class _Queue:
    """Blocks (C, n) in, any number of samples out."""

    def __init__(self) -> None:
        self._blocks: deque[np.ndarray] = deque()

    def put(self, block: np.ndarray) -> None:
        self._blocks.append(block)

    def take(self, count: int) -> np.ndarray:
        joined = np.concatenate(list(self._blocks), axis=1)
        self._blocks = deque([joined[:, count:]])
        return joined[:, :count]


def _remembered(blocks: Iterable[np.ndarray], queue: _Queue) -> Iterator[np.ndarray]:
    for block in blocks:
        queue.put(block)
        yield block


def _resampled(blocks: Iterable[np.ndarray], rate_in: int, rate_out: int) -> Iterator[np.ndarray]:
    resample = None
    for block in blocks:
        if resample is None:
            resample = _Resampler(rate_in, rate_out, len(block))
        yield resample(block, False)
    yield resample(block[:, :0], True)


def _segments(blocks: Iterable[np.ndarray], length: int, hop: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Overlapping segments (C, length) of a stream, the last one padded with zeros, and whether it is the last."""
    held: np.ndarray | None = None
    for block in blocks:
        held = block if held is None else np.concatenate([held, block], axis=1)
        while held.shape[1] > length:
            yield held[:, :length], False
            held = held[:, hop:]
    yield np.pad(held, ((0, 0), (0, length - held.shape[1]))), True


def _pieces(
    model: Any, blocks: Iterable[np.ndarray], pitch: PitchTrack | None, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], bool]]:
    """Cross-faded output of the model in order: masked (S, C, n), synthesised (S, n), controls (S, frames, k)."""
    length = model.segment_samples
    overlap = round(OVERLAP * length / model.hop_samples) * model.hop_samples
    hop, frame = length - overlap, model.hop_samples
    generator = torch.Generator().manual_seed(seed)
    fades = [_CrossFade(hop // step, overlap // step) for step in (1, 1, frame)]
    index = 0
    for group in _batches(_segments(blocks, length, hop)):
        outputs = _run(
            model, np.stack([s for s, _ in group]), pitch, index * hop // frame, hop // frame, generator
        )
        for (_, last), masked, synthesised, controls in zip(group, *outputs, strict=True):
            yield (
                fades[0]({"": masked}, last)[""],
                fades[1]({"": synthesised}, last)[""],
                fades[2](controls, last),
                last,
            )
        index += len(group)


def _batches(items: Iterable[tuple[np.ndarray, bool]]) -> Iterator[list[tuple[np.ndarray, bool]]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


@torch.inference_mode()
def _run(
    model: Any,
    segments: np.ndarray,
    pitch: PitchTrack | None,
    first: int,
    step: int,
    generator: torch.Generator,
) -> tuple[np.ndarray, np.ndarray, list[dict[str, np.ndarray]]]:
    """One batch of segments (B, C, L) through the model; segment b starts at frame first + b * step."""
    mixture = torch.from_numpy(np.ascontiguousarray(segments)).to(model.device)
    given = {}
    if pitch is not None:
        count = model.segment_samples // model.hop_samples
        tracks = [pitch.excerpt(first + b * step, count) for b in range(len(segments))]
        given = {
            name: torch.from_numpy(np.stack([getattr(track, name) for track in tracks])).to(model.device)
            for name in ("f0_hz", "onset")
        }
    rendered = model(mixture.mean(1), generator=generator, **given)
    masked = model.masked(mixture, rendered)
    # Time last, as audio has it, so that one cross-fade serves both.
    controls = model.given_controls(rendered, masked.mean(2))
    arrays = {name: value.transpose(-1, -2).cpu().numpy() for name, value in controls.items()}
    named = [{name: value[b] for name, value in arrays.items()} for b in range(len(segments))]
    return masked.cpu().numpy(), rendered.sources.cpu().numpy(), named


class _CrossFade:
    """Join consecutive segments (…, hop + overlap) that overlap: linear fades, or a switch halfway."""

    def __init__(self, hop: int, overlap: int) -> None:
        self.hop, self.overlap = hop, overlap
        self.rise = (np.arange(overlap, dtype=np.float32) + 0.5) / overlap
        self.tail: dict[str, np.ndarray] | None = None

    def __call__(self, segment: dict[str, np.ndarray], last: bool) -> dict[str, np.ndarray]:
        """The part that is finished: ``hop`` values, or all that is left after the last segment."""
        joined = {name: value.copy() for name, value in segment.items()}
        if self.tail is not None:
            for name, value in joined.items():
                start = value[..., : self.overlap]
                rise = self.rise.round() if name in SWITCHED else self.rise
                value[..., : self.overlap] = start * rise + self.tail[name] * (1 - rise)
        self.tail = {name: value[..., self.hop :] for name, value in segment.items()}
        return joined if last else {name: value[..., : self.hop] for name, value in joined.items()}


def _named_controls(
    model: Any, controls: dict[str, np.ndarray], limit: int
) -> dict[str, dict[str, np.ndarray]]:
    """Controls (S, k, N) -> {source: {control: (N, k)}} of at most ``limit`` frames; f0_hz is (N,)."""
    named = {}
    for source in model.targets:
        index = model.sources.index(source)
        own = {name: np.ascontiguousarray(value[index, :, :limit].T) for name, value in controls.items()}
        named[source] = own | ({"f0_hz": own["f0_hz"][:, 0]} if "f0_hz" in own else {})
    return named
