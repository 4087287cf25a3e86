"""The DDSP autoencoder: one instrument or voice, learned from solos, that plays whatever it hears (thesis 4.2.1)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.losses import MultiScaleSpectralLoss
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.networks.solo import SoloDecoder, TimbreEncoder, loudness_db
from ddsp_zoo.synths.harmonic import HarmonicPlusNoise


class SoloModel(Separator):
    """Hears a recording of one source alone, which is its own stem, and synthesises it."""

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        """Returns the recording as it is for each exponent: there is nothing that it could be separated from."""
        return [mixture[:, None]] * len(powers)

    def _check_alone(self) -> None:
        if len(self.sources) != 1:
            raise DdspZooError(
                f"{type(self).__name__} hears one source alone: name one in model.sources, not {len(self.sources)}."
            )


class DdspAutoencoder(SoloModel):
    """Synthesises a solo from its pitch and its loudness, with the sound that it has learned.

    So another recording, or edited controls, are played with that sound: `ddsp_zoo.transfer`.

    Args:
        sources: name of the instrument or voice.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts.
        harmonics: of the synthesiser; 100 with z, 60 without, as published.
        noise_bands: points of its noise filter.
        width: of the GRU and the layers: 512 as published, 256 in its small form.
        layers: of the stacks around the GRU: 3 as published, 0 in its small form.
        timbre: numbers a frame that describe what pitch and loudness do not (z): 16 as published, 0 for solos.
        room_seconds: length of the echo, 3 as published; 0 for none.
        optimiser: how it learns.
    """

    needs_pitch = True

    def __init__(
        self,
        sources: tuple[str, ...] = ("solo",),
        sample_rate: int = 16000,
        segment_seconds: float = 4.0,
        harmonics: int = 60,
        noise_bands: int = 65,
        width: int = 256,
        layers: int = 0,
        timbre: int = 0,
        room_seconds: float = 1.0,
        optimiser: Optimiser = Optimiser(learning_rate=1e-3),
    ) -> None:
        super().__init__(
            sources,
            sample_rate,
            hop_samples=256,
            segment_seconds=segment_seconds,
            supervised=True,
            optimiser=optimiser,
        )
        self._check_alone()
        self.synth = HarmonicPlusNoise(sample_rate, self.hop_samples, harmonics, noise_bands, room_seconds)
        room = self.synth.room_channels
        self.decoder = SoloDecoder(self.synth.controls.channels - room, timbre, width, layers)
        self.timbre = TimbreEncoder(sample_rate, self.hop_samples, width, timbre) if timbre else None
        self.room = nn.Parameter(torch.zeros(room)) if room else None
        self.loss = MultiScaleSpectralLoss()
        self.save_hyperparameters()

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts from (B, T) and f0 (B, 1, N): -> (B, 1, N, channels); the room is the same everywhere."""
        loudness = loudness_db(audio, self.sample_rate, self.hop_samples)
        timbre = self.timbre(audio) if self.timbre else None
        raw = self.decoder(f0_hz[:, 0], loudness, timbre)
        if self.room is not None:
            raw = torch.cat([raw, self.room.expand(*raw.shape[:2], -1)], dim=-1)
        return raw[:, None]
