"""Stems that are there already, as sinusoids and noise: what the controls of a band's stems are without a network."""

import torch
from torch import Tensor

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.dsp.mel import hz_to_mel
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.networks.band_features import BandAnalysis
from ddsp_zoo.pitch.salience import melodies
from ddsp_zoo.synths.banded import BandedSinusoids
from ddsp_zoo.synths.control import Controls, heard_notes

FRAME_SECONDS, SEGMENT_FRAMES = 0.016, 128
BAND_MEL, PLACES = 16.0, 5  # distance of bands, and places in each that a frequency is told by
NOISE_SECONDS = 8.0  # that are heard to know what noise is like
TONAL = (
    0.5  # a band is a sinusoid where its power spreads by less than this share of what noise does, else noise
)


class GivenStems(Separator):
    """Measures the controls of stems that another program has cut out of a song; nothing is learned.

    It hears the song and each stem, all with the same number of channels one after the other, and gives the stems back
    as they are. Every mel band of a stem is a sinusoid at the frequency that is heard in it where its power lies close
    to one frequency, and noise elsewhere. Source: reassigned frequencies, Auger and Flandrin 1995.

    Args:
        sources: names of the stems.
        sample_rate: of the song and the stems in Hz.
    """

    def __init__(self, sources: tuple[str, ...], sample_rate: int) -> None:
        hop = round(FRAME_SECONDS * sample_rate)
        seconds = SEGMENT_FRAMES * hop / sample_rate
        super().__init__(sources, sample_rate, hop, seconds, supervised=False)
        bands = max(round(float(hz_to_mel(torch.tensor(sample_rate / 2))) / BAND_MEL), 8)
        self.synth = BandedSinusoids(sample_rate, hop, bands, PLACES)
        self.heard = heard_notes(sample_rate)
        self.analysis = BandAnalysis(sample_rate, 8 * hop, hop, bands)
        noise = torch.randn(
            round(NOISE_SECONDS / FRAME_SECONDS) * hop, generator=torch.Generator().manual_seed(0)
        )
        self.register_buffer(
            "noise_spread", self.analysis.with_spread(noise)[1].median(0).values, persistent=False
        )

    def hearing(self, mixture: Tensor) -> Tensor:
        """Returns the stems (B, S, T) of the song and its stems (B, (1 + S) * C, T), each in one channel."""
        return one_channel(self._each(mixture))

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Measures stems (B, S, T): {name: (B, S, N, k)}."""
        controls = super().predict_controls(audio.flatten(0, 1))
        return {name: value.unflatten(0, audio.shape[:2]).squeeze(2) for name, value in controls.items()}

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Measures stems of peak 1 (B, T): -> raw controls (B, 1, N, channels)."""
        bands, spread = self.analysis.with_spread(audio)
        tonal = (spread < TONAL * self.noise_spread).to(audio.dtype)
        raw = self.analysis.raw_controls(bands, PLACES, tonal, 1 - tonal)
        return torch.cat(raw, dim=-1)[:, None]

    def stems(self, mixture: Tensor, rendered: Rendered) -> Tensor:
        """Returns the stems (B, S, C, T) as they were given."""
        return self._each(mixture)

    def hear(self, stems: Tensor) -> Controls:
        """Returns the notes of the stems (B, S, T), see `melodies`."""
        return melodies(stems, self.targets, self.sample_rate, self.hop_samples)

    def _each(self, mixture: Tensor) -> Tensor:
        return mixture.unflatten(1, (1 + len(self.sources), -1))[:, 1:]
