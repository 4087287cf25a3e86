"""Guitar strings as Karplus-Strong loops whose controls a network predicts (thesis, chapter 5)."""

from torch import Tensor

from ddsp_zoo.losses import MultiScaleSpectralLoss
from ddsp_zoo.models.separator import Separator
from ddsp_zoo.networks.mixture_encoder import MixtureEncoder, SourceDecoder
from ddsp_zoo.sources import GUITAR_STRINGS_HZ
from ddsp_zoo.synths.karplus_strong import KarplusStrong


class KarplusStrongStrings(Separator):
    """Experiment B4: excitation gain, loop damping and excitation dynamics of each string, every 16 ms.

    Args:
        sources: the strings, low to high.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts.
        oversampling: rate of the string loop over the sample rate (2: 32 kHz, as in series B).
        supervised: compare each string with its target; the thesis compares only the sum with the mixture.
        learning_rate: of Adam.
        weight_decay: of Adam.
        decay_every: steps between multiplications of the learning rate by 0.98; 0 keeps it constant.
        mask_power: exponent of the soft masks, 1 as in the thesis.
        mask_fft: window of the masks' STFT in samples.
    """

    needs_pitch = True

    def __init__(
        self, sources: tuple[str, ...] = tuple(GUITAR_STRINGS_HZ), sample_rate: int = 16000,
        segment_seconds: float = 2.0, oversampling: int = 2, supervised: bool = False,
        learning_rate: float = 1e-4, weight_decay: float = 1e-5, decay_every: int = 0,
        mask_power: float = 1.0, mask_fft: int = 2048,
    ) -> None:  # fmt: skip
        super().__init__(
            sources, sample_rate, 256, segment_seconds, supervised, learning_rate, weight_decay, decay_every,
            mask_power, mask_fft,
        )  # fmt: skip
        self.synth = KarplusStrong(sample_rate, self.hop_samples, oversampling)
        self.encoder = MixtureEncoder(hop=self.hop_samples)
        self.decoder = SourceDecoder(self.synth.controls.channels)
        self.loss = MultiScaleSpectralLoss()
        self.save_hyperparameters()

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """(B, T) and f0 (B, S, N) -> (B, S, N, 3)."""
        return self.decoder(self.encoder(audio), f0_hz)
