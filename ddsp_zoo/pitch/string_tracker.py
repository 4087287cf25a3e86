"""Finds what each string of a guitar plays in the recording alone: fret, pitch and onsets, 16 ms by 16 ms.

The recording is seen on a logarithmic frequency axis on which each candidate pitch stands beside its harmonics. The
axis is that of the guitar: 3 steps a semitone from below the lowest string on, wherever its tuning lies. Convolutions,
the first of which joins the steps of each semitone, see what may sound; each string reads that at the pitches of its
own frets. A recurrent layer hears all strings at once and decides for each of them between its frets and rest, by what
the hand does before and after. Which of several strings plays a pitch is then heard anew from how stiff it is.
Sources: harmonic stacking after Bittner et al. 2017 (Deep Salience); a decision between the frets of each string after
Wiggins and Kim 2019 (TabCNN).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    relu,
    smooth_l1_loss,
)

from ddsp_zoo.dsp.harmonic_ls import HarmonicFit, fit_windows
from ddsp_zoo.dsp.scale import midi_to_hz
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.pitch.concert_pitch import tuning_deviation
from ddsp_zoo.pitch.fretting import find_frets
from ddsp_zoo.pitch.multipitch import levels_at
from ddsp_zoo.pitch.neck import FRETS, LOWEST, REST, STANDARD, Neck
from ddsp_zoo.pitch.onset_corruption import amplified, muddied, remixed
from ddsp_zoo.pitch.onsets import blurred_onsets
from ddsp_zoo.pitch.pieces import overlapping
from ddsp_zoo.pitch.stringing import measure_stiffness, notes_of, restrung
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.sources import GUITAR_STRINGS_HZ

STEPS = 3  # of the axis in a semitone
SEMITONES = 60  # of the axis, which begins at the lowest pitch that an open string can have
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7)
WINDOWS_SECONDS = (0.032, 0.064, 0.128, 0.256)
PIECE_SECONDS, MARGIN_SECONDS = 6.144, 1.024  # of a recording that is heard piece by piece
SILENT, QUIETEST = 1e-7, 1e-11  # power of a frame that nothing sounds in, beside the loudest one, and at all
REFINEMENTS, FITTED = 2, 6  # fits that move f0 to where the partials really lie, and how many partials
FARTHEST_CENTS = 40.0  # that they may move it
RARE = 4.0  # weight of onsets, which are few, in the loss


class Heard(NamedTuple):
    """Holds what `StringTracker` finds, as logits but for the offsets.

    state: of each string at each fret and, last, at rest (B, S, N, 26).
    onset: that a string is plucked in a frame (B, S, N).
    offset: how far the pitch lies above each fret, in semitones (B, S, N, 25).
    sounding: that any string sounds a pitch, by semitones of the axis (B, N, 60).
    """

    state: Tensor
    onset: Tensor
    offset: Tensor
    sounding: Tensor


class StringTracker(Learner):
    """Finds fret, pitch and onsets of each string; it has 0.4 million parameters.

    It is trained on stems: strings at random levels, some from other excerpts, through amplifiers, in rooms and with
    noise, the whole guitar tuned up or down by semitones, which it is told, and by less, which it is not.

    Args:
        sources: names of the strings, low to high.
        sample_rate: of the audio in Hz.
        hop_samples: distance of frames in samples.
        segment_seconds: length of the excerpts.
        width: channels of the convolutions.
        context: size of the recurrent layer, in each direction.
        apart: share of training batches in which the strings of an excerpt come from different excerpts.
        gain_db: largest change of a training string's level, up or down.
        transposition: largest change of a training guitar's tuning, up or down, in semitones, at most 4.
        detuning: the same for what it is not told, in semitones.
        optimiser: how it learns.
    """

    needs_pitch = True  # to learn from

    def __init__(
        self,
        sources: tuple[str, ...] = tuple(GUITAR_STRINGS_HZ),
        sample_rate: int = 16000,
        hop_samples: int = 256,
        segment_seconds: float = 4.096,
        width: int = 48,
        context: int = 128,
        apart: float = 0.2,
        gain_db: float = 6.0,
        transposition: int = 4,
        detuning: float = 0.4,
        optimiser: Optimiser = Optimiser(learning_rate=2e-3),
    ) -> None:
        super().__init__(optimiser)
        self.sources, self.sample_rate, self.hop_samples = tuple(sources), sample_rate, hop_samples
        self.segment_samples = round(segment_seconds * sample_rate) // hop_samples * hop_samples
        self.apart, self.gain_db = apart, gain_db
        self.transposition, self.detuning = transposition, detuning
        self.network = FretNetwork(len(WINDOWS_SECONDS) * len(HARMONICS), len(self.sources), width, context)
        self.save_hyperparameters()

    def forward(
        self, audio: Tensor, shift: Tensor | None = None, tuning: tuple[int, ...] = STANDARD
    ) -> Heard:
        """Listens to audio (B, T), N = T / hop.

        ``shift`` (B,): by how many semitones the guitar is tuned above concert pitch; ``tuning``: MIDI pitches of its
        open strings, as it would be tuned at concert pitch.
        """
        return self.network(self.levels(audio, shift), _first_semitones(tuning, audio.device))

    def levels(self, audio: Tensor, shift: Tensor | None = None) -> Tensor:
        """Returns levels at the harmonics of every pitch, (B, harmonics * windows, N, 180), from audio (B, T).

        They do not depend on how loud the audio is.
        """
        shift = audio.new_zeros(len(audio)) if shift is None else shift
        axis = self.sample_rate, self.hop_samples, _axis_hz(shift)
        spectrum = levels_at(audio, WINDOWS_SECONDS, *axis)
        return torch.cat([spectrum[..., at : at + SEMITONES * STEPS] for at in _harmonic_steps()], 1)

    @torch.inference_mode()
    def find(self, audio: np.ndarray, strings: int, neck: Neck | None = None) -> PitchTrack:
        """Returns f0 and onsets (S, ceil(T / hop)) of the strings in a recording (T,).

        A recording may lie up to half a semitone beside concert pitch, which is found first. Without a ``neck`` the
        tuning is the standard one. Raises `DdspZooError` for another number of strings than it was trained on.
        """
        if strings != len(self.sources):
            raise DdspZooError(f"Pitch can be tracked on {len(self.sources)} strings, not on {strings}.")
        neck = neck or Neck()
        deviation = tuning_deviation(audio, self.sample_rate)
        log_likely, plucked, offset, sounding = self.listen(audio, neck, deviation)
        fret, onset = find_frets(log_likely, plucked, sounding, neck)
        f0_hz = self._refined(audio, _pitch(fret, offset, neck, deviation))
        notes = notes_of(fret, onset)
        stiff = measure_stiffness(audio, f0_hz, notes, self.sample_rate, self.hop_samples)
        fret, onset = find_frets(restrung(log_likely, notes, stiff, neck), plucked, sounding, neck)
        f0_hz = self._refined(audio, _pitch(fret, offset, neck, deviation))
        return PitchTrack(f0_hz, onset, self.hop_samples / self.sample_rate)

    @torch.inference_mode()
    def listen(
        self, audio: np.ndarray, neck: Neck, deviation: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Hears a recording (T,) tuned ``deviation`` semitones above concert pitch, in overlapping pieces.

        Returns the logarithm of how likely each state is (S, N, 26), the probability of an onset (S, N), the offsets
        (S, N, 25), and the log odds that each pitch of the axis sounds (N, 60). Nothing sounds where the recording is
        silent.
        """
        hop, rows, shift = self.hop_samples, len(self.sources), torch.tensor([deviation], device=self.device)
        count = -(-len(audio) // hop)
        likely, plucked = np.zeros((rows, count, FRETS + 1)), np.zeros((rows, count))
        offset, sounding = np.zeros((rows, count, FRETS)), np.zeros((count, SEMITONES))
        for _, piece, here, there in self._pieces(audio):
            heard = self(piece.to(self.device), shift, neck.opened)
            likely[:, here] = heard.state[0, :, there].float().log_softmax(-1).cpu()
            plucked[:, here] = heard.onset[0, :, there].float().sigmoid().cpu()
            offset[:, here] = heard.offset[0, :, there].float().cpu()
            sounding[here] = heard.sounding[0, there].float().cpu()
        silent = _silent(audio, hop)
        likely[:, silent], plucked[:, silent] = np.where(np.arange(FRETS + 1) == REST, 0.0, -100.0), 0
        return likely, plucked, offset, sounding

    def _pieces(self, audio: np.ndarray) -> Iterator[tuple[slice, Tensor, slice, slice]]:
        """Cuts a recording (T,) into pieces (1, n) that overlap.

        Yields the frames that a piece has, the piece, the frames that count, and where among the piece's they are.
        """
        hop, count = self.hop_samples, -(-len(audio) // self.hop_samples)
        chunk, margin = (round(s * self.sample_rate / hop) for s in (PIECE_SECONDS, MARGIN_SECONDS))
        for frames, here, there in overlapping(count, chunk, margin):
            piece = np.ascontiguousarray(audio[frames.start * hop : frames.stop * hop], np.float32)
            yield frames, torch.from_numpy(piece)[None], here, there

    def _refined(self, audio: np.ndarray, f0_hz: np.ndarray) -> np.ndarray:
        """Moves f0 (S, N) to where the first partials really lie, unless that is far away."""
        _, window = fit_windows(self.sample_rate)
        out = f0_hz.copy()
        for frames, piece, here, there in self._pieces(audio):
            moved = torch.from_numpy(f0_hz[:, frames])[None]
            for _ in range(REFINEMENTS):
                fit = HarmonicFit(piece, moved, self.sample_rate, self.hop_samples, window, FITTED)
                moved = fit.refined_f0().float()
            out[:, here] = moved[0, :, there]
        near = np.abs(np.log2(np.maximum(out, 1) / np.maximum(f0_hz, 1))) < FARTHEST_CENTS / 1200
        return np.where(near & (f0_hz > 0), out, f0_hz)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch as it is heard in training, see the class."""
        generator = self.generator_of_step()
        batch = remixed(batch, self.apart, self.gain_db, generator)
        mixture = muddied(amplified(batch["mixture"], generator), self.sample_rate, generator)
        most = self.transposition
        semitones = int(torch.randint(-most, most + 1, (), generator=generator))
        detuned = self.detuning * (2 * torch.rand(len(mixture), generator=generator) - 1)
        return self._step(mixture, batch, semitones, detuned.to(self.device), "train")

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch as it is."""
        mixture = batch["mixture"]
        return self._step(mixture, batch, 0, mixture.new_zeros(len(mixture)), "validation")

    def test_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch as it is."""
        return self.validation_step(batch, batch_index)

    def _step(
        self, mixture: Tensor, strings: dict[str, Tensor], semitones: int, detuned: Tensor, stage: str
    ) -> Tensor:
        """The loss where a guitar in standard tuning is heard as one that is tuned higher.

        That is an axis that is read lower.
        """
        higher, tuning = detuned + semitones, tuple(pitch + semitones for pitch in STANDARD)
        heard = Heard(*(part.float() for part in self(mixture, -higher, tuning)))
        truth = fret_targets(strings["f0_hz"] * 2 ** (higher / 12)[:, None, None], tuning)
        likely = blurred_onsets(strings["onset"])
        weight = 1 + (RARE - 1) * (likely > 0).to(likely.dtype)
        plays = truth.state < REST
        offset = heard.offset.gather(-1, truth.state.clamp(max=FRETS - 1)[..., None])[..., 0]
        parts = {
            "state": cross_entropy(heard.state.flatten(0, 2), truth.state.flatten()),
            "onset": binary_cross_entropy_with_logits(heard.onset, likely, weight),
            "offset": smooth_l1_loss(offset[plays], truth.offset[plays], reduction="sum", beta=0.2)
            / plays.sum().clamp(min=1),
            "sounding": 5 * binary_cross_entropy_with_logits(heard.sounding, truth.sounding),
        }
        shares = {}
        if stage != "train":
            right = heard.state.argmax(-1) == truth.state
            shares = {"right": right.float().mean(), "right_fret": right[plays].float().mean()}
        return self.logged_loss(parts, stage, len(mixture), shares)


def _pitch(fret: np.ndarray, offset: np.ndarray, neck: Neck, deviation: float) -> np.ndarray:
    """The f0 in Hz (S, N) of frets, 0 where a string rests, from the offsets (S, N, 25) that were heard."""
    beside = np.take_along_axis(offset, fret.clip(min=0)[..., None], -1)[..., 0]
    midi = np.array(neck.opened)[:, None] + fret + beside + deviation
    return np.where(fret >= 0, midi_to_hz(midi), 0).astype(np.float32)


class FretNetwork(nn.Module):
    """Maps harmonic levels (B, C, N, 180) and where the strings begin on the axis (S,) to what is `Heard`."""

    def __init__(self, channels: int, strings: int, width: int, context: int) -> None:
        super().__init__()
        self.inmost = nn.Conv2d(channels, width, (3, STEPS + 2), stride=(1, STEPS), padding=1)
        shapes = ((5, 3), (1, 13), (3, 3))  # frames, semitones
        self.layers = nn.ModuleList(nn.Conv2d(width, width, shape, padding="same") for shape in shapes)
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in (None, *shapes))
        self.semitone = nn.Linear(width, 2 * width)
        self.maps = nn.Linear(2 * width, 3)  # of any string: sounding, plucked, offset
        # What each string and each fret looks for in a semitone.
        self.place = nn.Linear(2 * width, strings + FRETS)
        self.bias = nn.Parameter(torch.zeros(strings, FRETS))
        self.inward = nn.Linear(strings * FRETS + SEMITONES, context)
        self.recurrent = nn.GRU(context, context, batch_first=True, bidirectional=True)
        self.outward = nn.Linear(2 * context, strings * (FRETS + 2))

    def forward(self, levels: Tensor, first: Tensor) -> Heard:
        """Listens for strings whose open pitches are the semitones ``first`` (S,) of the axis."""
        tones = relu(self.semitone(self._tones(levels)))  # (B, N, semitones, features)
        sounding, plucked, offset = self.maps(tones).unbind(-1)
        rows, frets = (torch.arange(n, device=first.device) for n in (len(first), FRETS))
        at = (first[:, None] + frets).clamp(0, SEMITONES - 1)  # (S, frets)
        wanted = self.place(tones)  # (B, N, semitones, strings + frets)
        local = wanted[:, :, at, rows[:, None]] + wanted[:, :, at, len(rows) + frets] + self.bias
        seen = self.inward(torch.cat([local.flatten(2).sigmoid(), sounding.sigmoid()], -1))
        context, _ = self.recurrent(relu(seen))
        expected = self.outward(context).unflatten(-1, (len(first), FRETS + 2))
        state = torch.cat([expected[..., :FRETS] + local, expected[..., FRETS : FRETS + 1]], -1)
        share = state.softmax(-1)[..., :FRETS]
        onset = expected[..., -1] + (share * plucked[:, :, at]).sum(-1)
        offset = 0.6 * torch.tanh(offset)[:, :, at]
        return Heard(state.transpose(1, 2), onset.transpose(1, 2), offset.transpose(1, 2), sounding)

    def _tones(self, levels: Tensor) -> Tensor:
        """Returns features (B, N, semitones, width) of what sounds."""
        hidden = relu(self.norms[0](self.inmost(levels.contiguous(memory_format=torch.channels_last))))
        for layer, norm in zip(self.layers, self.norms[1:]):
            hidden = hidden + relu(norm(layer(hidden)))
        return hidden.permute(0, 2, 3, 1)


class FretTargets(NamedTuple):
    """Holds the true state (B, S, N), offset in semitones (B, S, N), and which semitones sound (B, N, 60)."""

    state: Tensor
    offset: Tensor
    sounding: Tensor


def fret_targets(f0_hz: Tensor, tuning: tuple[int, ...] = STANDARD) -> FretTargets:
    """Returns the targets of f0_hz (B, S, N), 0 where a string rests. A pitch off the fretboard counts as its end."""
    midi = 69 + 12 * torch.log2(f0_hz.clamp(min=1.0) / 440)
    opened = torch.tensor(tuning, device=f0_hz.device)[:, None]
    voiced = f0_hz > 0
    fret = (midi - opened).round().clamp(0, FRETS - 1)
    offset = (midi - opened - fret).clamp(-0.6, 0.6) * voiced
    place = (fret + _first_semitones(tuning, f0_hz.device)[:, None]).long()
    sounding = torch.zeros(*f0_hz.shape[::2], SEMITONES, device=f0_hz.device)
    sounding = sounding.scatter_reduce(-1, place.transpose(1, 2), voiced.float().transpose(1, 2), "amax")
    return FretTargets(torch.where(voiced, fret.long(), REST), offset, sounding)


def _first_semitones(tuning: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns the semitone of the axis on which each open string lies (S,)."""
    return torch.tensor(tuning, device=device) - LOWEST


def _silent(audio: np.ndarray, hop: int) -> np.ndarray:
    """Returns which frames (N,) of a recording (T,) are silent with all those beside them."""
    power = np.square(np.pad(audio, (0, -len(audio) % hop)).reshape(-1, hop), dtype=float).mean(1)
    power = np.max([np.pad(power, 2)[at : at + len(power)] for at in range(5)], axis=0, initial=0)
    return power <= max(SILENT * power.max(initial=0), QUIETEST)


def _axis_hz(shift: Tensor) -> Tensor:
    """Returns the frequencies (B, 1, steps) of the axis and of all harmonics of its pitches."""
    steps = torch.arange(_harmonic_steps()[-1] + SEMITONES * STEPS, device=shift.device) / STEPS
    lowest = LOWEST - (STEPS - 1) / (2 * STEPS) + 12 * math.log2(HARMONICS[0])
    return (440 * 2 ** ((lowest + steps + shift[:, None] - 69) / 12))[:, None]


def _harmonic_steps() -> list[int]:
    """Returns by how many steps each harmonic lies above the lowest of them, to the nearest step."""
    return [round(12 * STEPS * math.log2(harmonic / HARMONICS[0])) for harmonic in HARMONICS]
