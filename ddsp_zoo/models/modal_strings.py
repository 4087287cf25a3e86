"""Series E, the successor of the thesis's string models: strings by their modes, heard at their partials."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.dsp.harmonic_ls import fit_windows, harmonic_least_squares
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.learning.losses import MultiScaleSpectralLoss
from ddsp_zoo.learning.optimiser import Optimiser
from ddsp_zoo.models.separator import Rendered, Separator
from ddsp_zoo.models.settings import Masks
from ddsp_zoo.networks.string_listener import StringListener, pool_notes
from ddsp_zoo.pitch.placing import found_on_true_strings
from ddsp_zoo.pitch.string_tracker import StringTracker
from ddsp_zoo.pitch.track import PitchTrack
from ddsp_zoo.separation.masks import by_channel
from ddsp_zoo.sources import GUITAR_STRINGS_HZ
from ddsp_zoo.synths.control import Controls
from ddsp_zoo.synths.modal_string import EXTRAS, ModalString

MOST_GAIN = 10.0  # that brings the strings to the mixture's level
RIDGE = 0.5  # of the fit: how much of a frame is taken for what the strings do not explain


class ModalStrings(Separator):
    """Separates six plucked strings, whose notes are each judged as a whole.

    Args:
        sources: the strings, low to high.
        sample_rate: rate of the audio in Hz.
        segment_seconds: length of the excerpts.
        extras: what the string model has beside pluck and decay (see `ModalString`).
        supervised: compare each string with its target; else only their sum with the mixture.
        masked_weight: weight of the masked strings' error in dB, where supervised.
        passes: how often the network corrects what it believes of the strings, the first time the default.
        phase_locked: fit the strings' partials to the mixture, with the model's as prior, and share the rest by masks.
        optimiser: how it learns.
        masks: exponent and window of the masks.
        tracks_pitch: hold a `StringTracker` as ``tracker``, trained apart, that finds the pitches where none are given.
        found_share: share of the training batches, and all of the validation, that are heard with the pitches that the
            tracker finds in them, on the strings that truly play those: notes are missed, late, or too many, as they
            will be. Which string plays cannot be learned here, since masks follow the pitch that they are given.

    Raises:
        DdspZooError: for pitches that are to be found by no tracker.
    """

    needs_pitch = True

    def __init__(
        self,
        sources: tuple[str, ...] = tuple(GUITAR_STRINGS_HZ),
        sample_rate: int = 16000,
        segment_seconds: float = 2.0,
        extras: tuple[str, ...] = EXTRAS,
        supervised: bool = True,
        masked_weight: float = 0.0,
        passes: int = 2,
        phase_locked: bool = False,
        optimiser: Optimiser = Optimiser(),
        masks: Masks = Masks(power=2.0),
        tracks_pitch: bool = False,
        found_share: float = 0.0,
    ) -> None:
        super().__init__(
            sources,
            sample_rate,
            hop_samples=256,
            segment_seconds=segment_seconds,
            supervised=supervised,
            optimiser=optimiser,
            masks=masks,
        )
        self.synth = ModalString(sample_rate, self.hop_samples, extras)
        self.listener = StringListener(
            len(self.sources), self.synth.controls.channels, sample_rate, self.hop_samples
        )
        self.loss = MultiScaleSpectralLoss((1024, 256))
        self.error_weight, self.passes, self.phase_locked = masked_weight, passes, phase_locked
        if found_share and not tracks_pitch:
            raise DdspZooError(
                "found_share is that of pitches found by a tracker: set model.tracks_pitch to true."
            )
        self.found_share = found_share
        if tracks_pitch:
            self.tracker = StringTracker(self.sources, sample_rate, self.hop_samples).requires_grad_(False)
        self.save_hyperparameters()

    def forward(
        self,
        audio: Tensor,
        f0_hz: Tensor | None = None,
        onset: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Rendered:
        """Renders as `Separator.forward`, the strings together as loud as the mixture: masks tell only their shares."""
        controls = super().predict_controls(audio, f0_hz, onset)
        with torch.autocast(audio.device.type, enabled=False):
            sound = self.synth.render(controls, generator)
            gain = self._gain(audio, sound.audio)
        sources, tonal = (part * gain[:, None, None] for part in (sound.audio, sound.tonal))
        self.check_finite(sources)
        return Rendered(sources, self.synth.scale(controls, gain), tonal)

    def predict_controls(
        self, audio: Tensor, f0_hz: Tensor | None = None, onset: Tensor | None = None
    ) -> Controls:
        """Predicts as `Separator` does, at the level of `forward`, which is tried out with noise of its own."""
        controls = super().predict_controls(audio, f0_hz, onset)
        with torch.autocast(audio.device.type, enabled=False):
            tried = self.synth.render(controls, torch.Generator().manual_seed(0)).audio
        return self.synth.scale(controls, self._gain(audio, tried))

    def _gain(self, audio: Tensor, sources: Tensor) -> Tensor:
        """Returns what brings sources (B, S, T) to the level of a mixture (B, T): -> (B,)."""
        played = sources.sum(1).square().sum(-1)
        return (audio.square().sum(-1) / played.clamp(min=1e-12)).sqrt().clamp(1 / MOST_GAIN, MOST_GAIN)

    def training_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of a batch as `Separator` does, some with found pitches (``found_share``)."""
        generator = self.generator_of_step()
        if torch.rand((), generator=generator) < self.found_share:
            batch = self.with_found_pitch(batch)
        return self._step(batch, "train", self.generator_of_step())

    def validation_step(self, batch: dict[str, Tensor], batch_index: int) -> Tensor:
        """Returns the loss of a batch as `Separator` does, with found pitches where it is trained on them."""
        return super().validation_step(
            self.with_found_pitch(batch) if self.found_share else batch, batch_index
        )

    def with_found_pitch(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns a batch with the pitches that the tracker finds in it, on the strings that truly play them."""
        pitches = []
        for mixture, f0_hz, onset in zip(batch["mixture"], batch["f0_hz"], batch["onset"], strict=True):
            truth = PitchTrack(f0_hz.cpu().numpy(), onset.cpu().numpy(), self.hop_samples / self.sample_rate)
            found = self.tracker.find(mixture.cpu().numpy(), len(self.sources))
            pitches.append(found_on_true_strings(truth, found))
        parts = {name: np.stack([getattr(pitch, name) for pitch in pitches]) for name in ("f0_hz", "onset")}
        return batch | {name: torch.from_numpy(part).to(self.device) for name, part in parts.items()}

    def raw_controls(self, audio: Tensor, f0_hz: Tensor | None, onset: Tensor | None) -> Tensor:
        """Predicts from (B, T), f0 and onsets (B, S, N): -> (B, S, N, channels), the same in all frames of a note."""
        raw = audio.new_zeros(*f0_hz.shape, self.synth.controls.channels)
        given = {"f0_hz": f0_hz[..., None], "onset": onset[..., None]}
        for _ in range(self.passes):
            with torch.no_grad():
                believed = self.synth.amplitudes(self.synth.constrain(raw) | given)
            raw = raw + pool_notes(self.listener(audio, f0_hz, onset, believed).float(), onset)
        return raw

    def masked_each(self, mixture: Tensor, rendered: Rendered, powers: Sequence[float]) -> list[Tensor]:
        """Returns the stems for each exponent, see `Separator.masked_each`; they sum to the mixture.

        With ``phase_locked`` the strings' partials are fitted to each channel, where the levels that the network
        believes in decide about what two strings share, and masks share what the fit leaves.
        """
        if not self.phase_locked:
            return super().masked_each(mixture, rendered, powers)
        controls, synth = rendered.controls, self.synth
        stiffness = controls["inharmonicity"][..., 0] if "inharmonicity" in controls else None
        pitch, prior = synth.pitch(controls), synth.partial_variance(controls)
        fitted = by_channel(
            mixture,
            lambda x: harmonic_least_squares(
                x,
                pitch,
                self.sample_rate,
                self.hop_samples,
                prior,
                windows=fit_windows(self.sample_rate),
                inharmonicity=stiffness,
                ridge=RIDGE,
                refinements=0,
            ),
        )
        left = super().masked_each(mixture - fitted.sum(1), rendered, powers)
        return [fitted + own for own in left]
