"""AST-DDSP: a transformer hears the mixture, sinusoids and filtered noise sound the stems (Gabrielli 2024)."""

from typing import Literal

import torch
from torch import Tensor

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.dsp.mel import hz_to_mel, mel_to_hz
from ddsp_zoo.dsp.noise import seen_by_stft
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.joining import Joining
from ddsp_zoo.learning.losses import MultiScaleSpectralLoss, cells_error_db, mask_error_db, products
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.axial import AxialUNet
from ddsp_zoo.networks.band_features import FAINT, BandPictures, Bands
from ddsp_zoo.networks.dense_ast import DenseAST
from ddsp_zoo.pitch.drum_transcriber import HIT_STEPS, DrumTranscriber, heard_hits
from ddsp_zoo.pitch.salience import melodies
from ddsp_zoo.separation.masks import apply_masks, spectral_shares
from ddsp_zoo.sources import UNPITCHED
from ddsp_zoo.synths.banded import BandedSinusoids
from ddsp_zoo.synths.control import Controls, heard_notes

LOSS_FFT_SIZES = (2048, 512, 128)  # every other one of the authors' sizes: the same span at half the cost
# What makes the frequencies of a band about equally strong: power times (f / 300 Hz)^1.75, up to 32 times 300 Hz.
TREBLE_HZ, TREBLE_RISE, TREBLE_POWER = 300.0, 32.0, 1.75
POSITIONS = "position_embeddings"  # how the name of a transformer's positions ends


