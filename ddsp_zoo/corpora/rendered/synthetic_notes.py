"""Draws random notes, timbres and noises whose controls are known exactly: the training data of inverse synthesis.

A network that has learned on them to find the controls can start on real music from there. Source: Engel et al. 2020b
(inverse synthesis), section 3.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ddsp_zoo.corpora.base import BatchSpec, Excerpts, StemDataModule, Track
from ddsp_zoo.dsp.noise import filtered_noise
from ddsp_zoo.dsp.oscillator import harmonic_bank
from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.sources import SPLITS, Split

NOTE_SECONDS = (0.16, 0.8)  # 5 to 25 frames of 32 ms in the source
NOISE_SECONDS = 0.5  # between shapes of noise that glide into each other
REST_SHARE = 0.2  # of the notes
VIBRATO_SHARE = 0.5
VIBRATO_HZ = (3.0, 8.0)
LEVELS = (0.03, 0.5)  # of a note when it begins
DECAY_DB = 40.0  # at most, over a note
NOISE_DB = (-80.0, -30.0)
COSINES = 4


@dataclass(frozen=True)
class NoteSettings:
    """Says what is drawn: range of pitches (MIDI), notes at a time in each source, sizes of what describes them."""

    low_midi: float = 24.0
    high_midi: float = 84.0
    voices: int = 1
    harmonics: int = 60
    noise_bands: int = 65


class SyntheticNotes(StemDataModule):
    """Draws random notes for each source of the model, new ones in every epoch, with their controls in the batch.

    Beside ``mixture`` (B, T) and ``sources`` (B, S, T) a batch has ``note_f0_hz`` and ``note_amplitude`` (B, S, V, N),
    ``note_distribution`` (B, S, V, N, H) that sums to one below the Nyquist frequency, and ``noise_magnitude``
    (B, S, N, F): playing these gives the sources. The frames are the model's, f0 is 0 in rests. Sources of one
    voice also have the pitch, ``f0_hz`` and ``onset`` (B, S, N), that some models need.

    Args:
        low_midi: lowest pitch, as a MIDI note number.
        high_midi: highest pitch.
        voices: notes at a time in each source, V.
        harmonics: of a note, H.
        noise_bands: points of the noise filter from 0 Hz to the Nyquist frequency, F.
        validation_examples: excerpts in the validation split, always the same.
        test_examples: excerpts in the test split, always the same.
        excerpts: how tracks are cut into batches.
    """

    def __init__(
        self,
        low_midi: float = 24.0,
        high_midi: float = 84.0,
        voices: int = 1,
        harmonics: int = 60,
        noise_bands: int = 65,
        validation_examples: int = 64,
        test_examples: int = 64,
        excerpts: Excerpts = Excerpts(batch_size=16, examples_per_epoch=2000),
    ) -> None:
        super().__init__(excerpts)
        self.settings = NoteSettings(low_midi, high_midi, voices, harmonics, noise_bands)
        self.counts = dict(zip(SPLITS, (excerpts.examples_per_epoch, validation_examples, test_examples)))
        if not low_midi <= high_midi or min(voices, harmonics, noise_bands - 1, *self.counts.values()) < 1:
            raise DdspZooError(
                "Synthetic notes need low_midi up to high_midi, a voice, a harmonic, two noise_bands and an example of "
                f"each split at least; got {self.settings} and {self.counts}."
            )

    def tracks(self, split: Split) -> list[Track]:
        """Returns nothing, because the notes are in no file."""
        return []

    def setup(self, stage: str) -> None:
        """Makes notes on the frames of the model; raises `DdspZooError` for pitches that it cannot have."""
        if self.trainer is not None:
            self.feed(self.trainer.lightning_module)
        settings = self.settings
        if midi_to_hz(settings.high_midi + 1) >= self.spec.sample_rate / 2:
            raise DdspZooError(
                f"A note of MIDI {settings.high_midi:g} with vibrato lies beyond the {self.spec.sample_rate / 2:g} Hz "
                "that the model can play: lower high_midi."
            )
        if self.spec.needs_pitch and settings.voices > 1:
            raise DdspZooError("The model needs one pitch a source: set voices to 1.")
        for number, split in enumerate(SPLITS):
            seed = self.excerpts.seed or 0  # that of training may yet become another
            self.datasets[split] = NoteDataset(self.spec, settings, self.counts[split], seed, number)


class NoteDataset(Dataset):
    """Draws excerpts of notes; any index is valid, and an excerpt follows from ``seed``, split and index alone."""

    def __init__(self, spec: BatchSpec, settings: NoteSettings, count: int, seed: int, split: int) -> None:
        self.spec, self.settings, self.seed, self.split = spec, settings, seed, split
        self.random_excerpts = count  # an epoch; the training order numbers on from epoch to epoch

    def __len__(self) -> int:
        return self.random_excerpts

    def track_of(self, index: int) -> str:
        """Returns a name for each excerpt, because each is a piece of its own."""
        return f"notes_{index:05d}"

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, self.split, index))
        drawn = [draw_source(rng, self.spec, self.settings) for _ in self.spec.sources]
        item = {
            name: torch.from_numpy(np.stack([source[name] for source in drawn]).astype(np.float32))
            for name in drawn[0]
        }
        onset = item.pop("onset")
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        sources = play(item, self.spec, generator)
        item |= {"mixture": sources.sum(0), "sources": sources}
        if self.spec.needs_pitch:
            item |= {"f0_hz": item["note_f0_hz"][:, 0], "onset": onset[:, 0]}
        return item


def play(controls: dict[str, Tensor], spec: BatchSpec, generator: torch.Generator | None = None) -> Tensor:
    """Plays notes and noise as `NoteDataset` has them, without a batch axis -> audio (S, T)."""
    amplitude = controls["note_amplitude"][..., None] * controls["note_distribution"]
    rate, hop = spec.sample_rate, spec.hop_samples
    notes, _ = harmonic_bank(controls["note_f0_hz"].flatten(0, 1), amplitude.flatten(0, 1), rate, hop)
    notes = notes.unflatten(0, amplitude.shape[:2]).sum(1)
    return notes + filtered_noise(controls["noise_magnitude"], hop, generator)


def draw_source(rng: np.random.Generator, spec: BatchSpec, settings: NoteSettings) -> dict[str, np.ndarray]:
    """Draws one source.

    Returns note_f0_hz, note_amplitude and onset (V, N), note_distribution (V, N, H) and noise_magnitude (N, F).
    """
    frames, frame_seconds = spec.segment_samples // spec.hop_samples, spec.hop_samples / spec.sample_rate
    voices = [
        _draw_voice(rng, frames, frame_seconds, spec.sample_rate / 2, settings)
        for _ in range(settings.voices)
    ]
    source = {name: np.stack([voice[name] for voice in voices]) for name in voices[0]}
    return source | {"noise_magnitude": _draw_noise(rng, frames, frame_seconds, settings.noise_bands)}


def _draw_voice(
    rng: np.random.Generator, frames: int, frame_seconds: float, nyquist_hz: float, settings: NoteSettings
) -> dict[str, np.ndarray]:
    """Draws notes and rests one after the other; the first one has already begun."""
    f0, amplitude, onset = np.zeros((3, frames))
    distribution = np.full((frames, settings.harmonics), 1 / settings.harmonics)
    start = -rng.integers(max(1, round(NOTE_SECONDS[1] / frame_seconds)))
    while start < frames:
        length = max(1, round(rng.uniform(*NOTE_SECONDS) / frame_seconds))
        span = slice(max(start, 0), max(start + length, 0))
        if rng.random() >= REST_SHARE and span.stop > 0:
            part = (np.arange(length) / length)[span.start - start :][: frames - span.start]
            f0[span] = _draw_pitch(rng, part * length * frame_seconds, settings)
            amplitude[span] = np.exp(rng.uniform(*np.log(LEVELS))) * 10 ** (
                -rng.uniform(0, DECAY_DB) / 20 * part
            )
            shapes = [_cosine_sum(rng, settings.harmonics) for _ in range(2)]
            distribution[span] = shapes[0] + part[:, None] * (shapes[1] - shapes[0])
            onset[span.start] = start >= 0
        start += length
    number = np.arange(1, settings.harmonics + 1)
    distribution = np.where(np.maximum(f0, 1)[:, None] * number < nyquist_hz, distribution, 0)
    distribution /= distribution.sum(-1, keepdims=True)
    return {
        "note_f0_hz": f0,
        "note_amplitude": amplitude,
        "onset": onset,
        "note_distribution": distribution,
    }


def _draw_pitch(rng: np.random.Generator, seconds: np.ndarray, settings: NoteSettings) -> np.ndarray:
    """Draws f0 in Hz at times of a note, with up to a semitone of vibrato half of the time."""
    depth = rng.uniform(0, 1) * (rng.random() < VIBRATO_SHARE)
    vibrato = depth * np.sin(2 * np.pi * (rng.uniform(*VIBRATO_HZ) * seconds + rng.random()))
    return midi_to_hz(rng.uniform(settings.low_midi, settings.high_midi) + vibrato)


def _draw_noise(rng: np.random.Generator, frames: int, frame_seconds: float, bands: int) -> np.ndarray:
    """Draws shapes of noise (N, F) that change slowly into each other."""
    count = 2 + int(frames * frame_seconds / NOISE_SECONDS)
    levels = 10 ** (rng.uniform(*NOISE_DB, count) / 20)
    shapes = np.stack([level * bands * _cosine_sum(rng, bands) for level in levels])
    place = np.linspace(0, count - 1, frames)
    left = np.minimum(place.astype(int), count - 2)
    return shapes[left] + (place - left)[:, None] * (shapes[left + 1] - shapes[left])


def _cosine_sum(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draws a smooth positive curve (size,) of unit sum: the exponential of a few slow cosines and a slope."""
    x = np.arange(size) / size
    frequency, phase = rng.uniform(0, 5, (COSINES, 1)), rng.random((COSINES, 1))
    height = rng.uniform(0, 2, COSINES)
    curve = np.exp(height @ np.cos(2 * np.pi * (frequency * x + phase)) - rng.uniform(0, 8) * x)
    return curve / curve.sum()
