"""Edits of level, timbre and decay heard on the recorded stem: a filter from what was synthesised to what is now."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ddsp_zoo.controls.render import FRAMES, rows_of
from ddsp_zoo.errors import DdspZooError
from ddsp_zoo.separation.blocks import Resampler
from ddsp_zoo.separation.masks import apply_masks
from ddsp_zoo.separation.playing import Player
from ddsp_zoo.separation.result import Maker, Named

MOVING = ("pitch", "partials", "gate")  # roles that say where in pitch and time something sounds
WINDOW_HOPS = 8  # of the filter
CONTEXT = 8  # frames on both sides of a piece, so that its spectra are as in the whole
FAINT = 1e-6  # share of a frame's strongest bin; what is fainter moves with the frame as a whole
MOST = 1e3  # by which power may rise more than that of its frame, 30 dB


def filtered(
    stem: np.ndarray, rate: int, before: Named, after: Named, source: str, maker: Maker
) -> np.ndarray:
    """Filters a recorded stem (C, T) by the ratio of the expected spectra of controls after and before an edit.

    The same controls give the stem itself, and levels that are all multiplied by one number give exactly that.

    Raises:
        DdspZooError: where pitch or time have changed, and for a model without a synthesiser.
    """
    _check_in_place(before, after, source, maker)
    old, new = (_power(controls, source, maker) for controls in (before, after))
    whole = float(new.double().sum() / old.double().sum().clamp(min=1e-30))
    ratio = _gains(old, new, whole) - whole**0.5
    low = Resampler(rate, maker.sample_rate, len(stem))(stem, True)
    samples = (ratio.shape[-1] - 1) * maker.hop_samples
    low = np.pad(low, ((0, 0), (0, max(samples - low.shape[1], 0))))[:, :samples]
    masked = apply_masks(
        torch.from_numpy(np.ascontiguousarray(low, np.float32))[None],
        ratio[None, None],
        WINDOW_HOPS * maker.hop_samples,
        maker.hop_samples,
    )
    change = Resampler(maker.sample_rate, rate, len(stem))(masked[0, 0].numpy(), True)[:, : stem.shape[1]]
    change = np.pad(change, ((0, 0), (0, stem.shape[1] - change.shape[1])))
    return np.float32(whole**0.5) * stem + change


def _check_in_place(before: Named, after: Named, source: str, maker: Maker) -> None:
    for name, control in maker.declared.items():
        if name not in before or control.origin == "heard":
            continue
        if len(before[name]) != len(after[name]):
            raise DdspZooError(
                f"The time of {source} has changed, and what is recorded keeps its own: play the edit with the sound "
                '"synthesised".'
            )
        if control.role in MOVING and not np.array_equal(before[name], after[name]):
            raise DdspZooError(
                f"{source}/{name} has changed ({control.text}), and the pitches and times of what is recorded stay: "
                'play the edit with the sound "synthesised".'
            )


def _gains(old: Tensor, new: Tensor, whole: float) -> Tensor:
    """By what each bin of the stem is multiplied (F, N); empty ones go with their frame, and empty frames with all."""
    hush = 1e-9 * float(old.mean()) + 1e-30
    of_frame = (new.sum(0) + hush * whole) / (old.sum(0) + hush)
    faint = FAINT * old.amax(0) + hush
    ratio = (new + faint * of_frame) / (old + faint)
    return torch.minimum(ratio, MOST * of_frame).sqrt()


@torch.inference_mode()
def _power(controls: Mapping[str, np.ndarray], source: str, maker: Maker) -> Tensor:
    """Expected power spectra (F, N + 1) of the controls of one source."""
    synth, hop, n_fft = maker.synth, maker.hop_samples, WINDOW_HOPS * maker.hop_samples
    rows = rows_of(controls, source, maker)
    play = Player(synth, maker.seed, [maker.sources.index(source)], probed=True)
    count = next(iter(rows.values())).shape[1]
    starts = range(0, count, FRAMES)
    tonal = [
        play(
            {name: value[:, start : start + FRAMES] for name, value in rows.items()}, start + FRAMES >= count
        ).tonal
        for start in starts
    ]
    tonal, (timed, _) = torch.cat(tonal, -1)[None], synth.timed(rows)
    pieces = []
    for start in starts:
        stop = min(start + FRAMES, count)
        low, high = max(start - CONTEXT, 0), min(stop + CONTEXT, count)
        piece = {name: value[None, :, low:high] for name, value in timed.items()}
        power = synth.power_spectra(piece, tonal[..., low * hop : high * hop], n_fft)[0, 0]
        pieces.append(power[:, start - low : stop - low + (stop == count)])
    return torch.cat(pieces, -1)
