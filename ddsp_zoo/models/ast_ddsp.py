"""AST-DDSP: a transformer hears the mixture, sinusoids and filtered noise sound the stem (Gabrielli 2024)."""

from torch import Tensor

from ddsp_zoo.losses import MultiResolutionStftLoss, MultiScaleSpectralLoss
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.networks.ast import FrameAST, LogMel
from ddsp_zoo.pitch.salience import salient_f0
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.synths.sinusoids import SinusoidsPlusNoise

LOSS_FFT_SIZES = (2048, 512, 128)  # every other one of the authors' sizes: the same span at half the cost


class AstDdsp(Separator):
    """One stem and the rest of a band, each as sinusoids plus noise with a control frame every 16 ms.

    The rest is modelled for the mask's sake: a mask that knows only its target cannot tell how much of a bin is
    somebody else's. The loss is the paper's on the synthesised stems, plus the spectral distance of the masked
    ones, weighted by ``masked_weight``.

    Args:
        sources: the stem, and "rest".
        sample_rate: rate of the audio in Hz; 8000 as in the paper.
        segment_seconds: length of the excerpts; the transformer's positions are made for it.
        hop_samples: distance of control frames in samples.
        sinusoids: oscillators per source.
        noise_bands: points of the noise filter from 0 Hz to the Nyquist frequency.
        n_fft: window of the mel spectrogram in samples.
        width: of the transformer's tokens.
        depth: layers of the transformer.
        heads: of its attention.
        pretrained: name or folder of a `transformers` AST to start from, or none for random weights.
        masked_weight: weight of the masked stems' spectral distance; 0 trains on the synthesised stems alone.
        learning_rate: of Adam.
        weight_decay: of Adam.
        decay_every: steps between multiplications of the learning rate by 0.98; 0 keeps it constant.
        mask_power: exponent of the soft masks; 2 is the Wiener form.
        mask_fft: window of the masks' STFT in samples.
    """

    def __init__(
        self, sources: tuple[str, ...] = ("bass", "rest"), sample_rate: int = 8000, segment_seconds: float = 2.0,
        hop_samples: int = 128, sinusoids: int = 32, noise_bands: int = 129, n_fft: int = 1024, width: int = 192,
        depth: int = 6, heads: int = 3, pretrained: str | None = None, masked_weight: float = 2.0,
        learning_rate: float = 3e-4, weight_decay: float = 0.0, decay_every: int = 10_000,
        mask_power: float = 2.0, mask_fft: int = 1024,
    ) -> None:  # fmt: skip
        super().__init__(
            sources, sample_rate, hop_samples, segment_seconds, True, learning_rate, weight_decay, decay_every,
            mask_power, mask_fft,
        )  # fmt: skip
        self.synth = SinusoidsPlusNoise(sample_rate, hop_samples, sinusoids, noise_bands)
        self.features = LogMel(sample_rate, n_fft, hop_samples, mels=128)
        self.network = FrameAST(
            128, self.segment_samples // hop_samples, len(sources) * self.synth.controls.channels, width, depth,
            heads,
        )  # fmt: skip
        self.loss = MultiResolutionStftLoss(LOSS_FFT_SIZES)
        self.masked_loss = MultiScaleSpectralLoss(LOSS_FFT_SIZES, log_weight=0.1)
        self.masked_weight, self.pretrained = masked_weight, pretrained
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        """Take the pretrained transformer when training starts (a resumed run overwrites it again)."""
        if stage == "fit" and self.pretrained:
            self.network.load_pretrained(self.pretrained)

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """(B, T) -> (B, S, N, channels)."""
        raw = self.network(self.features(audio))
        return raw.unflatten(-1, (len(self.sources), -1)).transpose(1, 2)

    def losses(self, rendered: Rendered, targets: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        """The synthesised stems' distance and the masked stems'."""
        parts = super().losses(rendered, targets, mixture)
        if self.masked_weight:
            masked = self.masked(mixture, rendered)
            parts["masked"] = self.masked_weight * self.masked_loss(masked, targets)
        return parts

    def given_controls(self, rendered: Rendered, stems: Tensor) -> Controls:
        """The controls, and f0_hz (B, S, N, 1): free sinusoids have no fundamental, the masked stem does."""
        f0 = salient_f0(stems, self.sample_rate, self.hop_samples)
        return rendered.controls | {"f0_hz": f0[..., None]}