class AstDdsp(Separator):
    """Separates the stems of a band, each as sinusoids plus noise with a control frame every 16 ms.

    The network starts from the mixture: with zeros for output each source has an equal share of what every band
    holds, half as a sinusoid at the frequency that is heard there, half as noise. What it learns are gains and
    displacements. All sources are modelled, at least as a "rest": a mask that knows only its target cannot tell
    how much of a bin is somebody else's.

    The loss has up to five terms: the error of the masked stems in dB (``error_weight``), the same with treble as
    strong as bass (``treble_weight``), the spectral distance of the synthesised ones (``spectral_weight``), and as
    supervision of the controls themselves the levels of the bands (``level_weight``) and the frequencies in them
    (``frequency_weight``), both measured on the true stems.

    Args:
        sources: the stems, and "rest" for all others.
        sample_rate: rate of the audio in Hz; 8000 as in the paper.
        segment_seconds: length of the excerpts; the transformer's positions are made for it.
        hop_samples: distance of control frames in samples.
        bands: sinusoids and noise bands per source, a multiple of 8.
        n_fft: window of the mel spectrogram in samples; by default eight hops.
        widths: of the convolutions at the full grid, a half, a quarter and an eighth.
        network: "ast": an Audio Spectrogram Transformer beside convolutions (`DenseAST`); "axial": attention along time
            and along bands in turn, for segments of any length (`AxialUNet`).
        width: of the transformer's tokens.
        depth: layers of the transformer.
        heads: of its attention.
        pretrained: name or folder of a `transformers` AST to start from, or none for random weights.
        windows: further mel spectrograms that the network sees, as multiples of the window ``n_fft``.
        error_weight: of the masked stems' error, a dB.
        treble_weight: of the same error with all bands about equally strong, so that cymbals count.
        error_seconds: length of the stretches whose errors are averaged; 0: the whole segment is one.
        error_every: the error is computed on one frame in so many; 1: on all.
        exact_below_hz: the error is computed bin by bin below this frequency and band by band above it, which is
            several times cheaper at a high rate; 0: bin by bin everywhere. Needs masks with the window ``n_fft``.
        spectral_weight: of the synthesised stems' multi-scale spectral distance.
        level_weight: of the bands' level difference.
        frequency_weight: of the frequencies' difference.
        optimiser: how it learns.
        masks: exponent and window of the masks.
        transcribes_drums: hold a `DrumTranscriber` as ``transcriber``, trained apart, that hears the hits in the drum
            stem; it works at 44.1 kHz.
    """

    def __init__(
        self,
        sources: tuple[str, ...] = ("bass", "drums", "guitar", "rest"),
        sample_rate: int = 8000,
        segment_seconds: float = 2.0,
        hop_samples: int = 128,
        bands: int = 128,
        n_fft: int | None = None,
        widths: tuple[int, int, int, int] = (24, 48, 96, 192),
        network: Literal["ast", "axial"] = "ast",
        width: int = 192,
        depth: int = 4,
        heads: int = 3,
        pretrained: str | None = None,
        windows: tuple[float, ...] = (0.25,),
        error_weight: float = 0.2,
        treble_weight: float = 0.0,
        error_seconds: float = 0.0,
        error_every: int = 1,
        exact_below_hz: float = 0.0,
        spectral_weight: float = 0.0,
        level_weight: float = 0.5,
        frequency_weight: float = 0.1,
        optimiser: Optimiser = Optimiser(),
        masks: Masks = Masks(power=2.0),
        transcribes_drums: bool = False,
    ) -> None:
        super().__init__(
            sources,
            sample_rate,
            hop_samples=hop_samples,
            segment_seconds=segment_seconds,
            supervised=True,
            optimiser=optimiser,
            masks=masks,
        )
        self.synth = BandedSinusoids(sample_rate, hop_samples, bands, frequency_gradient=0.0)
        self.heard = heard_notes(sample_rate)
        window = n_fft or 8 * hop_samples
        if exact_below_hz and window != self.mask_fft:
            raise DdspZooError(
                f"exact_below_hz needs one window for masks and mel bands: set masks.fft to {window}, or n_fft to "
                f"{self.mask_fft}."
            )
        self.pictures = BandPictures(sample_rate, window, hop_samples, bands, tuple(windows))
        channels = self.pictures.channels, len(sources) * self.synth.controls.channels // bands
        if network == "ast":
            frames = self.segment_samples // hop_samples
            self.network = DenseAST(*channels, bands, frames, tuple(widths), width, depth, heads)
        elif network == "axial":
            self.network = AxialUNet(*channels, bands, tuple(widths), width, depth, heads)
        else:
            raise DdspZooError(f"There is no network {network!r}: choose ast or axial.")
        self.loss = MultiScaleSpectralLoss(LOSS_FFT_SIZES)
        self.error_weight, self.spectral_weight = error_weight, spectral_weight
        self.treble_weight, self.error_seconds, self.error_every = treble_weight, error_seconds, error_every
        self.exact_below_hz = exact_below_hz
        self.level_weight, self.frequency_weight = level_weight, frequency_weight
        self.pretrained = pretrained
        self.transcriber: DrumTranscriber | None = None
        if transcribes_drums:
            self.transcriber = DrumTranscriber(sample_rate, hop_samples // HIT_STEPS).requires_grad_(False)
            self.heard += (heard_hits(),)
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        """Takes the pretrained transformer when training starts (a resumed run overwrites it again)."""
        if stage == "fit" and self.pretrained:
            self.network.load_pretrained(self.pretrained)

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts raw controls of audio: (B, T) -> (B, S, N, channels)."""
        with torch.autocast(audio.device.type, enabled=False):
            pictures, bands = self.pictures(audio)
        maps = self.network(pictures).float().unflatten(1, (len(self.sources), -1))
        bins = maps.shape[2] - 2
        places = maps[:, :, :bins].permute(0, 1, 3, 4, 2).flatten(-2)
        heard, sine, noise = (raw[:, None] for raw in self._equal_shares(bands, bins))
        return torch.cat([places + heard, maps[:, :, bins] + sine, maps[:, :, bins + 1] + noise], dim=-1)

    def _equal_shares(self, bands: Bands, bins: int) -> tuple[Tensor, Tensor, Tensor]:
        """Raw places, sinusoids and noise (B, N, channels) of a source with an equal share of every band.

        Half of it is a sinusoid where the mixture has its power.
        """
        half = 1 / (2 * len(self.sources))
        return self.pictures.long.raw_controls(bands, bins, half, half)

    def _rendered(self, mixture: Tensor, batch: dict[str, Tensor], generator: torch.Generator) -> Rendered:
        """Synthesises nothing where no loss listens to it."""
        if self.spectral_weight:
            return super()._rendered(mixture, batch, generator)
        silence = mixture.new_zeros(len(mixture), len(self.sources), 0)
        return Rendered(silence, self.predict_controls(mixture), silence)

    def losses(
        self, rendered: Rendered, targets: Tensor, mixture: Tensor, known: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Measures masked stems' error, synthesised spectra, and the controls against what the true stems hold.

        Where a source is not ``known`` (B, S), its target is silent and that of the rest holds it too; what is
        predicted for it is then counted to the rest.
        """
        join = Joining(known, self.sources)
        with torch.autocast(mixture.device.type, enabled=False):
            truth = self.pictures.long(targets)
            masked, treble = self._mask_errors(rendered, targets, mixture, join)
            parts = {
                "masked": self.error_weight * masked,
                "level": self.level_weight * self._level_distance(rendered.controls, truth, join),
                "frequency": self.frequency_weight * self._frequency_distance(rendered.controls, truth, join),
            }
            if self.treble_weight:
                parts["treble"] = self.treble_weight * treble
            if self.spectral_weight:
                parts["spectral"] = self.spectral_weight * self.loss(join(rendered.sources), targets)
            return parts

    def _mask_errors(self, rendered: Rendered, targets: Tensor, mixture: Tensor, join: Joining) -> Tensor:
        """Returns the mean error of the masked stems in dB (2,): as it is, and with treble as strong as bass."""
        if self.exact_below_hz:
            return self._mask_errors_by_bands(rendered.controls, targets, mixture, join)
        hop = self.error_every * self.hop_samples
        spectra = self.synth.power_spectra(rendered.controls, rendered.tonal, self.mask_fft, self.error_every)
        masks = join(spectral_shares(spectra, self.mask_power))
        emphasis = emphasised(self._bin_hz(masks.shape[2], masks.device))
        return mask_error_db(
            masks,
            targets,
            mixture,
            self.mask_fft,
            hop,
            stretch_frames=self._stretch_frames,
            emphasis=emphasis,
        )

    def _mask_errors_by_bands(
        self, controls: Controls, targets: Tensor, mixture: Tensor, join: Joining
    ) -> Tensor:
        """Returns the same, computed with one mask for each bin below a frequency and for each mel band above it."""
        analysis, every = self.pictures.long, self.error_every
        centres_hz = mel_to_hz(analysis.centres)
        edge = round(self.exact_below_hz / self.sample_rate * analysis.n_fft)
        first = int((centres_hz < self.exact_below_hz).sum())
        bins = self.synth.power_spectra(controls, None, self.mask_fft, every, edge + 3)[:, :, :edge]
        power = self._band_power(controls)[..., first:]
        bands = seen_by_stft(power, self.hop_samples, self.mask_fft, every)
        spectra = analysis.spectrum(mixture)[:, None, ::every], analysis.spectrum(targets)[:, :, ::every]
        cells = [
            torch.cat([x[..., :edge] * analysis.scale, x @ analysis.weights[:, first:]], dim=-1).mT
            for x in products(*spectra)
        ]
        frames = cells[0].shape[-1]
        masks = join(
            torch.cat([spectral_shares(x[..., :frames], self.mask_power) for x in (bins, bands)], dim=2)
        )
        hz = torch.cat([self._bin_hz(analysis.n_fft // 2 + 1, masks.device)[:edge], centres_hz[first:]])
        return cells_error_db(masks, *cells, emphasised(hz), stretch_frames=self._stretch_frames)

    @property
    def _stretch_frames(self) -> int:
        return round(self.error_seconds * self.sample_rate / (self.error_every * self.hop_samples))

    def _bin_hz(self, count: int, device: torch.device) -> Tensor:
        return torch.linspace(0, self.sample_rate / 2, count, device=device)

    def _band_power(self, controls: Controls) -> Tensor:
        """Returns the power of the bands by the controls (B, S, N, K), in the unit of `Bands`."""
        analysis = self.pictures.long
        noise = controls["noise_magnitude"].square() * (analysis.weights.sum(0) * analysis.n_fft / 8)
        return controls["amplitude"].square() / 4 + noise

    def _level_distance(self, controls: Controls, truth: Bands, join: Joining) -> Tensor:
        """Squared difference of the bands' levels, in square roots of amplitude, as a share of what is there.

        Not of logarithms: most bands of a stem are empty most of the time, and a network in doubt would leave all so.
        """
        level, true = ((power + FAINT) ** 0.25 for power in (join(self._band_power(controls)), truth.power))
        return (level - true).square().sum() / true.square().sum()

    def _frequency_distance(self, controls: Controls, truth: Bands, join: Joining) -> Tensor:
        """Mean absolute difference in bands, each counted by the square root of the true amplitude in it.

        What several sources play together has no frequency to compare with.
        """
        analysis = self.pictures.long
        offset = (hz_to_mel(controls["frequency_hz"]) - analysis.centres) / analysis.distance
        weight = join.alone(truth.power.clamp(min=0) ** 0.25)
        return ((offset - truth.offset).abs() * weight).sum() / weight.sum().clamp(min=1e-3)

    def adapt_weights(self, weights: dict[str, Tensor], sources: tuple[str, ...]) -> dict[str, Tensor]:
        """Returns the weights of a model of other ``sources``, or of fewer bands, made to fit this one.

        A source takes over the one of its name, any other the mean of those that no name of this model claims. Bands
        above the highest of the other model start with the positions of that one. So a model of a higher rate begins
        with what one of a lower rate has learned, best where both have their bands at the same distance in mel.
        """
        claimed = [name for name in self.targets if name in sources]
        left = [index for index, name in enumerate(sources) if name not in claimed] or range(len(sources))
        groups = [[sources.index(name)] if name in claimed else list(left) for name in self.sources]
        heads = {
            key: weights[key].unflatten(0, (len(sources), -1))
            for key in ("network.head.weight", "network.head.bias")
        }
        heads = {key: torch.cat([head[group].mean(0) for group in groups]) for key, head in heads.items()}
        positions = {
            key: self.network.with_rows(value)
            for key, value in weights.items()
            if key.endswith(POSITIONS) and isinstance(self.network, DenseAST)
        }
        return weights | heads | positions

    def stems(self, mixture: Tensor, rendered: Rendered) -> Tensor:
        """Returns the stems of the targets (B, targets, C, T); what is not given out is not computed."""
        (masks,) = self.masks(mixture, rendered, (self.mask_power,))
        return apply_masks(mixture, masks[:, self.rows], self.mask_fft, self.hop_samples)

    def cut(self, mixture: Tensor, rendered: Rendered) -> tuple[Tensor, Controls]:
        """Returns stems, and what is heard in them; what is heard has the masks of the stems in one more channel."""
        if mixture.shape[1] == 1:
            return super().cut(mixture, rendered)
        stems = self.stems(torch.cat([mixture, one_channel(mixture)[:, None]], dim=1), rendered)
        return stems[:, :, :-1], self.hear(stems[:, :, -1])

    def hear(self, stems: Tensor) -> Controls:
        """Returns the notes of the stems, see `melodies`, and the hits of drums (B, targets, N, k)."""
        heard = melodies(stems, self.targets, self.sample_rate, self.hop_samples)
        if self.transcriber is not None:
            hits = stems.new_zeros(*heard["f0_hz"].shape[:3], self.declared["hits"].size)
            for row, name in enumerate(self.targets):
                if name in UNPITCHED:
                    hits[:, row] = self.transcriber.find_frames(stems[:, row])
            heard["hits"] = hits
        return heard


def emphasised(hz: Tensor) -> Tensor:
    """Returns weights of power at frequencies (F,): (F, 2), all equal, and rising so that treble counts like bass."""
    octaves = (hz / TREBLE_HZ).clamp(1, TREBLE_RISE)
    return torch.stack([torch.ones_like(octaves), octaves**TREBLE_POWER], dim=1)
