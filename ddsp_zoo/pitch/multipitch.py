"""The pitches of several voices from their mixture alone.

A small network looks at the mixture on a logarithmic frequency axis, where each candidate pitch stands beside
its harmonics, so that convolutions mean the same at every pitch. A recurrent layer sorts what the network finds
into the first, second, … voice from the top, by what was sung before and after. Then a Viterbi search follows
the voices, and least squares move their pitch to where the partials lie. At will the voices are then fitted to the
mixture, and each is heard and followed again without the others.
Sources: harmonic stacking after Bittner et al. 2017 (Deep Salience); one output for each voice after Cuesta and
Gomez 2022; the search after Mauch and Dixon 2014 (pYIN).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, log_softmax, logsigmoid, relu

from ddsp_zoo.dsp.harmonic_ls import HarmonicFit, fit_windows, harmonic_least_squares
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.pitch.assignment import follow_pitch
from ddsp_zoo.pitch.neck import Neck
from ddsp_zoo.pitch.track import PitchTrack, onsets_from_f0
from ddsp_zoo.pitch.voice_order import draw_voices, from_the_top
from ddsp_zoo.sources import QUARTET

FIRST_BIN_HZ, PER_OCTAVE, PITCHES = 65.41, 60, 256  # C2 to a quarter tone above D#6, 20 cents each
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7)
WINDOWS_SECONDS = (0.064, 0.128, 0.256)
FLOOR = 1e-6  # of a bin's power beside the mean over the excerpt
REFINEMENTS, FITTED = 2, 20  # fits that move f0 to where the first partials really lie, and how many partials
SUNG, LIKELY = 0.1, 0.3  # where a voice counts: share of the time, and how likely its pitch is
CHUNK_SECONDS, MARGIN_SECONDS = 30.0, 2.0  # of a recording that is tracked piece by piece


class MultiPitch(Learner):
    """Tracks the f0 of the voices of a choir in their mixture; with four voices it has 0.6 million parameters.

    It is trained on choirs: each batch leaves out some voices and is transposed at random. Its frames are two
    ``hop_samples`` apart; pitches are interpolated between them.

    Args:
        sources: names of the voices of the choirs that it is trained on, high to low.
        sample_rate: of the audio in Hz.
        hop_samples: distance of f0 frames in samples.
        segment_seconds: length of the excerpts.
        width: channels of the convolutions.
        context: size of the recurrent layer, in each direction.
        transposition: largest shift of pitches in training, up or down, in cents.
        most_voices: how many it can track; it then learns to track one voice too, and voices whose number it is not
            told. None: two to as many as there are sources, and it is always told.
        heard_again: how often each voice is heard again with the others taken away, as they were fitted to the mixture,
            before it is followed anew.
        optimiser: how it learns.
    """

    needs_pitch = True  # to learn from

    def __init__(
        self,
        sources: tuple[str, ...] = QUARTET,
        sample_rate: int = 16000,
        hop_samples: int = 256,
        segment_seconds: float = 4.0,
        width: int = 24,
        context: int = 128,
        transposition: float = 300.0,
        most_voices: int | None = None,
        heard_again: int = 0,
        optimiser: Optimiser = Optimiser(),
    ) -> None:
        super().__init__(optimiser)
        self.sources, self.sample_rate, self.hop_samples = tuple(sources), sample_rate, hop_samples
        self.segment_samples = round(segment_seconds * sample_rate)
        self.transposition, self.heard_again = transposition, heard_again
        self.counts = most_voices is not None
        self.fewest_voices, self.most_voices = (1, most_voices) if self.counts else (2, len(self.sources))
        self.network = VoicePitches(len(WINDOWS_SECONDS) * len(HARMONICS), self.most_voices, width, context)
        self.save_hyperparameters()

    @property
    def stride(self) -> int:
        """Returns the number of samples between the network's frames."""
        return 2 * self.hop_samples

    def forward(
        self, audio: Tensor, voices: int | Tensor, shift: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Returns logits of how likely each pitch is, from audio (B, T).

        The first tensor (B, voices, N, 257) is for each voice from the top, with the rest as last state; the
        second (B, N, 256) is for any voice at all; N = ceil(T / stride). ``voices`` is their number, or one for each
        mixture (B,), where the first tensor has as many as the most of them; 0 where it is not known, which gives
        ``most_voices``. ``shift`` (B,) moves the pitch axis by that number of steps of 20 cents.
        """
        return self.network(self.features(audio, shift), voices)

    def features(self, audio: Tensor, shift: Tensor | None = None) -> Tensor:
        """Returns levels at the harmonics of every pitch, (B, windows * harmonics, N, 256), from audio (B, T).

        They do not depend on how loud the audio is.
        """
        shift = audio.new_zeros(len(audio)) if shift is None else shift
        return levels_at(audio, WINDOWS_SECONDS, self.sample_rate, self.stride, _grid_hz(shift))

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch: some of its voices, transposed by reading the spectrum at other places."""
        generator = self.generator_of_step()
        most = round(self.transposition * PER_OCTAVE / 1200)
        size = len(batch["mixture"])
        if self.counts:
            kept, told = draw_voices(batch["f0_hz"].cpu(), self.most_voices, generator)
        else:
            voices = int(torch.randint(2, len(self.sources) + 1, (), generator=generator))
            lot = torch.rand(size, len(self.sources), generator=generator)
            kept, told = lot.argsort(-1).argsort(-1) < voices, torch.ones(size, dtype=torch.bool)
        shift = torch.randint(-most, most + 1, (size,), generator=generator)
        return self._step(batch, kept, told, shift.to(self.device), "train")

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch as it is, or, of those that learn to count, told the number in every second."""
        size, every = len(batch["mixture"]), torch.ones(batch["f0_hz"].shape[:2], dtype=torch.bool)
        told = torch.ones(size, dtype=torch.bool)
        if self.counts:
            every = (batch["f0_hz"] > 0).any(-1).cpu()
            every[:, 0] |= ~every.any(1)
            told = torch.arange(size) % 2 == 0
        return self._step(batch, every, told, torch.zeros(size, device=self.device), "validation")

    def test_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch as it is."""
        return self.validation_step(batch, batch_index)

    def _step(
        self, batch: dict[str, Tensor], kept: Tensor, told: Tensor, shift: Tensor, stage: str
    ) -> Tensor:
        """The loss of those voices (B, S) of a batch that are kept; ``told`` (B,): where their number is known."""
        mixture = (batch["sources"] * kept.to(self.device)[..., None]).sum(1)
        f0_hz, number = from_the_top(batch["f0_hz"][..., ::2].cpu(), kept, told)
        rows = self.most_voices if not told.all() else int(number.max())
        f0_hz = nn.functional.pad(f0_hz, (0, 0, 0, max(rows - f0_hz.shape[1], 0)))[:, :rows]
        asked = torch.where(told, number, 0)
        weight = (torch.arange(rows) < torch.where(told, number, rows)[:, None]).float().to(self.device)
        truth = pitch_targets(f0_hz.to(self.device), shift)
        by_voice, any_voice = self(mixture, asked.to(self.device), shift)
        error = -(truth * log_softmax(by_voice.float(), -1)).sum(-1).mean(-1)
        parts = {
            "voices": ((error * weight).sum(1) / weight.sum(1)).mean(),
            "pitches": PITCHES
            / 10
            * binary_cross_entropy_with_logits(any_voice.float(), (truth[..., :-1] / truth.amax()).amax(1)),
        }
        return self.logged_loss(parts, stage, len(kept))

    def find(self, audio: np.ndarray, voices: int, neck: Neck | None = None) -> PitchTrack:
        """Returns what `track` finds, with an onset wherever a voice begins; voices have no neck."""
        f0_hz = self.track(audio, voices)
        return PitchTrack(f0_hz, onsets_from_f0(f0_hz), self.hop_samples / self.sample_rate)

    @torch.inference_mode()
    def track(self, audio: np.ndarray, voices: int) -> np.ndarray:
        """Returns f0_hz (voices, ceil(T / hop)) of a mixture (T,), voices high to low, 0 where a voice rests.

        ``voices`` 0 leaves the number open: there are ``most_voices`` rows, the last of which rest where there are
        fewer. Long recordings are tracked in overlapping pieces of half a minute. Raises `DdspZooError` for more or
        fewer voices than it was trained on.
        """
        if not (self.fewest_voices <= voices <= self.most_voices or (self.counts and voices == 0)):
            raise DdspZooError(
                f"Pitch can be tracked in mixtures of {self.fewest_voices} to {self.most_voices} voices, "
                f"not of {voices}: give the pitch of each."
            )
        count = -(-len(audio) // self.hop_samples)
        chunk, margin = (
            2 * round(s * self.sample_rate / self.stride) for s in (CHUNK_SECONDS, MARGIN_SECONDS)
        )
        out = np.zeros((voices or self.most_voices, count), dtype=np.float32)
        for first in range(0, count, chunk):
            start, stop = max(first - margin, 0), min(first + chunk + margin, count)
            piece = audio[start * self.hop_samples : stop * self.hop_samples]
            f0 = self._track_piece(torch.from_numpy(np.ascontiguousarray(piece, dtype=np.float32)), voices)
            out[:, first : first + chunk] = f0[:, first - start : min(first + chunk, count) - start]
        return out

    def count(self, audio: np.ndarray) -> int:
        """Returns how many voices sing in a mixture (T,), at most ``most_voices``.

        A voice counts where it sounds in at least `SUNG` of the time in which any does. A tracker that has not learned
        to count takes the number of pitches that stand out at once; voices that sing the same are then one.
        """
        if self.counts:
            return self._sung(self.track(audio, 0))
        return max(self._standing_out(audio), self.fewest_voices)

    def adapt_weights(self, theirs: dict[str, Tensor], sources: tuple[str, ...]) -> dict[str, Tensor]:
        """Returns the weights of a tracker of another number of voices, each voice taking those of the nearest one."""
        ours, theirs = self.state_dict(), dict(theirs)
        old = len(theirs["network.count.weight"]) - 1
        near = torch.linspace(0, old - 1, self.most_voices).round().long()
        for name in ("weight", "bias"):
            shape = (-1, *theirs[f"network.outward.{name}"].shape[1:])
            by_voice = theirs[f"network.outward.{name}"].unflatten(0, (old, PITCHES + 1))
            theirs[f"network.outward.{name}"] = by_voice[near].reshape(shape)
            salience, maps = theirs[f"network.maps.{name}"].split((1, old))
            theirs[f"network.maps.{name}"] = torch.cat([salience, maps[near]])
        # Numbers that it was not taught, 0 and 1 among them, begin as the nearest that it was.
        number = torch.arange(self.most_voices + 1).clamp(min(2, old), old)
        number[0] = old
        theirs["network.count.weight"] = theirs["network.count.weight"][number]
        return {name: theirs[name] for name in ours if name in theirs}

    @staticmethod
    def _sung(f0_hz: np.ndarray) -> int:
        sung = f0_hz > 0
        return int((sung.mean(1) >= SUNG * sung.any(0).mean()).sum()) if sung.any() else 1

    @torch.inference_mode()
    def _standing_out(self, audio: np.ndarray) -> int:
        """Counts the pitches that stand out at once, at most, in a tenth of the frames in which any do."""
        piece = torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32))
        found = []
        for part in piece.split(round(CHUNK_SECONDS * self.sample_rate)):
            likely = torch.sigmoid(self(part[None].to(self.device), self.most_voices)[1][0])
            padded = nn.functional.pad(likely, (1, 1))
            found.append(((likely > LIKELY) & (likely >= padded[:, :-2]) & (likely > padded[:, 2:])).sum(-1))
        number = torch.cat(found)
        number = number[number > 0].float()
        return min(int(number.quantile(0.9)), self.most_voices) if len(number) else 1

    def _track_piece(self, audio: Tensor, voices: int) -> np.ndarray:
        audio = audio.to(self.device)
        likely = log_softmax(self(audio[None], voices)[0][0].float(), -1)
        f0_hz = self._follow(audio, likely)
        for _ in range(self.heard_again if len(f0_hz) > 1 else 0):
            f0_hz = self._follow(audio, likely + self._alone(audio, f0_hz))
        return f0_hz.cpu().numpy()

    def _follow(self, audio: Tensor, likely: Tensor) -> Tensor:
        """Follows voices through log likelihoods (S, N, 257) of every other frame: f0_hz (S, ceil(T / hop))."""
        path = follow_pitch(likely.cpu().numpy())
        f0 = np.where(path >= 0, FIRST_BIN_HZ * 2 ** (path / PER_OCTAVE), 0)
        f0 = torch.from_numpy(interleaved(f0)[:, : -(-len(audio) // self.hop_samples)]).to(audio.device)
        _, window = fit_windows(self.sample_rate)
        for _ in range(REFINEMENTS):
            fit = HarmonicFit(audio[None], f0[None], self.sample_rate, self.hop_samples, window, FITTED)
            f0 = fit.refined_f0()[0].float()
        return f0

    def _alone(self, audio: Tensor, f0_hz: Tensor) -> Tensor:
        """Tells how each pitch stands out, beside the one that does most, where a voice is left alone: (S, N, 257).

        The others are taken away as they are fitted to the mixture; the rest is as likely as before.
        """
        window, _ = fit_windows(self.sample_rate)
        fitted = harmonic_least_squares(
            audio[None], f0_hz[None], self.sample_rate, self.hop_samples, windows=(window,)
        )[0]
        left = audio - fitted.sum(0)
        heard = torch.stack([self((left + own)[None], len(fitted))[1][0] for own in fitted])
        salience = logsigmoid(heard.float())
        return nn.functional.pad(salience - salience.amax(-1, keepdim=True), (0, 1))


class VoicePitches(nn.Module):
    """Maps harmonic levels (B, C, N, 256) to logits of each voice (B, voices, N, 257) and of any voice (B, N, 256)."""

    def __init__(self, channels: int, most: int, width: int, context: int) -> None:
        super().__init__()
        shapes = ((channels, (3, 5)), (width, (3, 5)), (width, (5, 3)), (width, (3, 9)))
        self.layers = nn.ModuleList(nn.Conv2d(c, width, k, padding="same") for c, k in shapes)
        self.norms = nn.ModuleList(nn.GroupNorm(4, width) for _ in shapes)
        self.maps = nn.Conv2d(width, 1 + most, 1)
        self.most = most
        self.groups = 16  # neighbouring pitches that the recurrent layer sees as one
        self.inward = nn.Linear(PITCHES + width * PITCHES // self.groups, context)
        self.count = nn.Embedding(most + 1, context)
        self.recurrent = nn.GRU(context, context, batch_first=True, bidirectional=True)
        self.outward = nn.Linear(2 * context, most * (PITCHES + 1))

    def forward(self, levels: Tensor, voices: int | Tensor) -> tuple[Tensor, Tensor]:
        """Returns the logits of each voice and of any voice, given how many voices there are, 0 where not known."""
        number = torch.as_tensor(voices, device=levels.device).expand(len(levels))
        rows = self.most if (number == 0).any() else int(number.max())
        hidden = levels
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms)):
            new = relu(norm(layer(hidden)))
            hidden = hidden + new if index else new
        salience, *maps = self.maps(hidden).unbind(1)
        pooled = hidden.unflatten(-1, (-1, self.groups)).amax(-1).transpose(1, 2).flatten(2)
        seen = self.inward(torch.cat([torch.sigmoid(salience), pooled], -1))
        context, _ = self.recurrent(relu(seen + self.count.weight[number][:, None]))
        expected = self.outward(context).unflatten(-1, (-1, PITCHES + 1)).transpose(1, 2)[:, :rows]
        found = salience[:, None] + torch.stack(maps[:rows], 1)
        return torch.cat([expected[..., :-1] + found, expected[..., -1:]], -1), salience


def pitch_targets(f0_hz: Tensor, shift: Tensor) -> Tensor:
    """Returns training targets (B, S, N, 257) of f0_hz (B, S, N): how likely each pitch and, last, a rest shall be.

    Each pitch is blurred by 20 cents. A pitch beyond the axis counts as the end of the axis.
    """
    place = PER_OCTAVE * torch.log2(f0_hz.clamp(min=1e-3) / FIRST_BIN_HZ) - shift[:, None, None]
    steps = torch.arange(PITCHES, device=f0_hz.device)
    near = torch.exp(-0.5 * (steps - place.clamp(0, PITCHES - 1)[..., None]).square())
    near = near / near.sum(-1, keepdim=True)
    voiced = (f0_hz > 0)[..., None].to(near.dtype)
    return torch.cat([near * voiced, 1 - voiced], -1)


def interleaved(f0_hz: np.ndarray) -> np.ndarray:
    """Doubles the frames of f0_hz (S, N) to (S, 2N).

    The geometric mean goes between two pitches; between a pitch and a rest the pitch is held.
    """
    after = np.concatenate([f0_hz[:, 1:], f0_hz[:, -1:]], 1)
    both = (f0_hz > 0) & (after > 0)
    between = np.where(both, np.sqrt(f0_hz * after), np.maximum(f0_hz, after))
    return np.stack([f0_hz, between], -1).reshape(len(f0_hz), -1).astype(np.float32)


def _grid_hz(shift: Tensor) -> Tensor:
    """Returns the frequencies (B, harmonics, 256) where the harmonics of each pitch lie."""
    steps = torch.arange(PITCHES, device=shift.device) + shift[:, None]
    return (
        FIRST_BIN_HZ
        * torch.tensor(HARMONICS, device=shift.device)[:, None]
        * 2 ** (steps / PER_OCTAVE)[:, None]
    )


def levels_at(
    audio: Tensor, windows_seconds: tuple[float, ...], sample_rate: int, hop: int, hz: Tensor
) -> Tensor:
    """Returns levels of audio (B, T) at frequencies ``hz`` (B, H, P): (B, windows * H, ceil(T / hop), P).

    They are logarithms of power beside the excerpt's mean, about -2 to 2.
    """
    count = -(-audio.shape[-1] // hop)
    planes = []
    for seconds in windows_seconds:
        n_fft = 2 * round(seconds * sample_rate / 2)
        power = stft(audio, n_fft, hop)[..., :count].abs().square()
        level = torch.log10(power / power.mean((1, 2), keepdim=True).clamp(min=1e-20) + FLOOR)
        planes.append(_read(level, hz * (n_fft / sample_rate)))
    return torch.cat(planes, 1) / 2 + 1


def _read(level: Tensor, place: Tensor) -> Tensor:
    """Reads spectra (B, F, N) at fractional bins (B, H, P) linearly; the last bin is held: (B, H, N, P)."""
    place = place.clamp(max=level.shape[1] - 1.001)
    left = place.floor()
    rows = torch.arange(len(level), device=level.device)[:, None, None]
    low, high = level[rows, left.long()], level[rows, left.long() + 1]  # (B, H, P, N)
    return torch.lerp(low, high, (place - left)[..., None]).transpose(2, 3)
