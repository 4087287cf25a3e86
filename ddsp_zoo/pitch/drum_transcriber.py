"""Hears which instrument of a drum set is hit when, and how hard, in a drum stem or in a whole mixture.

A spectrogram on the mel scale goes through convolutions, which see strokes, and a recurrent layer, which knows what
has been played before and after. Source: activation functions of each instrument and peaks picked from them, after
Vogl et al. 2017 (Drum transcription via joint beat and drum modeling); strengths beside onsets after Callender et al.
2020 (Improving perceptual quality of drum transcription).
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad, relu

from ddsp_zoo.dsp.mel import LOWEST_MEL_HZ, mel_triangles
from ddsp_zoo.dsp.stft import stft
from ddsp_zoo.learning.learner import Learner
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.music.drum_set import DRUM_SET, Hits, frames_of_hits
from ddsp_zoo.pitch.onset_corruption import amplified, muddied
from ddsp_zoo.pitch.onsets import blurred_onsets, pick_peaks
from ddsp_zoo.pitch.pieces import overlapping
from ddsp_zoo.sources import REST
from ddsp_zoo.synths.control import Control

WINDOW_SECONDS = 0.046
HIGHEST_HZ = 18000.0
FLOOR = 1e-5  # of a band's power beside the mean
ALONE = 0.3  # share of training examples in which the drums play alone
SOFTEST_DB, LOUDEST_DB = -30.0, 6.0  # of all others beside the drums where they play too
PIECE_SECONDS, MARGIN_SECONDS = 20.0, 1.0  # of a recording that is heard piece by piece
RARE = 3.0  # weight of hits, which are few, in the loss
AGAIN = 0.6  # share of the threshold below which the probability falls between two hits
APART_SECONDS = 0.03  # two hits of an instrument are at least so far apart
RIVALS = (("closed hi-hat", "open hi-hat"), ("crash", "ride"), ("snare", "side stick"))
TOGETHER_SECONDS = 0.03  # of two rivals this close the likelier one is meant
HIT_STEPS = 2  # frames of a transcriber in one of the model that holds it
# Best F of each instrument of `DRUM_SET` in stems that `ast_ddsp_all` cut out of rendered validation tracks.
THRESHOLDS = (0.6, 0.35, 0.25, 0.6, 0.35, 0.15, 0.1, 0.3)
POOLED = 4  # bands that become one after every second convolution
QUIETEST = 1e-11  # mean power of a recording in which nothing is heard


class DrumTranscriber(Learner):
    """Finds the hits of each instrument of `DRUM_SET`; it has 0.2 million parameters.

    It is trained on drums alone and with all others around them at random levels, through amplifiers and in rooms, so
    that it hears true stems, separated ones and mixtures.

    Args:
        sample_rate: of the audio in Hz.
        hop_samples: distance of frames in samples.
        segment_seconds: length of the excerpts.
        bands: of the mel scale.
        width: channels of the first convolutions; later ones have twice as many.
        context: size of the recurrent layer, in each direction.
        threshold: of the probability of a hit, by instrument in the order of `DRUM_SET`, or one for all.
        optimiser: how it learns.
    """

    needs_pitch = False
    needs_hits = True  # to learn from
    sources = ("drums", REST)

    def __init__(
        self,
        sample_rate: int = 44100,
        hop_samples: int = 352,
        segment_seconds: float = 4.0,
        bands: int = 80,
        width: int = 24,
        context: int = 96,
        threshold: float | tuple[float, ...] = THRESHOLDS,
        optimiser: Optimiser = Optimiser(learning_rate=2e-3),
    ) -> None:
        super().__init__(optimiser)
        self.sample_rate, self.hop_samples = sample_rate, hop_samples
        self.segment_samples = round(segment_seconds * sample_rate) // hop_samples * hop_samples
        single = isinstance(threshold, (int, float))
        self.threshold = (float(threshold),) * len(DRUM_SET) if single else tuple(threshold)
        self.n_fft = 2 * round(WINDOW_SECONDS * sample_rate / 2)
        highest = min(HIGHEST_HZ, sample_rate / 2)
        filters = mel_triangles(LOWEST_MEL_HZ, highest, bands, self.n_fft // 2 + 1, sample_rate / 2)
        self.register_buffer("filters", filters, persistent=False)
        self.network = StrokeNetwork(bands, width, context, len(DRUM_SET))
        self.save_hyperparameters()

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logits of a hit and its strength, each (B, instruments, N), from audio (B, T), N = T / hop."""
        return self.network(self.levels(audio))

    def levels(self, audio: Tensor) -> Tensor:
        """Returns levels of the mel bands (B, bands, N); they do not depend on how loud the audio is."""
        power = (
            stft(audio, self.n_fft, self.hop_samples)
            .abs()
            .square()[..., : -(-audio.shape[-1] // self.hop_samples)]
        )
        bands = self.filters.to(power.dtype) @ power
        return torch.log10(bands / bands.mean((1, 2), keepdim=True).clamp(min=1e-20) + FLOOR)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch as it is heard in training, see the class."""
        generator = self.generator_of_step()
        drums, others = batch["sources"].unbind(1)
        level_db = SOFTEST_DB + (LOUDEST_DB - SOFTEST_DB) * torch.rand(len(drums), 1, generator=generator)
        gain = 10 ** (level_db / 20) * (torch.rand(len(drums), 1, generator=generator) > ALONE)
        mixture = amplified(drums + gain.to(drums.device) * others, generator)
        return self._step(muddied(mixture, self.sample_rate, generator, knocks=False), batch["hits"], "train")

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch: the whole mixture, as it is."""
        return self._step(batch["mixture"], batch["hits"], "validation")

    def test_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of one batch as it is."""
        return self._step(batch["mixture"], batch["hits"], "test")

    def _step(self, audio: Tensor, hits: Tensor, stage: str) -> Tensor:
        logit, strength = (part.float() for part in self(audio))
        hit = (hits > 0).float()
        likely = blurred_onsets(hits)
        weight = 1 + (RARE - 1) * (likely > 0)
        parts = {
            "found": 10 * binary_cross_entropy_with_logits(logit, likely, weight),
            "strength": ((strength - hits).abs() * hit).sum() / hit.sum().clamp(min=1),
        }
        return self.logged_loss(parts, stage, len(audio))

    @torch.inference_mode()
    def listen(self, audio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hears a recording (T,) in overlapping pieces; returns probability and strength of hits, (instruments, N)."""
        hop, rate = self.hop_samples, self.sample_rate / self.hop_samples
        count = -(-len(audio) // hop)
        likely, strength = np.zeros((2, len(DRUM_SET), count))
        for piece, here, there in overlapping(
            count, round(PIECE_SECONDS * rate), round(MARGIN_SECONDS * rate)
        ):
            heard = np.ascontiguousarray(audio[piece.start * hop : piece.stop * hop], np.float32)
            if np.square(heard, dtype=float).mean() > QUIETEST:
                found = self(torch.from_numpy(heard)[None].to(self.device))
                likely[:, here] = found[0][0, :, there].float().sigmoid().cpu()
                strength[:, here] = found[1][0, :, there].float().cpu()
        return likely, strength

    def find(self, audio: np.ndarray) -> dict[str, Hits]:
        """Returns the hits of each instrument in a recording (T,) at the model's sample rate."""
        likely, strength = self.listen(audio)
        return self.decide(likely, strength)

    def find_frames(self, audio: Tensor) -> Tensor:
        """Returns the hits in audio (B, T) as the control of `heard_hits`, (B, N, size)."""
        hop = HIT_STEPS * self.hop_samples
        found = [self.find(row) for row in audio.cpu().numpy()]
        frames = [
            frames_of_hits(hits, self.sample_rate / hop, audio.shape[-1] // hop, HIT_STEPS) for hits in found
        ]
        return torch.from_numpy(np.stack(frames)).to(audio.device)

    def decide(self, likely: np.ndarray, strength: np.ndarray) -> dict[str, Hits]:
        """Picks the hits of each instrument from probability and strength (instruments, N).

        Of two instruments that are not hit at once, the two of a hi-hat for one, the likelier is taken.
        """
        apart = APART_SECONDS * self.sample_rate / self.hop_samples
        places = {
            name: pick_peaks(row, threshold, AGAIN * threshold, apart)
            for name, row, threshold in zip(DRUM_SET, likely, self.threshold, strict=True)
        }
        frames = {name: np.rint(place).astype(int) for name, place in places.items()}
        row_of = {name: row for row, name in enumerate(DRUM_SET)}
        margin = {
            name: likely[row_of[name], at] / self.threshold[row_of[name]] for name, at in frames.items()
        }
        together = TOGETHER_SECONDS * self.sample_rate / self.hop_samples
        kept = {name: np.ones(len(at), dtype=bool) for name, at in frames.items()}
        for one, other in RIVALS:
            near = np.abs(np.subtract.outer(places[one], places[other])) <= together
            wins = np.greater_equal.outer(margin[one], margin[other])
            kept[one] &= ~(near & ~wins).any(1)
            kept[other] &= ~(near & wins).any(0)
        seconds = self.hop_samples / self.sample_rate
        return {
            name: Hits(places[name][kept[name]] * seconds, strength[row_of[name], frames[name][kept[name]]])
            for name in DRUM_SET
        }


def heard_hits() -> Control:
    """Returns the control of drums whose hits are heard in their stem, see `frames_of_hits`."""
    instruments = ", ".join(DRUM_SET)
    return Control(
        "hits",
        "1",
        f"how hard {instruments} are hit where a hit begins, each at {HIT_STEPS} places in a frame",
        size=len(DRUM_SET) * HIT_STEPS,
        role="hits",
        join="switch",
        origin="heard",
    )


class StrokeNetwork(nn.Module):
    """Maps levels (B, bands, N) to the logit of a hit and its strength, each (B, instruments, N)."""

    def __init__(self, bands: int, width: int, context: int, instruments: int) -> None:
        super().__init__()
        shapes = ((2, width), (width, width), (width, 2 * width), (2 * width, 2 * width))
        self.layers = nn.ModuleList(nn.Conv2d(*shape, 3, padding=1) for shape in shapes)
        self.norms = nn.ModuleList(nn.GroupNorm(4, channels) for _, channels in shapes)
        self.pool = nn.MaxPool2d((POOLED, 1), ceil_mode=True)
        left = math.ceil(math.ceil(bands / POOLED) / POOLED)
        self.inward = nn.Linear(2 * width * left, context)
        self.recurrent = nn.GRU(context, context, batch_first=True, bidirectional=True)
        self.outward = nn.Linear(3 * context, 2 * instruments)
        with torch.no_grad():
            self.outward.bias[:instruments] = -3.0  # hits are rare

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Returns logit and strength; the convolutions see levels and how they rise."""
        rise = pad(levels.diff(dim=-1), (1, 0)).clamp(min=0)
        hidden = torch.stack([levels / 2 + 1, rise], 1)
        for number, (layer, norm) in enumerate(zip(self.layers, self.norms)):
            hidden = relu(norm(layer(hidden)))
            hidden = self.pool(hidden) if number % 2 else hidden
        seen = relu(self.inward(hidden.flatten(1, 2).transpose(1, 2)))
        context, _ = self.recurrent(seen)
        logit, strength = self.outward(torch.cat([seen, context], -1)).transpose(1, 2).chunk(2, 1)
        return logit, strength.sigmoid()
