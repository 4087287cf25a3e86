"""Sound and pictures of a training run, for loggers that can take them."""

from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor


class LogMedia(Callback):
    """Logs at the end of validation what the model makes of a few fixed examples.

    For each example it logs audio of the mixture, and of each source the target, the synthesised and the masked
    estimate (at one common gain, so that levels compare); their spectrograms; and the controls of each source
    over time. They go to every logger with `log_audio` and `log_image` (W&B). Without one, on other ranks than
    zero and in sanity checks nothing is computed. The state of the random numbers is restored afterwards, so
    training does not change.

    Args:
        every_n_epochs: log after validations of every n-th epoch.
        examples: number of validation examples, taken from the first validation batches.
        max_seconds: longer examples are cut to this, or to the excerpts that the model is trained on.
    """

    def __init__(self, every_n_epochs: int = 1, examples: int = 2, max_seconds: float = 10.0) -> None:
        self.every_n_epochs = every_n_epochs
        self.examples = examples
        self.max_seconds = max_seconds
        self._kept: list[dict[str, Tensor]] = []  # one example each, with a batch axis of 1, in main memory

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: dict[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the first examples that come by, once for the whole run."""
        if len(self._kept) >= self.examples or dataloader_idx or not self._takers(trainer):
            return
        if not hasattr(pl_module, "masked"):  # it makes no sound
            return
        hop = pl_module.hop_samples
        # Some networks take no less than the excerpts they are made for.
        longest = max(int(self.max_seconds * pl_module.sample_rate), getattr(pl_module, "segment_samples", 0))
        frames = min(batch["mixture"].shape[-1], longest) // hop
        cut = {key: frames * (hop if key in ("mixture", "sources") else 1) for key in _keys(batch)}
        for index in range(min(len(batch["mixture"]), self.examples - len(self._kept))):
            example = {key: batch[key][index : index + 1, ..., :length] for key, length in cut.items()}
            self._kept.append({key: value.detach().clone().cpu() for key, value in example.items()})

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Renders and logs the kept examples."""
        takers = self._takers(trainer) if trainer.current_epoch % self.every_n_epochs == 0 else []
        if not takers:
            return
        for number, example in enumerate(self._kept):
            with torch.no_grad(), isolate_rng(), trainer.precision_plugin.forward_context():
                sounds, controls = _render(pl_module, {k: v.to(pl_module.device) for k, v in example.items()})
            pictures = _pictures(sounds, controls, pl_module)
            for logger in takers:
                _log(
                    logger, f"example_{number}", sounds, pictures, pl_module.sample_rate, trainer.global_step
                )

    @staticmethod
    def _takers(trainer: Trainer) -> list[Logger]:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return []
        able = [
            logger
            for logger in trainer.loggers
            if hasattr(logger, "log_audio") and hasattr(logger, "log_image")
        ]
        return [logger for logger in able if not getattr(logger.experiment, "disabled", False)]


Sounds = dict[str, np.ndarray]
SourceControls = dict[str, dict[str, np.ndarray]]


def _keys(batch: dict[str, Tensor]) -> list[str]:
    return [key for key in ("mixture", "sources", "f0_hz", "onset") if key in batch]


def _render(model: LightningModule, example: dict[str, Tensor]) -> tuple[Sounds, SourceControls]:
    """Returns {caption: (T,)} and {source: {name: (N, k)}} of declared controls, of one example (batch axis of 1)."""
    mixture = example["mixture"]
    rendered = model(mixture, f0_hz=example.get("f0_hz"), onset=example.get("onset"))
    kinds = {"synthesised": rendered.sources, "masked": model.masked(mixture, rendered)}
    if "sources" in example:
        kinds = {"target": example["sources"]} | kinds
    sounds = {"mixture": _array(mixture[0])}
    for index, source in enumerate(model.sources):
        sounds |= {f"{source}, {kind}": _array(audio[0, index]) for kind, audio in kinds.items()}
    controls = {
        source: {
            name: _array(value[0, index])
            for name, value in rendered.controls.items()
            if name in model.declared
        }
        for index, source in enumerate(model.sources)
    }
    return sounds, controls


def _array(value: Tensor) -> np.ndarray:
    """Returns finite float32: a diverging model must not stop the logging that shows it."""
    return np.nan_to_num(value.detach().float().cpu().numpy(), posinf=0.0, neginf=0.0)


def _pictures(
    sounds: Sounds, controls: SourceControls, model: LightningModule
) -> dict[str, dict[str, np.ndarray]]:
    """Returns {section: {source: pixels (height, width, 3)}}; the mixture's spectrogram is above the source's."""
    from ddsp_zoo.export.plots import figure_to_rgb, plot_controls, plot_spectrograms

    rate = model.sample_rate / model.hop_samples
    pictures: dict[str, dict[str, np.ndarray]] = {"spectrograms": {}, "controls": {}}
    for source, named in controls.items():
        its_sounds = {
            key: value for key, value in sounds.items() if key.startswith(("mixture", f"{source}, "))
        }
        pictures["spectrograms"][source] = figure_to_rgb(plot_spectrograms(its_sounds, model.sample_rate))
        if named:
            pictures["controls"][source] = figure_to_rgb(plot_controls(named, model.declared, rate, source))
    return {section: images for section, images in pictures.items() if images}


def _log(
    logger: Any,
    example: str,
    sounds: Sounds,
    pictures: dict[str, dict[str, np.ndarray]],
    rate: int,
    step: int,
) -> None:
    loudest = max(float(np.abs(samples).max(initial=0)) for samples in sounds.values())
    audible = [samples / max(1.0, loudest) for samples in sounds.values()]  # files clip beyond 1
    captions = list(sounds)
    logger.log_audio(f"audio/{example}", audible, step, sample_rate=[rate] * len(audible), caption=captions)
    for section, images in pictures.items():
        logger.log_image(f"{section}/{example}", list(images.values()), step, caption=list(images))
