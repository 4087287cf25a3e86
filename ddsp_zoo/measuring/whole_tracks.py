"""Measuring on whole tracks instead of excerpts: the systems are models or folders of stems from elsewhere."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from ddsp_zoo.api.ladder import separate
from ddsp_zoo.corpora.base import AUDIO_SUFFIXES, Track
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.files.audio import duration_seconds, open_audio, read_mono
from ddsp_zoo.measuring.digests import digest_of_model
from ddsp_zoo.measuring.systems import MASKS, SYSTEMS
from ddsp_zoo.separation.result import Rendered
from ddsp_zoo.synths.control import Controls

SAME_SECONDS = 0.1  # by which stems from elsewhere may be longer or shorter than the track

Stems = dict[str, np.ndarray]


class Piece(NamedTuple):
    """Holds a track as it is on disk: mono stems (T,) of one length and rate."""

    name: str
    sample_rate: int
    stems: Stems

    @property
    def mixture(self) -> np.ndarray:
        """Sums all stems (T,)."""
        return np.sum(list(self.stems.values()), axis=0, dtype=np.float32)


class System(NamedTuple):
    """Separates tracks: a model, or stems that something else has made.

    targets: the sources that it gives out.
    sample_rate: of its output in Hz; above half of that there is nothing.
    digest: of all that its output depends on.
    texts: what the names of its outputs mean.
    estimate: a piece -> pairs of output and stems (T,) at the piece's rate; an output may come several times.
    """

    name: str
    targets: tuple[str, ...]
    sample_rate: int
    digest: str
    texts: dict[str, str]
    estimate: Callable[[Piece], Iterator[tuple[str, Stems]]]


def read_piece(track: Track) -> Piece:
    """Returns the stems of a track at the rate of its first file, with silence after the end of shorter ones."""
    with open_audio(next(iter(track.stems.values()))[0]) as file:
        rate = file.samplerate
    parts = {name: [read_mono(path, rate) for path in paths] for name, paths in track.stems.items()}
    samples = max(len(audio) for audios in parts.values() for audio in audios)
    stems = {name: sum(fitted(audio, samples) for audio in audios) for name, audios in parts.items()}
    return Piece(track.name, rate, stems)


def fitted(audio: np.ndarray, samples: int) -> np.ndarray:
    """Returns (T,) cut, or lengthened by silence."""
    return np.pad(audio[:samples], (0, max(samples - len(audio), 0)))


def at_rate(audio: np.ndarray, rate: int, wanted: int, samples: int) -> Tensor:
    """Returns (T,) resampled to another rate, ``samples`` long."""
    resampled = audio if rate == wanted else soxr.resample(audio, rate, wanted)
    return torch.from_numpy(np.ascontiguousarray(fitted(resampled, samples), dtype=np.float32))


# Models ---------------------------------------------------------------------------------------------


class BothMasks:
    """Wraps a model for `api.ladder.separate` so that each target comes twice, cut out by masks of power 1 and 2."""

    needs_pitch = False

    def __init__(self, model: Any) -> None:
        self.model, self.synth, self.declared = model, model.synth, model.declared
        self.sample_rate, self.hop_samples = model.sample_rate, model.hop_samples
        self.segment_samples, self.device = model.segment_samples, model.device
        self.sources, self.expected_masks = model.sources, model.expected_masks
        self.targets = tuple((name, mask) for mask in MASKS for name in model.targets)
        self.rows = model.rows * len(MASKS)

    def eval(self) -> "BothMasks":
        """Sets the model to evaluation."""
        self.model.eval()
        return self

    def hearing(self, mixture: Tensor) -> Tensor:
        """Returns what the model hears."""
        return self.model.hearing(mixture)

    def predict_controls(self, audio: Tensor) -> Controls:
        """Returns those of the model."""
        return self.model.predict_controls(audio)

    def cut(self, mixture: Tensor, rendered: Rendered) -> tuple[Tensor, Controls]:
        """Returns the stems of both powers, (B, C, T) -> (B, 2 targets, C, T), in which nothing is heard."""
        masked = self.model.masked_each(mixture, rendered, tuple(MASKS.values()))
        return torch.cat([audio[:, self.model.rows] for audio in masked], dim=1), {}


def of_model(name: str, model: Any, seeds: Sequence[int], device: str = "cpu") -> System:
    """Returns a model that needs no pitch as a system: what `ddsp-zoo separate` gives, with masks of both powers."""
    if model.needs_pitch:
        raise DdspZooError(f"{name} needs the pitch of its sources, which a band has not: leave it out.")
    digest = digest_of_model(model)
    both = BothMasks(model.to(device))

    def estimate(piece: Piece) -> Iterator[tuple[str, Stems]]:
        for seed in seeds:
            result = separate(both, piece.mixture, piece.sample_rate, seed=seed)
            synthesised = {target: result.synthesised[target, "masked"][0] for target in model.targets}
            yield "synthesised", synthesised
            for mask in MASKS:
                yield mask, {target: result.stems[target, mask][0] for target in model.targets}

    texts = {output: SYSTEMS[output] for output in ("synthesised", *MASKS)}
    return System(name, model.targets, model.sample_rate, digest, texts, estimate)


# Stems from elsewhere -------------------------------------------------------------------------------


def of_folder(name: str, folder: str | Path, tracks: Sequence[Track]) -> System | None:
    """Returns stems that others have made, ``<folder>/<track>/<source>.(wav|flac)``, as a system; None without any.

    Files that are not called as a source of the tracks are left alone. Raises `DdspZooError` where a track or a source
    is there and others of these tracks lack it, or where a file has another length than its track.
    """
    known = {source for track in tracks for source in track.sources}
    found = {track.name: _stems_in(Path(folder) / track.name, known) for track in tracks}
    if not any(found.values()):
        return None
    targets = tuple(dict.fromkeys(source for stems in found.values() for source in stems))
    for track in tracks:
        for target in targets:
            if target not in found[track.name]:
                raise DdspZooError(
                    f"There is no {Path(folder) / track.name / target}.wav or .flac: {name} needs the same stems of "
                    "every track."
                )
            _check_length(found[track.name][target], track)
    paths = [path for stems in found.values() for path in stems.values()]
    rates = [_rate(path) for path in paths]

    def estimate(piece: Piece) -> Iterator[tuple[str, Stems]]:
        stems = {target: read_mono(path, piece.sample_rate) for target, path in found[piece.name].items()}
        yield name, {target: fitted(audio, len(piece.mixture)) for target, audio in stems.items()}

    return System(name, targets, min(rates), _digest(paths), {name: f"stems in `{folder}`"}, estimate)


def _stems_in(folder: Path, known: Collection[str]) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    files = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in AUDIO_SUFFIXES]
    return {path.stem: path for path in files if path.stem in known}


def _check_length(path: Path, track: Track) -> None:
    if abs(duration_seconds(path) - track.seconds) > SAME_SECONDS:
        raise DdspZooError(
            f"{path} is {duration_seconds(path):.1f} s long, and its track {track.seconds:.1f} s: it must be a stem of "
            "the same recording from beginning to end."
        )


def _rate(path: Path) -> int:
    with open_audio(path) as file:
        return file.samplerate


def _digest(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.parent.name}/{path.name}".encode() + path.read_bytes())
    return digest.hexdigest()
