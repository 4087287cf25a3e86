"""AST-DDSP as its paper has it, and with the quirks of its author's code (Gabrielli 2024)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ddsp_zoo.dsp.channels import one_channel
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.losses import MultiResolutionStftLoss
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.clip_ast import ClipAST, ClipMel
from ddsp_zoo.pitch.salience import melodies
from ddsp_zoo.separation.masks import apply_masks, single_mask
from ddsp_zoo.sources import REST
from ddsp_zoo.synths.control import Controls, heard_notes
from ddsp_zoo.synths.sinusoids import QUIRKS as SYNTH_QUIRKS
from ddsp_zoo.synths.sinusoids import SinusoidsPlusNoise

QUIETEST_VARIANCE = 5e-4  # of a signal that "silence_dropped" keeps: a root mean square of 0.022
QUIRKS = SYNTH_QUIRKS | {
    "power_mel": "the network reads the power of mel bands and not its logarithm",
    "own_level": "the network hears the mixture at the level it has, and must find the level of what it plays itself",
    "swapped_axes": "time is taken for frequency when published positions are cut to size, so neighbours are mixed up",
    "idle_heads": "two classifiers of the transformer's first life are carried along (1.5 M weights)",
    "a_weighting": "the loss is weighted like an ear at low levels, which hardly hears a bass",
    "silence_dropped": "examples where stem or mixture is soft are left out, so that silence is never learnt",
}


class PublishedAstDdsp(Separator):
    """Separates one stem of a band from one token of a transformer, as sinusoids plus noise.

    Without ``quirks`` and with the other defaults this is what the paper describes: log-mel, controls every 62.5 ms,
    65 bands of noise that vary in time. (It does not say how the transformer's tokens become frames; here as in the
    code, by one linear layer, and the amplitudes are told as shares of a loudness.) With all quirks and the settings
    of the recipes in as_published/ it is the author's code, but for two things: that code takes the first stem of the
    wanted class and not their sum, which is the corpus's to do, and it sums phases in single precision. The stem
    comes out as it is synthesised, and as the mixture under the mask min(|S| / |X|, 1), which is ours.

    Args:
        sources: the stem, and "rest": what the stem leaves of the mixture, so without controls of its own (zeros).
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of a clip, which the network is made for.
        hop_samples: distance of control frames in samples; 500 in the paper, 250 in the code.
        sinusoids: oscillators.
        bins: frequencies that each oscillator chooses among.
        noise_bands: points of the noise filter from 0 Hz to the Nyquist frequency.
        n_fft: window of the mel spectrogram in samples.
        mel_hop: its hop in samples.
        mels: its bands.
        width: of the transformer's tokens.
        depth: its layers.
        heads: of its attention.
        pretrained: name or folder of a `transformers` AST to start from (the author: of AudioSet), or none.
        quirks: of `QUIRKS`: what the author's code does otherwise than the paper says.
        optimiser: how it learns; in the code with weight decay 5e-7, betas 0.95 and 0.999, a fall every 25 epochs.
        masks: exponent and window of the mask.
    """

    def __init__(
        self,
        sources: tuple[str, ...] = ("bass", "rest"),
        sample_rate: int = 8000,
        segment_seconds: float = 2.0,
        hop_samples: int = 500,
        sinusoids: int = 100,
        bins: int = 64,
        noise_bands: int = 65,
        n_fft: int = 2048,
        mel_hop: int = 512,
        mels: int = 128,
        width: int = 768,
        depth: int = 12,
        heads: int = 12,
        pretrained: str | None = None,
        quirks: tuple[str, ...] = (),
        optimiser: Optimiser = Optimiser(learning_rate=3e-4, decay_every=10_000),
        masks: Masks = Masks(fft=2048),
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
        self._check_settings(quirks)
        self.quirks, self.pretrained = frozenset(quirks), pretrained
        self.synth = SinusoidsPlusNoise(
            sample_rate, hop_samples, sinusoids, noise_bands, bins, self.quirks & set(SYNTH_QUIRKS)
        )
        self.heard = heard_notes(sample_rate)
        self.frames = self.segment_samples // hop_samples
        self.features = ClipMel(sample_rate, n_fft, mel_hop, mels, log="power_mel" not in quirks)
        outputs = self.frames * self._frame_channels + self.synth.clip_channels
        self.network = ClipAST(
            mels,
            1 + self.segment_samples // mel_hop,
            outputs,
            width,
            depth,
            heads,
            idle_heads="idle_heads" in quirks,
        )
        self.loss = MultiResolutionStftLoss(a_weighting="a_weighting" in quirks, sample_rate=sample_rate)
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        """Takes the pretrained transformer when training starts (a resumed run overwrites it again)."""
        if stage == "fit" and self.pretrained:
            self.network.load_pretrained(self.pretrained, swapped="swapped_axes" in self.quirks)

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts from (B, T): -> (B, 1, N, channels); what counts for the whole clip comes last."""
        raw = self.network(self.features(audio))
        every, once = raw.split([self.frames * self._frame_channels, self.synth.clip_channels], dim=-1)
        every = every.unflatten(-1, (self.frames, -1))
        return torch.cat([every, once[:, None].expand(-1, self.frames, -1)], dim=-1)[:, None]

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Predicts what the stem of clips (B, T) is played from, {name: (B, 1, N, k)}.

        The quirk "own_level" leaves the clips at their own level.
        """
        self._check(audio, None, None)
        if audio.shape[-1] != self.segment_samples:
            raise DdspZooError(
                f"This model takes clips of {self.segment_samples} samples, got {audio.shape[-1]}; `separate` takes "
                "any length."
            )
        if "own_level" not in self.quirks:
            return super().predict_controls(audio)
        raw = self.raw_controls(audio, None, None)
        self.check_finite(raw)
        with torch.autocast(audio.device.type, enabled=False):
            return self.synth.constrain(raw.float())

    def forward(
        self,
        audio: Tensor,
        f0_hz: Tensor | None = None,
        onset: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendered:
        """Synthesises the stem of clips (B, T), see `Separator.forward`, and leaves the rest: S = 2."""
        out = super().forward(audio, generator=generator)
        controls = {name: torch.cat([value, 0 * value], dim=1) for name, value in out.controls.items()}
        rest = audio[:, None] - out.sources
        return Rendered(torch.cat([out.sources, rest], 1), controls, torch.cat([out.tonal, rest], 1))

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        """Returns stem and rest (B, 2, [C,] T) for each exponent; they sum to the mixture (B, T) or (B, C, T)."""
        mono = one_channel(mixture) if mixture.ndim == 3 else mixture
        window = {"n_fft": self.mask_fft, "hop": self.hop_samples}
        masks = (single_mask(rendered.sources[:, :1], mono, power, **window) for power in powers)
        stems = (apply_masks(mixture, mask, **window) for mask in masks)
        return [torch.cat([stem, mixture[:, None] - stem], dim=1) for stem in stems]

    def losses(self, rendered: Rendered, targets: Tensor, mixture: Tensor) -> dict[str, Tensor]:
        """Measures the synthesised stem's distance."""
        return {"spectral": self.loss(rendered.sources[:, :1], targets[:, :1])}

    def _step(self, batch: dict[str, Tensor], stage: str, generator: torch.Generator) -> Tensor | None:
        """As `Separator._step`; with "silence_dropped" no loss, and so no step, where nothing is left of a batch."""
        if "silence_dropped" in self.quirks and stage != "test":
            loud = is_loud(batch)
            if not loud.any():
                return self._nothing(stage)
            batch = {name: value[loud] for name, value in batch.items()}
        if "own_level" not in self.quirks:
            return super()._step(batch, stage, generator)
        rendered = self(batch["mixture"], generator=generator)
        parts = self.losses(rendered, batch["sources"], batch["mixture"])
        loss = self.logged_loss(parts, stage, len(batch["mixture"]))
        self.check_finite(loss)
        return loss

    def _nothing(self, stage: str) -> Tensor | None:
        """What `_step` returns of a batch that is dropped; several processes need the same losses and gradients."""
        if stage != "train":
            parts = {f"{stage}/{name}": 0.0 for name in ("spectral", "loss")}
            self.log_dict(parts, prog_bar=True, batch_size=0, sync_dist=True)
            return None
        alone = self._trainer is None or self.trainer.world_size == 1
        return (
            None if alone else sum(0 * weight.sum() for weight in self.parameters() if weight.requires_grad)
        )

    def hear(self, stems: Tensor) -> Controls:
        """Returns the notes of the stem (B, 1, T), see `melodies`: free sinusoids have no fundamental."""
        return melodies(stems, self.targets, self.sample_rate, self.hop_samples)

    @property
    def _frame_channels(self) -> int:
        return self.synth.controls.channels - self.synth.clip_channels

    def _check_settings(self, quirks: tuple[str, ...]) -> None:
        if len(self.sources) != 2 or self.sources[1] != REST or self.sources[0] == REST:
            raise DdspZooError(
                f"The published AST-DDSP is one model a stem: give its name and {REST!r}, not {list(self.sources)}."
            )
        for name in quirks:
            if name not in QUIRKS:
                raise DdspZooError(
                    f"There is no quirk {name!r} of AST-DDSP: choose from {', '.join(QUIRKS)}."
                )


def is_loud(batch: dict[str, Tensor]) -> Tensor:
    """Tells which examples have a loud mixture and a loud stem: {mixture (B, T), sources (B, S, T)} -> (B,)."""
    signals = torch.stack([batch["mixture"], batch["sources"][:, 0]], dim=1)
    return (signals.var(-1) >= QUIETEST_VARIANCE).all(1)
